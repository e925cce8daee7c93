//! The bans of the cores: the same `clippy.toml` beside each, and proof that clippy refuses what it names.
//!
//! The package graph cannot see the standard library's clock, threads, files and hash maps, nor floats. Clippy can, for one
//! package at a time, by a `clippy.toml` beside its `Cargo.toml`. It misses a clock behind another package's function;
//! the package graph (see `dependency_rules`) does not.

use crate::dependency_rules::PACKAGES;
use crate::finding::Finding;
use crate::source_tree::SourceTree;

/// What stands beside every core.
pub(crate) const BANS: &str = include_str!("core-clippy.toml");

/// What every core's `lib.rs` says besides, since a float needs no name of its type.
const DENIED: &str = "#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]";

/// What stands beside every driver inside a core's folder, since clippy takes the nearest such file upwards.
const NO_BANS: &str = "# A driver touches what its core must not: the bans of the folder above end here (clippy takes the nearest such file).\n";

/// All cores without exactly these bans, and drivers that would inherit them.
pub(crate) fn check(tree: &SourceTree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for core in PACKAGES.iter().filter(|package| package.core) {
        let path = format!("{}/clippy.toml", core.folder);
        if tree.file(&path).is_none_or(|file| file.text != BANS) {
            findings.push(Finding::new(path, 0, "must be a copy of xtask/src/core-clippy.toml"));
        }
        let path = format!("{}/src/lib.rs", core.folder);
        if tree.file(&path).is_none_or(|file| !file.text.contains(DENIED)) {
            findings.push(Finding::new(path, 0, format!("a core says `{DENIED}`")));
        }
    }
    let cores = || PACKAGES.iter().filter(|package| package.core);
    let inside = |folder: &str| cores().any(|core| folder.starts_with(&format!("{}/", core.folder)));
    for driver in PACKAGES.iter().filter(|package| !package.core && inside(package.folder)) {
        let path = format!("{}/clippy.toml", driver.folder);
        if tree.file(&path).is_none_or(|file| file.text != NO_BANS) {
            findings.push(Finding::new(path, 0, "must be the one comment of xtask/src/clippy_rules.rs"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{BANS, DENIED};
    use std::process::Command;

    /// What clippy says of a small package with the bans of a core; empty when it is content.
    fn clippy(code: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        let manifest =
            "[package]\nname = \"planted\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        std::fs::write(folder.path().join("clippy.toml"), BANS).unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), format!("{DENIED}\n{code}\n")).unwrap();
        let output = Command::new("cargo")
            .args(["clippy", "--quiet", "--offline", "--", "-D", "warnings"])
            .current_dir(folder.path())
            .env("CARGO_TARGET_DIR", folder.path().join("target"))
            .env_remove("CLIPPY_CONF_DIR")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), said.is_empty(), "{said}");
        said
    }

    #[test]
    fn a_pure_package_is_let_through() {
        assert_eq!(clippy("pub fn f(x: &std::collections::BTreeMap<u64, u64>) -> usize { x.len() }"), "");
    }

    #[test]
    fn every_planted_violation_is_refused_by_name() {
        let planted = [
            ("pub type A = std::collections::HashMap<u8, u8>;", "std::collections::HashMap"),
            ("pub type B = std::collections::HashSet<u8>;", "std::collections::HashSet"),
            (
                "pub fn c() -> std::hash::RandomState { std::hash::RandomState::new() }",
                "std::hash::RandomState",
            ),
            ("pub fn d() { let _ = std::time::SystemTime::now(); }", "std::time::SystemTime::now"),
            ("pub fn e() { let _ = std::time::Instant::now(); }", "std::time::Instant::now"),
            ("pub fn g() { let _ = std::thread::spawn(|| ()); }", "std::thread::spawn"),
            ("pub fn h() { std::thread::sleep(std::time::Duration::ZERO); }", "std::thread::sleep"),
            ("pub fn i() { let _ = std::env::var(\"X\"); }", "std::env::var"),
            ("pub fn j() { let _ = std::fs::read(\"x\"); }", "std::fs::read"),
            ("pub fn k(_: &std::fs::File) {}", "std::fs::File"),
            ("pub fn l(_: &std::net::TcpStream) {}", "std::net::TcpStream"),
            ("pub fn m(_: &std::sync::Mutex<u8>) {}", "std::sync::Mutex"),
            ("pub fn n(x: f64) -> f64 { x }", "f64"),
            ("pub fn o(x: f32) -> f32 { x }", "f32"),
            ("pub fn p() -> bool { 1.5 + 2.5 > 3.0 }", "floating-point arithmetic"),
        ];
        let code: Vec<&str> = planted.iter().map(|(code, _)| *code).collect();
        let said = clippy(&code.join("\n"));
        for (number, (code, name)) in (2..).zip(planted) {
            // Clippy points at the line and names what is refused there.
            let blocks = said.split("\n\n");
            let found = blocks.filter(|block| block.contains(&format!("src/lib.rs:{number}:")));
            assert!(found.into_iter().any(|block| block.contains(name)), "not refused: {code}\n{said}");
        }
    }
}
