//! How a run went: the verdict on each promise, what people saw, what machines did, and the hashes by which two runs are compared.
//!
//! What must always hold: everything here is a function of the script alone; wall time and memory are the caller's to add.

use crate::checks::world::{Class, Marks, Tally, Violation};
use crate::figures::{Machines, Users};
use crate::page::Recording;
use std::collections::BTreeMap;

/// How a run went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The scenario.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The verdict.
    pub class: Verdict,
    /// How each promise fared, by its number: those that have a checker, and those that the scenario names.
    pub promises: BTreeMap<u8, Tally>,
    /// The promises that were to be judged and at which no checker looked: of those that the scenario names. If it names none, any will do,
    /// but not nothing at all.
    pub unseen: Vec<u8>,
    /// What was broken, the first of it.
    pub violations: Vec<Violation>,
    /// A hash over everything that happened.
    pub trace_hash: [u8; 32],
    /// Hashes on the way: after so many events it was that.
    pub checkpoints: Vec<(u64, [u8; 32])>,
    /// Events that production code handled: frames, timers, completions of disks and links.
    pub events: u64,
    /// Those of them that were heartbeats, or timers without anything to do.
    pub idle_events: u64,
    /// Everything that happened, by which the trace numbers it.
    pub happenings: u64,
    /// How long the run was, in microseconds of the world's time.
    pub simulated_us: u64,
    /// What it reached.
    pub marks: Marks,
    /// What people saw.
    pub users: Users,
    /// What machines did.
    pub machines: Machines,
    /// What was drawn, by name.
    pub drawn: BTreeMap<String, String>,
    /// The newest lines of the text, if it was told.
    pub lines: Vec<String>,
    /// What happened, for a page, if it was recorded.
    pub recording: Option<Recording>,
}

/// A verdict. Panics and runs that differ are for whoever runs a script to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every promise was kept.
    Kept,
    /// Something happened that must never happen.
    Safety,
    /// Something did not happen within the time in which it must.
    Liveness,
    /// The checkers of a promise that was to be judged never looked at anything.
    Blind,
}

impl Verdict {
    /// The verdict on these findings. What is unsafe weighs most; nothing is blind that found something.
    pub(crate) fn of(violations: &[Violation], unseen: &[u8]) -> Self {
        if violations.iter().any(|violation| violation.class == Class::Safety) {
            Self::Safety
        } else if !violations.is_empty() {
            Self::Liveness
        } else if !unseen.is_empty() {
            Self::Blind
        } else {
            Self::Kept
        }
    }
}

impl From<Class> for Verdict {
    fn from(class: Class) -> Self {
        match class {
            Class::Safety => Self::Safety,
            Class::Liveness => Self::Liveness,
        }
    }
}
