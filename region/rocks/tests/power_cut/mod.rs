//! A process on a disk that keeps only what a returned sync covered, and the power cut that ends it.
//!
//! The process is this very test program, started again under the shim (`shim/lying_disk.c`) to run one test by name. A kill alone
//! keeps the page cache and proves nothing; here each file is cut back to what the journal says was synced.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The disk below one folder.
pub struct Disk {
    data: PathBuf,
    beside: PathBuf,
    mode: &'static str,
}

/// A run of the process, and what the disk held when it began.
pub struct Life {
    child: Child,
    durable: BTreeMap<u64, u64>,
    said: BufReader<ChildStdout>,
}

impl Disk {
    /// Compiles the shim. `data` is what the power cut reaches, `beside` what it does not.
    pub fn new(data: PathBuf, beside: PathBuf, mode: &'static str) -> Self {
        let disk = Self { data, beside, mode };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shim/lying_disk.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(disk.shim()).arg(source);
        assert!(compile.arg("-ldl").status().unwrap().success(), "the shim compiles");
        disk
    }

    fn shim(&self) -> PathBuf {
        self.beside.join("lying_disk.so")
    }

    fn journal(&self) -> PathBuf {
        self.beside.join("journal")
    }

    /// What the process wrote to standard error in its last life.
    pub fn last_words(&self) -> String {
        fs::read_to_string(self.beside.join("stderr")).unwrap()
    }

    /// Starts the process on what the disk holds.
    pub fn begin(&self, test: &str, (name, value): (&str, &Path)) -> Life {
        let durable = files(&self.data).into_iter().map(|(_, inode, bytes)| (inode, bytes)).collect();
        File::create(self.journal()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env(name, value).env("LD_PRELOAD", self.shim());
        child.env("LYING_DISK_JOURNAL", self.journal()).env("LYING_DISK_MODE", self.mode);
        child.stdout(Stdio::piped()).stderr(File::create(self.beside.join("stderr")).unwrap());
        let mut child = child.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Life { child, durable, said }
    }

    /// Kills the process and cuts the power. Gives what it said before it died, even if nobody had read it yet.
    pub fn kill(&self, mut life: Life) -> String {
        life.child.kill().unwrap();
        let said = life.rest();
        life.child.wait().unwrap();
        self.forget_unsynced(&life.durable);
        said
    }

    /// Waits until the process has ended by itself, by SIGABRT, and cuts the power. Gives what it said.
    pub fn wait_for_abort(&self, life: Life) -> String {
        let Life { mut child, durable, mut said } = life;
        let (all_said, heard) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            said.read_to_string(&mut text).unwrap();
            all_said.send(text).unwrap();
        });
        let Ok(said) = heard.recv_timeout(Duration::from_secs(60)) else {
            child.kill().unwrap();
            panic!("the process does not end by itself");
        };
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(6), "the process ends by itself, by SIGABRT: {said}");
        self.forget_unsynced(&durable);
        said
    }

    /// What a power cut does: of each file only what a returned sync covered is left.
    fn forget_unsynced(&self, durable_before: &BTreeMap<u64, u64>) {
        let mut durable = durable_before.clone();
        for line in fs::read_to_string(self.journal()).unwrap().lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let [event, inode, length] = fields[..] else { panic!("a journal line: {line}") };
            let inode = inode.parse().unwrap();
            match event {
                "S" => _ = durable.insert(inode, length.parse().unwrap()),
                _ => _ = durable.remove(&inode),
            }
        }
        for (path, inode, bytes) in files(&self.data) {
            match durable.get(&inode) {
                None => fs::remove_file(path).unwrap(),
                Some(covered) if *covered < bytes => {
                    OpenOptions::new().write(true).open(path).unwrap().set_len(*covered).unwrap();
                }
                Some(_) => {}
            }
        }
    }
}

impl Life {
    /// What the process says while it lives.
    pub fn said(&mut self) -> &mut BufReader<ChildStdout> {
        &mut self.said
    }

    fn rest(&mut self) -> String {
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        said
    }
}

/// Every file below, with its inode and length.
fn files(folder: &Path) -> Vec<(PathBuf, u64, u64)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let about = fs::metadata(&path).unwrap();
        if about.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path, about.ino(), about.len()));
        }
    }
    found
}
