//! How fast one core plays a scenario: events a second, times real time, and the most memory that the process held.
//!
//! `cargo run --release -p sim --example speed -- SCENARIO FIRST_SEED SEEDS [--no-checks]`, on one core (`taskset -c 0`). Time is what this process
//! had of a processor, so neighbours disturb it by the caches that they share and not by the turns that they take; the best of several runs is what counts. It needs
//! the simulator alone, where the program needs a storage engine too.
//!
//! What must always hold: it reports a failing seed instead of its speed, since a world that broke is no measure.

#![allow(clippy::disallowed_methods)]

use sim::outcome::Verdict;
use sim::run::{Options, run};
use sim::scenario::embedded;
use sim::script::draw;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let checks = !arguments.iter().any(|argument| argument == "--no-checks");
    let [name, first, count, ..] = arguments.as_slice() else { refuse("SCENARIO FIRST_SEED SEEDS") };
    let Some(Ok(scenario)) = embedded(name) else { refuse("there is no such scenario in the program") };
    let (Ok(first), Ok(count)) = (first.parse::<u64>(), count.parse::<u64>()) else {
        refuse("a seed, and how many, are numbers")
    };
    let (mut events, mut idle, mut simulated_us) = (0, 0, 0);
    let begun_ns = processor_ns();
    for seed in first..first.saturating_add(count) {
        let outcome = run(&draw(&scenario, seed), Options { checks, ..Options::default() });
        if outcome.class != Verdict::Kept {
            refuse(&format!("seed {seed}: {:?} {:?}", outcome.class, outcome.violations));
        }
        events += outcome.events;
        idle += outcome.idle_events;
        simulated_us += outcome.simulated_us;
    }
    let took_us = ((processor_ns() - begun_ns) / 1_000).max(1);
    println!(
        "{name}, {}: {events} events ({} % idle) in {took_us} us: {} events/s, {} times real time, {} KiB at most",
        if checks { "checked" } else { "not checked" },
        idle * 100 / events.max(1),
        events.saturating_mul(1_000_000) / took_us,
        simulated_us / took_us,
        peak_kib(),
    );
}

fn refuse(why: &str) -> ! {
    eprintln!("speed: {why}");
    std::process::exit(2)
}

/// What this process has had of a processor, in nanoseconds.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The most memory that it held.
fn peak_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
