//! What must carry a reason beside it: a result that is thrown away, and what can end the process.
//!
//! `let _ = …` may be a decision ("a peer that does not hear it finds out by its timeout") or an oversight, and only a sentence tells the two apart. The same
//! holds for `unwrap`, `expect`, `panic!` and `unreachable!`: the sentence is the proof that it cannot happen.
//!
//! What must always hold: outside tests, each of them has a comment on its line or the three above it, or one further up in its function that says
//! that it holds "here and below". That the reason is a good one is for people to judge.

use crate::finding::Finding;
use crate::function_length::{Function, functions};
use crate::rust_text::code_of;
use crate::source_tree::{SourceFile, SourceTree};

/// What wants a reason, and what the reason is to say.
const WANT_REASONS: &[(&str, &str)] = &[
    ("let _", "say above it why the result does not matter"),
    (".ok();", "say above it why the error does not matter"),
    (".unwrap()", "say above it why this cannot fail, or return the error"),
    (".expect(", "say above it why this cannot fail, or return the error"),
    ("panic!(", "say above it why this cannot be reached, or return an error"),
    ("unreachable!(", "say above it why this cannot be reached, or return an error"),
];
const LINES_ABOVE: usize = 3;
const HOLDS_ON: &str = "here and below";

/// All breaches in all Rust files.
pub(crate) fn check(tree: &SourceTree) -> Vec<Finding> {
    tree.ending(".rs").filter(|file| !is_test(file)).flat_map(check_file).collect()
}

/// Tests are free, and so is what only they are run by.
fn is_test(file: &SourceFile) -> bool {
    ["/tests/", "/examples/"].iter().any(|folder| file.path.contains(folder))
        || file.path.ends_with("tests.rs")
        || file.text.lines().any(|line| line.starts_with("#![allow(") && line.contains("clippy::unwrap_used"))
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let product = file.text.split("#[cfg(test)]").next().unwrap_or_default();
    let (lines, code): (Vec<&str>, String) = (product.lines().collect(), code_of(product));
    let functions = functions(product);
    let mut findings = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let wants = WANT_REASONS.iter().find(|(word, _)| line.contains(word) && !is_kept(word, line));
        if let Some((word, advice)) = wants.filter(|_| !has_reason(&lines, at, &functions)) {
            let word = word.trim_matches(['.', ';', '(']);
            findings.push(Finding::new(&file.path, at + 1, format!("`{word}`: {advice}")));
        }
    }
    findings
}

/// What looks like one of them and is none: a field that is skipped (`let _: [u8; 4] = …?`), an error that becomes a value (`let found = ….ok();`).
fn is_kept(word: &str, line: &str) -> bool {
    match word {
        "let _" => line.contains("let _:"),
        ".ok();" => line.contains(" = ") || line.trim_start().starts_with('.'),
        _ => false,
    }
}

/// Whether a line, counted from 0, has a comment close by, or one that holds on in its function.
fn has_reason(lines: &[&str], at: usize, functions: &[Function]) -> bool {
    let says = |line: &&&str| line.contains("// ");
    let close = lines.get(at.saturating_sub(LINES_ABOVE)..=at).unwrap_or_default();
    let around = functions
        .iter()
        .filter(|function| (function.line..function.line + function.lines).contains(&(at + 1)));
    let begins = around.map(|function| function.line - 1).max().unwrap_or(at);
    let above = lines.get(begins..at).unwrap_or_default();
    close.iter().any(|line| says(&line)) || above.iter().any(|line| says(&line) && line.contains(HOLDS_ON))
}

#[cfg(test)]
mod tests {
    use super::check_file;
    use crate::source_tree::SourceFile;

    fn lines(text: &str) -> Vec<String> {
        let file = SourceFile { path: "a/b.rs".to_owned(), text: text.to_owned() };
        check_file(&file).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_thrown_away_or_ends_the_process_without_a_reason_is_found() {
        for (line, word) in [
            ("let _ = send();", "`let _`"),
            ("let _sent = send();", "`let _`"),
            ("send().ok();", "`ok()`"),
            ("map.get(1).unwrap()", "`unwrap()`"),
            ("map.get(1).expect(\"there\")", "`expect`"),
            ("_ => panic!(\"never\"),", "`panic!`"),
            ("_ => unreachable!(),", "`unreachable!`"),
        ] {
            let found = lines(&format!("fn f() {{\n    {line}\n}}\n"));
            assert!(
                found.len() == 1 && found.iter().all(|found| found.starts_with(&format!("a/b.rs:2: {word}"))),
                "{found:?}"
            );
            assert!(
                lines(&format!("fn f() {{\n    // Nobody listens any more.\n    {line}\n}}\n")).is_empty()
            );
            assert!(
                lines(&format!("#[cfg(test)]\nmod tests {{\n    {line}\n}}\n")).is_empty(),
                "tests are free"
            );
        }
    }

    #[test]
    fn a_reason_holds_for_its_lines_or_as_far_as_it_says() {
        let far = "\n".repeat(4);
        let text =
            |reason: &str, end: &str| format!("fn f() {{\n    {reason}{far}{end}    let _ = send();\n}}\n");
        assert_eq!(lines(&text("// Writing to memory cannot fail.", "")).len(), 1);
        assert_eq!(lines(&text("// Writing to memory cannot fail, here and below.", "")).len(), 0);
        assert_eq!(
            lines(&text("// Writing to memory cannot fail, here and below.", "}\nfn g() {\n")).len(),
            1
        );
    }
}
