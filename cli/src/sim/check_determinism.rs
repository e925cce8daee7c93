//! `archipelago sim check-determinism`: a seed is run twice in this process, once in another, and once in another build if one is named; all must have done the
//! same at every checkpoint.
//!
//! What must always hold: a difference ends with exit code 13 and with the first event that differs; equal runs that panicked are equal.

use super::chosen::Chosen;
use super::class::Class;
use super::explore;
use super::trace::Trace;
use crate::failure::Failure;
use clap::Args;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const EXAMPLES: &str = "\
Examples:
  archipelago sim check-determinism storm-of-everything --seed 1
  archipelago sim check-determinism all --seed 1 --seeds 200
  archipelago sim check-determinism calm-day --seed 1 --against target/release/archipelago
";

/// Lines before the first that differs, for orientation.
const LINES_BEFORE: usize = 5;

/// Run a seed twice here, in another process and in another build, and compare all that happened.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct CheckDeterminism {
    /// Scenarios, by name or file; `all` is every one that the program carries
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// The first seed; 1 if not said, or the one that the file states
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds, ascending
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Another build of this program
    #[arg(long, value_name = "BINARY")]
    against: Option<PathBuf>,
}

/// Who runs it.
#[derive(Debug, Clone)]
enum Runner {
    Here,
    Program(PathBuf),
}

impl CheckDeterminism {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let own = std::env::current_exe()
            .map_err(|error| Failure::Stopped(format!("this program cannot find itself: {error}")))?;
        let mut others = vec![("another process", Runner::Program(own))];
        others.extend(self.against.clone().map(|program| ("the other build", Runner::Program(program))));
        let mut same = 0;
        for given in explore::names(&self.scenarios) {
            let chosen = Chosen::read(&given)?;
            let first = self.seed.or_else(|| chosen.scenario.seed()).unwrap_or(1);
            for seed in first..first.saturating_add(self.seeds) {
                check(&chosen, seed, &others)?;
                same += 1;
            }
        }
        let how_often = 2 + others.len();
        println!(
            "{same} seeds, each run {how_often} times: the same trace hash every time, at every checkpoint"
        );
        Ok(())
    }
}

fn check(chosen: &Chosen, seed: u64, others: &[(&str, Runner)]) -> Result<(), Failure> {
    let begun: Vec<Option<Child>> =
        others.iter().map(|(_, runner)| runner.begin(chosen, seed, None)).collect::<Result<_, _>>()?;
    let script = chosen.script(Some(seed));
    let one = Trace::of(&script, None);
    compare(chosen, seed, &one, ("a second run in this process", &Runner::Here), &Trace::of(&script, None))?;
    for ((who, runner), child) in others.iter().zip(begun) {
        let other = runner.end(chosen, seed, None, child)?;
        compare(chosen, seed, &one, (who, runner), &other)?;
    }
    Ok(())
}

fn compare(
    chosen: &Chosen,
    seed: u64,
    one: &Trace,
    (who, runner): (&str, &Runner),
    other: &Trace,
) -> Result<(), Failure> {
    let Some(within) = one.differs_within(other) else { return Ok(()) };
    println!(
        "DIFFERS  {}, seed {seed}, between this process ({}) and {who} ({})",
        chosen.given, one.commit, other.commit
    );
    println!("  the first event that differs is one of {} to {}", within.start, within.end);
    for (whose, trace) in [("this", one), ("the other", other)] {
        let hash = trace.trace_hash.as_deref().or(trace.panic.as_deref()).unwrap_or("nothing");
        println!("  {whose}: {} events, {hash}", trace.events);
    }
    let here = Trace::of(&chosen.script(Some(seed)), Some(within.clone()));
    let there = runner.end(chosen, seed, Some(within.clone()), runner.begin(chosen, seed, Some(within))?)?;
    tell_difference(&here.lines, &there.lines);
    let what = format!("seed {seed} of {} is not deterministic: {who} did something else", chosen.given);
    Err(Failure::Found { code: Class::NonDeterminism.code(), what })
}

fn tell_difference(here: &[String], there: &[String]) {
    let same = here.iter().zip(there).take_while(|(one, other)| one == other).count();
    for line in here.iter().take(same).skip(same.saturating_sub(LINES_BEFORE)) {
        println!("    {line}");
    }
    match (here.get(same), there.get(same)) {
        (None, None) => {
            println!("  Both tell the same: what differs is in the bytes that were sent or stored.")
        }
        (one, other) => {
            let line = |line: Option<&String>| line.map_or_else(|| "(it had ended)".to_owned(), Clone::clone);
            println!("  this      {}\n  the other {}", line(one), line(other));
        }
    }
}

impl Runner {
    /// Begins to run it, if that is done elsewhere.
    fn begin(&self, chosen: &Chosen, seed: u64, told: Option<Range<u64>>) -> Result<Option<Child>, Failure> {
        let Self::Program(program) = self else { return Ok(None) };
        let mut command = Command::new(program);
        command.args(["sim", "trace", &chosen.given, "--seed", &seed.to_string()]);
        if let Some(told) = told {
            command.args(["--from-event", &told.start.to_string(), "--until-event", &told.end.to_string()]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        child.map(Some).map_err(|error| cannot_run(program, &error.to_string()))
    }

    /// What came of it.
    fn end(
        &self,
        chosen: &Chosen,
        seed: u64,
        told: Option<Range<u64>>,
        child: Option<Child>,
    ) -> Result<Trace, Failure> {
        let (Self::Program(program), Some(child)) = (self, child) else {
            return Ok(Trace::of(&chosen.script(Some(seed)), told));
        };
        let output = child.wait_with_output().map_err(|error| cannot_run(program, &error.to_string()))?;
        if !output.status.success() {
            return Err(cannot_run(program, &format!("it ended with {}", output.status)));
        }
        Trace::read(&String::from_utf8_lossy(&output.stdout)).map_err(|mistake| cannot_run(program, &mistake))
    }
}

fn cannot_run(program: &Path, why: &str) -> Failure {
    Failure::Stopped(format!("{} does not tell the trace of a run: {why}", program.display()))
}
