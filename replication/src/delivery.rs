//! What a bridge delivers to a shard of its region.
//!
//! What must always hold: deliveries reach the shard of their placement in the order in which the bridge put them out; each that weighs something is told
//! taken ([`Taken`](crate::input::Input::Taken)) once it is durable, or refused.

use crate::commit::Commit;
use crate::epoch::EpochStatement;
use crate::log::{ChangeNumber, PeerCursor, Position};
use crate::register::Register;
use crate::store_start::StoreStart;
use crdt::{PartitionId, PlacementId, ReplicaId};
use std::collections::{BTreeMap, BTreeSet};

/// What a bridge delivers to a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The peer's store introduced itself.
    PeerStarted {
        /// Whose shard.
        placement: PlacementId,
        /// Which replica.
        peer: ReplicaId,
        /// This start of its store.
        start: StoreStart,
        /// The operation kinds that it knows, by number.
        kinds: BTreeSet<u32>,
    },
    /// All that the peer's logs and feeds of the placement held when the connection opened was delivered before this.
    PeerCaughtUp {
        /// Whose shard.
        placement: PlacementId,
        /// Which replica.
        peer: ReplicaId,
        /// Where that ended, of each partition of which there is anything.
        had: BTreeMap<PartitionId, PeerCursor>,
    },
    /// Epochs of the placement, from the one after that in which this region stands, verified.
    Epochs {
        /// Whose shard.
        placement: PlacementId,
        /// In order.
        statements: Vec<EpochStatement>,
    },
    /// Entries of the peer's log, in its order, all of whose causes are durable here or were delivered before by this bridge.
    ///
    /// The shard skips operations that it has meanwhile got from elsewhere (a commit may have been applied whole, or its
    /// first operations alone), and never lowers a cursor.
    Entries {
        /// Whose log.
        peer: ReplicaId,
        /// Of which partition.
        partition: PartitionId,
        /// Whole commits, of any origin. May be empty: the cursor moved over what was already had.
        commits: Vec<Commit>,
        /// Everything up to here in the peer's log is now had; none if only fetched bodies are delivered.
        cursor: Option<Position>,
        /// What it weighs, to be told as taken.
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
        /// What came before these ended here: a shard that refused that does not take these either, so that its cursor passes nothing.
        after: ChangeNumber,
        /// Everything up to here in the peer's feed is now had.
        cursor: ChangeNumber,
        /// What it weighs, to be told as taken.
        bytes: usize,
    },
}

impl Delivery {
    /// Whose shard it is for.
    #[must_use]
    pub const fn placement(&self) -> PlacementId {
        match self {
            Self::PeerStarted { placement, .. }
            | Self::PeerCaughtUp { placement, .. }
            | Self::Epochs { placement, .. } => *placement,
            Self::Entries { partition, .. } | Self::Registers { partition, .. } => partition.placement,
        }
    }
}
