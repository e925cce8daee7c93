//! A region's process: its life between a start and a crash, its clock, and what it is made of.
//!
//! What must always hold: nothing of a life reaches the next one but what its disks hold; every start has a higher number than the last,
//! durable before a peer is met; the process is told its present by a disciplined clock of its own.

use crate::checks::world::Checker;
use crate::world::World;
use crate::world::bridges::BridgeTask;
use crate::world::dice::Dice;
use crate::world::disk::Disk;
use crate::world::layout::{Layout, START_US};
use crate::world::queue::{Event, Life, LineId, Moment};
use crate::world::record::record_batch;
use crate::world::sessions::SessionTask;
use crate::world::shards::ShardTask;
use crdt::disciplined_clock::{DisciplinedClock, Reading};
use crdt::{Now, PlacementId, RegionId};
use gateway::site::Site;
use region::meta;
use region::shard::Shard;
use region::store::{StoreError, View};
use replication::bridge::{Bridge, OwnStore};
use replication::input::Input;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A region: its machine, and the process on it if it runs.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) id: RegionId,
    pub(crate) disks: BTreeMap<PlacementId, Disk>,
    /// How far its wall clock is ahead of the world's, in microseconds.
    pub(crate) wall_offset_us: i64,
    /// Microseconds that a sync takes, at least and at most.
    pub(crate) sync_us: (u64, u64),
    pub(crate) starts: u64,
    pub(crate) process: Option<Process>,
}

/// One life.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) life: Life,
    pub(crate) clock: DisciplinedClock,
    pub(crate) site: Arc<Site>,
    pub(crate) shards: BTreeMap<PlacementId, ShardTask>,
    pub(crate) bridges: BTreeMap<RegionId, BridgeTask>,
    pub(crate) sessions: BTreeMap<LineId, SessionTask>,
}

impl Region {
    pub(crate) fn new(id: RegionId, layout: &Layout) -> Self {
        let disks = layout.placements_of(id).into_iter().map(|placement| (placement, Disk::default()));
        Self { id, disks: disks.collect(), wall_offset_us: 0, sync_us: (80, 300), starts: 0, process: None }
    }

    /// A placement's durable state.
    pub(crate) fn view(&self, placement: PlacementId) -> Option<&dyn View> {
        self.disks.get(&placement).map(|disk| disk.view() as &dyn View)
    }
}

impl Process {
    /// The present, by this region's clock.
    pub(crate) fn present(&mut self, at: Moment, wall_offset_us: i64) -> Now {
        let wall_us = (START_US + at).saturating_add_signed(wall_offset_us);
        self.clock.read(Reading { monotonic_us: at, wall_ms: wall_us / 1_000 })
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
        let at = self.now;
        let region = self.regions.get_mut(&life.region)?;
        let offset = region.wall_offset_us;
        let process = region.process.as_mut().filter(|process| process.life == life)?;
        Some(process.present(at, offset))
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
            Ok((stores, shards)) => {
                let peers = layout.regions().iter().copied().filter(|peer| *peer != id);
                let draws = |peer: RegionId| {
                    Dice::of(seed, "bridge", &[u64::from(id.0), u64::from(peer.0), life.number])
                };
                let bridge = |peer| Bridge::new(layout.bridge(id, peer, stores.clone()));
                region.process = Some(Process {
                    life,
                    clock: DisciplinedClock::new(Now(0)),
                    site: layout.site(id),
                    shards,
                    bridges: peers.map(|peer| (peer, BridgeTask::new(bridge(peer), draws(peer)))).collect(),
                    sessions: BTreeMap::new(),
                });
            }
            Err(error) => {
                self.oracle.violate(self.now, Checker::Runs, format!("{id} does not start: {error}"))
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
        let now = self.now;
        self.trace.tell(now, || format!("{id} crashes"));
        let Some(region) = self.regions.get_mut(&id) else { return };
        let Some(process) = region.process.take() else { return };
        self.oracle.marks.crashes += 1;
        self.oracle.process_lost(id);
        for (placement, shard) in &process.shards {
            let Some(disk) = region.disks.get_mut(placement) else { continue };
            match disk.crash(keeps_tail) {
                Ok(true) => {
                    if let Some(outcome) = shard.outcome() {
                        self.oracle.committed(now, id, &outcome.effects);
                        record_batch(&mut self.recorder, now, id, &outcome.effects);
                    }
                }
                Ok(false) => {}
                Err(error) => self.oracle.violate(now, Checker::Runs, error.to_string()),
            }
        }
        self.links_lost(process.life);
        for line in process.sessions.keys() {
            self.line_broken_by_region(*line);
        }
    }

    /// Moves a region's wall clock.
    pub fn set_wall_offset(&mut self, id: RegionId, offset_us: i64) {
        self.trace.tell(self.now, || format!("{id}'s wall clock is {offset_us} us ahead"));
        // Its clock reads the old offset up to now.
        if let Some(life) = self.life_of(id) {
            self.present(life);
        }
        if let Some(region) = self.regions.get_mut(&id) {
            region.wall_offset_us = offset_us;
        }
    }
}

type Opened = (BTreeMap<PlacementId, OwnStore>, BTreeMap<PlacementId, ShardTask>);

/// Opens the stores as a region does that starts: whose they are is checked, this start counted, the shards opened.
fn open(region: &mut Region, layout: &Layout, dice: &mut Dice) -> Result<Opened, String> {
    let (mut stores, mut shards) = (BTreeMap::new(), BTreeMap::new());
    for (placement, disk) in &mut region.disks {
        let expected = Layout::expected(region.id, *placement);
        let found = meta::check(disk.view(), &expected).map_err(|error| error.to_string())?;
        let found = match found {
            Some(found) => found,
            None => {
                let (created, batch) = meta::create(&expected, dice.wide());
                write_now(disk, batch).map_err(|error| error.to_string())?;
                created
            }
        };
        let (started, batch) = meta::advance(found);
        write_now(disk, batch).map_err(|error| error.to_string())?;
        let config = layout.shard(region.id, *placement).ok_or("the placement is not on the map")?;
        let shard = Shard::open(config, disk.view()).map_err(|error| error.to_string())?;
        let start_number = started.start_number;
        stores.insert(*placement, OwnStore { replica: expected.replica, start_number });
        shards.insert(*placement, ShardTask::new(shard, dice.split()));
    }
    Ok((stores, shards))
}

fn write_now(disk: &mut Disk, batch: region::store::Batch) -> Result<(), StoreError> {
    disk.write(batch);
    disk.sync()
}
