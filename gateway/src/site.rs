//! What every session of a region knows about where it is: names, the placements held here, and where the others are.
//!
//! Shared by all sessions and replaced as a whole when the operator changes it; holds the cursor keys, so it is never printed.

use crate::cursor::CursorKeys;
use crate::error::SessionError;
use crate::refuge::in_order;
use crdt::{ConversationId, PlacementId, RegionId, ReplicaId};
use gateway_protocol::v1;
use region::command::{Placements, Refusal};
use region::membership::View;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// One region, as its sessions know it.
pub struct Site {
    /// The cluster's name, as in tokens.
    pub cluster: String,
    /// The region's name.
    pub region: String,
    /// The placements that this region has a part in.
    pub placements: BTreeMap<PlacementId, HeldPlacement>,
    /// All placements of the cluster, as its file has them.
    pub directory: BTreeMap<PlacementId, Described>,
}

/// A placement of the cluster file.
#[derive(Debug)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// The regions that may hold it, and where devices find them.
    pub regions: BTreeMap<RegionId, v1::Region>,
}

/// A placement that this region has a part in.
#[derive(Debug)]
pub struct HeldPlacement {
    /// The replica that this region is in it.
    pub replica: ReplicaId,
    /// The keys that seal its cursors, shared by the placement's regions.
    pub keys: CursorKeys,
}

/// How far a region has come when a connection begins.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The epochs in which its shards stand.
    pub epochs: &'a Placements,
    /// The placements in which it lacks what others hold ([`Shard::is_behind`](region::shard::Shard::is_behind)): nobody is answered there.
    pub behind: &'a BTreeSet<PlacementId>,
    /// Which regions are live, as this one has heard: devices are told of those first.
    pub view: &'a View,
}

/// The region as one connection has found it. It stays so for as long as that stands: who was led elsewhere meanwhile is served there.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) site: Arc<Site>,
    behind: BTreeSet<PlacementId>,
    /// What a welcome tells of placements.
    pub(crate) directory: Vec<v1::Placement>,
}

impl Here {
    pub(crate) fn new(site: Arc<Site>, progress: Progress<'_>) -> Self {
        let directory = site.directory(progress);
        Self { site, behind: progress.behind.clone(), directory }
    }

    /// The placements that are served.
    pub(crate) fn served(&self) -> Vec<PlacementId> {
        self.site.placements.keys().copied().filter(|id| !self.behind.contains(id)).collect()
    }

    /// That placement.
    ///
    /// # Errors
    /// [`SessionError::PlacementNotHere`] when this region has no part in it, [`SessionError::PlacementBehind`] when it is behind there.
    pub(crate) fn placement(&self, id: PlacementId) -> Result<&HeldPlacement, SessionError> {
        let held = self.site.placements.get(&id).ok_or(SessionError::PlacementNotHere(id))?;
        self.is_served(id).map(|()| held)
    }

    /// The placement of that conversation.
    ///
    /// # Errors
    /// [`Refusal::WrongPlacement`] when this region has no part in it, [`SessionError::PlacementBehind`] when it is behind there.
    pub(crate) fn held(&self, conversation: ConversationId) -> Result<&HeldPlacement, SessionError> {
        let held = self.site.held(conversation)?;
        self.is_served(conversation.placement()).map(|()| held)
    }

    fn is_served(&self, id: PlacementId) -> Result<(), SessionError> {
        if self.behind.contains(&id) {
            crate::sometimes::PLACEMENT_BEHIND.reach();
            return Err(SessionError::PlacementBehind(id));
        }
        Ok(())
    }
}

impl Site {
    /// Which region it is, in whatever placement; none if it has a part in none.
    #[must_use]
    pub fn region_id(&self) -> Option<RegionId> {
        self.placements.values().next().map(|held| held.replica.region)
    }

    /// What a welcome tells: all placements, in which epochs this region stands, and where their regions are. Of a placement whose epoch is known those that are active in it, so
    /// that no device is led to one that is closed; of any other all that may hold it. Nor is one led here where this region is behind. Those that are live come first.
    fn directory(&self, progress: Progress<'_>) -> Vec<v1::Placement> {
        let own = self.region_id();
        let told = |(id, described): (&PlacementId, &Described)| {
            let stands = progress.epochs.get(*id).filter(|stands| stands.statement.is_some());
            let is_behind = |region| Some(region) == own && progress.behind.contains(id);
            let serves = |region| {
                stands.is_none_or(|stands| stands.replica_of(region).is_some()) && !is_behind(region)
            };
            let regions = described.regions.iter().map(|(region, address)| (*region, address));
            let regions = in_order(*id, progress.view, regions.filter(|(region, _)| serves(*region)));
            v1::Placement {
                id: id.to_string(),
                name: described.name.clone(),
                regions: regions.into_iter().map(|(_, address)| address.clone()).collect(),
                epoch: stands.map_or(0, |stands| stands.epoch.0),
                geo: stands.is_some_and(|stands| stands.is_geo()),
            }
        };
        self.directory.iter().map(told).collect()
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
