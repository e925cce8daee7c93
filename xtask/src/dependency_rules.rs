//! Which package may depend on which, and what no core may reach.
//!
//! This table is the house: a core decides and touches nothing, its driver touches and decides nothing (decision 0001). A core
//! names only ours below it and what is pure; and from it, by whatever path, none of [`NEVER_REACHED`] can be reached, which
//! is asked of `cargo tree` with the features that the core alone turns on.

use crate::finding::Finding;
use crate::rust_text::code_of;
use crate::source_tree::SourceTree;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A package of ours: its name, its folder, whether it is a core, and the packages of ours that it may name.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) folder: &'static str,
    pub(crate) core: bool,
    may_name: &'static [&'static str],
}

const fn core(name: &'static str, folder: &'static str, may_name: &'static [&'static str]) -> Package {
    Package { name, folder, core: true, may_name }
}

const fn driver(name: &'static str, folder: &'static str, may_name: &'static [&'static str]) -> Package {
    Package { name, folder, core: false, may_name }
}

/// Every package.
pub(crate) const PACKAGES: &[Package] = &[
    core("crdt", "crdt", &[]),
    core("documents", "crdt/documents", &["crdt"]),
    core("replication", "replication", &["crdt"]),
    core("region", "region", &["crdt", "documents", "replication"]),
    core("gateway-protocol", "gateway/protocol", &["crdt"]),
    core("gateway", "gateway", &["crdt", "documents", "gateway-protocol", "region"]),
    core("gateway-client", "gateway/client", &["crdt", "gateway-protocol"]),
    core("sim", "sim", &["crdt", "gateway", "gateway-client", "gateway-protocol", "region", "replication"]),
    driver("replication-quic", "replication/quic", &["crdt", "replication"]),
    driver("region-gossip", "region/gossip", &["crdt", "region", "replication-quic"]),
    driver(
        "region-rocks",
        "region/rocks",
        &["crdt", "region", "region-gossip", "replication", "replication-quic"],
    ),
    driver(
        "gateway-edge",
        "gateway/edge",
        &["crdt", "gateway", "gateway-protocol", "region", "region-rocks", "replication"],
    ),
    driver("gateway-client-net", "gateway/client/net", &["crdt", "gateway-client", "gateway-protocol"]),
    driver("sim-wan", "sim/wan", &[]),
    driver(
        "sim-rig",
        "sim/rig",
        &[
            "crdt",
            "gateway-client",
            "gateway-client-net",
            "gateway-protocol",
            "region",
            "replication",
            "sim",
            "sim-wan",
        ],
    ),
    driver("allocator", "cli/allocator", &[]),
    driver("backup", "cli/backup", &["region"]),
    driver(
        "archipelago",
        "cli",
        &[
            "allocator",
            "backup",
            "crdt",
            "gateway",
            "gateway-client",
            "gateway-client-net",
            "gateway-edge",
            "gateway-protocol",
            "region",
            "region-rocks",
            "replication",
            "replication-quic",
            "sim",
            "sim-rig",
            "sim-wan",
        ],
    ),
    driver("xtask", "xtask", &[]),
];

/// What cores may name of others: nothing here opens a socket, reads a clock or draws randomness.
const PURE: &[&str] = &[
    "base64",
    "blake3",
    "bytes",
    "crc32c",
    "ed25519-dalek",
    "miniz_oxide",
    "pbjson",
    "prost",
    "rand_chacha",
    "rand_core",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "toml",
];

/// What no core may reach by whatever path.
const NEVER_REACHED: &[&str] = &[
    "async-std",
    "aws-lc-rs",
    "axum",
    "chrono",
    "crossbeam-channel",
    "fastrand",
    "futures-util",
    "getrandom",
    "hyper",
    "jsonwebtoken",
    "librocksdb-sys",
    "mio",
    "nix",
    "quinn",
    "quinn-proto",
    "rand",
    "rayon",
    "rcgen",
    "reqwest",
    "rocksdb",
    "rustls",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tokio-tungstenite",
    "tungstenite",
    "ureq",
    "uuid",
];

