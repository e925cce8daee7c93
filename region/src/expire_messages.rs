//! Lets the texts of messages go that this region has kept for as long as messages are kept.
//!
//! The age of a message is how long it has been *here*, while this region ran (`running_time.rs`), and never its timestamp: who was cut off for a month brings messages that are a month old, and
//! everybody here is to see them (history 25). The naive way writes a time beside each operation. Here each partition that grows notes once a day how far its log reaches; when the note
//! has come of age, so has all that stands up to there. So a text stays for a day longer at most, and a note is some 20 bytes a partition and day.
//!
//! What must always hold:
//! - Nothing goes that is not stable: every region of the placement has applied it, so none will ask for it (history 24). What is not stable holds up what stands behind it in the log.
//! - Only the text goes. The envelope stays, so the message is known for ever: sent again it is the same one and not shown (history 22), and regions hold the same state
//!   whichever of them has let it go. That is why no region needs to ask another: what a partition's digest is made of does not change.
//! - How far it has come is written in the batch that lets go, so a crash forgets nothing, and what was let go is cut from the engine's older files as deleted texts are (`compact_files.rs`).
//!
//! Cost: nothing a message but its share of a note, and one more write of its envelope when its text goes; a comparison a step while nothing is due. Bounded: [`NOTES_MAX`] notes a partition; [`EXPIRED_A_STEP_MAX`] entries of a log are looked at in a step, each read and written once; while more are left the next step is due at once.

use crate::compact_files::Leftovers;
use crate::keys::{Key, KeyRange};
use crate::limits::EXPIRED_A_STEP_MAX;
use crate::partition;
use crate::pending::Pending;
use crate::record::{self, LogRecord, damaged};
use crate::running_time::{Ran, RunningTime};
use crate::shard::Effect;
use crate::store::{Direction, StoreError, View};
use crdt::{Bucket, Now};
use replication::log::Position;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// A partition notes so often while something is kept how far its log reaches.
const NOTES_MAX: u64 = 30;
/// So often meanwhile it is written how long the store has been run, where nothing else is: once an hour of thirty days.
const COUNTED_MAX: u64 = 720;
/// Milliseconds after which it is, with what is written anyway.
const COUNTED_EVERY_MS: u64 = 60_000;

/// What is to be noted, and what comes of age.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    running: RunningTime,
    /// As it was in the last step.
    ran: Ran,
    /// Partitions that have grown behind their last note, and since when.
    grown: BTreeMap<Bucket, Ran>,
    /// The oldest note of each partition that has one.
    oldest: BTreeMap<Bucket, Ran>,
    /// Those whose oldest note has come of age, and something up to it is not stable: looked at again once more is.
    held_up: BTreeSet<Bucket>,
    /// Before that nothing is to be noted or to go.
    next: Ran,
}

impl Ages {
    /// What a store holds. What has come since the last note of a partition is noted when that is due, however often the region starts.
    pub(crate) fn load(view: &dyn View) -> Result<Self, StoreError> {
        let mut ages = Self { running: RunningTime::load(view)?, ..Self::default() };
        for bucket in partition::buckets(view)? {
            let (since, known) = match note(view, bucket, Direction::Descending)? {
                Some(last) => last,
                None => (Ran::default(), expired(view, bucket)?),
            };
            if partition::reach(view, bucket)?.log_end > known {
                ages.grown.insert(bucket, since);
            }
            ages.running.at_least(since);
            if let Some((at, _)) = note(view, bucket, Direction::Ascending)? {
                ages.oldest.insert(bucket, at);
            }
        }
        Ok(ages)
    }

    /// For how many microseconds at least the oldest texts have been here; none while none has been for long.
    pub(crate) fn oldest_us(&self) -> Option<u64> {
        self.oldest.values().min().map(|oldest| self.ran.0.saturating_sub(oldest.0))
    }

    /// More is stable in that partition.
    pub(crate) fn note_stable(&mut self, bucket: Bucket) {
        if self.held_up.remove(&bucket) {
            self.next = self.ran;
        }
    }

    /// When the next is to be noted or to go; none if there is nothing.
    pub(crate) fn due(&self, kept_ms: u64) -> Option<Now> {
        if self.is_idle() {
            return None;
        }
        // While texts come of age it is written how far they have, also where nothing else is.
        self.running.when(self.next.min(self.ran.plus_ms(kept_ms / COUNTED_MAX)))
    }

