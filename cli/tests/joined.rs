//! A region that was admitted begins with a snapshot of another one's store, over real processes: whatever breaks off, it has all of it in the end, and the other region goes on.
//!
//! What must always hold: what has come whole does not come again; nothing has a store's place that is not whole and verified; a replica is given a store once; no link to a file is left behind.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod tampered;
mod two_regions;

use bytes::Bytes;
use crdt::MessageId;
use gateway_client_net::{ClientHandle, Event};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tampered::{TIMELINE, flip};
use two_regions::{
    ISLE, PROGRAM, TwoRegions, begin_isle, global_of, until_acknowledged, until_shown, wait_for, wait_until,
};

/// Messages of a round, and bytes of each. Half of all rounds are more than a connection's window holds, so whoever takes them at the slowest pace holds the giver for seconds, though the others had
/// come before.
const MESSAGES: usize = 110;
const BODY_BYTES: usize = 60_000;
const SLOW: &str = "1";
const FAST: &str = "50";
const ROUNDS: u64 = 4;

/// What does not compress, another one each time.
fn body(number: u64) -> Bytes {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..BODY_BYTES / 8).flat_map(next).collect()
}

impl TwoRegions {
    /// West's process and disk are gone.
    fn lose_west(&mut self) {
        self.signal(1, "KILL");
        self.wait(1);
        fs::remove_dir_all(self.path().join("data/west")).unwrap();
    }

