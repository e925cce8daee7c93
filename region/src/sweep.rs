//! Going through what a partition has noted to be done once more is stable, or known everywhere: where such work stands, from step to step.
//!
//! What must always hold:
//! - That there is work is noted in the store, in the batch that makes it; here is only which partitions hold notes and how far each has been looked
//!   through. So a crash forgets nothing: what opens a store looks at all of them once.
//! - More that becomes stable while a partition is looked through makes another look due behind this one.
//!
//! Most partitions hold nothing, and cost nothing. Bounded: an entry a partition.

use crate::keys::{Key, KeyRange};
use crate::partition;
use crate::record;
use crate::store::{Direction, StoreError, View};
use crdt::{Bucket, ConversationId, Identity};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// The partitions that hold notes of one kind, each at an `At`, and those among them that are to be looked at.
#[derive(Debug)]
pub(crate) struct Sweeps<At> {
    holding: BTreeSet<Bucket>,
    due: BTreeMap<Bucket, Sweep<At>>,
}

/// How far a partition has been looked through.
#[derive(Debug)]
pub(crate) struct Sweep<At> {
    pub(crate) after: Option<At>,
    /// Whether a note was left that cannot be done yet.
    pub(crate) left: bool,
    /// Whether more has become stable meanwhile, so that another pass is due behind this one.
    again: bool,
}

impl<At> Default for Sweep<At> {
    fn default() -> Self {
        Self { after: None, left: false, again: false }
    }
}

impl<At> Sweeps<At> {
    /// What a store holds, by a look at each partition for a first note: all of it is looked at once.
    pub(crate) fn load(
        view: &dyn View,
        holds: impl Fn(Bucket) -> Result<bool, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut sweeps = Self { holding: BTreeSet::new(), due: BTreeMap::new() };
        for bucket in partition::buckets(view)? {
            if holds(bucket)? {
                sweeps.hold(bucket);
            }
        }
        Ok(sweeps)
    }

    /// Whether there is something left to look at.
    pub(crate) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// More may be done in that partition.
    pub(crate) fn note(&mut self, bucket: Bucket) {
        if self.holding.contains(&bucket) {
            self.look(bucket);
        }
    }

    /// More may be done everywhere.
    pub(crate) fn note_all(&mut self) {
        for bucket in self.holding.clone() {
            self.look(bucket);
        }
    }

    /// A note stands in that partition from now on.
    pub(crate) fn hold(&mut self, bucket: Bucket) {
        self.holding.insert(bucket);
        self.look(bucket);
    }

    /// A note stands there, which was looked at already.
    pub(crate) fn hold_looked_at(&mut self, bucket: Bucket) {
        self.holding.insert(bucket);
        // A pass that is past it does not come to it.
        self.due.entry(bucket).and_modify(|sweep| sweep.left = true);
    }

    /// The next partition to look at.
    pub(crate) fn take(&mut self) -> Option<(Bucket, Sweep<At>)> {
        self.due.pop_first()
    }

    /// A partition was looked at, to its end or not.
    pub(crate) fn looked(&mut self, bucket: Bucket, sweep: Sweep<At>, is_whole: bool) {
        if !is_whole {
            self.due.insert(bucket, sweep);
        } else if sweep.again {
            self.due.insert(bucket, Sweep::default());
        } else if !sweep.left {
            self.holding.remove(&bucket);
        }
    }

    fn look(&mut self, bucket: Bucket) {
        // A pass that has not begun will come to all of it.
        self.due.entry(bucket).and_modify(|sweep| sweep.again |= sweep.after.is_some()).or_default();
    }
}

/// The notes of that range, each of which names an operation of a conversation by its sender and id: so many at most, in order.
pub(crate) fn noted(
    view: &dyn View,
    range: &KeyRange,
    limit: usize,
) -> Result<Vec<(ConversationId, Identity)>, StoreError> {
    let mut found = Vec::new();
    record::scan(view, range, Direction::Ascending, |key, ()| {
        if let Key::Uncut(conversation, sender, message) | Key::MadeTwice(conversation, sender, message) = key
        {
            found.push((conversation, Identity { sender, message }));
        }
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}
