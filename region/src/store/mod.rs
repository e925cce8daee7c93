//! What the shard asks of a disk: an ordered map of bytes with atomic, synced batches.
//!
//! What must always hold: when [`Store::commit`] returns, the batch is on stable storage, whole; when it fails, the process ends,
//! because after a failed sync nobody knows what is on the disk. A read that fails is an error, never an empty answer.

pub mod conformance;
mod key;
mod memory;

pub use key::StoreKey;
pub use memory::MemoryStore;

use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key.
    Ascending,
    /// From the largest key.
    Descending,
}

/// Why a store did not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A record that is not what was written. The store must not be served: on the operator's word it is repaired, or returns as a new incarnation.
    #[error(
        "damaged record in table {table} at key {key}: {what}; keep the disk, and see docs/operations/a-store-is-damaged.md"
    )]
    Damaged {
        /// The table, by name.
        table: &'static str,
        /// The key, in hexadecimal.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// The disk is full. Nothing of the batch was kept.
    #[error("the disk of store {store} is full: free some space and start the region again")]
    Full {
        /// The store's folder.
        store: String,
    },
    /// Any other failure of the disk or the engine.
    #[error("store {store} failed in {call}: {reason}; look after its disk, then start the region again")]
    Failed {
        /// The store's folder.
        store: String,
        /// What was being done.
        call: &'static str,
        /// What the engine said.
        reason: String,
    },
}

/// What a scan calls for each key and value; it breaks to stop the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A consistent, readable state of a store.
pub trait View {
    /// The value at that key.
    ///
    /// # Errors
    /// [`StoreError`] when the disk or the engine fails.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Visits the keys from `from` (included) up to `to` (excluded), in that direction.
    ///
    /// # Errors
    /// [`StoreError`] when the disk or the engine fails.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>;
}

/// A store with one writer.
pub trait Store: View + Send {
    /// Makes the whole batch durable, or none of it.
    ///
    /// # Errors
    /// [`StoreError`]; the caller ends the process.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Writes a consistent copy of the store into that folder, which must not exist.
    ///
    /// # Errors
    /// [`StoreError`] when the copy could not be made.
    fn checkpoint(&self, folder: &Path) -> Result<(), StoreError>;
}

/// Writes that are made durable together. The last write to a key counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    writes: BTreeMap<StoreKey, Option<Bytes>>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, key: impl Into<StoreKey>, value: Bytes) {
        self.writes.insert(key.into(), Some(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: impl Into<StoreKey>) {
        self.writes.insert(key.into(), None);
    }

    /// Does what another one does, behind it.
    pub fn append(&mut self, later: Self) {
        self.writes.extend(later.writes);
    }

    /// The writes in key order; none is a removal.
    pub fn writes(&self) -> impl Iterator<Item = (&StoreKey, Option<&Bytes>)> {
        self.writes.iter().map(|(key, value)| (key, value.as_ref()))
    }

    /// What this batch does to that key: none if nothing, else the value, none of that if it removes the key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        if self.writes.is_empty() {
            return None;
        }
        self.writes.get(&StoreKey::from(key)).map(Option::as_ref)
    }

    /// The writes from `from` (included) up to `to` (excluded), in key order.
    pub(crate) fn range<'a>(
        &'a self,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a Bytes>)> {
        // A map's range panics when it is reversed; here such a range has nothing.
        let bounds =
            (from < to).then(|| (Bound::Included(StoreKey::from(from)), Bound::Excluded(StoreKey::from(to))));
        let range = bounds.map(|bounds| self.writes.range::<StoreKey, _>(bounds));
        range.into_iter().flatten().map(|(key, value)| (&key[..], value.as_ref()))
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}
