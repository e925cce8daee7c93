//! The RocksDB store does what every store must: the shared suite of `region::store::conformance`, and what only a driver can show.
//!
//! The simulator's store and the one in memory pass the same suite, so that what is proved over them holds over this one. Readers
//! on other threads exist here alone: they see whole batches and never an older one after a newer.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use region::store::conformance::{self, Factory};
use region::store::{Batch, Store as _, View as _};
use region_rocks::engine::SharedMemory;
use region_rocks::store::RocksStore;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Stores in one temporary folder, numbered.
struct Folders {
    root: TempDir,
    next: u32,
}

impl Factory for Folders {
    type Store = RocksStore;

    fn create(&mut self) -> RocksStore {
        let folder = self.folder();
        RocksStore::open(&folder, &SharedMemory::new()).unwrap()
    }

    fn reopen(&mut self, store: RocksStore) -> RocksStore {
        let folder = store.reader().folder().to_path_buf();
        drop(store);
        RocksStore::open(&folder, &SharedMemory::new()).unwrap()
    }

    fn folder(&mut self) -> PathBuf {
        self.next += 1;
        self.root.path().join(self.next.to_string())
    }

    fn open_checkpoint(&mut self, _store: &RocksStore, folder: &Path) -> RocksStore {
        RocksStore::open(folder, &SharedMemory::new()).unwrap()
    }
}

#[test]
fn rocks_store_does_what_every_store_must() {
    conformance::all(&mut Folders { root: tempfile::tempdir().unwrap(), next: 0 });
}

#[test]
fn a_consistent_read_shows_no_later_batch_and_a_plain_one_shows_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = RocksStore::open(folder.path(), &SharedMemory::new()).unwrap();
    let reader = store.reader();
    let mut write = |value: &'static [u8]| {
        let mut batch = Batch::default();
        batch.put(Bytes::from_static(b"key"), Bytes::from_static(value));
        store.commit(&batch).unwrap();
    };
    write(b"before");
    reader.consistent(|view| {
        write(b"after");
        assert_eq!(view.get(b"key").unwrap().unwrap(), "before");
    });
    assert_eq!(reader.get(b"key").unwrap().unwrap(), "after");
}

#[test]
fn readers_on_other_threads_see_only_whole_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = RocksStore::open(folder.path(), &SharedMemory::new()).unwrap();
    let reader = store.reader();
    std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            let mut rounds = 0;
            loop {
                let pair = reader.consistent(|view| (view.get(b"one").unwrap(), view.get(b"other").unwrap()));
                assert_eq!(pair.0, pair.1);
                rounds += 1;
                if pair.0.is_some_and(|value| value == "299") {
                    return rounds;
                }
            }
        });
        for number in 0..300 {
            let mut batch = Batch::default();
            batch.put(Bytes::from_static(b"one"), Bytes::from(number.to_string()));
            batch.put(Bytes::from_static(b"other"), Bytes::from(number.to_string()));
            store.commit(&batch).unwrap();
        }
        assert!(look.join().unwrap() > 0);
    });
}
