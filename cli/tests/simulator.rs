//! `archipelago sim`, as scripts use it: exit codes, the JSON that they read, the same run in every process, and a soak that goes on where it was left.
//!
//! What must always hold: each class of failure has been seen to end with its code. Worlds are tiny, so that all of it takes seconds in a debug build.
#![allow(clippy::unwrap_used)]

use expect_test::expect;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const TINY: &str = r#"
name = "tiny"
story = "Three regions, a few people, a few seconds."
length_s = 4
[population]
users = 3
[workload]
per_minute = 120
groups = 2
directs = 1
"#;

/// No client looks again within a second.
const IMPOSSIBLE: &str = "healed_within_s = 1\n";
/// Nobody begins a group there, so nothing can be looked at for a limit.
const BLIND: &str = "checks = [9]\n";

fn sim(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_archipelago"))
        .arg("sim")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A folder with scenarios: `tiny.toml`, and what becomes of it with a line more at its top.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, line: &str| std::fs::write(folder.path().join(name), format!("{line}{TINY}")).unwrap();
    write("tiny.toml", "");
    write("impossible.toml", IMPOSSIBLE);
    let blind = TINY.replace("groups = 2", "groups = 0");
    std::fs::write(folder.path().join("blind.toml"), format!("{BLIND}{blind}")).unwrap();
    write("misspelt.toml", "lenght_s = 9\n");
    folder
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The names of all fields, those of objects in them included; lists by their first element.
fn shape(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}{}", shape(value))).collect();
            format!("{{{}}}", fields.join(" "))
        }
        Value::Array(values) => format!("[{}]", values.first().map(shape).unwrap_or_default()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => String::new(),
    }
}

#[test]
fn each_class_of_failure_has_its_exit_code() {
    let folder = folder();
    let code = |arguments: &[&str]| {
        let output = sim(folder.path(), arguments);
        (output.status.code().unwrap(), said(&output))
    };
    assert_eq!(code(&["list"]).0, 0);
    let (ok, answer) = code(&["run", "tiny.toml", "--seed", "1"]);
    assert_eq!(ok, 0, "{answer}");
    assert!(answer.contains("until it was shown in another region") && answer.contains("OK:"), "{answer}");
    let (unknown, says) = code(&["run", "calm-dai", "--seed", "1"]);
    assert!(unknown == 2 && says.contains("calm-day"), "a name that is none is told those that are: {says}");
    let (refused, says) = code(&["run", "./misspelt.toml", "--seed", "1"]);
    assert!(refused == 2 && says.contains("misspelt.toml:1") && says.contains("lenght_s"), "{says}");
    let (liveness, report) = code(&["run", "impossible.toml", "--seed", "5"]);
    assert_eq!(liveness, 11, "{report}");
    for part in [
        "seed 5",
        "commit",
        "last events",
        "sim replay impossible.toml --seed 5",
        "sim shrink impossible.toml --seed 5",
    ] {
        assert!(report.contains(part), "the report of a failing seed has `{part}`: {report}");
    }
    assert_eq!(code(&["replay", "impossible.toml", "--seed", "5", "--last", "5"]).0, 11);
    assert_eq!(code(&["run", "blind.toml", "--seed", "1"]).0, 14);
}

