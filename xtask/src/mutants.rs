//! `cargo xtask mutants`: proves that tests and seeds notice small mistakes, by making them.
//!
//! `cargo mutants` lists what could be mistyped in the four cores: a comparison turned round, a function that does nothing. A seeded sample of it is made, one at a time, in a
//! copy of the sources. Each is tried by the tests of its package, and what those let pass by a fixed set of seeds of the simulator, which compiles in seconds. (`cargo
//! mutants` itself builds from nothing for each, or tests whole packages that depend on RocksDB.) Whatever survives stands in `docs/mutants.md` with the reason.
//!
//! What must always hold: which mutants are in a sample follows from their names and the number alone, so a change of the sources moves few of them; what is known
//! already is not tried again (`.cache/mutants/results`, a line each); a survivor without a written reason fails the run.

use crate::mutant_list::{Listed, Mutant};
use crate::scratch_tree::{ScratchTree, Tried};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Whose mutants are made: pure cores, each of which decides by itself.
const CORES: &[&str] = &["crdt", "region", "replication", "gateway"];
/// So many are tried if nothing else is said. Those that do not compile are not counted.
const SAMPLE: usize = 300;
/// At most one in so many may survive.
const SURVIVORS_ONE_IN: usize = 20;
/// What the simulator runs, as scenario, first seed and how many: what is wrong is mostly seen by one of the first few storms.
const SEEDS: &[(&str, &str, &str)] = &[
    ("storm-of-everything", "1", "24"),
    ("comings-and-goings", "1", "12"),
    ("pinned-in-the-world", "1", "1"),
    ("restored-from-yesterday", "1", "3"),
    ("failing-and-full-disks", "1", "2"),
    ("alone", "1", "1"),
];
/// Tests that take seconds, by a part of their names: they are run after the others, which mostly are enough.
const SLOW: &[&str] =
    &["model::", "overhead::", "bounded::", "no_bytes_make_it_panic", "convergence::", "no_gap_", "laws::"];
/// Compiling a core and its tests, and the simulator.
const BUILD_TIME: Duration = Duration::from_secs(300);
/// All that they depend on besides.
const FIRST_BUILD_TIME: Duration = Duration::from_secs(1_800);
/// The tests of a package take seconds; a mutant that makes one endless is noticed by that, and mostly counts as any that fails: cargo does not tell them apart.
const TEST_TIME: Duration = Duration::from_secs(60);
/// So do the seeds of a scenario.
const SEEDS_TIME: Duration = Duration::from_secs(120);
const USAGE: &str = "\
cargo xtask mutants [--sample N | --all] [--seed S] [--package NAME] [--again]
  --sample N      so many that compile (300)
  --all           every one there is: takes a day, and may be stopped and gone on with
  --seed S        which sample (1)
  --package NAME  of one core alone: crdt, region, replication or gateway
  --again         those that survived before are tried again
";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    sample: usize,
    seed: u64,
    package: Option<&'a str>,
    again: bool,
}

/// How one went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tested {
    mutant: String,
    verdict: Verdict,
    seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// The tests of its package fail.
    Tests,
    /// They never end.
    Endless,
    /// A seed of that scenario breaks a promise.
    Seeds { scenario: String },
    /// It is no program.
    DoesNotCompile,
    /// Nobody noticed.
    Survived,
}

/// Makes a sample of small mistakes, and sees who notices.
pub(crate) fn run(options: &[&str]) -> ExitCode {
    let Some(asked) = read_options(options) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match try_sample(&asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read_options<'a>(options: &[&'a str]) -> Option<Asked<'a>> {
    let mut asked = Asked { sample: SAMPLE, seed: 1, package: None, again: false };
    let mut options = options.iter().copied();
    while let Some(option) = options.next() {
        match option {
            "--sample" => asked.sample = options.next()?.parse().ok()?,
            "--all" => asked.sample = usize::MAX,
            "--seed" => asked.seed = options.next()?.parse().ok()?,
            "--package" => asked.package = Some(options.next().filter(|name| CORES.contains(name))?),
            "--again" => asked.again = true,
            _ => return None,
        }
    }
    Some(asked)
}

