//! Logs of which a record was lost, mended with what other regions hold of it.
//!
//! What must always hold: whatever record of a log is lost that others hold, it comes back byte for byte; of what others say nothing is believed that the chain, the payload's digest and
//! the origin's signature do not bear out.

use crate::damage::with;
use crate::repairs::equal;
use crate::rig::{WORLD, World, create, group, key, message, post, user};
use bytes::Bytes;
use crdt::{Flag, Identity, RegionId};
use ed25519_dalek::SigningKey;
use region::command::{Command, Wish};
use region::features::Feature;
use region::mend_log::{Given, lost};
use region::mend_registers::{self, GivenRegister};
use region::operate::Act;
use region::repair::{Repair, repair};
use region::shard::{Input, Ticket};
use region::store::{MemoryStore, Store as _, StoreError};
use region::{export, read, verify};
use replication::commit::Commit;
use replication::log::LogView as _;
use replication::signature::Ed25519;
use std::collections::BTreeSet;

const LOG: u8 = 1;
const UNCUT: u8 = 20;
const AGES: u8 = 31;
const EXPIRED: u8 = 32;
const RAN: u8 = 33;

fn amend(number: u128, of: (u64, u128), wish: Wish) -> Command {
    let target = Identity { sender: user(of.0), message: message(of.1) };
    Command::Amend { conversation: group(1), command: message(number), target, wish, seen: None }
}

/// Three regions that have said this and that in turns, some of it in commits of several operations.
fn world() -> World {
    let mut world = World::new(3);
    world.greet();
    world.ask(0, 1, create(group(1), 1, &[1, 2, 3])).unwrap();
    world.calm();
    for round in 0..3_u128 {
        for at in 0..3 {
            let number = 10 + round * 10 + at as u128;
            let said = post(group(1), number, "something");
            world.ask(at, at as u64 + 1, said).unwrap();
        }
        let several = (0..3).map(|more| post(group(1), 100 + round * 10 + more, "several at once"));
        let several: Vec<Input> = several.map(|said| world.command(1, said)).collect();
        world.step(0, several);
        world.ask(0, 1, amend(200 + round, (1, 10 + round * 10), Wish::Edit("edited".into()))).unwrap();
        world.calm();
    }
    world
}

