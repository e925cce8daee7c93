//! A run for machines. The format is documented in `docs/simulator.md` and stable: fields are added, never renamed.
//!
//! What must always hold: it says the same as the table of the same run; numbers are integers, or decimals that were written from integers.

use super::answer::Names;
use super::played::Played;
use super::promises;
use super::verdicts::hex;
use serde::Serialize;
use serde_json::value::RawValue;
use sim::figures::{Distribution, Machines, Users};
use std::collections::BTreeMap;

const SCHEMA: &str = "archipelago.sim.run.v1";

#[derive(Serialize)]
struct Face<'a> {
    schema: &'static str,
    scenario: &'a str,
    seed: u64,
    /// None if nobody judged.
    ok: Option<bool>,
    class: Option<&'static str>,
    commit: &'static str,
    promises: BTreeMap<String, PromiseFace>,
    violations: Vec<String>,
    panic: Option<&'a str>,
    trace_hash: Option<String>,
    events: u64,
    idle_events: u64,
    simulated_s: Box<RawValue>,
    wall_s: Box<RawValue>,
    peak_rss_bytes: u64,
    drawn: BTreeMap<&'a str, Drawn<'a>>,
    marks: BTreeMap<String, u64>,
    users: Option<UsersFace>,
    machines: Option<MachinesFace>,
}

/// What was drawn: a number where it is one.
#[derive(Serialize)]
#[serde(untagged)]
enum Drawn<'a> {
    Number(u64),
    Words(&'a str),
}

impl<'a> Drawn<'a> {
    fn of(value: &'a str) -> Self {
        value.parse().map_or(Self::Words(value), Self::Number)
    }
}

#[derive(Serialize)]
struct PromiseFace {
    violations: u64,
    checked: u64,
}

#[derive(Serialize)]
struct UsersFace {
    written: u64,
    acknowledge_ms: Spread,
    show_inside_ms: Spread,
    show_across_ms: Spread,
    show_after_offline_ms: Spread,
    waiting_max: u64,
    waiting_at_end: u64,
    refused: u64,
    marked: u64,
    mark_stood_ms: Spread,
    marks_at_end: u64,
    moved: u64,
    redirects: u64,
    devices: u64,
    cut_off_ms: Spread,
    cut_off_device_s: u64,
    offline_device_s: u64,
    untimed: u64,
}

#[derive(Serialize)]
struct Spread {
    p50: Box<RawValue>,
    p99: Box<RawValue>,
    p999: Box<RawValue>,
    max: Box<RawValue>,
    samples: u64,
}

#[derive(Serialize)]
struct MachinesFace {
    links: Vec<LinkFace>,
    regions: Vec<RegionFace>,
    bounds_reached: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct LinkFace {
    from: String,
    to: String,
    frames: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct RegionFace {
    region: String,
    operations: u64,
    syncs: u64,
    written_bytes: u64,
    mailbox_letters_max: u64,
}

/// A run as JSON, over several lines.
pub(crate) fn run(played: &Played) -> String {
    let outcome = played.ended.as_ref().ok();
    let names = played.names();
    let judged = outcome.map(|outcome| &outcome.promises);
    let promise = |(number, _): (u8, &str)| {
        let verdict = judged.and_then(|promises| promises.get(&number).copied()).unwrap_or_default();
        (number.to_string(), PromiseFace { violations: verdict.violations, checked: verdict.checked })
    };
    let face = Face {
        schema: SCHEMA,
        scenario: &played.script.scenario,
        seed: played.script.seed,
        ok: played.judged.then(|| played.class().is_none()).or_else(|| played.class().map(|_| false)),
        class: played.class().map(super::class::Class::name),
        commit: super::COMMIT,
        promises: promises::all().map(promise).collect(),
        violations: outcome
            .map(|o| o.violations.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        panic: played.ended.as_ref().err().map(String::as_str),
        trace_hash: outcome.map(|outcome| hex(&outcome.trace_hash)),
        events: played.events(),
        idle_events: outcome.map_or(0, |outcome| outcome.idle_events),
        simulated_s: thousandths(played.simulated_us() / 1_000),
        wall_s: thousandths(played.measured.wall_ms),
        peak_rss_bytes: played.measured.peak_rss_bytes,
        drawn: played.script.drawn.iter().map(|(name, value)| (name.as_str(), Drawn::of(value))).collect(),
        marks: marks(played),
        users: outcome.map(|outcome| users(&outcome.users)),
        machines: outcome.map(|outcome| machines(&outcome.machines, &names)),
    };
    // Everything above has a JSON form: maps have texts as keys, and numbers are integers or decimals.
    serde_json::to_string_pretty(&face).unwrap_or_default() + "\n"
}

/// What the world reached, and the rare branches of the cores.
fn marks(played: &Played) -> BTreeMap<String, u64> {
    let cores = sim::sometimes::counts().into_iter().map(|(mark, times)| (mark.to_owned(), times));
    played.marks().into_iter().chain(cores).collect()
}

fn users(users: &Users) -> UsersFace {
    UsersFace {
        written: users.written,
        acknowledge_ms: spread(&users.acknowledge),
        show_inside_ms: spread(&users.show_inside),
        show_across_ms: spread(&users.show_across),
        show_after_offline_ms: spread(&users.show_after_offline),
        waiting_max: users.waiting_max,
        waiting_at_end: users.waiting_at_end,
        refused: users.refused,
        marked: users.marked,
        mark_stood_ms: spread(&users.mark_stood),
        marks_at_end: users.marks_at_end,
        moved: users.moved,
        redirects: users.redirects,
        devices: users.devices,
        cut_off_ms: spread(&users.cut_off),
        cut_off_device_s: users.cut_off_us / 1_000_000,
        offline_device_s: users.offline_us / 1_000_000,
        untimed: users.untimed,
    }
}

fn spread(distribution: &Distribution) -> Spread {
    let of = |us: Option<u64>| us.map_or_else(|| RawValue::NULL.to_owned(), thousandths);
    Spread {
        p50: of(distribution.per_mille(500)),
        p99: of(distribution.per_mille(990)),
        p999: of(distribution.per_mille(999)),
        max: of(distribution.max_us()),
        samples: distribution.samples(),
    }
}

fn machines(machines: &Machines, names: &Names) -> MachinesFace {
    let name = |region: &crdt::RegionId| names.get(region).cloned().unwrap_or_else(|| region.to_string());
    MachinesFace {
        links: machines
            .links
            .iter()
            .map(|((from, to), link)| LinkFace {
                from: name(from),
                to: name(to),
                frames: link.frames,
                bytes: link.bytes,
            })
            .collect(),
        regions: machines
            .regions
            .iter()
            .map(|(region, used)| RegionFace {
                region: name(region),
                operations: used.operations,
                syncs: used.batches,
                written_bytes: used.written_bytes,
                mailbox_letters_max: used.mailbox_letters_max,
            })
            .collect(),
        bounds_reached: machines.bounds.iter().map(|(bound, times)| (bound.name(), *times)).collect(),
    }
}

/// Thousandths as a decimal number.
fn thousandths(number: u64) -> Box<RawValue> {
    let raw = RawValue::from_string(format!("{}.{:03}", number / 1_000, number % 1_000));
    // Digits with one point between them are JSON.
    raw.unwrap_or_else(|_| RawValue::NULL.to_owned())
}
