//! A world: whole regions and the devices of their users, in one thread, under one seed, with the cores that production runs.
//!
//! ```text
//!   queue ──▶ World::happen ──▶ shards · bridges · sessions · clients ──▶ disks, links, lines ──▶ queue
//!                                           │
//!                                           ▼
//!                              checks::world::Oracle (an independent record, and the promises)
//! ```
//! Simulated are the network (`links.rs` between regions, `lines.rs` to devices, both over `wire.rs`), the disks (`disk.rs`), the clocks (`clocks.rs`), processes that
//! stand still, crawl or end (`processes.rs`), and what drives the cores (`shards.rs`,
//! `bridges.rs`, `sessions.rs`, `devices.rs`), which decides nothing. `people.rs` and `faults.rs` draw what happens, `storm.rs` puts both
//! together: a storm, then a healed world that must become whole and quiet within a stated time.
//!
//! What must always hold: the same seed gives the same trace, in every build; no time, no randomness and no order comes from outside.

mod ask;
mod audience;
mod bridges;
mod clocks;
mod copies;
mod devices;
pub(crate) mod dice;
mod disk;
mod draw_faults;
mod epochs;
mod faults;
mod histories;
mod layout;
mod lies;
mod lines;
mod links;
mod operators;
mod people;
mod processes;
mod queue;
mod record;
mod regions;
mod releases;
mod salvages;
mod service;
mod sessions;
mod shards;
mod signatures;
mod snapshots;
mod storm;
mod strangers;
mod trace;
mod wire;
mod work;

pub use crate::checks::world::{Marks, Violation};
pub use devices::NewDevice;
pub use disk::Call;
pub(crate) use draw_faults::{FAULT_KINDS, FaultPlaces, draw_fault};
use epochs::Operators;
pub use faults::Fault;
pub(crate) use layout::region_named;
pub use layout::{Layout, PINNED, START_US, WORLD, address};
pub use lines::Profile;
pub use queue::Moment;
pub use service::ServiceTimes;
pub use wire::{Carried, Conditions};

use crate::checks::world::{Oracle, Tally};
use crate::figures::Figures;
use crate::page::Recorder;
use crate::scenario::Pace;
use crate::script::Script;
use copies::Copies;
use crdt::{DeviceId, RegionId};
use devices::Device;
use faults::Planned;
use histories::Histories;
use lies::Standing;
use lines::Lines;
use links::{Links, Way};
use people::People;
use queue::{Event, Queue};
use regions::Region;
use releases::Releases;
use replication::signature::Signatures;
use salvages::Salvages;
use snapshots::Snapshots;
use std::collections::BTreeMap;
use std::sync::Arc;
use strangers::Strangers;
use trace::Trace;
use work::Work;

/// A world.
#[derive(Debug)]
pub struct World {
    now: Moment,
    queue: Queue,
    /// What the streams of everything in this world are derived from.
    seed: u64,
    trace: Trace,
    oracle: Oracle,
    figures: Figures,
    work: Work,
    layout: Layout,
    regions: BTreeMap<RegionId, Region>,
    links: Links,
    lines: Lines,
    service: ServiceTimes,
    devices: BTreeMap<DeviceId, Box<Device>>,
    people: People,
    strangers: Strangers,
    releases: Releases,
    faults: Vec<Planned>,
    histories: Option<Histories>,
    recorder: Option<Box<Recorder>>,
    /// Some process was held up in this world: whether one is now is looked at with each event.
    hampered: bool,
    /// Whose hardware lies, if any region's does.
    liar: Option<RegionId>,
    operators: Operators,
    /// How long operators take to give a lost region new disks, if they do.
    replaced_after_us: Option<u64>,
    /// What was found of disks that were lost.
    salvages: Salvages,
    /// What operators have copied of its regions' disks.
    copies: Copies,
    /// Who waits for snapshots to begin with.
    snapshots: Snapshots,
    /// Letters in a shard's mailbox above which commands are refused as busy.
    mailbox_max: usize,
    /// Changes that wait for a session before it misses some.
    changes_max: usize,
}

