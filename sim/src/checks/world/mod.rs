//! The oracle: what must be true of a world, one file a promise, judged as the world runs from an independent record of everything that happened.
//!
//! | file | promise | what it holds |
//! | --- | --- | --- |
//! | `lost.rs`, `expired.rs`, `elsewhere.rs` | 1 | nothing acknowledged is lost, nor goes before its time; what is stable is everywhere; where that was bought, two regions have had what is acknowledged |
//! | `durable.rs` | 2 | no acknowledgement, delivery or byte on a bridge before the batch is durable |
//! | `convergence.rs` | 3 | regions are equal, byte for byte, and are what their logs give |
//! | `amended.rs` | 3 | a message looks everywhere as what was done to it says; what a deleted one said is on no disk |
//! | `hidden.rs` | 3 | what a user deleted for themselves is gone for them, and for nobody else |
//! | `described.rs` | 3 | what a conversation says of itself was last said of it |
//! | `operated.rs` | 3 | homes, marks and flags are what operators made of them |
//! | `causal_order.rs`, `receipts.rs` | 4 | causes before effects, in regions, on devices, in ticks; marks |
//! | `clients.rs` | 4 | the devices' own histories, judged as those of a replay are |
//! | `display_order.rs` | 5 | one order on all screens |
//! | `forwarded.rs` | 6 | what is forwarded says what was shown, and counts |
//! | `shown_once.rs` | 6 | one identity, once, as it was sent |
//! | `alone.rs` | 7 | a region that is alone serves its own |
//! | `residency.rs` | 8 | the taint oracle |
//! | `roster.rs` | 10 | revocation wins in a roster, and whoever is removed is out |
//! | `bounded.rs` | 11 | every queue, buffer and window keeps its limit at every step |
//! | `refusals.rs` | 12 | no surprising refusal; honest peers understand each other |
//! | `liveness.rs` | 1, 11 | once faults have ended, all is whole and every queue drains in time |
//!
//! What must always hold: the record (`record/`) never asks the product's vectors, cuts or digests; a hook costs constant or logarithmic time; switched
//! off, only what people know of their screens is kept.

mod admitted;
mod alone;
mod amended;
mod bounded;
mod causal_order;
mod clients;
mod convergence;
mod described;
mod display_order;
mod durable;
mod elsewhere;
mod expired;
mod forwarded;
mod hidden;
mod lies;
mod limits;
mod liveness;
mod lost;
mod operated;
mod receipts;
mod record;
mod refusals;
mod residency;
mod roster;
mod salvaged;
mod screens;
mod shown_once;
mod stability;
mod told;
mod verdict;

use crate::world::Moment;
use admitted::Admitted;
use alone::Alone;
use crdt::{DeviceId, MessageId, PlacementId, RegionId, ReplicaId, UserId};
use forwarded::Forwards;
use hidden::HiddenFacts;
use lies::Lies;
use operated::Operators;
use record::Record;
use replication::placement::Durability;
pub(crate) use residency::CANARY;
use residency::Residency;
use std::collections::{BTreeMap, BTreeSet};
use verdict::Tallies;
pub use verdict::{Checker, Class, Tally, Violation};

/// At most so many are kept; the first is what matters.
const VIOLATIONS_MAX: usize = 20;

/// What a checker found: itself, and what happened.
type Fault = Result<(), (Checker, String)>;

/// What a run reached at all: a run that reached none of it has checked little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Items shown to devices.
    pub shown: u64,
    /// Texts that regions let go, since they had been there for as long as messages are kept.
    pub expired: u64,
    /// Of these, with the mark of promise 4.
    pub marked: u64,
    /// Marks that went.
    pub unmarked: u64,
    /// Messages that moved to an earlier place.
    pub moved: u64,
    /// Commands acknowledged to devices.
    pub acknowledged: u64,
    /// Messages that devices told to be deleted for their user alone.
    pub hidden: u64,
    /// Receipts that regions made durable.
    pub receipts: u64,
    /// Commands told to be stable.
    pub stable: u64,
    /// Commands refused for good.
    pub refused: u64,
    /// Frames of strangers that were answered.
    pub strangers: u64,
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
    /// Processes that ended by themselves, because their store failed.
    pub ended: u64,
    /// Starts that were refused.
    pub refused_starts: u64,
    /// Torn tails that were cut.
    pub torn_tails: u64,
    /// Processes that stood still.
    pub stood_still: u64,
    /// Bridges that were refused, because no version is spoken by both.
    pub versions_refused: u64,
    /// Stores that began a second life.
    pub second_lives: u64,
    /// Regions that were fenced by what their peers know.
    pub fenced: u64,
    /// Shards that went on under another epoch.
    pub epochs: u64,
    /// A region that operators had admitted came to hold all that the others did.
    pub caught_up: u64,
    /// Copies with which a region began another incarnation.
    pub restored: u64,
    /// Snapshots of another region's store with which a region began.
    pub joined: u64,
    /// Cursors in a peer's log that went on at its base.
    pub at_base: u64,
    /// Copies that were not taken, since they hold more of a closed replica than anybody counted with.
    pub copies_refused: u64,
    /// Disks of closed replicas that were salvaged.
    pub salvaged: u64,
    /// Operations that were brought back from disks of closed replicas.
    pub brought_back: u64,
    /// Changes of members on such disks that were asked again.
    pub asked_again: u64,
    /// Regions that were lost, because their hardware lied and was found out.
    pub lost: u64,
    /// Alarms about such regions.
    pub alarms_about_lies: u64,
}

