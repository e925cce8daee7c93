//! A placement that acknowledges only what two regions have, over real processes: what is acknowledged outlives the region that took it, its disk and the device that sent it; while the other region
//! is away nothing is, people are told so, and read each other.
//!
//! What must always hold: no acknowledgement while one region alone has it; each command is acknowledged once, when the other one is back.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use crdt::MessageId;
use gateway_client_net::{ClientHandle, Event};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;
use two_regions::{
    Environment, ISLE, TwoRegions, begin_isle, until_acknowledged, until_shown, wait_for, wait_until,
};

/// The placement `global` acknowledges what two regions have.
fn buy_durability(folder: &Path) -> Environment {
    let file = folder.join("demo/cluster.toml");
    let text = fs::read_to_string(&file).unwrap();
    let of_both = "regions = [\"east\", \"west\"]";
    assert_eq!(text.matches(of_both).count(), 1, "{text}");
    fs::write(&file, text.replace(of_both, &format!("{of_both}\ndurability = \"geo\""))).unwrap();
    Environment::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_outlives_the_region_that_took_it() {
    let mut regions = TwoRegions::start_prepared(&[], buy_durability);
    let (author, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    begin_isle(&author).await;
    let mut sent = Vec::new();
    for number in 0..100 {
        sent.push(author.send(ISLE, format!("message {number}").into(), None).await.unwrap());
    }
    // Answers to one connection come in any order.
    let mut unanswered: BTreeSet<MessageId> = sent.iter().copied().collect();
    while !unanswered.is_empty() {
        let event = wait_for(&mut events, |event| matches!(event, Event::Acknowledged { .. })).await;
        let Event::Acknowledged { command, .. } = event else { continue };
        unanswered.remove(&command);
    }
    regions.signal(0, "KILL");
    // The device, with what it had not got off its hands, is gone as well.
    drop((author, events));
    regions.wait(0);
    fs::remove_dir_all(regions.path().join("data/east")).unwrap();
    let (_reader, mut events) = ClientHandle::connect(regions.device(1, 0xa11ce, 2));
    for message in sent {
        until_shown(&mut events, message).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_other_region_is_away_nothing_is_acknowledged_and_people_read_each_other() {
    let mut regions = TwoRegions::start_prepared(&[], buy_durability);
    let (author, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    begin_isle(&author).await;
    let before = author.send(ISLE, "before".into(), None).await.unwrap();
    until_acknowledged(&mut events, before).await;
    let (_reader, mut read) = ClientHandle::connect(regions.device(0, 0xa11ce, 2));
    until_shown(&mut read, before).await;
    regions.end(1);
    let mut alone = BTreeSet::new();
    for number in 0..5 {
        let sent = author.send(ISLE, format!("alone {number}").into(), None).await.unwrap();
        until_shown(&mut read, sent).await;
        alone.insert(sent);
    }
    wait_until("their answers wait", || regions.metric(0, "archipelago_shard_held_answers{") == 5);
    // Longer than a region holds an answer: it has told the device meanwhile that it waits, and was asked again.
    let early = timeout(Duration::from_secs(13), async {
        wait_for(
            &mut events,
            |event| matches!(event, Event::Acknowledged { command, .. } if alone.contains(command)),
        )
        .await
    });
    assert!(early.await.is_err(), "one region alone has it");
    wait_until("they wait again", || regions.metric(0, "archipelago_shard_held_answers{") == 5);
    regions.start_again(1);
    let mut acknowledged = BTreeSet::new();
    while acknowledged != alone {
        let event = wait_for(&mut events, |event| matches!(event, Event::Acknowledged { .. })).await;
        let Event::Acknowledged { command, .. } = event else { continue };
        assert!(alone.contains(&command) && acknowledged.insert(command), "once");
    }
}
