//! `archipelago sim explore`: seeds in ascending order on all cores, each failing one reported, and a state that a later call goes on from.
//!
//! What must always hold: a panic of a seed is a failure of that seed and stops nothing; a seed that was begun is finished, so the state says "everything up
//! to here"; the exit code is 0 only if at least one seed ran and none failed.

use super::chosen::Chosen;
use super::class::Class;
use super::failing_seed::{self, Above};
use super::played::{Played, Watching, play};
use super::soak::{FailedSeed, Ran, Soak};
use crate::failure::Failure;
use clap::Args;
use sim::page::count;
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  archipelago sim explore --scenario storm-of-everything --seeds 1000 --first-seed 1
  archipelago sim explore --scenario all --minutes 60 --first-seed 1 --resume soak.json
";

/// Full reports, with the last events, of so many failing seeds; of further ones a line each.
const REPORTS_MAX: u64 = 10;
/// How often the state is written.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// How often progress is told, where nobody looks at it live.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// Worlds recurse little, but threads begin with less than a program does.
const STACK_BYTES: usize = 16 << 20;

/// Run many seeds on all cores, and report each that fails.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Explore {
    /// Scenarios, by name or file; `all` is every one that the program carries
    #[arg(long = "scenario", value_name = "NAME", required = true, num_args = 1.., value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Begin no further seed after so many minutes
    #[arg(long, required_unless_present = "seeds", conflicts_with = "seeds", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,
    /// Run so many seeds of each scenario, counted from the first
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// The first seed; 1, if neither this nor the state to go on from says otherwise
    #[arg(long)]
    first_seed: Option<u64>,
    /// Keep the state in this file, and go on from it if it is there
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Threads; as many as there are cores, if not said
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Write the report here as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the threads share.
struct Work<'a> {
    soak: &'a Soak,
    chosen: &'a BTreeMap<String, Chosen>,
    next: AtomicU64,
    end: u64,
    until: Option<Instant>,
}

impl Explore {
    /// Explores.
    ///
    /// # Errors
    /// When arguments or files are wrong, no seed ran, or one failed.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let chosen = self.chosen()?;
        let mut soak = self.begin()?;
        let branches = soak.marks.clone();
        let work = Work {
            soak: &soak.clone(),
            chosen: &chosen,
            next: AtomicU64::new(soak.seeds_run),
            end: self.seeds.map_or(u64::MAX, |seeds| seeds.saturating_mul(soak.scenarios.len() as u64)),
            until: self.minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60)),
        };
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            for number in 0..self.jobs() {
                let (sender, work) = (sender.clone(), &work);
                std::thread::Builder::new()
                    .name(format!("seeds-{number}"))
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, move || work.go_on(&sender))
                    .map_err(|error| Failure::Stopped(format!("no thread to run seeds on: {error}")))?;
            }
            drop(sender);
            self.take_all(&mut soak, &branches, &chosen, &receiver)
        })?;
        self.save(&mut soak, &branches)?;
        if let Some(path) = &self.json {
            std::fs::write(path, soak.json()).map_err(Failure::write(path))?;
        }
        tell_end(&soak);
        verdict(&soak)
    }

    fn chosen(&self) -> Result<BTreeMap<String, Chosen>, Failure> {
        names(&self.scenarios)
            .into_iter()
            .map(|name| Chosen::read(&name).map(|chosen| (name, chosen)))
            .collect()
    }

    fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.jobs.map_or_else(cores, usize::from)
    }

    /// The state to go on from, or a new one.
    fn begin(&self) -> Result<Soak, Failure> {
        let names = names(&self.scenarios);
        if let Some(path) = self.resume.as_deref().filter(|path| path.exists()) {
            let text = std::fs::read_to_string(path).map_err(Failure::read(path))?;
            let soak = Soak::read(&text, &names, self.first_seed, super::COMMIT);
            return soak.map_err(|mistake| Failure::File { path: path.to_owned(), mistake });
        }
        Ok(Soak::new(names, self.first_seed.unwrap_or(1), super::COMMIT))
    }

    /// Takes in what the threads finish, in the order of the runs, until they are done.
    fn take_all(
        &self,
        soak: &mut Soak,
        branches: &BTreeMap<String, u64>,
        chosen: &BTreeMap<String, Chosen>,
        finished: &Receiver<(u64, Ran)>,
    ) -> Result<(), Failure> {
        let mut early = BTreeMap::new();
        let mut progress = Progress::begin(soak);
        let mut saved = Instant::now();
        loop {
            match finished.recv_timeout(Duration::from_secs(1)) {
                Ok((number, ran)) => drop(early.insert(number, ran)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Some(ran) = early.remove(&soak.seeds_run) {
                if let Some(failed) = soak.take(ran) {
                    progress.clear();
                    report(soak, chosen, &failed)?;
                }
            }
            if saved.elapsed() >= SAVE_EVERY {
                self.save(soak, branches)?;
                saved = Instant::now();
            }
            progress.tell(soak);
        }
        progress.clear();
        Ok(())
    }

    /// Writes the state, whole or not at all. `branches` is what earlier processes have counted.
    fn save(&self, soak: &mut Soak, branches: &BTreeMap<String, u64>) -> Result<(), Failure> {
        soak.count_branches(branches, sim::sometimes::counts());
        let Some(path) = &self.resume else { return Ok(()) };
        let new = path.with_extension("new");
        std::fs::write(&new, soak.json()).map_err(Failure::write(&new))?;
        std::fs::rename(&new, path).map_err(Failure::write(path))
    }
}

/// The scenarios that are meant: `all` is every one that the program carries.
pub(super) fn names(given: &[String]) -> Vec<String> {
    let all = || sim::scenario::NAMES.iter().map(|name| (*name).to_owned()).collect();
    given.iter().flat_map(|given| if given == "all" { all() } else { vec![given.clone()] }).collect()
}

impl Work<'_> {
    /// One thread: the next run, until there is none or time is up.
    fn go_on(&self, finished: &Sender<(u64, Ran)>) {
        while self.until.is_none_or(|until| Instant::now() < until) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let run = self.soak.run_of(number).filter(|_| number < self.end);
            let Some((chosen, seed)) = run.and_then(|(seed, name)| Some((self.chosen.get(name)?, seed)))
            else {
                return;
            };
            let ran = ran(&play(&chosen.script(Some(seed)), Watching::Judged));
            // Nobody listens any more only if the command is ending with an error of its own.
            if finished.send((number, ran)).is_err() {
                return;
            }
        }
    }
}

