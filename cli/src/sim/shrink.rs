//! `archipelago sim shrink`: the smallest world that still fails in the same way, as a scenario that states all of it: the bug report.
//!
//! What must always hold: what is printed was read back and played once more, and failed in the same way; nothing else goes to stdout, so that it can be
//! written to a file as it is.

use super::chosen::Chosen;
use super::class::Class;
use super::played::{Played, Watching, play};
use crate::failure::Failure;
use clap::Args;
use sim::outcome::Verdict;
use sim::page::count;
use sim::scenario::Scenario;
use sim::script::{Script, draw};
use sim::shrink::{self, Shrunk};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  archipelago sim shrink storm-of-everything --seed 17 > bug.toml
  archipelago sim run bug.toml
";

/// Tries beyond which nobody waits.
const TRIES_MAX: u64 = 1_000_000;

/// Find the smallest world that still fails in the same way, and print it as a scenario.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Shrink {
    /// Its name (`archipelago sim list`), or a file: with a `/` in it, or ending in .toml
    scenario: String,
    /// The seed; 1 if not said, or the one that the file states
    #[arg(long)]
    seed: Option<u64>,
    /// Look no longer than so many seconds
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

impl Shrink {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let chosen = Chosen::read(&self.scenario)?;
        let script = chosen.script(self.seed);
        let first = play(&script, Watching::Judged);
        let Some(class) = first.class() else {
            let what =
                format!("seed {} of {} does not fail: there is nothing to shrink", script.seed, chosen.given);
            return Err(Failure::Argument(what));
        };
        eprintln!("{} seed {} fails: {class}, {}", chosen.given, script.seed, first.first_fault());
        let until = Instant::now() + Duration::from_secs(self.seconds);
        // To its first violation a run is much shorter than to its end. What is found there is the way in which it fails, unless something
        // graver comes later.
        let whole = way(&first);
        let to_the_first = way_to_fail(&script, Watching::UntilBroken) == whole;
        let watching = if to_the_first { Watching::UntilBroken } else { Watching::Judged };
        let mut fails =
            |script: &Script| (Instant::now() < until).then(|| way_to_fail(script, watching)).flatten();
        // It failed a moment ago, and does the same again; only time can be up.
        let Some(shrunk) = shrink::shrink(&script, TRIES_MAX, &mut fails) else {
            return Err(Failure::Stopped(
                "there was no time for a single try: give it more with --seconds".to_owned(),
            ));
        };
        let text = written(&chosen, class, &first, &shrunk)?;
        tell(&script, &shrunk, shrunk.finished && Instant::now() < until);
        print!("{text}");
        Ok(())
    }
}

/// How that script fails, if it does.
fn way_to_fail(script: &Script, watching: Watching) -> Option<shrink::Failure> {
    way(&play(script, watching))
}

/// How a run failed, if it did.
fn way(played: &Played) -> Option<shrink::Failure> {
    match &played.ended {
        Ok(outcome) => shrink::Failure::of(outcome),
        // The sentence of a panic begins with its place; what it says may hold numbers of this very run.
        Err(panic) => {
            let found_by = panic.split(": ").next().unwrap_or_default().to_owned();
            Some(shrink::Failure { class: Verdict::Safety, promise: 0, found_by })
        }
    }
}

/// The scenario file of what was found, tried once more as it was written.
fn written(chosen: &Chosen, class: Class, first: &Played, shrunk: &Shrunk) -> Result<String, Failure> {
    let seed = first.script.seed;
    let name = format!("{}-seed-{seed}-shrunk", chosen.scenario.name);
    let story = format!(
        "Shrunk from {}, seed {seed}, at commit {}. It fails: {class}, {}.",
        chosen.scenario.name,
        super::COMMIT,
        first.first_fault()
    );
    let text = shrunk.script.print(&name, &story).map_err(|error| {
        Failure::Stopped(format!("what was found cannot be written as a scenario: {error}"))
    })?;
    let read =
        Scenario::parse("what was printed", &text).map_err(|error| Failure::Stopped(error.to_string()))?;
    let again = way_to_fail(&draw(&read, shrunk.script.seed), Watching::Judged);
    if again.as_ref() == Some(&shrunk.failure) {
        Ok(text)
    } else {
        Err(Failure::Found {
            code: Class::NonDeterminism.code(),
            what: format!(
                "what was found fails in another way once it is read back and played to its end: {again:?}"
            ),
        })
    }
}

fn tell(before: &Script, shrunk: &Shrunk, finished: bool) {
    let after = &shrunk.script;
    let sizes = [
        ("regions", before.regions.len(), after.regions.len()),
        ("devices", before.devices.len(), after.devices.len()),
        ("acts", before.acts.len(), after.acts.len()),
        ("faults", before.faults.len(), after.faults.len()),
    ];
    let sizes = sizes.map(|(what, before, after)| format!("{before} {what} to {after}")).join(", ");
    let lengths = [before.length_us, after.length_us].map(|us| us / 1_000_000);
    eprintln!("{sizes}, {} s to {} s, in {} tries", lengths[0], lengths[1], count(shrunk.tried));
    if !finished {
        eprintln!(
            "time was up before nothing more went: give it more with --seconds, or shrink what was printed once more"
        );
    }
}
