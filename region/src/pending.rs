//! A step under way: what it has read and written so far, and the effects that wait for the batch.
//!
//! What must always hold:
//! - A partition's chains, reach and own operations are loaded once a step and written once, at its end, so a batch carries one
//!   record of each however many operations it holds.
//! - Own operations of a partition are issued after everything else of the step has been applied to it, so they are contiguous
//!   at the end of its log and form one signed commit.
//! - A step that fails leaves nothing behind: all of this is dropped.

use crate::keys::Key;
use crate::overlay::Overlay;
use crate::partition::{self, Chains};
use crate::record::{self, ConversationRecord, ReachRecord, Record};
use crate::shard::{Effect, ShardConfig};
use crate::store::{Batch, StoreError, View};
use bytes::Bytes;
use crdt::{Bucket, ConversationId, Now, PartitionId, Sequence, VersionVector};
use replication::commit::OperationBytes;
use replication::log::{ChangeNumber, PartitionState, Position};
use std::collections::BTreeMap;

/// A step under way.
pub(crate) struct Pending<'a> {
    pub(crate) config: &'a ShardConfig,
    pub(crate) now: Now,
    overlay: Overlay<'a>,
    pub(crate) partitions: BTreeMap<Bucket, PartitionWork>,
    conversations: BTreeMap<ConversationId, ConversationRecord>,
    pub(crate) effects: Vec<Effect>,
}

/// One partition of a step under way.
#[derive(Debug)]
pub(crate) struct PartitionWork {
    pub(crate) chains: Chains,
    pub(crate) reach: ReachRecord,
    /// What this region issues in this step, with its first position.
    pub(crate) own: Vec<OperationBytes>,
    pub(crate) own_first: Position,
    before: PartitionState,
    /// Whether a pair arrived or something was applied, so that more may have become stable.
    pub(crate) weigh_stability: bool,
}

impl<'a> Pending<'a> {
    pub(crate) fn begin(config: &'a ShardConfig, now: Now, view: &'a dyn View) -> Self {
        Self {
            config,
            now,
            overlay: Overlay::new(view),
            partitions: BTreeMap::new(),
            conversations: BTreeMap::new(),
            effects: Vec::new(),
        }
    }

    /// The state as of now within the step. Conversation records and what a partition's work holds are written at the step's end, so
    /// they are read by [`Self::conversation`] and [`Self::partition`] instead.
    pub(crate) fn view(&self) -> &dyn View {
        &self.overlay
    }

    pub(crate) fn load<R: Record>(&self, key: &Key) -> Result<Option<R>, StoreError> {
        record::load(&self.overlay, key)
    }

    pub(crate) fn put(&mut self, key: &Key, record: &impl Record) {
        let key = key.encode();
        let value = record::seal(&key, record);
        self.overlay.batch.put(key, value);
    }

    pub(crate) fn delete(&mut self, key: &Key) {
        self.overlay.batch.delete(key.encode());
    }

    pub(crate) fn partition_id(&self, bucket: Bucket) -> PartitionId {
        PartitionId { placement: self.config.placement.id, bucket }
    }

    /// The work on that partition, begun if it has not been.
    pub(crate) fn partition(&mut self, bucket: Bucket) -> Result<&mut PartitionWork, StoreError> {
        if !self.partitions.contains_key(&bucket) {
            let chains = partition::chains(&self.overlay, bucket)?;
            let reach = partition::reach(&self.overlay, bucket)?;
            let work = PartitionWork::new(chains, reach);
            self.partitions.insert(bucket, work);
        }
        // It was inserted above if it was not there.
        Ok(self
            .partitions
            .entry(bucket)
            .or_insert_with(|| PartitionWork::new(Chains::new(), ReachRecord::default())))
    }

    /// A conversation's counters, clock and cut: those of an empty one if it is not known.
    pub(crate) fn conversation(&mut self, id: ConversationId) -> Result<&mut ConversationRecord, StoreError> {
        if !self.conversations.contains_key(&id) {
            let loaded = self.load(&Key::Conversation(id))?.unwrap_or_default();
            self.conversations.insert(id, loaded);
        }
        Ok(self.conversations.entry(id).or_default())
    }

    /// The next change number of a partition's feed.
    pub(crate) fn next_change(&mut self, bucket: Bucket) -> Result<ChangeNumber, StoreError> {
        let reach = &mut self.partition(bucket)?.reach;
        reach.feed_end = ChangeNumber(reach.feed_end.0 + 1);
        Ok(reach.feed_end)
    }

    /// The partitions that this step has applied operations to.
    pub(crate) fn applied_to(&self) -> Vec<Bucket> {
        self.partitions.iter().filter(|(_, work)| work.has_applied()).map(|(bucket, _)| *bucket).collect()
    }

    /// Writes what was kept back and says which partitions grew, with what they hold now.
    pub(crate) fn finish(mut self) -> (Batch, Vec<Effect>) {
        for (id, record) in std::mem::take(&mut self.conversations) {
            self.put(&Key::Conversation(id), &record);
        }
        for (bucket, work) in std::mem::take(&mut self.partitions) {
            assert!(work.own.is_empty(), "own operations are sealed into a commit before a step ends");
            let state = work.state();
            if state == work.before {
                continue;
            }
            for dot in state.applied.iter().filter(|dot| !work.before.applied.covers(*dot)) {
                if let Some(chain) = work.chains.get(&dot.replica) {
                    self.put(&Key::Chain(bucket, dot.replica), chain);
                }
            }
            self.put(&Key::Reach(bucket), &work.reach);
            let partition = self.partition_id(bucket);
            self.effects.push(Effect::Advanced { partition, state });
        }
        (self.overlay.batch, self.effects)
    }
}

impl PartitionWork {
    fn new(chains: Chains, reach: ReachRecord) -> Self {
        let mut work = Self {
            chains,
            reach,
            own: Vec::new(),
            own_first: Position::default(),
            before: PartitionState::default(),
            weigh_stability: false,
        };
        work.before = work.state();
        work
    }

    /// The next position of the log.
    pub(crate) fn next_position(&mut self) -> Position {
        self.reach.log_end = Position(self.reach.log_end.0 + 1);
        self.reach.log_end
    }

    /// The last sequence applied of that replica.
    pub(crate) fn applied(&self, replica: crdt::ReplicaId) -> Sequence {
        self.chains.get(&replica).map_or(Sequence::NONE, |chain| chain.sequence)
    }

    /// Everything applied to it.
    pub(crate) fn vector(&self) -> VersionVector {
        partition::applied(&self.chains)
    }

    /// Whether this step has applied operations to it.
    pub(crate) fn has_applied(&self) -> bool {
        self.reach.log_end != self.before.log_end
    }

    fn state(&self) -> PartitionState {
        PartitionState { log_end: self.reach.log_end, feed_end: self.reach.feed_end, applied: self.vector() }
    }
}

/// Bytes of a record that its own table understands.
pub(crate) fn opaque(bytes: impl Into<Bytes>) -> record::OpaqueRecord {
    record::OpaqueRecord(bytes.into())
}
