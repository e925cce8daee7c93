//! Millions of random operations of each type against its slow twin: `cargo bench -p crdt --bench twins -- roster --operations 10000000 --seed 1`.
//!
//! The tests play a few hundred histories each time; this plays as many as it is told, with the same histories and the same comparisons. What must
//! always hold: a run is named by type, seed and count, and played again it plays the same. A difference ends it with the history, made as small as can be.
//!
//! Without a type it plays all of them in turn. It is a bench so that neither tests nor CI wait for it.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::wildcard_imports,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests' modules without their tests; and a stopwatch, of which nothing enters the types"
)]

mod amendments;
mod convergence;
mod group;
mod histories;
mod laws;
mod registers;
mod roster;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use std::process::ExitCode;
use std::time::Instant;

/// Histories that are drawn from one seed, and the operations between two lines of progress at least.
const CASES: u32 = 500;
const BETWEEN_LINES: u64 = 500_000;

const TYPES: [&str; 8] =
    ["conversation", "amendments", "receipts", "registers", "vectors", "roster", "group", "escrow"];

/// What one run is to do.
struct Plan {
    operations: u64,
    seed: u64,
}

impl Plan {
    /// Plays histories of one type until there were enough operations. A check says how many its history had.
    fn play<S: Strategy>(
        &self,
        name: &str,
        strategy: S,
        check: impl Fn(S::Value) -> Result<usize, TestCaseError>,
    ) -> bool {
        let (operations, histories) = (Cell::new(0_u64), Cell::new(0_u64));
        let start = Instant::now();
        let line = |what: &str| {
            let (operations, histories, seconds) =
                (operations.get(), histories.get(), start.elapsed().as_secs());
            println!(
                "{name}: {operations} operations in {histories} histories, seed {}, {seconds} s{what}",
                self.seed
            );
        };
        let mut next_line = BETWEEN_LINES;
        for part in 0_u64.. {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&self.seed.to_be_bytes());
            seed[8..16].copy_from_slice(&part.to_be_bytes());
            let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
            let played = TestRunner::new_with_rng(config, rng).run(&strategy, |history| {
                operations.set(operations.get() + check(history)? as u64);
                histories.set(histories.get() + 1);
                Ok(())
            });
            if let Err(error) = played {
                line(", and a difference:");
                println!("{error}");
                return false;
            }
            if operations.get() >= self.operations {
                line(", no difference");
                return true;
            }
            if operations.get() >= next_line {
                line("");
                next_line = operations.get() + BETWEEN_LINES;
            }
        }
        true
    }

    /// Whether all is well with that type.
    fn run(&self, name: &str) -> bool {
        match name {
            "conversation" => self.play(name, histories::steps(), |steps| {
                let history = histories::History::play(&steps);
                convergence::says_what_slow_readings_say(&history).map(|()| history.issued.len())
            }),
            "amendments" => self.play(name, amendments::laws::two_orders(), |(history, shuffled)| {
                amendments::laws::says_what_the_twin_says(&history, &shuffled).map(|()| history.len())
            }),
            "receipts" => self.play(name, laws::receipt_steps(), |steps| {
                laws::receipts_are_three_sets(&steps).map(|()| steps.len())
            }),
            "registers" => self.play(name, registers::written(), |(entries, states)| {
                let written = entries.len() + states.len();
                registers::registers_are_all_at_once(&entries, &states).map(|()| written)
            }),
            "vectors" => self.play(name, laws::vector_steps(), |steps| {
                laws::vectors_are_sets(&steps).map(|()| steps.len())
            }),
            "roster" => {
                let limit = prop_oneof![Just(4), Just(1_000)];
                self.play(name, (limit, group::histories::steps(60)), |(limit, steps)| {
                    let mut history = group::histories::History::play(limit, &steps);
                    roster::laws::holds_what_the_model_says(&mut history).map(|()| history.issued.len())
                })
            }
            "group" => self.play(name, (3..6_u64, group::histories::steps(80)), |(limit, steps)| {
                let mut history = group::histories::History::play(limit, &steps);
                group::laws::every_right_is_held_or_free(&mut history, limit).map(|()| history.issued.len())
            }),
            "escrow" => {
                let shares = prop::collection::vec(0..6_u64, group::escrow_laws::REPLICAS);
                self.play(name, (shares, group::escrow_laws::steps()), |(shares, steps)| {
                    group::escrow_laws::counts_agree(&shares, &steps)
                })
            }
            _ => false,
        }
    }
}

fn main() -> ExitCode {
    let mut plan = Plan { operations: 100_000, seed: 1 };
    let mut types = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|number| number.parse().ok());
        match argument.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--operations" => plan.operations = number().unwrap_or(plan.operations),
            "--seed" => plan.seed = number().unwrap_or(plan.seed),
            name if TYPES.contains(&name) => types.push(name.to_owned()),
            other => {
                eprintln!("`{other}` is none of {}, --operations N, --seed N", TYPES.join(", "));
                return ExitCode::from(2);
            }
        }
    }
    let all = TYPES.map(str::to_owned);
    let types = if types.is_empty() { &all[..] } else { &types[..] };
    if types.iter().all(|name| plan.run(name)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
