//! The numbers that partitions and origins have on one bridge: short, because both ends know the same lists.
//!
//! What must always hold: both lists follow from the signed epochs and from which of these placements both have stores of, sorted, and Hello has compared both before any number
//! is used. A number that is out of range is an error of the peer, never an index.

use crate::bridge::Config;
use crate::placement::Placements;
use crate::reason::Reason;
use crdt::{Bucket, PartitionId, PlacementId, RegionId, ReplicaId};

/// Buckets of a placement, as partition numbers are computed.
const BUCKETS: u32 = 1_024;

/// One placement in which both regions are active and have stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedPlacement {
    pub(crate) id: PlacementId,
    /// This region's replica, as the epoch names it.
    pub(crate) own: ReplicaId,
    /// The peer's replica, as the epoch names it.
    pub(crate) peer: ReplicaId,
    /// The replicas that are or were active, sorted: an origin's number is its place here.
    pub(crate) origins: Vec<ReplicaId>,
}

/// The placements in which both regions are active and have stores, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shared(Vec<SharedPlacement>);

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        let held = config.placements.iter().filter(|placement| config.stores.contains_key(&placement.id));
        let shared = held.filter_map(|placement| {
            Some(SharedPlacement {
                id: placement.id,
                own: placement.replica_of(config.own)?,
                peer: placement.replica_of(config.peer)?,
                origins: placement.origins().collect(),
            })
        });
        Self(shared.collect())
    }

    /// Without one in which the peer has no store.
    pub(crate) fn leave_out(&mut self, id: PlacementId) {
        self.0.retain(|placement| placement.id != id);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &SharedPlacement> {
        self.0.iter()
    }

    pub(crate) fn get(&self, id: PlacementId) -> Option<&SharedPlacement> {
        self.0.iter().find(|placement| placement.id == id)
    }

    /// The placement of that number on this bridge.
    pub(crate) fn by_index(&self, index: u32) -> Option<&SharedPlacement> {
        self.0.get(usize::try_from(index).ok()?)
    }

    /// The number of a placement on this bridge.
    pub(crate) fn index_of(&self, id: PlacementId) -> Option<u32> {
        let index = self.0.iter().position(|placement| placement.id == id)?;
        u32::try_from(index).ok()
    }

    /// The number of a partition on this bridge, if its placement is shared.
    pub(crate) fn number_of(&self, partition: PartitionId) -> Option<u32> {
        Some(self.index_of(partition.placement)? * BUCKETS + u32::from(partition.bucket.number()))
    }

    /// The partition of that number, checked: both regions must have a part in it.
    pub(crate) fn receive(
        &self,
        number: u32,
        placements: &Placements,
        peer: RegionId,
        own: RegionId,
    ) -> Result<(PartitionId, &SharedPlacement), Reason> {
        let bucket = u16::try_from(number % BUCKETS).ok().and_then(Bucket::new);
        let bucket = bucket.ok_or(Reason::Malformed("partition"))?;
        let Some(placement) = self.by_index(number / BUCKETS) else {
            return Err(Reason::NotShared { peer, number });
        };
        let partition = PartitionId { placement: placement.id, bucket };
        placements.may_receive(partition, peer, own)?;
        Ok((partition, placement))
    }
}

impl SharedPlacement {
    /// The origin of that number.
    pub(crate) fn origin(&self, index: u64) -> Option<ReplicaId> {
        self.origins.get(usize::try_from(index).ok()?).copied()
    }

    /// The number of an origin.
    pub(crate) fn origin_index(&self, origin: ReplicaId) -> Option<u32> {
        let index = self.origins.iter().position(|known| *known == origin)?;
        u32::try_from(index).ok()
    }
}
