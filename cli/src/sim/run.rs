//! `archipelago sim run`: one scenario, one seed, one answer.
//!
//! What must always hold: files are written and the whole answer is printed whatever the verdict is; a failing seed ends with its full report.

use super::answer;
use super::chosen::Chosen;
use super::failing_seed::{self, Above};
use super::json;
use super::picture;
use super::played::{Played, Watching, play, play_and_keep};
use super::verdicts;
use crate::failure::Failure;
use clap::Args;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  archipelago sim run forty-minute-cut --seed 1
  archipelago sim run ./my-question.toml --seed 1 --json answer.json --html answer.html
";

/// Run a scenario with one seed: what users saw, what machines did, whether promises held.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Run {
    /// Its name (`archipelago sim list`), or a file: with a `/` in it, or ending in .toml
    scenario: String,
    /// The seed; 1 if not said, or the one that the file states
    #[arg(long)]
    seed: Option<u64>,
    /// Write the outcome here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page here that shows the run: who was where, what went wrong, one message followed to every device
    #[arg(long, value_name = "FILE", conflicts_with = "no_checks")]
    html: Option<PathBuf>,
    /// Write into this folder what each device was told and shown, in the format of a replay's histories
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_checks")]
    histories: Option<PathBuf>,
    /// Judge nothing: how fast the product's code runs alone
    #[arg(long)]
    no_checks: bool,
}

impl Run {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let chosen = Chosen::read(&self.scenario)?;
        let script = chosen.script(self.seed);
        let watching = match (self.no_checks, &self.html) {
            (true, _) => Watching::Unjudged,
            (false, None) => Watching::Judged,
            (false, Some(_)) => Watching::Recorded,
        };
        self.histories.as_deref().map_or(Ok(()), refuse_occupied)?;
        let (played, run) = play_and_keep(&script, watching);
        print!("{}", text(&chosen, &played));
        if let Some(folder) = &self.histories {
            write_histories(folder, &run)?;
        }
        if let Some(path) = &self.json {
            std::fs::write(path, json::run(&played)).map_err(Failure::write(path))?;
        }
        if let Some(path) = &self.html {
            let page = picture::of(&chosen.given, &chosen.scenario.story, &played)?;
            std::fs::write(path, page).map_err(Failure::write(path))?;
        }
        if let Some(class) = played.class() {
            let told = play(&script, Watching::Told);
            print!("{}", failing_seed::report(&chosen.given, &told, class, Above::Answer));
        }
        verdicts::to_exit(&played)
    }
}

/// Nothing of an earlier run is mixed with this one's, nor overwritten.
fn refuse_occupied(folder: &Path) -> Result<(), Failure> {
    match std::fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(false) | Err(_) => Err(Failure::Occupied(folder.to_owned())),
    }
}

/// One file a device (`docs/histories.md`).
fn write_histories(folder: &Path, run: &sim::run::Run<'_>) -> Result<(), Failure> {
    let Some(histories) = run.histories() else {
        let advice = "give it fewer people, or less time";
        return Err(Failure::Argument(format!(
            "this world is too large for its devices to keep histories: {advice}"
        )));
    };
    std::fs::create_dir_all(folder).map_err(Failure::write(folder))?;
    for (device, lines) in histories {
        let path = folder.join(format!("{device}.jsonl"));
        let mut text = Vec::new();
        lines.iter().for_each(|line| line.write(&mut text));
        std::fs::write(&path, text).map_err(Failure::write(&path))?;
    }
    Ok(())
}

/// The whole answer.
pub(crate) fn text(chosen: &Chosen, played: &Played) -> String {
    let mut out = format!("{}, seed {}\n", chosen.scenario.name, played.script.seed);
    for line in chosen.scenario.story.trim().lines() {
        out += &format!("  {}\n", line.trim());
    }
    let drawn: Vec<String> =
        played.script.drawn.iter().map(|(name, value)| format!("{name} {value}")).collect();
    if !drawn.is_empty() {
        out += &format!("drawn: {}\n", drawn.join(", "));
    }
    if let Ok(outcome) = &played.ended {
        out += &answer::table(&answer::sections(&outcome.users, &outcome.machines, &played.names()));
        if played.judged {
            out += &verdicts::table(&outcome.promises);
        }
    }
    out + &verdicts::ending(played)
}
