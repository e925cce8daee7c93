//! Promise 1 where placements have bought durability in a second region: nothing is acknowledged that no other region has ever held on stable storage.
//!
//! By the record: which regions an operation has been durable in. Looked at: every answer of a shard, and whatever takes a device to have been acknowledged, be it an answer or a delivery. What this
//! does not see: that the other region still has it, when its disk is lost between its word and the answer.

use super::{Checker, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, Dot};
use replication::placement::Durability;

impl Oracle {
    /// What an acknowledgement means in this world.
    pub(crate) const fn acknowledgements_mean(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// An operation is acknowledged by that name.
    pub(super) fn must_be_elsewhere(
        &mut self,
        at: Moment,
        conversation: ConversationId,
        dot: Dot,
        who: impl FnOnce() -> String,
    ) {
        // A placement that lies in one region has none to wait for.
        let is_meant =
            self.durability == Durability::Geo && self.record.regions_of(conversation.placement()).len() > 1;
        if !is_meant || self.is_off || self.lies.were_told() {
            return;
        }
        self.look_at(Checker::Elsewhere);
        let facts = self.record.conversations.get(&conversation);
        let known = facts.and_then(|facts| facts.operations.get(*facts.by_dot.get(&dot)?));
        if !known.is_some_and(|operation| operation.was_in_two) {
            let text = format!("{} of {dot} of {conversation}, which no second region has had", who());
            self.violate(at, Checker::Elsewhere, text);
        }
    }
}
