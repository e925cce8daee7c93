//! What a store holds of one partition: how far its log and feed reach, how far each origin's chain has been applied, and
//! whole commits read back from the log.
//!
//! What must always hold: a commit stands contiguous in the log, and a chain record always stands at the end of a commit.
//! A log that says otherwise is damaged and is refused by name.

use crate::keys::{Key, KeyRange};
use crate::record::{self, ChainRecord, LogRecord, OpaqueRecord, ReachRecord};
use crate::store::{Batch, Direction, StoreError, View};
use bytes::Bytes;
use crdt::amendments::Amendments;
use crdt::id::BUCKETS;
use crdt::operation::{Body, Envelope, MalformedOperation};
use crdt::{
    Bucket, ChainHead, ConversationId, Dot, Identity, MalformedState, Membership, PartitionId, ReplicaId,
    Sequence, VersionVector,
};
use replication::commit::{Commit, OperationBytes};
use replication::log::{Base, LoggedCommit, PartitionState, Position};
use replication::placement::Epoch;
use replication::stability::Pair;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Per origin, how far its operations have been applied.
pub(crate) type Chains = BTreeMap<ReplicaId, ChainRecord>;

/// The buckets that hold any record, in order: one look at each, and none at the empty ones, which in most stores are nearly all.
pub(crate) fn buckets(view: &dyn View) -> Result<Vec<Bucket>, StoreError> {
    let mut buckets = Vec::new();
    let mut next = Some(0_u16);
    while let Some(from) = next.filter(|from| *from < BUCKETS) {
        let mut found = None;
        let (from, to) = (from.to_be_bytes(), BUCKETS.to_be_bytes());
        view.scan(&from, &to, Direction::Ascending, &mut |key, _| {
            // No key is shorter than that; one that were would belong to nothing, and hide nothing behind it.
            let byte = |at: usize| key.get(at).copied().unwrap_or(0);
            found = Some(u16::from_be_bytes([byte(0), byte(1)]));
            ControlFlow::Break(())
        })?;
        buckets.extend(found.and_then(Bucket::new));
        next = found.and_then(|number| number.checked_add(1));
    }
    Ok(buckets)
}

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

/// The acknowledgement of what chains amount to.
pub(crate) fn pair(chains: &Chains, epoch: Epoch) -> Pair {
    let heads = chains.iter().map(|(origin, chain)| (*origin, chain.end.head.check()));
    Pair { epoch, applied: applied(chains), heads: heads.collect() }
}

/// Notes what a partition's log holds as its base: of a store that becomes another replica's, in whose log everybody stands at the beginning.
pub(crate) fn lay_base(view: &dyn View, bucket: Bucket, batch: &mut Batch) -> Result<(), StoreError> {
    let chains = chains(view, bucket)?;
    if chains.is_empty() {
        return Ok(());
    }
    let position = Position(chains.values().map(|chain| chain.sequence.0).sum());
    let chains = chains.into_iter().map(|(origin, chain)| (origin, (chain.sequence, chain.end.head)));
    let key = Key::Base(bucket).encode();
    batch.put(key, record::seal(&key, &Base { position, chains: chains.collect() }));
    Ok(())
}

/// How far the log and the feed reach; nothing if the partition is empty.
pub(crate) fn reach(view: &dyn View, bucket: Bucket) -> Result<ReachRecord, StoreError> {
    Ok(record::load(view, &Key::Reach(bucket))?.unwrap_or_default())
}

