//! `archipelago region` as a process: it says when it is ready, serves, refuses in plain words, drains when it is told to end.
//!
//! Every test has a cluster of its own in a temporary folder, on free ports, and leaves no process behind.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod region_process;

use region_process::{PROGRAM, RegionProcess};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn archipelago(folder: &Path, arguments: &str) -> Output {
    Command::new(PROGRAM).args(arguments.split_whitespace()).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a cluster of two regions.
fn cluster() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = archipelago(folder.path(), "init demo --regions east,west --placement local=east");
    assert!(output.status.success(), "{}", said(&output));
    folder
}

fn start(folder: &Path, region: &str) -> RegionProcess {
    RegionProcess::start(folder, region, Stdio::inherit(), |_| {})
}

#[test]
fn a_region_says_where_it_listens_and_ends_well_when_told_to() {
    let folder = cluster();
    let mut region = start(folder.path(), "east");
    assert_eq!(region.ready["region"], "east");
    assert_eq!(region.ready["pid"], region.id());
    let admin = region.ready["admin"].as_str().unwrap();
    assert!(TcpListener::bind(admin).is_err(), "the admin address is taken, by the region");
    assert_eq!(region.end(), Some(0));
    // And it comes back on the same store.
    assert_eq!(start(folder.path(), "east").end(), Some(0));
}

#[test]
fn regions_that_hold_nothing_are_equal_and_one_that_is_down_is_named() {
    let folder = cluster();
    let (mut east, mut west) = (start(folder.path(), "east"), start(folder.path(), "west"));
    let output = archipelago(folder.path(), "check --cluster demo --json");
    assert!(output.status.success(), "{}", said(&output));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["ok"], true);
    assert_eq!(found["placements"][0]["regions"], serde_json::json!(["east", "west"]));
    let output = archipelago(folder.path(), "check --cluster demo --operator-token forged");
    assert_eq!(output.status.code(), Some(6), "{}", said(&output));
    assert_eq!(west.end(), Some(0));
    let output = archipelago(folder.path(), "check --cluster demo");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("region west at"), "{}", said(&output));
    assert_eq!(east.end(), Some(0));
}

#[test]
fn a_port_in_use_is_named_and_leaves_the_store_as_it_was() {
    let folder = cluster();
    let cluster = std::fs::read_to_string(folder.path().join("demo/cluster.toml")).unwrap();
    let value = |key: &str| {
        let line = cluster.lines().find_map(|line| line.strip_prefix(&format!("{key} = "))).unwrap();
        line.trim_matches('"').trim_start_matches("wss://").to_owned()
    };
    for key in ["bridge", "client", "admin"] {
        let address = value(key);
        let udp = (key == "bridge").then(|| UdpSocket::bind(&address).unwrap());
        let tcp = (key != "bridge").then(|| TcpListener::bind(&address).unwrap());
        let output = archipelago(folder.path(), "region east --cluster demo --data data/east");
        assert_eq!(output.status.code(), Some(1), "{key}: {}", said(&output));
        assert!(said(&output).contains(&address), "{key}: {}", said(&output));
        let way_out =
            if key == "bridge" { "free the port, or change `bridge`" } else { "choose another port" };
        assert!(said(&output).contains(way_out), "{key}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{key}: nothing was ready");
        drop((udp, tcp));
    }
    assert_eq!(start(folder.path(), "east").end(), Some(0));
}

#[test]
fn a_data_folder_is_one_regions_and_one_processes() {
    let folder = cluster();
    let mut east = start(folder.path(), "east");
    let output = archipelago(folder.path(), "region west --cluster demo --data data/east");
    assert_eq!(output.status.code(), Some(6), "in use: {}", said(&output));
    assert_eq!(east.end(), Some(0));
    let output = archipelago(folder.path(), "region west --cluster demo --data data/east");
    assert_eq!(output.status.code(), Some(6), "another region's: {}", said(&output));
    assert!(said(&output).contains("east"), "{}", said(&output));
}

#[test]
fn what_does_not_fit_the_cluster_file_is_refused_with_the_way_out() {
    let folder = cluster();
    let refuse = |arguments: &str, code: i32, words: &str| {
        let output = archipelago(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments}: {}", said(&output));
        assert!(!said(&output).contains("panicked"), "{}", said(&output));
    };
    refuse(
        "region north --cluster demo --data data/x",
        4,
        "there is no region `north` in this cluster; there are east, west",
    );
    refuse("region east --cluster nowhere --data data/x", 4, "nowhere");
    refuse(
        "region east --cluster demo --data data/x --insecure-loopback",
        2,
        "leave out --insecure-loopback",
    );
    let file = folder.path().join("demo/cluster.toml");
    let right = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, right.replacen("jurisdiction", "jurisdictoin", 1)).unwrap();
    refuse(
        "region east --cluster demo --data data/x",
        2,
        "demo/cluster.toml: line 7: `jurisdictoin` is not a key of [[region]]; did you mean `jurisdiction`?",
    );
    std::fs::write(&file, right).unwrap();
    std::fs::remove_file(folder.path().join("demo/epochs/local-1.toml")).unwrap();
    refuse("region east --cluster demo --data data/x", 2, "epoch 1 of p2 is missing");
    std::fs::copy(folder.path().join("demo/keys/token.pem"), folder.path().join("demo/certs/east.key"))
        .unwrap();
    refuse("region east --cluster demo --data data/x", 2, "");
    assert!(!folder.path().join("data/x").exists(), "nothing was made");
}
