//! Copies of disks, which operators make now and then, and what a lost region is given in the place of its stores: the last copy of them, however old, where there is one.
//!
//! A copy is made of regions that seem well, of all their placements at one moment; not each time of each region, so one may be old when it is wanted, and the same one is wanted twice.
//! What becomes of it is decided by the core that operators use (`region::restore`): where it is refused the placement begins empty.
//!
//! What must always hold: for the checkers a region on a restored copy has applied what the copy's region had when it was made, in that order, and has told nobody anything since.

use crate::world::World;
use crate::world::dice::Dice;
use crate::world::disk::Disk;
use crate::world::lies::Standing;
use crate::world::queue::{Event, Moment};
use crdt::{PartitionId, PlacementId, RegionId, VersionVector};
use region::log_view::StoreLog;
use region::restore::{RestoreRefused, look_at};
use region::shard::Effect;
use region::store::MemoryStore;
use replication::StoreId;
use replication::log::LogView as _;
use std::collections::{BTreeMap, BTreeSet};

/// The copies, and what is needed to tell the checkers of one that is restored.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// Whether any may be made.
    are_kept: bool,
    made: u64,
    of: BTreeMap<(RegionId, PlacementId), Copied>,
    /// What became durable in a store, batch by batch.
    durable: BTreeMap<(RegionId, PlacementId), Vec<Vec<Effect>>>,
}

#[derive(Debug)]
struct Copied {
    store: MemoryStore,
    /// So many batches are in it.
    batches: usize,
}

impl Copies {
    /// Copies of a world in which some may be made.
    pub(crate) fn kept() -> Self {
        Self { are_kept: true, ..Self::default() }
    }

    /// From now on it is kept what becomes durable, though no copies are made.
    pub(crate) const fn keep_what_is_durable(&mut self) {
        self.are_kept = true;
    }

    /// What has become durable in a store, batch by batch.
    pub(crate) fn durable_in(&self, region: RegionId, placement: PlacementId) -> &[Vec<Effect>] {
        self.durable.get(&(region, placement)).map_or(&[], Vec::as_slice)
    }

    /// A region begins with a store in which that became durable.
    pub(crate) fn begins_with(
        &mut self,
        region: RegionId,
        placement: PlacementId,
        durable: Vec<Vec<Effect>>,
    ) {
        self.durable.insert((region, placement), durable);
    }

    /// No copy of that region is given to it any more.
    pub(crate) fn throw_away(&mut self, region: RegionId) {
        self.of.retain(|(of, _), _| *of != region);
    }

    /// A batch is durable.
    pub(crate) fn note(&mut self, region: RegionId, placement: PlacementId, effects: &[Effect]) {
        if self.are_kept {
            let says_what_is_held = |effect: &&Effect| {
                matches!(effect, Effect::Changed(_) | Effect::Membership { .. } | Effect::Hidden { .. })
            };
            let kept = effects.iter().filter(says_what_is_held).cloned().collect();
            self.durable.entry((region, placement)).or_default().push(kept);
        }
    }
}

impl World {
    /// From now on operators make copies so often, until then.
    pub(crate) fn copy_every(&mut self, us: u64, until: Moment) {
        self.copies = Copies::kept();
        let moments = (1..).map(|number| self.now + number * us).take_while(|at| *at < until);
        for at in moments.collect::<Vec<_>>() {
            self.queue.put(at, Event::OperatorsCopy);
        }
    }

    /// They make copies, each time of about half of the regions.
    pub(crate) fn operators_copy(&mut self) {
        self.copies.made += 1;
        for id in self.layout.regions().to_vec() {
            let mut dice = Dice::of(self.seed, "copy", &[u64::from(id.0), self.copies.made]);
            if dice.one_in(2) {
                self.copy(id);
            }
        }
    }

    /// They copy a region's disks, if it seems well.
    pub fn copy(&mut self, id: RegionId) {
        let Some(region) = self.regions.get(&id) else { return };
        if region.standing != Standing::Honest || region.disks.values().any(Disk::is_spoilt) {
            return;
        }
        for (placement, disk) in &region.disks {
            let batches = self.copies.durable.get(&(id, *placement)).map_or(0, Vec::len);
            self.copies.of.insert((id, *placement), Copied { store: disk.copied(), batches });
        }
        self.trace.tell(self.now, || format!("{id} is copied"));
    }

    /// A region that operators have admitted in another incarnation is given what copies there are of its stores, before it is started. Of which placements there is none.
    pub(crate) fn restore_copies(&mut self, id: RegionId) -> BTreeSet<PlacementId> {
        let mut without = BTreeSet::new();
        for placement in self.layout.placements_of(id) {
            let durable = self.copies.durable.remove(&(id, placement)).unwrap_or_default();
            let Some(copied) = self.copies.of.get(&(id, placement)) else {
                without.insert(placement);
                continue;
            };
            let (store, batches) = (copied.store.clone(), copied.batches);
            match self.restored(id, placement, store) {
                Ok(disk) => {
                    self.trace.tell(self.now, || format!("{id} has a copy of {placement}"));
                    self.oracle.marks.restored += 1;
                    let durable: Vec<Vec<Effect>> = durable.into_iter().take(batches).collect();
                    self.oracle.begins_with(self.now, id, disk.view(), &durable);
                    if let Some(region) = self.regions.get_mut(&id) {
                        region.disks.insert(placement, disk);
                    }
                    self.copies.begins_with(id, placement, durable);
                }
                Err(why) => {
                    without.insert(placement);
                    self.trace.tell(self.now, || format!("{id} begins empty in {placement}: {why}"));
                    self.oracle.marks.copies_refused += 1;
                    self.copies.of.remove(&(id, placement));
                }
            }
        }
        without
    }

    /// The copy as the store of the incarnation that was admitted.
    fn restored(
        &self,
        id: RegionId,
        placement: PlacementId,
        store: MemoryStore,
    ) -> Result<Disk, RestoreRefused> {
        let given = self.regions.get(&id).and_then(|region| region.given.get(&placement));
        let expected = self.layout.expected(id, placement);
        let found = look_at(&store, &expected, given.map_or(&[][..], Vec::as_slice))?;
        let lives = self.layout.times_replaced(id);
        let mut dice = Dice::of(self.seed, "restored", &[u64::from(id.0), u64::from(placement.0), lives]);
        let others = self.applied_by_others(id, placement);
        let (_, batch) = found.restore(&store, StoreId(dice.wide()), &others)?;
        Ok(Disk::begun(format!("{placement} of {id}"), store, batch))
    }

    /// What the other regions that are active in a placement have applied between them.
    fn applied_by_others(
        &self,
        id: RegionId,
        placement: PlacementId,
    ) -> BTreeMap<PartitionId, VersionVector> {
        let mut all = BTreeMap::<PartitionId, VersionVector>::new();
        let others = self.operators.active(placement).filter(|other| *other != id && !self.lies(*other));
        for other in others {
            let view = self.regions.get(&other).and_then(|region| region.disks.get(&placement)?.holds());
            let Some(view) = view else { continue };
            let log = StoreLog::new(other, [(placement, view)]);
            // What `holds` gives is whole, so it can be read.
            for (partition, state) in log.partitions().unwrap_or_default() {
                all.entry(partition).or_default().join(&state.applied);
            }
        }
        all
    }
}
