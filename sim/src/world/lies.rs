//! Hardware that lies: a disk that gives back what was not written, an old copy put in place of a store, a store that is gone.
//!
//! What production promises is that none of it is served or spread:
//! - *A flipped bit* in a value at rest and *a misdirected write* (one record's value stands under another's key, and its own is lost) are found by the checksum over key and value
//!   when they are read (`region/src/record.rs`), or by `region::verify`. Who meets one ends, and stays down.
//! - *An old copy* and *an emptied folder* begin a second life of a store. Peers that know more of it than it does itself fence it at Hello or Resume
//!   (`replication/src/greet.rs`, `resume.rs`). A store that is gone from a folder that remembers it is refused by name, which is the driver's part
//!   (`region/rocks/src/data_folder.rs`, held to it by its own tests); here its contract is kept.
//!
//! A region that was found out is lost: it stays down, the people who live there are sent elsewhere, and operators close it by an epoch (`epochs.rs`). In some worlds they give it new
//! disks later, and it comes back as another replica; then people come home. An operator who has put an old copy in place and hears nothing of it takes it out again once all links are whole.
//!
//! - *A branch* of a chain, whose other one somebody else has, is taken from a second life by who met it first. Where the two regions meet, the bridge names it.
//!
//! What must always hold: at most one region of a world is lost, and who took a branch from it; before it is known to be, nothing is excused but what its second life says itself.

use crate::checks::world::Checker;
use crate::world::World;
use crate::world::disk::Tail;
use crate::world::layout::address;
use crate::world::queue::{Event, Moment};
use crate::world::regions::Region;
use crdt::{DeviceId, PlacementId, RegionId, ReplicaId};
use gateway_client::Act;
use region::item::Change;
use region::log_view::StoreLog;
use region::shard::Effect;
use region::verify;
use replication::log::LogView as _;
use std::collections::BTreeSet;

/// How long an operator waits for peers to speak up about a restored store, in microseconds, once links are whole.
const FENCED_WITHIN_US: u64 = 20_000_000;
/// Damaged records that a verification looks for.
const DAMAGED_MAX: usize = 8;

/// Whether a region counts, and what became of one whose hardware lied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Standing {
    /// Nothing did.
    #[default]
    Honest,
    /// Its store is in a second life, which nobody has found out.
    SecondLife(Moment),
    /// It was found out, and stays down.
    Lost,
    /// It has no part in anything yet, and is not there.
    Awaited,
}

impl World {
    /// What became of a region.
    pub(crate) fn standing(&self, region: RegionId) -> Standing {
        self.regions.get(&region).map_or(Standing::Honest, |region| region.standing)
    }

    /// Whether operators have not admitted a region yet.
    pub(crate) fn is_awaited(&self, region: RegionId) -> bool {
        self.standing(region) == Standing::Awaited
    }

    /// Whether a region's hardware may lie: one region's may. Of a second one it is as if nothing was.
    pub(crate) fn may_lie(&mut self, region: RegionId) -> bool {
        !self.is_awaited(region) && *self.liar.get_or_insert(region) == region
    }

    /// Whether a region's store is in a second life or was found out, or is not there: what it says and what is said of it proves nothing about others.
    pub(crate) fn lies(&self, region: RegionId) -> bool {
        self.standing(region) != Standing::Honest
    }

    /// The regions that were lost.
    pub fn lost(&self) -> impl Iterator<Item = RegionId> {
        let lost = self.regions.values().filter(|region| region.standing == Standing::Lost);
        lost.map(|region| region.id)
    }

    /// Old copies take the place of a region's stores.
    pub(crate) fn restore(&mut self, fault: usize, id: RegionId) {
        let copied = |region: &Region| region.disks.values().any(|disk| disk.has_copy(fault));
        if !self.regions.get(&id).is_some_and(copied) || self.standing(id) == Standing::Lost {
            return;
        }
        self.fall(id, Some(Tail::Lost));
        let Some(region) = self.regions.get_mut(&id) else { return };
        let mut differs = false;
        for disk in region.disks.values_mut() {
            differs |= disk.restore(fault);
        }
        if differs {
            self.second_life(id);
        }
        self.supervised(id);
    }

    /// A region's stores are gone. A folder that remembers them refuses to start.
    pub(crate) fn empty(&mut self, id: RegionId, remembered: bool) {
        self.fall(id, Some(Tail::Lost));
        self.may_be_found(id);
        let Some(region) = self.regions.get_mut(&id) else { return };
        for disk in region.disks.values_mut() {
            disk.empty(remembered);
        }
        if !remembered {
            self.second_life(id);
        }
        self.supervised(id);
    }

    fn second_life(&mut self, id: RegionId) {
        let now = self.now;
        self.trace.tell(now, || format!("{id} begins a second life"));
        self.oracle.marks.second_lives += 1;
        self.oracle.begins_second_life(id);
        if let Some(region) = self.regions.get_mut(&id)
            && region.standing == Standing::Honest
        {
            region.standing = Standing::SecondLife(now);
        }
    }