fn ran(played: &Played) -> Ran {
    let class = played.class();
    Ran {
        failed: class.map(|class| (class, played.first_fault())),
        marks: played.marks(),
        events: played.events(),
        simulated_us: played.simulated_us(),
        wall_ms: played.measured.wall_ms,
    }
}

/// Prints what a failing seed is, with its last events: it runs once more for those, and must fail again in the same way.
fn report(soak: &Soak, chosen: &BTreeMap<String, Chosen>, failed: &FailedSeed) -> Result<(), Failure> {
    if soak.failures_count > REPORTS_MAX {
        println!("FAILED  {}, seed {}: {} ({})", failed.scenario, failed.seed, failed.class, failed.replay);
        return Ok(());
    }
    // Every scenario of a soak was chosen at its start.
    let Some(chosen) = chosen.get(&failed.scenario) else { return Ok(()) };
    let again = play(&chosen.script(Some(failed.seed)), Watching::Told);
    print!("{}", failing_seed::report(&chosen.given, &again, failed.class, Above::Nothing));
    if again.class() != Some(failed.class) {
        println!("  It did something else when it ran again: {}", Class::NonDeterminism.meaning());
    }
    Ok(())
}

fn tell_end(soak: &Soak) {
    println!(
        "{} runs, {} events, {} simulated hours, {} failed",
        count(soak.seeds_run),
        count(soak.events),
        soak.simulated_s / 3_600,
        count(soak.failures_count)
    );
    if !soak.marks_never_reached.is_empty() {
        println!("never reached:");
        let says: BTreeMap<&str, &str> = sim::sometimes::all().map(|mark| (mark.name, mark.says)).collect();
        for mark in &soak.marks_never_reached {
            println!(
                "  {mark}{}",
                says.get(mark.as_str()).map_or_else(String::new, |says| format!(": {says}"))
            );
        }
    }
}

fn verdict(soak: &Soak) -> Result<(), Failure> {
    if let Some(code) = soak.failures.iter().map(|failed| failed.class).min().map(Class::code) {
        let what =
            format!("{} of {} runs failed: see the reports above", soak.failures_count, soak.seeds_run);
        return Err(Failure::Found { code, what });
    }
    if soak.seeds_run == 0 {
        return Err(Failure::Stopped("no seed ran: give it more time or more seeds".to_owned()));
    }
    Ok(())
}

/// The line that tells how far it is.
struct Progress {
    live: bool,
    begun: Instant,
    told: Instant,
    events_before: u64,
}

impl Progress {
    fn begin(soak: &Soak) -> Self {
        let now = Instant::now();
        Self { live: std::io::stderr().is_terminal(), begun: now, told: now, events_before: soak.events }
    }

    fn tell(&mut self, soak: &Soak) {
        let every = if self.live { Duration::from_secs(1) } else { TELL_EVERY };
        if self.told.elapsed() < every {
            return;
        }
        self.told = Instant::now();
        let seconds = self.begun.elapsed().as_secs().max(1);
        let seed = soak.run_of(soak.seeds_run).map_or(soak.first_seed, |(seed, _)| seed);
        let line = format!(
            "{} runs, at seed {seed}, {} failed, {} events a second, {} simulated hours",
            count(soak.seeds_run),
            count(soak.failures_count),
            count((soak.events - self.events_before) / seconds),
            soak.simulated_s / 3_600,
        );
        if self.live {
            eprint!("\r\x1b[K{line}");
            // A terminal that is gone shows nothing, and nothing is lost.
            let _shown = std::io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    fn clear(&self) {
        if self.live {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::played::tests::ended;

    /// The code that a soak of these runs ends with, and how many of them it counts.
    fn soaked(runs: &[&Played]) -> (Option<u8>, u64) {
        let mut soak = Soak::new(vec!["a-moment".to_owned()], 7, "0123456789ab");
        for played in runs {
            soak.take(ran(played));
        }
        (verdict(&soak).err().map(|failure| failure.code() as u8), soak.seeds_run)
    }

    #[test]
    fn a_seed_that_panics_is_a_failure_of_that_seed_and_the_gravest_class_is_the_soaks() {
        let well = ended(|_| {});
        let panics = ended(|ended| *ended = Err("at shard.rs:7: a broken rule".to_owned()));
        let unsafe_ = ended(|ended| {
            if let Ok(outcome) = ended {
                outcome.class = sim::outcome::Verdict::Safety;
            }
        });
        assert_eq!(soaked(&[&well, &well]), (None, 2));
        assert_eq!(soaked(&[&well, &panics, &well]), (Some(12), 3));
        assert_eq!(soaked(&[&panics, &unsafe_]), (Some(10), 2));
        assert_eq!(soaked(&[]), (Some(1), 0), "no seed ran");
    }
}
