//! Snapshots with which a region that was admitted begins: operators have another region give its store, carry it, and start the new one on it a little later.
//!
//! Whose store it may be, whether it counted on the new replica, and what it becomes is decided by the core that operators use (`region::join`). A region that has not heard of the epoch yet is asked
//! again; where nobody gives anything for a while, the region begins empty, as without snapshots, and takes the others' logs.
//!
//! What must always hold: for the checkers, a region on a snapshot has applied what the sender had when it was made, in that order, and has told nobody anything since. Snapshots are not made of stores
//! that are spoilt or were put back: who asks for one looks at it first (`region::verify`), and a second life is found out by its bridges.

use crate::world::World;
use crate::world::dice::Dice;
use crate::world::disk::Disk;
use crate::world::layout::{Layout, operators};
use crate::world::lies::Standing;
use crate::world::queue::{Event, Moment};
use crdt::{PlacementId, RegionId};
use region::cluster::ClusterPlacement;
use region::join::{JoinRefused, look_at};
use region::shard::Effect;
use region::store::MemoryStore;
use replication::StoreId;
use replication::placement::Durability;
use std::collections::{BTreeMap, BTreeSet};

/// How soon operators ask again for what they were refused, in microseconds.
const ASKED_AGAIN_US: u64 = 1_000_000;
/// After so many times the region begins with what it has got.
const TIMES_MAX: u32 = 8;

/// The regions that wait for their snapshots.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// How long carrying one takes at most, in microseconds; none are made, if that is not said.
    takes_us: Option<u64>,
    joining: BTreeMap<RegionId, Joining>,
}

/// One of them.
#[derive(Debug)]
struct Joining {
    /// Placements of which it has not got one.
    lacks: BTreeSet<PlacementId>,
    carried: BTreeMap<PlacementId, Carried>,
    times: u32,
    /// When all that was given has arrived.
    arrives: Moment,
}

/// A snapshot, as the store of the replica that begins with it.
#[derive(Debug)]
struct Carried {
    disk: Disk,
    /// What became durable in the sender's store up to then.
    durable: Vec<Vec<Effect>>,
}

impl World {
    /// From now on whoever is admitted begins with snapshots, which take so long at most.
    pub fn take_snapshots_within(&mut self, us: u64) {
        self.snapshots.takes_us = Some(us);
        self.copies.keep_what_is_durable();
    }

    /// A region was admitted, and is to be started. Whether it waits for snapshots of those placements first.
    pub(crate) fn begins_with_snapshots(&mut self, id: RegionId, lacks: BTreeSet<PlacementId>) -> bool {
        if self.snapshots.takes_us.is_none() || lacks.is_empty() {
            return false;
        }
        self.joining_ends(id);
        let joining = Joining { lacks, carried: BTreeMap::new(), times: 0, arrives: self.now };
        self.snapshots.joining.insert(id, joining);
        if let Some(region) = self.regions.get_mut(&id) {
            region.held += 1;
        }
        self.queue.put(self.now + ASKED_AGAIN_US, Event::OperatorsJoin(id));
        true
    }

    /// A region that has been admitted and does not run yet.
    pub(crate) fn waits_for_snapshots(&self) -> Option<RegionId> {
        self.snapshots.joining.keys().next().copied()
    }

