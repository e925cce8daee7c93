//! A rolling upgrade over running regions: they begin as one release and become another one after the other, while people talk.
//!
//! What must always hold: nothing is lost, nothing comes twice, and no region is away for more than five seconds.
//!
//! Without an earlier release at hand, regions are upgraded to what they are. `cargo xtask upgrade` builds one, and runs this from it: `ARCHIPELAGO_EARLIER` names its program.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_archipelago");

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn nothing_is_lost_while_regions_are_upgraded_one_after_the_other() {
    let earlier = std::env::var("ARCHIPELAGO_EARLIER").unwrap_or_else(|_| PROGRAM.to_owned());
    let folder = tempfile::tempdir().unwrap();
    let regions = "eu-central,us-east,ap-south";
    let init = ["init", "lab", "--regions", regions, "--placement", "eu=eu-central", "--insecure-loopback"];
    assert!(run(folder.path(), &init).status.success());
    let replay =
        ["replay", "--cluster", "lab", "--output", "run", "--duration", "24s", "--json", "report.json"];
    let output = run(folder.path(), &[&replay[..], &["--upgrade-from", &earlier]].concat());
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let report = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["ok"], true, "{said}");
    let upgraded: Vec<(&str, u64)> = report["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| {
            assert_eq!(fault["kind"], "upgrade");
            assert_ne!(fault["pid_before"], fault["pid_after"]);
            (
                fault["from"].as_str().unwrap(),
                fault["end_ms"].as_u64().unwrap() - fault["start_ms"].as_u64().unwrap(),
            )
        })
        .collect();
    println!("upgraded from {earlier}, each away for so many ms: {upgraded:?}");
    assert_eq!(
        upgraded.iter().map(|(region, _)| *region).collect::<Vec<_>>(),
        ["eu-central", "us-east", "ap-south"]
    );
    assert!(upgraded.iter().all(|(_, away_ms)| *away_ms <= 5_000), "{upgraded:?}");
}

#[test]
fn a_program_that_is_not_there_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let init = [
        "init",
        "lab",
        "--regions",
        "eu-central,us-east",
        "--placement",
        "eu=eu-central",
        "--insecure-loopback",
    ];
    assert!(run(folder.path(), &init).status.success());
    let output =
        run(folder.path(), &["replay", "--cluster", "lab", "--output", "run", "--upgrade-from", "nowhere"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(4) && said.contains("an earlier release"), "{said}");
    assert!(!folder.path().join("run").exists());
}
