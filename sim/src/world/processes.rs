//! A process that stands still, crawls, or ends by itself, and whoever looks after it.
//!
//! - *Stands still* (SIGSTOP, a long collection of somebody else's garbage, a machine that moves): nothing happens in it, what arrives waits in the kernel, timers are late. Peers
//!   that hear nothing give their connection up; it notices when it goes on.
//! - *Crawls*: whatever it does takes so much longer, one thing after the other.
//! - *Ends*: a failed commit, a read of damaged state or a fence ends a region's process at once, as in production (`region/rocks/src/shard_thread.rs`, `port.rs`):
//!   nothing more is told to anybody. A supervisor starts it again after a second, and again, while it refuses to start.
//!
//! What must always hold: a process that is held up takes what waited in the order in which it came; a store fails only while a fault lies on it.

use crate::checks::world::Checker;
use crate::world::World;
use crate::world::disk::Disk;
use crate::world::lies::Standing;
use crate::world::links::SILENCE_US;
use crate::world::queue::{Event, Life, Moment};
use crate::world::regions::Region;
use crdt::RegionId;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;

/// Microseconds after which a supervisor starts a process that ended.
pub(crate) const RESTART_US: u64 = 1_000_000;

/// How a process gets on.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Faults that make it stand still.
    paused_by: BTreeSet<usize>,
    paused_since: Moment,
    /// It is at something until then.
    busy_until: Moment,
    /// What waits for it.
    backlog: VecDeque<Event>,
}

impl Pace {
    /// What waited for a process that is no more.
    pub(crate) fn into_backlog(self) -> VecDeque<Event> {
        self.backlog
    }
}

impl World {
    /// The process of a region stands still.
    pub(crate) fn pause(&mut self, fault: usize, region: RegionId) {
        let now = self.now;
        let Some(life) = self.life_of(region) else { return };
        let Some(process) = self.process(life) else { return };
        if process.pace.paused_by.is_empty() {
            process.pace.paused_since = now;
        }
        process.pace.paused_by.insert(fault);
        self.hampered = true;
        self.oracle.marks.stood_still += 1;
        for link in self.links.with(life) {
            for peer in self.layout.regions().to_vec() {
                if self.links.life_at(link, peer).is_some_and(|other| other != life) {
                    self.queue.put(now + SILENCE_US, Event::LinkSilent(link, peer, now));
                }
            }
        }
    }

    /// It goes on.
    pub(crate) fn resume(&mut self, fault: usize, region: RegionId) {
        let now = self.now;
        let Some(life) = self.life_of(region) else { return };
        let Some(process) = self.process(life) else { return };
        let pace = &mut process.pace;
        if !pace.paused_by.remove(&fault) || !pace.paused_by.is_empty() {
            return;
        }
        let stood_still_us = now - pace.paused_since;
        if stood_still_us >= SILENCE_US {
            // It has heard nothing for as long as a connection bears. Its peer hears nothing from now on, also one that stood still itself when it should have noticed.
            for link in self.links.with(life) {
                self.queue.put(now, Event::LinkClosed(link, region, None));
                if let Some(peer) = self.links.peer_of(link, region) {
                    self.queue.put(now + SILENCE_US, Event::LinkClosed(link, peer, None));
                }
            }
        }
        self.queue.put(now, Event::ProcessRuns(life));
    }

    /// Whether a process has stood still since then.
    pub(crate) fn is_paused(&self, life: Life, since: Moment) -> bool {
        self.pace_of(life).is_some_and(|pace| !pace.paused_by.is_empty() && pace.paused_since == since)
    }

    /// Whether a process stands still.
    pub(crate) fn is_paused_now(&self, life: Life) -> bool {
        self.pace_of(life).is_some_and(|pace| !pace.paused_by.is_empty())
    }

    fn pace_of(&self, life: Life) -> Option<&Pace> {
        let process = self.regions.get(&life.region)?.process.as_ref()?;
        (process.life == life).then_some(&process.pace)
    }

    /// Lets an event happen, or lets it wait for the process that is to see to it.
    pub(crate) fn admit(&mut self, event: Event) -> Option<Event> {
        if !self.hampered {
            return Some(event);
        }
        let now = self.now;
        let Some(life) = self.life_for(&event) else { return Some(event) };
        let step_us = self.regions.get(&life.region).map_or(0, |region| region.step_takes_us());
        let Some(process) = self.process(life) else { return Some(event) };
        let pace = &mut process.pace;
        let is_paused = !pace.paused_by.is_empty();
        if !is_paused && pace.backlog.is_empty() && pace.busy_until <= now {
            pace.busy_until = now + step_us;
            return Some(event);
        }
        let (is_first, runs_at) = (pace.backlog.is_empty(), pace.busy_until.max(now));
        pace.backlog.push_back(event);
        if is_first && !is_paused {
            self.queue.put(runs_at, Event::ProcessRuns(life));
        }
        None
    }

