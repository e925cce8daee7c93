//! Where to stop looking back.
//!
//! Looking for what a cut does not cover, one would have to look at all a conversation ever held, because something late may stand
//! anywhere. But the operations of one origin in one conversation arrive in their order, and their timestamps grow in it: so
//! going back, once an operation of an origin is covered, all its older ones are; and so it is with what has gone by its age, since they stand in that order in the log, too. When that has been seen of every origin, nothing
//! uncovered is left further back.

use crdt::{Cut, Dot, ReplicaId};
use std::collections::BTreeSet;

/// The origins of which nothing covered has been seen yet, going back.
#[derive(Debug)]
pub(super) struct Origins(BTreeSet<ReplicaId>);

impl Origins {
    /// The origins of a conversation that holds `held`.
    pub(super) fn of(held: &Cut) -> Self {
        Self(held.iter().map(|dot| dot.replica).collect())
    }

    /// An operation was met that the reader's cut covers, or that has gone by its age.
    pub(super) fn met_covered(&mut self, dot: Dot) {
        self.0.remove(&dot.replica);
    }

    /// Whether nothing uncovered is left further back.
    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}
