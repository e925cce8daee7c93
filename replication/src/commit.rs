//! Commits: the operations of one batch of one origin in one partition, with one signature over the chain head after them.
//!
//! What must always hold: a commit is applied whole, and its signature is kept, so that whatever is relayed can be verified
//! by whoever gets it. The head is not carried: the receiver computes it from its own head and the envelopes.
//!
//! Cost: 64 bytes of signature a commit, shared by all its operations; one Ed25519 signature where it is issued and one
//! verification in every other region.

use crate::reason::{BROKEN, FORKED};
use crate::signature::Signatures;
use bytes::Bytes;
use crdt::operation::MalformedOperation;
use crdt::{ChainHead, Dot, PartitionId, ReplicaId, Sequence};
use ed25519_dalek::{SigningKey, VerifyingKey};

/// The bytes of one operation: the dot follows from its place in the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationBytes {
    /// As the origin wrote it.
    pub envelope: Bytes,
    /// As the origin wrote it; none once it has been cut.
    pub payload: Option<Bytes>,
}

/// The operations of one batch of one origin in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Where it is logged.
    pub partition: PartitionId,
    /// Who issued it.
    pub origin: ReplicaId,
    /// The sequence of its first operation; the others follow without gaps.
    pub first: Sequence,
    /// At least one.
    pub operations: Vec<OperationBytes>,
    /// Signs the partition, the origin, the last sequence and the chain head after it.
    pub signature: [u8; 64],
}

/// Why a commit, or a register of a feed, cannot be taken. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitRefused {
    /// It does not begin where the origin's chain ends here.
    #[error(
        "commit of {origin} in {partition} begins at {first}, but {expected} is next, so entries are out of order: {}",
        BROKEN
    )]
    OutOfOrder {
        /// Its partition.
        partition: PartitionId,
        /// Its origin.
        origin: ReplicaId,
        /// Where it begins.
        first: u64,
        /// Where it should.
        expected: u64,
    },
    /// The signature is not the origin's over this chain: tampering, a fork, or a commit cut short.
    #[error(
        "commit of {origin} in {partition} up to {last} is not signed by its origin over this chain: compare that region's key with the one in the epoch's file, and verify the peer's store"
    )]
    Signature {
        /// Its partition.
        partition: PartitionId,
        /// Its origin.
        origin: ReplicaId,
        /// Its last sequence.
        last: u64,
    },
    /// Of another chain of its origin than the one applied here: a dot was issued twice, or a store was rolled back.
    #[error(
        "{origin} has forked in {partition}: it has two chains up to {last}, and nothing more of that partition is exchanged: {}",
        FORKED
    )]
    Fork {
        /// Its partition.
        partition: PartitionId,
        /// Its origin.
        origin: ReplicaId,
        /// The last sequence of the commit that differs.
        last: u64,
    },
    /// It holds bytes that are no operation.
    #[error("{partition} holds something else than an operation at {dot}, {reason}: {}", BROKEN)]
    Malformed {
        /// Its partition.
        partition: PartitionId,
        /// Which operation.
        dot: Dot,
        /// What is wrong with it.
        reason: MalformedOperation,
    },
    /// It holds an operation of a kind that this version does not know: the partition's stream stops here until this region is upgraded, and no other does.
    #[error(
        "{dot} in {partition} is of kind {kind}, which a later version issues: upgrade this region, and it goes on where it stopped"
    )]
    LaterKind {
        /// Its partition.
        partition: PartitionId,
        /// Which operation.
        dot: Dot,
        /// The kind's number.
        kind: i32,
    },
    /// It holds an operation on a conversation of another partition.
    #[error("{dot} in {partition} is about a conversation of another partition: {}", BROKEN)]
    WrongPartition {
        /// The partition whose log it stands in.
        partition: PartitionId,
        /// Which operation.
        dot: Dot,
    },
    /// A register's name or value is not one that this version knows.
    #[error(
        "register {key} in the feed of {partition} cannot be read: upgrade this region, or check the peer"
    )]
    Register {
        /// The partition whose feed it stands in.
        partition: PartitionId,
        /// Its name, in hexadecimal.
        key: String,
    },
    /// A register of a kind that this version does not know: the partition's feed stops here until this region is upgraded, and nothing else does.
    #[error(
        "the feed of {partition} holds a register of kind {kind}, which a later version writes: upgrade this region, and it goes on where it stopped"
    )]
    LaterRegister {
        /// The partition whose feed it stands in.
        partition: PartitionId,
        /// The kind's number.
        kind: u8,
    },
    /// No operations.
    #[error("commit of {origin} in {partition} is empty: {}", BROKEN)]
    Empty {
        /// Its partition.
        partition: PartitionId,
        /// Its origin.
        origin: ReplicaId,
    },
    /// Its origin takes over the rights of a replica that it is not the heir of.
    #[error(
        "{dot} in {partition} takes over the rights of {of}, whose heir its origin is not by any epoch: {}",
        BROKEN
    )]
    NotTheHeir {
        /// Its partition.
        partition: PartitionId,
        /// Which operation.
        dot: Dot,
        /// Whose rights.
        of: ReplicaId,
    },
    /// The origin is not an active replica of the partition's placement in this region's epoch.
    #[error("{origin} is not an active replica of {partition}: give both regions the same epoch files")]
    UnknownOrigin {
        /// Its partition.
        partition: PartitionId,
        /// Its origin.
        origin: ReplicaId,
    },
}

