//! What a bridge reads of its own region: the durable part of the logs, the vectors and the feeds.
//!
//! The region implements [`LogView`]; the bridge only reads. Nothing that is not yet durable may show through it
//! (promise 2): a view ends where the region's last synced batch ends.

use crate::commit::Commit;
use crate::epoch::EpochStatement;
use crate::placement::Epoch;
use crate::register::Register;
use crate::store_start::StoreStart;
use crdt::{ChainHead, PartitionId, PlacementId, RegionId, ReplicaId, Sequence, StateDigest, VersionVector};
use std::collections::BTreeMap;

/// A place in a region's log of a partition: the number of the entry, from 1. Zero is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// A place in a region's feed of a partition: the number of the change, from 1. Zero is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChangeNumber(pub u64);

/// One commit as it stands in a log: its operations have the positions `first..=last`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCommit {
    /// The position of its first operation.
    pub first: Position,
    /// The position of its last operation.
    pub last: Position,
    /// What was committed.
    pub commit: Commit,
}

/// How far one partition's log and feed reach, and what it has applied: all durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionState {
    /// The last durable position.
    pub log_end: Position,
    /// The last durable change.
    pub feed_end: ChangeNumber,
    /// The last durable change that was made here: what comes after it was passed on by peers, and has less haste.
    pub feed_own: ChangeNumber,
    /// Exactly what has been applied.
    pub applied: VersionVector,
    /// The digest of what came of it, equal wherever the same was applied; none if this store does not know it.
    pub digest: Option<StateDigest>,
}

/// Where this region stands in a peer's log and feed of a partition: durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerCursor {
    /// Everything up to here in the peer's log has been applied or was already had.
    pub log: Position,
    /// Everything up to here in the peer's feed has been joined.
    pub feed: ChangeNumber,
}

/// A place in a log, and exactly what that log holds up to it: whoever has applied all of this may go on behind it.
///
/// It ends where a commit ends. That it stands says nothing of whether the entries before it are still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The place: as many operations as the chains have together.
    pub position: Position,
    /// Per origin, the last operation up to there and the chain head after it.
    pub chains: BTreeMap<ReplicaId, (Sequence, ChainHead)>,
}

/// The store failed under a read; the region must stop serving (a failed read is never an empty answer).
#[derive(Debug, Clone, thiserror::Error)]
#[error("the log of {partition} cannot be read: {reason}")]
pub struct LogUnreadable {
    /// Which partition.
    pub partition: PartitionId,
    /// What the store said, naming what and where.
    pub reason: String,
}

/// The durable logs, vectors and feeds of one region, as its bridges read them.
pub trait LogView {
    /// Every partition of a shared placement that is not empty, with its state. Read once when a bridge opens.
    fn partitions(&self) -> Result<Vec<(PartitionId, PartitionState)>, LogUnreadable>;

    /// How far a partition reaches.
    fn state(&self, partition: PartitionId) -> Result<PartitionState, LogUnreadable>;

    /// Whole commits after `from`, in log order, until at least one was read and `bytes_max` would be passed.
    fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Vec<LoggedCommit>, LogUnreadable>;

    /// Whole commits of `origin` that hold the sequences `from..=to`, in order, as far as they are here and fit `bytes_max` (at least one).
    fn find(
        &self,
        partition: PartitionId,
        origin: ReplicaId,
        from: Sequence,
        to: Sequence,
        bytes_max: usize,
    ) -> Result<Vec<Commit>, LogUnreadable>;

    /// The chain head of `origin` after `sequence`, if this region has that operation.
    fn head(
        &self,
        partition: PartitionId,
        origin: ReplicaId,
        sequence: Sequence,
    ) -> Result<Option<ChainHead>, LogUnreadable>;

    /// The base of a partition's log, if it has one.
    fn base(&self, partition: PartitionId) -> Result<Option<Base>, LogUnreadable>;

    /// The latest value of each register that changed after `from` and that `peer` is not known to have, in the order of their last change,
    /// with that change's number; until `bytes_max` would be passed (at least one). And up to where the feed was read: what lies after the last of
    /// them is nothing for that peer.
    fn registers(
        &self,
        partition: PartitionId,
        from: ChangeNumber,
        peer: ReplicaId,
        bytes_max: usize,
    ) -> Result<(Vec<(ChangeNumber, Register)>, ChangeNumber), LogUnreadable>;

    /// Where this region stands in the log and feed of the peer's replica.
    fn cursor(&self, peer: ReplicaId, partition: PartitionId) -> Result<PeerCursor, LogUnreadable>;

    /// The highest of its own operations that `replica` has acknowledged, as far as this region knows.
    fn acknowledged(&self, partition: PartitionId, replica: ReplicaId) -> Result<Sequence, LogUnreadable>;

    /// The statements of a placement's epochs after that one, in order, as far as this region has kept them: at most so many.
    fn epochs(
        &self,
        placement: PlacementId,
        after: Epoch,
        max: usize,
    ) -> Result<Vec<EpochStatement>, LogUnreadable>;

    /// The latest start that this region has seen of that replica's store in that placement; none if it has seen none.
    fn seen_start(
        &self,
        placement: PlacementId,
        peer: ReplicaId,
    ) -> Result<Option<StoreStart>, LogUnreadable>;

    /// The region this log belongs to.
    fn region(&self) -> RegionId;
}