#[test]
fn the_json_of_a_run_says_what_scripts_rely_on() {
    let folder = folder();
    let path = folder.path().join("answer.json");
    let output = sim(folder.path(), &["run", "tiny.toml", "--seed", "2", "--json", "answer.json"]);
    assert!(output.status.success(), "{}", said(&output));
    let answer = json(&path);
    assert_eq!((&answer["schema"], &answer["scenario"]), (&"archipelago.sim.run.v1".into(), &"tiny".into()));
    assert_eq!((&answer["seed"], &answer["ok"]), (&2.into(), &true.into()));
    let promises: Vec<&String> = answer["promises"].as_object().unwrap().keys().collect();
    assert_eq!(promises.len(), 12, "one each: {promises:?}");
    assert!(answer["promises"]["4"]["checked"].as_u64().unwrap() > 0);
    let hash = answer["trace_hash"].as_str().unwrap();
    assert!(hash.len() == 64 && hash.chars().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
    assert!(answer["events"].as_u64().unwrap() > 0 && answer["peak_rss_bytes"].as_u64().unwrap() > 0);
    assert!(answer["simulated_s"].as_f64().unwrap() > 4.0 && answer["wall_s"].as_f64().unwrap() > 0.0);
    let mut named = answer.clone();
    for (free, stands) in [("drawn", "…"), ("marks", "…")] {
        named[free] = stands.into();
    }
    expect!["{class commit drawn events idle_events machines{bounds_reached{} links[{bytes frames from to}] regions[{mailbox_letters_max operations region syncs written_bytes}]} marks ok panic peak_rss_bytes promises{1{checked violations} 10{checked violations} 11{checked violations} 12{checked violations} 2{checked violations} 3{checked violations} 4{checked violations} 5{checked violations} 6{checked violations} 7{checked violations} 8{checked violations} 9{checked violations}} scenario schema seed simulated_s trace_hash users{acknowledge_ms{max p50 p99 p999 samples} cut_off_device_s cut_off_ms{max p50 p99 p999 samples} devices mark_stood_ms{max p50 p99 p999 samples} marked marks_at_end moved offline_device_s redirects refused show_across_ms{max p50 p99 p999 samples} show_after_offline_ms{max p50 p99 p999 samples} show_inside_ms{max p50 p99 p999 samples} untimed waiting_at_end waiting_max written} violations[] wall_s}"].assert_eq(&shape(&named));
}

/// What is still to be mended ends with its own code: safety is not liveness. When nothing is open there is nothing to run, and the table of
/// classes stands alone (`cli/src/sim/played.rs`).
#[test]
fn an_open_run_ends_with_the_code_of_what_it_breaks() {
    let open = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/scenarios/open");
    let mut files: Vec<_> = std::fs::read_dir(open).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    // The shortest run is as good as any.
    files.sort_by_key(|file| {
        let text = std::fs::read_to_string(file).unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("length_us = ")).unwrap().to_owned();
        length.replace('_', "").parse::<u64>().unwrap()
    });
    let Some(file) = files.first() else { return };
    let folder = folder();
    let output = sim(folder.path(), &["run", file.to_str().unwrap(), "--json", "open.json"]);
    let answer = json(&folder.path().join("open.json"));
    let code = match answer["class"].as_str() {
        Some("safety") => 10,
        Some("liveness") => 11,
        other => panic!("an open run breaks a promise: {other:?}"),
    };
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    assert_eq!(answer["ok"], false);
    assert!(!answer["violations"].as_array().unwrap().is_empty());
}

#[test]
fn the_page_of_a_run_is_one_file_that_needs_nothing_and_recording_it_changes_nothing() {
    let folder = folder();
    let run = |more: &[&str]| {
        let output =
            sim(folder.path(), &[&["run", "tiny.toml", "--seed", "2", "--json", "a.json"], more].concat());
        assert!(output.status.success(), "{}", said(&output));
        json(&folder.path().join("a.json"))["trace_hash"].clone()
    };
    assert_eq!(run(&["--html", "page.html"]), run(&[]), "a run that is recorded is the same run");
    let page = std::fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"), "{}", &page[..80]);
    assert!(page.contains("archipelago sim replay tiny.toml --seed 2"), "how to see it again is on it");
    for fetched in ["src=\"", "href=\"http", "@import", "fetch("] {
        assert!(!page.contains(fetched), "it fetches nothing: {fetched}");
    }
    // Nothing is written that was not asked for, and a page that cannot be written is said.
    let nowhere = sim(folder.path(), &["run", "tiny.toml", "--html", "no/such/folder/page.html"]);
    assert_eq!(nowhere.status.code(), Some(1), "{}", said(&nowhere));
    assert!(said(&nowhere).contains("no/such/folder/page.html could not be written"), "{}", said(&nowhere));
    let unjudged = sim(folder.path(), &["run", "tiny.toml", "--html", "page.html", "--no-checks"]);
    assert_eq!(unjudged.status.code(), Some(2), "{}", said(&unjudged));
}

#[test]
fn what_each_device_was_told_and_shown_is_kept_if_asked_for_and_an_earlier_run_is_not_overwritten() {
    let folder = folder();
    let keep = ["run", "tiny.toml", "--seed", "2", "--histories", "kept"];
    let output = sim(folder.path(), &keep);
    assert!(output.status.success(), "{}", said(&output));
    let files: Vec<_> =
        std::fs::read_dir(folder.path().join("kept")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "one a device: {files:?}");
    let mut shown = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let began = &lines[0]["event"]["began"];
        assert_eq!(began["format"], "archipelago.history.v1");
        assert!(file.ends_with(format!("{}.jsonl", began["device"].as_str().unwrap())));
        shown += lines.iter().filter(|line| !line["event"]["shown"].is_null()).count();
    }
    assert!(shown > 0, "somebody was shown something");
    let again = sim(folder.path(), &keep);
    assert_eq!(again.status.code(), Some(6), "{}", said(&again));
}

