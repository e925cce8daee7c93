//! The digests that are kept of what a store holds: in stores of before they were kept, and where a store is damaged.
//!
//! That they are what the tables come to after any history stands in `convergence.rs`.

use crate::rig::{WORLD, World, create, group, post};
use bytes::Bytes;
use region::store::{Batch, MemoryStore, Store as _};
use region::{export, verify};

/// Bytes of a checksum and of a digest, and where a key says its table.
const CHECKSUM: usize = 4;
const DIGEST: usize = 16;
const TABLE_AT: usize = 2;
const REACH: u8 = 4;
const CONVERSATIONS: u8 = 9;

/// Two groups of two members, two messages each, in two regions.
fn world() -> World {
    let mut world = World::new(2);
    for number in [1, 2] {
        world.ask(0, 1, create(group(number), number, &[1, 2])).unwrap();
        world.ask(0, 1, post(group(number), 10 + number, "one")).unwrap();
    }
    world.calm();
    world
}

/// Writes records of one table anew, under checksums of their own.
fn rewrite(store: &mut MemoryStore, table: u8, change: impl Fn(&mut Vec<u8>)) {
    let mut batch = Batch::default();
    for (key, value) in store.records().filter(|(key, _)| key[TABLE_AT] == table && key[0] != 0xff) {
        let mut content = value[..value.len() - CHECKSUM].to_vec();
        change(&mut content);
        let sum = crc32c::crc32c_append(crc32c::crc32c(key), &content);
        content.extend(sum.to_be_bytes());
        batch.put(key.clone(), Bytes::from(content));
    }
    assert!(!batch.is_empty(), "the table has records");
    store.commit(&batch).unwrap();
}

/// As format 14 wrote it: without digests, and without the count of amended messages where that is zero.
fn make_old(store: &mut MemoryStore) {
    rewrite(store, REACH, |content| content.truncate(content.len() - DIGEST));
    rewrite(store, CONVERSATIONS, |content| content.truncate(content.len() - DIGEST - 1));
}

fn sound(world: &World) {
    for region in &world.regions {
        assert_eq!(verify::verify(&region.store, WORLD, 10).unwrap().damaged, []);
    }
}

#[test]
fn a_store_of_before_gets_the_digests_of_what_is_changed_in_it() {
    let mut world = world();
    make_old(&mut world.regions[0].store);
    world.reopen(0);
    sound(&world);
    let kept = |world: &World, at: usize| {
        let exported = export::partitions(&world.regions[at].store, WORLD).unwrap();
        exported.into_iter().map(|partition| (partition.partition, partition.kept)).collect::<Vec<_>>()
    };
    assert!(kept(&world, 0).iter().all(|(_, digest)| digest.is_none()));
    world.ask(0, 2, post(group(1), 20, "two")).unwrap();
    world.calm();
    sound(&world);
    let touched = group(1).partition();
    for ((partition, old), (_, new)) in kept(&world, 0).into_iter().zip(kept(&world, 1)) {
        assert!(new.is_some());
        assert_eq!(old.is_some(), partition == touched, "what nobody touches is not read: {partition}");
        assert!(partition != touched || old == new, "worked out once, and kept up from there");
    }
}

#[test]
fn a_digest_that_is_not_what_the_log_comes_to_is_damage() {
    for (table, name) in [(REACH, "reach"), (CONVERSATIONS, "conversations")] {
        let mut world = world();
        rewrite(&mut world.regions[1].store, table, |content| {
            let last = content.len() - 1;
            content[last] ^= 1;
        });
        let damaged = verify::verify(&world.regions[1].store, WORLD, 1).unwrap().damaged;
        assert!(damaged[0].to_string().contains(&format!("in table {name}")), "{damaged:?}");
    }
}
