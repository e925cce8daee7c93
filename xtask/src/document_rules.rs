//! What documents must keep to: every path they name exists, every function they name is in that file, and they stay short.
//!
//! A path is named in backticks and begins with a folder or file of the repository's top; `path::name` names a function or a type
//! of that file. What belongs to a cluster's folder or to the build (`keys/…`, `target/…`) is none of ours and passes.

use crate::finding::Finding;
use crate::source_tree::{SourceFile, SourceTree};
use std::path::Path;

const ARCHITECTURE_LINES_MAX: usize = 400;
const DECISION_LINES_MAX: usize = 120;
/// Made by a build or a run, so not in the repository.
const MADE: &[&str] = &["target", ".cache"];

/// All breaches in all documents.
pub(crate) fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in tree.ending(".md") {
        for (number, line) in (1..).zip(document.text.lines()) {
            for named in line.split('`').skip(1).step_by(2) {
                findings.extend(missing(tree, named).map(|what| Finding::new(&document.path, number, what)));
            }
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                findings.extend(
                    dead(tree, document, link).map(|what| Finding::new(&document.path, number, what)),
                );
            }
        }
        findings.extend(too_long(document));
    }
    for source in tree.ending(".rs").chain(tree.ending(".toml")) {
        // This very package names documents in texts and in tests.
        for (number, line) in (1..).zip(source.text.lines()).filter(|_| !source.path.starts_with("xtask/")) {
            let names = line.match_indices("docs/").map(|(at, _)| line.get(at..).unwrap_or_default());
            for named in names {
                let end =
                    named.find(|c: char| !(c.is_alphanumeric() || "/-_.".contains(c))).unwrap_or(named.len());
                let named = named.get(..end).unwrap_or_default().trim_end_matches('.');
                findings.extend(missing(tree, named).map(|what| Finding::new(&source.path, number, what)));
            }
        }
    }
    findings.extend(undocumented(tree));
    findings
}

/// What is wrong with a name in backticks, if it names something of this repository.
fn missing(tree: &SourceTree, named: &str) -> Option<String> {
    let path = named.split_whitespace().next()?;
    let plain = |c: char| c.is_alphanumeric() || "/-_.:".contains(c);
    if !path.chars().all(plain) || path.contains("NNNN") {
        return None;
    }
    let (path, inside) = path.split_once("::").map_or((path, None), |(path, inside)| (path, Some(inside)));
    // A mutant's name begins with its file and a colon.
    let path = path.trim_start_matches("./").trim_end_matches(['/', ':']);
    let first = path.split('/').next()?;
    if first.is_empty() || MADE.contains(&first) || !path.contains('/') || !tree.root.join(first).exists() {
        return None;
    }
    if !tree.root.join(path).exists() {
        return Some(format!("`{path}` does not exist"));
    }
    let name = inside?.rsplit("::").next()?.trim_end_matches("()");
    let text = tree.file(path).map_or("", |file| file.text.as_str());
    let declared = ["fn ", "struct ", "enum ", "trait ", "const ", "type "].iter().any(|kind| {
        text.match_indices(&format!("{kind}{name}")).any(|(at, found)| {
            let after = text.get(at + found.len()..).and_then(|rest| rest.chars().next());
            after.is_none_or(|after| !(after.is_alphanumeric() || after == '_'))
        })
    });
    (!declared).then(|| format!("`{path}` has no `{name}`"))
}

/// What is wrong with a link, if it leads into this repository.
fn dead(tree: &SourceTree, document: &SourceFile, link: &str) -> Option<String> {
    let path = link.split('#').next().filter(|path| !path.is_empty() && !path.contains("://"))?;
    let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
    (!tree.root.join(folder).join(path).exists()).then(|| format!("the link to `{path}` leads nowhere"))
}

fn too_long(document: &SourceFile) -> Option<Finding> {
    let lines = document.text.lines().count();
    let most = match document.path.as_str() {
        "docs/architecture.md" => ARCHITECTURE_LINES_MAX,
        path if path.starts_with("docs/decisions/0") => DECISION_LINES_MAX,
        _ => return None,
    };
    (lines > most).then(|| Finding::new(&document.path, 0, format!("{lines} lines; {most} at most")))
}

/// Dependencies of the workspace that docs/decisions/dependencies.md does not give a reason for.
fn undocumented(tree: &SourceTree) -> Vec<Finding> {
    let path = "docs/decisions/dependencies.md";
    let reasons = tree.file(path).map_or("", |file| file.text.as_str());
    let manifest = tree.file("Cargo.toml").map_or("", |file| file.text.as_str());
    let section = manifest.split("[workspace.dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let names =
        section.unwrap_or_default().lines().filter(|line| !line.contains("path =") && !line.starts_with('#'));
    let names = names.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    let unexplained = names.filter(|name| !reasons.contains(&format!("`{name}`")));
    unexplained
        .map(|name| Finding::new(path, 0, format!("say why `{name}` was chosen, in one line")))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{check, missing};
    use crate::source_tree::{SourceFile, SourceTree};

    fn tree_with(document: &str) -> SourceTree {
        let mut tree = SourceTree::read().unwrap();
        tree.files.retain(|file| !file.path.ends_with(".md") || file.path.ends_with("dependencies.md"));
        tree.files.push(SourceFile { path: "docs/new.md".to_owned(), text: document.to_owned() });
        tree
    }

    #[test]
    fn what_is_named_must_exist() {
        let tree = tree_with("");
        assert_eq!(missing(&tree, "crdt/src/clock.rs"), None);
        assert_eq!(missing(&tree, "crdt/"), None);
        assert_eq!(missing(&tree, "crdt/src/clock.rs: replace > with =="), None);
        assert_eq!(missing(&tree, "crdt/src/no_clock.rs").unwrap(), "`crdt/src/no_clock.rs` does not exist");
        assert_eq!(missing(&tree, "xtask/src/tidy.rs::findings"), None);
        assert_eq!(
            missing(&tree, "xtask/src/tidy.rs::finding").unwrap(),
            "`xtask/src/tidy.rs` has no `finding`"
        );
        for not_ours in [
            "keys/token.pem",
            "target/release/archipelago",
            "cargo xtask ci",
            "a/b",
            "docs/decisions/NNNN-x.md",
        ] {
            assert_eq!(missing(&tree, not_ours), None, "{not_ours}");
        }
    }

    #[test]
    fn documents_are_read_line_by_line() {
        let found = check(&tree_with(
            "fine\n`crdt/gone.rs` and [this](gone.md) and [that](decisions/0001-layout.md)\n",
        ));
        let found: Vec<String> =
            found.iter().map(ToString::to_string).filter(|f| f.starts_with("docs/new")).collect();
        assert_eq!(
            found,
            [
                "docs/new.md:2: `crdt/gone.rs` does not exist",
                "docs/new.md:2: the link to `gone.md` leads nowhere"
            ]
        );
    }
}
