//! What goes wrong in a storm is drawn: a kind, and then whom it befalls and how.
//!
//! What must always hold: what is drawn leaves every store recoverable but that of one region, whose hardware may lie. A kind is known by its name in
//! scenarios.

use crate::world::dice::Dice;
use crate::world::disk::Call;
use crate::world::faults::Fault;
use crate::world::layout::{PINNED, WORLD};
use crate::world::lines::Profile;
use crate::world::wire::Conditions;
use crdt::{DeviceId, RegionId};

/// The kinds that are drawn, by their names in scenarios.
pub(crate) const FAULT_KINDS: &[&str] = &[
    "crash",
    "pause",
    "slow-process",
    "other-release",
    "cut-way",
    "cut-pair",
    "island",
    "flap",
    "slow-way",
    "worse-way",
    "slow-disk",
    "stalled-disk",
    "full-disk",
    "failing-disk",
    "lying-disk",
    "clock-jump",
    "clock-drift",
    "clock-stuck",
    "break",
    "offline",
    "weak-line",
    "device-clock-jump",
    "slow-device",
];

/// Whom a fault may befall.
#[derive(Debug)]
pub(crate) struct FaultPlaces {
    pub(crate) regions: Vec<RegionId>,
    pub(crate) devices: Vec<DeviceId>,
}

/// A fault of that kind, if there is one and anybody whom it may befall.
pub(crate) fn draw_fault(kind: &str, places: &FaultPlaces, dice: &mut Dice) -> Option<Fault> {
    let region = dice.pick(&places.regions)?;
    let others: Vec<RegionId> = places.regions.iter().copied().filter(|other| *other != region).collect();
    let other = dice.pick(&others)?;
    let device = dice.pick(&places.devices)?;
    Some(match kind {
        "crash" => Fault::Crash { region, keeps_tail: dice.one_in(2), torn: dice.one_in(2) },
        "pause" => Fault::Pause { region },
        "slow-process" => Fault::SlowProcess { region, step_us: dice.pick(&[100, 500, 3_000])? },
        "other-release" => {
            // Older and newer ones, each with and without a version that this one speaks.
            let (speaks_from, speaks_to) = dice.pick(&[(0, 0), (0, 1), (1, 2), (3, 4), (5, 6)])?;
            Fault::OtherRelease { region, speaks_from, speaks_to, lacks_kinds: Vec::new() }
        }
        "cut-way" => Fault::CutWay { from: region, to: other },
        "cut-pair" => Fault::CutPair { one: region, other },
        "island" => Fault::Island { region },
        "flap" => {
            let (cut_us, whole_us) = (dice.between(50_000, 4_000_000), dice.between(50_000, 2_000_000));
            Fault::Flap { one: region, other, cut_us, whole_us }
        }
        "slow-way" => Fault::SlowWay { from: region, to: other, delay_us: dice.between(100_000, 900_000) },
        "worse-way" => Fault::WorseWay { from: region, to: other, by: draw_worse_way(dice) },
        "slow-disk" => Fault::SlowDisk { region },
        "stalled-disk" => Fault::StalledDisk { region },
        "full-disk" => Fault::FullDisk { region },
        "failing-disk" => {
            let placement = dice.pick(&[WORLD, PINNED])?;
            let call = dice.pick(&[Call::Read, Call::Write, Call::Sync, Call::SyncKept])?;
            let after = dice.pick(&[0, 1, 5, 50, 400])?;
            Fault::FailingDisk { region, placement, call, after, again: dice.one_in(3) }
        }
        "lying-disk" => draw_lie(region, dice)?,
        "clock-jump" => {
            let hours = i64::try_from(dice.below(13)).unwrap_or(0) - 6;
            Fault::ClockJump { region, by_us: hours * 3_600_000_000 }
        }
        "clock-drift" => {
            let per_million = i32::try_from(dice.below(2_001)).unwrap_or(0) - 1_000;
            Fault::ClockDrift { region, per_million }
        }
        "clock-stuck" => Fault::ClockStuck { region },
        "break" => Fault::Break { device },
        "offline" => Fault::Offline { device },
        "weak-line" => {
            let profile = dice.pick(&[Profile::Lan, Profile::FourG, Profile::ThreeG, Profile::TwoG])?;
            Fault::WeakLine { device, profile }
        }
        "device-clock-jump" => {
            let hours = i64::try_from(dice.below(41)).unwrap_or(0) - 20;
            Fault::DeviceClockJump { device, by_us: hours * 3_600_000_000 }
        }
        "slow-device" => Fault::SlowDevice { device, weight: dice.between(200, 4_000) },
        _ => return None,
    })
}

/// Hardware that lies. One region of a world does at most; of more the first counts.
fn draw_lie(region: RegionId, dice: &mut Dice) -> Option<Fault> {
    let placement = dice.pick(&[WORLD, PINNED])?;
    let salt = dice.salt();
    Some(match dice.below(6) {
        0 | 1 => Fault::FlippedBit { region, placement, salt },
        2 => Fault::Misdirected { region, placement, salt },
        3 | 4 => Fault::Restored { region },
        _ => Fault::Emptied { region, remembered: dice.one_in(2) },
    })
}

/// A way that loses, doubles and overtakes, and is narrow.
fn draw_worse_way(dice: &mut Dice) -> Conditions {
    let mut share = |of: &[u32]| dice.pick(of).unwrap_or(0);
    Conditions {
        lost_per_million: share(&[0, 1_000, 20_000, 150_000]),
        overtaken_per_million: share(&[0, 10_000, 300_000]),
        doubled_per_million: share(&[0, 10_000, 300_000]),
        late_per_million: share(&[0, 5_000, 100_000]),
        late_us: u64::from(share(&[20_000, 400_000])),
        kib_us: u64::from(share(&[0, 1_000, 20_000])),
        queue_bytes: u64::from(share(&[0, 4 << 10, 64 << 10])),
        ..Conditions::default()
    }
}