    /// Notes whether a region has just taken an operation of a store's second life of which another honest region holds another branch. What devices are shown need not differ: the salts do.
    pub(crate) fn note_branches(&mut self, id: RegionId, placement: PlacementId, effects: &[Effect]) {
        let changes = effects.iter().filter(|_| !self.lies(id)).filter_map(|effect| match effect {
            Effect::Changed(change) if self.is_doubtful(change.item.dot.replica, placement) => Some(change),
            _ => None,
        });
        let head = |region: &Region, change: &Change| {
            let (partition, dot) = (change.conversation.partition(), change.item.dot);
            let view = region.disks.get(&placement)?.holds()?;
            StoreLog::new(region.id, [(placement, view)]).head(partition, dot.replica, dot.sequence).ok()?
        };
        let honest = |region: &&Region| region.standing == Standing::Honest;
        let branches = changes.map(|change| {
            let honest = self.regions.values().filter(honest);
            honest.filter_map(|region| head(region, change)).collect::<BTreeSet<_>>().len()
        });
        if branches.max() > Some(1) {
            self.oracle.takes_branch(id);
        }
    }

    /// A region that took a branch is in a second life as well: others hold something else under the same dots, and an operator who is told so takes it out.
    pub(crate) fn may_have_branched(&mut self, id: RegionId) {
        if self.oracle.took_branch(id) && self.standing(id) == Standing::Honest {
            self.second_life(id);
            // Unlike one that was put back it goes on, and so do those who speak with it.
            let spoken = self.life_of(id).map(|life| self.lines.devices_at(life)).unwrap_or_default();
            for device in spoken {
                self.oracle.misleads(device);
            }
            self.queue.put(self.now + FENCED_WITHIN_US, Event::SecondLifeEnds(id));
        }
    }

    /// A region was found out.
    pub(crate) fn lose(&mut self, id: RegionId, why: &str) {
        self.trace.tell(self.now, || format!("{id} is lost: {why}"));
        self.fall(id, None);
        let Some(region) = self.regions.get_mut(&id) else { return };
        if region.standing == Standing::Lost {
            return;
        }
        region.standing = Standing::Lost;
        self.oracle.marks.lost += 1;
        self.oracle.is_lost(id);
        // For whom it was there, a new time begins.
        self.oracle.is_troubled(self.now, true);
        self.oracle.is_troubled(self.now, false);
        self.send_elsewhere(id);
        self.will_be_closed(id);
    }

    /// Whether a replica lies, or was lost and replaced.
    fn is_doubtful(&self, replica: ReplicaId, placement: PlacementId) -> bool {
        self.lies(replica.region) || self.layout.replica(replica.region, placement) != replica
    }

    /// The people who live in a lost region are sent to another one of theirs.
    fn send_elsewhere(&mut self, id: RegionId) {
        let here = self.devices.iter().filter(|(_, device)| device.region == id);
        let there: Vec<(DeviceId, PlacementId)> =
            here.map(|(device, known)| (*device, known.user.placement())).collect();
        for (device, placement) in there {
            let homes = self.layout.regions_of(placement);
            if let Some(region) = homes.into_iter().find(|home| !self.lies(*home)) {
                self.regions.entry(id).and_modify(|lost| _ = lost.away.insert(device));
                self.act(device, Act::Move { region: address(region) });
            }
        }
    }

    /// Those of a placement's users come home who live in a region that was replaced, and has what the others have.
    pub(crate) fn call_home(&mut self, id: RegionId, placement: PlacementId) {
        let is_of_it = |device: &DeviceId| {
            self.devices.get(device).is_some_and(|known| known.user.placement() == placement)
        };
        let away = self.regions.get(&id).map(|region| &region.away);
        let home: Vec<DeviceId> = away.into_iter().flatten().copied().filter(is_of_it).collect();
        for device in home {
            self.regions.entry(id).and_modify(|region| _ = region.away.remove(&device));
            self.act(device, Act::Move { region: address(id) });
        }
    }

    /// Operators look after what may have been damaged: a store that does not verify is taken out, people who went to a lost region are called away, and a restored
    /// store is watched for a while.
    pub(crate) fn look_after_stores(&mut self) {
        for id in self.layout.regions().to_vec() {
            match self.standing(id) {
                Standing::Honest => self.verify_damaged(id),
                Standing::SecondLife(_) => {
                    self.queue.put(self.now + FENCED_WITHIN_US, Event::SecondLifeEnds(id));
                }
                Standing::Lost => self.send_elsewhere(id),
                Standing::Awaited => {}
            }
        }
    }

    /// A restored store that nobody has spoken up about is taken out again, and not given a second time: what it holds beside the others' branch it would hold again.
    pub(crate) fn second_life_ends(&mut self, id: RegionId) {
        if matches!(self.standing(id), Standing::SecondLife(_)) {
            self.copies.throw_away(id);
            self.lose(id, "an operator takes the old copy out");
        }
    }

    /// What was damaged at rest and not written anew is named by a verification.
    fn verify_damaged(&mut self, id: RegionId) {
        let Some(region) = self.regions.get(&id) else { return };
        let mut is_damaged = false;
        let mut missed = Vec::new();
        for (placement, disk) in region.disks.iter().filter(|(_, disk)| disk.is_damaged()) {
            is_damaged = true;
            match verify::verify(disk.view(), *placement, DAMAGED_MAX) {
                Ok(verified) if verified.damaged.is_empty() => missed.push(*placement),
                Ok(_) | Err(_) => {}
            }
        }
        for placement in missed {
            let text = format!("a verification of {placement} at {id} finds nothing, but it is damaged");
            self.oracle.violate(self.now, Checker::Replayed, text);
        }
        if is_damaged {
            self.lose(id, "its store does not verify");
        }
    }
}