    /// A process takes the next of what waits for it.
    pub(crate) fn process_runs(&mut self, life: Life) {
        let now = self.now;
        let step_us = self.regions.get(&life.region).map_or(0, |region| region.step_takes_us());
        let Some(process) = self.process(life) else { return };
        let pace = &mut process.pace;
        if !pace.paused_by.is_empty() || pace.busy_until > now {
            return;
        }
        let Some(event) = pace.backlog.pop_front() else { return };
        pace.busy_until = now + step_us;
        if !pace.backlog.is_empty() {
            self.queue.put(now + step_us, Event::ProcessRuns(life));
        }
        self.happen(event);
    }

    /// The process that is to see to an event.
    fn life_for(&self, event: &Event) -> Option<Life> {
        match event {
            Event::ShardWake(life, _)
            | Event::Synced(life, _)
            | Event::Compacted(life, _)
            | Event::BridgeTold(life, _)
            | Event::BridgeTimers(life, _)
            | Event::Sibling { of: life, .. }
            | Event::Dialled(life, _)
            | Event::SessionWake(life, _)
            | Event::QueryRuns(life, ..)
            | Event::SessionTimer(life, ..) => Some(*life),
            Event::LinkStands(link, at)
            | Event::FrameArrives(link, at)
            | Event::PipeReady(link, at)
            | Event::LinkSilent(link, at, _)
            | Event::LinkClosed(link, at, _) => self.links.life_at(*link, *at),
            Event::LineDialled(device, connection) => {
                let region = *self.devices.get(device)?.dialling.get(connection)?;
                self.life_of(region)
            }
            Event::FrameUp(line) | Event::SessionLost(line) => self.lines.life_of(*line),
            Event::FrameDown(_)
            | Event::LineLost(_)
            | Event::DeviceTimer(_)
            | Event::Act
            | Event::FaultBegins(_)
            | Event::FaultEnds(_)
            | Event::FaultTurns(_)
            | Event::Supervised(_)
            | Event::SecondLifeEnds(_)
            | Event::OperatorsClose(_)
            | Event::OperatorsTell(_)
            | Event::OperatorsCopy
            | Event::OperatorsSalvage
            | Event::OperatorsReplace(_)
            | Event::OperatorsJoin(_)
            | Event::ProcessRuns(_) => None,
        }
    }

    /// A store failed a process, which therefore ends.
    pub(crate) fn store_failed(&mut self, life: Life, error: &dyn fmt::Display) {
        self.store_fails(life.region, error);
        if self.process(life).is_none() {
            return;
        }
        self.trace.tell(self.now, || format!("{} ends: {error}", life.region));
        self.oracle.marks.ended += 1;
        self.record_ended(life.region);
        self.fall(life.region, None);
        self.starts_again(life.region, error);
    }

    /// A supervisor starts it again; an operator does not let it, if its store is spoilt.
    fn starts_again(&mut self, id: RegionId, error: &dyn fmt::Display) {
        if self.regions.get(&id).is_some_and(|region| region.disks.values().any(Disk::is_spoilt)) {
            self.lose(id, &error.to_string());
        } else {
            self.queue.put(self.now + RESTART_US, Event::Supervised(id));
        }
    }

    /// A store failed: that is so only while a fault lies on it.
    pub(crate) fn store_fails(&mut self, region: RegionId, error: &dyn fmt::Display) {
        let disks = self.regions.get(&region).into_iter().flat_map(|region| region.disks.values());
        if !disks.into_iter().any(Disk::is_faulty) {
            self.oracle.violate(self.now, Checker::Runs, format!("{region}: {error}"));
        }
    }

    /// A supervisor looks whether a region runs.
    pub(crate) fn supervised(&mut self, id: RegionId) {
        let may_start = |region: &Region| {
            let is_there = !matches!(region.standing, Standing::Lost | Standing::Awaited);
            region.process.is_none() && region.held == 0 && is_there
        };
        if self.regions.get(&id).is_some_and(may_start) {
            self.start(id);
        }
    }

    /// A start was refused: it is tried again.
    pub(crate) fn start_refused(&mut self, id: RegionId, error: &str) {
        self.trace.tell(self.now, || format!("{id} does not start: {error}"));
        self.oracle.marks.refused_starts += 1;
        self.store_fails(id, &error);
        self.starts_again(id, &error);
    }
}
