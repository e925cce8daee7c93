//! Draws a script from a scenario and a seed.
//!
//! Swarm testing (Groce et al. 2012): in a scenario that says `swarm = true`, each seed switches whole features off and skews the rest, and so gives
//! the others room; what a scenario fixes with a plain number under `swarm = false` is as it says. All that was drawn is noted by name.
//!
//! What must always hold: the same scenario and seed give the same script; each quantity is drawn from a stream of its own name, so a new one
//! changes no other; nothing is drawn that the world cannot do.

use super::{Region, Script, ScriptLimits, Way};
use super::{draw_acts, draw_people};
use crate::scenario::{Amount, Scenario};
use crate::script::PlannedFault;
use crate::world::dice::Dice;
use crate::world::{FAULT_KINDS, FaultPlaces, draw_fault};
use crdt::{DeviceId, RegionId};
use std::collections::BTreeMap;

/// What draws, and notes what it drew.
pub(super) struct Lot {
    pub(super) seed: u64,
    swarm: bool,
    drawn: BTreeMap<String, String>,
}

impl Lot {
    /// A stream.
    pub(super) fn dice(&self, name: &str) -> Dice {
        Dice::of(self.seed, name, &[])
    }

    /// A quantity.
    pub(super) fn amount(&mut self, name: &str, amount: &Amount) -> u64 {
        let drawn = amount.draw(&mut self.dice(name));
        if amount.varies() {
            self.note(name, drawn.to_string());
        }
        drawn
    }

    /// A share of a hundred, which a swarm switches off or skews.
    pub(super) fn share(&mut self, name: &str, amount: &Amount) -> u64 {
        let mut dice = self.dice(name);
        let drawn = amount.draw(&mut dice);
        if !self.swarm {
            if amount.varies() {
                self.note(name, drawn.to_string());
            }
            return drawn;
        }
        let skewed = match dice.below(8) {
            0 | 1 => 0,
            2 => drawn / 2,
            3 => drawn * 2,
            4 => drawn * 3,
            _ => drawn,
        };
        let skewed = skewed.min(100);
        if skewed != drawn || amount.varies() {
            self.note(name, skewed.to_string());
        }
        skewed
    }

    pub(super) fn note(&mut self, name: &str, drawn: String) {
        self.drawn.insert(name.to_owned(), drawn);
    }
}

/// Draws the script of that scenario and seed.
#[must_use]
pub fn draw(scenario: &Scenario, seed: u64) -> Script {
    if let Some(script) = &scenario.script {
        return Script { seed, ..script.clone() };
    }
    let mut lot = Lot { seed, swarm: scenario.swarm, drawn: BTreeMap::new() };
    let begins_us = scenario.population.begins_us();
    let storm_us = lot.amount("length_s", &scenario.length_s) * 1_000_000;
    let limits = ScriptLimits {
        mailbox: lot.amount("mailbox", &scenario.limits.mailbox),
        changes: lot.amount("changes", &scenario.limits.changes),
        window_bytes: lot.amount("window_kib", &scenario.limits.window_kib) << 10,
        receipt_devices: lot.amount("receipt_devices", &scenario.limits.receipt_devices).max(1),
        device_dead_s: lot.amount("device_dead_s", &scenario.limits.device_dead_s).max(1),
        members: lot.amount("members_max", &scenario.limits.members).max(1),
        kept_s: lot.amount("kept_s", &scenario.limits.kept_s).max(1),
    };
    let mut script = Script {
        scenario: scenario.name.clone(),
        seed,
        length_us: begins_us + storm_us,
        healed_within_us: scenario.healed_within_s * 1_000_000,
        replaced_after_us: None,
        copied_every_us: None,
        salvaged_after_us: None,
        snapshot_takes_us: None,
        dark: Vec::new(),
        checks: scenario.checks.clone(),
        eu_regions: u16::try_from(scenario.topology.eu.len()).unwrap_or(u16::MAX),
        geo: scenario.topology.geo,
        pace: scenario.machines.pace,
        limits,
        drawn: BTreeMap::new(),
        regions: regions(&mut lot, scenario),
        ways: Vec::new(),
        devices: Vec::new(),
        conversations: Vec::new(),
        acts: Vec::new(),
        faults: Vec::new(),
    };
    script.replaced_after_us = replaced_after_us(&mut lot, scenario);
    script.copied_every_us = copied_every_us(&mut lot, scenario);
    script.salvaged_after_us = salvaged_after_us(&mut lot, scenario);
    script.snapshot_takes_us = snapshot_takes_us(&mut lot, scenario);
    script.dark = dark(&mut lot, scenario, &script.regions);
    script.ways = ways(&mut lot, scenario, &script.regions);
    script.devices = draw_people::devices(&mut lot, scenario, &script);
    script.conversations = draw_people::conversations(&mut lot, scenario, &script);
    script.acts = draw_acts::acts(&mut lot, scenario, &mut script, begins_us);
    script.faults = faults(&mut lot, scenario, &script, begins_us);
    script.drawn = lot.drawn;
    script
}

