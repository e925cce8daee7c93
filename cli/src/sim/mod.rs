//! `archipelago sim`: whole regions and the devices of their users, simulated under one seed, and what becomes of them.
//!
//! ```text
//!   scenario ──▶ sim::script::draw ──▶ sim::run ──▶ outcome ──▶ answer (users, machines) · verdicts · report of a failing seed
//! ```
//! Everything that decides is in the `sim` package, which is pure; here are files, threads, processes, clocks and words.
//!
//! What must always hold: the exit code is the class of what was found (10 safety, 11 liveness, 12 panic, 13 not deterministic, 14 a checker saw
//! nothing); a failing seed is printed with everything that is needed to see it again.

mod answer;
mod check_determinism;
mod chosen;
mod class;
mod compare;
mod explore;
mod failing_seed;
mod json;
mod list;
mod measured;
mod panics;
mod picture;
mod played;
mod promises;
mod replay;
mod run;
mod shrink;
mod soak;
mod trace;
mod verdicts;

use crate::failure::Failure;
use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  archipelago sim list
  archipelago sim run forty-minute-cut --seed 1
  archipelago sim run my-question.toml --seed 1 --html answer.html
  archipelago sim compare one-link.toml two-links.toml --seed 1
  archipelago sim explore --scenario storm-of-everything --minutes 10 --first-seed 1
  archipelago sim shrink storm-of-everything --seed 17 > bug.toml
";

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 error, 2 usage; 10 a promise was broken, 11 not whole and quiet in time, 12 a panic, 13 not deterministic,
14 a checker saw nothing. `docs/simulator.md` tells how to ask a question and how to read the answer.";

/// Which commit this program was built from; `+` if the tree had changes that are in no commit.
const COMMIT: &str = env!("ARCHIPELAGO_COMMIT");

/// Ask a simulated world what a cut, a crash or a wrong clock does to its users.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = EXIT_CODES)]
pub(crate) struct Sim {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell which scenarios there are, with their stories
    List(list::List),
    /// Run a scenario with one seed: what users saw, what machines did, whether promises held
    Run(run::Run),
    /// Run many seeds on all cores, and report each that fails
    Explore(explore::Explore),
    /// Run a seed again and tell everything that happens
    Replay(replay::Replay),
    /// Find the smallest world that still fails in the same way, and print it as a scenario
    Shrink(shrink::Shrink),
    /// Run a seed twice here, in another process and in another build, and compare all that happened
    CheckDeterminism(check_determinism::CheckDeterminism),
    /// Print the checkpoints of a run's trace as JSON
    Trace(trace::PrintTrace),
    /// Run two scenarios with the same seed and show their answers side by side
    Compare(compare::Compare),
}

impl Sim {
    /// Does it.
    ///
    /// # Errors
    /// When arguments or files are wrong, and with the class of what was found.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Run(run) => run.run(),
            Command::Explore(explore) => explore.run(),
            Command::Replay(replay) => replay.run(),
            Command::Shrink(shrink) => shrink.run(),
            Command::CheckDeterminism(check) => check.run(),
            Command::Trace(trace) => trace.run(),
            Command::Compare(compare) => compare.run(),
        }
    }
}
