//! What every Rust file must keep to: a head, a length, a telling name, and nothing unfinished.
//!
//! The limits are those of the house: 800 lines a file, 70 lines a function with at most one function in a hundred above it,
//! a head of 3 to 25 lines. The naive way is to trust reviews; in every code base the longest tenth of the files is
//! where it was trusted.

use crate::finding::Finding;
use crate::function_length::{Function, functions};
use crate::rust_text::code_of;
use crate::source_tree::{SourceFile, SourceTree};

/// A file above this is refused.
const FILE_LINES_MAX: usize = 800;
/// A file above this needs a reason; tidy says so and lets it pass.
const FILE_LINES_NOTED: usize = 600;
/// A function above this is one of the few.
const FUNCTION_LINES_MAX: usize = 70;
/// The few: one in this many.
const LONG_FUNCTIONS_ONE_IN: usize = 100;
const HEAD_LINES: std::ops::RangeInclusive<usize> = 3..=25;
const NAMES_THAT_SAY_NOTHING: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "types", "misc", "manager", "old", "v2", "stuff", "base",
];
const UNFINISHED: &[(&str, &str)] = &[
    ("todo!", "finish it or leave it out"),
    ("unimplemented!", "finish it or leave it out"),
    ("dbg!", "use tracing, or nothing"),
    ("#[ignore", "a test that does not run is none: mend or delete it"),
    ("#[should_panic", "check the error's value instead"),
];

/// All breaches in all Rust files.
pub(crate) fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.ending(".rs").flat_map(check_file).collect();
    let files: Vec<(&str, Vec<Function>)> =
        tree.ending(".rs").map(|file| (file.path.as_str(), functions(&file.text))).collect();
    findings.extend(too_many_long(&files));
    findings
}

/// Files that are long enough to be looked at.
pub(crate) fn long_files(tree: &SourceTree) -> Vec<Finding> {
    let lines = |file: &SourceFile| file.text.lines().count();
    let long = tree.ending(".rs").filter(|file| lines(file) > FILE_LINES_NOTED);
    long.map(|file| Finding::new(&file.path, 0, format!("{} lines: is it one subject?", lines(file))))
        .collect()
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let stem = file.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or_default();
    if NAMES_THAT_SAY_NOTHING.contains(&stem) {
        findings.push(Finding::new(&file.path, 0, "this name says nothing: name the one thing it is about"));
    }
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        let message = format!("{lines} lines; {FILE_LINES_MAX} at most: split it by subject");
        findings.push(Finding::new(&file.path, 0, message));
    }
    let head = file.text.lines().take_while(|line| line.starts_with("//!")).count();
    if !HEAD_LINES.contains(&head) {
        let message = format!(
            "its head has {head} lines of `//!`; write 3 to 25: what it is for, what must always hold, what it refuses"
        );
        findings.push(Finding::new(&file.path, 1, message));
    }
    let code = code_of(&file.text);
    for (number, line) in (1..).zip(code.lines()) {
        for (word, advice) in UNFINISHED {
            if line.contains(word) {
                findings.push(Finding::new(&file.path, number, format!("`{word}`: {advice}")));
            }
        }
    }
    findings
}

/// The long functions, if they are more than the few that are allowed.
fn too_many_long(files: &[(&str, Vec<Function>)]) -> Vec<Finding> {
    let all: usize = files.iter().map(|(_, functions)| functions.len()).sum();
    let long = |function: &&Function| function.lines > FUNCTION_LINES_MAX;
    let count: usize = files.iter().map(|(_, functions)| functions.iter().filter(long).count()).sum();
    if count * LONG_FUNCTIONS_ONE_IN <= all {
        return Vec::new();
    }
    let finding = |path: &str, function: &Function| {
        let Function { name, line, lines } = function;
        let message = format!(
            "`{name}` has {lines} lines; {count} of {all} functions are over {FUNCTION_LINES_MAX}, one in {LONG_FUNCTIONS_ONE_IN} may be"
        );
        Finding::new(path, *line, message)
    };
    let of_file = |(path, functions): &(&str, Vec<Function>)| {
        functions.iter().filter(long).map(|function| finding(path, function)).collect::<Vec<_>>()
    };
    files.iter().flat_map(of_file).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Function, check_file, too_many_long};
    use crate::source_tree::SourceFile;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        check_file(&file).iter().map(ToString::to_string).collect()
    }

    const HEAD: &str = "//! a\n//! b\n//! c\n";

    #[test]
    fn a_tidy_file_has_no_findings() {
        let text = format!("{HEAD}\n/// not `todo!`\nfn f() -> &'static str {{ \"todo!() #[ignore]\" }}\n");
        assert_eq!(messages("crdt/src/clock.rs", &text), Vec::<String>::new());
    }

    #[test]
    fn each_breach_is_found() {
        assert!(messages("a/util.rs", HEAD)[0].contains("name says nothing"));
        assert!(messages("a/b.rs", "//! only one line\n")[0].contains("1 lines of `//!`"));
        assert!(messages("a/b.rs", &"//! x\n".repeat(26))[0].contains("26 lines of `//!`"));
        assert!(messages("a/b.rs", &format!("{HEAD}{}", "\n".repeat(800)))[0].contains("803 lines"));
        for unfinished in [
            "fn f() { todo!() }",
            "#[ignore]\nfn f() {}",
            "#[should_panic(x)]",
            "unimplemented!()",
            "dbg!(1)",
        ] {
            assert_eq!(messages("a/b.rs", &format!("{HEAD}{unfinished}\n")).len(), 1, "{unfinished}");
        }
    }

    #[test]
    fn one_long_function_in_a_hundred_is_allowed_and_two_are_not() {
        let function = |lines| Function { name: "f".to_owned(), line: 1, lines };
        let of = |long: usize, all: usize| {
            let functions = (0..all).map(|n| function(if n < long { 71 } else { 70 })).collect();
            too_many_long(&[("a.rs", functions)]).len()
        };
        assert_eq!((of(1, 100), of(2, 200), of(1, 99), of(2, 199)), (0, 0, 1, 2));
    }
}