/// The record and the checkers.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    record: Record,
    residency: Residency,
    alone: Alone,
    admitted: Admitted,
    violations: Vec<Violation>,
    tallies: Tallies,
    lies: Lies,
    operators: Operators,
    hidden: HiddenFacts,
    forwards: Forwards,
    pub(crate) marks: Marks,
    /// Members of a group.
    members_max: Option<usize>,
    /// Whether every two regions of the placement that is compared have a way to each other.
    all_meet: bool,
    /// Whom epochs of that placement have closed.
    closed: Vec<ReplicaId>,
    /// Microseconds for which regions keep messages.
    kept_us: u64,
    /// What an acknowledgement means.
    durability: Durability,
    /// Regions that began with a store that another one, or an earlier life of theirs, had filled.
    began_with_another: BTreeSet<RegionId>,
    /// Commands that must be refused, wherever they are tried.
    forbidden: BTreeSet<MessageId>,
    /// Nothing is judged.
    is_off: bool,
}

impl Oracle {
    /// Judges nothing from now on: for measuring what judging costs.
    pub(crate) const fn switch_off(&mut self) {
        self.is_off = true;
    }

    /// Which regions may hold what.
    pub(crate) fn placements_are(&mut self, placements: BTreeMap<PlacementId, Vec<RegionId>>) {
        self.residency.placements_are(&placements);
        self.record.placements = placements;
    }

    /// A promise was not kept.
    pub(crate) fn violate(&mut self, at: Moment, checker: Checker, text: String) {
        self.tallies.of(checker).violations += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            let (promise, class) = (checker.promise(), checker.class());
            self.violations.push(Violation { at, promise, checker, class, text });
        }
    }

    /// Takes what a checker found.
    fn found(&mut self, at: Moment, who: impl FnOnce() -> String, fault: Fault) {
        if let Err((checker, what)) = fault {
            self.violate(at, checker, format!("{}: {what}", who()));
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

    /// The first violations.
    pub(crate) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn device_exists(&mut self, id: DeviceId, user: UserId) {
        self.record.device_exists(id, user);
        self.residency.watch_user(user);
    }

    /// A session was closed by its region.
    pub(crate) fn closed(&mut self, code: &str) {
        if code == "slow_device" {
            self.marks.slow += 1;
        }
    }
}

impl Marks {
    /// How often each was reached, in words.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 15] {
        [
            ("items shown", self.shown),
            ("shown with a mark", self.marked),
            ("a mark went", self.unmarked),
            ("moved to an earlier place", self.moved),
            ("acknowledged", self.acknowledged),
            ("deleted for oneself", self.hidden),
            ("told to be stable", self.stable),
            ("refused for good", self.refused),
            ("delivered and read ticks", self.ticks),
            ("a session missed changes", self.missed),
            ("a slow device was closed", self.slow),
            ("a bridge paused reading", self.pauses),
            ("an alarm of clocks", self.clock_alarms),
            ("taken twice, shown once", self.aliases),
            ("a region crashed", self.crashes),
        ]
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.shown += other.shown;
        self.expired += other.expired;
        self.marked += other.marked;
        self.unmarked += other.unmarked;
        self.moved += other.moved;
        self.acknowledged += other.acknowledged;
        self.hidden += other.hidden;
        self.receipts += other.receipts;
        self.stable += other.stable;
        self.refused += other.refused;
        self.ticks += other.ticks;
        self.strangers += other.strangers;
        self.missed += other.missed;
        self.slow += other.slow;
        self.pauses += other.pauses;
        self.clock_alarms += other.clock_alarms;
        self.aliases += other.aliases;
        self.crashes += other.crashes;
        self.ended += other.ended;
        self.refused_starts += other.refused_starts;
        self.torn_tails += other.torn_tails;
        self.stood_still += other.stood_still;
        self.versions_refused += other.versions_refused;
        self.second_lives += other.second_lives;
        self.fenced += other.fenced;
        self.epochs += other.epochs;
        self.caught_up += other.caught_up;
        self.restored += other.restored;
        self.joined += other.joined;
        self.at_base += other.at_base;
        self.copies_refused += other.copies_refused;
        self.salvaged += other.salvaged;
        self.brought_back += other.brought_back;
        self.asked_again += other.asked_again;
        self.lost += other.lost;
        self.alarms_about_lies += other.alarms_about_lies;
    }
}