    /// They ask for what it lacks, and start it when it has all, or has waited long enough.
    pub(crate) fn operators_join(&mut self, id: RegionId) {
        if self.standing(id) != Standing::Honest {
            self.joining_ends(id);
            return;
        }
        let Some(mut joining) = self.snapshots.joining.remove(&id) else { return };
        for placement in joining.lacks.clone() {
            if let Some(carried) = self.asked_for_snapshot(id, placement) {
                joining.lacks.remove(&placement);
                joining.carried.insert(placement, carried);
                let lives = self.layout.times_replaced(id);
                let most = self.snapshots.takes_us.unwrap_or(0);
                let numbers = [u64::from(id.0), u64::from(placement.0), lives];
                let takes = Dice::of(self.seed, "snapshot takes", &numbers).between(0, most);
                joining.arrives = joining.arrives.max(self.now + takes);
            }
        }
        joining.times += 1;
        let asks_again = !joining.lacks.is_empty() && joining.times < TIMES_MAX;
        if asks_again || joining.arrives > self.now {
            let next = if asks_again { self.now + ASKED_AGAIN_US } else { joining.arrives };
            self.snapshots.joining.insert(id, joining);
            self.queue.put(next, Event::OperatorsJoin(id));
            return;
        }
        self.begins(id, joining);
    }

    /// It is lost again, or starts: nothing keeps it from running any more.
    fn joining_ends(&mut self, id: RegionId) {
        if self.snapshots.joining.remove(&id).is_some()
            && let Some(region) = self.regions.get_mut(&id)
        {
            region.held -= 1;
        }
    }

    fn begins(&mut self, id: RegionId, joining: Joining) {
        for (placement, Carried { disk, durable }) in joining.carried {
            self.trace.tell(self.now, || format!("{id} begins with a snapshot of {placement}"));
            self.oracle.marks.joined += 1;
            self.oracle.begins_with(self.now, id, disk.view(), &durable);
            if let Some(region) = self.regions.get_mut(&id) {
                region.disks.insert(placement, disk);
            }
            self.copies.begins_with(id, placement, durable);
        }
        if let Some(region) = self.regions.get_mut(&id) {
            region.held -= 1;
        }
        self.supervised(id);
    }

    /// The first region that gives one.
    fn asked_for_snapshot(&mut self, id: RegionId, placement: PlacementId) -> Option<Carried> {
        let gives = |other: &RegionId| *other != id && !self.lies(*other);
        let others: Vec<RegionId> = self.operators.active(placement).filter(gives).collect();
        others.into_iter().find_map(|other| self.snapshot_of(other, id, placement))
    }

    fn snapshot_of(&mut self, other: RegionId, id: RegionId, placement: PlacementId) -> Option<Carried> {
        let sender = self.regions.get(&other)?;
        let process = sender.process.as_ref()?;
        let disk = sender.disks.get(&placement).filter(|disk| !disk.is_faulty())?;
        // One that lacks itself what others hold gives nothing.
        if process.behind.contains(&placement) {
            return None;
        }
        let durable = self.copies.durable_in(other, placement).to_vec();
        match self.joined(id, placement, disk.copied()) {
            Ok(disk) => Some(Carried { disk, durable }),
            Err(why) => {
                self.trace.tell(self.now, || format!("{other} gives {id} no snapshot of {placement}: {why}"));
                None
            }
        }
    }

    /// The snapshot as the store of the replica that was admitted.
    fn joined(
        &self,
        id: RegionId,
        placement: PlacementId,
        snapshot: MemoryStore,
    ) -> Result<Disk, JoinRefused> {
        let own = self.layout.expected(id, placement);
        let found = look_at(
            &snapshot,
            &own,
            &in_cluster(&self.layout, &own.placement_name, placement),
            &*self.layout.signatures,
        )?;
        let lives = self.layout.times_replaced(id);
        let mut dice = Dice::of(self.seed, "joined", &[u64::from(id.0), u64::from(placement.0), lives]);
        let (_, batch) = found.begin(&snapshot, StoreId(dice.wide()))?;
        Ok(Disk::begun(format!("{placement} of {id}"), snapshot, batch))
    }
}

/// A placement as the cluster file has it.
fn in_cluster(layout: &Layout, name: &str, id: PlacementId) -> ClusterPlacement {
    let regions = layout.regions_of(id).into_iter().collect();
    ClusterPlacement {
        id,
        name: name.to_owned(),
        regions,
        key: operators().verifying_key(),
        durability: Durability::default(),
        kept_days: None,
        backup: None,
    }
}
