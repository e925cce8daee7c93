//! What every session of a region knows about where it is: names, the placements held here, and where the others are.
//!
//! Shared by all sessions and replaced as a whole when the operator changes it; holds the cursor keys, so it is never printed.

use crate::cursor::CursorKeys;
use crdt::{ConversationId, PlacementId, RegionId, ReplicaId};
use region::command::Refusal;
use std::collections::BTreeMap;
use std::fmt;

/// One region, as its sessions know it.
pub struct Site {
    /// The cluster's name, as in tokens.
    pub cluster: String,
    /// The region's name.
    pub region: String,
    /// The placements that this region has a part in.
    pub placements: BTreeMap<PlacementId, HeldPlacement>,
}

/// A placement that this region has a part in.
#[derive(Debug)]
pub struct HeldPlacement {
    /// The replica that this region is in it.
    pub replica: ReplicaId,
    /// The keys that seal its cursors, shared by the placement's regions.
    pub keys: CursorKeys,
}

impl Site {
    /// Which region it is, in whatever placement; none if it has a part in none.
    #[must_use]
    pub fn region_id(&self) -> Option<RegionId> {
        self.placements.values().next().map(|held| held.replica.region)
    }

    /// The placement of that conversation.
    ///
    /// # Errors
    /// [`Refusal::WrongPlacement`] when this region has no part in it.
    pub fn held(&self, conversation: ConversationId) -> Result<&HeldPlacement, Refusal> {
        self.placements.get(&conversation.placement()).ok_or(Refusal::WrongPlacement(conversation))
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("cluster", &self.cluster)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
