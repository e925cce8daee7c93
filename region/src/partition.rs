//! What a store holds of one partition: how far its log and feed reach, how far each origin's chain has been applied, and
//! whole commits read back from the log.
//!
//! What must always hold: a commit stands contiguous in the log, and a chain record always stands at the end of a commit.
//! A log that says otherwise is damaged and is refused by name.

use crate::keys::{Key, KeyRange};
use crate::record::{self, ChainRecord, LogRecord, OpaqueRecord, ReachRecord};
use crate::store::{Direction, StoreError, View};
use crdt::operation::{Body, Envelope, MalformedOperation};
use crdt::{Bucket, ConversationId, Dot, Membership, PartitionId, ReplicaId, Sequence, VersionVector};
use replication::commit::{Commit, OperationBytes};
use replication::log::{LoggedCommit, PartitionState, Position};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Per origin, how far its operations have been applied.
pub(crate) type Chains = BTreeMap<ReplicaId, ChainRecord>;

/// The chains of a partition: one scan of as many records as the partition has origins.
pub(crate) fn chains(view: &dyn View, bucket: Bucket) -> Result<Chains, StoreError> {
    let mut chains = Chains::new();
    record::scan(view, &KeyRange::chains(bucket), Direction::Ascending, |key, chain: ChainRecord| {
        if let Key::Chain(_, origin) = key {
            chains.insert(origin, chain);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(chains)
}

/// The vector that chains amount to.
pub(crate) fn applied(chains: &Chains) -> VersionVector {
    chains.iter().map(|(replica, chain)| Dot { replica: *replica, sequence: chain.sequence }).collect()
}

/// How far the log and the feed reach; nothing if the partition is empty.
pub(crate) fn reach(view: &dyn View, bucket: Bucket) -> Result<ReachRecord, StoreError> {
    Ok(record::load(view, &Key::Reach(bucket))?.unwrap_or_default())
}

/// How far the partition reaches.
pub(crate) fn state(view: &dyn View, bucket: Bucket) -> Result<PartitionState, StoreError> {
    let reach = reach(view, bucket)?;
    let applied = applied(&chains(view, bucket)?);
    Ok(PartitionState { log_end: reach.log_end, feed_end: reach.feed_end, feed_own: reach.feed_own, applied })
}

/// Who is in a conversation: nobody if it is not known.
pub(crate) fn members(view: &dyn View, conversation: ConversationId) -> Result<Membership, StoreError> {
    let key = Key::Members(conversation);
    match record::load(view, &key)? {
        None => Ok(Membership::default()),
        Some(OpaqueRecord(bytes)) => {
            Membership::decode(&bytes).map_err(|error| record::damaged(&key.encode(), &error.to_string()))
        }
    }
}

/// The log entry at that position, which another record names.
pub(crate) fn entry(
    view: &dyn View,
    bucket: Bucket,
    position: Position,
    named_by: &str,
) -> Result<LogRecord, StoreError> {
    record::load_named(view, &Key::Log(bucket, position), named_by)
}

/// What a log entry says, checked again against the digest that its envelope names.
pub(crate) fn decode(
    bucket: Bucket,
    position: Position,
    entry: &LogRecord,
) -> Result<(Envelope, Body), StoreError> {
    let wrong =
        |error: MalformedOperation| record::damaged(&Key::Log(bucket, position).encode(), &error.to_string());
    let envelope = Envelope::decode(&entry.envelope).map_err(wrong)?;
    let payload = entry.payload.as_ref().ok_or_else(|| wrong(MalformedOperation::Field("payload")))?;
    let body = Body::decode(&envelope, payload).map_err(wrong)?;
    Ok((envelope, body))
}

/// Where an operation stands in the log, if it is here.
pub(crate) fn position_of(view: &dyn View, bucket: Bucket, dot: Dot) -> Result<Option<Position>, StoreError> {
    record::load(view, &Key::Dot(bucket, dot))
}

/// The commit that holds the entry at that position, if there is one.
pub(crate) fn commit_at(
    view: &dyn View,
    partition: PartitionId,
    position: Position,
) -> Result<Option<LoggedCommit>, StoreError> {
    let bucket = partition.bucket;
    let key = Key::Log(bucket, position);
    let Some(entry) = record::load::<LogRecord>(view, &key)? else { return Ok(None) };
    let wrong = |what| record::damaged(&key.encode(), what);
    let first = Position(
        position.0.checked_sub(entry.index).ok_or_else(|| wrong("its commit begins before the log"))?,
    );
    let origin = entry.dot.replica;
    let begins = Sequence(
        entry
            .dot
            .sequence
            .0
            .checked_sub(entry.index)
            .ok_or_else(|| wrong("its commit begins before its chain"))?,
    );
    let mut commit = Commit { partition, origin, first: begins, operations: Vec::new(), signature: [0; 64] };
    let mut position = first;
    loop {
        let entry = self::entry(view, bucket, position, "its commit")?;
        let index = commit.operations.len() as u64;
        let dot = Dot { replica: origin, sequence: Sequence(begins.0 + index) };
        if entry.dot != dot || entry.index != index {
            let key = Key::Log(bucket, position).encode();
            return Err(record::damaged(&key, "it does not continue the commit before it"));
        }
        commit.operations.push(OperationBytes { envelope: entry.envelope, payload: entry.payload });
        if let Some(end) = entry.end {
            commit.signature = end.signature;
            return Ok(Some(LoggedCommit { first, last: position, commit }));
        }
        position = Position(position.0 + 1);
    }
}
