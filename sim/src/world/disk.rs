//! A simulated disk: a placement's store with a durable part and one batch on its way, and what can go wrong with it.
//!
//! Fault model, each until the fault ends:
//! - *slow*: a sync takes longer; *stalled*: it returns when the fault ends;
//! - *full*: a write is refused and nothing of it is kept;
//! - *failing*: the nth call of a kind fails, once or again and again: a read (which is never an empty answer), a write (nothing is kept), or a sync, after which nobody knows
//!   whether the batch is there: it is kept or not, as drawn. What a failed call means is not decided here: the region's process ends, as in production;
//! - *crash*: a batch that was on its way is kept whole, lost whole, or torn. The engine's driver tells a torn tail from damage and cuts it before it opens a store
//!   (`region/rocks/src/torn_tail.rs`, held to that by its own power-cut tests); here its contract is kept: a torn batch is cut at the next opening, so no part of it is ever seen.
//!
//! - *lies*: a flipped bit, a misdirected write, an old copy, nothing at all; what follows from them is told in `lies.rs`.
//!
//! An engine never writes in place: what was overwritten by something shorter lies in its older files until they are compacted, which a disk with a fault does not do.
//!
//! Reads show the durable part alone. What was synced stays, but for lies.
//!
//! What must always hold: one batch at a time, as a shard starts no step before its last batch is durable; a disk on which no fault lies fails no call.

use bytes::Bytes;
use region::compact_files::KeySpan;
use region::store::{Batch, Direction, MemoryStore, StoreError, StoreKey, View, Visit};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// What a call to a disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// Reads a value or scans.
    Read,
    /// Writes a batch.
    Write,
    /// Makes it durable; after a failure the batch is not there.
    Sync,
    /// Makes it durable; after a failure the batch is there all the same.
    SyncKept,
}

/// What becomes of a batch that was not synced when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// All of it is there.
    Kept,
    /// None of it is.
    Lost,
    /// A part of it is, which the next opening cuts.
    Torn,
}

/// A call that is to fail.
#[derive(Debug)]
struct Failing {
    call: Call,
    /// Calls of this kind that still succeed.
    left: Cell<u64>,
    /// Whether all that follow fail too.
    again: bool,
}

/// A placement's store on a region's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    name: String,
    durable: MemoryStore,
    tail: Option<Batch>,
    torn: bool,
    /// Faults by their number.
    full: BTreeSet<usize>,
    stalled: BTreeSet<usize>,
    failing: BTreeMap<usize, Failing>,
    /// A sync has taken its time and waits for the stall to end.
    pub(crate) sync_waits: bool,
    /// Old copies, by the fault that will put them in place, each with the keys whose values were not what was written.
    copies: BTreeMap<usize, (MemoryStore, BTreeSet<StoreKey>)>,
    /// Keys whose values are not what was written.
    damaged: BTreeSet<StoreKey>,
    /// It is gone, and its folder remembers that there was one.
    gone: bool,
    /// What the engine's older files hold besides: values that shorter ones took the place of, as when a text is cut.
    older: Vec<(StoreKey, Bytes)>,
}

