//! Repairs, over a store with records in every table, each of them harmed once.
//!
//! What must always hold: what can be made again is made again, byte for byte, and the rest is named; of the log and the registers nothing is written that no other record says, and a log that lost its end
//! is never taken for a shorter one.

use crate::damage::{hexadecimal, store, with};
use crate::rig::{WORLD, World, create, group, post};
use bytes::Bytes;
use expect_test::expect;
use region::repair::{Repair, repair};
use region::store::{MemoryStore, Store as _, StoreError};
use region::verify;
use std::collections::BTreeSet;

/// Tables that a repair may read and never writes.
const LOG: u8 = 1;
const REGISTERS: u8 = 6;
/// Members may be folded at another moment than they were, and which changes of a feed were made here nobody knows once its reach is gone.
const MEMBERS: u8 = 10;
const REACH: u8 = 4;

fn table_of(damage: &StoreError) -> &'static str {
    match damage {
        StoreError::Damaged { table, .. } => table,
        other => panic!("no damage: {other}"),
    }
}

/// The harmed store, repaired; and what that left.
fn repaired(harmed: &MemoryStore) -> (MemoryStore, Repair) {
    let repair = repair(harmed, WORLD, 10, None).unwrap();
    for (key, _) in repair.batch.writes() {
        let is_acknowledgement = key[2] == REGISTERS && key[3] == 1;
        assert!(is_acknowledgement || ![LOG, REGISTERS].contains(&key[2]), "it writes {}", hexadecimal(key));
    }
    let mut mended = harmed.clone();
    mended.commit(&repair.batch).unwrap();
    assert_eq!(verify::verify(&mended, WORLD, 10).unwrap().damaged, repair.remains);
    (mended, repair)
}

/// Where two stores differ.
fn differences(one: &MemoryStore, other: &MemoryStore) -> Vec<String> {
    let records = |of: &MemoryStore| {
        let records = of.records().filter(|(key, _)| ![MEMBERS, REACH].contains(&key[2]));
        records.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeSet<_>>()
    };
    records(one).symmetric_difference(&records(other)).map(|(key, _)| hexadecimal(key)).collect()
}

pub(crate) fn equal(one: &MemoryStore, other: &MemoryStore) {
    assert_eq!(differences(one, other), Vec::<String>::new());
}

#[test]
fn a_sound_store_needs_nothing() {
    assert_eq!(repair(&store(), WORLD, 10, None).unwrap(), Repair::default());
}

#[test]
fn what_follows_from_the_log_or_the_registers_is_made_again_and_the_rest_is_named() {
    let store = store();
    let (mut made_again, mut named) = (BTreeSet::new(), BTreeSet::new());
    for (key, value) in store.records() {
        for at in [0, value.len() / 2, value.len() - 1] {
            let mut flipped = value.to_vec();
            flipped[at] ^= 0x10;
            let harmed = with(&store, |batch| batch.put(key.clone(), flipped.into()));
            let (mended, Repair { mended: names, remains, .. }) = repaired(&harmed);
            match &remains[..] {
                [] => {
                    assert_eq!(names.len(), 1, "{names:?}");
                    let table = table_of(&names[0]);
                    if ["registers", "acknowledgements"].contains(&table) {
                        // Each says what the other does, but not which peers are known to have it, nor what is believed already: that is heard again.
                        assert_eq!(differences(&mended, &store), [hexadecimal(key), hexadecimal(key)]);
                        made_again.insert(if table == "registers" {
                            "registers of acknowledgements"
                        } else {
                            table
                        });
                    } else {
                        equal(&mended, &store);
                        made_again.insert(table);
                    }
                }
                [first, ..] => _ = named.insert(table_of(first)),
            }
        }
    }
    assert!(made_again.is_disjoint(&named), "{made_again:?}, {named:?}");
    expect![[r#"
        made again: {"acknowledgements", "amendments", "chains", "changes", "conversations", "dots", "feed", "identity", "members", "membership", "reach", "registers of acknowledgements", "timeline", "uncut"}
        named: {"cursors", "log", "meta", "peer_starts", "registers", "stable"}"#]].assert_eq(&format!("made again: {made_again:?}\nnamed: {named:?}"));
}

#[test]
fn what_is_missing_is_made_again_and_what_is_too_much_goes() {
    let store = store();
    let mut made_again = BTreeSet::new();
    for key in store.records().map(|(key, _)| key) {
        let harmed = with(&store, |batch| batch.delete(key.clone()));
        let (mended, Repair { mended: names, remains, .. }) = repaired(&harmed);
        if remains.is_empty() && !names.is_empty() {
            equal(&mended, &store);
            made_again.insert(table_of(&names[0]));
        }
    }
    expect![[r#"{"amendments", "chains", "changes", "conversations", "dots", "identity", "members", "membership", "reach", "timeline"}"#]].assert_eq(&format!("{made_again:?}"));
    // Without the end of the log nothing says what stood there, and it is not taken for shorter than it was.
    let end_of_log = store.records().map(|(key, _)| key).rfind(|key| key[..3] == [0, 26, LOG]).unwrap();
    let reach = store.records().map(|(key, _)| key).rfind(|key| key[..3] == [0, 26, REACH]).unwrap();
    for also in [None, Some(reach)] {
        let harmed = with(&store, |batch| {
            batch.delete(end_of_log.clone());
            also.into_iter().for_each(|key| batch.delete(key.clone()));
        });
        assert!(!repaired(&harmed).1.remains.is_empty());
    }
    // A reach of before the last operation does not cut the log.
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    let before = world.regions[0].store.clone();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    let (key, value) = before.records().find(|(key, _)| key[..3] == [0, 26, REACH]).unwrap();
    let harmed = with(&world.regions[0].store, |batch| batch.put(key.clone(), value.clone()));
    let repair = repaired(&harmed).1;
    assert!(repair.batch.is_empty() && !repair.remains.is_empty());
    // A message of an entry that stands a second time, at another place.
    let (key, value) = store.records().find(|(key, _)| key[2] == 11).unwrap();
    let mut elsewhere = key.to_vec();
    let last = elsewhere.len() - 1;
    elsewhere[last] ^= 1;
    let harmed = with(&store, |batch| batch.put(Bytes::from(elsewhere), value.clone()));
    let (mended, Repair { mended: names, .. }) = repaired(&harmed);
    equal(&mended, &store);
    assert_eq!(names.iter().map(table_of).collect::<Vec<_>>(), ["timeline"]);
}

#[test]
fn several_damages_at_once_are_mended_together() {
    let store = store();
    let harmed = with(&store, |batch| {
        for (key, value) in store.records().filter(|(key, _)| [2, 3, 9, 11, 12, 13, 14, 19].contains(&key[2]))
        {
            let mut flipped = value.to_vec();
            flipped[0] ^= 1;
            batch.put(key.clone(), flipped.into());
        }
    });
    let (mended, Repair { remains, .. }) = repaired(&harmed);
    assert_eq!(remains, []);
    equal(&mended, &store);
}
