//! A region on a machine that gives it too few files: refused by name where it could not work, warned where it can; and on one that keeps what was in the memory of whatever crashes.
//!
//! What must always hold: a refusal comes before a store is opened; a warning is one line that says what to change, in the log and in `archipelago status`.

#![allow(clippy::unwrap_used)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_archipelago");

/// A process that ends with the test.
struct Region(Child);

impl Drop for Region {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and that is as well.
        let _ = self.0.kill();
        // However it ended: the test has said what it expects of that.
        let _ = self.0.wait();
    }
}

/// A region whose process may open so many files, and no more.
fn start(folder: &Path, files: u32) -> Region {
    start_under(folder, &format!("ulimit -n {files}"))
}

/// A region whose process has that limit.
fn start_under(folder: &Path, limit: &str) -> Region {
    let script = format!("{limit} && exec \"$0\" region east --cluster demo --data data");
    let log = File::create(folder.join("log")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &script, PROGRAM]).current_dir(folder).env("ARCHIPELAGO_LOG", "warn");
    Region(command.stdout(Stdio::piped()).stderr(log).spawn().unwrap())
}

/// The line that a region prints once it serves; nothing if it ends before.
fn ready(region: &mut Region) -> String {
    let mut line = String::new();
    BufReader::new(region.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line
}

#[test]
fn a_region_that_may_open_too_few_files_is_refused_by_name_or_warned() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap()
    };
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(run("init demo --regions east --placement local=east").status.success());

    // 32 a store and 32 beside are the least.
    let mut refused = start(folder.path(), 95);
    assert_eq!(ready(&mut refused), "", "it is not served");
    assert_eq!(refused.0.wait().unwrap().code(), Some(1));
    assert!(log().contains("(machine_descriptors)") && log().contains("LimitNOFILE=17664"), "{}", log());
    assert!(!folder.path().join("data/global").exists(), "no store was opened");

    let mut warned = start(folder.path(), 1_024);
    assert!(ready(&mut warned).contains("\"east\""), "{}", log());
    let lines = log().lines().filter(|line| line.contains("machine_descriptors")).count();
    assert!(lines == 1 && log().contains("the process may open 1024 files"), "{}", log());
    let status = run("status --cluster demo --json");
    let said: Value = serde_json::from_slice(&status.stdout).unwrap();
    let told = said["regions"]["east"]["machine"].as_array().unwrap();
    let told = told.iter().find(|shortage| shortage["code"] == "machine_descriptors").unwrap();
    assert_eq!(told["stops"], false);
    assert_eq!((status.status.code(), &said["ok"]), (Some(0), &Value::Bool(true)), "a note is no problem");
    let table = String::from_utf8(run("status --cluster demo").stdout).unwrap();
    assert!(table.contains("! east: the process may open 1024 files"), "{table}");
}

#[test]
fn a_region_that_crashes_leaves_nothing_of_its_memory_behind() {
    let folder = tempfile::tempdir().unwrap();
    let init = ["init", "demo", "--regions", "east", "--placement", "local=east"];
    assert!(Command::new(PROGRAM).args(init).current_dir(folder.path()).status().unwrap().success());
    let unlimited = "ulimit -c unlimited";
    let mut other = Command::new("sh");
    other.args(["-c", &format!("{unlimited} && kill -ABRT $$")]).current_dir(folder.path());
    let others_are_dumped = other.status().unwrap().core_dumped();
    let is_dump = |name: &str| name.starts_with("core");
    let files = || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let dumps = || files().filter(|name| is_dump(&name.to_string_lossy())).collect::<Vec<_>>();
    for dump in dumps() {
        std::fs::remove_file(folder.path().join(dump)).unwrap();
    }

    let mut region = start_under(folder.path(), unlimited);
    assert_ne!(ready(&mut region), "");
    let process = region.0.id();
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(limit.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["1", "1"], "{limit}");
    kill(Pid::from_raw(process.try_into().unwrap()), Signal::SIGABRT).unwrap();
    let ended = region.0.wait().unwrap();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(Signal::SIGABRT as i32), false));
    assert!(dumps().is_empty(), "{:?}", dumps());
    if !others_are_dumped {
        eprintln!("this machine dumps no process at all, so only the limit was looked at");
    }
}
