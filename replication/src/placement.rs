//! Which regions may hold which partitions, as signed epochs say: the proof that a byte may leave.
//!
//! What must always hold: the only way to name a peer as the target of a partition's entries is a [`MaySend`], and only
//! [`Placements::may_send`] makes one. The receiver asks the same question again with [`Placements::may_receive`].

use crdt::{PartitionId, PlacementId, RegionId, ReplicaId};
use ed25519_dalek::VerifyingKey;
use std::collections::BTreeMap;

/// The number of an epoch: the numbered, signed statement of which replicas are active in a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// One placement under its current epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Its number.
    pub id: PlacementId,
    /// Which epoch this is.
    pub epoch: Epoch,
    /// The active replicas with the keys that sign their commits. One a region.
    pub active: BTreeMap<ReplicaId, VerifyingKey>,
}

/// All placements that a region knows of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Placements(BTreeMap<PlacementId, Placement>);

/// Proof that the peer is in the partition's placement at the current epoch. Cannot be built elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaySend {
    partition: PartitionId,
    peer: RegionId,
}

/// A partition and a region of which the one's placement does not hold the other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{region} has no part in {partition}, whose entries go only to regions of its placement: compare the cluster files"
)]
pub struct NoPart {
    /// The partition.
    pub partition: PartitionId,
    /// The region outside.
    pub region: RegionId,
}

impl Placements {
    /// These placements.
    #[must_use]
    pub fn new(placements: impl IntoIterator<Item = Placement>) -> Self {
        Self(placements.into_iter().map(|placement| (placement.id, placement)).collect())
    }

    /// The placement of that number, if it exists.
    #[must_use]
    pub fn get(&self, id: PlacementId) -> Option<&Placement> {
        self.0.get(&id)
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Placement> {
        self.0.values()
    }

    /// Whether entries of that partition may go to that peer.
    ///
    /// # Errors
    /// [`NoPart`] when the peer has no active replica in the partition's placement.
    pub fn may_send(&self, partition: PartitionId, peer: RegionId) -> Result<MaySend, NoPart> {
        if self.holds(partition, peer) {
            Ok(MaySend { partition, peer })
        } else {
            Err(NoPart { partition, region: peer })
        }
    }

    /// Whether this region may take entries of that partition from that peer: both must have a part in it.
    ///
    /// # Errors
    /// [`NoPart`] naming the one that has no active replica in the partition's placement.
    pub fn may_receive(&self, partition: PartitionId, peer: RegionId, own: RegionId) -> Result<(), NoPart> {
        for region in [peer, own] {
            if !self.holds(partition, region) {
                return Err(NoPart { partition, region });
            }
        }
        Ok(())
    }

    fn holds(&self, partition: PartitionId, region: RegionId) -> bool {
        self.0.get(&partition.placement).is_some_and(|placement| placement.replica_of(region).is_some())
    }
}

impl Placement {
    /// The active replicas in order: a replica's index here is its number on a bridge.
    pub fn origins(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.active.keys().copied()
    }

    /// A hash over the epoch's number, its active replicas and their keys: two regions stand in the same epoch if theirs are equal.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("archipelago epoch fingerprint");
        hasher.update(&self.id.0.to_be_bytes()).update(&self.epoch.0.to_be_bytes());
        for (replica, key) in &self.active {
            hasher.update(&replica.region.0.to_be_bytes()).update(&replica.incarnation.0.to_be_bytes());
            hasher.update(key.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// The active replica of that region, if it has one.
    #[must_use]
    pub fn replica_of(&self, region: RegionId) -> Option<ReplicaId> {
        self.active.keys().copied().find(|replica| replica.region == region)
    }
}

impl MaySend {
    /// The partition whose entries may go.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Where they may go.
    #[must_use]
    pub fn peer(&self) -> RegionId {
        self.peer
    }
}
