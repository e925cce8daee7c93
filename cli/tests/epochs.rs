//! Epochs over real processes: a region whose disk is lost returns as a new incarnation and holds everything again; one that is closed ends, and says why.
//!
//! What must always hold: what was acknowledged in a region that is there is never lost by it; what waited for the lost region becomes stable.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use crdt::{Dot, MessageId, UserId};
use gateway_client_net::{Act, Address, ClientHandle, Event, Events};
use std::collections::{BTreeMap, BTreeSet};
use two_regions::{GLOBAL, ISLE, SOON, TwoRegions, begin_isle, wait_for, wait_until};

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

/// What a device was told of messages.
#[derive(Default)]
struct Told {
    acknowledged: BTreeMap<MessageId, Dot>,
    shown: BTreeSet<MessageId>,
}

impl Told {
    /// Listens until that is so.
    async fn until(&mut self, events: &mut Events, is_so: impl Fn(&Self) -> bool) {
        let listens = async {
            while !is_so(self) {
                match events.next().await.unwrap() {
                    Event::Acknowledged { command, place: Some(place), .. } => {
                        self.acknowledged.entry(command).or_insert(place.dot);
                    }
                    Event::Shown { item, .. } => _ = self.shown.insert(item.message),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(SOON, listens).await.expect("what is waited for is told");
    }
}

/// What west takes while it is alone, and its disk with it: some of it was shown to a device that lives, some was sent again by one, and of the rest nobody ever hears.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_with_a_disk_is_counted_as_far_as_anybody_has_heard_of_it() {
    const AUTHOR: u64 = 0xa;
    const READER: u64 = 0xb;
    const KEEPER: u64 = 0xc;
    let mut regions = TwoRegions::start();
    let [author, reader, keeper] =
        [AUTHOR, READER, KEEPER].map(|user| ClientHandle::connect(regions.device(1, user, 1)));
    let ((author, mut of_author), (reader, mut of_reader), (keeper, mut of_keeper)) =
        (author, reader, keeper);
    let members = [READER, KEEPER].map(|user| UserId::new(GLOBAL, user)).to_vec();
    let create = Act::CreateGroup { conversation: ISLE, command: None, members, name: "isle".into() };
    author.act(create).await.unwrap();
    let before = author.send(ISLE, "before".into(), None).await.unwrap();
    until_stable(&mut of_author, before).await;
    let (mut authors, mut readers, mut keepers) = (Told::default(), Told::default(), Told::default());
    readers.until(&mut of_reader, |told| told.shown.contains(&before)).await;
    keepers.until(&mut of_keeper, |told| told.shown.contains(&before)).await;

    regions.end(0);
    let kept = keeper.send(ISLE, "kept".into(), None).await.unwrap();
    keepers.until(&mut of_keeper, |told| told.acknowledged.contains_key(&kept)).await;
    let mut sent = vec![];
    for number in 0..5 {
        sent.push(author.send(ISLE, format!("shown {number}").into(), None).await.unwrap());
    }
    let last = sent[4];
    readers.until(&mut of_reader, |told| told.shown.contains(&last) && told.shown.contains(&kept)).await;
    // Two of them go to east, which is not there yet; what the third one says then, nobody is shown.
    let east = Address { region: "east".into(), url: regions.urls[0].clone() };
    for client in [&reader, &keeper] {
        client.act(Act::Move { region: east.clone() }).await.unwrap();
    }
    wait_for(&mut of_reader, |event| matches!(event, Event::SignedOut { .. })).await;
    for number in 0..2 {
        sent.push(author.send(ISLE, format!("unheard {number}").into(), None).await.unwrap());
    }
    authors
        .until(&mut of_author, |told| sent.iter().all(|message| told.acknowledged.contains_key(message)))
        .await;
    drop((author, of_author));
    regions.signal(1, "KILL");
    regions.wait(1);
    std::fs::remove_dir_all(regions.path().join("data/west")).unwrap();

    regions.start_again(0);
    let asked = reader.send(ISLE, "what has become of it?".into(), None).await.unwrap();
    readers.until(&mut of_reader, |told| told.acknowledged.contains_key(&asked)).await;
    assert_eq!(regions.status().1["closed"], serde_json::json!([]), "nobody is closed yet");
    epochs(&regions, &["--close", "west", "--admit", "west", "--apply"]);
    regions.start_again(1);
    until_stable(&mut of_keeper, kept).await;
    regions.wait_until_equal();

    // By what the devices themselves were told: who comes new is shown all that there is.
    let (_new, mut of_new) = ClientHandle::connect(regions.device(0, READER, 2));
    let mut there = Told::default();
    there.until(&mut of_new, |told| told.shown.contains(&asked) && told.shown.contains(&kept)).await;
    let mut acknowledged = authors.acknowledged.clone();
    acknowledged.extend(keepers.acknowledged.iter().filter(|(message, _)| **message == kept));
    let west: BTreeSet<Dot> = acknowledged.values().copied().collect();
    let lost: BTreeSet<MessageId> =
        acknowledged.keys().filter(|message| !there.shown.contains(message)).copied().collect();
    let heard_of = lost.intersection(&readers.shown).count();
    assert_eq!(
        (west.len(), lost.len(), heard_of),
        (8, 7, 5),
        "one was sent again, and of two nobody has heard"
    );

    wait_until("all of it is settled", || regions.status().1["closed"][0]["unsettled_partitions"] == 0);
    let (_, said) = regions.status();
    let closed = &said["closed"][0];
    let number = |what: &str| closed[what].as_u64().unwrap();
    assert_eq!((said["closed"].as_array().unwrap().len(), &closed["region"]), (1, &"west".into()), "{said}");
    assert_eq!(
        number("missing"),
        heard_of as u64 + 1,
        "those, and the one that came again under another number: {said}"
    );
    // The group and the message before.
    assert_eq!((number("operations"), number("issued")), (2, 2 + 6), "{said}");
    assert_eq!(closed["replica"], west.first().unwrap().replica.to_string(), "{said}");
    let table = String::from_utf8(regions.try_run(&["status", "--cluster", "demo"]).stdout).unwrap();
    let line =
        "is closed in global: 2 of its operations are here; it is known to have issued 8, so 6 are missing";
    assert!(table.contains(line), "{table}");
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
