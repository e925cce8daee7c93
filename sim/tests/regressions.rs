//! Runs that once broke a promise: each file of `sim/scenarios/regressions` is one, with the story of what went wrong.
//!
//! A seed that fails in a soak is shrunk (`archipelago sim shrink`), the file that this prints gets a name that says what went wrong and a story, and stays here for ever: it
//! states everything that is done, so it is the same run whatever scenarios and their drawing become. What must always hold: a file's name is its
//! scenario's, its story says what once happened, and its run keeps every promise.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use sim::outcome::Verdict;
use sim::run::{Options, run};
use sim::scenario::Scenario;
use sim::script::draw;
use std::path::Path;

#[test]
fn what_once_broke_a_promise_keeps_all_of_them_now() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/regressions");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(!files.is_empty());
    let mut failures = Vec::new();
    for file in &files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let scenario = Scenario::parse(stem, &std::fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(scenario.name, stem, "a file's name is its scenario's");
        assert!(scenario.story.split_whitespace().count() >= 12, "{stem} tells what once went wrong");
        assert!(scenario.script.is_some(), "{stem} draws nothing: it states everything that is done");
        let outcome = run(&draw(&scenario, scenario.seed().unwrap_or(1)), Options::default());
        if outcome.class != Verdict::Kept {
            let violations: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
            failures.push(format!("{stem}, {:?}:\n  {}", outcome.class, violations.join("\n  ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