fn try_sample(asked: &Asked<'_>) -> io::Result<bool> {
    let tree = ScratchTree::open("mutants")?;
    let cores: Vec<&str> =
        CORES.iter().copied().filter(|core| asked.package.is_none_or(|name| name == *core)).collect();
    let mut ranked = crate::mutant_list::list(&tree, &cores)?;
    ranked.sort_by_key(|mutant| mutant.rank(asked.seed));
    let mut known = Known::read(&tree, asked.again)?;
    let mut sound = false;
    // What does not compile makes room for further ones.
    let chosen = loop {
        let not_counted =
            |known: &Known| ranked.iter().filter(|mutant| known.is(mutant, &Verdict::DoesNotCompile)).count();
        let before = not_counted(&known);
        let mut chosen: Vec<&Mutant> =
            ranked.iter().filter(|mutant| !known.is(mutant, &Verdict::DoesNotCompile)).collect();
        chosen.truncate(asked.sample);
        // Neighbours touch the same package, so that less is rebuilt.
        chosen.sort_by_key(|mutant| mutant.place());
        let new: Vec<&Mutant> =
            chosen.iter().copied().filter(|mutant| known.verdict(mutant).is_none()).collect();
        if !sound && !new.is_empty() {
            is_sound(&tree, &cores)?;
            sound = true;
        }
        for (number, mutant) in (1..).zip(&new) {
            let tested = try_one(&tree, mutant)?;
            println!(
                "{number}/{} {:>4} s {:14} {}",
                new.len(),
                tested.seconds,
                tested.verdict.word(),
                mutant.name()
            );
            known.note(tested)?;
        }
        if not_counted(&known) == before {
            break chosen;
        }
    };
    let listed = Listed::read(&tree.root().join(crate::mutant_list::REASONS))?;
    Ok(report(&chosen, &ranked, &known, &listed))
}

/// Without any mistake all must be well, or everything would count as noticed.
fn is_sound(tree: &ScratchTree, cores: &[&str]) -> io::Result<()> {
    for core in cores {
        match judge(tree, core, FIRST_BUILD_TIME)? {
            Verdict::Survived => {}
            verdict => {
                let what = format!("without any mistake in {core}: {verdict:?}");
                return Err(io::Error::other(what));
            }
        }
    }
    Ok(())
}

/// Makes it, and unmakes it.
fn try_one(tree: &ScratchTree, mutant: &Mutant) -> io::Result<Tested> {
    let began = Instant::now();
    let path = tree.tree().join(mutant.file());
    let original = fs::read_to_string(&path)?;
    fs::write(&path, mutant.make(&original))?;
    let verdict = judge(tree, mutant.package(), BUILD_TIME);
    fs::write(&path, original)?;
    Ok(Tested { mutant: mutant.name().to_owned(), verdict: verdict?, seconds: began.elapsed().as_secs() })
}

fn judge(tree: &ScratchTree, package: &str, build_time: Duration) -> io::Result<Verdict> {
    let tests = ["--quiet", "--package", package, "--lib", "--tests"];
    let build = ["test", "--no-run"].into_iter().chain(tests).collect::<Vec<_>>();
    if tree.try_cargo(&build, build_time)? != Tried::Passed {
        return Ok(Verdict::DoesNotCompile);
    }
    let but_slow = SLOW.iter().flat_map(|name| ["--skip", name]).collect::<Vec<_>>();
    for which in [but_slow, SLOW.to_vec()] {
        let test = ["test"].into_iter().chain(tests).chain(["--"]).chain(which).collect::<Vec<_>>();
        match tree.try_cargo(&test, TEST_TIME)? {
            Tried::Failed => return Ok(Verdict::Tests),
            Tried::Late => return Ok(Verdict::Endless),
            Tried::Passed => {}
        }
    }
    let build = ["build", "--quiet", "--package", "sim", "--example", "seek"];
    if tree.try_cargo(&build, build_time)? != Tried::Passed {
        return Err(io::Error::other(format!(
            "the simulator does not compile with a mistake in {package} that does"
        )));
    }
    let seek = tree.target().join("debug/examples/seek");
    for (scenario, first, count) in SEEDS {
        if tree.try_program(&seek, &[scenario, first, count], SEEDS_TIME)? != Tried::Passed {
            return Ok(Verdict::Seeds { scenario: (*scenario).to_owned() });
        }
    }
    Ok(Verdict::Survived)
}

