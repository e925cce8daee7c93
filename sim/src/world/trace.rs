//! The trace of a run: a hash over everything that happened, and, if asked for, its text.
//!
//! What must always hold: two runs of one seed have the same hash, in every build; whatever a core decides differently shows in it,
//! since every frame, batch and event is hashed with its time.

use crate::world::queue::Moment;
use std::collections::VecDeque;

/// Lines kept of the newest events: what a report of a violation shows.
const LINES_MAX: usize = 100_000;

/// What happened.
#[derive(Debug)]
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    events: u64,
    /// None unless the text was asked for.
    lines: Option<VecDeque<String>>,
}

impl Trace {
    pub(crate) fn new(told: bool) -> Self {
        Self {
            hasher: blake3::Hasher::new_derive_key("archipelago world trace"),
            events: 0,
            lines: told.then(VecDeque::new),
        }
    }

    /// Something happened.
    pub(crate) fn note(&mut self, at: Moment, number: u64, what: impl FnOnce() -> String) {
        self.events += 1;
        self.hasher.update(&at.to_be_bytes()).update(&number.to_be_bytes());
        self.tell(at, what);
    }

    /// What was decided then, as bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_be_bytes()).update(bytes);
    }

    /// A line of the text alone.
    pub(crate) fn tell(&mut self, at: Moment, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            if lines.len() >= LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{}.{:06} {}", at / 1_000_000, at % 1_000_000, what()));
        }
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
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
