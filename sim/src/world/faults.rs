//! What goes wrong in a world: each fault with a beginning and an end.
//!
//! Every fault ends by itself or at the healing, which ends them all.
//!
//! What must always hold: a fault of something that is not there does nothing.

use crate::script::spelling::{device, region};
use crate::world::World;
use crate::world::queue::{Event, Moment};
use crdt::{DeviceId, RegionId};
use serde::{Deserialize, Serialize};

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// A region's process dies, and starts again at the end.
    Crash {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// Whether what was on its way to the disk arrives there.
        keeps_tail: bool,
    },
    /// One way is cut.
    CutWay {
        /// From there.
        #[serde(with = "region")]
        from: RegionId,
        /// To there.
        #[serde(with = "region")]
        to: RegionId,
    },
    /// Both ways are.
    CutPair {
        /// Between this one.
        #[serde(with = "region")]
        one: RegionId,
        /// And this one.
        #[serde(with = "region")]
        other: RegionId,
    },
    /// A region hears nobody and nobody hears it.
    Island {
        /// Which.
        #[serde(with = "region")]
        region: RegionId,
    },
    /// A way becomes slow.
    SlowWay {
        /// From there.
        #[serde(with = "region")]
        from: RegionId,
        /// To there.
        #[serde(with = "region")]
        to: RegionId,
        /// Microseconds more.
        delay_us: u64,
    },
    /// A disk becomes slow.
    SlowDisk {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
    },
    /// A wall clock jumps, and back.
    ClockJump {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// How far, in microseconds.
        by_us: i64,
    },
    /// A device's connections break.
    Break {
        /// Whose.
        #[serde(with = "device")]
        device: DeviceId,
    },
    /// A device has no network.
    Offline {
        /// Which.
        #[serde(with = "device")]
        device: DeviceId,
    },
    /// A device does not read what arrives.
    SlowDevice {
        /// Which.
        #[serde(with = "device")]
        device: DeviceId,
        /// What each byte on its way to it counts for.
        weight: u64,
    },
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

impl World {
    /// A fault is going to happen.
    pub fn plan(&mut self, fault: Fault, begins: Moment, ends: Moment) {
        let index = self.faults.len();
        self.faults.push(Planned { fault, begins, ends, begun: false, ended: false });
        self.queue.put(begins, Event::FaultBegins(index));
        self.queue.put(ends, Event::FaultEnds(index));
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
        self.record_fault(index, &fault);
        match fault {
            Fault::Crash { region, keeps_tail } => self.crash(region, keeps_tail),
            Fault::CutWay { from, to } => self.cut(from, to),
            Fault::CutPair { one, other } => self.cut_pair(one, other),
            Fault::Island { region } => {
                for other in self.others(region) {
                    self.cut_pair(region, other);
                }
            }
            Fault::SlowWay { from, to, delay_us } => self.delay_way(from, to, |delay| delay + delay_us),
            Fault::SlowDisk { region } => self.set_sync(region, (2_000, 150_000)),
            Fault::ClockJump { region, by_us } => self.set_wall_offset(region, by_us),
            Fault::Break { device } => {
                for line in self.lines.all_of(device) {
                    self.break_line(line);
                }
            }
            Fault::Offline { device } => self.set_online(device, false),
            Fault::SlowDevice { device: id, weight } => {
                let weight = usize::try_from(weight).unwrap_or(1);
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
        self.record_fault_end(index);
        match fault {
            Fault::Crash { region, .. } => self.start(region),
            Fault::CutWay { from, to } => self.mend(from, to),
            Fault::CutPair { one, other } => self.mend_pair(one, other),
            Fault::Island { region } => {
                for other in self.others(region) {
                    self.mend_pair(region, other);
                }
            }
            Fault::SlowWay { from, to, delay_us } => {
                self.delay_way(from, to, |delay| delay.saturating_sub(delay_us));
            }
            Fault::SlowDisk { region } => self.set_sync(region, (80, 300)),
            Fault::ClockJump { region, .. } => self.set_wall_offset(region, 0),
            Fault::Break { .. } => {}
            Fault::Offline { device } => self.set_online(device, true),
            Fault::SlowDevice { device, .. } => self.reads_again(device),
        }
    }

    /// Ends all faults.
    pub(crate) fn end_faults(&mut self) {
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
