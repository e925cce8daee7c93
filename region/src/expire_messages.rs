//! Lets the texts of messages go that this region has kept for as long as messages are kept.
//!
//! The age of a message is how long it has been *here*, by this region's own clock, and never its timestamp: who was cut off for a month brings messages that are a month old, and
//! everybody here is to see them (history 25). The naive way writes a time beside each operation. Here each partition that grows notes once a day how far its log reaches; when the note
//! has come of age, so has all that stands up to there. So a text stays for a day longer at most, and a note is some 20 bytes a partition and day.
//!
//! What must always hold:
//! - Nothing goes that is not stable: every region of the placement has applied it, so none will ask for it (history 24). What is not stable holds up what stands behind it in the log.
//! - Only the text goes. The envelope stays, so the message is known for ever: sent again it is the same one and not shown (history 22), and regions hold the same state
//!   whichever of them has let it go. That is why no region needs to ask another: what a partition's digest is made of does not change.
//! - How far it has come is written in the batch that lets go, so a crash forgets nothing, and what was let go is cut from the engine's older files as deleted texts are (`compact_files.rs`).
//!
//! Bounded: [`NOTES_MAX`] notes a partition; [`EXPIRED_A_STEP_MAX`] entries of a log are looked at in a step, each read and written once; while more are left the next step is due at once.

use crate::compact_files::Leftovers;
use crate::keys::{Key, KeyRange};
use crate::limits::EXPIRED_A_STEP_MAX;
use crate::partition;
use crate::pending::Pending;
use crate::record::{self, LogRecord, damaged};
use crate::store::{Direction, StoreError, View};
use crdt::{Bucket, Now};
use replication::log::Position;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// A partition notes so often while something is kept how far its log reaches.
pub(crate) const NOTES_MAX: u64 = 30;

/// What is to be noted, and what comes of age.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    /// Partitions that have grown behind their last note, and since when.
    grown: BTreeMap<Bucket, Now>,
    /// The oldest note of each partition that has one.
    oldest: BTreeMap<Bucket, Now>,
    /// Those whose oldest note has come of age, and something up to it is not stable: looked at again once more is.
    held_up: BTreeSet<Bucket>,
}

impl Ages {
    /// What a store holds. What has come since the last note of a partition is noted when that is due, however often the region starts.
    pub(crate) fn load(view: &dyn View) -> Result<Self, StoreError> {
        let mut ages = Self::default();
        for bucket in partition::buckets(view)? {
            let last = match note(view, bucket, Direction::Descending)? {
                Some((at, position)) => Some((at, position)),
                None => record::load(view, &Key::Expired(bucket))?.map(|expired| (Now::default(), expired)),
            };
            let (since, known) = last.unwrap_or_default();
            if partition::reach(view, bucket)?.log_end > known {
                ages.grown.insert(bucket, since);
            }
            if let Some((at, _)) = note(view, bucket, Direction::Ascending)? {
                ages.oldest.insert(bucket, at);
            }
        }
        Ok(ages)
    }

    /// The time of the oldest note.
    pub(crate) fn oldest(&self) -> Option<Now> {
        self.oldest.values().min().copied()
    }

    /// More is stable in that partition.
    pub(crate) fn note_stable(&mut self, bucket: Bucket) {
        self.held_up.remove(&bucket);
    }

    /// When the next is to be noted or to go; none if there is nothing.
    pub(crate) fn due(&self, kept_ms: u64) -> Option<Now> {
        let noted = self.grown.values().map(|since| since.plus_ms(kept_ms / NOTES_MAX));
        let held_up = |bucket: &Bucket| self.held_up.contains(bucket);
        let come = self.oldest.iter().filter(|(bucket, _)| !held_up(bucket));
        // The end of time never comes: who keeps messages for ever waits for nothing.
        noted.chain(come.map(|(_, noted)| noted.plus_ms(kept_ms))).min().filter(|due| *due < Now(u64::MAX))
    }
}

/// Notes how far the logs reach that have grown, and lets go of what has come of age.
pub(crate) fn expire(
    pending: &mut Pending<'_>,
    ages: &mut Ages,
    leftovers: &mut Leftovers,
) -> Result<(), StoreError> {
    let (now, kept_ms) = (pending.now, pending.config.limits.kept_ms);
    for bucket in pending.applied_to() {
        ages.grown.entry(bucket).or_insert(now);
    }
    let is_due = |since: &Now| since.plus_ms(kept_ms / NOTES_MAX) <= now;
    for (bucket, _) in ages.grown.extract_if(.., |_, since| is_due(since)) {
        let end = pending.partition(bucket)?.reach.log_end;
        pending.tables.put(&Key::Aged(bucket, now), &end);
        ages.oldest.entry(bucket).or_insert(now);
    }
    let mut room = EXPIRED_A_STEP_MAX;
    while room > 0
        && let Some(bucket) = ages.come_of_age(now, kept_ms)
    {
        room = let_go(pending, ages, leftovers, bucket, room)?;
    }
    Ok(())
}

