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
mod twin_plan;

use proptest::prelude::*;
use std::process::ExitCode;
use twin_plan::Plan;

const TYPES: [&str; 8] =
    ["conversation", "amendments", "receipts", "registers", "vectors", "roster", "group", "escrow"];

impl Plan {
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
    Plan::main(&TYPES, Plan::run)
}
