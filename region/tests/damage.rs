//! Damage at rest: whatever byte of whatever record changes, and whatever record goes missing, is found and named.
//!
//! The store under test has records in every table. What a verification cannot miss is stated by the test that deletes each
//! record once; the few tables that nothing else in a store repeats are listed there.
use crate::rig::{WORLD, World, create, group, kinds, message, post, replica, start, user};
use bytes::Bytes;
use crdt::{Dot, Flag, Identity, RegionId};
use expect_test::expect;
use region::command::{Command, Wish};
use region::features::Feature;
use region::operate::Act;
use region::shard::{Shard, Ticket};
use region::store::{Batch, MemoryStore, Store as _, StoreError, View as _};
use region::{meta, read, verify};

/// A store with records in every table.
pub(crate) fn store() -> MemoryStore {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    world.ask(1, 1, create(group(2), 3, &[1, 2])).unwrap();
    world.calm();
    let given = read::changes(&world.regions[1].store, group(1), user(2), &read::Standing::default(), 9);
    let read = given.unwrap().map(|given| given.cut);
    world.ask(1, 2, Command::Receipt { conversation: group(1), delivered: None, read }).unwrap();
    world.greet();
    let target = Identity { sender: user(1), message: message(2) };
    let amend = |number, wish| Command::Amend {
        conversation: group(1),
        command: message(number),
        target,
        wish,
        seen: None,
    };
    world.ask(0, 1, amend(4, Wish::Edit("hello again".into()))).unwrap();
    world.step(
        0,
        vec![region::shard::Input::PeerStarted { peer: replica(1), start: start(4), kinds: kinds() }],
    );
    world.calm();
    world.ask(0, 1, amend(5, Wish::Delete)).unwrap();
    for (ticket, act) in (900..).map(Ticket).zip([
        Act::SetHome { user: user(7), home: RegionId(1) },
        Act::Erase { user: user(8) },
        Act::SetFlag { feature: Feature::Edits, flag: Some(Flag::Off) },
    ]) {
        world.step(0, vec![region::shard::Input::Operate { ticket, act }]);
    }
    let expected = meta::Expected {
        replica: replica(0),
        region_name: "eu-central".to_owned(),
        placement: WORLD,
        placement_name: "global".to_owned(),
    };
    let mut store = world.regions[0].store.clone();
    let (made, batch) = meta::create(&expected, replication::StoreId(42));
    store.commit(&batch).unwrap();
    let (started, batch) = meta::advance(made);
    store.commit(&batch).unwrap();
    assert_eq!(meta::check(&store, &expected).unwrap(), Some(started));
    store
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn with(store: &MemoryStore, change: impl FnOnce(&mut Batch)) -> MemoryStore {
    let mut changed = store.clone();
    let mut batch = Batch::default();
    change(&mut batch);
    changed.commit(&batch).unwrap();
    changed
}

#[test]
fn a_sound_store_verifies_and_every_flipped_byte_is_found_and_named() {
    let store = store();
    let verified = verify::verify(&store, WORLD, 10).unwrap();
    assert_eq!(verified.damaged, []);
    assert_eq!((verified.records, verified.operations), (store.records().count() as u64, 5));
    let mut tables = std::collections::BTreeSet::new();
    for (key, value) in store.records() {
        // Every byte once is a test of minutes; a few a record, at its beginning, middle and end, meet every field's neighbourhood.
        for at in [0, value.len() / 2, value.len() - 1] {
            let mut flipped = value.to_vec();
            flipped[at] ^= 0x10;
            let harmed = with(&store, |batch| batch.put(key.clone(), flipped.into()));
            let found = verify::verify(&harmed, WORLD, 1).unwrap().damaged;
            let [StoreError::Damaged { table, key: named, .. }] = &found[..] else {
                panic!("byte {at} of {} is not found", hexadecimal(key));
            };
            tables.insert(*table);
            assert_eq!(*named, hexadecimal(key), "the damage is named");
        }
    }
    assert_eq!(tables.len(), 19, "every table was harmed: {tables:?}");
}

#[test]
fn every_byte_of_a_log_record_is_guarded_also_when_it_is_only_read() {
    let store = store();
    let logged = store.records().find(|(key, _)| key[2] == 1).unwrap();
    for at in 0..logged.1.len() {
        let mut flipped = logged.1.to_vec();
        flipped[at] ^= 1;
        let harmed = with(&store, |batch| batch.put(logged.0.clone(), flipped.into()));
        let found = verify::verify(&harmed, WORLD, 1).unwrap().damaged;
        assert!(matches!(&found[..], [StoreError::Damaged { table: "log", .. }]), "byte {at}: {found:?}");
    }
}

#[test]
fn a_record_that_goes_missing_is_found_where_the_log_or_another_record_says_it() {
    let store = store();
    for key in store.records().map(|(key, _)| key) {
        let harmed = with(&store, |batch| batch.delete(key.clone()));
        let found = verify::verify(&harmed, WORLD, 10).unwrap().damaged;
        // What only this region knows, and nothing else in the store repeats: cursors, start numbers and kinds are fetched again, what is
        // stable is worked out again, and without a meta record the store is not opened.
        let unguarded = [5, 15, 16, 17].contains(&key[2]);
        assert_eq!(found.is_empty(), unguarded, "missing {}: {found:?}", hexadecimal(key));
    }
}

#[test]
fn a_record_that_was_true_before_the_last_message_is_found_in_every_table_that_the_log_repeats() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.calm();
    let before = world.regions[0].store.clone();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    world.calm();
    let store = &world.regions[0].store;
    let mut found = std::collections::BTreeMap::new();
    for (key, value) in
        before.records().filter(|(key, value)| store.get(key).unwrap().as_ref() != Some(*value))
    {
        let harmed = with(store, |batch| batch.put(key.clone(), value.clone()));
        let damaged = verify::verify(&harmed, WORLD, 9).unwrap().damaged;
        found.insert(hexadecimal(&key[2..3]), damaged.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    expect![[r#"
        {
            "03": [
                "damaged record in table chains at key 001a030001000000000000000a: it is not what the log says; keep the disk, and see docs/operations/a-store-is-damaged.md",
            ],
            "04": [
                "damaged record in table log at key 001a010000000000000002: it stands beyond the end of the log; keep the disk, and see docs/operations/a-store-is-damaged.md",
                "damaged record in table registers at key 001a06010001000000000000000a: the feed names another register under its change; keep the disk, and see docs/operations/a-store-is-damaged.md",
            ],
            "06": [
                "damaged record in table feed at key 001a070000000000000001: it is missing, although its register names it; keep the disk, and see docs/operations/a-store-is-damaged.md",
            ],
            "07": [
                "damaged record in table feed at key 001a070000000000000001: its register has changed since; keep the disk, and see docs/operations/a-store-is-damaged.md",
            ],
            "08": [
                "damaged record in table acknowledgements at key 001a080001000000000000000a: it is missing, or not what its register says; keep the disk, and see docs/operations/a-store-is-damaged.md",
            ],
            "09": [
                "damaged record in table conversations at key 001a0900010000000000000000000000000001: it is not what the log says; keep the disk, and see docs/operations/a-store-is-damaged.md",
            ],
            "11": [],
        }
    "#]].assert_debug_eq(&found);
}

#[test]
fn a_record_under_another_key_and_bytes_that_are_no_key_are_found() {
    let store = store();
    let mut posts = store.records().filter(|(key, _)| key[2] == 1);
    let (one, other) = (posts.next().unwrap(), posts.next().unwrap());
    let swapped = with(&store, |batch| batch.put(one.0.clone(), other.1.clone()));
    assert_eq!(verify::verify(&swapped, WORLD, 1).unwrap().damaged.len(), 1);
    let stray = with(&store, |batch| batch.put(Bytes::from_static(b"\0\0?"), Bytes::new()));
    assert_eq!(verify::verify(&stray, WORLD, 1).unwrap().damaged.len(), 1);
    let elsewhere = verify::verify(&store, crate::rig::ELSEWHERE, 1).unwrap().damaged;
    assert!(elsewhere[0].to_string().contains("belongs to another placement"), "{}", elsewhere[0]);
}

#[test]
fn a_shard_does_not_open_over_a_log_that_does_not_end_where_its_vectors_do() {
    let store = store();
    let partition = group(1).partition();
    let bucket = partition.bucket.number().to_be_bytes();
    let in_table = |table: u8| {
        store
            .records()
            .map(|(key, _)| key)
            .rfind(|key| key[..2] == bucket && key[2] == table)
            .unwrap()
            .clone()
    };
    assert!(Shard::open(crate::rig::config(0, 2), &store).is_ok());
    for (table, name) in [(1, "log"), (2, "dots"), (3, "chains"), (4, "reach"), (7, "feed")] {
        let harmed = with(&store, |batch| batch.delete(in_table(table)));
        let refused = Shard::open(crate::rig::config(0, 2), &harmed).unwrap_err().to_string();
        assert!(refused.contains("damaged record in table"), "without its last {name} record: {refused}");
    }
    let last = in_table(1);
    let mut beyond = last.to_vec();
    *beyond.last_mut().unwrap() += 1;
    let harmed = with(&store, |batch| batch.put(beyond, store.get(&last).unwrap().unwrap()));
    assert!(Shard::open(crate::rig::config(0, 2), &harmed).is_err(), "something beyond the end of the log");
}

#[test]
fn a_read_of_a_damaged_record_is_an_error_and_never_an_empty_answer() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1])).unwrap();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    let store = world.regions[0].store.clone();
    for (key, value) in store.records().filter(|(key, _)| [1, 8, 9, 11, 13, 14].contains(&key[2])) {
        let mut flipped = value.to_vec();
        flipped[0] ^= 1;
        let harmed = with(&store, |batch| batch.put(key.clone(), flipped.into()));
        let standing = read::Standing::default();
        let changes = read::changes(&harmed, group(1), user(1), &standing, 9);
        let page = read::page(&harmed, group(1), user(1), read::PageFrom::Newest, 9);
        let failed = changes.is_err() || page.is_err();
        assert!(failed || key[2] == 8, "{}", hexadecimal(key));
    }
    let mut standing = read::Standing::default();
    standing.cut.raise(Dot { replica: replica(0), sequence: crdt::Sequence(1) });
    let lacking = read::changes(&store, group(1), user(1), &standing, 9).unwrap().unwrap();
    assert_eq!(lacking.items.len(), 1);
}
