//! `archipelago sim replay`: the same run again, telling everything that happens.
//!
//! What must always hold: it is the run that `run` and `explore` make of that scenario and seed, event for event; telling it changes nothing.

use super::chosen::Chosen;
use super::failing_seed::{self, Above};
use super::played::{Watching, play};
use super::verdicts;
use crate::failure::Failure;
use clap::Args;
use std::io::Write as _;

const EXAMPLES: &str = "\
Examples:
  archipelago sim replay storm-of-everything --seed 17
  archipelago sim replay storm-of-everything --seed 17 --last 200
  archipelago sim replay bug.toml
";

/// Run a seed again and tell everything that happens.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Replay {
    /// Its name (`archipelago sim list`), or a file: with a `/` in it, or ending in .toml
    scenario: String,
    /// The seed; 1 if not said, or the one that the file states
    #[arg(long)]
    seed: Option<u64>,
    /// Tell only the last so many lines; without this the last 100,000 are told
    #[arg(long, value_name = "LINES")]
    last: Option<usize>,
}

impl Replay {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let chosen = Chosen::read(&self.scenario)?;
        let played = play(&chosen.script(self.seed), Watching::Told);
        let from = self.last.map_or(0, |last| played.lines.len().saturating_sub(last));
        {
            let mut out = std::io::stdout().lock();
            for line in played.lines.iter().skip(from) {
                // Whoever reads only the beginning has closed the pipe: the rest is not wanted.
                if writeln!(out, "{line}").is_err() {
                    return verdicts::to_exit(&played);
                }
            }
        }
        if let Some(class) = played.class() {
            print!("{}", failing_seed::report(&chosen.given, &played, class, Above::Events));
        }
        print!("{}", verdicts::ending(&played));
        verdicts::to_exit(&played)
    }
}
