//! Stability: which operations are applied, durably, by every active region, and known to be.
//!
//! An acknowledgement is a register, passed on by everyone: a *pair* (k, V) under an epoch, which says "at my sequence k I had
//! durably applied V". A dot is stable here when for every active replica S we know such a pair of our epoch with the dot in V
//! **and have ourselves applied all of V**: then nothing concurrent with it can still reach us. Believing a pair before
//! having applied all of V is history 2 of the random model: something concurrent arrives after it was held stable.

use crate::placement::Epoch;
use crdt::{ReplicaId, VersionVector};
use std::collections::BTreeMap;

/// The last acknowledgement of one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The epoch under which it was given.
    pub epoch: Epoch,
    /// Everything the replica had durably applied, its own operations up to k included.
    pub applied: VersionVector,
}

/// The cut that is stable here.
///
/// `active` are the replicas of this region's epoch, `pairs` what is known of each, `applied` what this region has applied.
#[must_use]
pub fn stable_cut(
    epoch: Epoch,
    active: impl IntoIterator<Item = ReplicaId>,
    pairs: &BTreeMap<ReplicaId, Pair>,
    applied: &VersionVector,
) -> VersionVector {
    let mut stable: Option<VersionVector> = None;
    for replica in active {
        let believed =
            pairs.get(&replica).filter(|pair| pair.epoch == epoch && applied.covers_all(&pair.applied));
        let Some(pair) = believed else { return VersionVector::new() };
        stable = Some(stable.map_or_else(|| pair.applied.clone(), |cut| cut.meet(&pair.applied)));
    }
    stable.unwrap_or_default()
}
