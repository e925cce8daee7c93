//! A region's process: its life between a start and a crash, its clock, and what it is made of.
//!
//! What must always hold: nothing of a life reaches the next one but what its disks hold; every start has a higher number than the last,
//! durable before a peer is met; the process is told its present by a disciplined clock of its own.

use crate::checks::world::Checker;
use crate::world::World;
use crate::world::audience::Audience;
use crate::world::bridges::BridgeTask;
use crate::world::clocks::MachineClock;
use crate::world::dice::Dice;
use crate::world::disk::{Disk, Tail};
use crate::world::layout::Layout;
use crate::world::lies::Standing;
use crate::world::processes::Pace;
use crate::world::queue::{Event, Life, LineId, Moment};
use crate::world::record::record_batch;
use crate::world::sessions::SessionTask;
use crate::world::shards::ShardTask;
use crdt::disciplined_clock::DisciplinedClock;
use crdt::{DeviceId, Now, PlacementId, RegionId};
use gateway::site::Site;
use region::shard::Shard;
use region::store::{StoreError, View};
use region::{follow_epochs, meta, present};
use replication::StoreId;
use replication::bridge::{Bridge, OwnStore};
use replication::epoch::EpochStatement;
use replication::input::Input;
use replication::placement::Placements;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A region: its machine, and the process on it if it runs.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) id: RegionId,
    pub(crate) disks: BTreeMap<PlacementId, Disk>,
    /// The statements of epochs that operators have put beside them, in order.
    pub(crate) given: BTreeMap<PlacementId, Vec<EpochStatement>>,
    pub(crate) clock: MachineClock,
    /// Microseconds that a sync takes, at least and at most.
    pub(crate) sync_us: (u64, u64),
    /// Faults that make syncs slower, to that.
    pub(crate) slow_syncs: BTreeMap<usize, (u64, u64)>,
    /// Faults that make everything that its process does take so many microseconds.
    pub(crate) slow_steps: BTreeMap<usize, u64>,
    /// Faults that keep it from running.
    pub(crate) held: u32,
    /// What became of it, if its hardware lied.
    pub(crate) standing: Standing,
    /// Who lives there and was sent elsewhere.
    pub(crate) away: BTreeSet<DeviceId>,
    pub(crate) starts: u64,
    pub(crate) process: Option<Process>,
}

/// One life.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) life: Life,
    pub(crate) clock: DisciplinedClock,
    pub(crate) site: Arc<Site>,
    /// All placements, under the epochs in which its shards stand.
    pub(crate) placements: Placements,
    /// Those in which it lacks what others hold.
    pub(crate) behind: BTreeSet<PlacementId>,
    pub(crate) shards: BTreeMap<PlacementId, ShardTask>,
    pub(crate) bridges: BTreeMap<RegionId, BridgeTask>,
    /// Boxed: nodes of a map that grows at its end stay half empty, and a session is large.
    pub(crate) sessions: BTreeMap<LineId, Box<SessionTask>>,
    pub(crate) audience: Audience,
    pub(crate) pace: Pace,
}

impl Region {
    pub(crate) fn new(id: RegionId, layout: &Layout) -> Self {
        Self {
            id,
            disks: new_disks(id, layout),
            given: layout.placements_of(id).into_iter().map(|of| (of, layout.first_epoch(of))).collect(),
            clock: MachineClock::default(),
            sync_us: (80, 300),
            slow_syncs: BTreeMap::new(),
            slow_steps: BTreeMap::new(),
            held: 0,
            standing: Standing::Honest,
            away: BTreeSet::new(),
            starts: 0,
            process: None,
        }
    }

    /// Microseconds that a sync takes now, at least and at most.
    pub(crate) fn sync_takes_us(&self) -> (u64, u64) {
        let slower = |(least, most): (u64, u64), slow: &(u64, u64)| (least.max(slow.0), most.max(slow.1));
        self.slow_syncs.values().fold(self.sync_us, slower)
    }

    /// Microseconds that each thing takes which its process does.
    pub(crate) fn step_takes_us(&self) -> u64 {
        self.slow_steps.values().sum()
    }

    /// A placement's durable state.
    pub(crate) fn view(&self, placement: PlacementId) -> Option<&dyn View> {
        self.disks.get(&placement).map(Disk::view)
    }
}

