//! Faults and acts that a scenario states, in its own terms: times as shares or spans, regions by name.
//!
//! A fault has `begins` and `ends`; or these and `every` and `lasts`, and then it comes again and again. An act has `at`. The rest of
//! a table is what the script's fault or act of that kind has.
//!
//! What must always hold: what `validate` has let pass gives the same here, whatever regions a seed draws; a fault or act of a region that
//! a seed left out is left out.

use super::{Scenario, Topology, When};
use crate::script::{Act, DEVICES_A_USER, PlannedFault, Region, What};
use crate::world::Fault;
use serde::Deserialize;
use serde::de::Error as _;
use toml::{Table, Value};

/// A fault as stated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultTimes {
    begins: When,
    ends: When,
    every: Option<When>,
    lasts: Option<When>,
}

/// An act as stated.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActTimes {
    at: When,
    /// On which device, by its number…
    device: Option<u64>,
    /// …or on the first one of a user.
    by: Option<u64>,
    /// How often…
    #[serde(default = "once")]
    times: u64,
    /// …and how far apart.
    every: Option<When>,
}

impl Scenario {
    /// The stated faults, if the regions that they name are there.
    pub(crate) fn stated_faults(
        &self,
        regions: &[Region],
        begins_us: u64,
        ends_us: u64,
    ) -> Vec<PlannedFault> {
        let here = |table: &Table| self.topology.are_there(table, regions);
        let stated = self.fault.iter().map(|table| table.as_ref()).filter(|table| here(table));
        // What does not read was refused when the scenario was read (`validate.rs`), here and below.
        let read = stated.filter_map(|table| read_fault(&self.topology, table, begins_us, ends_us).ok());
        read.flatten().collect()
    }

    /// The stated acts, if the regions that they name are there.
    pub(crate) fn stated_acts(&self, regions: &[Region], begins_us: u64, ends_us: u64) -> Vec<Act> {
        let here = |table: &Table| self.topology.are_there(table, regions);
        let stated = (0..).zip(&self.act).map(|(salt, table)| (salt, table.as_ref()));
        let stated = stated.filter(|(_, table)| here(table));
        let read =
            stated.filter_map(|(salt, table)| read_act(&self.topology, table, salt, begins_us, ends_us).ok());
        read.flatten().collect()
    }
}

impl Topology {
    /// The names, those of the placement `eu` first: the order of their numbers.
    pub(crate) fn ordered(&self) -> Vec<String> {
        let others = self.regions.iter().filter(|name| !self.eu.contains(name));
        self.eu.iter().chain(others).cloned().collect()
    }

    /// A table with numbers where names of regions stood.
    fn numbered(&self, table: &Table) -> Table {
        let names = self.ordered();
        let number = |value: &Value| {
            let index = names.iter().position(|name| value.as_str() == Some(name))?;
            i64::try_from(index + 1).ok().map(Value::Integer)
        };
        let replaced = |value: &Value| match value {
            Value::Array(values) => Value::Array(
                values.iter().map(|value| number(value).unwrap_or_else(|| value.clone())).collect(),
            ),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Table(_) => number(value).unwrap_or_else(|| value.clone()),
        };
        table.iter().map(|(key, value)| (key.clone(), replaced(value))).collect()
    }

    fn are_there(&self, table: &Table, regions: &[Region]) -> bool {
        let left_out = |value: &Value| {
            let name = value.as_str().unwrap_or_default();
            self.regions.iter().any(|known| known == name)
                && !regions.iter().any(|region| region.name == name)
        };
        !table.values().any(|value| match value {
            Value::Array(values) => values.iter().any(left_out),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Table(_) => left_out(value),
        })
    }
}

/// Takes these keys out of a table.
fn split(table: &mut Table, keys: &[&str]) -> Table {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), table.remove(*key)?))).collect()
}

/// Reads a stated fault.
pub(super) fn read_fault(
    topology: &Topology,
    table: &Table,
    begins_us: u64,
    ends_us: u64,
) -> Result<Vec<PlannedFault>, toml::de::Error> {
    let mut table = topology.numbered(table);
    let times: FaultTimes = split(&mut table, &["begins", "ends", "every", "lasts"]).try_into()?;
    let fault: Fault = table.try_into()?;
    let at = |when: When| begins_us + when.us(ends_us - begins_us);
    let (from_us, until_us) = (at(times.begins), at(times.ends));
    if until_us < from_us {
        return Err(toml::de::Error::custom("it ends before it begins: put `ends` after `begins`"));
    }
    let planned = |begins_us, ends_us| PlannedFault { begins_us, ends_us, fault: fault.clone() };
    match (times.every, times.lasts) {
        (None, None) => Ok(vec![planned(from_us, until_us)]),
        (Some(every), Some(lasts)) => {
            let (every_us, lasts_us) = (every.us(ends_us - begins_us), lasts.us(ends_us - begins_us));
            if every_us <= lasts_us {
                return Err(toml::de::Error::custom(
                    "it comes again before it ended: make `every` longer than `lasts`",
                ));
            }
            let times = (0..(until_us - from_us) / every_us).map(|index| from_us + index * every_us);
            Ok(times.map(|at| planned(at, at + lasts_us)).collect())
        }
        _ => Err(toml::de::Error::custom("`every` and `lasts` go together: give both or none")),
    }
}

/// Reads a stated act.
pub(super) fn read_act(
    topology: &Topology,
    table: &Table,
    salt: u32,
    begins_us: u64,
    ends_us: u64,
) -> Result<Vec<Act>, toml::de::Error> {
    let mut table = topology.numbered(table);
    let times: ActTimes = split(&mut table, &["at", "device", "by", "times", "every"]).try_into()?;
    let what: What = table.try_into()?;
    if let What::Admit { region } = &what
        && !topology
            .ordered()
            .get(usize::from(region.0).saturating_sub(1))
            .is_some_and(|name| topology.late.contains(name))
    {
        return Err(toml::de::Error::custom(
            "it is there from the first: only a region of `topology.late` is admitted",
        ));
    }
    let length_us = ends_us - begins_us;
    let device = match (times.device, times.by) {
        (Some(device), None) => device,
        (None, Some(user)) => user * DEVICES_A_USER,
        _ => return Err(toml::de::Error::custom("whose act is it? give `by` (a user's number) or `device`")),
    };
    let at_us = begins_us + times.at.us(length_us);
    let every_us = times.every.map_or(0, |every| every.us(length_us));
    let act = |index: u64| Act {
        at_us: at_us + index * every_us,
        device,
        // Drawn ones have salts of all 32 bits; these need only differ among themselves.
        salt: salt.wrapping_mul(1_000_003).wrapping_add(u32::try_from(index).unwrap_or(0)),
        what: what.clone(),
    };
    Ok((0..times.times).map(act).collect())
}

const fn once() -> u64 {
    1
}
