//! Goes through all groups once an epoch has admitted a replica, which holds no right to a member's place in any of them, or has closed one, whose rights go to its heir: each group is noted as one
//! of which rights may come to be due, and `settle_rights.rs` sees to the rest.
//!
//! The naive way notes them all in the step that follows the epoch, and holds up everybody's messages for as long as a million groups take. Here a step notes those of one partition.
//!
//! What must always hold: how far the survey has come is written in the batch that notes what it came by, so a crash forgets no group; one that is created meanwhile was shared out
//! among the replicas of the new epoch.

use crate::keys::{Key, KeyRange};
use crate::pending::Pending;
use crate::record::{self, OpaqueRecord};
use crate::settle_rights::Unsettled;
use crate::store::{Direction, StoreError, View};
use crdt::id::BUCKETS;
use crdt::{Bucket, ConversationId};
use replication::placement::Placement;
use std::ops::ControlFlow;

/// Where the survey goes on; none if there is nothing to survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Survey(Option<Bucket>);

impl Survey {
    /// What a store remembers.
    pub(crate) fn load(view: &dyn View) -> Result<Self, StoreError> {
        let next: Option<u64> = record::load(view, &Key::Survey)?;
        Ok(Self(next.and_then(|next| Bucket::new(u16::try_from(next).ok()?))))
    }

    /// Whether there is something left to survey.
    pub(crate) const fn is_due(self) -> bool {
        self.0.is_some()
    }

    /// Begins it, anew if one is under way, if an epoch has admitted or closed anybody.
    pub(crate) fn begin(&mut self, before: &Placement, after: &Placement) {
        if !after.active.keys().eq(before.active.keys()) {
            self.0 = Bucket::new(0);
        }
    }
}

/// Notes the groups of the next partition that has any.
pub(crate) fn survey(
    pending: &mut Pending<'_>,
    survey: &mut Survey,
    unsettled: &mut Unsettled,
) -> Result<(), StoreError> {
    let Some(next) = survey.0 else { return Ok(()) };
    let mut buckets = (next.number()..BUCKETS).filter_map(Bucket::new);
    for bucket in &mut buckets {
        let conversations = conversations(pending.tables.view(), bucket)?;
        if conversations.is_empty() {
            continue;
        }
        crate::sometimes::GROUPS_SURVEYED.reach();
        for conversation in conversations {
            let key = Key::Unsettled(conversation);
            if pending.tables.load::<u64>(&key)?.is_none() {
                pending.tables.put(&key, &0_u64);
            }
        }
        unsettled.hold(bucket);
        break;
    }
    survey.0 = buckets.next();
    match survey.0 {
        Some(next) => pending.tables.put(&Key::Survey, &u64::from(next.number())),
        None => pending.tables.delete(&Key::Survey),
    }
    Ok(())
}

/// All conversations of a partition. One of two users turns out to need nothing once it is looked at.
fn conversations(view: &dyn View, bucket: Bucket) -> Result<Vec<ConversationId>, StoreError> {
    let mut conversations = Vec::new();
    record::scan(view, &KeyRange::all_members(bucket), Direction::Ascending, |key, _: OpaqueRecord| {
        conversations.extend(key.conversation());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(conversations)
}
