//! What comes after a storm: the healing, the calm, and the judgement.
//!
//! What must always hold once all faults have ended: within a stated time every region has everything, every device shows
//! everything and has been told everything, every outbox is empty, and then nothing happens any more but heartbeats; regions are equal byte
//! for byte, and what each holds is what a replay of its log gives. Before that, if a script says so, some regions come back later than the others,
//! which must become whole among themselves without waiting for them.

use crate::checks::world::Checker;
use crate::evidence::RegionFacts;
use crate::world::World;
use crate::world::bridges::BridgeTask;
use crate::world::layout::{PINNED, WORLD, address};
use crate::world::regions::Region;
use crate::world::shards::ShardTask;
use crdt::{PlacementId, RegionId};
use region::store::{StoreError, View};

/// How long nothing must happen then.
const QUIET_US: u64 = 3_000_000;

impl World {
    /// The end of the storm: all faults end, and people rest.
    pub fn heal(&mut self) {
        self.record_calm();
        self.end_faults();
        self.rest();
        self.look_after_stores();
    }

    /// Some regions stay cut off for now: the others must come to hold what any of them has, and then these are joined to them again.
    pub fn become_whole_without(&mut self, dark: &[RegionId], within_us: u64) {
        let (out, rest): (Vec<RegionId>, Vec<RegionId>) =
            self.layout.regions().iter().partition(|region| dark.contains(region));
        if out.is_empty() {
            return;
        }
        let pairs: Vec<(RegionId, RegionId)> =
            out.iter().flat_map(|dark| rest.iter().map(|other| (*dark, *other))).collect();
        for (dark, other) in &pairs {
            self.cut_pair(*dark, *other);
        }
        let until = self.now + within_us;
        let mut missing = self.oracle.lacking_among(&rest);
        while self.now < until && missing.is_some() {
            self.pass(1_000_000);
            missing = self.oracle.lacking_among(&rest);
        }
        self.oracle.healed(self.now, missing);
        for (dark, other) in &pairs {
            self.mend_pair(*dark, *other);
        }
    }

    /// Lets time pass until nothing is missing and nothing happens any more, or until that should long have been so.
    pub fn become_calm(&mut self, within_us: u64) {
        let until = self.now + within_us;
        let mut quiet = 0;
        while self.now < until {
            let before = self.oracle.progress();
            self.pass(1_000_000);
            let still = self.oracle.progress() == before && self.missing().is_none();
            quiet = if still { quiet + 1_000_000 } else { 0 };
            if quiet >= QUIET_US {
                self.oracle.healed(self.now, None);
                return;
            }
        }
        let missing = self.missing().unwrap_or_else(|| "nothing, but it does not rest".to_owned());
        self.oracle.healed(self.now, Some(missing));
    }

    /// The first thing that is missing.
    fn missing(&self) -> Option<String> {
        // With a region lost for good nothing becomes stable in its placements until an epoch closes it.
        if !self.lost_are_closed() {
            return Some("a lost region is not closed".to_owned());
        }
        if let Some(region) = self.lost().find(|id| self.waits_for_disks(*id)) {
            return Some(format!("{region} has not been given new disks"));
        }
        if let Some(region) = self.waits_for_snapshots() {
            return Some(format!("{region} waits for snapshots to begin with"));
        }
        if let Some(why) = self.unsalvaged() {
            return Some(why);
        }
        // What it alone had taken may stay in an outbox for ever: of the rest the oracle knows whether it must be stable.
        let waits = self.devices.iter().find(|(_, device)| device.client.unstable() > 0);
        let waits = waits.filter(|_| self.oracle.marks.lost == 0);
        if let Some((id, device)) = waits {
            let count = device.client.unstable();
            return Some(format!("{id} has {count} commands in its outbox: {}", device.client));
        }
        self.is_behind()
            .or_else(|| self.oracle.lacking())
            .or_else(|| self.closed_bridge())
            .or_else(|| self.uncompacted())
    }

