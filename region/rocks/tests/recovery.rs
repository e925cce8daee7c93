//! What a store does with a damaged disk: a torn tail of the write-ahead log is accepted, anything else is refused by name.
//!
//! Each test takes an image of a running store's folder (what a power cut would leave), harms it, and opens it.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use region::store::{Batch, Store as _, StoreError, View as _};
use region_rocks::engine::SharedMemory;
use region_rocks::store::RocksStore;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const COMMITS: u64 = 200;

fn open(folder: &Path) -> Result<RocksStore, StoreError> {
    RocksStore::open(folder, &SharedMemory::new())
}

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The image of a store that crashed after `commits` commits of a value of `value_bytes` each.
fn crashed(commits: u64, value_bytes: usize) -> TempDir {
    let live = tempfile::tempdir().unwrap();
    let mut store = open(live.path()).unwrap();
    for number in 0..commits {
        let mut batch = Batch::default();
        batch.put(key(number), Bytes::from(vec![number as u8; value_bytes]));
        store.commit(&batch).unwrap();
    }
    copy_of(live.path())
}

fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// The only write-ahead log that is not empty.
fn write_ahead_log(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.find(|path| fs::metadata(path).unwrap().len() > 0).unwrap()
}

fn harm(folder: &Path, harm: impl FnOnce(&mut Vec<u8>)) {
    let log = write_ahead_log(folder);
    let mut bytes = fs::read(&log).unwrap();
    harm(&mut bytes);
    fs::write(&log, bytes).unwrap();
}

/// How many of the commits are there, and that they are the first ones without a hole.
fn commits_held(store: &RocksStore) -> u64 {
    let held = (0..COMMITS).filter(|number| store.get(&key(*number)).unwrap().is_some()).count() as u64;
    assert!(
        (0..held).all(|number| store.get(&key(number)).unwrap().is_some()),
        "the commits held are the first ones"
    );
    held
}

fn refusal(folder: &Path) -> String {
    let error = open(folder).expect_err("the damage is refused");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn every_synced_commit_is_there_after_a_crash() {
    let image = crashed(COMMITS, 100);
    assert_eq!(commits_held(&open(image.path()).unwrap()), COMMITS);
}

#[test]
fn a_log_cut_anywhere_in_its_last_record_loses_that_record_and_nothing_else() {
    // The last record is 7 bytes of header, 12 of batch, and 3 + 8 + 100 of the write.
    let crashed = crashed(COMMITS, 100);
    for cut_bytes in [1, 50, 100, 124, 129] {
        let image = copy_of(crashed.path());
        harm(image.path(), |log| log.truncate(log.len() - cut_bytes));
        assert_eq!(commits_held(&open(image.path()).unwrap()), COMMITS - 1, "{cut_bytes} bytes cut");
    }
}

#[test]
fn a_last_record_of_many_blocks_is_torn_wherever_it_ends_or_its_pages_are_missing() {
    for torn in [
        (|log: &mut Vec<u8>| log.truncate(log.len() - 50_000)) as fn(&mut Vec<u8>),
        |log| log.truncate(log.len() - 90_000),
        // Pages written out of order: the record's middle is still zero.
        |log| {
            let end = log.len();
            log[end - 80_000..end - 40_000].fill(0)
        },
        // A file that has grown before its bytes came.
        |log| {
            let end = log.len();
            log[end - 100_000..].fill(0)
        },
    ] {
        let image = crashed(3, 100_000);
        harm(image.path(), torn);
        let store = open(image.path()).unwrap();
        assert_eq!(commits_held(&store), 2);
    }
}

#[test]
fn a_store_works_on_after_its_torn_tail_was_cut() {
    let image = crashed(COMMITS, 100);
    harm(image.path(), |log| log.truncate(log.len() - 10));
    let mut store = open(image.path()).unwrap();
    let mut batch = Batch::default();
    batch.put(key(COMMITS - 1), Bytes::from_static(b"again"));
    store.commit(&batch).unwrap();
    drop(store);
    assert_eq!(commits_held(&open(image.path()).unwrap()), COMMITS);
}

#[test]
fn one_changed_byte_anywhere_before_the_last_record_is_refused_by_file_and_place() {
    let crashed = crashed(COMMITS, 100);
    // 130 bytes a record. Byte 0-3 of a record is its checksum, 4-5 its length, 6 its type, then the write.
    for place in [0, 4, 5, 6, 7, 30, 100] {
        for record in [0, 1, 100, 198] {
            for change in [0x01, 0x40, 0xff] {
                let image = copy_of(crashed.path());
                harm(image.path(), |log| log[record * 130 + place] ^= change);
                let text = refusal(image.path());
                assert!(text.contains(".log byte "), "record {record} place {place}: {text}");
            }
        }
    }
}

#[test]
fn zeroed_or_missing_stretches_before_the_last_record_are_refused() {
    for hole in [
        (|log: &mut Vec<u8>| log[130 * 50..130 * 50 + 7].fill(0)) as fn(&mut Vec<u8>),
        |log| log[130 * 50..130 * 60].fill(0),
        |log| {
            log.drain(130 * 50..130 * 60);
        },
        |log| log[..4096].fill(0),
    ] {
        let image = crashed(COMMITS, 100);
        harm(image.path(), hole);
        refusal(image.path());
    }
}

#[test]
fn a_folder_without_its_beginning_is_never_created_afresh() {
    let image = crashed(COMMITS, 100);
    fs::remove_file(image.path().join("CURRENT")).unwrap();
    assert!(refusal(image.path()).contains("CURRENT"));
}

#[test]
fn a_damaged_manifest_is_refused() {
    let image = crashed(COMMITS, 100);
    drop(open(image.path()).unwrap());
    let current = fs::read_to_string(image.path().join("CURRENT")).unwrap();
    let manifest = image.path().join(current.trim());
    let bytes = fs::read(&manifest).unwrap();
    for place in 0..7 {
        let mut harmed = bytes.clone();
        harmed[place] ^= 0x20;
        fs::write(&manifest, harmed).unwrap();
        refusal(image.path());
    }
}

#[test]
fn a_changed_byte_in_a_table_file_is_an_error_and_never_an_empty_answer() {
    let image = crashed(COMMITS, 100);
    // Recovery writes what the log held into a table file.
    drop(open(image.path()).unwrap());
    let entries = fs::read_dir(image.path()).unwrap().map(|entry| entry.unwrap().path());
    let table = entries.into_iter().find(|path| path.extension().is_some_and(|e| e == "sst")).unwrap();
    let mut bytes = fs::read(&table).unwrap();
    bytes[40] ^= 1;
    fs::write(&table, bytes).unwrap();
    let read = open(image.path()).and_then(|store| store.get(&key(0)));
    assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
}