impl CommitRefused {
    /// The partition in whose stream it was.
    #[must_use]
    pub const fn partition(&self) -> PartitionId {
        match self {
            Self::OutOfOrder { partition, .. }
            | Self::Signature { partition, .. }
            | Self::Fork { partition, .. }
            | Self::Malformed { partition, .. }
            | Self::LaterKind { partition, .. }
            | Self::WrongPartition { partition, .. }
            | Self::Register { partition, .. }
            | Self::LaterRegister { partition, .. }
            | Self::Empty { partition, .. }
            | Self::NotTheHeir { partition, .. }
            | Self::UnknownOrigin { partition, .. } => *partition,
        }
    }
}

impl Commit {
    /// The sequence of its last operation. One that claims to begin at the end of the range ends there: its first is out of order
    /// wherever it is checked, since no chain gets that far.
    #[must_use]
    pub fn last(&self) -> Sequence {
        Sequence(self.first.0.saturating_add((self.operations.len() as u64).saturating_sub(1)))
    }

    /// Its dots, in order.
    pub fn dots(&self) -> impl Iterator<Item = Dot> + '_ {
        (self.first.0..=self.last().0).map(|number| Dot { replica: self.origin, sequence: Sequence(number) })
    }

    /// The chain head after it, given the head before it.
    #[must_use]
    pub fn head_after(&self, before: ChainHead) -> ChainHead {
        self.operations.iter().fold(before, |head, operation| head.extend(&operation.envelope))
    }

    /// Signs operations that this replica issues. `before` is its chain head before them.
    #[must_use]
    pub fn sign(
        partition: PartitionId,
        origin: ReplicaId,
        first: Sequence,
        operations: Vec<OperationBytes>,
        before: ChainHead,
        (signatures, key): (&dyn Signatures, &SigningKey),
    ) -> Self {
        let mut commit = Self { partition, origin, first, operations, signature: [0; 64] };
        let statement = statement(partition, origin, commit.last(), commit.head_after(before));
        commit.signature = signatures.sign(key, &statement);
        commit
    }

    /// Checks that this commit is the next one of its origin's chain, whole and signed by the origin. Returns the head after it.
    ///
    /// # Errors
    /// [`CommitRefused`] when it is empty, out of order or wrongly signed.
    pub fn verify(
        &self,
        applied: Sequence,
        before: ChainHead,
        (signatures, key): (&dyn Signatures, &VerifyingKey),
    ) -> Result<ChainHead, CommitRefused> {
        let (partition, origin) = (self.partition, self.origin);
        if self.operations.is_empty() {
            return Err(CommitRefused::Empty { partition, origin });
        }
        if self.first != applied.next() {
            let (first, expected) = (self.first.0, applied.next().0);
            return Err(CommitRefused::OutOfOrder { partition, origin, first, expected });
        }
        let head = self.head_after(before);
        if signatures.verify(key, &statement(partition, origin, self.last(), head), &self.signature) {
            Ok(head)
        } else {
            Err(CommitRefused::Signature { partition, origin, last: self.last().0 })
        }
    }
}

/// Whether an origin has signed its chain up to there: since heads are chained, the signature of the last commit speaks for all before it.
pub fn is_signed(
    partition: PartitionId,
    last: Dot,
    (head, signature): (ChainHead, &[u8; 64]),
    (signatures, key): (&dyn Signatures, &VerifyingKey),
) -> bool {
    signatures.verify(key, &statement(partition, last.replica, last.sequence, head), signature)
}

/// What a commit's signature covers.
fn statement(partition: PartitionId, origin: ReplicaId, last: Sequence, head: ChainHead) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(80);
    bytes.extend_from_slice(b"archipelago commit\0");
    bytes.extend_from_slice(&partition.placement.0.to_be_bytes());
    bytes.extend_from_slice(&partition.bucket.number().to_be_bytes());
    bytes.extend_from_slice(&origin.region.0.to_be_bytes());
    bytes.extend_from_slice(&origin.incarnation.0.to_be_bytes());
    bytes.extend_from_slice(&last.0.to_be_bytes());
    bytes.extend_from_slice(&head.0);
    bytes
}
