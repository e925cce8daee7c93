//! What one more change costs in a large, old group: `cargo bench -p crdt --bench speed`.
//!
//! A roster of 1,024 members with 100,000 changes behind it takes changes that follow all others, and changes that are concurrent with so many
//! unfolded ones. The first is what a group sees day by day; the second what a healed cut brings. What must hold: a further change is
//! evaluated in under 20 µs (median), where regions acknowledge each other.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a stopwatch reads the clock, and nothing of it enters the types"
)]

use crdt::roster::{Action, Change, RosterOperation};
use crdt::{
    Cut, Dot, Incarnation, MessageId, Place, PlacementId, RegionId, ReplicaId, Roster, Sequence, Timestamp,
    UserId, VersionVector,
};
use std::collections::BTreeMap;
use std::time::Instant;

const MEMBERS: u64 = 1_024;
const CHANGES: u64 = 100_000;
/// How many changes come between two folds: what regions that acknowledge each other once a second would let gather.
const BETWEEN_FOLDS: u64 = 64;

fn user(number: u64) -> UserId {
    UserId::new(PlacementId(1), number)
}

fn replica(number: u64) -> ReplicaId {
    ReplicaId { region: RegionId(number as u16 + 1), incarnation: Incarnation(number + 7) }
}

/// Three regions that take turns, each on top of all there is.
struct Group {
    roster: Roster,
    applied: VersionVector,
    issued: u64,
    root: Dot,
}

impl Group {
    fn new() -> Self {
        let root = Dot { replica: replica(0), sequence: Sequence(1) };
        let members = (0..MEMBERS).map(user).collect();
        let mut group = Self { roster: Roster::default(), applied: VersionVector::new(), issued: 0, root };
        let create = Action::Create { members, shares: BTreeMap::new() };
        let operation = group.next(0, create, &VersionVector::new());
        group.take(operation);
        group
    }

    /// The next operation of a region, on that cut.
    fn next(&mut self, region: u64, action: Action, cut: &Cut) -> RosterOperation {
        self.issued += 1;
        let dot = Dot { replica: replica(region), sequence: self.applied.get(replica(region)).next() };
        let place = Place { hlc: Timestamp::from_ms(self.issued), dot };
        let command = MessageId(u128::from(self.issued));
        RosterOperation { place, sender: user(0), command, change: Change { cut: cut.clone(), action } }
    }

    fn take(&mut self, operation: RosterOperation) {
        self.applied.raise(operation.place.dot);
        // Nothing here is concurrent with what was folded.
        self.roster.apply(operation).unwrap();
    }

    /// Removes somebody, then adds them again.
    fn change(&mut self, number: u64) -> RosterOperation {
        let (user, under) = (user(1 + number / 2 % (MEMBERS - 1)), self.root);
        let remove = number.is_multiple_of(2);
        let action = if remove { Action::Remove { user, under } } else { Action::Add { user, under } };
        let cut = self.applied.clone();
        self.next(number % 3, action, &cut)
    }
}

fn median(mut nanoseconds: Vec<u128>) -> u128 {
    nanoseconds.sort_unstable();
    nanoseconds[nanoseconds.len() / 2]
}

/// Nanoseconds for each of so many changes that follow all others.
fn following(group: &mut Group, count: u64) -> Vec<u128> {
    let timed = |number| {
        let operation = group.change(number);
        group.applied.raise(operation.place.dot);
        let start = Instant::now();
        // Nothing here is concurrent with what was folded.
        group.roster.apply(operation).unwrap();
        let taken = start.elapsed().as_nanos();
        if number % BETWEEN_FOLDS == 0 {
            group.roster.fold(&group.applied);
        }
        taken
    };
    (0..count).map(timed).collect()
}

/// Nanoseconds for a change that is concurrent with so many unfolded ones.
fn concurrent(group: &mut Group, unfolded: u64) -> u128 {
    group.roster.fold(&group.applied);
    let cut = group.applied.clone();
    for number in 0..unfolded {
        let operation = group.change(number);
        group.take(operation);
    }
    let under = group.root;
    let times = (0..101).map(|at| {
        let late = Action::Remove { user: user(900 + at), under };
        let mut operation = group.next(9, late, &cut);
        operation.change.cut = cut.clone();
        let mut roster = group.roster.clone();
        let start = Instant::now();
        // Nothing here is concurrent with what was folded.
        roster.apply(operation).unwrap();
        start.elapsed().as_nanos()
    });
    median(times.collect())
}

fn main() {
    let mut group = Group::new();
    let start = Instant::now();
    let first = median(following(&mut group, 1_000));
    following(&mut group, CHANGES - 2_000);
    let last = median(following(&mut group, 1_000));
    let (taken, record) = (start.elapsed(), group.roster.encode().len());
    assert_eq!(group.roster.size() as u64, MEMBERS);
    println!("{CHANGES} changes in a group of {MEMBERS}: {:.2} s, folds included", taken.as_secs_f64());
    println!("a further change that follows all, among the first 1,000: {:.2} µs", first as f64 / 1e3);
    println!("a further change that follows all, after {CHANGES}: {:.2} µs", last as f64 / 1e3);
    println!("its record: {record} bytes");
    for unfolded in [1, 16, 64, 256, 1_024] {
        let taken = concurrent(&mut group, unfolded);
        println!("a change concurrent with {unfolded} unfolded: {:.1} µs", taken as f64 / 1e3);
    }
}
