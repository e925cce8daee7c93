//! What is checked of regions: causes come first, what is called stable is so, and in the end all hold the same.
//!
//! What must always hold: it is judged by what each operation's region had applied when it issued it, which the world knows, and by nothing that a bridge said.

use super::World;
use crdt::{Dot, PartitionId, RegionId, VersionVector};
use replication::commit::Commit;
use std::collections::BTreeMap;

impl World {
    /// What is stable somewhere: nothing concurrent with it can still arrive there.
    pub(super) fn check_stable(&self, at: RegionId) {
        let region = &self.regions[&at];
        for (id, known) in &region.acknowledgements {
            let active = region.store.placements.get(id.placement).unwrap().active.keys().copied();
            let stable = known.stable(region.epoch(*id), active);
            let applied = region.store.log(*id).applied;
            for ((_, dot), causes) in self.causes.iter().filter(|((of, _), _)| of == id) {
                assert!(
                    applied.covers(*dot) || causes.covers_all(&stable),
                    "{stable} is stable at {at} in {id}, but {dot} is concurrent with some of it and not here"
                );
            }
        }
    }

    /// Whether all regions hold the same of every partition.
    pub(crate) fn converged(&self) -> bool {
        let mut regions = self.regions.values();
        let first = regions.next().unwrap();
        regions.all(|region| {
            let ids = first.store.partitions.keys().chain(region.store.partitions.keys());
            ids.filter(|id| {
                let placement = first.store.placements.get(id.placement).unwrap();
                [first, region].iter().all(|one| placement.replica_of(one.store.region).is_some())
            })
            .all(|id| {
                let (one, other) = (first.store.log(*id), region.store.log(*id));
                let same_heads = one.applied.iter().all(|dot| {
                    one.head(*id, dot.replica, dot.sequence) == other.head(*id, dot.replica, dot.sequence)
                });
                one.applied == other.applied && one.values() == other.values() && same_heads
            })
        })
    }
}

/// Every cause of what was applied is here.
pub(super) fn check_order(
    causes: &BTreeMap<(PartitionId, Dot), VersionVector>,
    id: PartitionId,
    mut applied: VersionVector,
    commits: &[Commit],
) {
    for dot in commits.iter().flat_map(Commit::dots) {
        if let Some(needed) = causes.get(&(id, dot)) {
            assert!(applied.covers_all(needed), "{dot} applied on {applied}, its causes are {needed}");
        }
        applied.raise(dot);
    }
}
