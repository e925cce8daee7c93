//! A region that returns from a copy of its stores, over real processes: as often as one likes, with all that everybody else has.
//!
//! What must always hold: no dot is given twice, whichever life of the region gives it; what was acknowledged everywhere is there again; a copy under an incarnation that is active is
//! left alone.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod tampered;
mod two_regions;

use crdt::{ConversationId, Dot, MessageId, PlacementId};
use gateway_client_net::{Act, ClientHandle, Event, Events};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tampered::{TIMELINE, flip};
use two_regions::{ISLE, TwoRegions, begin_isle, global_of, until_shown, wait_for};

/// The placement that east alone is of.
const LOCAL: PlacementId = PlacementId(2);

async fn acknowledged(events: &mut Events, wanted: MessageId) -> Dot {
    let is_it = |event: &Event| matches!(event, Event::Acknowledged { command, place: Some(_), .. } if *command == wanted);
    let Event::Acknowledged { place: Some(place), .. } = wait_for(events, is_it).await else {
        panic!("it was looked for")
    };
    place.dot
}

async fn until_stable(events: &mut Events, wanted: MessageId) {
    wait_for(events, |event| matches!(event, Event::Stable { command, .. } if *command == wanted)).await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() { copy(&path, &to.join(name)) } else { _ = fs::copy(&path, to.join(name)).unwrap() }
    }
}

impl TwoRegions {
    /// What is left of a region is a copy of its stores: the disk is another one.
    fn has_only(&self, number: usize, placements: &[&str]) {
        let data = self.path().join("data").join(two_regions::NAMES[number]);
        fs::remove_dir_all(&data).unwrap();
        for placement in placements {
            copy(&self.path().join("copy").join(placement), &data.join(placement));
        }
    }

    fn close_and_admit(&self, placement: &str, region: &str) -> Option<i32> {
        let fixed = ["admin", "epoch", "--cluster", "demo", "--placement", placement];
        let output = self.try_run(&[&fixed[..], &["--close", region, "--admit", region, "--apply"]].concat());
        output.status.code()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_is_restored_twice_and_no_dot_is_given_twice() {
    let mut regions = TwoRegions::start();
    let mut given = BTreeSet::new();
    let (first, mut events) = ClientHandle::connect(regions.device(1, 0xa11ce, 1));
    begin_isle(&first).await;
    let before = first.send(ISLE, "before the copy".into(), None).await.unwrap();
    until_stable(&mut events, before).await;
    drop((first, events));
    regions.end(1);
    copy(&regions.path().join("data/west"), &regions.path().join("copy"));
    regions.start_again(1);

    let mut last = before;
    for life in 2..4 {
        let (client, mut events) = ClientHandle::connect(regions.device(1, 0xa11ce, life));
        until_shown(&mut events, last).await;
        for number in 0..5 {
            last = client.send(ISLE, format!("in life {life}, {number}").into(), None).await.unwrap();
            assert!(given.insert(acknowledged(&mut events, last).await), "a dot is given twice");
        }
        until_stable(&mut events, last).await;
        drop((client, events));
        regions.signal(1, "KILL");
        regions.wait(1);
        regions.has_only(1, &["global"]);
        let (code, _, said) = regions.at_rest(1, "restore", &["--apply"]);
        let is_told = said.contains("is active") || said.contains("was given a copy before");
        assert!(code == Some(6) && is_told, "{code:?} {said}");
        assert_eq!(regions.close_and_admit("global", "west"), Some(0));
        let (code, shown, said) = regions.at_rest(1, "restore", &[]);
        assert!(code == Some(3) && said.contains("nothing was written"), "{code:?} {said}");
        let copy = &global_of(&shown)["copy"];
        assert_ne!(copy["from"], copy["to"], "{shown}");
        assert!(copy["as_of"].as_str().unwrap().ends_with('Z'), "{shown}");
        let (code, shown, _) = regions.at_rest(1, "restore", &["--apply"]);
        assert_eq!((code, &global_of(&shown)["written"]), (Some(0), &Value::Bool(true)));
        let (code, shown, _) = regions.at_rest(1, "restore", &["--apply"]);
        assert_eq!((code, &global_of(&shown)["written"]), (Some(0), &Value::Bool(false)), "once is enough");
        let noted = fs::read_to_string(regions.path().join("data/west/repairs.jsonl")).unwrap();
        assert_eq!(noted.lines().count(), 1, "{noted}");
        regions.start_again(1);
        regions.wait_until_equal();
    }
    let (client, mut events) = ClientHandle::connect(regions.device(1, 0xa11ce, 9));
    until_shown(&mut events, last).await;
    let after = client.send(ISLE, "after all that".into(), None).await.unwrap();
    assert!(given.insert(acknowledged(&mut events, after).await));
    until_stable(&mut events, after).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_other_region_has_returns_with_the_copy_and_a_damaged_one_is_left_alone() {
    let mut regions = TwoRegions::start();
    let alone = ConversationId::group(LOCAL, 3);
    let (client, mut events) = ClientHandle::connect(regions.device_of(LOCAL, 0, 0xb0b, 1));
    let create =
        Act::CreateGroup { conversation: alone, command: None, members: vec![], name: "home".into() };
    client.act(create).await.unwrap();
    let said_here = client.send(alone, "said in one region alone".into(), None).await.unwrap();
    until_stable(&mut events, said_here).await;
    drop((client, events));
    regions.write().await;
    regions.end(0);
    copy(&regions.path().join("data/east"), &regions.path().join("copy"));
    regions.has_only(0, &["global", "local"]);
    // Of its own placement nobody else can be told; of the other one west is.
    assert_eq!(regions.close_and_admit("local", "east"), Some(3));
    assert_eq!(regions.close_and_admit("global", "east"), Some(0));
    flip(&regions, 0, TIMELINE);
    let (code, _, said) = regions.at_rest(0, "restore", &["--apply"]);
    assert!(code == Some(3) && said.contains("the copy is damaged"), "{code:?} {said}");
    regions.has_only(0, &["global", "local"]);
    let (code, shown, said) = regions.at_rest(0, "restore", &["--placement", "local", "--apply"]);
    assert_eq!((code, shown["placements"].as_array().map(Vec::len)), (Some(0), Some(1)), "{said}");
    assert_eq!(regions.at_rest(0, "restore", &["--apply"]).0, Some(0));
    regions.start_again(0);
    regions.wait_until_equal();
    let (_client, mut events) = ClientHandle::connect(regions.device_of(LOCAL, 0, 0xb0b, 2));
    until_shown(&mut events, said_here).await;
}
