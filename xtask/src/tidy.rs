//! `cargo xtask tidy`: all house rules over the whole repository.
//!
//! What must always hold: the same findings in the same order on every machine, and none of them in `main`.

use crate::finding::Finding;
use crate::source_tree::SourceTree;
use crate::{clippy_rules, dependency_rules, document_rules, reason_rules, source_rules};
use std::process::ExitCode;

/// Prints all breaches; fails if there are any.
pub(crate) fn run() -> ExitCode {
    if let Ok(tree) = SourceTree::read() {
        source_rules::long_files(&tree).iter().for_each(|long| eprintln!("note: {long}"));
    }
    match findings() {
        Err(error) => {
            eprintln!("tidy: the repository cannot be read: {error}");
            ExitCode::FAILURE
        }
        Ok(findings) if findings.is_empty() => {
            println!("tidy");
            ExitCode::SUCCESS
        }
        Ok(findings) => {
            findings.iter().for_each(|finding| println!("{finding}"));
            eprintln!("untidy: {} findings", findings.len());
            ExitCode::FAILURE
        }
    }
}

/// All breaches in the repository.
pub(crate) fn findings() -> std::io::Result<Vec<Finding>> {
    let tree = SourceTree::read()?;
    let mut findings = source_rules::check(&tree);
    findings.extend(document_rules::check(&tree));
    findings.extend(reason_rules::check(&tree));
    findings.extend(clippy_rules::check(&tree));
    findings.extend(dependency_rules::check(&tree));
    findings.extend(lints(&tree));
    findings.sort();
    Ok(findings)
}

/// The one package that says `unsafe`, and has lints of its own: an allocator cannot be written without.
const WITH_UNSAFE: &str = "cli/allocator";

/// Packages that do not take the workspace's lints, `unsafe` forbidden among them.
fn lints(tree: &SourceTree) -> Vec<Finding> {
    let ours = dependency_rules::PACKAGES.iter().filter(|package| package.folder != WITH_UNSAFE);
    let ours = ours.map(|package| format!("{}/Cargo.toml", package.folder));
    let without = ours
        .filter(|path| tree.file(path).is_none_or(|file| !file.text.contains("[lints]\nworkspace = true")));
    without.map(|path| Finding::new(path, 0, "add `[lints]` with `workspace = true`")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn the_house_is_tidy() {
        let findings = super::findings().unwrap();
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{} findings:\n{}", lines.len(), lines.join("\n"));
    }
}
