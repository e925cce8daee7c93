//! What bridges need of their region's driver: its present, its logs, its shards' mailboxes, and an end.
//!
//! What must always hold: what a bridge delivers reaches the shard of its placement in the order in which it was delivered, and
//! each delivery is told taken through the bridge's [`Notices`](crate::Notices) once it is durable.

use crdt::{Now, PartitionId, PlacementId, RegionId, ReplicaId};
use replication::commit::Commit;
use replication::log::{ChangeNumber, LogView, Position};
use replication::register::Register;
use std::future::Future;

/// A region's driver, as its bridges see it.
pub trait RegionPort: Send + Sync + 'static {
    /// The present, by the region's disciplined clock.
    fn now(&self) -> Now;

    /// Calls `read` once with the region's durable logs.
    fn read_log(&self, read: &mut dyn FnMut(&dyn LogView));

    /// Puts a delivery into its shard's mailbox, waiting for room.
    fn deliver(&self, from: RegionId, delivery: Delivery) -> impl Future<Output = ()> + Send;

    /// The region must stop serving: its store is behind what it has issued, or cannot be read. Returns only if the process is about to end.
    fn stop(&self, why: &str);
}

/// What a bridge delivers to a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The peer's store introduced itself.
    PeerStarted {
        /// Whose shard.
        placement: PlacementId,
        /// Which replica.
        peer: ReplicaId,
        /// The number of this start of its store.
        start_number: u64,
    },
    /// Entries of the peer's log.
    Entries {
        /// Whose log.
        peer: ReplicaId,
        /// Of which partition.
        partition: PartitionId,
        /// Whole commits, of any origin.
        commits: Vec<Commit>,
        /// Everything up to here in the peer's log is now had.
        cursor: Option<Position>,
        /// To be told as taken.
        bytes: usize,
    },
    /// Registers of the peer's feed.
    Registers {
        /// Whose feed.
        peer: ReplicaId,
        /// Of which partition.
        partition: PartitionId,
        /// To be joined.
        registers: Vec<Register>,
        /// Everything up to here in the peer's feed is now had.
        cursor: ChangeNumber,
        /// To be told as taken.
        bytes: usize,
    },
}

impl Delivery {
    /// Whose shard it is for.
    #[must_use]
    pub const fn placement(&self) -> PlacementId {
        match self {
            Self::PeerStarted { placement, .. } => *placement,
            Self::Entries { partition, .. } | Self::Registers { partition, .. } => partition.placement,
        }
    }
}
