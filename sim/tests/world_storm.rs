//! Storms over whole regions and devices: seeds of cuts, crashes, slow disks, wrong clocks and wandering people, each judged by an oracle that knows
//! everything the world did, and each healed until it is whole.
//!
//! A few dozen seeds run with the tests. `ARCHIPELAGO_SEEDS=2000` runs that many, from `ARCHIPELAGO_FIRST_SEED` on; a seed that fails
//! prints what was broken and the command that runs it alone, with `ARCHIPELAGO_TELL=1` for what happened last.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use sim::world::{Marks, Report, storm};
use std::panic::catch_unwind;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn run(seed: u64, told: bool) -> Result<Report, String> {
    let replay = format!(
        "ARCHIPELAGO_FIRST_SEED={seed} ARCHIPELAGO_SEEDS=1 ARCHIPELAGO_TELL=1 cargo test -p sim --test world_storm -- --nocapture"
    );
    let report = catch_unwind(|| storm(seed, told));
    let report = report.map_err(|_| format!("seed {seed} panicked; run it alone:\n  {replay}"))?;
    if report.violations.is_empty() {
        return Ok(report);
    }
    let lines = report.lines.join("\n");
    let violations: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
    Err(format!("{lines}\nseed {seed} broke:\n  {}\nrun it alone:\n  {replay}", violations.join("\n  ")))
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
        // Rarer things, such as marks, are told by name in `world_histories.rs`.
        assert!(marks.shown > 0 && marks.moved > 0 && marks.ticks > 0, "{marks:?}");
        assert!(marks.missed > 0 && marks.crashes > 0, "{marks:?}");
        assert_eq!(marks.marked, marks.unmarked, "every mark went");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 5] {
        let (one, other) = (storm(seed, false), storm(seed, false));
        assert_eq!(one, other);
        assert_ne!(one.trace, storm(seed + 1, false).trace);
    }
}