    fn admit_west(&self) {
        let fixed = ["admin", "epoch", "--cluster", "demo", "--placement", "global"];
        let output = self.try_run(&[&fixed[..], &["--close", "west", "--admit", "west", "--apply"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// West begins with a snapshot, so many megabytes a second.
    fn join(&self, limit: &str) -> Child {
        let region = ["--region", "west", "--data", "data/west", "--from", "east"];
        Command::new(PROGRAM)
            .args(["admin", "join", "--cluster", "demo", "--limit", limit, "--json"])
            .args(region)
            .current_dir(self.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Whether a file of tables has come, or comes.
    fn comes(&self) -> bool {
        let incoming = self.west("incoming.snapshots/global.fetching");
        let named = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        fs::read_dir(incoming).into_iter().flatten().map(named).any(|name| name.contains(".sst"))
    }

    fn west(&self, path: &str) -> PathBuf {
        self.path().join("data/west").join(path)
    }

    fn checkpoint(&self) -> PathBuf {
        self.path().join("data/east/snapshot.checkpoints/global")
    }
}

fn ended(child: Child) -> (Option<i32>, Value, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let shown = serde_json::from_slice(&stdout).unwrap_or(Value::Null);
    (status.code(), shown, String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_begins_with_a_snapshot_however_often_it_breaks_off() {
    let mut regions = TwoRegions::start();
    regions.write().await;
    regions.lose_west();
    let (code, _, said) = ended(regions.join(FAST));
    assert!(code == Some(6) && said.contains("code 9"), "it had a store: {code:?} {said}");
    let mut last = MessageId(0);
    for round in 0..ROUNDS {
        let (author, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 2 + round));
        for number in 0..MESSAGES {
            let body = body(round * MESSAGES as u64 + number as u64);
            last = author.send(ISLE, body, None).await.unwrap();
        }
        until_acknowledged(&mut events, last).await;
        drop((author, events));
        // What was in memory is a file of its own then.
        regions.end(0);
        regions.start_again(0);
    }
    regions.admit_west();

    // The region that gives is killed, and comes again; people go on. The joiner asks by itself.
    let mut joiner = regions.join(SLOW);
    wait_until("a file comes", || regions.comes());
    let (code, _, said) = ended(regions.join(FAST));
    assert!(code == Some(6) && said.contains("takes snapshots into data folder"), "{code:?} {said}");
    regions.signal(0, "KILL");
    regions.wait(0);
    assert!(regions.checkpoint().exists(), "nobody has removed it");
    regions.start_again(0);
    let (author, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 9));
    let meanwhile = author.send(ISLE, "meanwhile".into(), None).await.unwrap();
    until_acknowledged(&mut events, meanwhile).await;
    wait_until("it is given again, if the joiner is there to ask", || {
        regions.checkpoint().exists() || joiner.try_wait().unwrap().is_some()
    });
    assert_eq!(joiner.try_wait().unwrap(), None, "it asks by itself for what has not come");

    // The joiner is killed.
    joiner.kill().unwrap();
    joiner.wait().unwrap();
    wait_until("nobody holds its links", || !regions.checkpoint().exists());
    assert_eq!(regions.metric(0, "archipelago_snapshots_given_total"), 0, "it was taken by nobody");
    let (code, shown, said) = ended(regions.join(FAST));
    assert_eq!(code, Some(0), "{said}");
    let begun = global_of(&shown);
    assert!(begun["operations"].as_u64().unwrap() > ROUNDS * MESSAGES as u64, "{begun}");
    assert_eq!(begun["from"], "east");
    assert!(!regions.checkpoint().exists() && !regions.west("incoming.snapshots").exists());
    assert_eq!(regions.metric(0, "archipelago_snapshots_given_total"), 1);

    // Once is enough.
    let (code, _, said) = ended(regions.join(FAST));
    assert!(code == Some(6) && said.contains("start the region"), "{code:?} {said}");

    // One that was killed before the store had its place goes on with that very store, and is given no other one.
    let (place, fetched) = (regions.west("global"), regions.west("incoming.snapshots/global.fetched"));
    fs::rename(&place, regions.path().join("kept")).unwrap();
    let (code, _, said) = ended(regions.join(FAST));
    assert!(code == Some(6) && said.contains("was given a store before"), "{code:?} {said}");
    fs::create_dir_all(fetched.parent().unwrap()).unwrap();
    fs::rename(regions.path().join("kept"), &fetched).unwrap();
    let (code, shown, said) = ended(regions.join(FAST));
    assert_eq!(code, Some(0), "{said}");
    let resumed = global_of(&shown);
    assert_eq!((&resumed["from"], &resumed["bytes"]), (&Value::Null, &Value::Null), "all of it was there");
    assert_eq!(resumed["operations"], begun["operations"]);
    assert!(place.exists() && !fetched.exists());
    assert_eq!(regions.metric(0, "archipelago_snapshots_given_total"), 1);
    regions.start_again(1);
    regions.wait_until_equal();
    let taken = regions.metric(1, "archipelago_bridge_operations_in_total");
    assert!(taken < MESSAGES as u64, "it took {taken} operations, which it had");
    let (reader, mut events) = ClientHandle::connect(regions.device(1, 0xa11ce, 10));
    until_shown(&mut events, last).await;
    until_shown(&mut events, meanwhile).await;
    let after = reader.send(ISLE, "from the new one".into(), None).await.unwrap();
    wait_for(&mut events, |event| matches!(event, Event::Stable { command, .. } if *command == after)).await;
    let at_base = regions.metric(0, "archipelago_bridge_cursors_at_base_total{");
    assert!(at_base > 0, "east was sent what west began with, all of which it has");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_takes_nobodys_place() {
    let mut regions = TwoRegions::start();
    let (author, _events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    begin_isle(&author).await;
    drop(author);
    regions.write().await;
    regions.lose_west();
    regions.admit_west();
    regions.end(0);
    flip(&regions, 0, TIMELINE);
    regions.start_again(0);
    let (code, _, said) = ended(regions.join(FAST));
    assert!(code == Some(3) && said.contains("the snapshot is damaged"), "{code:?} {said}");
    assert!(!regions.west("global").exists(), "nothing is served of it");
    assert_eq!(fs::read_dir(regions.west("incoming.snapshots")).unwrap().count(), 0, "nor kept");
}
