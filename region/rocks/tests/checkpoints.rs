//! Checkpoints for backups: each is the store at one moment, made beside a writer that goes on.
//!
//! What must always hold: what was committed before is in it, and of what is committed meanwhile a beginning without holes; the store itself loses nothing by it, and no checkpoint stays behind another.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use crdt::{Incarnation, PlacementId, RegionId, ReplicaId};
use region::meta::{self, Expected};
use region::store::{Batch, Direction, Store as _, View};
use region_rocks::checkpoints::{self, Purpose};
use region_rocks::engine::SharedMemory;
use region_rocks::store::RocksStore;
use replication::StoreId;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A store as a region starts it.
fn started(folder: &Path) -> RocksStore {
    let mut store = RocksStore::open(folder, &SharedMemory::new()).unwrap();
    let replica = ReplicaId { region: RegionId(2), incarnation: Incarnation(0xabc) };
    let (region_name, placement_name) = ("west".to_owned(), "global".to_owned());
    let expected = Expected { replica, region_name, placement: PlacementId(1), placement_name };
    let (created, batch) = meta::create(&expected, StoreId(7));
    store.commit(&batch).unwrap();
    store.commit(&meta::advance(created).1).unwrap();
    store
}

fn write(store: &mut RocksStore, number: u64) {
    let mut batch = Batch::default();
    batch.put(Bytes::copy_from_slice(&number.to_be_bytes()), Bytes::from(vec![7; 1_024]));
    store.commit(&batch).unwrap();
}

/// How many numbers a store has, from 0 on without a hole.
fn numbers(store: &impl View) -> u64 {
    let mut next = 0_u64;
    let scanned = store.scan(&[0; 8], &[0x7f; 8], Direction::Ascending, &mut |key, _| {
        assert_eq!(key, next.to_be_bytes(), "none is missing before another");
        next += 1;
        ControlFlow::Continue(())
    });
    scanned.unwrap();
    next
}

/// Tells the writer to end, also when the test has failed.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn at(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 1_000).min(sorted.len() - 1)]
}

#[test]
fn a_checkpoint_made_while_a_shard_writes_is_the_store_at_one_moment() {
    let data = tempfile::tempdir().unwrap();
    let mut store = started(&data.path().join("global"));
    let reader = store.reader();
    let (done, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut waits = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut waits = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let begun = Instant::now();
                write(&mut store, written.load(Ordering::SeqCst));
                waits.push(begun.elapsed());
                written.fetch_add(1, Ordering::SeqCst);
            }
            waits
        });
        let ends = Ends(&done);
        let mut took = Vec::new();
        for _ in 0..20 {
            let before = written.load(Ordering::SeqCst);
            while written.load(Ordering::SeqCst) < before + 100 {
                std::thread::yield_now();
            }
            let acknowledged = written.load(Ordering::SeqCst);
            let made = checkpoints::make(data.path(), Purpose::Backup, "global", &reader).unwrap();
            took.push(made.took);
            assert_eq!((made.incarnation, made.format), (0xabc, meta::FORMAT));
            let checkpoint = checkpoints::folder(data.path(), Purpose::Backup, "global");
            let copy = RocksStore::open(&checkpoint, &SharedMemory::new()).unwrap();
            let (held, now) = (numbers(&copy), written.load(Ordering::SeqCst));
            assert!((acknowledged..=now + 1).contains(&held), "{acknowledged} <= {held} <= {now} + 1");
        }
        drop(ends);
        took.sort();
        eprintln!("checkpoints: p50 {:?}, longest {:?}", at(&took, 500), at(&took, 1_000));
        writer.join().unwrap()
    });
    waits.sort();
    eprintln!(
        "{} commits beside them: p50 {:?}, p99 {:?}, longest {:?}",
        waits.len(),
        at(&waits, 500),
        at(&waits, 990),
        at(&waits, 1_000)
    );
    checkpoints::remove_all(data.path()).unwrap();
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 1, "the store alone is left");
    drop((store, reader));
    let store = RocksStore::open(&data.path().join("global"), &SharedMemory::new()).unwrap();
    assert_eq!(numbers(&store), written.load(Ordering::SeqCst));
}

#[test]
fn a_store_that_was_never_started_has_nothing_to_keep() {
    let data = tempfile::tempdir().unwrap();
    let store = RocksStore::open(&data.path().join("global"), &SharedMemory::new()).unwrap();
    let refused =
        checkpoints::make(data.path(), Purpose::Backup, "global", &store.reader()).unwrap_err().to_string();
    assert!(refused.contains("never started"), "{refused}");
}

#[test]
fn removing_follows_no_link_out_of_the_data_folder() {
    let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(elsewhere.path().join("precious"), "here").unwrap();
    let store = started(&data.path().join("global"));
    let all = data.path().join("backup.checkpoints");
    std::fs::create_dir(&all).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), all.join("linked")).unwrap();
    checkpoints::make(data.path(), Purpose::Backup, "global", &store.reader()).unwrap();
    checkpoints::remove_all(data.path()).unwrap();
    assert!(!all.exists() && elsewhere.path().join("precious").exists());
}
