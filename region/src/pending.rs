//! A step under way: what it has read and written so far, and the effects that wait for the batch.
//!
//! What must always hold:
//! - A partition's chains, reach and own operations are loaded once a step and written once, at its end, so a batch carries one
//!   record of each however many operations it holds.
//! - Own operations of a partition are issued after everything else of the step has been applied to it, so they are contiguous
//!   at the end of its log and form one signed commit.
//! - A step that fails leaves nothing behind: all of this is dropped.

use crate::keys::Key;
use crate::partition::{self, Chains};
use crate::record::ReachRecord;
use crate::shard::{Effect, ShardConfig};
use crate::store::{Batch, StoreError, View};
use crate::tables::Tables;
use crdt::{Bucket, Now, PartitionId, Sequence, VersionVector};
use replication::commit::OperationBytes;
use replication::log::{ChangeNumber, PartitionState, Position};
use std::collections::BTreeMap;

/// A step under way.
pub(crate) struct Pending<'a> {
    pub(crate) config: &'a ShardConfig,
    pub(crate) now: Now,
    pub(crate) tables: Tables<'a>,
    pub(crate) partitions: BTreeMap<Bucket, PartitionWork>,
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
        Self { config, now, tables: Tables::over(view), partitions: BTreeMap::new() }
    }

    pub(crate) fn partition_id(&self, bucket: Bucket) -> PartitionId {
        PartitionId { placement: self.config.placement.id, bucket }
    }

    /// The work on that partition, begun if it has not been.
    pub(crate) fn partition(&mut self, bucket: Bucket) -> Result<&mut PartitionWork, StoreError> {
        if !self.partitions.contains_key(&bucket) {
            let chains = partition::chains(self.tables.view(), bucket)?;
            let reach = partition::reach(self.tables.view(), bucket)?;
            let work = PartitionWork::new(chains, reach);
            self.partitions.insert(bucket, work);
        }
        // It was inserted above if it was not there.
        Ok(self
            .partitions
            .entry(bucket)
            .or_insert_with(|| PartitionWork::new(Chains::new(), ReachRecord::default())))
    }

    /// The next change number of a partition's feed; `own` if the change is made here, not passed on by a peer.
    pub(crate) fn next_change(&mut self, bucket: Bucket, own: bool) -> Result<ChangeNumber, StoreError> {
        let reach = &mut self.partition(bucket)?.reach;
        reach.feed_end = ChangeNumber(reach.feed_end.0 + 1);
        if own {
            reach.feed_own = reach.feed_end;
        }
        Ok(reach.feed_end)
    }

    /// The partitions that this step has applied operations to.
    pub(crate) fn applied_to(&self) -> Vec<Bucket> {
        self.partitions.iter().filter(|(_, work)| work.has_applied()).map(|(bucket, _)| *bucket).collect()
    }

    /// Writes what was kept back and says which partitions grew, with what they hold now.
    pub(crate) fn finish(mut self) -> (Batch, Vec<Effect>) {
        for (bucket, work) in std::mem::take(&mut self.partitions) {
            assert!(work.own.is_empty(), "own operations are sealed into a commit before a step ends");
            let state = work.state();
            if state == work.before {
                continue;
            }
            for dot in state.applied.iter().filter(|dot| !work.before.applied.covers(*dot)) {
                if let Some(chain) = work.chains.get(&dot.replica) {
                    self.tables.put(&Key::Chain(bucket, dot.replica), chain);
                }
            }
            self.tables.put(&Key::Reach(bucket), &work.reach);
            let partition = self.partition_id(bucket);
            self.tables.effects.push(Effect::Advanced { partition, state });
        }
        self.tables.finish()
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
        let ReachRecord { log_end, feed_end, feed_own } = self.reach;
        PartitionState { log_end, feed_end, feed_own, applied: self.vector() }
    }
}
