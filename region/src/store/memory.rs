//! A store in memory: the reference that every other store is compared with.
//!
//! Keys of one table of one bucket agree in their first three bytes, and nearly every look-up and scan is within one such table: so each has a map of its
//! own, found by a number. In a single map a look-up went down five or six nodes of a kilobyte each, of which few were in the processor's caches.
//!
//! What must always hold: a commit is whole or not at all, and a clone is an independent store with the same content, so a
//! crash between step and commit is a clone taken before it; no map is empty, so stores with equal content are equal. Fault model: none. It keeps what it
//! was given until it is dropped.

use super::{Batch, Direction, Store, StoreError, StoreKey, View, Visit};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// Records by the first bytes of their keys, and there by their keys.
type Records = BTreeMap<u32, BTreeMap<StoreKey, Bytes>>;

/// An ordered map in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    records: Records,
    checkpoints: RefCell<BTreeMap<PathBuf, Records>>,
}

/// The first three bytes of a key as a number; of a shorter one as if zeros followed, so that numbers ascend as keys do.
fn first_bytes(key: &[u8]) -> u32 {
    let byte = |at: usize| u32::from(key.get(at).copied().unwrap_or(0));
    byte(0) << 16 | byte(1) << 8 | byte(2)
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All records, in key order.
    #[must_use]
    pub fn records(&self) -> impl DoubleEndedIterator<Item = (&StoreKey, &Bytes)> {
        self.records.values().flatten()
    }

    /// Does what [`Store::commit`] does, and keeps what the batch held instead of a copy.
    pub fn keep(&mut self, batch: Batch) {
        self.keep_shrinking(batch, |_, _| {});
    }

    /// The same; calls `shrunk` with each key under which a shorter value took the place of another one, and with the longer one.
    pub fn keep_shrinking(&mut self, batch: Batch, mut shrunk: impl FnMut(StoreKey, Bytes)) {
        for (key, value) in batch.writes {
            match (value, self.records.entry(first_bytes(&key))) {
                (Some(value), table) => match table.or_default().entry(key) {
                    Entry::Occupied(mut record) if value.len() < record.get().len() => {
                        let before = record.insert(value);
                        shrunk(record.key().clone(), before);
                    }
                    Entry::Occupied(mut record) => _ = record.insert(value),
                    Entry::Vacant(record) => _ = record.insert(value),
                },
                (None, Entry::Occupied(mut table)) => {
                    table.get_mut().remove(&key);
                    if table.get().is_empty() {
                        table.remove();
                    }
                }
                (None, Entry::Vacant(_)) => {}
            }
        }
    }

    /// The copy that [`Store::checkpoint`] made under that name, as a store of its own.
    #[must_use]
    pub fn open_checkpoint(&self, folder: &Path) -> Option<Self> {
        let records = self.checkpoints.borrow().get(folder).cloned()?;
        Some(Self { records, checkpoints: RefCell::default() })
    }
}

impl PartialEq for MemoryStore {
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records
    }
}

impl View for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let table = self.records.get(&first_bytes(key));
        Ok(table.and_then(|table| table.get(&StoreKey::from(key))).cloned())
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let mut tables = self.records.range(first_bytes(from)..=first_bytes(to));
        let (from, to) = (Bound::Included(StoreKey::from(from)), Bound::Excluded(StoreKey::from(to)));
        loop {
            let next = match direction {
                Direction::Ascending => tables.next(),
                Direction::Descending => tables.next_back(),
            };
            let Some((_, table)) = next else { return Ok(()) };
            let mut range = table.range((from.as_ref(), to.as_ref()));
            loop {
                let next = match direction {
                    Direction::Ascending => range.next(),
                    Direction::Descending => range.next_back(),
                };
                let Some((key, value)) = next else { break };
                if visit(key, value).is_break() {
                    return Ok(());
                }
            }
        }
    }
}

impl Store for MemoryStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.keep(batch.clone());
        Ok(())
    }

    fn checkpoint(&self, folder: &Path) -> Result<(), StoreError> {
        let mut checkpoints = self.checkpoints.borrow_mut();
        if checkpoints.contains_key(folder) {
            return Err(StoreError::Failed {
                store: "memory".to_owned(),
                call: "checkpoint",
                reason: format!("{} exists already", folder.display()),
            });
        }
        checkpoints.insert(folder.to_owned(), self.records.clone());
        Ok(())
    }
}
