//! What goes wrong in a storm is drawn: a kind, and then whom it befalls and how.
//!
//! What must always hold: what is drawn leaves every store recoverable. A kind is known by its name in scenarios.

use crate::world::dice::Dice;
use crate::world::faults::Fault;
use crdt::{DeviceId, RegionId};

/// The kinds that are drawn, by their names in scenarios.
pub(crate) const FAULT_KINDS: &[&str] = &[
    "crash",
    "cut-way",
    "cut-pair",
    "island",
    "slow-way",
    "slow-disk",
    "clock-jump",
    "break",
    "offline",
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
        "crash" => Fault::Crash { region, keeps_tail: dice.one_in(2) },
        "cut-way" => Fault::CutWay { from: region, to: other },
        "cut-pair" => Fault::CutPair { one: region, other },
        "island" => Fault::Island { region },
        "slow-way" => Fault::SlowWay { from: region, to: other, delay_us: dice.between(100_000, 900_000) },
        "slow-disk" => Fault::SlowDisk { region },
        "clock-jump" => {
            let hours = i64::try_from(dice.below(13)).unwrap_or(0) - 6;
            Fault::ClockJump { region, by_us: hours * 3_600_000_000 }
        }
        "break" => Fault::Break { device },
        "offline" => Fault::Offline { device },
        "slow-device" => Fault::SlowDevice { device, weight: dice.between(200, 4_000) },
        _ => return None,
    })
}