impl World {
    /// The process of that life, if it still runs.
    pub(crate) fn process(&mut self, life: Life) -> Option<&mut Process> {
        let process = self.regions.get_mut(&life.region)?.process.as_mut();
        process.filter(|process| process.life == life)
    }

    /// A region's present life.
    pub(crate) fn life_of(&self, region: RegionId) -> Option<Life> {
        Some(self.regions.get(&region)?.process.as_ref()?.life)
    }

    /// The present of a running region.
    pub(crate) fn present(&mut self, life: Life) -> Option<Now> {
        let region = self.regions.get_mut(&life.region)?;
        let reading = region.clock.read(self.now);
        let process = region.process.as_mut().filter(|process| process.life == life)?;
        Some(process.clock.read(reading))
    }

    /// When in the world's time a region's clock will show that, as near as can be told.
    pub(crate) fn when(&mut self, life: Life, at: Now) -> Moment {
        let present = self.present(life).unwrap_or(at);
        self.now + at.0.saturating_sub(present.0)
    }

    /// Starts a region's process, if none runs.
    pub fn start(&mut self, id: RegionId) {
        let layout = self.layout.clone();
        let Some(region) = self.regions.get_mut(&id) else { return };
        if region.process.is_some() {
            return;
        }
        region.starts += 1;
        let life = Life { region: id, number: region.starts };
        self.trace.tell(self.now, || format!("{id} starts for the {}. time", life.number));
        let seed = self.seed;
        let mut dice = Dice::of(seed, "process", &[u64::from(id.0), life.number]);
        self.oracle.look_at(Checker::Runs);
        match open(region, &layout, &mut dice) {
            Ok(Opened { stores, placements, shards, floor, torn_tails }) => {
                self.oracle.marks.torn_tails += torn_tails;
                let peers = layout.regions().iter().copied().filter(|peer| *peer != id);
                let draws = |peer: RegionId| {
                    Dice::of(seed, "bridge", &[u64::from(id.0), u64::from(peer.0), life.number])
                };
                let bridge = |peer| Bridge::new(Layout::bridge(id, peer, &placements, stores.clone()));
                let behind = shards.iter().filter(|(_, task)| task.is_behind()).map(|(id, _)| *id).collect();
                region.process = Some(Process {
                    life,
                    clock: DisciplinedClock::new(floor),
                    site: layout.site(id),
                    bridges: peers.map(|peer| (peer, BridgeTask::new(bridge(peer), draws(peer)))).collect(),
                    placements,
                    behind,
                    shards,
                    sessions: BTreeMap::new(),
                    audience: Audience::default(),
                    pace: Pace::default(),
                });
                self.record_started(id);
            }
            Err(error) => {
                self.start_refused(id, &error);
                return;
            }
        }
        let (placements, peers) = (layout.placements_of(id), layout.regions().to_vec());
        for placement in placements {
            self.queue.put(self.now, Event::ShardWake(life, placement));
        }
        for peer in peers.into_iter().filter(|peer| *peer != id) {
            self.bridge_hears(life, peer, Input::Started);
        }
    }

    /// Kills a region's process. What was on its way to the disk is kept or lost, as said.
    pub fn crash(&mut self, id: RegionId, keeps_tail: bool) {
        self.fall(id, Some(if keeps_tail { Tail::Kept } else { Tail::Lost }));
    }

    /// A region's process is gone, and what was on its way to its disks with it, kept, or torn; without a word about that, as a failed sync leaves it.
    pub(crate) fn fall(&mut self, id: RegionId, tail: Option<Tail>) {
        let now = self.now;
        self.trace.tell(now, || format!("{id} crashes"));
        let Some(region) = self.regions.get_mut(&id) else { return };
        let Some(process) = region.process.take() else { return };
        self.oracle.marks.crashes += 1;
        self.oracle.process_lost(id);
        let mut kept = Vec::new();
        for (placement, shard) in &process.shards {
            let Some(disk) = region.disks.get_mut(placement) else { continue };
            let tail = tail.unwrap_or_else(|| disk.keeps_unsynced());
            if disk.crash(tail)
                && let Some(outcome) = shard.outcome()
            {
                self.oracle.committed(now, id, &outcome.effects);
                self.oracle.is_held(now, id, disk.holds(), &outcome.effects);
                record_batch(&mut self.recorder, now, id, &outcome.effects);
                self.copies.note(id, *placement, &outcome.effects);
                kept.push((*placement, &outcome.effects));
            }
        }
        for (placement, effects) in kept {
            self.note_branches(id, placement, effects);
        }
        self.may_have_branched(id);
        self.links_lost(process.life);
        for line in process.sessions.keys() {
            self.line_broken_by_region(*line);
        }
        // What waited for it finds it gone.
        for event in process.pace.into_backlog() {
            self.queue.put(now, event);
        }
    }

