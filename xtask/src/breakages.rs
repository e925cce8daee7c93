//! `cargo xtask breakages`: proves that the simulator finds mistakes, by making them.
//!
//! Each file of `sim/breakages` is a realistic mistake in the product, as a patch. Each is applied to a copy of the sources, the simulator is
//! built from that, and seeds are run in ascending order until one of them breaks a promise. A breakage that no seed finds is a hole in
//! the simulator (decision 0021). Others take out the clause of a numbered history (`docs/broken-histories.md`): those name the test that fails then.
//!
//! What must always hold: the product has no switch for any of this; a patch that does not fit, does not compile, is not found within the bound, or is
//! found by a checker that it does not name fails the run, and so does a simulator that finds something with no breakage at all.

use crate::scratch_tree::{Ended, ScratchTree};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Where the patches are.
const FOLDER: &str = "sim/breakages";
/// The scenario of a breakage that names none.
const SCENARIO: &str = "storm-of-everything";
/// Seeds within which each must be found.
const SEEDS: u64 = 200;
/// Seeds within which half of them must be found.
const MEDIAN: u64 = 50;
/// How long the seeds of one breakage may take: one that makes a core run for ever is found by that.
const RUN_TIME: Duration = Duration::from_secs(300);
/// The checker that a breakage names if it is to be found by that.
const ENDLESS: &str = "a run ends";
const USAGE: &str = "\
cargo xtask breakages [NAME…] [--seeds N] [--json FILE]
  NAME         breakages whose name contains this; all if none is given
  --seeds N    seeds that are tried for each (200)
  --json FILE  the table as JSON
";

/// A mistake, as its patch's head tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Breakage {
    name: String,
    path: PathBuf,
    catcher: Catcher,
    /// The first file it changes: what is rebuilt.
    touches: String,
}

/// What is to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Catcher {
    /// Seeds of a scenario, by one of these checkers: a promise's breakage.
    Seeds { promise: u8, checkers: Vec<String>, scenario: String },
    /// A test that tells a numbered history, by failing: the history's clause taken out.
    Test { arguments: Vec<String> },
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Found {
    name: String,
    verdict: Verdict,
    build_s: u64,
    run_s: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// By that checker, in the run of the so-manieth seed.
    Caught { by: String, promise: u8, seeds: u64, what: String },
    /// By its test.
    TestFails,
    /// Its test passes all the same.
    TestPasses,
    /// By a checker that the patch does not name.
    CaughtByAnother { by: String, promise: u8, seeds: u64, what: String },
    /// By none within so many seeds.
    NotCaught { seeds: u64 },
    /// The patch does not fit the sources.
    DoesNotApply { why: String },
    /// The broken product does not compile.
    DoesNotCompile { why: String },
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    names: Vec<&'a str>,
    seeds: u64,
    json: Option<&'a str>,
}

