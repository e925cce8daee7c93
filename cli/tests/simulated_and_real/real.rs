//! The real side: three regions as processes behind the relay, with the demo's own command, and the disk probed meanwhile.
//!
//! What must always hold: nothing is left behind, neither a process nor a file; the replay itself judged that nothing was lost or uncaused.

use crate::times::Times;
use crate::{DURATION_MS, REGIONS};
use crdt::DeviceId;
use sim::history::{Event, Line};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What was seen.
pub struct Real {
    pub times: Times,
    /// What a sync takes on this disk beside that load, at p50.
    pub sync_us: u64,
}

pub fn play(seed: u64) -> Real {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["init", "lab", "--placement", "eu=eu-central", "--insecure-loopback"]);
    let stopped = Arc::new(AtomicBool::new(false));
    let probe = {
        let (stopped, path) = (Arc::clone(&stopped), folder.path().join("probe"));
        thread::spawn(move || probe(&path, &stopped))
    };
    let (duration, seed) = (format!("{}s", DURATION_MS / 1_000), seed.to_string());
    let replay = ["replay", "--cluster", "lab", "--output", "run", "--links", "delay-only"];
    run(folder.path(), &[&replay[..], &["--duration", &duration, "--seed", &seed]].concat());
    stopped.store(true, Ordering::Relaxed);
    let mut histories: BTreeMap<DeviceId, Vec<Line>> = BTreeMap::new();
    for entry in fs::read_dir(folder.path().join("run/histories")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines: Vec<Line> = text.lines().map(|line| Line::read(line).unwrap()).collect();
        let Event::Began { device, .. } = &lines[0].event else {
            panic!("a history begins with who it is of")
        };
        histories.insert(*device, lines);
    }
    let region = |name: &str| REGIONS.iter().position(|region| *region == name).unwrap();
    Real { times: Times::of(&histories, region), sync_us: probe.join().unwrap() }
}

fn run(folder: &Path, arguments: &[&str]) {
    let program = env!("CARGO_BIN_EXE_archipelago");
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    let said = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{}", said.0, said.1);
}

/// What an append of some KiB with its sync takes, at p50: what a shard's batch costs.
fn probe(path: &Path, stopped: &AtomicBool) -> u64 {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut took_us = Vec::new();
    while !stopped.load(Ordering::Relaxed) {
        let begun = Instant::now();
        file.write_all(&[0x5a; 2_048]).unwrap();
        file.sync_data().unwrap();
        took_us.push(u64::try_from(begun.elapsed().as_micros()).unwrap());
        thread::sleep(Duration::from_millis(5));
    }
    crate::times::median(&took_us)
}