impl Disk {
    pub(crate) fn named(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    /// One that holds a copy of another one, and a batch that was written to it since.
    pub(crate) fn begun(name: String, copy: MemoryStore, batch: Batch) -> Self {
        let mut disk = Self { durable: copy, ..Self::named(name) };
        disk.durable.keep(batch);
        disk
    }

    /// A copy of what it holds.
    pub(crate) fn copied(&self) -> MemoryStore {
        self.durable.clone()
    }

    /// What reads see.
    pub(crate) fn view(&self) -> &dyn View {
        if self.failing.is_empty() { &self.durable } else { self }
    }

    /// What lies on it, for a checker, whose reads are no calls that could fail; none if some value is not what was written.
    pub(crate) fn holds(&self) -> Option<&dyn View> {
        if self.is_spoilt() { None } else { Some(&self.durable) }
    }

    /// The same, spoilt or not: a record that is not what was written reads as damaged, here as there.
    pub(crate) const fn holds_now(&self) -> &dyn View {
        &self.durable
    }

    /// Whether a fault lies on it: a disk on which none does fails no call.
    pub(crate) fn is_faulty(&self) -> bool {
        !self.failing.is_empty() || !self.full.is_empty() || self.is_spoilt()
    }

    /// Whether some value is not what was written.
    pub(crate) fn is_damaged(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// Whether what it holds must not be served.
    pub(crate) fn is_spoilt(&self) -> bool {
        self.is_damaged() || self.gone
    }

    /// Finds the store before it is opened, as the region's driver does.
    ///
    /// # Errors
    /// When it is gone though its folder remembers it.
    pub(crate) fn find(&self) -> Result<(), String> {
        if self.gone {
            return Err(format!("the store {} has been started before and is gone", self.name));
        }
        Ok(())
    }

    /// Begins to write a batch.
    ///
    /// # Errors
    /// When the disk is full or fails; nothing of the batch is kept then.
    pub(crate) fn write(&mut self, batch: Batch) -> Result<(), StoreError> {
        assert!(self.tail.is_none(), "a shard starts no step before its last batch is durable");
        if !batch.is_empty() {
            if !self.full.is_empty() {
                return Err(StoreError::Full { store: self.name.clone() });
            }
            self.called("commit", |call| *call == Call::Write)?;
        }
        self.tail = Some(batch);
        Ok(())
    }

    /// The batch is on stable storage.
    ///
    /// # Errors
    /// When the sync fails; whether the batch is kept is told by [`Self::keeps_unsynced`].
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        if self.tail.as_ref().is_some_and(|tail| !tail.is_empty()) {
            self.called("sync", |call| matches!(call, Call::Sync | Call::SyncKept))?;
        }
        if let Some(batch) = self.tail.take() {
            self.keep(batch);
        }
        Ok(())
    }

    fn keep(&mut self, batch: Batch) {
        if !self.damaged.is_empty() {
            for (key, _) in batch.writes() {
                self.damaged.remove(key);
            }
        }
        self.durable.keep_shrinking(batch, |key, before| self.older.push((key, before)));
    }

    /// Rewrites the files over those keys. Says whether nothing is left there of before: a disk on which a fault lies may fail any write.
    pub(crate) fn compact(&mut self, spans: &[KeySpan]) -> bool {
        let is_able = !self.is_faulty() && !self.is_stalled();
        if is_able {
            let is_over = |key: &StoreKey, span: &KeySpan| key[..] >= span.from[..] && key[..] < span.to[..];
            self.older.retain(|(key, _)| !spans.iter().any(|span| is_over(key, span)));
        }
        is_able
    }

    /// Values that the engine's older files hold.
    pub(crate) fn older(&self) -> impl Iterator<Item = &Bytes> {
        self.older.iter().map(|(_, value)| value)
    }

    /// What becomes of a batch whose sync failed.
    pub(crate) fn keeps_unsynced(&self) -> Tail {
        let kept = self.failing.values().any(|failing| failing.call == Call::SyncKept);
        if kept { Tail::Kept } else { Tail::Lost }
    }

    /// The process dies, or the machine loses its power. Returns whether a batch that was on its way was kept.
    pub(crate) fn crash(&mut self, tail: Tail) -> bool {
        self.sync_waits = false;
        match self.tail.take() {
            Some(batch) if tail == Tail::Kept => {
                self.keep(batch);
                true
            }
            Some(batch) => {
                self.torn |= tail == Tail::Torn && !batch.is_empty();
                false
            }
            None => false,
        }
    }

    /// Cuts a torn tail, as the engine's driver does before it opens a store. Returns whether there was one.
    pub(crate) const fn cut_torn_tail(&mut self) -> bool {
        std::mem::replace(&mut self.torn, false)
    }

    pub(crate) fn is_stalled(&self) -> bool {
        !self.stalled.is_empty()
    }

    /// It has no room from now on.
    pub(crate) fn fill(&mut self, fault: usize) {
        self.full.insert(fault);
    }

    /// Syncs do not return from now on.
    pub(crate) fn stall(&mut self, fault: usize) {
        self.stalled.insert(fault);
    }

    /// After so many more calls of that kind one fails; the following ones too if `again`.
    pub(crate) fn fail(&mut self, fault: usize, call: Call, after: u64, again: bool) {
        self.failing.insert(fault, Failing { call, left: Cell::new(after), again });
    }

    /// That fault is over. Returns whether a sync had waited for it.
    pub(crate) fn recover(&mut self, fault: usize) -> bool {
        self.full.remove(&fault);
        self.failing.remove(&fault);
        self.stalled.remove(&fault);
        !self.is_stalled() && std::mem::replace(&mut self.sync_waits, false)
    }

    /// Copies the store as it is now.
    pub(crate) fn copy(&mut self, fault: usize) {
        self.copies.insert(fault, (self.durable.clone(), self.damaged.clone()));
    }

    /// Whether it was copied for that fault.
    pub(crate) fn has_copy(&self, fault: usize) -> bool {
        self.copies.contains_key(&fault)
    }

    /// Puts that old copy in place. Returns whether it differs from what was there.
    pub(crate) fn restore(&mut self, fault: usize) -> bool {
        let Some((copy, damaged)) = self.copies.remove(&fault) else { return false };
        let differs = copy != self.durable;
        (self.durable, self.damaged, self.gone) = (copy, damaged, false);
        self.older.clear();
        differs
    }

    /// Loses everything.
    pub(crate) fn empty(&mut self, remembered: bool) {
        self.durable = MemoryStore::new();
        self.damaged.clear();
        self.older.clear();
        self.gone = remembered;
    }

    /// Flips one bit of one value.
    pub(crate) fn flip_bit(&mut self, salt: u32) {
        let Some((key, value)) = self.nth(salt) else { return };
        let mut bytes = value.to_vec();
        let bit = (salt >> 12) as usize % (bytes.len() * 8).max(1);
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
            self.spoil(key, bytes.into());
        }
    }

