//! Says when the engine rewrites its files, so that a text that was cut is in none of them by a stated time.
//!
//! Cutting a text writes another record in its place. An engine that never changes a file (a log-structured tree) keeps the record from before in older files and in its write-ahead
//! log until it happens to compact them, which for a quiet partition is never. So where something was cut is noted, and after
//! [`compact_after_ms`](crate::limits::Limits::compact_after_ms) the driver is told to rewrite what lies over those stretches of the log.
//!
//! The naive way is to compact with every deletion: each would rewrite the files over its partition, a hundred megabytes for one message. Here a day's deletions share one rewriting.
//!
//! What must always hold:
//! - That a stretch was cut is noted in the batch that cuts it. The note goes when the driver has said that no file of before is left, so a crash, or a compaction that came to nothing,
//!   forgets nothing.
//! - What is cut while a compaction runs waits for the next one: nobody knows whether that one still met it.
//! - The wait is reckoned from the first text that was cut, by the region's own clock, over restarts. When the time has come, all that was cut until then goes along.
//!
//! Bounded: a note a partition; one compaction at a time, and as many as there are waits in a day.

use crate::keys::{Key, KeyRange};
use crate::limits::COMPACT_AGAIN_AFTER_MS;
use crate::pending::Pending;
use crate::record::{self, LeftoverRecord};
use crate::shard::Effect;
use crate::store::{Direction, StoreError, View};
use bytes::Bytes;
use crdt::{Bucket, Now};
use replication::log::Position;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Keys of which no file may hold a value that was overwritten: from one, included, to another, excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpan {
    /// The first key.
    pub from: Bytes,
    /// The key behind the last.
    pub to: Bytes,
}

/// Where files may hold what was cut, and what is being done about it.
#[derive(Debug)]
pub(crate) struct Leftovers {
    /// As the store has it.
    noted: BTreeMap<Bucket, LeftoverRecord>,
    /// What of it this step has changed.
    changed: BTreeSet<Bucket>,
    /// The partitions that a compaction is under way for; none if none is.
    running: Option<BTreeSet<Bucket>>,
    /// What was cut since it began.
    since_then: BTreeMap<Bucket, LeftoverRecord>,
    /// The last one came to nothing: the next begins no earlier.
    not_before: Now,
}

impl Leftovers {
    /// What a store holds.
    pub(crate) fn load(view: &dyn View) -> Result<Self, StoreError> {
        let mut noted = BTreeMap::new();
        record::scan(view, &KeyRange::leftovers(), Direction::Ascending, |key, record| {
            if let Key::Leftover(bucket) = key {
                noted.insert(bucket, record);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let (changed, since_then) = (BTreeSet::new(), BTreeMap::new());
        Ok(Self { noted, changed, running: None, since_then, not_before: Now::default() })
    }

    /// Something was cut there.
    pub(crate) fn note(&mut self, now: Now, bucket: Bucket, position: Position) {
        let cut = LeftoverRecord { since: now, first: position, last: position };
        widen(&mut self.noted, bucket, cut);
        self.changed.insert(bucket);
        if self.running.is_some() {
            widen(&mut self.since_then, bucket, cut);
        }
    }

    /// The compaction that was under way is through: no file of before is left over what it was for, or it came to nothing.
    pub(crate) fn compacted(&mut self, now: Now, is_done: bool) {
        let done_for = self.running.take().unwrap_or_default();
        let since_then = std::mem::take(&mut self.since_then);
        if !is_done {
            self.not_before = now.plus_ms(COMPACT_AGAIN_AFTER_MS);
            return;
        }
        for bucket in done_for {
            self.noted.remove(&bucket);
            self.changed.insert(bucket);
        }
        self.noted.extend(since_then);
    }

    /// Since when what was cut may lie in files; none if no file holds any.
    pub(crate) fn since(&self) -> Option<Now> {
        self.noted.values().map(|noted| noted.since).min()
    }

    /// When the next compaction is to begin; none if there is nothing to compact, or one is under way.
    pub(crate) fn due(&self, compact_after_ms: u64) -> Option<Now> {
        if self.running.is_some() {
            return None;
        }
        self.since().map(|since| since.plus_ms(compact_after_ms).max(self.not_before))
    }
}

/// Writes what changed in this step, and asks for a compaction if one is due.
pub(crate) fn compact(pending: &mut Pending<'_>, leftovers: &mut Leftovers) {
    let now = pending.now;
    for (bucket, noted) in leftovers.noted.iter_mut().filter(|(_, noted)| noted.since == Now::default()) {
        noted.since = now;
        leftovers.changed.insert(*bucket);
    }
    for bucket in std::mem::take(&mut leftovers.changed) {
        match leftovers.noted.get(&bucket) {
            Some(noted) => pending.tables.put(&Key::Leftover(bucket), noted),
            None => pending.tables.delete(&Key::Leftover(bucket)),
        }
    }
    if leftovers.due(pending.config.limits.compact_after_ms).is_some_and(|due| due <= now) {
        let span = |(bucket, noted): (&Bucket, &LeftoverRecord)| {
            let range = KeyRange::log_between(*bucket, noted.first, noted.last);
            KeySpan { from: Bytes::copy_from_slice(&range.from), to: Bytes::copy_from_slice(&range.to) }
        };
        pending.tables.effects.push(Effect::Compact(leftovers.noted.iter().map(span).collect()));
        leftovers.running = Some(leftovers.noted.keys().copied().collect());
    }
}

fn widen(noted: &mut BTreeMap<Bucket, LeftoverRecord>, bucket: Bucket, cut: LeftoverRecord) {
    let wider = |noted: &mut LeftoverRecord| {
        noted.first = noted.first.min(cut.first);
        noted.last = noted.last.max(cut.last);
    };
    noted.entry(bucket).and_modify(wider).or_insert(cut);
}
