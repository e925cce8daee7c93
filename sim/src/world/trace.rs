//! The trace of a run: a hash over everything that happened, and, if asked for, its text.
//!
//! What must always hold: two runs of one seed have the same hash, in every build; whatever a core decides differently shows in it,
//! since every frame, batch and event is hashed with its time. Two runs that are equal at a checkpoint have been equal up to it.

use crate::world::queue::Moment;
use std::collections::VecDeque;
use std::ops::Range;

/// Lines kept of the newest events: what a report of a violation shows.
const LINES_MAX: usize = 100_000;
/// Events between checkpoints at first. At [`CHECKPOINTS_MAX`] every second one is dropped, and they are twice as far apart from then on.
const CHECKPOINT_EVERY: u64 = 256;
/// Checkpoints that are kept: 40 bytes each.
const CHECKPOINTS_MAX: usize = 1_024;

/// Bytes that wait to be hashed, at most.
const UNHASHED_BYTES: usize = 16 << 10;

/// What happened.
#[derive(Debug)]
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    /// What is to be hashed next: much at once takes a fraction of what little by little does.
    unhashed: Vec<u8>,
    events: u64,
    /// None unless the text was asked for.
    lines: Option<VecDeque<String>>,
    /// Of which events, by their number from 1.
    told: Range<u64>,
    /// After so many events, the hash so far.
    checkpoints: Vec<(u64, [u8; 32])>,
    checkpoint_every: u64,
}

impl Trace {
    pub(crate) fn new(told: bool) -> Self {
        Self {
            hasher: blake3::Hasher::new_derive_key("archipelago world trace"),
            unhashed: Vec::with_capacity(UNHASHED_BYTES),
            events: 0,
            lines: told.then(VecDeque::new),
            told: 0..u64::MAX,
            checkpoints: Vec::new(),
            checkpoint_every: CHECKPOINT_EVERY,
        }
    }

    /// The text is kept of these events alone.
    pub(crate) fn tell_only(&mut self, events: Range<u64>) {
        self.lines = Some(VecDeque::new());
        self.told = events;
    }

    /// Something happened.
    pub(crate) fn note(&mut self, at: Moment, number: u64, what: impl FnOnce() -> String) {
        if self.events > 0 && self.events.is_multiple_of(self.checkpoint_every) {
            self.checkpoint();
        }
        self.events += 1;
        self.take(&at.to_be_bytes());
        self.take(&number.to_be_bytes());
        self.tell(at, what);
    }

    /// What was decided then, as bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.take(&(bytes.len() as u64).to_be_bytes());
        self.take(bytes);
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.unhashed.len() + bytes.len() > UNHASHED_BYTES {
            self.hasher.update(&self.unhashed);
            self.unhashed.clear();
        }
        if bytes.len() > UNHASHED_BYTES {
            self.hasher.update(bytes);
        } else {
            self.unhashed.extend_from_slice(bytes);
        }
    }

    /// A line of the text alone.
    pub(crate) fn tell(&mut self, at: Moment, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines
            && self.told.contains(&self.events)
        {
            if lines.len() >= LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{}.{:06} {}", at / 1_000_000, at % 1_000_000, what()));
        }
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> [u8; 32] {
        *self.hasher.clone().update(&self.unhashed).finalize().as_bytes()
    }

    fn checkpoint(&mut self) {
        if self.checkpoints.len() >= CHECKPOINTS_MAX {
            self.checkpoint_every *= 2;
            let every = self.checkpoint_every;
            self.checkpoints.retain(|(events, _)| events.is_multiple_of(every));
            if !self.events.is_multiple_of(every) {
                return;
            }
        }
        // Or what waits would be hashed for this checkpoint, and once more later.
        self.hasher.update(&self.unhashed);
        self.unhashed.clear();
        self.checkpoints.push((self.events, self.hash()));
    }

    /// After so many events, the hash so far: every so often, as many as are kept.
    pub(crate) fn checkpoints(&self) -> &[(u64, [u8; 32])] {
        &self.checkpoints
    }

    /// Events so far.
    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    /// The newest lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flatten().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: u64, odd: u64) -> Trace {
        let mut trace = Trace::new(false);
        trace.tell_only(10..12);
        for event in 1..=events {
            trace.note(event, event, || format!("event {event}"));
            trace.add(&[u8::from(event == odd)]);
            trace.tell(event, || "and more".to_owned());
        }
        trace
    }

    #[test]
    fn checkpoints_are_bounded_and_equal_up_to_the_first_event_that_differs() {
        let events = 3 * CHECKPOINT_EVERY * CHECKPOINTS_MAX as u64;
        let (one, other) = (run(events, 0), run(events, 500_000));
        assert!(one.checkpoints().len() <= CHECKPOINTS_MAX && one.checkpoints().len() > CHECKPOINTS_MAX / 4);
        let same = one.checkpoints().iter().zip(other.checkpoints()).take_while(|(one, other)| one == other);
        let last = same.last().map_or(0, |((events, _), _)| *events);
        assert!(last < 500_000 && last + one.checkpoint_every >= 500_000, "{last}");
        assert_ne!(one.hash(), other.hash());
    }

    #[test]
    fn the_text_of_a_few_events_can_be_asked_for() {
        let trace = run(20, 0);
        let told: Vec<&str> = trace.lines().collect();
        assert_eq!(
            told,
            ["0.000010 event 10", "0.000010 and more", "0.000011 event 11", "0.000011 and more"]
        );
    }
}
