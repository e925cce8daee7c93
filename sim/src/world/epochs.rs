//! Epochs in a world: operators close a region that is lost for good, or away for too long, admit one that was not there, or give a lost one new disks and admit it as another replica. One region is told, and
//! the others hear of it over their bridges.
//!
//! What must always hold: operators sign one row of epochs, whomever they tell first (history 18); bridges are told once the shard has it durably; a region whose replica is closed ends.

use crate::world::World;
use crate::world::layout::{Layout, operators};
use crate::world::lies::Standing;
use crate::world::queue::{Event, Life, Moment};
use crate::world::regions::new_disks;
use crdt::{PlacementId, RegionId, ReplicaId};
use ed25519_dalek::VerifyingKey;
use region::shard::Input;
use replication::epoch::EpochStatement;
use replication::placement::{Placement, Placements};
use std::collections::BTreeMap;

/// How long operators take to close a region that was found to be lost, in microseconds.
const CLOSED_AFTER_US: u64 = 5_000_000;
/// How soon they try again if nobody answers them.
const TRIED_AGAIN_US: u64 = 1_000_000;

/// What the operators have signed.
#[derive(Debug)]
pub(crate) struct Operators {
    /// Each placement under the last epoch that they signed.
    placements: BTreeMap<PlacementId, Placement>,
    signed: Vec<EpochStatement>,
}

impl Operators {
    pub(crate) fn of(layout: &Layout) -> Self {
        let placements = layout.placements().iter().map(|placement| (placement.id, placement.clone()));
        Self { placements: placements.collect(), signed: Vec::new() }
    }

    /// Closes a region in a placement, if it is active there and not alone.
    fn close(&mut self, placement: PlacementId, region: RegionId) {
        self.sign(placement, |active| active.retain(|replica, _| replica.region != region));
    }

    /// Admits a region to a placement that it may hold as that replica, if it is not active there as such; what it was before is closed.
    fn admit(&mut self, placement: PlacementId, admitted: (ReplicaId, VerifyingKey)) {
        self.sign(placement, |active| {
            active.retain(|replica, _| replica.region != admitted.0.region);
            active.extend([admitted]);
        });
    }

    /// Whether a region is the only one that is active in a placement.
    fn is_alone(&self, placement: PlacementId, region: RegionId) -> bool {
        let active = self.placements.get(&placement).map(|placement| placement.active.keys());
        active.is_some_and(|mut active| active.all(|replica| replica.region == region))
    }

    /// Signs the next epoch of a placement, if that changes who is active, and somebody is left.
    fn sign(&mut self, placement: PlacementId, change: impl FnOnce(&mut BTreeMap<ReplicaId, VerifyingKey>)) {
        let Some(current) = self.placements.get_mut(&placement) else { return };
        let mut active = current.active.clone();
        change(&mut active);
        if active.is_empty() || active == current.active {
            return;
        }
        let statement = EpochStatement::sign(current, active, &operators());
        if let Ok(next) = current.follow(&statement) {
            *current = next;
            self.signed.push(statement);
        }
    }

    fn signed(&self, placement: PlacementId) -> Vec<EpochStatement> {
        self.signed.iter().filter(|statement| statement.placement == placement).cloned().collect()
    }

    /// The regions that are active in a placement.
    pub(crate) fn active(&self, placement: PlacementId) -> impl Iterator<Item = RegionId> + '_ {
        let active =
            self.placements.get(&placement).into_iter().flat_map(|placement| placement.active.keys());
        active.map(|replica| replica.region)
    }

    /// Whom the epochs of a placement have closed.
    pub(crate) fn closed(&self, placement: PlacementId) -> Vec<ReplicaId> {
        self.placements
            .get(&placement)
            .map(|placement| placement.closed.keys().copied().collect())
            .unwrap_or_default()
    }

    /// Whether a region is closed wherever it was active, but where it was alone.
    fn has_closed(&self, region: RegionId) -> bool {
        self.placements
            .values()
            .all(|placement| placement.replica_of(region).is_none() || placement.active.len() == 1)
    }
}

impl World {
    /// From now on operators give a region that is lost new disks so long after that.
    pub const fn replace_lost_after(&mut self, us: u64) {
        self.replaced_after_us = Some(us);
    }

    /// Operators hear that a region is lost for good.
    pub(crate) fn will_be_closed(&mut self, region: RegionId) {
        self.queue.put(self.now + CLOSED_AFTER_US, Event::OperatorsClose(region));
        self.will_be_replaced(region);
    }

    /// They order new disks for it, in worlds where they do.
    fn will_be_replaced(&mut self, region: RegionId) {
        if let Some(after_us) = self.replaced_after_us {
            self.queue.put(self.now + after_us, Event::OperatorsReplace(region));
        }
    }

    /// They close it, if it has not been replaced.
    pub(crate) fn operators_close(&mut self, region: RegionId) {
        if self.standing(region) != Standing::Lost {
            return;
        }
        for placement in self.layout.placements_of(region) {
            self.operators.close(placement, region);
        }
        self.operators_tell(region);
    }

    /// Operators admit a region that had no part in anything: they give it all epochs, on empty disks, and start it.
    pub(crate) fn operators_admit(&mut self, id: RegionId) {
        if self.is_awaited(id) {
            self.admit_region(id);
        }
    }

    /// They close a region that has been away for too long, though its machine may be in order: the others wait for it no longer.
    pub(crate) fn operators_suspend(&mut self, id: RegionId) {
        let placements = self.layout.placements_of(id);
        let is_alone = placements.iter().any(|placement| self.operators.is_alone(*placement, id));
        if is_alone || self.lies(id) || !self.may_lie(id) {
            return;
        }
        self.trace.tell(self.now, || format!("{id} is suspended"));
        for placement in placements {
            self.operators.close(placement, id);
        }
        self.oracle.is_lost(id);
        self.operators_tell(id);
    }

