//! Tells the program which commit it was built from: the report of a failing seed names it.
//!
//! What must always hold: a tree with changes that are in no commit says so (`+`); outside a repository it is `unknown`, and nothing fails.

use std::process::Command;

/// What a build is made of. Cargo runs this again whenever something in there changes.
const SOURCES: [&str; 7] = ["crdt", "replication", "region", "gateway", "sim", "cli", "Cargo.lock"];

fn main() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed=../{source}");
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    println!("cargo::rustc-env=ARCHIPELAGO_COMMIT={commit}{}", if changed { "+" } else { "" });
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
