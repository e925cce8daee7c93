//! The shard: one deterministic function that is the only writer of its partitions.
//!
//! ```text
//!   commands, entries, registers, ticks ──▶ step(now, entropy, inputs, view) ──▶ batch ──sync──▶ effects
//! ```
//! How to drive me: drain the mailbox, call `step`, commit the batch with a sync, release the effects, again. Start no step
//! before the last batch is durable. A failed commit ends the process.

use crate::command::{Command, Done, Refusal};
use crate::item::Change;
use crate::store::Batch;
use crdt::{ConversationId, Cut, DeviceId, Now, PartitionId, ReplicaId, UserId, VersionVector};
use replication::commit::{Commit, CommitRefused};
use replication::log::{ChangeNumber, PartitionState, Position};
use replication::register::Register;

/// Pairs a command with its answer. The driver chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What goes into a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A signed-in device asks.
    Command {
        /// For the answer.
        ticket: Ticket,
        /// Who asks.
        user: UserId,
        /// On which device.
        device: DeviceId,
        /// What.
        command: Command,
    },
    /// Entries of a peer's log, in its order, all of whose causes are applied or go before them in this very list of inputs.
    Entries {
        /// Whose log.
        peer: ReplicaId,
        /// Of which partition.
        partition: PartitionId,
        /// Whole commits, of any origin. May be empty: the cursor moved over what was already had.
        commits: Vec<Commit>,
        /// Everything up to here in the peer's log is now had; none for commits that were fetched out of turn.
        cursor: Option<Position>,
    },
    /// Registers of a peer's feed.
    Registers {
        /// Whose feed.
        peer: ReplicaId,
        /// Of which partition.
        partition: PartitionId,
        /// To be joined.
        registers: Vec<Register>,
        /// Everything up to here in the peer's feed is now had.
        cursor: ChangeNumber,
    },
    /// A peer introduced itself: its start number is to be remembered.
    PeerStarted {
        /// Which replica.
        peer: ReplicaId,
        /// The number of this start of its store.
        start_number: u64,
    },
    /// Time has passed.
    Tick,
}

/// What comes out of a step: the batch first, and once it is durable, the effects in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// To be committed with a sync.
    pub batch: Batch,
    /// To be released after that, and not before.
    pub effects: Vec<Effect>,
    /// When the next [`Input::Tick`] is due, even if nothing else comes; none if nothing waits for one.
    pub next_tick: Option<Now>,
}

/// What may leave once the batch is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answers a command.
    Reply {
        /// Which.
        ticket: Ticket,
        /// How it went.
        result: Result<Done, Refusal>,
    },
    /// A conversation changed: for the devices live in it.
    Changed(Change),
    /// A user became a member, or ceased to be one: for the user's connected devices.
    Membership {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Whether they are a member now.
        member: bool,
    },
    /// A receipt grew: for the authors of what it newly covers.
    Receipt {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
        /// On which device.
        device: DeviceId,
        /// Delivered up to here.
        delivered: Cut,
        /// Read up to here.
        read: Cut,
    },
    /// More is stable: for the authors of what it newly covers.
    Stable {
        /// Where.
        partition: PartitionId,
        /// Stable up to here.
        cut: VersionVector,
    },
    /// A partition's log, vector or feed grew: for the bridges.
    Advanced {
        /// Which.
        partition: PartitionId,
        /// How far it reaches now.
        state: PartitionState,
    },
    /// A peer's entries were refused; its bridge must be closed with this reason. Nothing of them was applied.
    Refused {
        /// Whose log.
        peer: ReplicaId,
        /// Why.
        reason: CommitRefused,
    },
}