    /// When the next is, by how long the store has been run.
    fn find_next(&self, kept_ms: u64) -> Ran {
        let noted = self.grown.values().map(|since| since.plus_ms(kept_ms / NOTES_MAX));
        let come = self.oldest.iter().filter(|(bucket, _)| !self.held_up.contains(bucket));
        noted.chain(come.map(|(_, noted)| noted.plus_ms(kept_ms))).min().unwrap_or(Ran(u64::MAX))
    }

    /// Whether no text waits to come of age.
    fn is_idle(&self) -> bool {
        self.grown.is_empty() && self.oldest.is_empty()
    }

    /// A partition whose oldest note has come of age, and nothing is known to hold it up.
    fn come_of_age(&self, kept_ms: u64) -> Option<Bucket> {
        let mut come = self.oldest.iter().filter(|(_, noted)| noted.plus_ms(kept_ms) <= self.ran);
        come.find(|(bucket, _)| !self.held_up.contains(bucket)).map(|(bucket, _)| *bucket)
    }
}

/// Notes how far the logs reach that have grown, and lets go of what has come of age.
pub(crate) fn expire(
    pending: &mut Pending<'_>,
    ages: &mut Ages,
    leftovers: &mut Leftovers,
) -> Result<(), StoreError> {
    let kept_ms = pending.config.limits.kept_ms;
    let ran = ages.running.at(pending.now);
    ages.ran = ran;
    let applied_to = pending.applied_to();
    let writes_anyway = !applied_to.is_empty();
    if writes_anyway {
        ages.running.note(ran, COUNTED_EVERY_MS, &mut pending.tables);
    } else if !ages.is_idle() {
        ages.running.note(ran, kept_ms / COUNTED_MAX, &mut pending.tables);
    }
    let is_due = ages.next <= ran;
    if is_due {
        note_growth(pending, ages, kept_ms)?;
    }
    for bucket in applied_to {
        ages.grown.entry(bucket).or_insert(ran);
        ages.next = ages.next.min(ran.plus_ms(kept_ms / NOTES_MAX));
    }
    if !is_due {
        return Ok(());
    }
    let mut room = EXPIRED_A_STEP_MAX;
    while room > 0
        && let Some(bucket) = ages.come_of_age(kept_ms)
    {
        room = let_go(pending, ages, leftovers, bucket, room)?;
    }
    ages.next = ages.find_next(kept_ms);
    Ok(())
}

/// Notes where the logs ended when this step began: what the step itself has applied is here once it is durable.
fn note_growth(pending: &mut Pending<'_>, ages: &mut Ages, kept_ms: u64) -> Result<(), StoreError> {
    let ran = ages.ran;
    let is_due = |since: &Ran| since.plus_ms(kept_ms / NOTES_MAX) <= ran;
    for (bucket, _) in ages.grown.extract_if(.., |_, since| is_due(since)) {
        let end = pending.partition(bucket)?.durable_end();
        pending.tables.put(&Key::Aged(bucket, ran), &end);
        ages.oldest.entry(bucket).or_insert(ran);
    }
    Ok(())
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
    let (begun, mut dots) = (expired, Vec::new());
    while room > 0 && expired < until {
        let next = Position(expired.0 + 1);
        let entry = partition::entry(pending.tables.view(), bucket, next, "how long it has been here")?;
        if !stable.covers(entry.dot) {
            crate::sometimes::EXPIRY_HELD_UP.reach();
            ages.held_up.insert(bucket);
            break;
        }
        if carries_a_text(bucket, next, &entry)? {
            dots.push(entry.dot);
        }
        if entry.payload.is_some() && dots.last() == Some(&entry.dot) {
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
    if !dots.is_empty() {
        let partition = pending.partition_id(bucket);
        pending.tables.effects.push(Effect::Expired { partition, dots });
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
) -> Result<Option<(Ran, Position)>, StoreError> {
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
        if entry.payload.is_some() && carries_a_text(bucket, position, &entry)? {
            let key = Key::Log(bucket, position).encode();
            return Err(damaged(&key, "its text should have gone by its age"));
        }
    }
    Ok(())
}

/// Whether it does, or did until that was cut.
fn carries_a_text(bucket: Bucket, position: Position, entry: &LogRecord) -> Result<bool, StoreError> {
    Ok(partition::decode(bucket, position, entry)?.0.kind.may_be_cut())
}

/// The entry without its text, if it holds one that should have gone: for what is put back into a log.
pub(crate) fn without_text(
    view: &dyn View,
    bucket: Bucket,
    position: Position,
    entry: &LogRecord,
) -> Result<Option<LogRecord>, StoreError> {
    let is_due = entry.payload.is_some() && position <= expired(view, bucket)?;
    Ok((is_due && carries_a_text(bucket, position, entry)?)
        .then(|| LogRecord { payload: None, ..entry.clone() }))
}
