//! As many random changes of documents, held against Automerge, as one has time for: `cargo bench -p documents --bench twins -- --operations 10000000 --seed 1`.
//!
//! The same histories and comparisons as in the tests, which play a few hundred each time. It is a bench so that neither tests nor CI wait for it.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the tests' modules without their tests; and a stopwatch, of which nothing enters the documents"
)]

mod automerge_twin;
#[path = "../../tests/twin_plan.rs"]
mod twin_plan;
mod world;

use std::process::ExitCode;
use twin_plan::Plan;

fn main() -> ExitCode {
    Plan::main(&["documents"], |plan, name| {
        plan.play(name, automerge_twin::steps(), |steps| {
            Ok(automerge_twin::is_what_automerge_makes_of_it(steps))
        })
    })
}
