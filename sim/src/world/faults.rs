//! What goes wrong in a storm: drawn from the seed, each with a beginning and an end.
//!
//! Swarm testing (Groce et al. 2012): each seed switches whole kinds of faults off and so gives the others room. Every fault ends by itself or
//! at the healing, which ends them all.

use crate::world::World;
use crate::world::queue::{Event, Moment};
use crdt::{DeviceId, RegionId};

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A region's process dies, and starts again at the end.
    Crash { region: RegionId, keeps_tail: bool },
    /// One way is cut.
    CutWay { from: RegionId, to: RegionId },
    /// Both ways are.
    CutPair { one: RegionId, other: RegionId },
    /// A region hears nobody and nobody hears it.
    Island(RegionId),
    /// A way becomes slow.
    SlowWay { from: RegionId, to: RegionId, delay_us: u64 },
    /// A disk becomes slow.
    SlowDisk(RegionId),
    /// A wall clock jumps, and back.
    ClockJump { region: RegionId, by_us: i64 },
    /// A device's connections break.
    Break(DeviceId),
    /// A device has no network.
    Offline(DeviceId),
    /// A device does not read what arrives.
    SlowDevice(DeviceId),
}

/// A fault and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) fault: Fault,
    pub(crate) begins: Moment,
    pub(crate) ends: Moment,
    pub(crate) begun: bool,
    pub(crate) ended: bool,
}

/// How many kinds there are.
const KINDS: u64 = 10;

impl World {
    /// Draws the faults of a storm.
    pub(crate) fn plan_faults(&mut self, count: u64, from: Moment, until: Moment) {
        let kinds: Vec<u64> = (0..KINDS).filter(|_| !self.dice.one_in(3)).collect();
        for _ in 0..count {
            let Some(kind) = self.dice.pick(&kinds) else { return };
            let Some(fault) = self.draw_fault(kind) else { continue };
            let begins = self.dice.between(from, until);
            let longest = (until - from) / 2;
            let length =
                if self.dice.one_in(2) { self.dice.below(longest) } else { self.dice.below(1_500_000) };
            let ends = begins + 10_000 + length;
            let index = self.faults.len();
            self.faults.push(Planned { fault, begins, ends, begun: false, ended: false });
            self.queue.put(begins, Event::FaultBegins(index));
            self.queue.put(ends, Event::FaultEnds(index));
        }
    }

    fn draw_fault(&mut self, kind: u64) -> Option<Fault> {
        let regions = self.layout.regions().to_vec();
        let devices: Vec<DeviceId> = self.devices.keys().copied().collect();
        let region = self.dice.pick(&regions)?;
        let others: Vec<RegionId> = regions.into_iter().filter(|other| *other != region).collect();
        let other = self.dice.pick(&others)?;
        let device = self.dice.pick(&devices)?;
        Some(match kind {
            0 => Fault::Crash { region, keeps_tail: self.dice.one_in(2) },
            1 => Fault::CutWay { from: region, to: other },
            2 => Fault::CutPair { one: region, other },
            3 => Fault::Island(region),
            4 => Fault::SlowWay { from: region, to: other, delay_us: self.dice.between(100_000, 900_000) },
            5 => Fault::SlowDisk(region),
            6 => {
                let hours = i64::try_from(self.dice.below(13)).unwrap_or(0) - 6;
                Fault::ClockJump { region, by_us: hours * 3_600_000_000 }
            }
            7 => Fault::Break(device),
            8 => Fault::Offline(device),
            _ => Fault::SlowDevice(device),
        })
    }

    /// A fault begins.
    pub(crate) fn fault_begins(&mut self, index: usize) {
        let Some(planned) = self.faults.get_mut(index) else { return };
        if planned.ended {
            return;
        }
        planned.begun = true;
        let fault = planned.fault.clone();
        self.trace.tell(self.now, || format!("begins: {fault:?}"));
        match fault {
            Fault::Crash { region, keeps_tail } => self.crash(region, keeps_tail),
            Fault::CutWay { from, to } => self.cut(from, to),
            Fault::CutPair { one, other } => self.cut_pair(one, other),
            Fault::Island(region) => {
                for other in self.others(region) {
                    self.cut_pair(region, other);
                }
            }
            Fault::SlowWay { from, to, delay_us } => self.delay_way(from, to, |delay| delay + delay_us),
            Fault::SlowDisk(region) => self.set_sync(region, (2_000, 150_000)),
            Fault::ClockJump { region, by_us } => self.set_wall_offset(region, by_us),
            Fault::Break(device) => {
                for line in self.lines.all_of(device) {
                    self.break_line(line);
                }
            }
            Fault::Offline(device) => self.set_online(device, false),
            Fault::SlowDevice(id) => {
                let weight = usize::try_from(self.dice.between(200, 4_000)).unwrap_or(1);
                if let Some(device) = self.devices.get_mut(&id) {
                    (device.reads, device.weight) = (false, weight);
                }
            }
        }
    }

    /// It ends.
    pub(crate) fn fault_ends(&mut self, index: usize) {
        let Some(planned) = self.faults.get_mut(index) else { return };
        if std::mem::replace(&mut planned.ended, true) || !planned.begun {
            return;
        }
        let fault = planned.fault.clone();
        self.trace.tell(self.now, || format!("ends: {fault:?}"));
        match fault {
            Fault::Crash { region, .. } => self.start(region),
            Fault::CutWay { from, to } => self.mend(from, to),
            Fault::CutPair { one, other } => self.mend_pair(one, other),
            Fault::Island(region) => {
                for other in self.others(region) {
                    self.mend_pair(region, other);
                }
            }
            Fault::SlowWay { from, to, delay_us } => {
                self.delay_way(from, to, |delay| delay.saturating_sub(delay_us));
            }
            Fault::SlowDisk(region) => self.set_sync(region, (80, 300)),
            Fault::ClockJump { region, .. } => self.set_wall_offset(region, 0),
            Fault::Break(_) => {}
            Fault::Offline(device) => self.set_online(device, true),
            Fault::SlowDevice(device) => self.reads_again(device),
        }
    }

    /// Ends all faults.
    pub(crate) fn heal(&mut self) {
        for index in 0..self.faults.len() {
            self.fault_ends(index);
        }
    }

    /// Cuts both ways.
    pub fn cut_pair(&mut self, one: RegionId, other: RegionId) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Takes a cut off both ways.
    pub fn mend_pair(&mut self, one: RegionId, other: RegionId) {
        self.mend(one, other);
        self.mend(other, one);
    }

    fn others(&self, region: RegionId) -> Vec<RegionId> {
        self.layout.regions().iter().copied().filter(|other| *other != region).collect()
    }

    fn delay_way(&mut self, from: RegionId, to: RegionId, change: impl Fn(u64) -> u64) {
        if let Some(way) = self.links.way_mut(from, to) {
            way.delay_us = change(way.delay_us);
        }
    }

    fn set_sync(&mut self, region: RegionId, sync_us: (u64, u64)) {
        if let Some(region) = self.regions.get_mut(&region) {
            region.sync_us = sync_us;
        }
    }
}
