//! The README's commands, run as they stand there, in their order: what a newcomer copies must work.
//!
//! What must always hold: a command that the README shows under "Run it" is run here; none is skipped. Regions stay up until the end, a chat
//! is given one line to say, and everything else must end well by itself. Nothing is left behind.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const README: &str = include_str!("../../README.md");
const PROGRAM: &str = env!("CARGO_BIN_EXE_archipelago");
/// Regions agree within a second or two; a busy machine may take longer.
const AGREED_WITHIN: Duration = Duration::from_secs(60);

/// Processes that end with the test.
struct Regions(Vec<Child>);

impl Drop for Regions {
    fn drop(&mut self) {
        for region in &mut self.0 {
            let _ = region.kill();
            let _ = region.wait();
        }
    }
}

/// The lines of the section's shell block that call the program, without its name.
fn commands() -> Vec<Vec<&'static str>> {
    let section = README.split("## Run it").nth(1).unwrap().split("## ").next().unwrap();
    let block = section.split("```").nth(1).unwrap();
    let lines = block.lines().filter_map(|line| line.strip_prefix("archipelago "));
    lines.map(|line| line.split_whitespace().collect()).collect()
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).current_dir(folder);
    command
}

/// Starts a region and waits for its ready line.
fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut process = program(folder, arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["region"], arguments[1]);
    process
}

/// Says one line in a chat, which ends when that is acknowledged.
fn say(folder: &Path, arguments: &[&str]) {
    let mut chat = program(folder, arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    chat.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    assert!(chat.wait().unwrap().success(), "{arguments:?}");
}

/// `check` and `status` end well once the regions agree and their bridges are open; until then they say what is not.
fn agree(folder: &Path, arguments: &[&str]) {
    let begun = Instant::now();
    loop {
        let output = program(folder, arguments).output().unwrap();
        if output.status.success() {
            return;
        }
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(begun.elapsed() < AGREED_WITHIN, "the regions do not agree: {said}");
    }
}

#[test]
fn the_readmes_commands_work_as_they_stand_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut regions = Regions(Vec::new());
    let commands = commands();
    assert!(commands.len() >= 6, "the README shows how to run it: {commands:?}");
    for arguments in commands {
        match arguments[0] {
            "region" => regions.0.push(start(folder.path(), &arguments)),
            "chat" => say(folder.path(), &arguments),
            "check" | "status" => agree(folder.path(), &arguments),
            _ => {
                let output = program(folder.path(), &arguments).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{arguments:?}: {said}");
            }
        }
    }
}
