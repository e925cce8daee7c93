//! `archipelago sim compare`: two scenarios under the same seed, their answers side by side: a second link, another placement, another limit.
//!
//! What must always hold: both are run with the same seed; a figure that only one of them has is a dash in the other's column.

use super::answer;
use super::chosen::Chosen;
use super::played::{Played, Watching, play};
use super::verdicts;
use crate::failure::Failure;
use clap::Args;
use std::path::Path;

const EXAMPLES: &str = "\
Examples:
  archipelago sim compare calm-day forty-minute-cut --seed 1
  archipelago sim compare ./one-link.toml ./two-links.toml --seed 1
";

/// Run two scenarios with the same seed and show their answers side by side.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Compare {
    /// The one: a name or a file
    one: String,
    /// The other
    other: String,
    /// The seed of both; 1 if not said
    #[arg(long)]
    seed: Option<u64>,
}

impl Compare {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (one, other) = (Chosen::read(&self.one)?, Chosen::read(&self.other)?);
        let seed = Some(self.seed.unwrap_or(1));
        let played = [&one, &other].map(|chosen| play(&chosen.script(seed), Watching::Judged));
        let [left, right] = played.each_ref().map(sections);
        let heads = [&one, &other].map(|chosen| head(&chosen.given));
        print!("{}", answer::side_by_side(&left, &right, heads));
        for (head, played) in heads.iter().zip(&played) {
            print!("\n{head}:{}", verdicts::ending(played));
        }
        let [left, right] = played;
        verdicts::to_exit(&left).and(verdicts::to_exit(&right))
    }
}

fn sections(played: &Played) -> Vec<answer::Section> {
    let figures = played.ended.as_ref().map(|outcome| (&outcome.users, &outcome.machines));
    figures
        .map_or_else(|_| Vec::new(), |(users, machines)| answer::sections(users, machines, &played.names()))
}

/// What a scenario is called above its column.
fn head(given: &str) -> &str {
    Path::new(given).file_stem().and_then(|stem| stem.to_str()).unwrap_or(given)
}
