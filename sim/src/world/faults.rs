//! What goes wrong in a world: each fault with a beginning and an end, and what it does to whom.
//!
//! Faults lie on each other: a way is cut while any cut lies on it, and is as slow as all that lies on it makes it. What a fault did, its end undoes and nothing else;
//! a clock is set right by the end of any that was wrong with it. Every fault ends by itself or at the healing, which ends them all.
//!
//! What must always hold: a fault of something that is not there does nothing; a fault does nothing but what its kind says, and nothing more once it has ended.

use crate::script::spelling::{device, placement, region};
use crate::world::World;
use crate::world::clocks::Skew;
use crate::world::disk::{Call, Disk, Tail};
use crate::world::lines::Profile;
use crate::world::queue::{Event, Moment};
use crate::world::releases::Release;
use crate::world::wire::Conditions;
use crdt::{DeviceId, PlacementId, RegionId};
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
        /// If not, whether a part of it does, which the next start cuts.
        #[serde(default)]
        torn: bool,
    },
    /// A region's process stands still.
    Pause {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
    },
    /// A region's process crawls.
    SlowProcess {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// Microseconds that each thing takes which it does.
        step_us: u64,
    },
    /// A region's process is replaced by one of another release, and by one of this at the end.
    OtherRelease {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// The lowest version of the bridge protocol that it speaks; this release speaks 1 and 2.
        speaks_from: u32,
        /// The highest.
        speaks_to: u32,
        /// Operation kinds, by number, that it does not know and this release does.
        #[serde(default)]
        lacks_kinds: Vec<u32>,
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
    /// Both ways are cut, and whole, and cut.
    Flap {
        /// Between this one.
        #[serde(with = "region")]
        one: RegionId,
        /// And this one.
        #[serde(with = "region")]
        other: RegionId,
        /// Microseconds for which they are cut.
        cut_us: u64,
        /// Microseconds for which they are whole.
        whole_us: u64,
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
    /// A way becomes worse: it loses, doubles, is narrow, or late.
    WorseWay {
        /// From there.
        #[serde(with = "region")]
        from: RegionId,
        /// To there.
        #[serde(with = "region")]
        to: RegionId,
        /// By that, on top of what it is.
        by: Conditions,
    },
    /// A region's disks become slow: a sync takes 2 to 150 ms.
    SlowDisk {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
    },
    /// Syncs of a region's disks do not return before the end.
    StalledDisk {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
    },
    /// A region's disks are full.
    FullDisk {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
    },
    /// A call to a disk fails.
    FailingDisk {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// Which of its stores.
        #[serde(with = "placement")]
        placement: PlacementId,
        /// Which calls.
        call: Call,
        /// After so many that succeed.
        #[serde(default)]
        after: u64,
        /// And then every one, not one alone.
        #[serde(default)]
        again: bool,
    },
    /// One bit of one value in a store is flipped at the beginning.
    FlippedBit {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// Which of its stores.
        #[serde(with = "placement")]
        placement: PlacementId,
        /// Decides which bit.
        salt: u32,
    },
    /// One value is written over another one at the beginning.
    Misdirected {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// Which of its stores.
        #[serde(with = "placement")]
        placement: PlacementId,
        /// Decides which.
        salt: u32,
    },
    /// A region's stores are copied at the beginning, and put back at the end.
    Restored {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
    },
    /// A region's stores are gone from the beginning on.
    Emptied {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// Whether its folder remembers them, and so refuses to start.
        remembered: bool,
    },
    /// A wall clock jumps, and is set right at the end.
    ClockJump {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// How far, in microseconds.
        by_us: i64,
    },
    /// A region's clocks run fast, or slow below zero.
    ClockDrift {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
        /// By so many parts in a million.
        per_million: i32,
    },
    /// A wall clock shows the same all the time.
    ClockStuck {
        /// Whose.
        #[serde(with = "region")]
        region: RegionId,
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
    /// A device's network has a profile.
    WeakLine {
        /// Whose.
        #[serde(with = "device")]
        device: DeviceId,
        /// Which.
        profile: Profile,
    },
    /// A device's wall clock jumps, and is set right at the end.
    DeviceClockJump {
        /// Whose.
        #[serde(with = "device")]
        device: DeviceId,
        /// How far, in microseconds.
        by_us: i64,
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
    /// For one that comes and goes: whether it is here.
    pub(crate) here: bool,
}

/// What a sync takes on a slow disk, at least and at most, in microseconds.
const SLOW_SYNC_US: (u64, u64) = (2_000, 150_000);

impl Fault {
    /// Whether it is of a way between regions, and of nothing in them or of their devices.
    const fn is_between_regions(&self) -> bool {
        match self {
            Self::CutWay { .. }
            | Self::CutPair { .. }
            | Self::Island { .. }
            | Self::Flap { .. }
            | Self::SlowWay { .. }
            | Self::WorseWay { .. } => true,
            Self::Crash { .. }
            | Self::Pause { .. }
            | Self::SlowProcess { .. }
            | Self::OtherRelease { .. }
            | Self::SlowDisk { .. }
            | Self::StalledDisk { .. }
            | Self::FullDisk { .. }
            | Self::FailingDisk { .. }
            | Self::FlippedBit { .. }
            | Self::Misdirected { .. }
            | Self::Restored { .. }
            | Self::Emptied { .. }
            | Self::DeviceClockJump { .. }
            | Self::ClockJump { .. }
            | Self::ClockDrift { .. }
            | Self::ClockStuck { .. }
            | Self::Break { .. }
            | Self::Offline { .. }
            | Self::WeakLine { .. }
            | Self::SlowDevice { .. } => false,
        }
    }
}

impl World {
    /// A fault is going to happen.
    pub fn plan(&mut self, fault: Fault, begins: Moment, ends: Moment) {
        let index = self.faults.len();
        self.faults.push(Planned { fault, begins, ends, begun: false, ended: false, here: false });
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
        if !fault.is_between_regions() {
            self.oracle.is_troubled(self.now, true);
        }
        match fault {
            Fault::Crash { .. } | Fault::Pause { .. } | Fault::SlowProcess { .. } => {
                self.process_fault_begins(index, &fault);
            }
            Fault::OtherRelease { region, speaks_from, speaks_to, lacks_kinds } => {
                let versions = (speaks_from, speaks_to);
                self.replace_release(index, region, Some(Release { versions, lacks_kinds }));
            }
            Fault::CutWay { from, to } => self.cut(from, to),
            Fault::CutPair { one, other } => self.cut_pair(one, other),
            Fault::Island { region } => {
                for other in self.others(region) {
                    self.cut_pair(region, other);
                }
            }
            Fault::Flap { .. } => self.fault_turns(index),
            Fault::SlowWay { from, to, delay_us } => {
                self.worsen(index, from, to, Conditions { delay_us, ..Conditions::default() });
            }
            Fault::WorseWay { from, to, by } => self.worsen(index, from, to, by),
            Fault::SlowDisk { region } => {
                if let Some(region) = self.regions.get_mut(&region) {
                    region.slow_syncs.insert(index, SLOW_SYNC_US);
                }
            }
            Fault::StalledDisk { region } => self.each_disk(region, |disk| disk.stall(index)),
            Fault::FullDisk { region } => self.each_disk(region, |disk| disk.fill(index)),
            Fault::FailingDisk { region, placement, call, after, again } => {
                self.one_disk(region, placement, |disk| disk.fail(index, call, after, again));
            }
            Fault::FlippedBit { region, .. }
            | Fault::Misdirected { region, .. }
            | Fault::Restored { region }
            | Fault::Emptied { region, .. } => {
                if self.may_lie(region) {
                    self.lie_begins(index, &fault);
                }
            }
            Fault::ClockJump { region, by_us } => self.skew_clock(region, Skew::Jump { by_us }),
            Fault::ClockDrift { region, per_million } => self.skew_clock(region, Skew::Drift { per_million }),
            Fault::ClockStuck { region } => self.skew_clock(region, Skew::Stuck),
            Fault::Break { device } => {
                for line in self.lines.all_of(device) {
                    self.break_line(line);
                }
            }
            Fault::Offline { device } => self.set_online(device, false),
            Fault::WeakLine { device, profile } => self.set_profile(device, Some(profile)),
            Fault::DeviceClockJump { device: id, by_us } => {
                if let Some(device) = self.devices.get_mut(&id) {
                    device.wall_jump_us += by_us;
                }
            }
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
        let (fault, here) = (planned.fault.clone(), planned.here);
        self.trace.tell(self.now, || format!("ends: {fault:?}"));
        self.record_fault_end(index);
        if !fault.is_between_regions() {
            self.oracle.is_troubled(self.now, false);
        }
        match fault {
            Fault::Crash { region, .. } => {
                if let Some(region) = self.regions.get_mut(&region) {
                    region.held -= 1;
                }
                self.supervised(region);
            }
            Fault::Pause { region } => self.resume(index, region),
            Fault::SlowProcess { region, .. } => {
                if let Some(region) = self.regions.get_mut(&region) {
                    region.slow_steps.remove(&index);
                }
            }
            Fault::OtherRelease { region, .. } => self.replace_release(index, region, None),
            Fault::CutWay { from, to } => self.mend(from, to),
            Fault::CutPair { one, other } => self.mend_pair(one, other),
            Fault::Island { region } => {
                for other in self.others(region) {
                    self.mend_pair(region, other);
                }
            }
            Fault::Flap { one, other, .. } if here => self.mend_pair(one, other),
            Fault::Restored { region } => self.restore(index, region),
            Fault::Flap { .. }
            | Fault::Break { .. }
            | Fault::FlippedBit { .. }
            | Fault::Misdirected { .. }
            | Fault::Emptied { .. } => {}
            Fault::SlowWay { from, to, .. } | Fault::WorseWay { from, to, .. } => {
                if let Some(way) = self.links.way_mut(from, to) {
                    way.recover(index);
                }
            }
            Fault::SlowDisk { region }
            | Fault::StalledDisk { region }
            | Fault::FullDisk { region }
            | Fault::FailingDisk { region, .. } => self.disk_recovers(index, region),
            Fault::ClockJump { region, .. }
            | Fault::ClockDrift { region, .. }
            | Fault::ClockStuck { region } => self.change_clock(region, |clock, at| clock.set_right(at)),
            Fault::Offline { device } => self.set_online(device, true),
            Fault::WeakLine { device, .. } => self.set_profile(device, None),
            Fault::DeviceClockJump { device: id, by_us } => {
                if let Some(device) = self.devices.get_mut(&id) {
                    device.wall_jump_us -= by_us;
                }
            }
            Fault::SlowDevice { device, .. } => self.reads_again(device),
        }
    }

    fn process_fault_begins(&mut self, index: usize, fault: &Fault) {
        if let Fault::Pause { region } = fault {
            self.pause(index, *region);
        }
        if let Fault::SlowProcess { region, step_us } = fault {
            self.hampered = true;
            if let Some(region) = self.regions.get_mut(region) {
                region.slow_steps.insert(index, *step_us);
            }
        }
        if let Fault::Crash { region, keeps_tail, torn } = fault {
            let tail = match (keeps_tail, torn) {
                (true, _) => Tail::Kept,
                (false, true) => Tail::Torn,
                (false, false) => Tail::Lost,
            };
            if let Some(region) = self.regions.get_mut(region) {
                region.held += 1;
            }
            self.fall(*region, Some(tail));
        }
    }

    fn lie_begins(&mut self, index: usize, fault: &Fault) {
        if let Fault::FlippedBit { region, placement, salt } = fault {
            self.one_disk(*region, *placement, |disk| disk.flip_bit(*salt));
        }
        if let Fault::Misdirected { region, placement, salt } = fault {
            self.one_disk(*region, *placement, |disk| disk.misdirect(*salt));
        }
        if let Fault::Restored { region } = fault {
            self.each_disk(*region, |disk| disk.copy(index));
        }
        if let Fault::Emptied { region, remembered } = fault {
            self.empty(*region, *remembered);
        }
    }

    /// One that comes and goes turns.
    pub(crate) fn fault_turns(&mut self, index: usize) {
        let Some(planned) = self.faults.get_mut(index).filter(|planned| !planned.ended) else { return };
        let Fault::Flap { one, other, cut_us, whole_us } = planned.fault else { return };
        planned.here = !planned.here;
        let after = if planned.here {
            self.cut_pair(one, other);
            cut_us
        } else {
            self.mend_pair(one, other);
            whole_us
        };
        self.queue.put(self.now + after.max(1_000), Event::FaultTurns(index));
    }

    fn worsen(&mut self, index: usize, from: RegionId, to: RegionId, by: Conditions) {
        if let Some(way) = self.links.way_mut(from, to) {
            way.worsen(index, by);
        }
    }

    fn skew_clock(&mut self, region: RegionId, skew: Skew) {
        self.change_clock(region, |clock, at| clock.skew(at, skew));
    }

    fn each_disk(&mut self, region: RegionId, change: impl Fn(&mut Disk)) {
        let disks = self.regions.get_mut(&region).into_iter().flat_map(|region| region.disks.values_mut());
        disks.for_each(change);
    }

    fn one_disk(&mut self, region: RegionId, placement: PlacementId, change: impl FnOnce(&mut Disk)) {
        let disks = self.regions.get_mut(&region).map(|region| &mut region.disks);
        if let Some(disk) = disks.and_then(|disks| disks.get_mut(&placement)) {
            change(disk);
        }
    }

    fn disk_recovers(&mut self, index: usize, region: RegionId) {
        let life = self.life_of(region);
        let Some(region) = self.regions.get_mut(&region) else { return };
        region.slow_syncs.remove(&index);
        for (placement, disk) in &mut region.disks {
            if disk.recover(index)
                && let Some(life) = life
            {
                self.queue.put(self.now, Event::Synced(life, *placement));
            }
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
}
