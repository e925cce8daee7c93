//! Why a bridge is closed: numbers on the wire, text in `Display` alone.
//!
//! What must always hold: a code keeps its meaning for ever and is never reused; a closed bridge has applied nothing of what it was closed for;
//! whatever a peer sends ends in one of these, never in a panic. Codes below 20 are refusals of a Hello or of a snapshot, from 20 on the peer broke the
//! protocol, from 40 on the two histories do not fit. Every text ends with the way out, and `docs/errors.md` lists the codes.

use crate::commit::CommitRefused;
use crate::epoch::EpochRefused;
use crate::placement::NoPart;
use crdt::{PartitionId, PlacementId, RegionId, ReplicaId};

/// The way out where the peer's program breaks the protocol: a release that was mixed in, or a mistake of ours to be told of.
pub(crate) const BROKEN: &str = "if it comes again, run the same release in both regions";
/// The way out where a replica has two histories.
pub(crate) const FORKED: &str = "close that replica by a new epoch, and keep both disks";

/// Why a bridge is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The peer belongs to another cluster.
    #[error("the peer belongs to cluster {theirs:?}, this region to {ours:?}: correct its cluster file")]
    WrongCluster {
        /// The peer's.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// The peer's region is not the one this bridge is for.
    #[error("the peer says it is region {theirs}, this bridge is for {expected}: compare the cluster files")]
    UnknownRegion {
        /// As the peer says.
        theirs: u32,
        /// Whom we expected.
        expected: RegionId,
    },
    /// A placement that only one of the two holds for shared.
    #[error(
        "placement p{placement} is shared with {peer} by one side's cluster file and not by the other's: compare them"
    )]
    UnknownPlacement {
        /// Which.
        placement: u32,
        /// With whom.
        peer: RegionId,
    },
    /// The two stand in epochs of a placement that are not of one row, or the one ahead has not kept the statements that the other lacks.
    #[error(
        "placement {placement}: the peer stands in epoch {theirs}, this region in {ours}, and nobody has the statements between, or they name different replicas: give both the same epoch files"
    )]
    WrongEpoch {
        /// Which.
        placement: PlacementId,
        /// The peer's.
        theirs: u64,
        /// Ours.
        ours: u64,
    },
    /// What the peer sent is not the epoch after the one in which this region stands.
    #[error(transparent)]
    Epoch(#[from] EpochRefused),
    /// This region has come to stand in another epoch: no cause for alarm, the next connection begins under it.
    #[error("this region stands in a new epoch: connect again")]
    EpochChanged,
    /// The peer's store is not the one the epoch names.
    #[error("placement {placement}: the epoch does not name replica {replica}: that store needs a new epoch")]
    UnknownIncarnation {
        /// Which.
        placement: PlacementId,
        /// What the peer says it is.
        replica: ReplicaId,
    },
    /// The peer says it is a region that its certificate does not name.
    #[error(
        "the peer's certificate is of region {certified}, not {expected}: give each region the certificate of its own name"
    )]
    WrongCertificate {
        /// As the certificate says.
        certified: RegionId,
        /// Whom we expected, or whom the peer says it is.
        expected: RegionId,
    },
    /// No version of the protocol is spoken by both.
    #[error(
        "the peer speaks bridge protocol {theirs_min}-{theirs_max}, this region {ours_min}-{ours_max}: upgrade the older one"
    )]
    NoCommonVersion {
        /// The peer's lowest.
        theirs_min: u32,
        /// The peer's highest.
        theirs_max: u32,
        /// Our lowest.
        ours_min: u32,
        /// Our highest.
        ours_max: u32,
    },
    /// A store was started fewer times than a peer has seen it start.
    #[error(
        "placement {placement}: {replica} is at start {start} but was seen at start {seen}: its store was rolled back and must return as a new incarnation"
    )]
    RolledBack {
        /// Which.
        placement: PlacementId,
        /// Whose store.
        replica: ReplicaId,
        /// Its start number now.
        start: u64,
        /// The highest seen.
        seen: u64,
    },
    /// Another store stands for a replica than a peer has seen.
    #[error(
        "placement {placement}: the store of {replica} is not the one that was seen before: a store that was lost must return as a new incarnation"
    )]
    OtherStore {
        /// Which.
        placement: PlacementId,
        /// Whose store.
        replica: ReplicaId,
    },
    /// Who asks for a snapshot is not active here.
    #[error(
        "placement {placement}: this region stands in epoch {epoch}, which does not count {replica} as active: admit it first, and ask again once this region has heard of it"
    )]
    NotAdmitted {
        /// Which.
        placement: PlacementId,
        /// Who asks.
        replica: ReplicaId,
        /// Where this region stands.
        epoch: u64,
    },
    /// This region lacks itself what others hold.
    #[error("placement {}: this region has not caught up itself: ask another one, or later", .0)]
    Behind(PlacementId),
    /// Somebody else takes a snapshot.
    #[error("other regions take snapshots here: ask another one, or later")]
    SnapshotBusy,
    /// The asker could not read the store.
    #[error("the store has format {found}, and the asker reads up to {known}: upgrade the region that joins")]
    NewerFormat {
        /// The store's.
        found: u64,
        /// The newest that the asker knows.
        known: u64,
    },
    /// The disk refused.
    #[error(
        "placement {placement}: no snapshot could be made ({reason}): ask another region, and look at this one's disk"
    )]
    NoSnapshot {
        /// Which.
        placement: PlacementId,
        /// What went wrong.
        reason: String,
    },
    /// Not a frame, or a field out of range.
    #[error("malformed frame ({}): {}", .0, BROKEN)]
    Malformed(&'static str),
    /// A frame above the limit.
    #[error("a frame of {bytes} bytes is above the limit of {limit}: {}", BROKEN)]
    Oversized {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A frame with something in it that this version does not know.
    #[error("a frame holds fields that are unknown in the agreed version: {}", BROKEN)]
    Unknown,
    /// A frame that does not belong where it came: anything before Hello, a second Hello, entries before Resume.
    #[error("{} came out of turn: {}", .0, BROKEN)]
    OutOfTurn(&'static str),
    /// Entries that do not follow what was sent before.
    #[error("entries of {} out of order: {}", .0, BROKEN)]
    EntriesOutOfOrder(PartitionId),
    /// A partition that the peer or this region has no part in.
    #[error(transparent)]
    NoPart(#[from] NoPart),
    /// A partition of none of the placements that both regions are active in: the receiver cannot even say whose it is.
    #[error(
        "{peer} speaks of partition {number} of the bridge, which is of no placement that both regions have a part in, and nothing of it is taken: compare the cluster files"
    )]
    NotShared {
        /// Who does.
        peer: RegionId,
        /// The number that it gives the partition.
        number: u32,
    },
    /// A commit that ends before its end.
    #[error("a commit of {origin} in {partition} is cut short: {}", BROKEN)]
    CommitCutShort {
        /// Where.
        partition: PartitionId,
        /// Whose.
        origin: ReplicaId,
    },
    /// The shard refused a commit.
    #[error(transparent)]
    Commit(#[from] CommitRefused),
    /// More fetches than can be remembered.
    #[error("more than {} fetches are waiting, since the peer asks without taking answers: {}", .0, BROKEN)]
    TooManyFetches(usize),
    /// A fetch of what this region does not have.
    #[error("{origin} up to {last} in {partition} was asked for and is not here: {}", BROKEN)]
    NotHere {
        /// Where.
        partition: PartitionId,
        /// Whose.
        origin: ReplicaId,
        /// Up to which sequence.
        last: u64,
    },
    /// Two histories of one replica.
    #[error(
        "{origin} has another history in {partition} at sequence {sequence} on the other side: {}",
        FORKED
    )]
    Fork {
        /// Where.
        partition: PartitionId,
        /// Whose chain.
        origin: ReplicaId,
        /// Where it was seen to differ.
        sequence: u64,
    },
    /// A peer has operations of this replica that this replica does not have.
    #[error(
        "{peer} has operation {theirs} of {origin} in {partition}, whose own store ends at {ours}: that store lost data and must return as a new incarnation"
    )]
    PeerKnowsMore {
        /// The peer that has more.
        peer: RegionId,
        /// Where.
        partition: PartitionId,
        /// The replica that lost.
        origin: ReplicaId,
        /// The peer's highest.
        theirs: u64,
        /// The replica's own.
        ours: u64,
    },
    /// A peer's cursor is beyond the end of this region's log or feed.
    #[error(
        "{peer} has read the {what} of {partition} up to {theirs}, which ends at {ours}: this store lost data and must return as a new incarnation"
    )]
    CursorBeyondEnd {
        /// The peer.
        peer: RegionId,
        /// Where.
        partition: PartitionId,
        /// Log or feed.
        what: &'static str,
        /// Where the peer stands.
        theirs: u64,
        /// Where ours ends.
        ours: u64,
    },
}

