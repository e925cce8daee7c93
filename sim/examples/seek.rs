//! Runs seeds of a scenario one after the other until one breaks a promise, and says which: a line of JSON a seed.
//!
//! `cargo xtask breakages` and `cargo xtask mutants` build this instead of the program, which needs a storage engine: the simulator alone is
//! compiled in seconds after a change to a core.
//!
//! What must always hold: a panic of a core is an answer like any other, and the seeds are tried in ascending order.

#![allow(clippy::disallowed_methods)]

use sim::checks::world::Violation;
use sim::run::{Options, run};
use sim::scenario::{Scenario, embedded};
use sim::script::draw;
use std::panic::catch_unwind;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, first, count] = arguments.as_slice() else { refuse("seek SCENARIO FIRST_SEED SEEDS") };
    let (Ok(first), Ok(count)) = (first.parse::<u64>(), count.parse::<u64>()) else {
        refuse("a seed, and how many, are numbers")
    };
    let scenario = match embedded(name) {
        Some(Ok(scenario)) => scenario,
        Some(Err(error)) => refuse(&error.to_string()),
        None => refuse("there is no such scenario"),
    };
    for seed in first..first.saturating_add(count) {
        let violations = try_seed(&scenario, seed);
        println!("{}", serde_json::json!({ "seed": seed, "violations": violations }));
        if !violations.is_empty() {
            std::process::exit(1);
        }
    }
}

fn refuse(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(2)
}

fn try_seed(scenario: &Scenario, seed: u64) -> Vec<serde_json::Value> {
    let script = draw(scenario, seed);
    match catch_unwind(|| run(&script, Options::default())) {
        Ok(outcome) => outcome.violations.iter().map(describe).collect(),
        Err(_) => vec![serde_json::json!({ "promise": 0, "checker": "no core panics", "what": "see above" })],
    }
}

fn describe(violation: &Violation) -> serde_json::Value {
    let checker = violation.checker.name();
    serde_json::json!({ "promise": violation.promise, "checker": checker, "what": violation.to_string() })
}
