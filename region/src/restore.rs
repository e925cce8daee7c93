//! Makes a copy of a region's store, however old, the store of its next incarnation: what an operator does with a backup, or with a disk that was lost and found.
//!
//! The naive way puts the copy where the store was. Under the same incarnation the region would issue again the dots that it has issued since the copy was made, and everybody would take
//! the new operations for the old (history 9); so it is fenced. Here an epoch closes the copy's replica and admits another, whose log begins with all that the copy holds. It lacks what
//! came after the copy, and takes that from the others before it answers anybody (`catch_up.rs`). They stand at the beginning of its log, which has a base where the copy ends, as that of a region that
//! joined has ([`crate::join`]).
//!
//! What must always hold:
//! - Nothing is issued by the copy's replica any more, and nothing is inherited: rights go to the heir that the epoch names (`settle_rights.rs`), for a lone region itself.
//! - What the heir takes over must be all that the closed replica ever did. A copy that was active in the epoch which closed its replica counts there with all that it holds; one that comes
//!   under a later epoch must hold nothing of a closed replica that the others have not.
//! - What the copy had heard about who has caught up with whom was said to another replica, and is forgotten.
//!
//! What it cannot see: that the copy is of a *second life* of a store, which holds other operations under dots that were given before. Bridges find that (`fork`), and the region then never
//! answers a device.
//!
//! Pure: the driver reads the copy and the epochs, asks the others where that is needed, and commits the batch.

use crate::keys::{Key, KeyRange};
use crate::meta::{self, Expected, MetaRefused, StoreMeta};
use crate::partition;
use crate::record::{self, OpaqueRecord};
use crate::store::{Batch, Direction, StoreError, View};
use crdt::{Dot, Incarnation, PartitionId, PlacementId, ReplicaId, VersionVector};
use replication::StoreId;
use replication::epoch::EpochStatement;
use replication::placement::Epoch;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// A copy that can be made the store of a new incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restorable {
    /// What the copy says of itself.
    pub copy: StoreMeta,
    /// The replica that the epoch admits in its place.
    pub replica: ReplicaId,
    /// What the copy holds of replicas that were closed before that one was admitted, the last operation of each: others must have all of it.
    pub to_be_shown: BTreeMap<PartitionId, BTreeSet<Dot>>,
}

/// Why a copy does not become the store of a new incarnation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreRefused {
    /// It is not one of this region's, or of this version.
    #[error(transparent)]
    Meta(#[from] MetaRefused),
    /// There is none.
    #[error("there is no store in that folder: put the copy there first")]
    NoCopy,
    /// No epoch names the region.
    #[error("no replica of this region is active: admit one with `archipelago admin epoch --admit`")]
    NotAdmitted,
    /// Its replica is the one that is active.
    #[error(
        "the copy is of incarnation {:016x}, which is active, and would issue again what it has issued since: close and admit the region with `archipelago admin epoch --close … --admit …` first",
        .0.0
    )]
    StillActive(Incarnation),
    /// It holds what nobody else does, of a replica whose rights have been taken over meanwhile.
    #[error(
        "the copy holds {held} in {partition}, and the others have {dot_of} only up to {theirs}; an epoch closed that replica before this one was admitted, and what it did counts only so far: keep the copy, and start the region on an empty data folder",
        dot_of = .held.replica
    )]
    AheadOfOthers {
        /// Where.
        partition: PartitionId,
        /// The last operation that it holds.
        held: Dot,
        /// The last one that anybody else has.
        theirs: u64,
    },
}

impl From<StoreError> for RestoreRefused {
    fn from(error: StoreError) -> Self {
        Self::Meta(error.into())
    }
}

