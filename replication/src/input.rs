//! What happens to a bridge.
//!
//! What must always hold: [`Input::Advanced`] tells only what is durable; each [`Entries`](crate::Delivery::Entries) and
//! [`Registers`](crate::Delivery::Registers) is answered by exactly one [`Input::Taken`] once it is durable, also when the connection has ended meanwhile,
//! and also when it was refused (then [`Input::Refused`] follows).

use crate::commit::CommitRefused;
use crate::log::PartitionState;
use crate::placement::Placements;
use crate::timers::Timer;
use bytes::Bytes;
use crdt::{PartitionId, RegionId};

/// What happens to a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The region serves: the side that dials begins to.
    Started,
    /// A connection stands. It replaces an earlier one.
    Connected {
        /// The region that the peer's certificate names.
        certified: RegionId,
    },
    /// The connection ended, or could not be made.
    Disconnected {
        /// The code that the peer closed it with, if it did.
        code: Option<u32>,
    },
    /// One frame of the peer, without its length prefix.
    Frame(Bytes),
    /// The connection can take one more frame now. Answered by at most one [`Send`](crate::output::Output::Send), now or later.
    PipeReady,
    /// A partition of this region grew: durable.
    Advanced {
        /// Which.
        partition: PartitionId,
        /// How far it reaches now.
        state: PartitionState,
    },
    /// The region's shards stand in these epochs now, durably: all placements, each under its current one.
    Placements(Placements),
    /// Another bridge of this region opened or ended. Until told, a bridge counts as down.
    PeerBridge {
        /// To which region.
        region: RegionId,
        /// Whether it is open.
        up: bool,
    },
    /// The shard has what was delivered: durable.
    Taken {
        /// The `bytes` of that output.
        bytes: usize,
    },
    /// The shard refused a commit of this peer: told once a partition, for the first.
    Refused {
        /// Why.
        reason: CommitRefused,
    },
    /// A timer fired.
    Timer(Timer),
}