    /// A running region whose files may still hold what was cut.
    fn uncompacted(&self) -> Option<String> {
        let holds = |(_, region): &(&RegionId, &Region)| {
            region
                .process
                .as_ref()
                .is_some_and(|process| process.shards.values().any(ShardTask::has_leftovers))
        };
        let found = self.regions.iter().filter(|(id, _)| !self.lies(**id)).find(holds);
        found.map(|(id, _)| format!("files of {id} may still hold texts that were cut"))
    }

    /// A bridge between two running regions, with a way between them, that is not open: before it is, a receipt may still wait on the other side, and silence says nothing.
    fn closed_bridge(&self) -> Option<String> {
        let runs = |id: &RegionId| {
            self.regions.get(id).is_some_and(|region| region.process.is_some()) && !self.lies(*id)
        };
        for (id, region) in self.regions.iter().filter(|(id, _)| runs(id)) {
            let mut bridges = region.process.iter().flat_map(|process| &process.bridges);
            let cut = |peer: RegionId| self.links.is_cut(*id, peer) || self.links.is_cut(peer, *id);
            let closed = bridges.find(|(peer, bridge)| runs(peer) && !cut(**peer) && !bridge.is_open());
            if let Some((peer, _)) = closed {
                return Some(format!("the bridge of {id} to {peer} is not open"));
            }
        }
        None
    }

    /// Judges what is there at the end.
    pub fn judge(&mut self) {
        self.judge_strangers();
        self.oracle.judge(self.now);
        self.judge_histories();
        self.listen();
        for placement in [WORLD, PINNED] {
            if let Err(error) = self.compare(placement) {
                self.oracle.violate(self.now, Checker::Runs, error.to_string());
            }
        }
    }

    /// What the cores of each region print of themselves is heard.
    fn listen(&mut self) {
        for (id, region) in &self.regions {
            let Some(process) = &region.process else { continue };
            for print in process.bridges.values().map(BridgeTask::print) {
                self.oracle.says(self.now, *id, print);
            }
            for print in process.sessions.values().map(|session| session.print()) {
                self.oracle.says(self.now, *id, print);
            }
        }
    }

    /// What devices wrote down is judged too, if they did.
    fn judge_histories(&mut self) {
        let Some(histories) = &self.histories else { return };
        let facts = |region: &RegionId| RegionFacts {
            name: address(*region).region,
            id: *region,
            placements: self.layout.placements_of(*region).into_iter().collect(),
        };
        let regions = self.layout.regions().iter().map(facts).collect();
        self.oracle.judge_histories(self.now, regions, histories.lines());
    }

    fn compare(&mut self, placement: PlacementId) -> Result<(), StoreError> {
        let ids = self.layout.regions_of(placement).into_iter().filter(|id| !self.lies(*id));
        let stores: Vec<(RegionId, &dyn View)> =
            ids.filter_map(|id| Some((id, self.regions.get(&id)?.view(placement)?))).collect();
        let is_cut = |one: &RegionId, other: &RegionId| one != other && self.links.is_cut(*one, *other);
        let meet = stores.iter().all(|(one, _)| stores.iter().all(|(other, _)| !is_cut(one, other)));
        // Nobody takes over while one that is active has another history than the rest, and has not been found out.
        let is_doubted = self.operators.active(placement).any(|region| self.lies(region));
        let closed = if is_doubted { Vec::new() } else { self.operators.closed(placement) };
        self.oracle.all_meet(meet, closed);
        self.oracle.compare(self.now, placement, &stores)?;
        let honest = self.layout.regions_of(placement).into_iter().filter(|id| !self.lies(*id));
        for id in honest.collect::<Vec<_>>() {
            if let Some(disk) = self.regions.get(&id).and_then(|region| region.disks.get(&placement)) {
                self.oracle.search_older_files(self.now, id, placement, disk.older());
            }
        }
        Ok(())
    }
}