/// Breaks the product in every way there is a patch for.
pub(crate) fn run(options: &[&str]) -> ExitCode {
    let Some(asked) = read_options(options) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match try_all(&asked) {
        Ok((found, unbroken)) => report(&asked, &found, &unbroken),
        Err(error) => {
            eprintln!("breakages: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read_options<'a>(options: &[&'a str]) -> Option<Asked<'a>> {
    let mut asked = Asked { names: Vec::new(), seeds: SEEDS, json: None };
    let mut options = options.iter().copied();
    while let Some(option) = options.next() {
        match option {
            "--seeds" => asked.seeds = options.next()?.parse().ok()?,
            "--json" => asked.json = Some(options.next()?),
            name if !name.starts_with('-') => asked.names.push(name),
            _ => return None,
        }
    }
    Some(asked)
}

/// How each went, and what is wrong with the product as it is.
fn try_all(asked: &Asked<'_>) -> io::Result<(Vec<Found>, Vec<String>)> {
    let tree = ScratchTree::open("breakages")?;
    let mut breakages = read_all(&tree.root().join(FOLDER))?;
    if !asked.names.is_empty() {
        breakages.retain(|breakage| asked.names.iter().any(|name| breakage.name.contains(name)));
    }
    // Neighbours touch the same package, so that less is rebuilt.
    breakages.sort_by(|one, other| (&one.touches, &one.name).cmp(&(&other.touches, &other.name)));
    let mut found = Vec::new();
    for breakage in &breakages {
        tree.restore()?;
        let one = try_one(&tree, breakage, asked.seeds)?;
        println!("{one}");
        found.push(one);
    }
    tree.restore()?;
    let unbroken = try_unbroken(&tree, &breakages, &found)?;
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((found, unbroken))
}

/// What is found with no breakage at all: of each scenario as many seeds are tried as its breakages took, and every test that is named.
fn try_unbroken(tree: &ScratchTree, breakages: &[Breakage], found: &[Found]) -> io::Result<Vec<String>> {
    let mut seeds: BTreeMap<&str, u64> = BTreeMap::new();
    let mut tests: BTreeSet<&[String]> = BTreeSet::new();
    for (breakage, found) in breakages.iter().zip(found) {
        match &breakage.catcher {
            Catcher::Seeds { scenario, .. } => {
                let most = seeds.entry(scenario).or_default();
                *most = (*most).max(found.seeds().unwrap_or(0));
            }
            Catcher::Test { arguments } => {
                tests.insert(arguments);
            }
        }
    }
    let mut wrong = Vec::new();
    if let Err(why) = tree.cargo(&["build", "--quiet", "--package", "sim", "--example", "seek"])? {
        wrong.push(format!("the simulator does not compile: {why}"));
        return Ok(wrong);
    }
    for (scenario, count) in seeds {
        let arguments = [scenario.to_owned(), "1".to_owned(), count.to_string()];
        let ended = tree.run(&tree.target().join("debug/examples/seek"), &arguments, RUN_TIME)?;
        match judge(&[], ended) {
            Verdict::NotCaught { seeds } if seeds == count => {}
            verdict => wrong.push(format!("{scenario}: {verdict:?}")),
        }
    }
    for test in tests {
        let arguments: Vec<&str> =
            ["test", "--quiet"].into_iter().chain(test.iter().map(String::as_str)).collect();
        if tree.cargo(&arguments)?.is_err() {
            wrong.push(format!("cargo {} fails", arguments.join(" ")));
        }
    }
    Ok(wrong)
}

fn try_one(tree: &ScratchTree, breakage: &Breakage, seeds: u64) -> io::Result<Found> {
    let began = Instant::now();
    let found = |verdict, built: Instant| Found {
        name: breakage.name.clone(),
        verdict,
        build_s: built.duration_since(began).as_secs(),
        run_s: built.elapsed().as_secs(),
    };
    if let Err(why) = tree.apply(&breakage.path)? {
        return Ok(found(Verdict::DoesNotApply { why }, began));
    }
    let built = tree.cargo(&match &breakage.catcher {
        Catcher::Seeds { .. } => vec!["build", "--quiet", "--package", "sim", "--example", "seek"],
        Catcher::Test { arguments } => {
            let arguments = arguments.iter().map(String::as_str);
            ["test", "--quiet", "--no-run"].into_iter().chain(arguments).collect()
        }
    })?;
    let after = Instant::now();
    if let Err(why) = built {
        return Ok(found(Verdict::DoesNotCompile { why }, after));
    }
    let verdict = match &breakage.catcher {
        Catcher::Seeds { checkers, scenario, .. } => {
            let program = tree.target().join("debug/examples/seek");
            let arguments = [scenario.clone(), "1".to_owned(), seeds.to_string()];
            judge(checkers, tree.run(&program, &arguments, RUN_TIME)?)
        }
        Catcher::Test { arguments } => {
            let arguments = arguments.iter().map(String::as_str);
            let all: Vec<&str> = ["test", "--quiet"].into_iter().chain(arguments).collect();
            if tree.cargo(&all)?.is_ok() { Verdict::TestPasses } else { Verdict::TestFails }
        }
    };
    Ok(found(verdict, after))
}

/// What the lines of a run say: one a seed, of which the last may name what was broken.
fn judge(checkers: &[String], ended: Ended) -> Verdict {
    let (text, late) = match ended {
        Ended::Itself(text) => (text, false),
        Ended::Late(text) => (text, true),
    };
    let lines: Vec<serde_json::Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let seeds = lines.len() as u64;
    let first = lines.last().and_then(|line| line["violations"].get(0));
    let (by, promise, what) = match first {
        Some(violation) => (
            violation["checker"].as_str().unwrap_or_default().to_owned(),
            violation["promise"].as_u64().and_then(|promise| u8::try_from(promise).ok()).unwrap_or(0),
            violation["what"].as_str().unwrap_or_default().to_owned(),
        ),
        None if late => (ENDLESS.to_owned(), 0, "a seed takes for ever".to_owned()),
        None => return Verdict::NotCaught { seeds },
    };
    let seeds = seeds + u64::from(late && first.is_none());
    if checkers.contains(&by) {
        Verdict::Caught { by, promise, seeds, what }
    } else {
        Verdict::CaughtByAnother { by, promise, seeds, what }
    }
}

fn report(asked: &Asked<'_>, found: &[Found], unbroken: &[String]) -> ExitCode {
    let mut seeds: Vec<u64> = found.iter().filter_map(Found::seeds).collect();
    seeds.sort_unstable();
    let median = seeds.get(seeds.len() / 2).copied().unwrap_or(0);
    let failed: Vec<&Found> = found.iter().filter(|found| !found.is_caught()).collect();
    let is_well = !found.is_empty() && failed.is_empty() && unbroken.is_empty() && median <= MEDIAN;
    if let Some(path) = asked.json {
        let json = serde_json::json!({
            "schema": "archipelago.breakages.v1",
            "ok": is_well,
            "seeds_max": asked.seeds,
            "median_seeds": median,
            "without_any": unbroken,
            "breakages": found,
        });
        if let Err(error) = fs::write(path, format!("{json:#}\n")) {
            eprintln!("breakages: {path} cannot be written: {error}");
            return ExitCode::FAILURE;
        }
    }
    let caught = found.len() - failed.len();
    println!("\n{} breakages, {caught} caught, those by seeds in the median by seed {median}", found.len());
    failed.iter().for_each(|found| println!("  {found}"));
    unbroken.iter().for_each(|wrong| println!("  WITHOUT ANY BREAKAGE {wrong}"));
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All patches.
fn read_all(folder: &Path) -> io::Result<Vec<Breakage>> {
    let mut breakages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = fs::read_to_string(&path)?;
            let breakage = read(&path, &text)
                .map_err(|what| io::Error::other(format!("{}: its head lacks {what}", path.display())))?;
            breakages.push(breakage);
        }
    }
    Ok(breakages)
}

/// The head of a patch: `promise`, `mistake`, `made by`, `caught by` and perhaps `scenario`; or, of a history, `History`, `Clause` and `Caught by`.
fn read(path: &Path, text: &str) -> Result<Breakage, &'static str> {
    let head = text.lines().take_while(|line| !line.starts_with("diff "));
    let field = |name: &str| {
        let value = head.clone().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::trim).filter(|value| !value.is_empty())
    };
    let touches = text.lines().find_map(|line| line.strip_prefix("+++ b/"));
    let catcher = if field("History").is_some() {
        field("Clause").ok_or("`Clause: `, what is taken out")?;
        let test = field("Caught by").and_then(|command| command.strip_prefix("cargo test "));
        let arguments = test.ok_or("`Caught by: cargo test …`, its test")?.split_whitespace();
        Catcher::Test { arguments: arguments.map(str::to_owned).collect() }
    } else {
        field("mistake").ok_or("`mistake: `, what is wrong")?;
        field("made by").ok_or("`made by: `, who would make it")?;
        let by = field("caught by").ok_or("`caught by: `, the names of checkers, with `; ` between")?;
        Catcher::Seeds {
            promise: field("promise")
                .and_then(|number| number.parse().ok())
                .ok_or("`promise: `, a number")?,
            checkers: by.split("; ").map(str::to_owned).collect(),
            scenario: field("scenario").unwrap_or(SCENARIO).to_owned(),
        }
    };
    Ok(Breakage {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        path: path.to_owned(),
        catcher,
        touches: touches.ok_or("a diff")?.to_owned(),
    })
}

