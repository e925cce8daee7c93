//! Mends the log of a store with what other regions hold of it: the one thing that nothing else in the store repeats, and everybody else does.
//!
//! The naive way copies records over. But a log is a region's own: it holds the same operations in an order of arrival of its own, in commits that bridges may have joined elsewhere, and
//! texts that were cut here may not be cut there yet. So only the operation itself is taken, and where it stands, in which commit, follows from what is left around it.
//!
//! What must always hold:
//! - Nothing is believed. An operation fits only if the chain over its envelope comes out as the next commit that is whole says (a replay of the log sees to that, [`crate::repair`]); its payload
//!   must be the one that its envelope names; a signature that ends a commit must be its origin's over that chain. One that was this region's own is signed anew.
//! - A sound record is never written.
//! - A text that comes back although its message is deleted is written down as one to be cut.

use crate::keys::{Key, KeyRange};
use crate::mend_registers::GivenRegister;
use crate::overlay::Overlay;
use crate::partition;
use crate::record::{self, CommitEnd, LogRecord, damaged};
use crate::store::{Direction, StoreError, View};
use crdt::{Bucket, ChainHead, Dot, PartitionId, PlacementId, ReplicaId, Sequence};
use ed25519_dalek::SigningKey;
use replication::commit::{Commit, OperationBytes};
use replication::log::Position;
use replication::placement::Placement;
use replication::signature::Signatures;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// What a store may be mended with.
#[derive(Debug)]
pub struct Given<'a> {
    /// The commits that hold what is [`lost`], as other regions have them.
    pub commits: &'a [Commit],
    /// What they have of registers that are [lost](crate::mend_registers::lost).
    pub registers: &'a [GivenRegister],
    /// Whose signatures count.
    pub placement: &'a Placement,
    /// This region's own replica, which may sign anew.
    pub own: (ReplicaId, &'a SigningKey),
    /// How.
    pub signatures: &'a dyn Signatures,
}

impl Given<'_> {
    /// How many other replicas are active, each of which has to say what it has of a register.
    pub(crate) fn others(&self) -> usize {
        self.placement.active.keys().filter(|replica| replica.region != self.own.0.region).count()
    }
}

/// The operations whose records in a log are damaged or gone, up to so many; those that no other record names are left out.
///
/// # Errors
/// [`StoreError`] when the store cannot be read at all.
pub fn lost(
    view: &dyn View,
    placement: PlacementId,
    max: usize,
) -> Result<Vec<(PartitionId, Dot)>, StoreError> {
    let mut lost = Vec::new();
    for bucket in partition::buckets(view)? {
        let partition = PartitionId { placement, bucket };
        lost.extend(
            named(view, bucket)?.into_values().map(|dot| (partition, dot)).take(max - lost.len().min(max)),
        );
    }
    Ok(lost)
}

/// The positions of a log at which no record can be read, each with the operation that stood there.
fn named(view: &dyn View, bucket: Bucket) -> Result<BTreeMap<Position, Dot>, StoreError> {
    let Some(reach) = readable(partition::reach(view, bucket))? else { return Ok(BTreeMap::new()) };
    let mut unread = BTreeSet::new();
    for position in (1..=reach.log_end.0).map(Position) {
        if readable(partition::entry(view, bucket, position, "the reach of its partition"))?.is_none() {
            unread.insert(position);
        }
    }
    let mut named = BTreeMap::new();
    if unread.is_empty() {
        return Ok(named);
    }
    // Damage among these is found by the verification that follows.
    readable(record::scan(
        view,
        &KeyRange::dots(bucket),
        Direction::Ascending,
        |key, position: Position| {
            if let Key::Dot(_, dot) = key
                && unread.contains(&position)
            {
                named.insert(position, dot);
            }
            Ok(ControlFlow::Continue(()))
        },
    ))?;
    Ok(named)
}

fn readable<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::Damaged { .. }) => Ok(None),
        Err(failure @ (StoreError::Full { .. } | StoreError::Failed { .. })) => Err(failure),
    }
}

