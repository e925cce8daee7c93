//! `cargo xtask ci`: everything that must hold before a change counts, in the order in which it fails fastest.
//!
//! What must always hold: it runs the same commands wherever it runs, stops at the first that fails, names it, and ends with the
//! summary of the tests last but for the time each step took.

use std::ffi::OsStr;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// A step: what it is called, the arguments of cargo, and what its environment adds.
type Step = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const STEPS: &[Step] = &[
    ("format", &["fmt", "--all", "--", "--check"], &[]),
    ("licences, bans, sources", &["deny", "check", "licenses", "bans", "sources"], &[]),
    ("lints", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"], &[]),
    ("house rules", &["run", "--quiet", "--package", "xtask", "--", "tidy"], &[]),
    (
        "documentation",
        &["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"],
        &[("RUSTDOCFLAGS", "--deny warnings")],
    ),
    ("tests", &["nextest", "run", "--workspace", "--status-level", "fail"], &[]),
];

/// Runs all steps.
pub(crate) fn run() -> ExitCode {
    let mut times = Vec::new();
    for (name, arguments, environment) in STEPS {
        eprintln!("== {name}: cargo {}", arguments.join(" "));
        let started = Instant::now();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned());
        let status = Command::new(cargo).args(*arguments).envs(environment.iter().copied()).status();
        match status {
            Ok(status) if status.success() => times.push(format!("{name} {} s", started.elapsed().as_secs())),
            Ok(status) => {
                eprintln!("== {name} failed ({status}): cargo {}", arguments.join(" "));
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("== {name}: cargo does not start: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    eprintln!("== all well: {}", times.join(", "));
    ExitCode::SUCCESS
}
