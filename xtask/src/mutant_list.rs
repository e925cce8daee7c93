//! What could be mistyped, as `cargo mutants` lists it, and the reasons why some of it may go unnoticed.
//!
//! A mutant's name is its file and what is replaced by what in which function, without line and column, so that a change elsewhere in the file leaves it; of several
//! alike the second has a `(2)`, and so on. `docs/mutants.md` lists survivors by that name, a line each (`` - `name` ``), under a heading; a reason stands behind the
//! name, or, for several, between the heading and the first of them.
//!
//! What must always hold: a name stands for one mutant; a survivor without a reason is not listed.

use crate::scratch_tree::ScratchTree;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What is no core but a test of others: a mistake in it makes it notice less, and nothing else.
const TESTS_OF_OTHERS: &str = "region/src/store/conformance.rs";
/// Where the reasons are.
pub(crate) const REASONS: &str = "docs/mutants.md";

/// A small mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mutant {
    name: String,
    read: Read,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Read {
    name: String,
    package: String,
    file: String,
    replacement: String,
    span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Span {
    start: At,
    end: At,
}

/// A place in a file, from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct At {
    line: usize,
    column: usize,
}

/// All mutants of some packages of a copy.
pub(crate) fn list(tree: &ScratchTree, packages: &[&str]) -> io::Result<Vec<Mutant>> {
    let mut arguments = vec!["mutants", "--list", "--json", "--no-config", "--exclude", TESTS_OF_OTHERS];
    arguments.extend(packages.iter().flat_map(|package| ["--package", package]));
    let text = tree.cargo_prints(&arguments).map_err(|error| {
        io::Error::other(format!(
            "{error}; `./dev mutants` installs cargo-mutants, or: cargo install --locked cargo-mutants"
        ))
    })?;
    let read: Vec<Read> = serde_json::from_str(&text)?;
    Ok(name_all(read))
}

fn name_all(read: Vec<Read>) -> Vec<Mutant> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let name = |read: Read| {
        let At { line, column } = read.span.start;
        let plain = read.name.replacen(&format!(":{line}:{column}:"), ":", 1);
        let count = counts.entry(plain.clone()).or_default();
        *count += 1;
        let name = if *count == 1 { plain } else { format!("{plain} ({count})") };
        Mutant { name, read }
    };
    read.into_iter().map(name).collect()
}

impl Mutant {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn package(&self) -> &str {
        &self.read.package
    }

    pub(crate) fn file(&self) -> &str {
        &self.read.file
    }

    /// Where it stands among all.
    pub(crate) fn place(&self) -> (String, String, usize, usize) {
        let At { line, column } = self.read.span.start;
        (self.read.package.clone(), self.read.file.clone(), line, column)
    }

    /// Where it stands in the order in which a sample of that number takes them: as good as by chance, and the same on every machine (FNV-1a, mixed).
    pub(crate) fn rank(&self, seed: u64) -> u64 {
        let bytes = seed.to_le_bytes();
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = bytes.iter().chain(self.name.as_bytes()).fold(0xcbf2_9ce4_8422_2325, step);
        let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ (mixed >> 33)
    }

    /// The file with the mistake in it.
    pub(crate) fn make(&self, original: &str) -> String {
        let Span { start, end } = self.read.span;
        let mut made = String::with_capacity(original.len() + self.read.replacement.len());
        let mut at = At { line: 1, column: 1 };
        for character in original.chars() {
            if at == start {
                made.push_str(&self.read.replacement);
            }
            if at < start || at >= end {
                made.push(character);
            }
            at = match character {
                '\n' => At { line: at.line + 1, column: 1 },
                _ => At { column: at.column + 1, ..at },
            };
        }
        made
    }
}

/// The survivors that have a reason.
#[derive(Debug, Default)]
pub(crate) struct Listed(BTreeMap<String, String>);

impl Listed {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        if path.exists() { Ok(Self::parse(&fs::read_to_string(path)?)) } else { Ok(Self::default()) }
    }

    fn parse(text: &str) -> Self {
        let mut listed = BTreeMap::new();
        let mut common = String::new();
        for line in text.lines() {
            if line.starts_with('#') {
                common.clear();
            } else if let Some((name, own)) = line.strip_prefix("- `").and_then(|line| line.split_once('`')) {
                let own = own.trim_start_matches(':').trim();
                let reason = if own.is_empty() { common.trim() } else { own };
                if !reason.is_empty() {
                    listed.insert(name.to_owned(), reason.to_owned());
                }
            } else if !line.is_empty() {
                common = format!("{common} {line}");
            }
        }
        Self(listed)
    }

    pub(crate) fn reason(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{At, Listed, Mutant, REASONS, Read, Span, name_all};
    use std::path::Path;

    const ORIGINAL: &str = "fn less(a: u8) -> bool {\n    a < 3\n}\n";

    fn read(column: usize, length: usize, replacement: &str) -> Read {
        let at = |column| At { line: 2, column };
        Read {
            name: format!("x.rs:2:{column}: replace < with {replacement} in less"),
            package: "x".to_owned(),
            file: "x.rs".to_owned(),
            replacement: replacement.to_owned(),
            span: Span { start: at(column), end: at(column + length) },
        }
    }

    fn mutants() -> Vec<Mutant> {
        name_all(vec![read(7, 1, "=="), read(7, 1, ">"), read(5, 5, ">")])
    }

    #[test]
    fn a_mutant_is_its_file_with_one_span_replaced() {
        let made: Vec<String> = mutants().iter().map(|mutant| mutant.make(ORIGINAL)).collect();
        assert_eq!(made[0], ORIGINAL.replace('<', "=="));
        assert_eq!(made[2], ORIGINAL.replace("a < 3", ">"));
    }

    #[test]
    fn names_do_not_move_with_lines_and_each_stands_for_one() {
        let names: Vec<String> = mutants().iter().map(|mutant| mutant.name().to_owned()).collect();
        let expected = [
            "x.rs: replace < with == in less",
            "x.rs: replace < with > in less",
            "x.rs: replace < with > in less (2)",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn another_seed_takes_another_order() {
        let ranks = |seed| mutants().iter().map(|mutant| mutant.rank(seed)).collect::<Vec<_>>();
        assert_eq!(ranks(1), ranks(1));
        assert_ne!(ranks(1), ranks(2));
    }

    #[test]
    fn a_survivor_counts_as_listed_when_it_has_a_reason() {
        let text =
            "# All\nabout\n\n## Equal\nno difference\n- `a`\n- `b`: its own\n\n## Nothing said\n- `c`\n";
        let listed = Listed::parse(text);
        let reasons = ["a", "b", "c"].map(|name| listed.reason(name));
        assert_eq!(reasons, [Some("no difference"), Some("its own"), None]);
    }

    #[test]
    fn every_survivor_that_is_listed_has_a_reason() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(REASONS);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("- `")).count();
        assert_eq!(Listed::read(&path).unwrap().names().count(), lines);
    }
}