/// Says what the sample showed; whether all is well.
fn report(chosen: &[&Mutant], all: &[Mutant], known: &Known, listed: &Listed) -> bool {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for mutant in chosen {
        let word = known.verdict(mutant).map_or("not tried", Verdict::word);
        *counts.entry((mutant.package(), word)).or_default() += 1;
        *counts.entry(("all", word)).or_default() += 1;
    }
    println!();
    for ((package, word), count) in &counts {
        println!("{package:12} {word:14} {count}");
    }
    let survivors: Vec<&&Mutant> =
        chosen.iter().filter(|mutant| known.is(mutant, &Verdict::Survived)).collect();
    println!("\n{} of {} survive; there are {} in all", survivors.len(), chosen.len(), all.len());
    let mut is_well = survivors.len() * SURVIVORS_ONE_IN < chosen.len();
    for mutant in survivors {
        let name = mutant.name();
        match listed.reason(name) {
            Some(reason) => println!("  {name}\n    {reason}"),
            None => {
                is_well = false;
                println!("  NO REASON in {}: {name}", crate::mutant_list::REASONS);
            }
        }
    }
    for name in listed.names() {
        match all.iter().find(|mutant| mutant.name() == name) {
            None => println!("  listed, but there is no such mutant any more: {name}"),
            Some(mutant) if known.verdict(mutant).is_some_and(|is| *is != Verdict::Survived) => {
                println!("  listed, but it is caught now: {name}");
            }
            Some(_) => {}
        }
    }
    is_well
}

impl Verdict {
    const fn word(&self) -> &'static str {
        match self {
            Self::Tests => "by tests",
            Self::Endless => "never ends",
            Self::Seeds { .. } => "by seeds",
            Self::DoesNotCompile => "no program",
            Self::Survived => "SURVIVES",
        }
    }
}

/// What was found before, and where it is kept.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    of: BTreeMap<String, Verdict>,
}

impl Known {
    fn read(tree: &ScratchTree, again: bool) -> io::Result<Self> {
        let path = tree.folder().join("results");
        let text = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
        // The last line of a run that was stopped may be half a line; a later one of the same mutant counts.
        let tested = text.lines().filter_map(|line| serde_json::from_str::<Tested>(line).ok());
        let mut of: BTreeMap<String, Verdict> =
            tested.map(|tested| (tested.mutant, tested.verdict)).collect();
        of.retain(|_, verdict| !again || *verdict != Verdict::Survived);
        Ok(Self { path, of })
    }

    fn note(&mut self, tested: Tested) -> io::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.path)?;
        writeln!(file, "{}", serde_json::to_string(&tested)?)?;
        self.of.insert(tested.mutant, tested.verdict);
        Ok(())
    }

    fn verdict(&self, mutant: &Mutant) -> Option<&Verdict> {
        self.of.get(mutant.name())
    }

    fn is(&self, mutant: &Mutant, verdict: &Verdict) -> bool {
        self.verdict(mutant) == Some(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, read_options};

    #[test]
    fn a_core_is_named_or_the_options_are_refused() {
        let asked = Asked { sample: 7, seed: 2, package: Some("crdt"), again: true };
        assert_eq!(
            read_options(&["--sample", "7", "--seed", "2", "--package", "crdt", "--again"]),
            Some(asked)
        );
        assert_eq!(read_options(&["--package", "cli"]), None);
        assert_eq!(read_options(&["--sample"]), None);
    }
}
