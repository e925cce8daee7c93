//! How the long runs against slow twins are played: types, operations and seed from the command line, a line of progress now and then.
//!
//! What must always hold: a run is named by type, seed and count, and played again it plays the same. A difference ends it with the history, made as small as
//! can be.

use proptest::prelude::{Strategy, TestCaseError};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use std::process::ExitCode;
use std::time::Instant;

/// Histories that are drawn from one seed, and the operations between two lines of progress at least.
const CASES: u32 = 500;
const BETWEEN_LINES: u64 = 500_000;

/// What one run is to do.
pub(crate) struct Plan {
    operations: u64,
    seed: u64,
}

impl Plan {
    /// Plays histories of one type until there were enough operations. A check says how many its history had.
    pub(crate) fn play<S: Strategy>(
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

    /// Reads the command line and plays the types that it names, or else all, until one of them is not well.
    pub(crate) fn main(types: &[&'static str], run: impl Fn(&Self, &str) -> bool) -> ExitCode {
        let mut plan = Self { operations: 100_000, seed: 1 };
        let mut chosen = Vec::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = |value: &mut u64| {
                let given = arguments.next().and_then(|number| number.parse().ok());
                given.map(|number| *value = number).is_some()
            };
            let is_understood = match argument.as_str() {
                // Cargo says so to every bench.
                "--bench" => true,
                "--operations" => number(&mut plan.operations),
                "--seed" => number(&mut plan.seed),
                name if types.contains(&name) => {
                    chosen.push(name.to_owned());
                    true
                }
                _ => false,
            };
            if !is_understood {
                eprintln!("`{argument}` is none of {}, --operations N, --seed N", types.join(", "));
                return ExitCode::from(2);
            }
        }
        if chosen.is_empty() {
            chosen = types.iter().map(|name| (*name).to_owned()).collect();
        }
        if chosen.iter().all(|name| run(&plan, name)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