#[test]
fn the_same_seed_is_the_same_run_in_every_process_and_another_seed_is_not() {
    let folder = folder();
    let hash = |seed: &str, file: &str| {
        let output = sim(folder.path(), &["run", "tiny.toml", "--seed", seed, "--json", file]);
        assert!(output.status.success(), "{}", said(&output));
        json(&folder.path().join(file))["trace_hash"].as_str().unwrap().to_owned()
    };
    assert_eq!(hash("3", "one.json"), hash("3", "other.json"));
    assert_ne!(hash("3", "one.json"), hash("4", "four.json"));
    let own = env!("CARGO_BIN_EXE_archipelago");
    let check = sim(folder.path(), &["check-determinism", "tiny.toml", "--seed", "3", "--against", own]);
    assert!(check.status.success() && said(&check).contains("run 4 times"), "{}", said(&check));
}

#[test]
fn another_build_that_does_something_else_is_told_by_its_first_event() {
    let folder = folder();
    // A build that runs another seed than it was asked for.
    let odd = folder.path().join("odd-build");
    let own = env!("CARGO_BIN_EXE_archipelago");
    let script = format!(
        "#!/bin/sh\nshift 4\n[ \"$1\" = 3 ] || exit 9\nshift\nexec {own} sim trace tiny.toml --seed 4 \"$@\"\n"
    );
    std::fs::write(&odd, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&odd, executable).unwrap();
    let check =
        sim(folder.path(), &["check-determinism", "tiny.toml", "--seed", "3", "--against", "./odd-build"]);
    let says = said(&check);
    assert_eq!(check.status.code(), Some(13), "{says}");
    assert!(says.contains("DIFFERS") && says.contains("  this ") && says.contains("  the other "), "{says}");
}

#[test]
fn a_soak_goes_on_where_it_was_left_and_counts_every_seed_once() {
    let folder = folder();
    let explore = |seeds: &str, more: &[&str]| {
        let mut arguments = vec!["explore", "--scenario", "tiny.toml", "--first-seed", "7", "--seeds", seeds];
        arguments.extend(more);
        sim(folder.path(), &arguments)
    };
    assert!(explore("2", &["--resume", "state.json"]).status.success());
    let resumed = explore("4", &["--resume", "state.json", "--json", "resumed.json"]);
    assert!(resumed.status.success() && said(&resumed).contains("4 runs"), "{}", said(&resumed));
    assert!(explore("4", &["--json", "whole.json"]).status.success());
    let (resumed, whole) =
        (json(&folder.path().join("resumed.json")), json(&folder.path().join("whole.json")));
    for field in
        ["first_seed", "seeds_run", "events", "failures", "marks", "marks_never_reached", "simulated_s"]
    {
        assert!(!resumed[field].is_null(), "{field} is there");
        assert_eq!(resumed[field], whole[field], "{field}");
    }
    assert_eq!((&whole["first_seed"], &whole["seeds_run"]), (&7.into(), &4.into()));
    let other = sim(
        folder.path(),
        &["explore", "--scenario", "impossible.toml", "--seeds", "1", "--resume", "state.json"],
    );
    assert_eq!(
        other.status.code(),
        Some(2),
        "a state of something else is not gone on from: {}",
        said(&other)
    );
}

#[test]
fn a_soak_with_a_failing_seed_ends_with_its_class_and_a_report_of_it() {
    let folder = folder();
    let arguments = [
        "explore",
        "--scenario",
        "impossible.toml",
        "--seeds",
        "2",
        "--first-seed",
        "5",
        "--json",
        "found.json",
    ];
    let output = sim(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(11), "{}", said(&output));
    let found = json(&folder.path().join("found.json"));
    assert_eq!((&found["seeds_run"], found["failures"].as_array().unwrap().len()), (&2.into(), 2));
    let first = &found["failures"][0];
    assert_eq!((&first["seed"], &first["class"]), (&5.into(), &"liveness".into()));
    assert_eq!(first["replay"], "archipelago sim replay impossible.toml --seed 5");
    assert_eq!(first["shrink"], "archipelago sim shrink impossible.toml --seed 5");
    assert!(said(&output).contains("last events"));
}

#[test]
fn a_shrunk_seed_is_a_scenario_that_fails_in_the_same_way() {
    let folder = folder();
    let output = sim(folder.path(), &["shrink", "impossible.toml", "--seed", "5", "--seconds", "3"]);
    assert!(output.status.success(), "{}", said(&output));
    std::fs::write(folder.path().join("bug.toml"), &output.stdout).unwrap();
    let again = sim(folder.path(), &["run", "bug.toml"]);
    assert_eq!(again.status.code(), Some(11), "{}", said(&again));
    let well = sim(folder.path(), &["shrink", "tiny.toml", "--seed", "5"]);
    assert!(well.status.code() == Some(2) && said(&well).contains("does not fail"), "{}", said(&well));
}

#[test]
fn a_reader_who_goes_away_is_no_bug() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let program = Command::new(env!("CARGO_BIN_EXE_archipelago"));
    let output = { program }.args(["sim", "list"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