fn regions(lot: &mut Lot, scenario: &Scenario) -> Vec<Region> {
    let names = scenario.topology.ordered();
    let count = scenario.topology.count.as_ref().map_or(u64::MAX, |count| lot.amount("regions", count));
    let sync = &scenario.machines.sync_us;
    let off_percent = lot.share("clocks_off_percent", &Amount::of(scenario.machines.clocks_off_percent));
    let off_ms = &scenario.machines.clock_off_ms;
    let number = (1..).zip(names).take(usize::try_from(count.max(2)).unwrap_or(usize::MAX));
    let region = |(number, name): (u16, String)| {
        let mut dice = Dice::of(lot.seed, "region", &[u64::from(number)]);
        let off = dice.percent(off_percent);
        let wall_offset_us = if off { signed(off_ms.draw(&mut dice) * 1_000, &mut dice) } else { 0 };
        let (sync_us_least, sync_us_most) = (sync.least(), sync.most());
        let late = scenario.topology.late.contains(&name);
        Region { number, name, wall_offset_us, sync_us_least, sync_us_most, late }
    };
    number.map(region).collect()
}

/// When operators replace what is lost, if they do: where swarms are drawn, every other seed is without.
fn replaced_after_us(lot: &mut Lot, scenario: &Scenario) -> Option<u64> {
    let after = scenario.machines.replaced_after_s.as_ref()?;
    let never = lot.swarm && lot.dice("replaced").one_in(2);
    (!never).then(|| lot.amount("replaced_after_s", after) * 1_000_000)
}

/// How often operators make copies, if they do: where swarms are drawn, every other seed is without.
fn copied_every_us(lot: &mut Lot, scenario: &Scenario) -> Option<u64> {
    let every = scenario.machines.copied_every_s.as_ref()?;
    let never = lot.swarm && lot.dice("copied").one_in(2);
    (!never).then(|| lot.amount("copied_every_s", every).max(1) * 1_000_000)
}

/// When a lost disk is found, if any is: where swarms are drawn, every other seed is without.
fn salvaged_after_us(lot: &mut Lot, scenario: &Scenario) -> Option<u64> {
    let after = scenario.machines.salvaged_after_s.as_ref()?;
    let never = lot.swarm && lot.dice("salvaged").one_in(2);
    (!never).then(|| lot.amount("salvaged_after_s", after) * 1_000_000)
}

/// How long snapshots take, if whoever is admitted begins with one: where swarms are drawn, in every other seed nobody does.
fn snapshot_takes_us(lot: &mut Lot, scenario: &Scenario) -> Option<u64> {
    let takes = scenario.machines.snapshot_takes_s.as_ref()?;
    let never = lot.swarm && lot.dice("snapshots").one_in(2);
    (!never).then(|| lot.amount("snapshot_takes_s", takes) * 1_000_000)
}

/// Regions that come back last. At least two others are left, which see each other: where not every two do, there are none.
fn dark(lot: &mut Lot, scenario: &Scenario, regions: &[Region]) -> Vec<u16> {
    let count = lot.amount("dark", &scenario.faults.dark).min(regions.len().saturating_sub(2) as u64);
    if scenario.topology.pair.iter().any(|pair| !pair.bridge) {
        return Vec::new();
    }
    let mut dice = lot.dice("dark regions");
    let mut numbers: Vec<u16> = regions.iter().map(|region| region.number).collect();
    let mut dark = Vec::new();
    while (dark.len() as u64) < count
        && let Some(number) = dice.pick(&numbers)
    {
        numbers.retain(|other| *other != number);
        dark.push(number);
    }
    dark
}

