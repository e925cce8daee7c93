//! Runs that once broke a promise, and those that still do: each file of `sim/scenarios/regressions` and `sim/scenarios/open` is one, with its story.
//!
//! A seed that fails in a soak is shrunk (`archipelago sim shrink`), the file that this prints gets a name that says what went wrong and a story. It stands under `open`
//! until its cause is mended, and under `regressions` for ever after: it
//! states everything that is done, so it is the same run whatever scenarios and their drawing become. What must always hold: a file's name is its
//! scenario's, its story says what happened, and its run keeps every promise, or, if it is open, breaks one: who mends one moves it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use sim::outcome::{Outcome, Verdict};
use sim::run::{Options, run};
use sim::scenario::Scenario;
use sim::script::draw;
use std::path::Path;

/// The files of a folder, by name, and how they ran.
fn outcomes(folder: &str) -> Vec<(String, Outcome)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let outcome = |file: &std::path::PathBuf| {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let scenario = Scenario::parse(stem, &std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(scenario.name, stem, "a file's name is its scenario's");
        assert!(scenario.story.split_whitespace().count() >= 12, "{stem} tells what went wrong");
        assert!(scenario.script.is_some(), "{stem} draws nothing: it states everything that is done");
        (stem.to_owned(), run(&draw(&scenario, scenario.seed().unwrap_or(1)), Options::default()))
    };
    files.iter().map(outcome).collect()
}

#[test]
fn what_once_broke_a_promise_keeps_all_of_them_now() {
    let outcomes = outcomes("regressions");
    assert!(!outcomes.is_empty());
    let mut failures = Vec::new();
    for (name, outcome) in outcomes {
        if outcome.class != Verdict::Kept {
            let violations: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
            failures.push(format!("{name}, {:?}:\n  {}", outcome.class, violations.join("\n  ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_open_still_breaks_a_promise() {
    for (name, outcome) in outcomes("open") {
        assert!(
            matches!(outcome.class, Verdict::Safety | Verdict::Liveness),
            "{name} keeps every promise now: move it to scenarios/regressions"
        );
    }
}
