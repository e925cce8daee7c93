//! A region dies with what it alone had acknowledged, is closed for good, and its disk is found: what was on it comes back by way of the other one, over real processes.
//!
//! What must always hold: exactly what was acknowledged and never sent comes back, where it was said, and once; until then the outcome says what is missing, afterwards that the disk may go.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod tampered;
mod two_regions;

use gateway_client_net::{ClientHandle, Content, Event, Events, Place};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use tampered::{TIMELINE, flip};
use two_regions::{ISLE, TwoRegions, begin_isle, global_of, wait_for, wait_until};

/// What the lost region alone acknowledged.
const ALONE: usize = 300;

/// What is shown until that was, from top to bottom.
async fn shown_until(events: &mut Events, last: &str) -> Vec<String> {
    let mut shown: BTreeMap<Place, String> = BTreeMap::new();
    let is_post = |event: &Event| matches!(event, Event::Shown { item, .. } if matches!(item.content, Content::Post { .. }));
    loop {
        let Event::Shown { item, .. } = wait_for(events, is_post).await else { continue };
        let Content::Post { body, .. } = item.content else { continue };
        let text = String::from_utf8(body.to_vec()).unwrap();
        let is_last = text == last;
        assert_eq!(shown.insert(item.place, text), None, "shown once");
        if is_last {
            return shown.into_values().collect();
        }
    }
}

fn counted(shown: &Value, what: &str) -> u64 {
    global_of(shown)["outcome"][what].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_region_alone_acknowledged_comes_back_from_its_disk_once() {
    let mut regions = TwoRegions::start();
    let (author, mut events) = ClientHandle::connect(regions.device(1, 0xa11ce, 1));
    begin_isle(&author).await;
    let everywhere = author.send(ISLE, "everywhere".into(), None).await.unwrap();
    wait_for(&mut events, |event| matches!(event, Event::Stable { command, .. } if *command == everywhere))
        .await;
    regions.end(0);
    let mut expected = vec!["everywhere".to_owned()];
    let mut last = everywhere;
    for number in 0..ALONE {
        let text = format!("alone {number}");
        last = author.send(ISLE, text.clone().into(), None).await.unwrap();
        expected.push(text);
    }
    let is_taken = |event: &Event| matches!(event, Event::Acknowledged { command, .. } if *command == last);
    wait_for(&mut events, is_taken).await;
    // The device, with what it had not got off its hands, is gone as well.
    drop((author, events));
    regions.signal(1, "KILL");
    regions.wait(1);
    regions.start_again(0);

    let into = ["--into", "east"];
    let (code, _, said) = regions.at_rest(1, "salvage", &into);
    assert!(code == Some(6) && said.contains("not_closed"), "{code:?} {said}");
    let close =
        ["admin", "epoch", "--cluster", "demo", "--placement", "global", "--close", "west", "--apply"];
    assert_eq!(regions.try_run(&close).status.code(), Some(0));
    let (reader, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 2));
    assert_eq!(shown_until(&mut events, "everywhere").await, ["everywhere"]);

    let brought_back = Cell::new(0);
    wait_until("it is known that the other region stands in the epoch", || {
        let (code, shown, said) = regions.at_rest(1, "salvage", &into);
        assert!(code == Some(0) || said.contains("epoch_not_everywhere"), "{code:?} {said}");
        brought_back.set(shown["placements"].as_array().map_or(0, |_| counted(&shown, "brought_back")));
        code == Some(0)
    });
    assert_eq!(brought_back.get(), ALONE as u64);
    let last = expected.last().unwrap().clone();
    assert_eq!(shown_until(&mut events, &last).await, expected[1..]);
    // Where they were said: behind what was known, and in order.
    let (other, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 3));
    assert_eq!(shown_until(&mut events, &last).await, expected);
    drop((reader, other));

    wait_until("the disk may go", || {
        let (code, shown, said) = regions.at_rest(1, "salvage", &into);
        assert_eq!((code, counted(&shown, "brought_back")), (Some(0), 0), "{said}");
        global_of(&shown)["everywhere"] == true
    });
    flip(&regions, 1, TIMELINE);
    let (code, _, said) = regions.at_rest(1, "salvage", &into);
    assert!(code == Some(3) && said.contains("damaged"), "{code:?} {said}");
}