/// Puts what was lost of a partition's log over the store; names each record that it puts.
pub(crate) fn mend(
    overlay: &mut Overlay<'_>,
    partition: PartitionId,
    given: &Given<'_>,
    named_records: &mut Vec<StoreError>,
) -> Result<(), StoreError> {
    let bucket = partition.bucket;
    let lost = named(overlay, bucket)?;
    let end = readable(partition::reach(overlay, bucket))?.map_or(Position(0), |reach| reach.log_end);
    for (position, dot) in &lost {
        let (position, dot) = (*position, *dot);
        let of_it = given.commits.iter().filter(|commit| commit.partition == partition);
        let Some(operation) = of_it.clone().find_map(|commit| operation(commit, dot)) else { continue };
        let before =
            readable(record::load::<LogRecord>(overlay, &Key::Log(bucket, Position(position.0 - 1))))?;
        let index = match before.flatten() {
            Some(before) if before.end.is_none() => before.index + 1,
            _ => 0,
        };
        let after = Position(position.0 + 1);
        let ends = match readable(record::load::<LogRecord>(overlay, &Key::Log(bucket, after)))?.flatten() {
            _ if position == end => true,
            Some(after) => after.index == 0,
            // What follows is lost too: where the others end a commit this log may have ended one.
            None => of_it.clone().any(|commit| commit.origin == dot.replica && commit.last() == dot.sequence),
        };
        let end = if ends {
            let signed = of_it.filter(|commit| commit.origin == dot.replica && commit.last() == dot.sequence);
            let signatures: Vec<[u8; 64]> = signed.map(|commit| commit.signature).collect();
            let Some(end) =
                end_of(overlay, (partition, position, dot), index, &operation, (&signatures, given))?
            else {
                continue;
            };
            Some(end)
        } else {
            None
        };
        let OperationBytes { envelope, payload } = operation;
        let key = Key::Log(bucket, position).encode();
        let value = record::seal(&key, &LogRecord { dot, index, envelope, payload, end });
        named_records.push(damaged(&key, "it cannot be read, and another region has it"));
        overlay.batch.put(key, value);
    }
    Ok(())
}

/// That operation of a commit.
fn operation(commit: &Commit, dot: Dot) -> Option<OperationBytes> {
    if commit.origin != dot.replica {
        return None;
    }
    let index = dot.sequence.0.checked_sub(commit.first.0)?;
    commit.operations.get(usize::try_from(index).ok()?).cloned()
}

/// The end of the commit that ends with that operation, if one of the signatures is right, or this region's own can be made.
fn end_of(
    view: &dyn View,
    (partition, position, dot): (PartitionId, Position, Dot),
    index: u64,
    operation: &OperationBytes,
    (signatures, given): (&[[u8; 64]], &Given<'_>),
) -> Result<Option<CommitEnd>, StoreError> {
    let bucket = partition.bucket;
    let (Some(first), Some(begins)) = (position.0.checked_sub(index), dot.sequence.0.checked_sub(index))
    else {
        return Ok(None);
    };
    let mut operations = Vec::new();
    for at in first..position.0 {
        let Some(entry) = readable(partition::entry(view, bucket, Position(at), "its commit"))? else {
            return Ok(None);
        };
        operations.push(OperationBytes { envelope: entry.envelope, payload: None });
    }
    operations.push(OperationBytes { envelope: operation.envelope.clone(), payload: None });
    let before = Sequence(begins.saturating_sub(1));
    let head = match before {
        Sequence::NONE => Some(ChainHead::genesis(partition, dot.replica)),
        before => readable(partition::head_at(view, partition, Dot { sequence: before, ..dot }))?.flatten(),
    };
    let Some(head) = head else { return Ok(None) };
    let (origin, first) = (dot.replica, Sequence(begins));
    let with = |signature| Commit { partition, origin, first, operations: operations.clone(), signature };
    let is_right = |commit: &Commit| {
        let key = given.placement.key_of(origin);
        key.and_then(|key| commit.verify(before, head, (given.signatures, key)).ok())
    };
    let found = signatures.iter().find_map(|signature| Some((is_right(&with(*signature))?, *signature)));
    let own = || {
        let (replica, key) = given.own;
        let commit = (replica == origin).then(|| {
            Commit::sign(partition, origin, first, operations.clone(), head, (given.signatures, key))
        })?;
        Some((is_right(&commit)?, commit.signature))
    };
    Ok(found.or_else(own).map(|(head, signature)| CommitEnd { head, signature }))
}
