//! Carries what shards release for bridges to the bridges of the right peers.
//!
//! What must always hold: a partition's growth is told only to bridges of regions in its placement: another peer is not even
//! told that the partition exists (promise 8). The bridge core asks the same question again.

use crdt::{PartitionId, PlacementId, RegionId, ReplicaId};
use region::cluster::Cluster;
use replication::commit::CommitRefused;
use replication::log::PartitionState;
use replication::placement::{Placement, Placements};
use replication_quic::Notices;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// One bridge, as shards see it.
#[derive(Debug, Clone)]
struct Bridge {
    notices: Arc<Notices>,
    placements: Vec<PlacementId>,
}

/// The bridges of a region, as its shards see them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct BridgeHub(Arc<Hub>);

#[derive(Debug)]
struct Hub {
    bridges: BTreeMap<RegionId, Bridge>,
    /// All placements under the epochs in which the region's shards stand, durably.
    placements: watch::Sender<Placements>,
}

impl BridgeHub {
    /// One bridge for each region that shares a placement with this one.
    pub(crate) fn new(cluster: &Cluster, region: RegionId, placements: Placements) -> Self {
        let shared_with = |peer: RegionId| {
            cluster
                .placements_of(region)
                .filter(|placement| placement.regions.contains(&peer))
                .map(|placement| placement.id)
                .collect()
        };
        let bridge = |peer| Bridge { notices: Arc::default(), placements: shared_with(peer) };
        let bridges = cluster.peers_of(region).into_iter().map(|peer| (peer, bridge(peer))).collect();
        Self(Arc::new(Hub { bridges, placements: watch::Sender::new(placements) }))
    }

    /// All placements under their current epochs, now and as those change.
    pub(crate) fn placements(&self) -> watch::Receiver<Placements> {
        self.0.placements.subscribe()
    }

    /// A shard stands in another epoch: every bridge goes on under it.
    pub(crate) fn follow(&self, placement: Placement) {
        self.0.placements.send_modify(|current| {
            let others = current.iter().filter(|other| other.id != placement.id).cloned();
            *current = Placements::new(others.collect::<Vec<_>>().into_iter().chain([placement]));
            // Told under the lock, so that of two shards' changes the later is told last.
            self.0.bridges.values().for_each(|bridge| bridge.notices.placements(current));
        });
    }

    /// The notices of the bridge to that peer.
    pub(crate) fn notices(&self, peer: RegionId) -> Option<Arc<Notices>> {
        self.0.bridges.get(&peer).map(|bridge| Arc::clone(&bridge.notices))
    }

    /// A partition has grown.
    pub(crate) fn advanced(&self, partition: PartitionId, state: &PartitionState) {
        for bridge in
            self.0.bridges.values().filter(|bridge| bridge.placements.contains(&partition.placement))
        {
            bridge.notices.advanced(partition, state);
        }
    }

    /// A peer's entries were refused.
    pub(crate) fn refused(&self, peer: ReplicaId, reason: &CommitRefused) {
        if let Some(bridge) = self.0.bridges.get(&peer.region) {
            bridge.notices.refused(reason);
        }
    }
}
