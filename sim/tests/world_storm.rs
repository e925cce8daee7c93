//! Storms over whole regions and devices: seeds of cuts, crashes, slow disks, wrong clocks and wandering people, each judged by an oracle that knows
//! everything the world did, and each healed until it is whole.
//!
//! A few dozen seeds run with the tests. `ARCHIPELAGO_SEEDS=2000` runs that many, from `ARCHIPELAGO_FIRST_SEED` on; a seed that fails
//! prints what was broken and the command that runs it alone, with `ARCHIPELAGO_TELL=1` for what happened last.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use sim::outcome::{Outcome, Verdict};
use sim::run::{Options, run as play};
use sim::scenario::embedded;
use sim::script::{Script, draw};
use sim::world::Marks;
use std::panic::catch_unwind;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn script(seed: u64) -> Script {
    let name = std::env::var("ARCHIPELAGO_SCENARIO").unwrap_or_else(|_| "storm-of-everything".to_owned());
    draw(&embedded(&name).unwrap().unwrap(), seed)
}

fn run(seed: u64, told: bool) -> Result<Outcome, String> {
    let script = script(seed);
    let replay = format!(
        "ARCHIPELAGO_FIRST_SEED={seed} ARCHIPELAGO_SEEDS=1 ARCHIPELAGO_TELL=1 cargo test -p sim --test world_storm -- --nocapture"
    );
    let report = catch_unwind(|| play(&script, Options { told, ..Options::default() }));
    let report = report.map_err(|_| format!("seed {seed} panicked; run it alone:\n  {replay}"))?;
    if report.class == Verdict::Kept {
        return Ok(report);
    }
    let lines = report.lines.join("\n");
    let violations: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    Err(format!(
        "{lines}\nseed {seed}, {:?} {:?}, broke:\n  {}\nrun it alone:\n  {replay}",
        report.class,
        report.promises,
        violations.join("\n  ")
    ))
}

#[test]
fn promises_hold_through_storms_and_all_is_whole_after() {
    let (first, count) = (number("ARCHIPELAGO_FIRST_SEED", 1), number("ARCHIPELAGO_SEEDS", 24));
    let told = number("ARCHIPELAGO_TELL", 0) > 0;
    let mut failures = Vec::new();
    let mut marks = Marks::default();
    let (mut events, mut simulated_us) = (0, 0);
    for seed in first..first + count {
        match run(seed, told) {
            Ok(report) => {
                events += report.events;
                simulated_us += report.simulated_us;
                marks.add(&report.marks);
            }
            Err(failure) => {
                println!("{failure}");
                failures.push(seed);
            }
        }
    }
    println!("{count} seeds, {events} events, {} s simulated: {marks:?}", simulated_us / 1_000_000);
    assert!(failures.is_empty(), "seeds {failures:?} broke promises");
    if count >= 24 {
        // Rarer things, such as marks and moves, are told by name in `world_histories.rs`.
        assert!(marks.shown > 0 && marks.ticks > 0, "{marks:?}");
        assert!(marks.missed > 0 && marks.crashes > 0 && marks.strangers > 0, "{marks:?}");
        // Where a region was lost, a mark may stand for what only it held.
        assert!(marks.lost > 0 || marks.marked == marks.unmarked, "every mark went: {marks:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let hashes = |seed| play(&script(seed), Options::default()).checkpoints;
    for seed in [3, 5] {
        assert_eq!(hashes(seed), hashes(seed));
        assert_ne!(hashes(seed), hashes(seed + 1));
    }
}

#[test]
fn a_script_that_is_printed_and_read_back_is_the_same_run() {
    for seed in 1..=6 {
        let script = script(seed);
        let text = script.print("printed", "As it was drawn.").unwrap();
        let read = sim::scenario::Scenario::parse("printed.toml", &text).unwrap();
        assert_eq!(read.seed(), Some(seed));
        assert_eq!(draw(&read, seed), script);
    }
}
