//! Epochs over real processes: a region whose disk is lost returns as a new incarnation and holds everything again; one that is closed ends, and says why.
//!
//! What must always hold: what was acknowledged in a region that is there is never lost by it; what waited for the lost region becomes stable.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use crdt::MessageId;
use gateway_client_net::{ClientHandle, Event, Events};
use two_regions::{ISLE, TwoRegions, begin_isle, wait_for};

async fn until_stable(events: &mut Events, wanted: MessageId) {
    wait_for(events, |event| matches!(event, Event::Stable { command, .. } if *command == wanted)).await;
}

fn epochs(regions: &TwoRegions, arguments: &[&str]) -> serde_json::Value {
    let fixed = ["admin", "epoch", "--cluster", "demo", "--placement", "global", "--json"];
    serde_json::from_str(&regions.run(&[&fixed, arguments].concat())).unwrap()
}

fn refused(regions: &TwoRegions, arguments: &[&str]) -> (Option<i32>, String) {
    let output = regions.try_run(arguments);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_whose_disk_is_lost_returns_as_a_new_incarnation() {
    let mut regions = TwoRegions::start();
    let (client, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    begin_isle(&client).await;
    let mut last = client.send(ISLE, "before".into(), None).await.unwrap();
    until_stable(&mut events, last).await;

    // The disk of west is gone, and what is written meanwhile is not stable.
    regions.signal(1, "KILL");
    regions.wait(1);
    std::fs::remove_dir_all(regions.path().join("data/west")).unwrap();
    for number in 0..200 {
        last = client.send(ISLE, format!("meanwhile {number}").into(), None).await.unwrap();
    }
    wait_for(&mut events, |event| matches!(event, Event::Acknowledged { command, .. } if *command == last))
        .await;
    let (code, said) = refused(
        &regions,
        &["admin", "epoch", "--cluster", "demo", "--placement", "global", "--admit", "west"],
    );
    assert!(code == Some(2) && said.contains("--close west"), "{code:?} {said}");
    let compared = epochs(&regions, &["--close", "west", "--admit", "west"]);
    assert_eq!((compared["epoch"].as_u64(), compared["applied"].as_bool()), (Some(1), Some(false)));
    assert!(!regions.path().join("demo/epochs/global-2.toml").exists(), "comparing writes nothing");
    let applied = epochs(&regions, &["--close", "west", "--admit", "west", "--apply"]);
    assert_eq!(applied["told"], serde_json::json!(["east"]), "{applied}");

    // As long as east says nothing, west answers nobody: it would tell its users that they are in no conversation.
    regions.signal(0, "STOP");
    regions.start_again(1);
    let (_at_west, mut told) = ClientHandle::connect(regions.device(1, 0xa11ce, 2));
    wait_for(&mut told, |event| matches!(event, Event::Refused { code, .. } if code == "region_behind"))
        .await;
    regions.signal(0, "CONT");
    let what_was_last = |event: &Event| matches!(event, Event::Shown { item, .. } if item.message == last);
    wait_for(&mut told, what_was_last).await;
    until_stable(&mut events, last).await;
    regions.wait_until_equal();
    let now = epochs(&regions, &[]);
    assert_eq!(now["epoch"], 2);
    assert_eq!((now["active"].as_object().unwrap().len(), now["closed"].as_array().unwrap().len()), (2, 1));
    let after = client.send(ISLE, "after".into(), None).await.unwrap();
    until_stable(&mut events, after).await;
}

#[test]
fn a_region_that_is_closed_ends_and_does_not_start_again_and_a_file_that_is_no_next_epoch_is_refused() {
    let mut regions = TwoRegions::start();
    let (code, said) = refused(
        &regions,
        &[
            "admin",
            "epoch",
            "--cluster",
            "demo",
            "--placement",
            "global",
            "--close",
            "west",
            "--heir",
            "west",
        ],
    );
    assert!(code == Some(2) && said.contains("not active in the next epoch"), "{code:?} {said}");
    let applied = epochs(&regions, &["--close", "west", "--heir", "east", "--apply"]);
    assert_eq!(applied["told"], serde_json::json!(["east"]));
    let (closed, heir) = applied["heirs"].as_object().unwrap().iter().next().unwrap();
    assert!(closed.starts_with("west r2.") && heir.as_str().unwrap().starts_with("east r1."), "{applied}");
    // East tells it so, over the bridge.
    regions.wait(1);
    let (code, said) = refused(&regions, &["region", "west", "--cluster", "demo", "--data", "data/west"]);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("returns as a new incarnation"), "{said}");
    // Without it all is well.
    regions.wait_until_equal();
    // It may come back, in another incarnation. Told again of all that, a region stands there already; and what does not follow is refused by name.
    assert_eq!(epochs(&regions, &["--admit", "west", "--apply"])["told"], serde_json::json!(["east"]));
    assert_eq!(epochs(&regions, &["--apply"])["told"], serde_json::json!(["east"]));
    let path = regions.path().join("demo/epochs/global-2.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("number = 2", "number = 3")).unwrap();
    let (code, said) =
        refused(&regions, &["admin", "epoch", "--cluster", "demo", "--placement", "global", "--apply"]);
    assert!(code == Some(2) && said.contains("is not signed with the placement's key"), "{code:?} {said}");
    let known = refused(&regions, &["admin", "epoch", "--cluster", "demo", "--placement", "nowhere"]);
    assert_eq!(known.0, Some(4), "{}", known.1);
}