impl World {
    /// The world of a script, nothing of which has happened yet; with the text of what happens if that is `told`.
    #[must_use]
    pub fn new(script: &Script, told: bool) -> Self {
        let mut world = Self::of(script.seed, Layout::of(script), told);
        for region in &script.regions {
            world.set_up_region(region);
        }
        for way in &script.ways {
            let of = Way::new(way.delay_us, way.jitter_us, way.kib_us);
            world.links.lay(RegionId(way.from), RegionId(way.to), of);
        }
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        world.links.window_bytes = whole(script.limits.window_bytes);
        world.mailbox_max = whole(script.limits.mailbox);
        world.changes_max = whole(script.limits.changes);
        world.replaced_after_us = script.replaced_after_us;
        if let Some(after_us) = script.salvaged_after_us {
            world.salvage_after(after_us);
        }
        if let Some(every_us) = script.copied_every_us {
            world.copy_every(every_us, script.length_us);
        }
        if let Some(us) = script.snapshot_takes_us {
            world.take_snapshots_within(us);
        }
        world.service = match script.pace {
            Pace::Irregular => ServiceTimes::EXPLORING,
            Pace::Measured => ServiceTimes::MEASURED,
        };
        for fault in &script.faults {
            world.plan(fault.fault.clone(), fault.begins_us, fault.ends_us);
        }
        world.play(script);
        world
    }

    /// A world of so many regions to do things in by hand: none started, all ways whole and alike; with the text of what happens if that is `told`.
    #[must_use]
    pub fn by_hand(seed: u64, regions: u16, told: bool) -> Self {
        let mut world = Self::of(seed, Layout::new(regions), told);
        world.copies = Copies::kept();
        for from in world.layout.regions().to_vec() {
            for to in world.layout.regions().to_vec() {
                if from != to {
                    world.links.lay(from, to, Way::new(20_000, 1_000, 10));
                }
            }
        }
        world
    }

    fn of(seed: u64, layout: Layout, told: bool) -> Self {
        let mut world = Self {
            now: 0,
            queue: Queue::default(),
            seed,
            trace: Trace::new(told),
            oracle: Oracle::default(),
            figures: Figures::default(),
            work: Work::default(),
            regions: layout.regions().iter().map(|id| (*id, Region::new(*id, &layout))).collect(),
            links: Links::new(seed),
            lines: Lines::default(),
            service: ServiceTimes::EXPLORING,
            devices: BTreeMap::new(),
            people: People::default(),
            strangers: Strangers::default(),
            releases: Releases::default(),
            faults: Vec::new(),
            histories: None,
            recorder: None,
            hampered: false,
            liar: None,
            operators: Operators::of(&layout),
            replaced_after_us: None,
            salvages: Salvages::default(),
            copies: Copies::default(),
            snapshots: Snapshots::default(),
            mailbox_max: 1_024,
            changes_max: 1_024,
            layout,
        };
        let placements =
            [WORLD, PINNED].map(|placement| (placement, world.layout.first_regions_of(placement)));
        world.oracle.placements_are(placements.into());
        world.oracle.limits_members(world.layout.limits.members_max);
        world.oracle.acknowledgements_mean(world.layout.durability);
        world.oracle.keep_for(world.layout.limits.kept_ms.saturating_mul(1_000));
        world
    }

    fn set_up_region(&mut self, of: &crate::script::Region) {
        let id = RegionId(of.number);
        self.set_wall_offset(id, of.wall_offset_us);
        if let Some(region) = self.regions.get_mut(&id) {
            region.standing = if of.late { Standing::Awaited } else { Standing::Honest };
            region.sync_us = (of.sync_us_least, of.sync_us_most);
        }
    }

    /// Judges nothing from now on, but keeps what people see: for measuring what judging costs.
    pub const fn switch_checks_off(&mut self) {
        self.oracle.switch_off();
    }

    /// Regions that are started from now on sign like that.
    pub fn sign_with(&mut self, signatures: Arc<dyn Signatures>) {
        self.layout.signatures = signatures;
    }

    /// Starts all regions that are there from the first.
    pub fn start_all(&mut self) {
        for region in self.layout.regions().to_vec() {
            self.supervised(region);
        }
    }

