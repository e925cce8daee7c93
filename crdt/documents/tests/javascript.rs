//! Another language, another Automerge: its JavaScript package in node loads what regions hold, changes it, and hands the changes back.
//!
//! What must always hold: equal heads and equal values on both sides, also after the package has saved the document and loaded it again. It needs node 20 or later and
//! npm, with which the package is installed once, in the cache that RocksDB is built into as well, and kept.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "this test starts another program")]

use crate::world::{Region, USER, name, text};
use crdt::DeviceId;
use documents::{Actor, Edit, Part, Schema, Taken};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Pinned, so that a run next year meets what this one met.
const PACKAGE: &str = "@automerge/automerge@3.5.0";

/// Set to anything, a machine without node passes; `./dev test` says so when it does.
const WITHOUT: &str = "ARCHIPELAGO_WITHOUT_NODE";

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success())
}

/// A folder with the package.
fn package() -> Option<PathBuf> {
    let is_there = has("node") && has("npm");
    assert!(
        is_there || std::env::var_os(WITHOUT).is_some(),
        "no node on this machine, so documents are not exchanged with Automerge in JavaScript: install it (Debian: `apt-get install nodejs npm`; \
         `./dev test` does so where it may), or set {WITHOUT}=1 to do without"
    );
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).unwrap();
    let folder = cache.join("archipelago/node").join(PACKAGE.replace(['/', '@'], "-"));
    if is_there && !folder.exists() {
        // Beside it, and there by one rename: another test may be at it too, and npm writes the first file long before the last.
        let beside = folder.parent().unwrap();
        std::fs::create_dir_all(beside).unwrap();
        let made = tempfile::tempdir_in(beside).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        let done = npm.arg(made.path()).arg(PACKAGE).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let renamed = std::fs::rename(made.path(), &folder);
        assert!(renamed.is_ok() || folder.exists(), "{renamed:?}");
    }
    is_there.then_some(folder)
}

struct Node(Child, ChildStdin, BufReader<ChildStdout>);

impl Node {
    fn start(package: &Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/javascript.mjs");
        let mut node = Command::new("node");
        node.arg(script).arg(package).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut node = node.spawn().unwrap();
        let (asks, answers) = (node.stdin.take().unwrap(), node.stdout.take().unwrap());
        Self(node, asks, BufReader::new(answers))
    }

    fn ask(&mut self, what: &Value) -> Value {
        writeln!(self.1, "{what}").unwrap();
        let mut line = String::new();
        self.2.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Has a device change what that region holds, and hand it in.
    fn change(&mut self, region: &Region, device: u64, times: u64) -> (Vec<Vec<u8>>, Value) {
        let actor = Actor::of_device(region.replica, USER, DeviceId(device)).to_string();
        let document = hexadecimal(&region.export());
        let ask = json!({"do": "change", "document": document, "actor": actor, "times": times, "seed": device * 13});
        let said = self.ask(&ask);
        let changes = said["changes"].as_array().unwrap().iter();
        (changes.map(|change| bytes(change.as_str().unwrap())).collect(), said["view"].clone())
    }

    /// Holds what it reads of a region's document against what we do.
    fn agrees(&mut self, region: &Region) {
        let said = self.ask(&json!({"do": "look", "document": hexadecimal(&region.export())}));
        assert_eq!(said["view"], view(region));
        assert_eq!(said["again"], view(region));
        assert_eq!(said["changes"], region.document.changes() + 1);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn view(region: &Region) -> Value {
    let view = region.document.conversation();
    let settings: BTreeMap<_, _> = view.settings;
    json!({
        "heads": region.document.heads().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "name": view.name, "icon": view.icon, "description": view.description,
        "pinned": view.pinned, "settings": settings,
    })
}

#[test]
fn documents_go_to_automerge_in_javascript_and_back() {
    let Some(package) = package() else { return };
    let mut node = Node::start(&package);
    let mut one = Region::new(1, Schema::Conversation);
    node.agrees(&one);
    one.edit(&[name("Sailing"), Edit::Describe("to the islands 🙂".into())]);
    one.edit(&[Edit::Mark { part: Part::Pinned, key: "m1".into() }, text(Part::Settings, "s1", "é")]);
    node.agrees(&one);
    let (changes, shown) = node.change(&one, 1, 40);
    for change in changes {
        assert_eq!(one.take((one.replica, USER, change)), Taken::Stands);
    }
    assert_eq!(view(&one), shown);
    one.edit(&[name("Rowing")]);
    node.agrees(&one);
}

#[test]
fn a_thousand_concurrent_edits_end_in_equal_heads() {
    let Some(package) = package() else { return };
    let mut node = Node::start(&package);
    let mut regions: Vec<Region> = (1..4).map(|region| Region::new(region, Schema::Conversation)).collect();
    // Two devices in JavaScript at each region, and the region itself: nine that see nothing of each other until the end.
    for region in &mut regions {
        let apart = region.clone();
        for device in [1, 2] {
            let device = device + 10 * u64::from(region.replica.region.0);
            for change in node.change(&apart, device, 112).0 {
                assert_eq!(region.take((region.replica, USER, change)), Taken::Stands);
            }
        }
        let mut told = apart;
        for round in 0..112 {
            let of = format!("{} {round}", region.replica.region.0);
            told.edit(&[name(&of), Edit::Describe(of.clone()), text(Part::Settings, "s1", &of)]);
        }
        for issued in told.log {
            assert_eq!(region.take(issued), Taken::Stands);
        }
    }
    for (to, first, second) in [(0, 1, 2), (1, 2, 0), (2, 0, 1)] {
        for from in [first, second] {
            let from = regions[from].clone();
            regions[to].sync(&from);
        }
    }
    assert_eq!(regions[0].document.changes(), 3 * 3 * 112);
    for region in &regions {
        assert_eq!(region.document.heads().len(), 9);
        assert_eq!(region.document.encode(), regions[0].document.encode());
    }
    // One more on top of all, and there is one head.
    regions[0].edit(&[Edit::Describe("in the end".into())]);
    assert_eq!(regions[0].document.heads().len(), 1);
    node.agrees(&regions[0]);
}