/// To either side.
pub(super) fn signed(us: u64, dice: &mut Dice) -> i64 {
    let us = i64::try_from(us).unwrap_or(i64::MAX);
    if dice.one_in(2) { us } else { -us }
}

/// Bits of a KiB: over so many, one bit a microsecond, a million of them a second take so many microseconds.
const KIB_BITS: u64 = 8_192;

fn ways(lot: &mut Lot, scenario: &Scenario, regions: &[Region]) -> Vec<Way> {
    let topology = &scenario.topology;
    let mut ways = Vec::new();
    for (index, one) in regions.iter().enumerate() {
        for other in regions.iter().skip(index + 1) {
            let pair = topology.pair.iter().find(|pair| pair.joins(&one.name, &other.name));
            if pair.is_some_and(|pair| !pair.bridge) {
                continue;
            }
            let mut dice = Dice::of(lot.seed, "way", &[u64::from(one.number), u64::from(other.number)]);
            let mut drawn =
                |of_pair: Option<&Amount>, default: &Amount| of_pair.unwrap_or(default).draw(&mut dice);
            let rtt_ms = drawn(pair.and_then(|pair| pair.rtt_ms.as_ref()), &topology.rtt_ms);
            let jitter = drawn(pair.and_then(|pair| pair.jitter_percent.as_ref()), &topology.jitter_percent);
            let mbit = drawn(pair.and_then(|pair| pair.mbit_per_s.as_ref()), &topology.mbit_per_s);
            let loss_per_million =
                drawn(pair.and_then(|pair| pair.loss_per_million.as_ref()), &topology.loss_per_million);
            let delay_us = rtt_ms * 500;
            let jitter_us = delay_us * jitter / 100;
            let kib_us = KIB_BITS / mbit.max(1);
            let way = |from, to| Way { from, to, delay_us, jitter_us, kib_us, loss_per_million };
            ways.extend([way(one.number, other.number), way(other.number, one.number)]);
            lot.note(&format!("rtt_ms {} {}", one.name, other.name), rtt_ms.to_string());
        }
    }
    ways
}

fn faults(lot: &mut Lot, scenario: &Scenario, script: &Script, begins_us: u64) -> Vec<PlannedFault> {
    let mut faults = scenario.stated_faults(&script.regions, begins_us, script.length_us);
    let number = lot.amount("faults", &scenario.faults.number);
    let mut dice = lot.dice("faults kinds");
    let named = &scenario.faults.kinds;
    let weight = |kind: &str| if named.is_empty() { 1 } else { named.get(kind).copied().unwrap_or(0) };
    let mut kinds: Vec<(&str, u64)> = FAULT_KINDS.iter().map(|kind| (*kind, weight(kind))).collect();
    // Each seed is without a third of the kinds.
    kinds.retain(|(_, weight)| *weight > 0 && !(scenario.swarm && dice.one_in(3)));
    if number > 0 {
        let names: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
        lot.note("faults kinds", names.join(" "));
    }
    let places = FaultPlaces {
        regions: script.regions.iter().map(|region| RegionId(region.number)).collect(),
        devices: script.devices.iter().map(|device| DeviceId(device.number)).collect(),
    };
    let longest_us = (script.length_us - begins_us) / 2;
    for index in 0..number {
        let mut dice = Dice::of(lot.seed, "fault", &[index]);
        let Some(kind) = draw_weighted(&kinds, &mut dice) else { break };
        let Some(fault) = draw_fault(kind, &places, &mut dice) else { continue };
        let begins_us = dice.between(begins_us, script.length_us);
        let length_us = if dice.one_in(2) { dice.below(longest_us) } else { dice.below(1_500_000) };
        faults.push(PlannedFault { begins_us, ends_us: begins_us + 10_000 + length_us, fault });
    }
    faults.sort_by_key(|fault| fault.begins_us);
    faults
}

/// One of these, as likely as its weight.
pub(super) fn draw_weighted<T: Clone>(from: &[(T, u64)], dice: &mut Dice) -> Option<T> {
    let mut drawn = dice.below(from.iter().map(|(_, weight)| *weight).sum());
    for (what, weight) in from {
        if drawn < *weight {
            return Some(what.clone());
        }
        drawn -= weight;
    }
    None
}
