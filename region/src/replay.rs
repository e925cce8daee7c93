//! Replays a partition's log through the very code that applied it: what its tables must hold, for whoever verifies a store or makes them again.
//!
//! What must always hold: it looks up nothing but the log, so nothing of what it is held against can lead it astray; it goes by the order of the log, in which every entry continues its origin's chain and its
//! commit; of the members of a group, which a store and a replay fold at different moments, it says what they are, and not how they are written.

use crate::apply_operation::{self, Checked};
use crate::keys::{Key, Table};
use crate::partition::{self, Chains};
use crate::record::{self, ChainRecord, CommitEnd, ConversationRecord, LogRecord, OpaqueRecord, damaged};
use crate::store::{Batch, Direction, StoreError, View, Visit};
use crate::tables::Tables;
use bytes::Bytes;
use crdt::operation::{Body, Envelope};
use crdt::{
    Bucket, ChainHead, ConversationId, Cut, Membership, PartitionId, ReplicaId, Sequence, StateDigest,
    VersionVector,
};
use replication::log::Position;
use std::collections::BTreeMap;

/// What a log comes to.
pub(crate) struct Replayed {
    /// What stands in every table that follows from it.
    pub(crate) expected: Batch,
    /// The digest of that.
    pub(crate) digest: StateDigest,
    /// Exactly what it applies.
    pub(crate) applied: VersionVector,
    /// How many those are.
    pub(crate) operations: u64,
}

/// Replays a partition's log up to its end through the code that applied it.
pub(crate) fn replay(view: &dyn View, partition: PartitionId, end: Position) -> Result<Replayed, StoreError> {
    let bucket = partition.bucket;
    let log = LogAlone(view);
    let mut replay = Replay { partition, chains: Chains::new(), heads: BTreeMap::new(), commit: None };
    let mut tables = Tables::over(&log);
    let mut operations = 0;
    let seen = seen_from_there_on(view, bucket, end)?;
    for position in (1..=end.0).map(Position) {
        let entry = partition::entry(view, bucket, position, "the reach of its partition")?;
        replay.follow(position, &entry)?;
        let (envelope, body) = partition::decode(bucket, position, &entry)?;
        if envelope.conversation.partition() != partition {
            let key = Key::Log(bucket, position).encode();
            return Err(damaged(&key, "it is about a conversation of another partition"));
        }
        // A change of members folds what is held for stable: here, what all that follows in the log had seen.
        if let Some(seen) = seen.get(&position) {
            tables.put(&Key::Stable(bucket), seen);
        }
        apply_operation::apply(&mut tables, position, Checked { dot: entry.dot, envelope, body })?;
        tables.effects.clear();
        tables.uncut.clear();
        tables.made_twice.clear();
        tables.unsettled.clear();
        operations += 1;
    }
    if replay.commit.is_some() {
        return Err(damaged(&Key::Log(bucket, end).encode(), "the log ends within a commit"));
    }
    for (origin, chain) in &replay.chains {
        tables.put(&Key::Chain(bucket, *origin), chain);
    }
    tables.delete(&Key::Stable(bucket));
    let digest = tables.digest_growth().remove(&bucket).unwrap_or_default();
    let (expected, _) = tables.finish();
    Ok(Replayed { expected, digest, applied: partition::applied(&replay.chains), operations })
}

/// Of each change of members in a log, what it and all that follow it had seen of its conversation.
fn seen_from_there_on(
    view: &dyn View,
    bucket: Bucket,
    end: Position,
) -> Result<BTreeMap<Position, Cut>, StoreError> {
    let mut seen = BTreeMap::new();
    let mut later: BTreeMap<ConversationId, Cut> = BTreeMap::new();
    for position in (1..=end.0).rev().map(Position) {
        let entry = partition::entry(view, bucket, position, "the reach of its partition")?;
        let envelope = Envelope::decode(&entry.envelope);
        if !envelope.is_ok_and(|envelope| envelope.kind.changes_members()) {
            continue;
        }
        let (envelope, body) = partition::decode(bucket, position, &entry)?;
        let cut = match body {
            Some(Body::Change(change)) => change.cut,
            Some(Body::Rights(change)) => change.cut,
            _ => Cut::new(),
        };
        let both = later.get(&envelope.conversation).map_or_else(|| cut.clone(), |later| later.meet(&cut));
        later.insert(envelope.conversation, both.clone());
        seen.insert(position, both);
    }
    Ok(seen)
}

/// Whether what a replay wrote says the same as what was found, although their bytes differ: of members a store and a replay fold at different moments, and of a conversation that
/// has not changed since a format that did not keep its digest, none stands there.
pub(crate) fn says_the_same(key: &[u8], replayed: &Bytes, found: Option<Bytes>) -> Result<bool, StoreError> {
    match (found, Table::of(key)) {
        (Some(found), Some(Table::Members)) => are_same_members(key, replayed, found),
        (Some(found), Some(Table::Conversations)) => {
            let found: ConversationRecord = record::unseal(key, found)?;
            let replayed: ConversationRecord = record::unseal(key, replayed.clone())?;
            Ok(found == ConversationRecord { digest: None, ..replayed })
        }
        _ => Ok(false),
    }
}

fn are_same_members(key: &[u8], one: &Bytes, other: Bytes) -> Result<bool, StoreError> {
    let canonical = |value: Bytes| {
        let OpaqueRecord(bytes) = record::unseal(key, value)?;
        let members = Membership::decode(&bytes).map_err(|error| damaged(key, &error.to_string()))?;
        Ok::<_, StoreError>(members.canonical_bytes())
    };
    Ok(canonical(one.clone())? == canonical(other)?)
}

/// The log of a store and nothing else of it: what a replay may look up. It scans none.
struct LogAlone<'a>(&'a dyn View);

impl View for LogAlone<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if Table::of(key) == Some(Table::Log) { self.0.get(key) } else { Ok(None) }
    }

    fn scan(&self, _: &[u8], _: &[u8], _: Direction, _: &mut Visit<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Where a replay of a log stands.
struct Replay {
    partition: PartitionId,
    chains: Chains,
    heads: BTreeMap<ReplicaId, (Sequence, ChainHead)>,
    /// The commit that has begun and not ended: its origin and how many of its operations have been met.
    commit: Option<(ReplicaId, u64)>,
}

impl Replay {
    /// Checks that an entry continues the log.
    fn follow(&mut self, position: Position, entry: &LogRecord) -> Result<(), StoreError> {
        let wrong = |what| Err(damaged(&Key::Log(self.partition.bucket, position).encode(), what));
        let origin = entry.dot.replica;
        if (entry.index, self.commit) != (0, None) && self.commit != Some((origin, entry.index)) {
            return wrong("it does not continue the commit before it");
        }
        let genesis = (Sequence::NONE, ChainHead::genesis(self.partition, origin));
        let (sequence, head) = self.heads.get(&origin).copied().unwrap_or(genesis);
        if entry.dot.sequence != sequence.next() {
            return wrong("it is not the next operation of its origin");
        }
        let head = head.extend(&entry.envelope);
        let end: Option<CommitEnd> = entry.end;
        if end.is_some_and(|end| end.head != head) {
            return wrong("its chain head is not that of the envelopes before it");
        }
        self.heads.insert(origin, (entry.dot.sequence, head));
        self.commit = match end {
            None => Some((origin, entry.index + 1)),
            Some(end) => {
                self.chains.insert(origin, ChainRecord { sequence: entry.dot.sequence, end });
                None
            }
        };
        Ok(())
    }
}