impl Found {
    const fn is_caught(&self) -> bool {
        matches!(self.verdict, Verdict::Caught { .. } | Verdict::TestFails)
    }

    /// After how many seeds it was caught as it should be.
    const fn seeds(&self) -> Option<u64> {
        match self.verdict {
            Verdict::Caught { seeds, .. } => Some(seeds),
            Verdict::TestFails
            | Verdict::TestPasses
            | Verdict::CaughtByAnother { .. }
            | Verdict::NotCaught { .. }
            | Verdict::DoesNotApply { .. }
            | Verdict::DoesNotCompile { .. } => None,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, build_s, run_s, .. } = self;
        write!(f, "{name:48} ")?;
        match &self.verdict {
            Verdict::Caught { by, promise, seeds, .. } => {
                write!(f, "seed {seeds:3}, promise {promise}: {by}")?
            }
            Verdict::CaughtByAnother { by, promise, seeds, what } => {
                write!(f, "WRONG CHECKER: seed {seeds}, promise {promise}: {by}: {what}")?;
            }
            Verdict::TestFails => write!(f, "its test fails")?,
            Verdict::TestPasses => write!(f, "NOT CAUGHT: its test passes")?,
            Verdict::NotCaught { seeds } => write!(f, "NOT CAUGHT in {seeds} seeds")?,
            Verdict::DoesNotApply { why } => write!(f, "DOES NOT APPLY: {why}")?,
            Verdict::DoesNotCompile { why } => write!(f, "DOES NOT COMPILE: {why}")?,
        }
        write!(f, " (built in {build_s} s, run {run_s} s)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    const PATCH: &str = "promise: 4\nmistake: drops\n  it\nmade by: somebody\ncaught by: one; two\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n";

    fn breakage() -> Breakage {
        read(Path::new("a/p04-drops.patch"), PATCH).unwrap()
    }

    #[test]
    fn a_head_is_read_and_what_it_lacks_is_named() {
        let Breakage { name, catcher, touches, .. } = breakage();
        assert_eq!((name.as_str(), touches.as_str()), ("p04-drops", "x"));
        let checkers = vec!["one".to_owned(), "two".to_owned()];
        assert_eq!(catcher, Catcher::Seeds { promise: 4, checkers, scenario: SCENARIO.to_owned() });
        for field in ["promise", "mistake", "made by", "caught by"] {
            let text = PATCH.replacen(field, "other", 1);
            assert!(read(Path::new("a"), &text).unwrap_err().contains(field), "{field}");
        }
    }

    #[test]
    fn a_historys_patch_names_its_test() {
        let text =
            "History: 17\nClause: c\nCaught by: cargo test -p sim one\n\ndiff --git a/x b/x\n+++ b/x\n";
        let arguments = ["-p", "sim", "one"].map(str::to_owned).to_vec();
        assert_eq!(read(Path::new("a"), text).unwrap().catcher, Catcher::Test { arguments });
        assert!(read(Path::new("a"), &text.replace("cargo test", "hope")).unwrap_err().contains("Caught by"));
    }

    #[test]
    fn a_run_is_judged_by_its_first_violation() {
        let checkers = ["one".to_owned(), "two".to_owned()];
        let judged = |text: &str, late| {
            let text = text.to_owned();
            judge(&checkers, if late { Ended::Late(text) } else { Ended::Itself(text) })
        };
        let fine = "{\"seed\":1,\"violations\":[]}\n";
        let found = |by: &str| {
            format!(
                "{fine}{{\"seed\":2,\"violations\":[{{\"promise\":4,\"checker\":\"{by}\",\"what\":\"x\"}}]}}"
            )
        };
        assert!(matches!(judged(&found("two"), false), Verdict::Caught { promise: 4, seeds: 2, .. }));
        assert!(matches!(judged(&found("three"), false), Verdict::CaughtByAnother { seeds: 2, .. }));
        assert_eq!(judged(fine, false), Verdict::NotCaught { seeds: 1 });
        assert!(matches!(judged(fine, true), Verdict::CaughtByAnother { seeds: 2, .. }));
    }

    /// One that does not is a mistake that nobody looks for any more: whoever changes the code makes it again.
    #[test]
    fn every_breakage_fits_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for Breakage { name, path, .. } in read_all(&root.join(FOLDER)).unwrap() {
            let path = path.canonicalize().unwrap();
            let tried =
                Command::new("git").args(["apply", "--check"]).arg(path).current_dir(&root).output().unwrap();
            assert!(tried.status.success(), "{name}: {}", String::from_utf8_lossy(&tried.stderr));
        }
    }

    /// That they are found takes long: `cargo xtask breakages`. That each is whole, and that no promise has too few, is looked at here.
    #[test]
    fn every_promise_that_exists_has_three_breakages_or_more() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FOLDER);
        let mut of_promise: BTreeMap<u8, usize> = BTreeMap::new();
        for breakage in read_all(&folder).unwrap() {
            if let Catcher::Seeds { promise, .. } = breakage.catcher {
                assert!(breakage.name.starts_with(&format!("p{promise:02}-")), "{}", breakage.name);
                *of_promise.entry(promise).or_default() += 1;
            }
        }
        assert_eq!(of_promise.keys().copied().collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
        assert!(of_promise.values().all(|count| *count >= 3), "{of_promise:?}");
    }
}
