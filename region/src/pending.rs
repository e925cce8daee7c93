//! A step under way: what it has read and written so far, and the effects that wait for the batch.
//!
//! What must always hold:
//! - A partition's chains, reach and own operations are written once a step, at its end, so a batch carries one
//!   record of each however many operations it holds.
//! - They and what is known of acknowledgements are loaded once, and kept by the shard from then on: between steps that is what the
//!   store holds, since a shard is its only writer, starts no step before the last batch is durable, and is not used again after a step that
//!   failed. Bounded: 1,024 partitions, each a chain and an acknowledgement a replica, about 1 KiB with three.
//! - Own operations of a partition are issued after everything else of the step has been applied to it, so they are contiguous
//!   at the end of its log and form one signed commit.
//! - A step that fails leaves nothing behind: all of this is dropped.

use crate::acknowledge;
use crate::digest;
use crate::features::Features;
use crate::keys::Key;
use crate::partition::{self, Chains};
use crate::record::{self, ReachRecord};
use crate::shard::{Effect, ShardConfig};
use crate::store::{Batch, StoreError, View};
use crate::tables::Tables;
use crdt::operation::{Body, Envelope};
use crdt::{Bucket, Cut, Flags, Now, PartitionId, RegionId, ReplicaId, Sequence, VersionVector};
use replication::commit::OperationBytes;
use replication::log::{ChangeNumber, PartitionState, Position};
use replication::placement::Epoch;
use replication::stability::{Acknowledgements, Pair};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What a shard keeps of its partitions from step to step.
pub(crate) type Kept = BTreeMap<Bucket, Box<PartitionWork>>;

/// A step under way.
pub(crate) struct Pending<'a> {
    pub(crate) config: &'a ShardConfig,
    pub(crate) now: Now,
    pub(crate) tables: Tables<'a>,
    /// Those that this step has to do with.
    pub(crate) partitions: Kept,
    /// What is asked was in time when a replica acknowledged it that is closed now: the ages of ids are not judged.
    pub(crate) was_in_time: bool,
    kept: &'a mut Kept,
    /// What operators have turned off or limited, as far as is known here: kept by the shard as the partitions are.
    features: &'a mut Features,
}

/// One partition, with what a step under way has done to it.
#[derive(Debug)]
pub(crate) struct PartitionWork {
    pub(crate) chains: Chains,
    pub(crate) reach: ReachRecord,
    /// What this region issues in this step, with its first position.
    pub(crate) own: Vec<OperationBytes>,
    pub(crate) own_first: Position,
    before: PartitionState,
    /// What is known of active replicas' acknowledgements, and what is stable by them; none until that was asked.
    acknowledged: Option<(Acknowledgements, Cut)>,
    /// Replicas whose acknowledgements grew in this step: they are written once, when it is known what of them is believed.
    pub(crate) grown: BTreeSet<ReplicaId>,
    /// Whether a pair arrived or something was applied, so that more may have become stable.
    pub(crate) weigh_stability: bool,
    /// Whether operators have been told that another replica acknowledges another history than stands here.
    pub(crate) told_of_another_history: bool,
}

impl<'a> Pending<'a> {
    pub(crate) fn begin(
        config: &'a ShardConfig,
        now: Now,
        view: &'a dyn View,
        (kept, features): (&'a mut Kept, &'a mut Features),
    ) -> Self {
        let tables = Tables::over(view);
        Self { config, now, tables, partitions: Kept::new(), was_in_time: false, kept, features }
    }

    /// What operators have turned off or limited.
    pub(crate) const fn features(&self) -> &Features {
        self.features
    }

    /// A region's flags are those now.
    pub(crate) fn note_flags(&mut self, region: RegionId, flags: Flags) {
        self.features.note(&self.config.placement, region, flags);
    }

    pub(crate) fn partition_id(&self, bucket: Bucket) -> PartitionId {
        PartitionId { placement: self.config.placement.id, bucket }
    }

    /// The work on that partition, begun if it has not been.
    pub(crate) fn partition(&mut self, bucket: Bucket) -> Result<&mut PartitionWork, StoreError> {
        match self.partitions.entry(bucket) {
            Entry::Occupied(begun) => Ok(begun.into_mut()),
            Entry::Vacant(vacant) => {
                if let Some(kept) = self.kept.remove(&bucket) {
                    return Ok(vacant.insert(kept));
                }
                let view = self.tables.view();
                let (chains, reach) = (partition::chains(view, bucket)?, partition::reach(view, bucket)?);
                Ok(vacant.insert(Box::new(PartitionWork::new(chains, reach))))
            }
        }
    }