fn log_of(store: &MemoryStore) -> Vec<(region::store::StoreKey, Bytes)> {
    let log = store.records().filter(|(key, _)| key[2] == LOG);
    log.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What the second and the third region hold of what the first has lost.
fn commits(world: &World, harmed: &MemoryStore) -> Vec<Commit> {
    let mut found = Vec::new();
    for (partition, dot) in lost(harmed, WORLD, 100).unwrap() {
        for at in [1, 2] {
            let (from, to) = (dot.sequence, dot.sequence);
            found.extend(world.log(at).find(partition, dot.replica, from, to, 1).unwrap());
        }
    }
    found
}

/// What they hold of its registers that cannot be read.
fn registers(world: &World, harmed: &MemoryStore) -> Vec<GivenRegister> {
    let lost = mend_registers::lost(harmed, WORLD, 100).unwrap();
    let given = lost.into_iter().flat_map(|(partition, name)| {
        [1, 2].map(|at| {
            let value = export::register(&world.regions[at].store, partition.bucket, &name).unwrap();
            GivenRegister { partition, name: name.clone(), value }
        })
    });
    given.collect()
}

/// The first region's harmed store, mended with those commits; its log is written to only where it could not be read.
fn mended(
    world: &World,
    harmed: &MemoryStore,
    commits: &[Commit],
    own: &SigningKey,
) -> (MemoryStore, Repair) {
    let config = &world.regions[0].config;
    let registers = registers(world, harmed);
    let (placement, own) = (&config.placement, (config.replica, own));
    let given = Given { commits, registers: &registers, placement, own, signatures: &Ed25519 };
    let repair = repair(harmed, WORLD, 10, Some(&given)).unwrap();
    let mut mended = harmed.clone();
    mended.commit(&repair.batch).unwrap();
    assert_eq!(verify::verify(&mended, WORLD, 10).unwrap().damaged, repair.remains);
    (mended, repair)
}

#[test]
fn whatever_is_lost_of_a_log_comes_back_byte_for_byte_alone_and_with_its_neighbours() {
    let world = world();
    let store = &world.regions[0].store;
    let log = log_of(store);
    for at in 0..log.len() {
        for many in 1..=3 {
            let harmed = with(store, |batch| {
                for (number, (key, value)) in log[at..].iter().take(many).enumerate() {
                    let mut flipped = value.to_vec();
                    flipped[number] ^= 0x10;
                    if (at + number) % 2 == 0 {
                        batch.delete(key.clone())
                    } else {
                        batch.put(key.clone(), flipped.into())
                    }
                }
            });
            let commits = commits(&world, &harmed);
            let (mended, Repair { remains, .. }) = mended(&world, &harmed, &commits, &key(0));
            assert_eq!(remains, [], "{many} from {at} of {}", log.len());
            equal(&mended, store);
        }
    }
}

#[test]
fn nothing_is_lost_from_a_sound_log_and_nothing_is_written_to_it() {
    let world = world();
    let store = &world.regions[0].store;
    assert_eq!(lost(store, WORLD, 10).unwrap(), []);
    assert_eq!(mended(&world, store, &[], &key(0)).1, Repair::default());
}

/// Bridges join neighbouring commits, so that the others may have no signature where this log has one.
#[test]
fn where_a_commit_ends_in_this_log_alone_its_own_region_signs_anew_and_nobody_else_can() {
    let mut world = world();
    for (at, number) in [(0, 300), (0, 301), (1, 310), (1, 311)] {
        world.ask(at, 1, post(group(1), number, "one by one")).unwrap();
    }
    world.calm();
    let store = world.regions[0].store.clone();
    let partition = group(1).partition();
    for (at, is_own) in [(0, true), (1, false)] {
        let origin = world.regions[at].config.replica;
        let end = world.log(0).state(partition).unwrap().applied.get(origin);
        let [first, second] = [end.0 - 1, end.0].map(|number| {
            let number = crdt::Sequence(number);
            world.log(1).find(partition, origin, number, number, 1).unwrap().remove(0)
        });
        let operations = [first.operations.clone(), second.operations.clone()].concat();
        let joined = Commit { operations, first: first.first, ..second };
        let posted = log_of(&store);
        let named = |(key, _): &&(region::store::StoreKey, Bytes)| {
            let harmed = with(&store, |batch| batch.delete(key.clone()));
            lost(&harmed, WORLD, 9)
                .unwrap()
                .iter()
                .any(|(_, dot)| (dot.replica, dot.sequence) == (origin, first.first))
        };
        let (key_of_it, _) = posted.iter().find(named).unwrap();
        let harmed = with(&store, |batch| batch.delete(key_of_it.clone()));
        let (again, Repair { remains, .. }) = mended(&world, &harmed, &[joined], &key(0));
        if is_own {
            assert_eq!(remains, []);
            equal(&again, &store);
            let wrong = mended(&world, &harmed, std::slice::from_ref(&first), &key(7)).1;
            assert_eq!(wrong.remains, [], "theirs is right");
        } else {
            assert!(!remains.is_empty(), "it is not its to sign");
        }
    }
}

#[test]
fn what_does_not_fit_the_chain_the_digest_or_the_signature_is_not_taken() {
    let world = world();
    let store = &world.regions[0].store;
    let mut tried = 0;
    for (key_of_it, _) in log_of(store) {
        let harmed = with(store, |batch| batch.delete(key_of_it.clone()));
        let right = commits(&world, &harmed);
        let index = |commit: &Commit| {
            let [(_, dot)] = lost(&harmed, WORLD, 9).unwrap()[..] else { panic!("one is lost") };
            (dot.sequence.0 - commit.first.0) as usize
        };
        let forge = |change: &dyn Fn(&mut Commit, usize)| {
            let mut forged = right.clone();
            forged.iter_mut().for_each(|commit| change(commit, index(commit)));
            !mended(&world, &harmed, &forged, &key(7)).1.remains.is_empty()
        };
        let flip = |bytes: &Bytes| {
            let mut flipped = bytes.to_vec();
            let last = flipped.len() - 1;
            flipped[last] ^= 1;
            Bytes::from(flipped)
        };
        assert!(forge(&|commit, at| commit.operations[at].envelope = flip(&commit.operations[at].envelope)));
        assert!(forge(&|commit, at| {
            let payload = commit.operations[at].payload.as_ref().map(flip);
            commit.operations[at].payload = payload;
        }));
        // Where it ends no commit no signature is taken.
        let ends = |commit: &&Commit| index(commit) + 1 == commit.operations.len();
        if right.iter().any(|commit| ends(&commit)) {
            assert!(forge(&|commit, _| commit.signature[7] ^= 1));
            tried += 1;
        }
    }
    assert!(tried > 5);
}

#[test]
fn a_deleted_text_that_another_region_has_not_cut_yet_is_cut_once_more() {
    let mut world = world();
    let before = world.regions[1].store.clone();
    world.ask(0, 1, amend(400, (1, 10), Wish::Delete)).unwrap();
    world.calm();
    let store = world.regions[0].store.clone();
    let mut came_back = 0;
    for (key_of_it, _) in log_of(&store) {
        let harmed = with(&store, |batch| batch.delete(key_of_it.clone()));
        let [(partition, dot)] = lost(&harmed, WORLD, 9).unwrap()[..] else { panic!("one is lost") };
        let view: &dyn region::store::View = &before;
        let log = region::log_view::StoreLog::new(world.regions[1].config.replica.region, [(WORLD, view)]);
        let commits = log.find(partition, dot.replica, dot.sequence, dot.sequence, 1).unwrap();
        if commits.is_empty() {
            continue; // said since
        }
        let (mended, Repair { remains, mended: named, .. }) = mended(&world, &harmed, &commits, &key(0));
        assert_eq!(remains, []);
        let uncut = |store: &MemoryStore| store.records().filter(|(key, _)| key[2] == UNCUT).count();
        if uncut(&mended) == 0 {
            equal(&mended, &store);
            continue;
        }
        came_back += 1;
        assert!(
            named.iter().any(|name| matches!(name, StoreError::Damaged { table: "uncut", .. })),
            "{named:?}"
        );
        world.regions[0].store = mended;
        world.reopen(0);
        world.step(0, vec![Input::Tick]);
        assert_eq!(uncut(&world.regions[0].store), 0);
        assert_eq!(log_of(&world.regions[0].store), log_of(&store), "as it was cut before");
    }
    assert_eq!(came_back, 2, "the text and its edit");
}

#[test]
fn a_text_that_has_gone_by_its_age_does_not_come_back_from_a_region_that_has_it() {
    const DAY_MS: u64 = 86_400_000;
    let mut world = world();
    world.keep(30 * DAY_MS);
    for _ in 0..33 {
        world.now = world.now.plus_ms(DAY_MS);
        while world.step(0, vec![Input::Tick]).next_tick.is_some_and(|due| due <= world.now) {}
    }
    let store = world.regions[0].store.clone();
    let mut came_back = 0;
    for (key_of_it, _) in log_of(&store) {
        let harmed = with(&store, |batch| batch.delete(key_of_it.clone()));
        let commits = commits(&world, &harmed);
        let (mended, Repair { remains, mended: named, .. }) = mended(&world, &harmed, &commits, &key(0));
        assert_eq!(remains, []);
        assert_eq!(log_of(&mended), log_of(&store), "as it was");
        came_back += named.iter().filter(|name| name.to_string().contains("its text has come back")).count();
    }
    assert!(came_back > 20, "{came_back} texts");
    // What says how long they have been here is damaged: it goes, and nothing else does.
    let is_of_ages = |key: &[u8]| [AGES, EXPIRED, RAN].contains(&key[2]);
    let of_ages: Vec<_> = store.records().filter(|(key, _)| is_of_ages(key)).collect();
    assert!(of_ages.len() > 1, "{of_ages:?}");
    for (key, value) in of_ages {
        let mut flipped = value.to_vec();
        flipped[0] ^= 0x10;
        let harmed = with(&store, |batch| batch.put(key.clone(), flipped.into()));
        assert_ne!(verify::verify(&harmed, WORLD, 9).unwrap().damaged, []);
        let repair = repair(&harmed, WORLD, 10, None).unwrap();
        assert_eq!((repair.remains, repair.mended.len()), (vec![], 1));
        let mut mended = harmed.clone();
        mended.commit(&repair.batch).unwrap();
        equal(&mended, &with(&store, |batch| batch.delete(key.clone())));
        world.regions[0].store = mended;
        world.reopen(0);
    }
}

#[test]
fn one_bit_of_any_record_is_mended_and_all_regions_hold_the_same_again() {
    let mut world = world();
    let given = read::changes(&world.regions[1].store, group(1), user(2), &read::Standing::default(), 9);
    let read = given.unwrap().map(|given| given.cut);
    world.ask(1, 2, Command::Receipt { conversation: group(1), delivered: None, read }).unwrap();
    let target = Identity { sender: user(1), message: message(10) };
    world.ask(0, 2, Command::Hide { conversation: group(1), message: target }).unwrap();
    for (ticket, act) in (900..).map(Ticket).zip([
        Act::SetHome { user: user(7), home: RegionId(1) },
        Act::SetFlag { feature: Feature::Edits, flag: Some(Flag::Off) },
    ]) {
        world.step(0, vec![Input::Operate { ticket, act }]);
    }
    world.calm();
    // What everybody has is had again; that this is to be cut is known here alone.
    world.ask(0, 1, amend(501, (1, 20), Wish::Delete)).unwrap();
    let mut tables = BTreeSet::new();
    let harmed_in = world.regions[0].store.clone();
    let others = [1, 2].map(|at| world.regions[at].store.clone());
    for (key_of_it, value) in harmed_in.records() {
        let mut flipped = value.to_vec();
        flipped[value.len() / 2] ^= 0x10;
        let harmed = with(&harmed_in, |batch| batch.put(key_of_it.clone(), flipped.into()));
        let commits = commits(&world, &harmed);
        let (mended, Repair { remains, .. }) = mended(&world, &harmed, &commits, &key(0));
        assert_eq!(remains, [], "after a bit of {key_of_it:?}");
        tables.insert(key_of_it[2]);
        for (at, store) in [mended, others[0].clone(), others[1].clone()].into_iter().enumerate() {
            world.regions[at].store = store;
            world.reopen(at);
        }
        world.greet();
        world.calm();
        let held = |at: usize| {
            let store = &world.regions[at].store;
            let registers = (export::receipts(store), export::hidden(store), export::directory(store));
            (
                export::partitions(store, WORLD).unwrap(),
                registers.0.unwrap(),
                registers.1.unwrap(),
                registers.2.unwrap(),
            )
        };
        for at in [1, 2] {
            assert_eq!(held(at), held(0), "after a bit of {key_of_it:?}");
        }
        assert_eq!((held(0).1.len(), held(0).2.len()), (1, 1));
    }
    assert_eq!(
        tables.len(),
        19,
        "of a store of a region that has run all but what it is and its epochs: {tables:?}"
    );
}

/// A peer does not send back what it had from here: what a region has that was not asked might never come again.
#[test]
fn a_register_of_which_not_everybody_has_said_what_they_have_remains() {
    let mut world = world();
    world.step(0, vec![Input::Operate { ticket: Ticket(900), act: Act::Erase { user: user(7) } }]);
    world.calm();
    let store = world.regions[0].store.clone();
    let config = &world.regions[0].config;
    let is_entry = |key: &region::store::StoreKey| key[2] == 6 && key[3] == 3;
    let (entry, _) = store.records().find(|(key, _)| is_entry(key)).unwrap();
    let harmed = with(&store, |batch| batch.put(entry.clone(), Bytes::from_static(b"not what was written")));
    let all = registers(&world, &harmed);
    assert_eq!(all.len(), 2);
    for said in 0..=2 {
        let (own, placement) = (key(0), &config.placement);
        let (own, registers) = ((config.replica, &own), &all[..said]);
        let given = Given { commits: &[], registers, placement, own, signatures: &Ed25519 };
        let remains = repair(&harmed, WORLD, 10, Some(&given)).unwrap().remains;
        assert_eq!(remains.is_empty(), said == 2, "{said} of two have said what they have: {remains:?}");
    }
}
