//! One bit of one record changes on the disk of a region: the running region finds and names it, an operator repairs the store from its log, and nobody elsewhere notices.
//!
//! What must always hold: what cannot be made again is named and nothing is written; a region that runs is left alone.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use crdt::ConversationId;
use gateway_client_net::{Act, ClientHandle, Event};
use region::store::{Batch, Direction, Store as _, View as _};
use region_rocks::engine::SharedMemory;
use region_rocks::store::RocksStore;
use serde_json::Value;
use std::ops::ControlFlow;
use two_regions::{GLOBAL, TwoRegions, wait_for, wait_until};

/// Tables by the third byte of a key, after the bucket.
const LOG: u8 = 1;
const TIMELINE: u8 = 11;
const META: u8 = 15;

/// Somebody writes ten messages in east, until all are stable.
async fn write(regions: &TwoRegions) {
    let (client, mut events) = ClientHandle::connect(regions.device(0, 0xa11ce, 1));
    let conversation = ConversationId::group(GLOBAL, 7);
    let create = Act::CreateGroup { conversation, command: None, members: vec![], name: "isle".into() };
    client.act(create).await.unwrap();
    let mut last = None;
    for number in 0..10 {
        last = Some(client.send(conversation, format!("message {number}").into(), None).await.unwrap());
    }
    wait_for(&mut events, |event| matches!(event, Event::Stable { command, .. } if Some(*command) == last))
        .await;
}

/// Changes the last record of a table of west's store.
fn change(regions: &TwoRegions, table: u8, how: impl Fn(&mut Batch, &[u8], Vec<u8>)) {
    let mut store = RocksStore::open(&regions.path().join("data/west/global"), &SharedMemory::new()).unwrap();
    let mut last = None;
    store
        .scan(&[], &[0xff; 8], Direction::Ascending, &mut |key, value| {
            if key.get(2) == Some(&table) {
                last = Some((key.to_vec(), value.to_vec()));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let (key, value) = last.unwrap();
    let mut batch = Batch::default();
    how(&mut batch, &key, value);
    store.commit(&batch).unwrap();
}

/// Flips one bit of it.
fn flip(regions: &TwoRegions, table: u8) {
    change(regions, table, |batch, key, mut value| {
        value[0] ^= 1;
        batch.put(key, value.into());
    });
}

fn admin(regions: &TwoRegions, verb: &str, more: &[&str]) -> (Option<i32>, Value, String) {
    let fixed = ["admin", verb, "--cluster", "demo", "--region", "west", "--data", "data/west", "--json"];
    let output = regions.try_run(&[&fixed, more].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), said)
}

fn global(of: &Value) -> &Value {
    of["placements"].as_array().unwrap().iter().find(|placement| placement["placement"] == "global").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_found_named_and_repaired_from_the_log() {
    let mut regions = TwoRegions::start();
    write(&regions).await;
    let (code, _, said) = admin(&regions, "verify", &[]);
    assert!(
        code == Some(2) && said.contains("in use by process"),
        "a region that runs is left alone: {said}"
    );
    assert_eq!(regions.end(1), Some(0));
    let (code, found, said) = admin(&regions, "verify", &[]);
    assert_eq!((code, &found["ok"]), (Some(0), &Value::Bool(true)), "{said}");

    flip(&regions, TIMELINE);
    // Nobody has looked at it yet, so the region serves; reading again finds it.
    regions.start_again_with(1, &["--scrub-within", "1"]);
    let damaged = "archipelago_shard_damaged_records{placement=\"global\"}";
    wait_until("reading again finds it", || regions.metric(1, damaged) == 1);
    regions.end(1);

    let (code, found, said) = admin(&regions, "verify", &[]);
    assert!(code == Some(3) && said.contains("1 records are damaged"), "{said}");
    let named = global(&found)["damaged"][0].as_str().unwrap().to_owned();
    assert!(named.starts_with("timeline "), "{named}");
    let (code, shown, said) = admin(&regions, "repair", &[]);
    assert!(code == Some(3) && said.contains("--apply"), "{said}");
    assert_eq!(
        (&global(&shown)["written"], global(&shown)["made_again"].as_array().unwrap().len()),
        (&Value::Bool(false), 1)
    );
    assert_eq!(admin(&regions, "verify", &[]).0, Some(3), "showing writes nothing");

    let (code, _, said) = admin(&regions, "repair", &["--apply"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(admin(&regions, "verify", &[]).0, Some(0));
    let noted = std::fs::read_to_string(regions.path().join("data/west/repairs.jsonl")).unwrap();
    assert!(noted.lines().count() == 1 && noted.contains("timeline"), "{noted}");
    regions.start_again(1);
    regions.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_gone_is_named_down_to_the_item_by_comparing_regions() {
    let mut regions = TwoRegions::start();
    write(&regions).await;
    regions.end(1);
    change(&regions, TIMELINE, |batch, key, _| batch.delete(key));
    regions.start_again(1);
    wait_until("they differ", || regions.check(&[]).status.code() == Some(3));
    let found: Value = serde_json::from_slice(&regions.check(&["--json"]).stdout).unwrap();
    let [difference] = &found["differences"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!(difference["what"], ConversationId::group(GLOBAL, 7).to_string());
    let [item] = &difference["items"].as_array().unwrap()[..] else { panic!("{found}") };
    assert!(item["item"].as_str().unwrap().starts_with("what stands at "), "{item}");
    assert!(item["regions"]["east"].is_string() && item["regions"]["west"].is_null(), "{item}");
    let table = String::from_utf8(regions.check(&[]).stdout).unwrap();
    assert!(table.contains("west nothing"), "{table}");

    regions.end(1);
    assert_eq!(admin(&regions, "repair", &["--apply"]).0, Some(0));
    regions.start_again(1);
    regions.wait_until_equal();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_named_and_nothing_is_written() {
    let mut regions = TwoRegions::start();
    write(&regions).await;
    regions.end(1);
    flip(&regions, LOG);
    let (code, shown, said) = admin(&regions, "repair", &["--apply"]);
    assert!(code == Some(3) && said.contains("return as a new incarnation"), "{said}");
    assert_eq!(global(&shown)["written"], Value::Bool(false));
    assert!(global(&shown)["remains"][0].as_str().unwrap().starts_with("log "), "{shown}");
    assert!(!regions.path().join("data/west/repairs.jsonl").exists());
    let nowhere = ["admin", "verify", "--cluster", "demo", "--region", "west", "--data", "nowhere"];
    assert_eq!(regions.try_run(&nowhere).status.code(), Some(4));
    assert!(!regions.path().join("nowhere").exists(), "nothing is made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_an_older_version_is_looked_at_and_not_written_to() {
    let mut regions = TwoRegions::start();
    write(&regions).await;
    regions.end(1);
    flip(&regions, TIMELINE);
    change(&regions, META, |batch, key, mut value| {
        value[0] -= 1;
        let at = value.len() - 4;
        let sum = crc32c::crc32c_append(crc32c::crc32c(key), &value[..at]);
        value[at..].copy_from_slice(&sum.to_be_bytes());
        batch.put(key, value.into());
    });
    assert_eq!(admin(&regions, "repair", &[]).0, Some(3));
    let (code, _, said) = admin(&regions, "repair", &["--apply"]);
    assert!(code == Some(2) && said.contains("repair it with the version that wrote it"), "{said}");
}