/// Codes with their names, for peers' codes. The names are stable.
const NAMES: [(u32, &str); 30] = [
    (CODE_STOPPING, "stopping"),
    (1, "wrong_cluster"),
    (2, "unknown_region"),
    (3, "unknown_placement"),
    (4, "wrong_epoch"),
    (5, "unknown_incarnation"),
    (6, "wrong_certificate"),
    (7, "no_common_version"),
    (CODE_ROLLED_BACK, "rolled_back"),
    (CODE_OTHER_STORE, "other_store"),
    (10, "epoch_refused"),
    (CODE_EPOCH_CHANGED, "epoch_changed"),
    (CODE_NOT_ADMITTED, "not_admitted"),
    (CODE_BEHIND, "behind"),
    (CODE_SNAPSHOT_BUSY, "snapshot_busy"),
    (15, "newer_format"),
    (16, "no_snapshot"),
    (20, "malformed"),
    (21, "oversized"),
    (22, "unknown_frame"),
    (23, "out_of_turn"),
    (24, "entries_out_of_order"),
    (25, "no_part"),
    (26, "commit_cut_short"),
    (27, "commit_refused"),
    (28, "too_many_fetches"),
    (29, "not_here"),
    (40, "fork"),
    (41, "peer_knows_more"),
    (42, "cursor_beyond_end"),
];

