//! `archipelago demo` and `replay` with something malformed: exit code 2 and the way out, before anything starts.
//!
//! What must always hold: nothing was made, neither the folder of a demonstration nor the output of a replay; nothing panicked. What each form of
//! fault may be is tested where it is read (`sim/src/faults.rs`).
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in that folder, which is also where temporary folders are made.
fn archipelago(folder: &Path, arguments: &str) -> Output {
    let temporary = folder.join("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    Command::new(env!("CARGO_BIN_EXE_archipelago"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env("TMPDIR", temporary)
        .output()
        .unwrap()
}

fn is_refused(folder: &Path, arguments: &str, words: &str) {
    let output = archipelago(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
    assert!(said.contains(words) && !said.contains("panicked"), "{arguments}: {said}");
    assert!(output.stdout.is_empty(), "{arguments}: there is nothing to report");
    let made: Vec<_> = std::fs::read_dir(folder.join("temporary")).unwrap().collect();
    assert!(made.is_empty(), "{arguments}: something was begun: {made:?}");
}

#[test]
fn a_demonstration_of_something_malformed_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("talk.txt"), "[10:00] <a> hello\n").unwrap();
    for (arguments, words) in [
        ("--cut nowhere/us-east@10%..20%", "names the region nowhere, which does not take part"),
        ("--cut us-east/us-east@10%..20%", "names one region twice"),
        ("--cut us-east/ap-south@20%..10%", "ends before it begins"),
        ("--cut us-east/ap-south@10%..120%", "from 0% to 100%"),
        ("--cut us-east", "is not a cut"),
        ("--kill nowhere@10%", "names the region nowhere, which does not take part"),
        ("--kill us-east@100%", "comes when the schedule is over"),
        ("--kill us-east@20% --kill us-east@21%", "put them further apart"),
        ("--restart-after soon", "is not a duration"),
        ("--duration 0s", "is not a duration"),
        ("--roam=0", "from 1 to 100"),
        ("--log missing.raw.txt", "missing.raw.txt"),
        ("--log talk.txt", "NAME.annotation.txt"),
        ("--regions eu-central", "at least two regions"),
        ("--regions us-east,ap-south", "at least one must be in the EU"),
        ("--regions eu-central,us-east,us-east", "already used"),
    ] {
        is_refused(folder.path(), &format!("demo {arguments}"), words);
    }
}

#[test]
fn a_replay_of_something_malformed_makes_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let made = |arguments: &str| assert!(archipelago(here, arguments).status.success(), "{arguments}");
    made("init lab --regions eu-central,us-east --placement eu=eu-central --insecure-loopback");
    made("init secure --regions eu-central,us-east --placement eu=eu-central");
    for (arguments, words) in [
        ("--cluster secure", "by TLS only"),
        ("--cluster lab --cut us-east/mars@10%..20%", "names the region mars"),
        ("--cluster lab --log missing.raw.txt", "missing.raw.txt"),
    ] {
        is_refused(here, &format!("replay {arguments} --output out"), words);
        assert!(!here.join("out").exists(), "{arguments}");
    }
    let occupied = archipelago(here, "replay --cluster lab --output secure");
    assert_eq!(occupied.status.code(), Some(6), "{}", String::from_utf8_lossy(&occupied.stderr));
}
