//! What a store is found to hold, and what is found that must not lie in it.
//!
//! What must always hold: a store that only regions wrote holds nothing that must not lie there, unless a peer's door was wrong; a record of another placement is found in
//! whatever table it lies, and so is one that names somebody whose pin forbids it.
use crate::damage::{hexadecimal, store, with};
use crate::rig::{ELSEWHERE, WORLD, World, create, group, message, post, user};
use bytes::Bytes;
use crdt::{ConversationId, PlacementId, UserId};
use expect_test::expect;
use region::command::{Command, MembersWish};
use region::residency::{Outside, Residency, survey};
use region::shard::{Input, Ticket};
use region::store::View;
use std::collections::{BTreeMap, BTreeSet};

const PINNED: UserId = UserId::new(ELSEWHERE, 9);

fn look(view: &dyn View, placement: PlacementId, pins: &[PlacementId]) -> Residency {
    survey(view, placement, &pins.iter().copied().collect(), 1_000).unwrap()
}

fn found(residency: &Residency) -> Vec<String> {
    residency.outside.iter().map(ToString::to_string).collect()
}

#[test]
fn a_store_of_the_regions_own_making_holds_nothing_that_must_not_lie_there() {
    let store = store();
    let residency = look(&store, WORLD, &[WORLD]);
    assert_eq!(found(&residency), [""; 0]);
    assert_eq!(residency.held.records, store.records().count() as u64);
    let bytes: usize = store.records().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!(residency.held.bytes, bytes as u64);
    expect![[r#"
        Held { records: 68, bytes: 0, operations: 5, conversations: 2, messages: 1, memberships: 4, receipts: 1, documents: 0, directory: 2 }
        {PlacementId(1): 2}"#]]
    .assert_eq(&format!("{:?}\n{:?}", region::residency::Held { bytes: 0, ..residency.held }, residency.users));
}

/// The same store, looked at as if it were another placement's.
#[test]
fn a_record_of_another_placement_is_found_in_every_table_that_says_whom_or_what_it_is_about() {
    let store = store();
    let residency = look(&store, ELSEWHERE, &[ELSEWHERE]);
    assert_eq!(residency.outside.len() as u64, residency.outside_records);
    let outside: BTreeSet<String> = residency.outside.iter().map(key_of).collect();
    let mut tables: BTreeMap<u8, (usize, usize)> = BTreeMap::new();
    for (key, _) in store.records() {
        let (named, all) = tables.entry(key[2]).or_default();
        *named += usize::from(outside.contains(&hexadecimal(key)));
        *all += 1;
    }
    let passed_over: Vec<String> = tables
        .iter()
        .filter(|(_, (named, all))| named < all)
        .map(|(table, (named, all))| format!("table {table}: {named} of {all}"))
        .collect();
    // Dots, chains, reaches, cursors, acknowledgements and flags (among registers, and in the feed), and what is said of the whole store.
    expect![[r#"
        table 2: 0 of 5
        table 3: 0 of 2
        table 4: 0 of 5
        table 5: 0 of 2
        table 6: 3 of 8
        table 7: 3 of 8
        table 8: 0 of 4
        table 15: 0 of 1
        table 16: 0 of 1
        table 17: 0 of 2"#]]
    .assert_eq(&passed_over.join("\n"));
}

fn key_of(outside: &Outside) -> String {
    match outside {
        Outside::NoKey { key } | Outside::Conversation { key, .. } | Outside::User { key, .. } => key.clone(),
        Outside::Unreadable(error) => panic!("{error}"),
    }
}

#[test]
fn one_record_of_another_placement_is_named() {
    let strange = ConversationId::group(ELSEWHERE, 1);
    // As the conversation of this store stands, in the table of conversations.
    let mut key = strange.partition().bucket.number().to_be_bytes().to_vec();
    key.push(9);
    key.extend(strange.0.to_be_bytes());
    let store = store();
    // A sound record, as a region that went astray would write it: the content of another, under a checksum with this key.
    let (_, value) =
        store.records().find(|(found, _)| found.len() == key.len() && found[2] == key[2]).unwrap();
    let content = &value[..value.len() - 4];
    let sum = crc32c::crc32c_append(crc32c::crc32c(&key), content).to_be_bytes();
    let value: Bytes = [content, &sum].concat().into();
    let planted = with(&store, |batch| batch.put(key.clone(), value));
    let expected =
        format!("key {}: it is about conversation {strange}, which is of placement p2", hexadecimal(&key));
    assert_eq!(found(&look(&planted, WORLD, &[WORLD])), [expected]);
}

#[test]
fn what_is_no_key_or_does_not_read_is_named_since_nobody_can_say_what_it_is_about() {
    let store = store();
    let (log, _) = store.records().find(|(key, _)| key[2] == 1).unwrap();
    let log = log.clone();
    let damaged = with(&store, |batch| {
        batch.put(&[0, 0, 99, 1][..], Bytes::new());
        batch.put(log.clone(), Bytes::from_static(b"it was an operation"));
    });
    let residency = look(&damaged, WORLD, &[WORLD]);
    assert_eq!(residency.outside_records, 2);
    assert!(found(&residency).contains(
        &"key 00006301: it is no key of this version, so what it is about is not known".to_owned()
    ));
    assert!(found(&residency).iter().any(|named| named.contains("damaged record in table log")));
    // Only so many are kept, and all are counted.
    let few = survey(&damaged, WORLD, &[WORLD].into(), 1).unwrap();
    assert_eq!((few.outside.len(), few.outside_records), (1, 2));
}

/// Bytes hidden under a key that says of whom it is not, such as that of a dot.
#[test]
fn what_lies_under_a_sound_key_and_is_no_record_of_its_table_is_named_whatever_the_table() {
    let store = store();
    for (key, _) in store.records() {
        let key = key.clone();
        let planted = with(&store, |batch| batch.put(key.clone(), Bytes::from_static(b"smuggled bytes")));
        let residency = look(&planted, WORLD, &[WORLD]);
        assert_eq!(residency.outside_records, 1, "{}: {:?}", hexadecimal(&key), found(&residency));
    }
}

/// Region 1's door is wrong; at region 0 it is seen.
#[test]
fn a_user_whose_pin_forbids_it_is_found_wherever_they_are_named() {
    let mut world = World::new(2);
    world.regions[1].config.allowed_pins.insert(ELSEWHERE);
    world.reopen(1);
    world.ask(1, 1, create(group(1), 1, &[1, 2])).unwrap();
    let wish = MembersWish::Add(PINNED);
    world.ask(1, 1, Command::ChangeMembers { conversation: group(1), command: message(2), wish }).unwrap();
    let command = post(group(1), 3, "from elsewhere");
    world.step(
        1,
        vec![Input::Command { ticket: Ticket(1_000), user: PINNED, device: crdt::DeviceId(9), command }],
    );
    world.calm();
    let residency = look(&world.regions[0].store, WORLD, &[WORLD]);
    assert_eq!(residency.users, [(WORLD, 2), (ELSEWHERE, 1)].into());
    let mut tables: BTreeMap<u8, u64> = BTreeMap::new();
    for outside in &residency.outside {
        let Outside::User { key, user } = outside else { panic!("{outside}") };
        assert_eq!(*user, PINNED);
        *tables.entry(u8::from_str_radix(&key[4..6], 16).unwrap()).or_default() += 1;
    }
    expect!["{1: 2, 10: 1, 12: 1, 13: 1, 14: 1}"].assert_eq(&format!("{tables:?}"));
    assert_eq!(
        found(&look(&world.regions[0].store, WORLD, &[WORLD, ELSEWHERE])),
        [""; 0],
        "where it is allowed, nothing is"
    );
    assert!(residency.users.contains_key(&user(1).placement()));
}
