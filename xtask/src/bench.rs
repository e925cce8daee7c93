//! `cargo xtask bench`: builds the release program and lets it measure what a message costs on this machine.
//!
//! What must always hold: what is measured is the program that people run: the release profile, nothing switched on for the measuring.

use std::ffi::OsStr;
use std::process::{Command, ExitCode};

/// Hands the options on to `archipelago bench`.
pub(crate) fn run(options: &[&str]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned());
    let program = ["run", "--release", "--quiet", "--package", "archipelago", "--", "bench"];
    match Command::new(cargo).args(program).args(options).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("cargo does not start: {error}");
            ExitCode::FAILURE
        }
    }
}
