//! `archipelago status` over two regions: well, one of them gone, and well again.
//!
//! What must always hold: a region that does not answer is told as such, and what the other holds for it is counted; exit code 3 as long as anything is not well.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use gateway_client_net::{ClientHandle, Event};
use serde_json::Value;
use std::time::{Duration, Instant};
use two_regions::{ISLE, SOON, TwoRegions, begin_isle, global_of, wait_for};

fn status(regions: &TwoRegions, more: &[&str]) -> (Option<i32>, String) {
    let output = regions.try_run(&[&["status", "--cluster", "demo"], more].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn until(regions: &TwoRegions, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (_, said) = regions.status();
        if is_so(&said) {
            return said;
        }
        assert!(begun.elapsed() < SOON, "{said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_gone_is_told_and_what_it_lacks_is_counted_until_it_is_back() {
    let mut regions = TwoRegions::start();
    let well = until(&regions, |said| said["ok"] == true);
    assert_eq!(status(&regions, &[]).0, Some(0));
    let clock = &well["regions"]["east"]["bridges"][0]["clock_ahead_ms"];
    assert!(clock.as_i64().is_none_or(|ms| ms.abs() < 500), "one machine has one clock: {well}");
    // Both sides measure, and the matrix has what they found.
    until(&regions, |said| {
        let clocks = &said["clocks_ahead_ms"];
        let pair = [clocks["east"]["west"].as_i64(), clocks["west"]["east"].as_i64()];
        pair.iter().all(|ahead| ahead.is_some_and(|ms| ms.abs() < 500))
    });
    assert!(status(&regions, &[]).1.contains("\nclock ahead ms   east   west\neast "), "the matrix is shown");

    let (client, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    regions.end(1);
    begin_isle(&client).await;
    let message = client.send(ISLE, "meanwhile".into(), None).await.unwrap();
    wait_for(
        &mut events,
        |event| matches!(event, Event::Acknowledged { command, .. } if *command == message),
    )
    .await;

    let said = until(&regions, |said| said["regions"]["east"]["bridges"][0]["open"] == false);
    let not_known = serde_json::json!({"east": {"west": null}, "west": {"east": null}});
    assert_eq!(
        said["clocks_ahead_ms"], not_known,
        "what was measured over a bridge that is down is no more known"
    );
    assert_eq!((&said["ok"], &said["regions"]["west"]), (&Value::Bool(false), &Value::Null));
    let problems = said["problems"].to_string();
    assert!(problems.contains("west at 127.0.0.1") && problems.contains("does not answer"), "{problems}");
    assert!(problems.contains("the bridge from east to west is down"), "{problems}");
    let global_of_east = global_of(&said["regions"]["east"]);
    assert_eq!(
        (&global_of_east["peers"][0]["region"], global_of_east["operations"].as_u64()),
        (&Value::from("west"), Some(2))
    );
    assert_eq!(global_of_east["peers"][0]["lacks_operations"].as_u64(), Some(2), "{said}");
    assert!(global_of_east["peers"][0]["for_ms"].as_u64().is_some(), "{said}");
    let (code, table) = status(&regions, &[]);
    assert!(code == Some(3) && table.contains("west           no answer") && table.contains('✗'), "{table}");

    regions.start_again(1);
    // Whole again, they state what they hold, and it is the same.
    until(&regions, |said| {
        let east = &said["regions"]["east"];
        let is_whole = global_of(east)["peers"][0]["lacks_operations"] == 0 && global_of(east)["stable"] == 2;
        said["ok"] == true && is_whole && east["bridges"][0]["states_compared"].as_u64() > Some(0)
    });
    assert_eq!(status(&regions, &[]).0, Some(0));
}

#[test]
fn a_token_of_another_cluster_is_refused_and_a_cluster_that_is_not_there_is_named() {
    let regions = TwoRegions::start();
    assert_eq!(status(&regions, &["--operator-token", "nonsense"]).0, Some(6));
    assert_eq!(regions.try_run(&["status", "--cluster", "nowhere"]).status.code(), Some(4));
}