    /// They give a lost region new disks: it is another replica from then on, and has what the others have. One that was the only one of a placement stays lost, as nobody has anything.
    pub(crate) fn operators_replace(&mut self, id: RegionId) {
        if !self.waits_for_disks(id) {
            return;
        }
        let placements = self.layout.placements_of(id);
        self.trace.tell(self.now, || format!("{id} is given new disks"));
        let before = placements.iter().map(|placement| self.layout.replica(id, *placement)).collect();
        self.oracle.is_replaced(id, before);
        self.layout.replace(id);
        let disks = new_disks(id, &self.layout);
        if let Some(region) = self.regions.get_mut(&id) {
            region.disks = disks;
        }
        self.admit_region(id);
    }

    /// Whether a region is lost, and operators are going to give it new disks.
    pub(crate) fn waits_for_disks(&self, id: RegionId) -> bool {
        let mut placements = self.layout.placements_of(id).into_iter();
        self.replaced_after_us.is_some()
            && self.standing(id) == Standing::Lost
            && !placements.any(|placement| self.operators.is_alone(placement, id))
    }

    fn admit_region(&mut self, id: RegionId) {
        for placement in self.layout.placements_of(id) {
            self.operators.admit(placement, self.layout.active(id, placement));
            let signed =
                self.layout.first_epoch(placement).into_iter().chain(self.operators.signed(placement));
            let given = signed.collect();
            if let Some(region) = self.regions.get_mut(&id) {
                region.given.insert(placement, given);
            }
        }
        if let Some(region) = self.regions.get_mut(&id) {
            region.standing = Standing::Honest;
        }
        self.oracle.is_admitted(&self.layout.placements_of(id), id);
        let without = self.restore_copies(id);
        if !self.begins_with_snapshots(id, without) {
            self.supervised(id);
        }
        self.operators_tell(id);
        // One that was the only one of a placement could not be closed there, nor replaced.
        for lost in self.lost().collect::<Vec<_>>() {
            self.operators_close(lost);
            self.will_be_replaced(lost);
        }
    }

    /// They tell one region of each of its placements, until one says that it follows.
    pub(crate) fn operators_tell(&mut self, region: RegionId) {
        let mut all_follow = true;
        for placement in self.layout.placements_of(region) {
            let listens = |id: &RegionId| *id != region && !self.lies(*id) && self.life_of(*id).is_some();
            let homes = self.layout.regions_of(placement).into_iter().filter(listens);
            let lives: Vec<Life> = homes.filter_map(|home| self.life_of(home)).collect();
            if lives.iter().any(|life| self.stands_with_operators(*life, placement)) {
                continue;
            }
            all_follow = false;
            if let Some(life) = lives.first() {
                let signed = self.operators.signed(placement);
                self.deliver(*life, placement, Input::Epochs(signed), None);
            }
        }
        if !all_follow {
            self.queue.put(self.now + TRIED_AGAIN_US, Event::OperatorsTell(region));
        }
    }

    /// Whether a region stands in the last epoch that the operators have signed.
    fn stands_with_operators(&self, life: Life, placement: PlacementId) -> bool {
        let process = self.regions.get(&life.region).and_then(|region| region.process.as_ref());
        let stands = process.and_then(|process| process.placements.get(placement));
        stands.map(|stands| stands.epoch)
            == self.operators.placements.get(&placement).map(|signed| signed.epoch)
    }

    /// Whether everything that is lost is closed, so that nobody waits for it any more.
    pub(crate) fn lost_are_closed(&self) -> bool {
        self.lost().all(|region| self.operators.has_closed(region))
    }

    /// A region holds all that others did when it was admitted to that placement: from now on it answers devices there.
    pub(crate) fn catches_up(&mut self, life: Life, placement: PlacementId) {
        self.trace.tell(self.now, || format!("{} has caught up in {placement}", life.region));
        if let Some(process) = self.process(life) {
            process.behind.remove(&placement);
        }
        self.oracle.has_caught_up(self.now, placement, life.region);
        self.call_home(life.region, placement);
    }

    /// A region that was admitted and has not caught up, where that is.
    pub(crate) fn is_behind(&self) -> Option<String> {
        let running = self.regions.values().filter_map(|region| Some((region.id, region.process.as_ref()?)));
        let mut behind = running.flat_map(|(id, process)| process.behind.iter().map(move |of| (id, of)));
        behind.next().map(|(id, placement)| format!("{id} has not caught up in {placement}"))
    }

    /// A shard stands in another epoch, durably. Whether its region goes on.
    pub(crate) fn follows_epoch(&mut self, life: Life, placement: Placement) -> bool {
        let (now, id): (Moment, RegionId) = (self.now, life.region);
        self.trace.tell(now, || format!("{id} stands in epoch {} of {}", placement.epoch.0, placement.id));
        self.oracle.marks.epochs += 1;
        if placement.replica_of(id).is_none() {
            if !self.lies(id) {
                self.may_be_found(id);
                self.lose(id, "an epoch has closed it");
                return false;
            }
            self.fall(id, None);
            if let Some(region) = self.regions.get_mut(&id) {
                region.standing = Standing::Lost;
            }
            return false;
        }
        let Some(process) = self.process(life) else { return false };
        let others = process.placements.iter().filter(|other| other.id != placement.id).cloned();
        process.placements = Placements::new(others.collect::<Vec<_>>().into_iter().chain([placement]));
        let (placements, peers) = (process.placements.clone(), process.bridges.keys().copied());
        for peer in peers.collect::<Vec<_>>() {
            let placements = placements.clone();
            self.bridge_told(life, peer, |told| told.placements = Some(placements));
        }
        true
    }
}