impl Ages {
    /// A partition whose oldest note has come of age, and nothing is known to hold it up.
    fn come_of_age(&self, now: Now, kept_ms: u64) -> Option<Bucket> {
        let mut come = self.oldest.iter().filter(|(_, noted)| noted.plus_ms(kept_ms) <= now);
        come.find(|(bucket, _)| !self.held_up.contains(bucket)).map(|(bucket, _)| *bucket)
    }
}

/// Goes on in a partition up to its oldest note. Returns what is left of the room.
fn let_go(
    pending: &mut Pending<'_>,
    ages: &mut Ages,
    leftovers: &mut Leftovers,
    bucket: Bucket,
    mut room: usize,
) -> Result<usize, StoreError> {
    let stable = pending.acknowledged(bucket)?.1.clone();
    let Some((noted, until)) = note(pending.tables.view(), bucket, Direction::Ascending)? else {
        ages.oldest.remove(&bucket);
        return Ok(room);
    };
    let mut expired = expired(pending.tables.view(), bucket)?;
    let begun = expired;
    while room > 0 && expired < until {
        let next = Position(expired.0 + 1);
        let entry = partition::entry(pending.tables.view(), bucket, next, "how long it has been here")?;
        if !stable.covers(entry.dot) {
            crate::sometimes::EXPIRY_HELD_UP.reach();
            ages.held_up.insert(bucket);
            break;
        }
        if holds_a_text(bucket, next, &entry)? {
            crate::sometimes::EXPIRED.reach();
            pending.tables.put(&Key::Log(bucket, next), &LogRecord { payload: None, ..entry });
            leftovers.note(pending.now, bucket, next);
        }
        expired = next;
        room -= 1;
    }
    if expired > begun {
        pending.tables.put(&Key::Expired(bucket), &expired);
    }
    if expired >= until {
        pending.tables.delete(&Key::Aged(bucket, noted));
        match note(pending.tables.view(), bucket, Direction::Ascending)? {
            Some((next, _)) => _ = ages.oldest.insert(bucket, next),
            None => _ = ages.oldest.remove(&bucket),
        }
    }
    Ok(room)
}

/// The first or the last note of a partition.
fn note(
    view: &dyn View,
    bucket: Bucket,
    direction: Direction,
) -> Result<Option<(Now, Position)>, StoreError> {
    let mut found = None;
    record::scan(view, &KeyRange::aged(bucket), direction, |key, position: Position| {
        if let Key::Aged(_, at) = key {
            found = Some((at, position));
        }
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Up to where in a partition's log texts have gone by their age. Behind it they may have where this region has them from.
pub(crate) fn expired(view: &dyn View, bucket: Bucket) -> Result<Position, StoreError> {
    Ok(record::load(view, &Key::Expired(bucket))?.unwrap_or_default())
}

/// Checks that notes are in order and within the log, and that texts have gone where it says so.
pub(crate) fn verify(view: &dyn View, bucket: Bucket) -> Result<(), StoreError> {
    let end = partition::reach(view, bucket)?.log_end;
    let expired = expired(view, bucket)?;
    let mut before = expired;
    record::scan(view, &KeyRange::aged(bucket), Direction::Ascending, |key, position: Position| {
        if position < before || position > end {
            return Err(damaged(&key.encode(), "the log did not reach as far then"));
        }
        before = position;
        Ok(ControlFlow::Continue(()))
    })?;
    if expired > end {
        return Err(damaged(&Key::Expired(bucket).encode(), "the log does not reach as far"));
    }
    for position in (1..=expired.0).map(Position) {
        let entry = partition::entry(view, bucket, position, "how far texts have gone")?;
        if holds_a_text(bucket, position, &entry)? {
            let key = Key::Log(bucket, position).encode();
            return Err(damaged(&key, "its text should have gone by its age"));
        }
    }
    Ok(())
}

fn holds_a_text(bucket: Bucket, position: Position, entry: &LogRecord) -> Result<bool, StoreError> {
    Ok(entry.payload.is_some() && partition::decode(bucket, position, entry)?.0.kind.may_be_cut())
}

/// The entry without its text, if it holds one that should have gone: for what is put back into a log.
pub(crate) fn without_text(
    view: &dyn View,
    bucket: Bucket,
    position: Position,
    entry: &LogRecord,
) -> Result<Option<LogRecord>, StoreError> {
    let is_gone = position <= expired(view, bucket)? && holds_a_text(bucket, position, entry)?;
    Ok(is_gone.then(|| LogRecord { payload: None, ..entry.clone() }))
}
