//! Acknowledges what this region has applied, learns what others have, and works out what is stable.
//!
//! What must always hold:
//! - An acknowledgement is written in a batch with or after what it acknowledges, so it never says more than is durable.
//! - A pair counts only once this region has applied all of it, on the same chains (`replication::stability` says why).
//! - A partition is acknowledged once in `acknowledge_after_ms`, at its lot's moment: what a lot's partitions have to acknowledge goes in one
//!   batch. Where answers wait for it (`hold_answers.rs`) it is acknowledged in the very step. Acknowledging makes nothing else to be acknowledged, so it comes to rest.
//!
//! Bounded: at most one entry a partition waits, so 1,024.

use crate::join_registers::{self, Source};
use crate::keys::Key;
use crate::partition;
use crate::pending::Pending;
use crate::record::{self, OpaqueRecord, RegisterRecord, damaged};
use crate::register_key::RegisterKey;
use crate::shard::{Effect, ShardConfig};
use crate::store::{StoreError, View};
use crdt::{Bucket, ChainHead, Dot, Now, PartitionId, ReplicaId, VersionVector};
use replication::stability::{Acknowledgement, Pair};
use std::collections::BTreeSet;

/// Moments within `acknowledge_after_ms`, each with its lot of partitions. Were all acknowledged at one moment, then every
/// device would be told at that moment what had become stable in the time before, and messages would wait behind it.
const LOTS: u64 = 16;

/// The partitions whose acknowledgement waits, and until when.
#[derive(Debug, Default)]
pub(crate) struct Unacknowledged {
    partitions: BTreeSet<Bucket>,
    due: BTreeSet<(Now, Bucket)>,
}

impl Unacknowledged {
    /// What a store holds and has not acknowledged under this epoch: due at once, since nobody knows for how long.
    pub(crate) fn load(config: &ShardConfig, view: &dyn View) -> Result<Self, StoreError> {
        let mut waiting = Self::default();
        for bucket in partition::buckets(view)? {
            let pair = partition::pair(&partition::chains(view, bucket)?, config.placement.epoch);
            let known = known(view, bucket, config.replica)?;
            if !pair.applied.is_empty() && *known.newest() != pair {
                crate::sometimes::UNACKNOWLEDGED_AT_OPENING.reach();
                waiting.wait(bucket, Now(0));
            }
        }
        Ok(waiting)
    }

    /// Operations were applied to that partition.
    pub(crate) fn note(&mut self, bucket: Bucket, now: Now, config: &ShardConfig) {
        let after_ms = config.limits.acknowledge_after_ms;
        self.wait(bucket, if config.placement.is_geo() { now } else { moment_after(now, bucket, after_ms) });
    }

    /// More to acknowledge does not put off what waits.
    fn wait(&mut self, bucket: Bucket, until: Now) {
        if self.partitions.insert(bucket) {
            self.due.insert((until, bucket));
        }
    }

    /// When the next acknowledgement is due.
    pub(crate) fn due(&self) -> Option<Now> {
        self.due.first().map(|(until, _)| *until)
    }

    /// The next partition that is due, which then waits no more.
    fn take_due(&mut self, now: Now) -> Option<Bucket> {
        let due = *self.due.first().filter(|(until, _)| *until <= now)?;
        self.due.remove(&due);
        self.partitions.remove(&due.1);
        Some(due.1)
    }
}

/// The next moment of that partition's lot: within `period_ms`, and the same in all regions, as far as their clocks are.
fn moment_after(now: Now, bucket: Bucket, period_ms: u64) -> Now {
    let lot = u64::from(bucket.number()) % LOTS;
    let phase_ms = period_ms * lot / LOTS;
    let since_ms = (now.ms() + period_ms - phase_ms).checked_rem(period_ms).unwrap_or_default();
    Now((now.ms() + period_ms - since_ms) * 1_000)
}

/// Acknowledges what is due.
pub(crate) fn acknowledge(pending: &mut Pending<'_>, waiting: &mut Unacknowledged) -> Result<(), StoreError> {
    while let Some(bucket) = waiting.take_due(pending.now) {
        let epoch = pending.config.placement.epoch;
        let pair = pending.partition(bucket)?.pair(epoch);
        learn(pending, bucket, (pending.config.replica, &pair), None)?;
    }
    Ok(())
}

