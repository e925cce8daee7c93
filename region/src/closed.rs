//! What is known of the replicas that epochs have closed: how much of what each issued is here, and how much is known to be missing.
//!
//! A region whose disk is lost has acknowledged what nobody else may hold. Of that a store here knows two things. Acknowledgements say how far their replica had come, and how far others had come with
//! it, and they may overtake what they are about. And a device that comes from the lost region names, in its cursor, the last operations that it was shown there; cursors are sealed by the regions'
//! own key, so it is no invention. Numbers are given without gaps, so the highest one that was heard of tells how many there were.
//!
//! What must always hold:
//! - What is counted as missing was issued, and is not in this store under its number. A device that still had such a message sends it again, and it is here then under another number: so what is lost is at most
//!   what is counted.
//! - What nobody heard of is not counted, and no number says that there was nothing.
//! - While not all active replicas stand in the epoch, more of a closed one may come, and that is told.
//!
//! Bounded: a number a partition and replica, written when it grows. Cost of looking: a few reads for each partition that holds anything; nothing where no replica is closed.

use crate::acknowledge;
use crate::keys::Key;
use crate::partition::{self, Chains};
use crate::pending::Pending;
use crate::record;
use crate::store::{StoreError, View};
use crdt::{Bucket, Dot, ReplicaId, Sequence};
use replication::placement::Placement;
use replication::stability::Acknowledgement;
use std::collections::BTreeMap;

/// What is known of a closed replica, over all partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed {
    /// Its operations that are here.
    pub operations: u64,
    /// Those that it is known to have issued besides.
    pub missing: u64,
    /// Partitions in which more of it may still come, since not all active replicas have said under this epoch what they have of it.
    pub unsettled: u64,
    /// When the last of those that are here was issued, in milliseconds since 1970.
    pub last_issued_ms: Option<u64>,
}

impl Closed {
    /// How many operations it is known to have issued.
    #[must_use]
    pub const fn issued(&self) -> u64 {
        self.operations + self.missing
    }
}

/// Keeps that these operations were issued, which a device was shown elsewhere and which are not here.
pub(crate) fn hear(pending: &mut Pending<'_>, bucket: Bucket, dots: &[Dot]) -> Result<(), StoreError> {
    for dot in dots {
        let key = Key::Heard(bucket, dot.replica);
        let known: Option<u64> = pending.tables.load(&key)?;
        if known.is_none_or(|known| known < dot.sequence.0) {
            crate::sometimes::HEARD_OF_ELSEWHERE.reach();
            pending.tables.put(&key, &dot.sequence.0);
        }
    }
    Ok(())
}

/// What is known of each replica that an epoch of that placement has closed.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or is damaged.
pub fn closed(view: &dyn View, placement: &Placement) -> Result<BTreeMap<ReplicaId, Closed>, StoreError> {
    let mut all: BTreeMap<ReplicaId, Closed> =
        placement.closed.keys().map(|replica| (*replica, Closed::default())).collect();
    if all.is_empty() {
        return Ok(all);
    }
    for bucket in partition::buckets(view)? {
        let chains = partition::chains(view, bucket)?;
        let mut told = BTreeMap::new();
        for replica in placement.origins() {
            told.insert(replica, acknowledge::known(view, bucket, replica)?);
        }
        // Who holds nothing of a partition acknowledges nothing there.
        let is_unsettled = !chains.is_empty() && !all_stand(&told, placement);
        for (replica, closed) in &mut all {
            let here = chains.get(replica).map_or(Sequence::NONE, |chain| chain.sequence);
            let issued = heard(view, bucket, *replica, &told)?.max(here);
            closed.operations += here.0;
            closed.missing += issued.0 - here.0;
            closed.unsettled += u64::from(is_unsettled && issued > Sequence::NONE);
            closed.last_issued_ms = closed.last_issued_ms.max(issued_ms(view, bucket, &chains, *replica)?);
        }
    }
    Ok(all)
}

/// The highest of a replica's operations that anybody is known to have had, or to have been shown.
fn heard(
    view: &dyn View,
    bucket: Bucket,
    replica: ReplicaId,
    told: &BTreeMap<ReplicaId, Acknowledgement>,
) -> Result<Sequence, StoreError> {
    let shown: Option<u64> = record::load(view, &Key::Heard(bucket, replica))?;
    let had = told.values().map(|known| known.newest().applied.get(replica));
    Ok(had.max().unwrap_or(Sequence::NONE).max(Sequence(shown.unwrap_or(0))))
}

fn all_stand(told: &BTreeMap<ReplicaId, Acknowledgement>, placement: &Placement) -> bool {
    let believed = |replica| told.get(replica).and_then(Acknowledgement::believed);
    placement.active.keys().all(|replica| believed(replica).is_some_and(|pair| pair.epoch == placement.epoch))
}

/// When the last operation of a replica that is here was issued; none where the log has let go of it.
fn issued_ms(
    view: &dyn View,
    bucket: Bucket,
    chains: &Chains,
    replica: ReplicaId,
) -> Result<Option<u64>, StoreError> {
    let Some(chain) = chains.get(&replica) else { return Ok(None) };
    let last = Dot { replica, sequence: chain.sequence };
    let Some(position) = partition::position_of(view, bucket, last)? else { return Ok(None) };
    Ok(Some(partition::envelope(view, bucket, position, "a dot")?.hlc.ms()))
}
