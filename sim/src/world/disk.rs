//! A simulated disk: a store with a durable part and one batch on its way, which a crash loses.
//!
//! Fault model: a batch takes time to be synced; a crash before that keeps all of it or nothing of it, as drawn (a write-ahead log that
//! is torn is cut at recovery, so no part of a batch is ever seen). Reads show the durable part alone. What was synced stays.
//!
//! What must always hold: one batch at a time, as a shard starts no step before its last batch is durable.

use region::store::{Batch, MemoryStore, Store as _, StoreError};

/// A placement's store on a region's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    durable: MemoryStore,
    tail: Option<Batch>,
}

impl Disk {
    /// What reads see.
    pub(crate) const fn view(&self) -> &MemoryStore {
        &self.durable
    }

    /// Begins to write a batch.
    pub(crate) fn write(&mut self, batch: Batch) {
        assert!(self.tail.is_none(), "a shard starts no step before its last batch is durable");
        self.tail = Some(batch);
    }

    /// The batch is on stable storage.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        match self.tail.take() {
            Some(batch) => self.durable.commit(&batch),
            None => Ok(()),
        }
    }

    /// The machine loses its power. Returns whether a batch that was on its way was kept.
    pub(crate) fn crash(&mut self, keeps_tail: bool) -> Result<bool, StoreError> {
        match self.tail.take() {
            Some(batch) if keeps_tail => self.durable.commit(&batch).map(|()| true),
            _ => Ok(false),
        }
    }
}