    /// A value is written in the place of another one, and its own place holds nothing of use.
    pub(crate) fn misdirect(&mut self, salt: u32) {
        let (Some((from, value)), Some((to, _))) = (self.nth(salt), self.nth(salt >> 12)) else { return };
        if from != to {
            self.spoil(from, Bytes::from(vec![0; value.len()]));
            self.spoil(to, value);
        }
    }

    fn nth(&self, salt: u32) -> Option<(StoreKey, Bytes)> {
        let index = salt as usize % self.durable.records().count().max(1);
        self.durable.records().nth(index).map(|(key, value)| (key.clone(), value.clone()))
    }

    fn spoil(&mut self, key: StoreKey, value: Bytes) {
        let mut batch = Batch::default();
        batch.put(key.clone(), value);
        self.durable.keep(batch);
        self.damaged.insert(key);
    }

    fn called(&self, name: &'static str, is: impl Fn(&Call) -> bool) -> Result<(), StoreError> {
        let mut fails = false;
        for failing in self.failing.values().filter(|failing| is(&failing.call)) {
            let left = failing.left.get();
            fails |= left == 0;
            // Once it has struck, one that does not strike again never comes to zero any more.
            failing.left.set(if left > 0 {
                left - 1
            } else if failing.again {
                0
            } else {
                u64::MAX
            });
        }
        let reason = || "Input/output error (os error 5)".to_owned();
        if fails {
            return Err(StoreError::Failed { store: self.name.clone(), call: name, reason: reason() });
        }
        Ok(())
    }
}