/// Named by code that a build script generates, which tidy does not read.
const GENERATED_CODE_NAMES: &[&str] = &["pbjson", "prost", "serde"];

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Debug, Deserialize)]
struct MetadataPackage {
    name: String,
    dependencies: Vec<MetadataDependency>,
    features: std::collections::BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct MetadataDependency {
    name: String,
    kind: Option<String>,
}

/// All breaches of the table, and dependencies that nothing uses.
pub(crate) fn check(tree: &SourceTree) -> Vec<Finding> {
    let root = tree.root.as_path();
    let metadata = match metadata(root) {
        Ok(metadata) => metadata,
        Err(reason) => return vec![Finding::new("Cargo.toml", 0, reason)],
    };
    let mut findings = named(&metadata);
    findings.extend(unused(&metadata, tree));
    for core in PACKAGES.iter().filter(|package| package.core) {
        match reached(root, core.name) {
            Ok(reached) => findings.extend(impure(core, &reached)),
            Err(reason) => findings.push(manifest(core, reason)),
        }
    }
    findings
}

fn metadata(root: &Path) -> Result<Metadata, String> {
    let output = cargo(root, &["metadata", "--format-version", "1", "--no-deps"])?;
    serde_json::from_str(&output).map_err(|error| format!("cargo metadata: {error}"))
}

/// Everything that a package's code can reach, with the features that it turns on itself.
fn reached(root: &Path, package: &str) -> Result<BTreeSet<String>, String> {
    let arguments =
        ["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let output = cargo(root, &arguments)?;
    Ok(output.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root).output();
    let output = output.map_err(|error| format!("cargo does not start: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// What packages name directly.
fn named(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for found in &metadata.packages {
        let Some(package) = PACKAGES.iter().find(|package| package.name == found.name) else {
            let message =
                format!("package `{}` is not in the table of xtask/src/dependency_rules.rs", found.name);
            findings.push(Finding::new("Cargo.toml", 0, message));
            continue;
        };
        if !found.features.is_empty() {
            findings.push(manifest(
                package,
                "cargo features: vary by package or by a value passed in".to_owned(),
            ));
        }
        for dependency in found.dependencies.iter().filter(|dependency| dependency.kind.is_none()) {
            let name = dependency.name.as_str();
            let ours = PACKAGES.iter().any(|package| package.name == name);
            if ours && !package.may_name.contains(&name) {
                findings.push(manifest(
                    package,
                    format!("may not depend on `{name}`: that arrow points the wrong way"),
                ));
            }
            if !ours && package.core && !PURE.contains(&name) {
                findings.push(manifest(
                    package,
                    format!("a core, may not depend on `{name}`: move what needs it into its driver"),
                ));
            }
        }
    }
    findings
}

/// Dependencies that no file of their package names.
fn unused(metadata: &Metadata, tree: &SourceTree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for found in &metadata.packages {
        let Some(package) = PACKAGES.iter().find(|package| package.name == found.name) else { continue };
        let inner = |path: &str| {
            let deeper = |other: &&Package| other.folder.len() > package.folder.len();
            PACKAGES.iter().filter(deeper).any(|other| path.starts_with(&format!("{}/", other.folder)))
        };
        let own = format!("{}/", package.folder);
        let texts: Vec<String> = tree
            .ending(".rs")
            .filter(|file| file.path.starts_with(&own) && !inner(&file.path))
            .map(|file| code_of(&file.text))
            .collect();
        for dependency in &found.dependencies {
            let name = dependency.name.replace('-', "_");
            let used = |text: &String| {
                text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
            };
            let generates = tree.file(&format!("{own}build.rs")).is_some();
            let generated = generates && GENERATED_CODE_NAMES.contains(&dependency.name.as_str());
            if !generated && !texts.iter().any(used) {
                findings.push(manifest(package, format!("`{}` is not used: remove it", dependency.name)));
            }
        }
    }
    findings
}

fn impure(core: &Package, reached: &BTreeSet<String>) -> Vec<Finding> {
    let impure = NEVER_REACHED.iter().filter(|name| reached.contains(**name));
    impure
        .map(|name| {
            manifest(core, format!("a core, reaches `{name}`: see `cargo tree -p {} -i {name}`", core.name))
        })
        .collect()
}

fn manifest(package: &Package, message: String) -> Finding {
    Finding::new(format!("{}/Cargo.toml", package.folder), 0, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Metadata, PACKAGES, impure, named};

    fn findings(package: &str, dependency: &str, kind: Option<&str>, features: &str) -> Vec<String> {
        let kind = kind.map_or("null".to_owned(), |kind| format!("\"{kind}\""));
        let json = format!(
            r#"{{"packages":[{{"name":"{package}","features":{features},"dependencies":[{{"name":"{dependency}","kind":{kind}}}]}}]}}"#
        );
        let metadata: Metadata = serde_json::from_str(&json).unwrap();
        named(&metadata).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_point_one_way() {
        assert!(findings("region", "crdt", None, "{}").is_empty());
        assert!(findings("crdt", "region", None, "{}")[0].contains("wrong way"));
        assert!(findings("sim", "region-rocks", None, "{}")[0].contains("wrong way"));
    }

    #[test]
    fn cores_name_only_what_is_pure_outside_their_tests() {
        assert!(findings("crdt", "tokio", None, "{}")[0].contains("its driver"));
        assert!(findings("crdt", "uhlc", Some("dev"), "{}").is_empty());
        assert!(findings("region-rocks", "tokio", None, "{}").is_empty());
    }

    #[test]
    fn unknown_packages_and_features_are_found() {
        assert!(findings("newcomer", "crdt", None, "{}")[0].contains("not in the table"));
        assert!(findings("crdt", "bytes", None, r#"{"fast":[]}"#)[0].contains("cargo features"));
    }

    #[test]
    fn what_is_reached_by_detours_counts() {
        let reached = ["bytes", "getrandom"].map(str::to_owned).into();
        assert_eq!(impure(&PACKAGES[0], &reached).len(), 1);
    }

    #[test]
    fn the_table_has_no_circle() {
        for package in PACKAGES {
            for below in package.may_name {
                let below = PACKAGES.iter().find(|other| other.name == *below).unwrap();
                assert!(!below.may_name.contains(&package.name), "{} and {}", package.name, below.name);
                assert!(!package.core || below.core, "{} is a core and {} is not", package.name, below.name);
            }
        }
    }
}