/// Looks at a copy. The statements are the placement's epochs, from the first on, in order.
///
/// # Errors
/// [`RestoreRefused`].
pub fn look_at(
    copy: &dyn View,
    expected: &Expected,
    statements: &[EpochStatement],
) -> Result<Restorable, RestoreRefused> {
    meta::check_format(copy)?;
    let found = meta::read(copy)?.ok_or(RestoreRefused::NoCopy)?;
    let incarnation = found.replica.incarnation;
    let own = ReplicaId { incarnation, ..expected.replica };
    meta::check(copy, &Expected { replica: own, ..expected.clone() })?;
    if found.replica == expected.replica {
        return Err(RestoreRefused::StillActive(incarnation));
    }
    let admitted = statements.iter().find(|statement| statement.active.contains_key(&expected.replica));
    let admitted = admitted.ok_or(RestoreRefused::NotAdmitted)?.number;
    let to_be_shown = closed_before(copy, expected.placement, &closed_at(statements), admitted)?;
    Ok(Restorable { copy: found, replica: expected.replica, to_be_shown })
}

/// The epoch that closed each replica which is not active any more.
fn closed_at(statements: &[EpochStatement]) -> BTreeMap<ReplicaId, Epoch> {
    let mut closed = BTreeMap::new();
    for (before, after) in statements.iter().zip(statements.iter().skip(1)) {
        let gone = before.active.keys().filter(|replica| !after.active.contains_key(replica));
        closed.extend(gone.map(|replica| (*replica, after.number)));
    }
    closed
}

fn closed_before(
    copy: &dyn View,
    placement: PlacementId,
    closed_at: &BTreeMap<ReplicaId, Epoch>,
    admitted: Epoch,
) -> Result<BTreeMap<PartitionId, BTreeSet<Dot>>, StoreError> {
    let mut found = BTreeMap::new();
    for bucket in partition::buckets(copy)? {
        let chains = partition::chains(copy, bucket)?;
        let held = chains.into_iter().map(|(replica, chain)| Dot { replica, sequence: chain.sequence });
        let early = held.filter(|dot| closed_at.get(&dot.replica).is_some_and(|at| *at < admitted));
        let early: BTreeSet<Dot> = early.collect();
        if !early.is_empty() {
            found.insert(PartitionId { placement, bucket }, early);
        }
    }
    Ok(found)
}

impl Restorable {
    /// What is to be written to the copy, which is then the store of the new incarnation, not started yet. The others' vectors are what any active region of the
    /// placement has applied; of partitions in which nothing is [to be shown](Self::to_be_shown) none is needed.
    ///
    /// # Errors
    /// [`RestoreRefused::AheadOfOthers`]; when the copy cannot be read.
    pub fn restore(
        self,
        copy: &dyn View,
        store_id: StoreId,
        others: &BTreeMap<PartitionId, VersionVector>,
    ) -> Result<(StoreMeta, Batch), RestoreRefused> {
        for (partition, dots) in &self.to_be_shown {
            let theirs = |dot: &Dot| others.get(partition).map_or(0, |theirs| theirs.get(dot.replica).0);
            if let Some(held) = dots.iter().find(|dot| theirs(dot) < dot.sequence.0) {
                crate::sometimes::COPY_AHEAD_OF_OTHERS.reach();
                let (partition, held, theirs) = (*partition, *held, theirs(held));
                return Err(RestoreRefused::AheadOfOthers { partition, held, theirs });
            }
        }
        let meta = StoreMeta { replica: self.replica, store_id, start_number: 0, ..self.copy };
        let (meta, mut batch) = meta::raise(meta);
        record::scan(copy, &KeyRange::caught_up(), Direction::Ascending, |key, _: OpaqueRecord| {
            batch.delete(key.encode());
            Ok(ControlFlow::Continue(()))
        })?;
        for bucket in partition::buckets(copy)? {
            partition::lay_base(copy, bucket, &mut batch)?;
        }
        // Epochs have closed and admitted replicas since: all groups are gone through for what is due.
        let survey = Key::Survey.encode();
        batch.put(survey, record::seal(&survey, &0_u64));
        crate::sometimes::COPY_RESTORED.reach();
        Ok((meta, batch))
    }
}