/// Joins a replica's acknowledgement into its register; `from` is the peer whose feed brought it.
pub(crate) fn learn(
    pending: &mut Pending<'_>,
    bucket: Bucket,
    (replica, pair): (ReplicaId, &Pair),
    from: Option<ReplicaId>,
) -> Result<(), StoreError> {
    let mut of_a_former_epoch;
    let is_active = pending.config.placement.active.contains_key(&replica);
    let known = if is_active {
        pending.acknowledged(bucket)?.0.of(replica)
    } else {
        of_a_former_epoch = known(pending.tables.view(), bucket, replica)?;
        &mut of_a_former_epoch
    };
    let grew = known.join(pair);
    let had_by = from.filter(|_| known.newest() == pair);
    let grown = grew.then(|| (known.newest().encode(), (!is_active).then(|| known.encode())));
    let register = RegisterKey::Acknowledgement(replica);
    let standing: Option<RegisterRecord> = pending.tables.load(&Key::Register(bucket, register))?;
    let Some((value, state)) = grown else {
        crate::sometimes::REGISTER_STANDS.reach();
        return join_registers::note_had(pending, bucket, register, standing, had_by);
    };
    let source = Source { from, had_by };
    join_registers::rewrite(
        pending,
        bucket,
        register,
        standing.map(|record| record.change),
        (value, source),
    )?;
    let work = pending.partition(bucket)?;
    work.weigh_stability = true;
    match state {
        Some(state) => pending.tables.put_bytes(&Key::Acknowledgement(bucket, replica), state),
        None => _ = work.grown.insert(replica),
    }
    Ok(())
}

/// Whether all active replicas are known to stand in this epoch, in that partition.
pub(crate) fn all_stand(pending: &mut Pending<'_>, bucket: Bucket) -> Result<bool, StoreError> {
    let placement = &pending.config.placement;
    let all = &pending.acknowledged(bucket)?.0;
    Ok(all.stand_in(placement.epoch, placement.active.keys().copied()))
}

/// Believes what can be believed now, and tells of the partitions in which more is stable, or all active replicas have come to stand in the epoch.
pub(crate) fn weigh(pending: &mut Pending<'_>) -> Result<Vec<Bucket>, StoreError> {
    let mut more = Vec::new();
    let weighed = pending.partitions.iter().filter(|(_, work)| work.weigh_stability);
    for bucket in weighed.map(|(bucket, _)| *bucket).collect::<Vec<_>>() {
        let config = pending.config;
        let placement = &config.placement;
        let work = pending.partition(bucket)?;
        let (applied, mut changed) = (work.vector(), std::mem::take(&mut work.grown));
        let partition = PartitionId { placement: placement.id, bucket };
        let stood = all_stand(pending, bucket)?;
        let (mut all, mut stable) = std::mem::take(pending.acknowledged(bucket)?);
        let believed = all.believe(placement.epoch, &applied, |dot| head_check(pending, partition, dot))?;
        // What is stable follows from what is believed alone.
        let grew = !believed.grew.is_empty()
            && stable.join(&all.stable(placement.epoch, placement.active.keys().copied()));
        changed.extend(believed.grew);
        for replica in changed {
            pending.tables.put_bytes(&Key::Acknowledgement(bucket, replica), all.of(replica).encode());
        }
        let all_stand = all.stand_in(placement.epoch, placement.active.keys().copied());
        if grew || (all_stand && !stood) {
            more.push(bucket);
        }
        if grew {
            pending.tables.put(&Key::Stable(bucket), &stable);
            pending.tables.effects.push(Effect::Stable { partition, cut: stable.clone() });
        }
        *pending.acknowledged(bucket)? = (all, stable);
        if let Some((by, dot)) = believed.differs {
            crate::sometimes::ANOTHER_HISTORY_ACKNOWLEDGED.reach();
            let told = &mut pending.partition(bucket)?.told_of_another_history;
            if !std::mem::replace(told, true) {
                pending.tables.effects.push(Effect::AnotherHistory { partition, by, dot });
            }
        }
    }
    Ok(more)
}

/// The check of a chain's head after that operation, which this step may have applied; none if it is not here.
pub(crate) fn head_check(
    pending: &Pending<'_>,
    partition: PartitionId,
    dot: Dot,
) -> Result<Option<u32>, StoreError> {
    let work = pending.partitions.get(&partition.bucket);
    let chain = work.and_then(|work| work.chains.get(&dot.replica));
    let head = match chain.filter(|chain| chain.sequence == dot.sequence) {
        Some(chain) => Some(chain.end.head),
        None => partition::head_at(pending.tables.view(), partition, dot)?,
    };
    Ok(head.map(ChainHead::check))
}

/// What of a partition is stable, as far as is known here.
pub(crate) fn stable(view: &dyn View, bucket: Bucket) -> Result<VersionVector, StoreError> {
    Ok(record::load(view, &Key::Stable(bucket))?.unwrap_or_default())
}

/// What is known of a replica's acknowledgements.
pub(crate) fn known(
    view: &dyn View,
    bucket: Bucket,
    replica: ReplicaId,
) -> Result<Acknowledgement, StoreError> {
    let key = Key::Acknowledgement(bucket, replica);
    match record::load(view, &key)? {
        None => Ok(Acknowledgement::default()),
        Some(OpaqueRecord(bytes)) => {
            Acknowledgement::decode(&bytes).map_err(|error| damaged(&key.encode(), &error.to_string()))
        }
    }
}