    /// Lets so many microseconds pass.
    pub fn pass(&mut self, us: u64) {
        let until = self.now + us;
        while let Some((at, number, event)) = self.queue.take(until) {
            self.now = at;
            self.trace.note(at, number, || format!("{event:?}"));
            if let Some(event) = self.admit(event) {
                self.happen(event);
                self.work.handled();
            }
        }
        self.now = until;
    }

    /// The time, in microseconds since the world began.
    #[must_use]
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// The map.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The promises that were not kept so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        self.oracle.violations()
    }

    /// What it felt like and what it cost so far.
    #[must_use]
    pub const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// From now on the text of these events alone is kept, by their number from 1.
    pub fn tell_only(&mut self, events: std::ops::Range<u64>) {
        self.trace.tell_only(events);
    }

    /// The hash of the trace every so often: after so many events it was that.
    #[must_use]
    pub fn checkpoints(&self) -> &[(u64, [u8; 32])] {
        self.trace.checkpoints()
    }

    /// How each promise fared so far, by its number.
    #[must_use]
    pub fn promises(&self) -> BTreeMap<u8, Tally> {
        self.oracle.promises()
    }

    /// What was reached so far.
    #[must_use]
    pub const fn marks(&self) -> Marks {
        self.oracle.marks
    }

    /// A hash over everything so far.
    #[must_use]
    pub fn trace_hash(&self) -> [u8; 32] {
        self.trace.hash()
    }

    /// Events that production code has handled so far: frames, timers, completions of disks and links.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.work.events()
    }

    /// Those of them that were heartbeats, or timers without anything to do.
    #[must_use]
    pub const fn idle_events(&self) -> u64 {
        self.work.idle()
    }

    /// Everything that has happened so far, by which the trace numbers it: what cores hand to each other, people and faults besides.
    #[must_use]
    pub const fn happenings(&self) -> u64 {
        self.trace.events()
    }

    /// The newest lines of the text, if it is told.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.trace.lines()
    }

    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::ShardWake(life, placement) => self.shard_wake(life, placement),
            Event::Synced(life, placement) => self.synced(life, placement),
            Event::Compacted(life, placement) => self.compacted(life, placement),
            Event::BridgeTold(life, peer) => self.bridge_takes(life, peer),
            Event::BridgeTimers(life, peer) => self.bridge_timers(life, peer),
            Event::Sibling { of, peer, about, up } => {
                self.bridge_hears(of, peer, replication::input::Input::PeerBridge { region: about, up });
            }
            Event::Dialled(life, peer) => self.dialled(life, peer),
            Event::LinkStands(link, at) => self.link_stands(link, at),
            Event::FrameArrives(link, at) => self.frame_arrives(link, at),
            Event::PipeReady(link, at) => self.pipe_ready(link, at),
            Event::LinkSilent(link, at, since) => self.link_silent(link, at, since),
            Event::LinkClosed(link, at, code) => self.link_closed(link, at, code),
            Event::SessionWake(life, line) => self.session_wake(life, line),
            Event::QueryRuns(life, line, query) => self.query_runs(life, line, query),
            Event::SessionTimer(life, line, set) => self.session_timer(life, line, set),
            Event::LineDialled(device, connection) => self.line_dialled(device, connection),
            Event::FrameUp(line) => self.frame_up(line),
            Event::FrameDown(line) => self.frame_down(line),
            Event::LineLost(line) => self.line_lost(line),
            Event::SessionLost(line) => self.session_lost(line),
            Event::DeviceTimer(device) => self.device_timer(device),
            Event::Act => self.somebody_acts(),
            Event::FaultBegins(index) => self.fault_begins(index),
            Event::FaultEnds(index) => self.fault_ends(index),
            Event::FaultTurns(index) => self.fault_turns(index),
            Event::Supervised(region) => self.supervised(region),
            Event::SecondLifeEnds(region) => self.second_life_ends(region),
            Event::OperatorsClose(region) => self.operators_close(region),
            Event::OperatorsTell(region) => self.operators_tell(region),
            Event::OperatorsCopy => self.operators_copy(),
            Event::OperatorsSalvage => self.operators_salvage(),
            Event::OperatorsReplace(region) => self.operators_replace(region),
            Event::OperatorsJoin(region) => self.operators_join(region),
            Event::ProcessRuns(life) => self.process_runs(life),
        }
    }
}
