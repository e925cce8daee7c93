//! Carries what shards release for bridges to the bridges of the right peers.
//!
//! What must always hold: a partition's growth is told only to bridges of regions in its placement: another peer is not even
//! told that the partition exists (promise 8). The bridge core asks the same question again.

use crdt::{PartitionId, PlacementId, RegionId, ReplicaId};
use region::cluster::Cluster;
use replication::commit::CommitRefused;
use replication::log::PartitionState;
use replication_quic::Notices;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One bridge, as shards see it.
#[derive(Debug, Clone)]
struct Bridge {
    notices: Arc<Notices>,
    placements: Vec<PlacementId>,
}

/// The bridges of a region, as its shards see them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct BridgeHub(Arc<BTreeMap<RegionId, Bridge>>);

impl BridgeHub {
    /// One bridge for each region that shares a placement with this one.
    pub(crate) fn new(cluster: &Cluster, region: RegionId) -> Self {
        let shared_with = |peer: RegionId| {
            cluster
                .placements_of(region)
                .filter(|placement| placement.regions.contains(&peer))
                .map(|placement| placement.id)
                .collect()
        };
        let bridge = |peer| Bridge { notices: Arc::default(), placements: shared_with(peer) };
        Self(Arc::new(cluster.peers_of(region).into_iter().map(|peer| (peer, bridge(peer))).collect()))
    }

    /// The notices of the bridge to that peer.
    pub(crate) fn notices(&self, peer: RegionId) -> Option<Arc<Notices>> {
        self.0.get(&peer).map(|bridge| Arc::clone(&bridge.notices))
    }

    /// A partition has grown.
    pub(crate) fn advanced(&self, partition: PartitionId, state: &PartitionState) {
        for bridge in self.0.values().filter(|bridge| bridge.placements.contains(&partition.placement)) {
            bridge.notices.advanced(partition, state);
        }
    }

    /// A peer's entries were refused.
    pub(crate) fn refused(&self, peer: ReplicaId, reason: &CommitRefused) {
        if let Some(bridge) = self.0.get(&peer.region) {
            bridge.notices.refused(reason);
        }
    }
}
