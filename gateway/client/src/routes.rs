//! Which line a conversation is reached by.
//!
//! A region serves the placements that it is part of. The home region's line carries all of those; each other placement has a
//! line of its own, so that nothing of it enters the home region.
//!
//! What must always hold: one conversation is reached by one line at a time; what comes about it by another line is not taken. Which placements the home region's connection serves is its
//! own word, given when it began: other regions do not know whether it lacks something there yet.

use crate::input::Address;
use crate::line::LineKey;
use crdt::{ConversationId, PlacementId};
use std::collections::{BTreeMap, BTreeSet};

/// The cluster's placements, as the last welcome told them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    /// Per placement, its regions.
    placements: BTreeMap<PlacementId, Vec<Address>>,
    /// The placements that the home line serves; none before it was welcomed.
    home: Option<BTreeSet<PlacementId>>,
}

impl Routes {
    /// The line to that placement; none while no welcome has told, or if there is no such placement.
    pub(crate) fn line_of(&self, placement: PlacementId) -> Option<LineKey> {
        self.placements.get(&placement)?;
        let served = self.home.as_ref()?.contains(&placement);
        Some(if served { LineKey::Home } else { LineKey::Placement(placement) })
    }

    /// A region's welcome on that line tells of these placements.
    pub(crate) fn welcomed(
        &mut self,
        key: LineKey,
        region: &str,
        placements: BTreeMap<PlacementId, Vec<Address>>,
    ) {
        if key == LineKey::Home {
            let serves = |addresses: &Vec<Address>| addresses.iter().any(|address| address.region == region);
            let served = placements.iter().filter(|(_, addresses)| serves(addresses));
            self.home = Some(served.map(|(placement, _)| *placement).collect());
        }
        self.placements = placements;
    }

    /// Where the regions of a placement are.
    pub(crate) fn addresses(&self, placement: PlacementId) -> Vec<Address> {
        self.placements.get(&placement).cloned().unwrap_or_default()
    }

    /// Whether any region has told of placements.
    pub(crate) fn are_known(&self) -> bool {
        self.home.is_some()
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
