//! What a scenario must keep to beyond the form of its file, with the place of the first thing that does not.
//!
//! What must always hold: a scenario that passes can be drawn with every seed, and nothing in it is silently without effect.

use super::stated::{read_act, read_fault};
use super::{ClientNetwork, Pair, Population, Scenario};
use crate::world::FAULT_KINDS;
use crate::world::dice::Dice;

/// Promises are numbered up to this.
const PROMISES: u8 = 12;
/// More regions are refused: nine fit into what the product is made for.
const REGIONS_MAX: usize = 9;

/// The first mistake, and where it is (a byte of the text; 0 if it is not at one place).
pub(super) fn check(scenario: &Scenario) -> Result<(), (usize, String)> {
    let at_top = |what: Result<(), String>| what.map_err(|mistake| (0, mistake));
    if scenario.script.is_some() {
        return at_top(check_story(scenario));
    }
    at_top(
        check_story(scenario).and_then(|()| check_regions(scenario)).and_then(|()| check_names(scenario)),
    )?;
    // Any length will do: shares of it are what is stated, or spans beyond which nothing is refused.
    let (begins_us, ends_us) = (0, scenario.length_s.most() * 1_000_000);
    for table in &scenario.fault {
        read_fault(&scenario.topology, table.as_ref(), begins_us, ends_us)
            .map_err(|error| (table.span().start, format!("a fault: {}", error.message())))?;
    }
    for table in &scenario.act {
        read_act(&scenario.topology, table.as_ref(), 0, begins_us, ends_us)
            .map_err(|error| (table.span().start, format!("an act: {}", error.message())))?;
    }
    Ok(())
}

fn check_story(scenario: &Scenario) -> Result<(), String> {
    if scenario.name.is_empty() || scenario.story.trim().is_empty() {
        return Err(
            "a scenario has a `name` and a `story` of a sentence or two: write what happens".to_owned()
        );
    }
    let numbers: Vec<u64> = scenario.conversation.iter().map(|conversation| conversation.number).collect();
    if numbers.iter().enumerate().any(|(index, number)| numbers[..index].contains(number)) {
        return Err("two conversations have the same number".to_owned());
    }
    match scenario.checks.iter().find(|promise| !(1..=PROMISES).contains(*promise)) {
        Some(promise) => Err(format!("`checks` names promise {promise}: they are numbered 1 to {PROMISES}")),
        None => Ok(()),
    }
}

fn check_regions(scenario: &Scenario) -> Result<(), String> {
    let topology = &scenario.topology;
    if !(2..=REGIONS_MAX).contains(&topology.regions.len()) {
        let count = topology.regions.len();
        return Err(format!("`topology.regions` names {count} regions: name 2 to {REGIONS_MAX}"));
    }
    if let Some(name) =
        topology.regions.iter().enumerate().find(|(index, name)| topology.regions[..*index].contains(name))
    {
        return Err(format!("`topology.regions` names `{}` twice", name.1));
    }
    let at_first = topology.regions.iter().filter(|name| !topology.late.contains(name));
    if at_first.clone().count() < 2 || !at_first.clone().any(|name| topology.eu.contains(name)) {
        return Err(
            "`topology.late` leaves too few: two regions are there from the first, one of them of `topology.eu`"
                .to_owned(),
        );
    }
    if topology.eu.is_empty() {
        return Err(
            "`topology.eu` names no region: name those that pinned conversations may lie in".to_owned()
        );
    }
    if scenario.length_s.least() == 0 {
        return Err("`length_s` may be 0: a storm lasts at least a second".to_owned());
    }
    Ok(())
}

fn check_names(scenario: &Scenario) -> Result<(), String> {
    let topology = &scenario.topology;
    let pairs = topology.pair.iter().flat_map(|pair| pair.between.iter());
    let named = pairs.chain(&topology.eu).chain(&topology.late).chain(scenario.population.homes.keys());
    for name in named {
        if !topology.regions.contains(name) {
            let known = topology.regions.join(", ");
            return Err(format!("there is no region `{name}`: `topology.regions` has {known}"));
        }
    }
    if let Some(pair) = topology.pair.iter().find(|pair| pair.between[0] == pair.between[1]) {
        return Err(format!("a pair is of two regions, not of `{}` and itself", pair.between[0]));
    }
    match scenario.faults.kinds.keys().find(|kind| !FAULT_KINDS.contains(&kind.as_str())) {
        Some(kind) => Err(format!("there is no fault `{kind}`: there are {}", FAULT_KINDS.join(", "))),
        None => Ok(()),
    }
}

impl Pair {
    /// Whether it is of these two.
    pub(crate) fn joins(&self, one: &str, other: &str) -> bool {
        let [first, second] = &self.between;
        (first == one && second == other) || (first == other && second == one)
    }
}

impl Population {
    /// When people begin to act: all have signed in by then, and had time to hear of each other.
    pub(crate) fn begins_us(&self) -> u64 {
        self.sign_in_within_ms.most() * 1_250 + 500_000
    }
}

impl ClientNetwork {
    /// Microseconds to the region, one way: half of the round trips that operators publish for these networks.
    pub(crate) fn draw_delay_us(self, dice: &mut Dice) -> u64 {
        match self {
            Self::Lan => dice.between(500, 3_000),
            Self::FourG => dice.between(15_000, 40_000),
            Self::ThreeG => dice.between(50_000, 150_000),
            Self::TwoG => dice.between(150_000, 500_000),
            Self::Any => dice.between(1_000, 50_000),
        }
    }
}