    /// Sets a region's wall clock so far ahead of the world's time, for good.
    pub fn set_wall_offset(&mut self, id: RegionId, offset_us: i64) {
        self.trace.tell(self.now, || format!("{id}'s wall clock is {offset_us} us ahead"));
        self.change_clock(id, |clock, at| clock.set_usual(at, offset_us));
    }

    /// Does something to a region's clocks, which were read up to now.
    pub(crate) fn change_clock(&mut self, id: RegionId, change: impl FnOnce(&mut MachineClock, Moment)) {
        if let Some(life) = self.life_of(id) {
            self.present(life);
        }
        if let Some(region) = self.regions.get_mut(&id) {
            change(&mut region.clock, self.now);
        }
    }
}

/// Disks with nothing on them.
pub(crate) fn new_disks(id: RegionId, layout: &Layout) -> BTreeMap<PlacementId, Disk> {
    let disk = |placement: PlacementId| (placement, Disk::named(format!("{placement} of {id}")));
    layout.placements_of(id).into_iter().map(disk).collect()
}

/// What a region found when it started.
struct Opened {
    stores: BTreeMap<PlacementId, OwnStore>,
    placements: Placements,
    shards: BTreeMap<PlacementId, ShardTask>,
    /// The present that its stores remember.
    floor: Now,
    torn_tails: u64,
}

/// Opens the stores as a region does that starts: whose they are is checked, this start counted, the shards opened.
fn open(region: &mut Region, layout: &Layout, dice: &mut Dice) -> Result<Opened, String> {
    let (mut stores, mut shards) = (BTreeMap::new(), BTreeMap::new());
    let (mut floor, mut torn_tails) = (Now(0), 0);
    let mut placements: BTreeMap<_, _> = layout.placements().iter().map(|p| (p.id, p.clone())).collect();
    for (placement, disk) in &mut region.disks {
        disk.find()?;
        torn_tails += u64::from(disk.cut_torn_tail());
        let known = placements.get_mut(placement).ok_or("the placement is not on the map")?;
        meta::check_format(disk.view()).map_err(|error| error.to_string())?;
        let kept = follow_epochs::kept(disk.view(), known.epoch, usize::MAX).map_err(|e| e.to_string())?;
        let given = region.given.get(placement).map_or(&[][..], Vec::as_slice);
        for statement in given.iter().chain(&kept) {
            if statement.number > known.epoch {
                *known = known.follow(statement).map_err(|error| error.to_string())?;
            }
        }
        let expected = layout.expected(region.id, *placement);
        let found = meta::check(disk.view(), &expected).map_err(|error| error.to_string())?;
        let found = match found {
            Some(found) => found,
            None => {
                let (created, batch) = meta::create(&expected, StoreId(dice.wide()));
                write_now(disk, batch).map_err(|error| error.to_string())?;
                created
            }
        };
        let (started, batch) = meta::advance(found);
        write_now(disk, batch).map_err(|error| error.to_string())?;
        let given = follow_epochs::to_keep(disk.view(), given);
        let given = given.map_err(|error| error.to_string())?;
        if !given.is_empty() {
            write_now(disk, given).map_err(|error| error.to_string())?;
        }
        floor = floor.max(present::floor(disk.view()).map_err(|error| error.to_string())?);
        let config = layout.shard(region.id, known.clone());
        let shard = Shard::open(config, disk.view()).map_err(|error| error.to_string())?;
        stores.insert(*placement, OwnStore { replica: expected.replica, start: started.start() });
        shards.insert(*placement, ShardTask::new(shard, dice.split()));
    }
    let placements = Placements::new(placements.into_values());
    Ok(Opened { stores, placements, shards, floor, torn_tails })
}

fn write_now(disk: &mut Disk, batch: region::store::Batch) -> Result<(), StoreError> {
    let written = disk.write(batch).and_then(|()| disk.sync());
    if written.is_err() {
        // The process that was to be ends, with nothing or all of it kept.
        let tail = disk.keeps_unsynced();
        disk.crash(tail);
    }
    written
}
