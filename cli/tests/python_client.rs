//! Another language, another client: `python_client.py`, written from docs/protocol.md alone, against two real regions.
//!
//! It needs Python 3 with the package `websockets`: `ARCHIPELAGO_PYTHON` names such an interpreter. Without it a virtual environment is
//! made once, in the cache that RocksDB is built into as well, and kept.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod two_regions;

use std::path::{Path, PathBuf};
use std::process::Command;
use two_regions::TwoRegions;

/// Pinned, so that a run next year meets what this one met.
const PACKAGE: &str = "websockets==17.4";

fn python() -> PathBuf {
    if let Some(named) = std::env::var_os("ARCHIPELAGO_PYTHON") {
        return named.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).unwrap();
    let environment = cache.join("archipelago/python");
    let interpreter = environment.join("bin/python");
    let has_package = |interpreter: &Path| {
        Command::new(interpreter)
            .args(["-c", "import websockets"])
            .output()
            .is_ok_and(|done| done.status.success())
    };
    if !has_package(&interpreter) {
        let run = |program: &Path, arguments: &[&str]| {
            let done = Command::new(program).args(arguments).output();
            let done = done.unwrap_or_else(|error| panic!("{} cannot be run: {error}", program.display()));
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        };
        run(Path::new("python3"), &["-m", "venv", environment.to_str().unwrap()]);
        run(&interpreter, &["-m", "pip", "install", "--quiet", PACKAGE]);
    }
    interpreter
}

#[test]
fn a_client_written_from_the_page_alone_misses_nothing() {
    let python = python();
    let regions = TwoRegions::start();
    let token = |user: &str, device: &str| {
        regions.run(&["admin", "token", "--cluster", "demo", "--user", user, "--device", device])
    };
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python_client.py"))
        .args(&regions.urls)
        .arg(token("u0001000000000a11", "d0000000000000001"))
        .arg(token("u0001000000000b0b", "d0000000000000002"))
        .arg("demo/certs/ca.pem")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(regions.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["ok"], true);
    assert_eq!(said["messages"], 258);
    assert!(said["connections_of_bob"].as_u64().unwrap() >= 2, "{said}");
}
