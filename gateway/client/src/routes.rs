//! Which line a conversation is reached by.
//!
//! A region serves the placements that it is part of. The home region's line carries all of those; each other placement has a
//! line of its own, so that nothing of it enters the home region.
//!
//! What must always hold: one conversation is reached by one line at a time; what comes about it by another line is not taken.

use crate::input::Address;
use crate::line::LineKey;
use crdt::{ConversationId, PlacementId};
use std::collections::BTreeMap;

/// The cluster's placements, as the last welcome told them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    /// Per placement, its regions.
    pub(crate) placements: BTreeMap<PlacementId, Vec<Address>>,
    /// The region that last welcomed the home line.
    pub(crate) home: Option<String>,
}

impl Routes {
    /// The line to that placement; none while no welcome has told, or if there is no such placement.
    pub(crate) fn line_of(&self, placement: PlacementId) -> Option<LineKey> {
        let regions = self.placements.get(&placement)?;
        let home = self.home.as_ref()?;
        let served = regions.iter().any(|address| address.region == *home);
        Some(if served { LineKey::Home } else { LineKey::Placement(placement) })
    }

    /// Whether that conversation is reached by that line.
    pub(crate) fn leads(&self, key: LineKey, conversation: ConversationId) -> bool {
        self.line_of(conversation.placement()) == Some(key)
    }

    /// Whether it is known that the cluster has no such placement.
    pub(crate) fn lacks(&self, placement: PlacementId) -> bool {
        self.home.is_some() && !self.placements.contains_key(&placement)
    }
}
