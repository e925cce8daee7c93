//! The words every region agrees on: identifiers, clocks, version vectors, operations and the replicated
//! data types. Pure: no input or output, no clock, no randomness, no threads.
//!
//! What must always hold: the state of a conversation is a function of the *set* of its applied operations.
//! Applied in any order that extends happened-before, the same operations give the same bytes.

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

pub mod amendments;
mod canonical;
pub mod chain;
pub mod clock;
pub mod conversation;
pub mod digest;
pub mod directory;
pub mod disciplined_clock;
pub mod emoji;
pub mod escrow;
pub mod flags;
pub mod group;
pub mod held;
pub mod hidden;
pub mod id;
pub mod limits;
pub mod membership;
pub mod operation;
pub mod receipt;
pub mod roster;
pub mod sometimes;
pub mod timeline;
pub mod version_vector;

/// Generated from `proto/*.proto`.
#[allow(missing_debug_implementations, unreachable_pub, clippy::doc_markdown)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/archipelago.operation.rs"));
}

pub use canonical::MalformedState;
pub use chain::ChainHead;
pub use clock::{Now, Timestamp};
pub use conversation::Conversation;
pub use digest::StateDigest;
pub use directory::{DirectoryEntry, HomeEpoch};
pub use disciplined_clock::DisciplinedClock;
pub use flags::{Flag, FlagName, Flags, NotSet};
pub use hidden::Visibility;
pub use id::{
    Bucket, ConversationId, DeviceId, Dot, Incarnation, MessageId, PartitionId, PlacementId, RegionId,
    ReplicaId, Sequence, UserId,
};
pub use membership::Membership;
pub use operation::{Kind, Operation};
pub use receipt::{DeviceReceipt, Receipt};
pub use roster::Roster;
pub use timeline::{Aliases, Identity, Place, Timeline};
pub use version_vector::{Cut, VersionVector};

/// The example in the README is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
