//! What a bridge wants done: values, in order.
//!
//! What must always hold: nothing here needs an answer at once; the driver carries outputs out in order and decides nothing.

use crate::commit::CommitRefused;
use crate::delivery::Delivery;
use crate::reason::Reason;
use crate::timers::Timer;
use bytes::Bytes;
use crdt::{Now, PartitionId, RegionId, ReplicaId};

/// What a bridge wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Connect to the peer; answer with [`Connected`](crate::input::Input::Connected) or [`Disconnected`](crate::input::Input::Disconnected).
    Dial,
    /// Send this frame, length-prefixed.
    Send(Bytes),
    /// The peer was accepted; entries flow from now on. Tell this region's other bridges
    /// ([`PeerBridge`](crate::input::Input::PeerBridge)); they are told again when this one closes or its connection ends.
    Opened {
        /// The protocol version agreed on.
        version: u32,
        /// The operation kinds that the peer knows.
        kinds: Vec<u32>,
    },
    /// For the shard of its placement.
    Deliver(Delivery),
    /// Fire that timer then, in place of an earlier one of its name.
    SetTimer {
        /// Which.
        timer: Timer,
        /// When.
        at: Now,
    },
    /// End the connection with this code and text. A [`Disconnected`](crate::input::Input::Disconnected) for it is not needed.
    Close(Reason),
    /// An operator should know.
    Alarm(Alarm),
    /// This region's own store is behind what it has issued: the region must stop serving.
    Fenced(Reason),
    /// Give no more frames until told: the shard is behind.
    PauseReading,
    /// Give frames again.
    ResumeReading,
}

/// What an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// Two histories of one replica.
    #[error(
        "fork: {origin} has two histories in {partition}: they agree up to {agreed} and differ at or before {differs}; close that replica and keep both disks"
    )]
    Fork {
        /// Where.
        partition: PartitionId,
        /// Whose chain.
        origin: ReplicaId,
        /// The last sequence at which this bridge saw both agree; zero if it saw none.
        agreed: u64,
        /// The first sequence at which this bridge saw them differ.
        differs: u64,
    },
    /// A partition's stream from the peer stops, and no other does.
    #[error("{peer}: the stream of a partition stops: {reason}")]
    PartitionStopped {
        /// The peer.
        peer: RegionId,
        /// Where, and at what.
        reason: CommitRefused,
    },
    /// Two regions that have applied the same operations hold two states.
    #[error(
        "{own} and {peer} have applied the same of {partition} and hold two states of it: `archipelago check` names the conversations; then see docs/operations/regions-differ.md"
    )]
    StatesDiffer {
        /// This region.
        own: RegionId,
        /// The peer.
        peer: RegionId,
        /// Where.
        partition: PartitionId,
    },
    /// Two regions' clocks are apart.
    #[error(
        "the clocks of {own} and {peer} differ by {drift_ms} ms (limit {limit_ms}): correct the wrong one"
    )]
    ClockDrift {
        /// This region.
        own: RegionId,
        /// The peer.
        peer: RegionId,
        /// The peer's clock less ours, in milliseconds.
        drift_ms: i64,
        /// The limit.
        limit_ms: u64,
    },
    /// The peer closed the connection for cause.
    #[error("{peer} refused this region's bridge with code {code} ({name}): see that region's log")]
    RefusedByPeer {
        /// The peer.
        peer: RegionId,
        /// Its code.
        code: u32,
        /// The code's name, if this version knows it.
        name: &'static str,
    },
    /// We refused the peer for cause.
    #[error("the bridge to {peer} was closed: {reason}")]
    RefusedPeer {
        /// The peer.
        peer: RegionId,
        /// Why.
        reason: Reason,
    },
}
