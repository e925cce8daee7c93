//! The oracle: an independent record of everything that happened in a world, and the promises held against it.
//!
//! It sees what people did, what became durable where, what left each region, and what each device was told, in the order in which that happened.
//! It never asks the product's vectors, cuts or digests what should be there; where it reads a cut (of a receipt, of what is stable), it
//! holds what the cut claims against its own record.
//!
//! | file | promises |
//! | --- | --- |
//! | `operations.rs` | 1, 2: acknowledged when durable; once, after its causes, in every region |
//! | `shown.rs` | 4, 6 on each device; acknowledgements, marks |
//! | `receipts.rs` | receipts and stability claim nothing that is not so |
//! | `residency.rs` | 8 |
//! | `whole.rs` | 1, 3, 5 and liveness, once all is calm |

mod operations;
mod receipts;
mod residency;
mod set;
mod shown;
mod verdict;
mod whole;

use crate::world::Moment;
use crdt::{ConversationId, DeviceId, UserId};
use operations::{Facts, Sent};
pub(crate) use residency::CANARY;
use residency::Canaries;
use shown::DeviceFacts;
use std::collections::BTreeMap;
use verdict::Tallies;
pub use verdict::{Checker, Class, Tally, Violation};

/// At most so many are kept; the first is what matters.
const VIOLATIONS_MAX: usize = 20;

/// What a run reached at all: a run that reached none of it has checked little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Items shown to devices.
    pub shown: u64,
    /// Of these, with the mark of promise 4.
    pub marked: u64,
    /// Marks that went.
    pub unmarked: u64,
    /// Messages that moved to an earlier place.
    pub moved: u64,
    /// Commands acknowledged to devices.
    pub acknowledged: u64,
    /// Commands told to be stable.
    pub stable: u64,
    /// Commands refused for good.
    pub refused: u64,
    /// Delivered and read ticks.
    pub ticks: u64,
    /// Sessions that missed changes.
    pub missed: u64,
    /// Sessions closed for slowness.
    pub slow: u64,
    /// Bridges that paused reading.
    pub pauses: u64,
    /// Alarms of clocks that are apart.
    pub clock_alarms: u64,
    /// Operations that are a duplicate of another.
    pub aliases: u64,
    /// Crashes of regions.
    pub crashes: u64,
}

/// The record.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) conversations: BTreeMap<ConversationId, Facts>,
    pub(crate) devices: BTreeMap<DeviceId, DeviceFacts>,
    canaries: Canaries,
    violations: Vec<Violation>,
    tallies: Tallies,
    pub(crate) marks: Marks,
}

impl Oracle {
    /// A promise was not kept.
    pub(crate) fn violate(&mut self, at: Moment, checker: Checker, text: String) {
        self.tallies.of(checker).violations += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            let (promise, class) = (checker.promise(), checker.class());
            self.violations.push(Violation { at, promise, checker, class, text });
        }
    }

    /// That checker looked at something.
    pub(crate) const fn look_at(&mut self, checker: Checker) {
        self.looked_at(checker, 1);
    }

    /// That checker looked at so many things.
    pub(crate) const fn looked_at(&mut self, checker: Checker, things: u64) {
        self.tallies.of(checker).checked += things;
    }

    /// How each promise fared, by its number: every promise that has a checker.
    pub(crate) fn promises(&self) -> BTreeMap<u8, Tally> {
        let mut promises: BTreeMap<u8, Tally> =
            Checker::promises().into_iter().map(|promise| (promise, Tally::default())).collect();
        for (checker, tally) in self.tallies.iter() {
            let sum = promises.entry(checker.promise()).or_default();
            sum.violations += tally.violations;
            sum.checked += tally.checked;
        }
        promises
    }

    /// All of them.
    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn device_exists(&mut self, id: DeviceId, user: UserId) {
        self.devices.insert(id, DeviceFacts::new(user));
    }

    /// A session was closed by its region.
    pub(crate) fn closed(&mut self, code: &str) {
        if code == "slow_device" {
            self.marks.slow += 1;
        }
    }
}

impl Marks {
    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.shown += other.shown;
        self.marked += other.marked;
        self.unmarked += other.unmarked;
        self.moved += other.moved;
        self.acknowledged += other.acknowledged;
        self.stable += other.stable;
        self.refused += other.refused;
        self.ticks += other.ticks;
        self.missed += other.missed;
        self.slow += other.slow;
        self.pauses += other.pauses;
        self.clock_alarms += other.clock_alarms;
        self.aliases += other.aliases;
        self.crashes += other.crashes;
    }
}
