//! Reading the disk again.
//!
//! What must always hold: it reaches every record in as many readings as there are partitions, wherever it begins, and tells damage until it is gone.

use crate::damage::{hexadecimal, store, with};
use crate::rig::WORLD;
use bytes::Bytes;
use crdt::id::BUCKETS;
use region::repair::repair;
use region::scrub::Scrub;
use region::store::{Direction, MemoryStore, Store as _, StoreError, View, Visit};

const DAY_MS: u64 = 86_400_000;

/// Reads every partition once. How many records that were, and what was damaged.
fn read_all(scrub: &mut Scrub, store: &MemoryStore) -> (u64, Vec<String>) {
    let (mut records, mut damaged) = (0, Vec::new());
    for _ in 0..BUCKETS {
        let verified = scrub.read_next(store).unwrap();
        records += verified.records;
        damaged.extend(verified.damaged.iter().map(ToString::to_string));
    }
    (records, damaged)
}

#[test]
fn a_day_of_running_reads_every_record_wherever_it_begins() {
    let store = store();
    for start in [0, 1, 2, 1_000_003] {
        let mut scrub = Scrub::new(WORLD, start, DAY_MS);
        assert!(scrub.pause_ms() * u64::from(BUCKETS) <= DAY_MS);
        assert_eq!(read_all(&mut scrub, &store), (store.records().count() as u64, vec![]));
        assert_eq!(scrub.damaged(), 0);
    }
}

#[test]
fn damage_is_told_until_it_is_gone() {
    let store = store();
    for (key, value) in store.records() {
        let mut flipped = value.to_vec();
        flipped[0] ^= 1;
        let harmed = with(&store, |batch| batch.put(key.clone(), flipped.into()));
        let mut scrub = Scrub::new(WORLD, 7, DAY_MS);
        let (_, damaged) = read_all(&mut scrub, &harmed);
        assert!(damaged.iter().any(|damage| damage.contains(&hexadecimal(key))), "{damaged:?}");
        assert!(scrub.damaged() > 0);
        let mut mended = harmed.clone();
        let repair = repair(&harmed, WORLD, 1, None).unwrap();
        mended.commit(&repair.batch).unwrap();
        read_all(&mut scrub, &mended);
        assert_eq!(scrub.damaged() == 0, repair.remains.is_empty());
    }
}

/// An engine that finds its own checksums wrong wherever it is asked, as for a block of a file in which a bit has turned.
struct Unreadable;

impl Unreadable {
    fn damage() -> StoreError {
        StoreError::Damaged {
            table: "engine",
            key: "000012.sst".into(),
            what: "block checksum mismatch".into(),
        }
    }
}

impl View for Unreadable {
    fn get(&self, _: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Err(Self::damage())
    }

    fn scan(&self, _: &[u8], _: &[u8], _: Direction, _: &mut Visit<'_>) -> Result<(), StoreError> {
        Err(Self::damage())
    }
}

#[test]
fn what_the_engine_cannot_read_counts_as_damage_until_it_can() {
    let mut scrub = Scrub::new(WORLD, 0, DAY_MS);
    assert_eq!(scrub.read_next(&Unreadable), Err(Unreadable::damage()));
    assert_eq!(scrub.damaged(), 1, "operators see it in the metric");
    read_all(&mut scrub, &store());
    assert_eq!(scrub.damaged(), 0);
}