/// How far the partition reaches.
pub(crate) fn state(view: &dyn View, bucket: Bucket) -> Result<PartitionState, StoreError> {
    let reach = reach(view, bucket)?;
    Ok(reach.state(applied(&chains(view, bucket)?)))
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

/// The envelope of the operation at that position.
pub(crate) fn envelope(
    view: &dyn View,
    bucket: Bucket,
    position: Position,
    named_by: &str,
) -> Result<Envelope, StoreError> {
    let entry = entry(view, bucket, position, named_by)?;
    let wrong =
        |error: MalformedOperation| record::damaged(&Key::Log(bucket, position).encode(), &error.to_string());
    Envelope::decode(&entry.envelope).map_err(wrong)
}

/// What became of a message that was amended; none if it was not.
pub(crate) fn amendments(
    view: &dyn View,
    conversation: ConversationId,
    message: Identity,
) -> Result<Option<Amendments>, StoreError> {
    let key = Key::Amendments(conversation, message.sender, message.message);
    let Some(OpaqueRecord(bytes)) = record::load(view, &key)? else { return Ok(None) };
    let wrong = |error: MalformedState| record::damaged(&key.encode(), &error.to_string());
    Amendments::decode(&bytes).map(Some).map_err(wrong)
}

/// What a log entry says, checked again against the digest that its envelope names; no body if its payload has been cut.
pub(crate) fn decode(
    bucket: Bucket,
    position: Position,
    entry: &LogRecord,
) -> Result<(Envelope, Option<Body>), StoreError> {
    let wrong =
        |error: MalformedOperation| record::damaged(&Key::Log(bucket, position).encode(), &error.to_string());
    let envelope = Envelope::decode(&entry.envelope).map_err(wrong)?;
    let body = match &entry.payload {
        None if envelope.kind.may_be_cut() => None,
        None => return Err(wrong(MalformedOperation::Field("payload"))),
        Some(payload) => Some(Body::decode(&envelope, payload).map_err(wrong)?),
    };
    Ok((envelope, body))
}

/// Where an operation stands in the log, if it is here.
pub(crate) fn position_of(view: &dyn View, bucket: Bucket, dot: Dot) -> Result<Option<Position>, StoreError> {
    record::load(view, &Key::Dot(bucket, dot))
}

/// The head of an origin's chain after that operation, from the log; none if it is not here.
pub(crate) fn head_at(
    view: &dyn View,
    partition: PartitionId,
    dot: Dot,
) -> Result<Option<ChainHead>, StoreError> {
    let Some(position) = position_of(view, partition.bucket, dot)? else { return Ok(None) };
    let entry = entry(view, partition.bucket, position, "a dot")?;
    match entry.end {
        Some(end) => Ok(Some(end.head)),
        None => head_within(view, partition, (dot, position), entry.index),
    }
}

/// The chain head after an operation that ends no commit here, being the so-manieth of its commit. Bridges join neighbouring commits, so what ends a commit at one region may stand
/// within one at another: its head follows from the head before that commit and the envelopes since.
fn head_within(
    view: &dyn View,
    partition: PartitionId,
    (dot, position): (Dot, Position),
    index: u64,
) -> Result<Option<ChainHead>, StoreError> {
    let bucket = partition.bucket;
    let first = Position(position.0.saturating_sub(index));
    let before = Sequence(dot.sequence.0.saturating_sub(index + 1));
    let mut head = ChainHead::genesis(partition, dot.replica);
    if before > Sequence::NONE {
        let before = Dot { sequence: before, ..dot };
        let Some(at) = position_of(view, bucket, before)? else { return Ok(None) };
        let Some(end) = entry(view, bucket, at, "a dot")?.end else { return Ok(None) };
        head = end.head;
    }
    for at in first.0..=position.0 {
        head = head.extend(&entry(view, bucket, Position(at), "a commit")?.envelope);
    }
    Ok(Some(head))
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

/// Whole commits after that position, in one walk along the log, until at least one was read and `bytes_max` would be passed. It ends where the log does.
pub(crate) fn commits_after(
    view: &dyn View,
    partition: PartitionId,
    from: Position,
    bytes_max: usize,
) -> Result<Vec<LoggedCommit>, StoreError> {
    let bucket = partition.bucket;
    let (mut commits, mut bytes, mut next) = (Vec::new(), 0_usize, Position(from.0.saturating_add(1)));
    let mut open: Option<LoggedCommit> = None;
    let mut within = false;
    record::scan(view, &KeyRange::log_after(bucket, from), Direction::Ascending, |key, entry: LogRecord| {
        if key != Key::Log(bucket, next) {
            return Ok(ControlFlow::Break(()));
        }
        let wrong = || record::damaged(&key.encode(), "it does not continue the commit before it");
        if open.is_none() && commits.is_empty() && entry.index > 0 {
            within = true;
            return Ok(ControlFlow::Break(()));
        }
        let LoggedCommit { last, commit, .. } = open.get_or_insert_with(|| LoggedCommit {
            first: next,
            last: next,
            commit: Commit {
                partition,
                origin: entry.dot.replica,
                first: entry.dot.sequence,
                operations: Vec::new(),
                signature: [0; 64],
            },
        });
        let index = commit.operations.len() as u64;
        let sequence = Sequence(commit.first.0.checked_add(index).ok_or_else(wrong)?);
        if entry.index != index || entry.dot != (Dot { replica: commit.origin, sequence }) {
            return Err(wrong());
        }
        bytes = bytes.saturating_add(entry.envelope.len() + entry.payload.as_ref().map_or(0, Bytes::len));
        if !commits.is_empty() && bytes > bytes_max {
            open = None;
            return Ok(ControlFlow::Break(()));
        }
        commit.operations.push(OperationBytes { envelope: entry.envelope, payload: entry.payload });
        (*last, next) = (next, Position(next.0 + 1));
        if let Some(end) = entry.end {
            commit.signature = end.signature;
            commits.extend(open.take());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if open.is_some() {
        return Err(record::damaged(
            &Key::Log(bucket, next).encode(),
            "it is missing, although its commit names it",
        ));
    }
    if within {
        // A peer goes on where its own log ends a commit, which may lie within one of this log: bridges join them.
        commits.extend(commit_at(view, partition, next)?);
    }
    Ok(commits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Store as _};

    #[test]
    fn buckets_are_those_that_hold_anything_and_what_is_no_key_hides_none() {
        let mut batch = Batch::default();
        let keys: [&[u8]; 7] =
            [&[0, 0, 4], &[0, 7, 1, 1], &[0, 7, 4], &[1], &[1, 0, 4], &[3, 255, 4], &[0xff, 0xff, 15]];
        for key in keys {
            batch.put(Bytes::copy_from_slice(key), Bytes::new());
        }
        let mut store = MemoryStore::new();
        assert_eq!(buckets(&store).unwrap(), []);
        store.commit(&batch).unwrap();
        let found: Vec<u16> = buckets(&store).unwrap().into_iter().map(Bucket::number).collect();
        assert_eq!(found, [0, 7, 256, 1_023]);
    }
}
