//! What every [`Store`] must do, as one suite that each implementation's tests run.
//!
//! A store passes when each function here returns; a claim that does not hold panics with the claim as its text. This is
//! test code in a library, so that the driver's store is held to the very same claims as the one in memory.

use super::{Batch, Direction, Store, View};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// How the suite gets stores of the implementation under test.
pub trait Factory {
    /// The implementation.
    type Store: Store;

    /// A new, empty store.
    fn create(&mut self) -> Self::Store;

    /// Closes the store and opens it again, as after a restart.
    fn reopen(&mut self, store: Self::Store) -> Self::Store;

    /// A folder that does not exist yet, for a checkpoint.
    fn folder(&mut self) -> PathBuf;

    /// Opens the checkpoint that `store` wrote into that folder.
    fn open_checkpoint(&mut self, store: &Self::Store, folder: &Path) -> Self::Store;
}

/// Runs the whole suite.
///
/// # Panics
/// When the store breaks a claim, with the claim as the text.
pub fn all(factory: &mut impl Factory) {
    what_was_never_written_is_absent(factory);
    a_batch_is_seen_whole_and_its_last_write_counts(factory);
    scans_are_half_open_and_ordered_by_bytes(factory);
    a_scan_stops_when_told(factory);
    a_committed_batch_survives_a_restart(factory);
    a_checkpoint_is_a_copy_that_stays_as_it_was(factory);
    values_of_every_size_come_back(factory);
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn commit(store: &mut impl Store, writes: &[(&str, Option<&str>)]) {
    let mut batch = Batch::default();
    for (key, value) in writes {
        match value {
            Some(value) => batch.put(bytes(key), bytes(value)),
            None => batch.delete(bytes(key)),
        }
    }
    assert_eq!(store.commit(&batch), Ok(()), "a commit succeeds on a healthy disk");
}

fn get(view: &dyn View, key: &str) -> Option<String> {
    let value = view.get(key.as_bytes());
    assert!(value.is_ok(), "a read succeeds on a healthy disk: {value:?}");
    value.ok().flatten().map(|value| String::from_utf8_lossy(&value).into_owned())
}

fn scan(view: &dyn View, from: &[u8], to: &[u8], direction: Direction, limit: usize) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let result = view.scan(from, to, direction, &mut |key, _| {
        keys.push(key.to_vec());
        if keys.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!(result, Ok(()), "a scan succeeds on a healthy disk");
    keys
}

/// Absent keys read as none, and removing one is no error.
pub fn what_was_never_written_is_absent(factory: &mut impl Factory) {
    let mut store = factory.create();
    assert_eq!(get(&store, "a"), None, "an empty store has no value");
    commit(&mut store, &[("a", None)]);
    assert_eq!(get(&store, "a"), None, "removing what is absent is no error");
    commit(&mut store, &[]);
    assert!(scan(&store, b"", &[0xff; 64], Direction::Ascending, 0).is_empty(), "an empty store has no keys");
}

/// All writes of a batch are there, and per key the last one.
pub fn a_batch_is_seen_whole_and_its_last_write_counts(factory: &mut impl Factory) {
    let mut store = factory.create();
    commit(&mut store, &[("a", Some("1")), ("b", Some("2")), ("c", Some(""))]);
    commit(&mut store, &[("a", None), ("b", Some("3")), ("b", Some("4")), ("d", Some("5")), ("d", None)]);
    assert_eq!(get(&store, "a"), None, "a removed key is absent");
    assert_eq!(get(&store, "b").as_deref(), Some("4"), "the last write to a key counts");
    assert_eq!(get(&store, "c").as_deref(), Some(""), "an empty value is a value");
    assert_eq!(get(&store, "d"), None, "a removal after a write counts");
}

/// `from` is included, `to` is not; order is that of unsigned bytes, either way; an empty or reversed range has nothing.
pub fn scans_are_half_open_and_ordered_by_bytes(factory: &mut impl Factory) {
    let mut store = factory.create();
    let keys: [&[u8]; 6] = [&[0], &[0, 0], &[0, 255], &[1], &[127, 3], &[255, 1]];
    let mut batch = Batch::default();
    for key in keys.iter().rev() {
        batch.put(Bytes::copy_from_slice(key), Bytes::from_static(b"v"));
    }
    assert_eq!(store.commit(&batch), Ok(()), "a commit succeeds on a healthy disk");
    let all = scan(&store, &[], &[255, 255], Direction::Ascending, 0);
    assert_eq!(all, keys, "keys are ordered as unsigned bytes, a prefix before what it begins");
    let mut reversed = scan(&store, &[], &[255, 255], Direction::Descending, 0);
    reversed.reverse();
    assert_eq!(reversed, keys, "a descending scan gives the same keys the other way round");
    for direction in [Direction::Ascending, Direction::Descending] {
        let mut part = scan(&store, &[0, 0], &[127, 3], direction, 0);
        part.sort();
        assert_eq!(part, &keys[1..4], "from is included and to is not");
        assert!(scan(&store, &[1], &[1], direction, 0).is_empty(), "an empty range has nothing");
        assert!(scan(&store, &[2], &[1], direction, 0).is_empty(), "a reversed range has nothing");
    }
}

/// A visitor that breaks sees nothing more.
pub fn a_scan_stops_when_told(factory: &mut impl Factory) {
    let mut store = factory.create();
    commit(&mut store, &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]);
    assert_eq!(scan(&store, b"a", b"z", Direction::Ascending, 2), [b"a", b"b"], "the scan stops when told");
    assert_eq!(scan(&store, b"a", b"z", Direction::Descending, 1), [b"c"], "the scan stops when told");
}

/// What was committed is there after a restart, removals too.
pub fn a_committed_batch_survives_a_restart(factory: &mut impl Factory) {
    let mut store = factory.create();
    commit(&mut store, &[("a", Some("1")), ("b", Some("2"))]);
    commit(&mut store, &[("a", None), ("c", Some("3"))]);
    let store = factory.reopen(store);
    assert_eq!(scan(&store, b"a", b"z", Direction::Ascending, 0), [b"b", b"c"], "committed batches survive");
    assert_eq!(get(&store, "c").as_deref(), Some("3"), "committed values survive");
}

/// A checkpoint holds what was committed before it and nothing after; the store goes on; an existing folder is refused.
pub fn a_checkpoint_is_a_copy_that_stays_as_it_was(factory: &mut impl Factory) {
    let mut store = factory.create();
    commit(&mut store, &[("a", Some("1"))]);
    let folder = factory.folder();
    assert_eq!(store.checkpoint(&folder), Ok(()), "a checkpoint succeeds on a healthy disk");
    commit(&mut store, &[("a", Some("2")), ("b", Some("3"))]);
    let copy = factory.open_checkpoint(&store, &folder);
    assert_eq!(get(&copy, "a").as_deref(), Some("1"), "a checkpoint keeps the value it was taken with");
    assert_eq!(get(&copy, "b"), None, "a checkpoint has nothing that came later");
    assert_eq!(get(&store, "a").as_deref(), Some("2"), "the store goes on");
    assert!(store.checkpoint(&folder).is_err(), "a checkpoint never overwrites a folder");
}

/// Long and short values come back byte for byte.
pub fn values_of_every_size_come_back(factory: &mut impl Factory) {
    let mut store = factory.create();
    let sizes = [0_usize, 1, 255, 4_096, 65_536, 1 << 20];
    let value = |size: usize| -> Bytes { (0..size).map(|index| (index % 251) as u8).collect() };
    let mut batch = Batch::default();
    for size in sizes {
        batch.put(Bytes::copy_from_slice(&size.to_be_bytes()), value(size));
    }
    assert_eq!(store.commit(&batch), Ok(()), "a commit succeeds on a healthy disk");
    let store = factory.reopen(store);
    for size in sizes {
        let read = store.get(&size.to_be_bytes());
        assert_eq!(read, Ok(Some(value(size))), "a value of {size} bytes comes back");
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryStore;
    use super::*;

    struct Memory(u32);

    impl Factory for Memory {
        type Store = MemoryStore;
        fn create(&mut self) -> MemoryStore {
            MemoryStore::new()
        }
        fn reopen(&mut self, store: MemoryStore) -> MemoryStore {
            store
        }
        fn folder(&mut self) -> PathBuf {
            self.0 += 1;
            PathBuf::from(format!("checkpoint-{}", self.0))
        }
        fn open_checkpoint(&mut self, store: &MemoryStore, folder: &Path) -> MemoryStore {
            store.open_checkpoint(folder).unwrap_or_default()
        }
    }

    #[test]
    fn the_store_in_memory_conforms() {
        all(&mut Memory(0));
    }
}
