//! What a shard has done, for metrics and for the counted costs.
//!
//! What must always hold: counting takes no lock, and counts only grow while the process lives. Inputs over syncs is what one sync carried.

use crdt::Now;
use region::store::{Batch, StoreKey};
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one shard.
#[derive(Debug, Default)]
pub struct ShardCounters {
    /// Steps taken.
    pub steps: AtomicU64,
    /// Commands, deliveries and ticks that went into them.
    pub inputs: AtomicU64,
    /// Batches made durable: one write and one sync each.
    pub syncs: AtomicU64,
    /// Keys written by them.
    pub writes: AtomicU64,
    /// Bytes of keys and values in them, before what the engine adds.
    pub bytes: AtomicU64,
    /// Users named by peers' operations although their pin does not allow the placement: an alarm.
    pub pins_broken: AtomicU64,
    /// Peers' changes of members that contradict what their regions had acknowledged: an alarm.
    pub behind_folds: AtomicU64,
    /// Acknowledgements of another history than stands here: an alarm.
    pub other_histories: AtomicU64,
    /// Peers' operations that spend or give a right to a place in a group that their region does not hold: an alarm.
    pub no_rights: AtomicU64,
    /// Peers' changes of documents that do not stand, or wait for what is not here: an alarm.
    pub document_changes_kept_out: AtomicU64,
    /// Registers in peers' feeds whose value is none: an alarm.
    pub registers_kept_out: AtomicU64,
    /// Time spent in them, in microseconds.
    pub sync_us: AtomicU64,
    /// Time spent in the last of them, in microseconds; zero before the first.
    pub last_sync_us: AtomicU64,
    /// Commands and acts that were refused since the mailbox was full.
    pub letters_refused: AtomicU64,
    /// Compactions begun, so that no file holds what was cut.
    pub compactions: AtomicU64,
    /// Those that came to nothing, and are tried again.
    pub compactions_failed: AtomicU64,
    /// Since when texts that were cut may lie in the engine's older files, in microseconds of the region's present; zero if none does.
    pub leftovers_since_us: AtomicU64,
    /// For how long at least the oldest texts of messages have been here, in microseconds; zero while none has been for a day.
    pub texts_age_us: AtomicU64,
    /// Answers that wait until another region has what they are about.
    pub held_answers: AtomicU64,
    /// Posts and edits that are kept no longer.
    pub texts_expired: AtomicU64,
    /// Partitions read again at leisure.
    pub scrubbed: AtomicU64,
    /// Records that were damaged when they were last read again.
    pub damaged: AtomicU64,
}

impl ShardCounters {
    pub(crate) fn stepped(&self, inputs: usize) {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.inputs.fetch_add(inputs as u64, Ordering::Relaxed);
    }

    pub(crate) fn letter_refused(&self) {
        self.letters_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn pin_broken(&self) {
        self.pins_broken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn behind_fold(&self) {
        self.behind_folds.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn another_history(&self) {
        self.other_histories.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn document_change_kept_out(&self) {
        self.document_changes_kept_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn register_kept_out(&self) {
        self.registers_kept_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn no_right(&self) {
        self.no_rights.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn compacts(&self) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn compaction_failed(&self) {
        self.compactions_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn scrubbed(&self, damaged: usize) {
        self.scrubbed.fetch_add(1, Ordering::Relaxed);
        self.damaged.store(damaged as u64, Ordering::Relaxed);
    }

    pub(crate) fn leftovers_since(&self, since: Option<Now>) {
        self.leftovers_since_us.store(since.unwrap_or_default().0, Ordering::Relaxed);
    }

    pub(crate) fn expired(&self, operations: usize) {
        self.texts_expired.fetch_add(operations as u64, Ordering::Relaxed);
    }

    pub(crate) fn holds_answers(&self, answers: usize) {
        self.held_answers.store(answers as u64, Ordering::Relaxed);
    }

    pub(crate) fn texts_age(&self, age_us: Option<u64>) {
        self.texts_age_us.store(age_us.unwrap_or_default(), Ordering::Relaxed);
    }

    pub(crate) fn committed(&self, batch: &Batch, took_us: u64) {
        let size =
            |(key, value): (&StoreKey, Option<&bytes::Bytes>)| key.len() + value.map_or(0, bytes::Bytes::len);
        let bytes: usize = batch.writes().map(size).sum();
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(batch.writes().count() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.sync_us.fetch_add(took_us, Ordering::Relaxed);
        self.last_sync_us.store(took_us, Ordering::Relaxed);
    }
}
