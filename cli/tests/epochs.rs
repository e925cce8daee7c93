//! Epochs over real processes: a region whose disk is lost returns as a new incarnation and holds everything again; one that is closed ends, and says why.
//!
//! What must always hold: what was acknowledged in a region that is there is never lost by it; what waited for the lost region becomes stable.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use gateway_client_net::{Act, Address, ClientHandle, Config, Event, Events, Settings, Subprotocol, trust};
use std::process::Command;
use std::time::{Duration, Instant};
use two_regions::{PROGRAM, TwoRegions};

const GLOBAL: PlacementId = PlacementId(1);
const SOON: Duration = Duration::from_secs(60);

fn connect(regions: &TwoRegions, number: u64) -> (ClientHandle, Events) {
    connect_to(regions, 0, number, 1)
}

fn connect_to(regions: &TwoRegions, region: usize, user: u64, device: u64) -> (ClientHandle, Events) {
    let (user, device) = (UserId::new(GLOBAL, user), DeviceId(device));
    let (user_text, device_text) = (user.to_string(), device.to_string());
    let token =
        regions.run(&["admin", "token", "--cluster", "demo", "--user", &user_text, "--device", &device_text]);
    let pem = std::fs::read(regions.path().join("demo/certs/ca.pem")).unwrap();
    let home = Address { region: ["east", "west"][region].into(), url: regions.urls[region].clone() };
    let config =
        Config { user, device, token, client: "test".into(), home: vec![home], placements: Vec::new() };
    ClientHandle::connect(Settings {
        config,
        subprotocol: Subprotocol::Proto,
        tls: Some(trust(&pem).unwrap()),
    })
}

async fn until_stable(events: &mut Events, wanted: MessageId) {
    wait_for(events, |event| matches!(event, Event::Stable { command, .. } if *command == wanted)).await;
}

/// Takes what is told, in order, up to that.
async fn wait_for(events: &mut Events, is_wanted: impl Fn(&Event) -> bool) {
    let found = async { while !is_wanted(&events.next().await.unwrap()) {} };
    tokio::time::timeout(SOON, found).await.unwrap();
}

fn epochs(regions: &TwoRegions, arguments: &[&str]) -> serde_json::Value {
    let fixed = ["admin", "epoch", "--cluster", "demo", "--placement", "global", "--json"];
    serde_json::from_str(&regions.run(&[&fixed, arguments].concat())).unwrap()
}

fn refused(regions: &TwoRegions, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM).args(arguments).current_dir(regions.path()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Waits until both regions hold the same.
fn until_equal(regions: &TwoRegions) {
    let begun = Instant::now();
    let check =
        || Command::new(PROGRAM).args(["check", "--cluster", "demo"]).current_dir(regions.path()).output();
    while !check().unwrap().status.success() {
        assert!(begun.elapsed() < SOON, "they do not become equal");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_whose_disk_is_lost_returns_as_a_new_incarnation() {
    let mut regions = TwoRegions::start();
    let (client, mut events) = connect(&regions, 0xa11ce);
    let conversation = ConversationId::group(GLOBAL, 7);
    client
        .act(Act::CreateGroup { conversation, command: None, members: vec![], name: "isle".into() })
        .await
        .unwrap();
    let mut last = client.send(conversation, "before".into(), None).await.unwrap();
    until_stable(&mut events, last).await;

    // The disk of west is gone, and what is written meanwhile is not stable.
    regions.signal(1, "KILL");
    regions.wait(1);
    std::fs::remove_dir_all(regions.path().join("data/west")).unwrap();
    for number in 0..200 {
        last = client.send(conversation, format!("meanwhile {number}").into(), None).await.unwrap();
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
    let (_at_west, mut told) = connect_to(&regions, 1, 0xa11ce, 2);
    wait_for(&mut told, |event| matches!(event, Event::Refused { code, .. } if code == "region_behind"))
        .await;
    regions.signal(0, "CONT");
    let what_was_last = |event: &Event| matches!(event, Event::Shown { item, .. } if item.message == last);
    wait_for(&mut told, what_was_last).await;
    until_stable(&mut events, last).await;
    until_equal(&regions);
    let now = epochs(&regions, &[]);
    assert_eq!(now["epoch"], 2);
    assert_eq!((now["active"].as_object().unwrap().len(), now["closed"].as_array().unwrap().len()), (2, 1));
    let after = client.send(conversation, "after".into(), None).await.unwrap();
    until_stable(&mut events, after).await;
}

#[test]
fn a_region_that_is_closed_ends_and_does_not_start_again_and_a_file_that_is_no_next_epoch_is_refused() {
    let mut regions = TwoRegions::start();
    let applied = epochs(&regions, &["--close", "west", "--apply"]);
    assert_eq!(applied["told"], serde_json::json!(["east"]));
    // East tells it so, over the bridge.
    regions.wait(1);
    let (code, said) = refused(&regions, &["region", "west", "--cluster", "demo", "--data", "data/west"]);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("returns as a new incarnation"), "{said}");
    // Without it all is well.
    until_equal(&regions);
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
