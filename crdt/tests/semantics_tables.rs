//! The tables of the README are those of the docstrings, row for row, and each row names tests that are there.
//!
//! A table that nobody compares with the code says what was meant once. What must always hold: a row stands in both places with the same words, and
//! whoever adds one to either says which test shows it.

use std::collections::BTreeSet;

const README: &str = include_str!("../README.md");
const SOURCES: [&str; 10] = [
    include_str!("../src/timeline.rs"),
    include_str!("../src/membership.rs"),
    include_str!("../src/amendments/mod.rs"),
    include_str!("../src/receipt.rs"),
    include_str!("../src/directory.rs"),
    include_str!("../src/flags.rs"),
    include_str!("../src/hidden.rs"),
    include_str!("../src/roster/mod.rs"),
    include_str!("../src/group/mod.rs"),
    include_str!("../src/escrow.rs"),
];
const TESTS: [&str; 5] = [
    include_str!("concurrent_cases.rs"),
    include_str!("registers.rs"),
    include_str!("amendments/concurrent_cases.rs"),
    include_str!("roster/concurrent_cases.rs"),
    include_str!("group/concurrent_cases.rs"),
];

/// The cells of the rows of every table that begins with that head.
fn rows(text: &str, head: &[&str]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line.trim_start_matches("///").trim_start_matches("//!").trim();
        let cells = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
        let Some(cells) = cells.map(|cells| cells.split(" | ").map(str::to_owned).collect::<Vec<_>>()) else {
            inside = false;
            continue;
        };
        if inside && !cells.iter().all(|cell| cell == "---") {
            rows.push(cells);
        } else if cells == head {
            inside = true;
        }
    }
    rows
}

#[test]
fn the_tables_of_the_readme_are_those_of_the_docstrings() {
    let published = rows(README, &["concurrent", "outcome", "test"]);
    let published: BTreeSet<Vec<String>> = published.into_iter().map(|row| row[..2].to_vec()).collect();
    let stated = SOURCES.iter().flat_map(|source| rows(source, &["concurrent", "outcome"]));
    let stated: BTreeSet<Vec<String>> = stated.collect();
    let only = |one: &BTreeSet<Vec<String>>, other: &BTreeSet<Vec<String>>| -> Vec<Vec<String>> {
        one.difference(other).cloned().collect()
    };
    assert_eq!(only(&published, &stated), [[""; 0]; 0], "in the README alone");
    assert_eq!(only(&stated, &published), [[""; 0]; 0], "in a docstring alone");
    assert!(stated.len() > 50, "the tables are found");
}

#[test]
fn every_row_names_tests_that_are_there() {
    let mut named = 0;
    for row in rows(README, &["concurrent", "outcome", "test"]) {
        let tests: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row:?} names no test");
        for test in tests {
            let declared = format!("#[test]\nfn {test}() {{");
            assert!(TESTS.iter().any(|source| source.contains(&declared)), "there is no test `{test}`");
            named += 1;
        }
    }
    assert!(named > 50, "the tables are found");
}
