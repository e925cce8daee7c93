//! A store in memory: the reference that every other store is compared with.
//!
//! What must always hold: a commit is whole or not at all, and a clone is an independent store with the same content, so a
//! crash between step and commit is a clone taken before it. Fault model: none. It keeps what it was given until it is dropped.

use super::{Batch, Direction, Store, StoreError, StoreKey, View, Visit};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// An ordered map in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    records: BTreeMap<StoreKey, Bytes>,
    checkpoints: RefCell<BTreeMap<PathBuf, BTreeMap<StoreKey, Bytes>>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All records, in key order.
    #[must_use]
    pub fn records(&self) -> &BTreeMap<StoreKey, Bytes> {
        &self.records
    }

    /// Does what [`Store::commit`] does, and keeps what the batch held instead of a copy.
    pub fn keep(&mut self, batch: Batch) {
        for (key, value) in batch.writes {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
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
        Ok(self.records.get(&StoreKey::from(key)).cloned())
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
        let mut range =
            self.records.range((Bound::Included(StoreKey::from(from)), Bound::Excluded(to.into())));
        loop {
            let next = match direction {
                Direction::Ascending => range.next(),
                Direction::Descending => range.next_back(),
            };
            let Some((key, value)) = next else { return Ok(()) };
            if visit(key, value).is_break() {
                return Ok(());
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