    /// What the operation at that position says, issued in this very step or not; none if its payload was cut.
    pub(crate) fn body_at(&self, bucket: Bucket, position: Position) -> Result<Option<Body>, StoreError> {
        let issued = self.partitions.get(&bucket).filter(|work| !work.own.is_empty());
        let issued = issued.and_then(|work| {
            let nth = position.0.checked_sub(work.own_first.0)?;
            work.own.get(usize::try_from(nth).ok()?)
        });
        let (envelope, payload) = match issued {
            Some(operation) => (operation.envelope.clone(), operation.payload.clone()),
            None => {
                let entry = partition::entry(self.tables.view(), bucket, position, "an identity")?;
                (entry.envelope, entry.payload)
            }
        };
        let Some(payload) = payload else { return Ok(None) };
        let decoded = Envelope::decode(&envelope).and_then(|envelope| Body::decode(&envelope, &payload));
        let key = Key::Log(bucket, position).encode();
        decoded.map(Some).map_err(|error| record::damaged(&key, &error.to_string()))
    }

    /// What is known of the acknowledgements of that partition's active replicas, and what is stable by them.
    pub(crate) fn acknowledged(
        &mut self,
        bucket: Bucket,
    ) -> Result<&mut (Acknowledgements, Cut), StoreError> {
        if self.partition(bucket)?.acknowledged.is_none() {
            let (view, mut all) = (self.tables.view(), Acknowledgements::default());
            for replica in self.config.placement.active.keys() {
                all.insert(*replica, acknowledge::known(view, bucket, *replica)?);
            }
            let stable = acknowledge::stable(view, bucket)?;
            self.partition(bucket)?.acknowledged = Some((all, stable));
        }
        // It was set above if it was not.
        Ok(self.partition(bucket)?.acknowledged.get_or_insert_default())
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
    pub(crate) fn finish(mut self) -> Result<(Batch, Vec<Effect>), StoreError> {
        let growth = self.tables.digest_growth();
        for (bucket, mut work) in std::mem::take(&mut self.partitions) {
            assert!(work.own.is_empty(), "own operations are sealed into a commit before a step ends");
            work.weigh_stability = false;
            if work.has_applied() {
                let before =
                    work.reach.digest.map_or_else(|| digest::of_partition(self.tables.before(), bucket), Ok);
                let mut digest = before?;
                digest += growth.get(&bucket).copied().unwrap_or_default();
                work.reach.digest = Some(digest);
            }
            let state = work.state();
            if state == work.before {
                self.kept.insert(bucket, work);
                continue;
            }
            for dot in state.applied.iter().filter(|dot| !work.before.applied.covers(*dot)) {
                if let Some(chain) = work.chains.get(&dot.replica) {
                    self.tables.put(&Key::Chain(bucket, dot.replica), chain);
                }
            }
            self.tables.put(&Key::Reach(bucket), &work.reach);
            work.before = state.clone();
            self.kept.insert(bucket, work);
            let partition = self.partition_id(bucket);
            self.tables.effects.push(Effect::Advanced { partition, state });
        }
        Ok(self.tables.finish())
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
            acknowledged: None,
            grown: BTreeSet::new(),
            weigh_stability: false,
            told_of_another_history: false,
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
    pub(crate) fn applied(&self, replica: ReplicaId) -> Sequence {
        self.chains.get(&replica).map_or(Sequence::NONE, |chain| chain.sequence)
    }

    /// The pair that this region gives of it now.
    pub(crate) fn pair(&self, epoch: Epoch) -> Pair {
        partition::pair(&self.chains, epoch)
    }

    /// Everything applied to it.
    pub(crate) fn vector(&self) -> VersionVector {
        partition::applied(&self.chains)
    }

    /// Whether this step has applied operations to it.
    /// Where its log ended when the step began.
    pub(crate) const fn durable_end(&self) -> Position {
        self.before.log_end
    }

    pub(crate) fn has_applied(&self) -> bool {
        self.reach.log_end != self.before.log_end
    }

    fn state(&self) -> PartitionState {
        self.reach.state(self.vector())
    }
}
