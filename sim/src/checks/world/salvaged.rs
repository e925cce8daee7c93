//! Promise 1: what lay on the disk of a closed replica, and was found, is everywhere once operators have been told that the disk may go.
//!
//! When a region says that it has all of a disk, and that all of that is stable, its log is gone through for the author and the id of every message on that disk, and of all that was done to one
//! (`world/salvages.rs`). Of erased users nothing need come. What this does not see: how a salvage decides, which is the core's; changes of members, which are asked again and may be refused.

use super::{Checker, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, Identity, RegionId, ReplicaId};

impl Oracle {
    /// A disk was salvaged into a region, by whose log those are missing.
    pub(crate) fn is_salvaged(
        &mut self,
        at: Moment,
        region: RegionId,
        of: ReplicaId,
        missing: &[(ConversationId, Identity)],
    ) {
        self.marks.salvaged += 1;
        self.look_at(Checker::Salvaged);
        let missing = missing.iter().find(|(_, identity)| !self.operators.may_have_erased(identity.sender));
        if let Some((conversation, Identity { sender, message })) = missing {
            let text = format!(
                "{region} says that the disk of {of} may go, and has no {message} of {sender} in {conversation}"
            );
            self.violate(at, Checker::Salvaged, text);
        }
    }
}