/// The reads of a disk that may fail.
impl View for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.called("get", |call| *call == Call::Read)?;
        self.durable.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        self.called("scan", |call| *call == Call::Read)?;
        self.durable.scan(from, to, direction, visit)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn batch(value: &str) -> Batch {
        let mut batch = Batch::default();
        batch.put(Bytes::from("key"), value.to_owned().into());
        batch
    }

    fn disk() -> Disk {
        let mut disk = Disk::named("p1".to_owned());
        disk.write(batch("old")).unwrap();
        disk.sync().unwrap();
        disk
    }

    fn value(disk: &Disk) -> Bytes {
        disk.view().get(b"key").unwrap().unwrap()
    }

    #[test]
    fn a_crash_keeps_all_of_a_batch_or_nothing_and_a_torn_one_is_cut() {
        for (tail, then) in [(Tail::Kept, "new"), (Tail::Lost, "old"), (Tail::Torn, "old")] {
            let mut disk = disk();
            disk.write(batch("new")).unwrap();
            assert_eq!(value(&disk), "old", "reads show the durable part alone");
            assert_eq!(disk.crash(tail), tail == Tail::Kept);
            assert_eq!(disk.cut_torn_tail(), tail == Tail::Torn);
            assert_eq!(value(&disk), then);
        }
    }

    #[test]
    fn a_full_disk_refuses_a_batch_and_keeps_nothing_of_it() {
        let mut disk = disk();
        disk.fill(0);
        assert_eq!(disk.write(Batch::default()), Ok(()), "nothing needs no room");
        disk.sync().unwrap();
        assert_eq!(disk.write(batch("new")), Err(StoreError::Full { store: "p1".to_owned() }));
        disk.recover(0);
        assert!(!disk.crash(Tail::Kept));
        assert_eq!(value(&disk), "old");
        assert_eq!(disk.write(batch("new")), Ok(()));
    }

    #[test]
    fn the_nth_call_fails_once_or_for_as_long_as_the_fault_lasts() {
        for again in [false, true] {
            let mut disk = disk();
            disk.fail(0, Call::Read, 2, again);
            let fails: Vec<bool> = (0..5).map(|_| disk.view().get(b"key").is_err()).collect();
            assert_eq!(fails, [false, false, true, again, again]);
            let scans = disk
                .view()
                .scan(b"a", b"z", Direction::Ascending, &mut |_, _| std::ops::ControlFlow::Continue(()));
            assert_eq!(scans.is_err(), again);
            disk.recover(0);
            assert_eq!(value(&disk), "old");
        }
    }

    #[test]
    fn a_damaged_value_is_told_from_what_was_written_until_it_is_written_anew() {
        for misdirected in [false, true] {
            let mut disk = disk();
            let mut other = Batch::default();
            other.put(Bytes::from("other"), Bytes::from("another"));
            disk.write(other).unwrap();
            disk.sync().unwrap();
            if misdirected {
                disk.misdirect(1 << 12)
            } else {
                disk.flip_bit(0)
            }
            assert!(disk.is_spoilt() && disk.is_faulty() && value(&disk) != "old");
            for key in ["key", "other"] {
                let mut anew = Batch::default();
                anew.put(Bytes::from(key), Bytes::from("anew"));
                disk.write(anew).unwrap();
                disk.sync().unwrap();
            }
            assert!(!disk.is_spoilt());
        }
    }

    #[test]
    fn an_old_copy_is_what_the_store_was_and_an_emptied_one_is_gone() {
        let mut disk = disk();
        disk.copy(7);
        assert!(!disk.restore(7), "nothing has changed");
        disk.copy(7);
        disk.write(batch("new")).unwrap();
        disk.sync().unwrap();
        assert!(disk.restore(7));
        assert_eq!(value(&disk), "old");
        disk.empty(true);
        assert!(disk.find().is_err() && disk.view().get(b"key") == Ok(None));
        disk.empty(false);
        assert_eq!(disk.find(), Ok(()));
    }

    #[test]
    fn what_was_cut_lies_in_older_files_until_they_are_compacted() {
        let mut disk = disk();
        disk.write(batch("o")).unwrap();
        disk.sync().unwrap();
        let over = |from: &'static str, to: &'static str| [KeySpan { from: from.into(), to: to.into() }];
        assert!(disk.compact(&over("a", "key")), "the end is not among them");
        assert_eq!(disk.older().collect::<Vec<_>>(), ["old"]);
        disk.fill(0);
        assert!(!disk.compact(&over("key", "l")));
        disk.recover(0);
        assert!(disk.compact(&over("key", "l")));
        assert_eq!(disk.older().count(), 0);
    }

    #[test]
    fn a_copy_of_a_damaged_store_is_damaged_too() {
        let mut disk = disk();
        disk.flip_bit(0);
        disk.copy(7);
        disk.write(batch("new")).unwrap();
        disk.sync().unwrap();
        assert!(!disk.is_damaged(), "it was written anew");
        assert!(disk.restore(7) && disk.is_damaged() && disk.is_faulty());
    }

    #[test]
    fn after_a_failed_sync_the_batch_is_there_or_is_not() {
        for (call, kept, then) in [(Call::SyncKept, true, "new"), (Call::Sync, false, "old")] {
            let mut disk = disk();
            disk.fail(0, call, 0, false);
            disk.write(batch("new")).unwrap();
            assert!(disk.sync().is_err());
            let tail = disk.keeps_unsynced();
            assert_eq!(disk.crash(tail), kept);
            assert_eq!(value(&disk), then);
        }
    }
}