/// Ends because the region stops: no cause for alarm.
pub const CODE_STOPPING: u32 = 0;
/// See [`Reason::RolledBack`].
pub const CODE_ROLLED_BACK: u32 = 8;
/// See [`Reason::OtherStore`].
pub const CODE_OTHER_STORE: u32 = 9;

/// See [`Reason::EpochChanged`].
pub const CODE_EPOCH_CHANGED: u32 = 11;
/// See [`Reason::NotAdmitted`].
pub const CODE_NOT_ADMITTED: u32 = 12;
/// See [`Reason::Behind`].
pub const CODE_BEHIND: u32 = 13;
/// See [`Reason::SnapshotBusy`].
pub const CODE_SNAPSHOT_BUSY: u32 = 14;

impl Reason {
    /// The number on the wire.
    #[must_use]
    pub const fn code(&self) -> u32 {
        match self {
            Self::WrongCluster { .. } => 1,
            Self::UnknownRegion { .. } => 2,
            Self::UnknownPlacement { .. } => 3,
            Self::WrongEpoch { .. } => 4,
            Self::UnknownIncarnation { .. } => 5,
            Self::WrongCertificate { .. } => 6,
            Self::NoCommonVersion { .. } => 7,
            Self::RolledBack { .. } => CODE_ROLLED_BACK,
            Self::OtherStore { .. } => CODE_OTHER_STORE,
            Self::Epoch(_) => 10,
            Self::EpochChanged => CODE_EPOCH_CHANGED,
            Self::NotAdmitted { .. } => CODE_NOT_ADMITTED,
            Self::Behind(_) => CODE_BEHIND,
            Self::SnapshotBusy => CODE_SNAPSHOT_BUSY,
            Self::NewerFormat { .. } => 15,
            Self::NoSnapshot { .. } => 16,
            Self::Malformed(_) => 20,
            Self::Oversized { .. } => 21,
            Self::Unknown => 22,
            Self::OutOfTurn(_) => 23,
            Self::EntriesOutOfOrder(_) => 24,
            Self::NoPart(_) | Self::NotShared { .. } => 25,
            Self::CommitCutShort { .. } => 26,
            Self::Commit(_) => 27,
            Self::TooManyFetches(_) => 28,
            Self::NotHere { .. } => 29,
            Self::Fork { .. } => 40,
            Self::PeerKnowsMore { .. } => 41,
            Self::CursorBeyondEnd { .. } => 42,
        }
    }
}

/// The stable name of a code; "unknown" for a code of a later version.
#[must_use]
pub fn name_of(code: u32) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == code).map_or("unknown", |(_, name)| name)
}
