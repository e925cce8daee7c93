//! Checks and chores: `cargo xtask tidy`, `ci`, `bench`, `breakages`, `mutants`, `upgrade`.
//!
//! `tidy` checks what a machine can check of the house rules and prints one line for each breach: rule, place, what to do. It
//! runs as a test too, so an untidy house fails `cargo nextest run`. `ci` is everything that must hold before a change counts,
//! the same on a developer's machine and in CI. `bench` builds the release
//! program and lets it measure what a message costs. `breakages` breaks copies of the product and lets the simulator find it; `mutants` does
//! the same with small mistakes, for which tests and seeds stand together. `upgrade` builds an earlier revision and upgrades regions from it.

mod bench;
mod breakages;
mod ci;
mod clippy_rules;
mod dependency_rules;
mod document_rules;
mod finding;
mod function_length;
mod mutant_list;
mod mutants;
mod reason_rules;
mod rust_text;
mod scratch_tree;
mod source_rules;
mod source_tree;
mod tidy;
mod upgrade;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask tidy      check the house rules
cargo xtask ci        format, lints, licences, house rules, tests, documentation
cargo xtask bench …   measure what a message costs (--help: options; --json FILE); `catch-up`: what a healed link costs
cargo xtask breakages …   make each of the mistakes in sim/breakages, and let the simulator find it
cargo xtask mutants …   make a sample of small mistakes in the cores, and let tests and the simulator notice
cargo xtask upgrade …     build an earlier revision (--from REVISION), and upgrade regions from it one after the other under load
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["tidy"] => tidy::run(),
        ["ci"] => ci::run(),
        ["bench", options @ ..] => bench::run(options),
        ["breakages", options @ ..] => breakages::run(options),
        ["upgrade", options @ ..] => upgrade::run(options),
        ["mutants", options @ ..] => mutants::run(options),
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
