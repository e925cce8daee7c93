//! A region as a process: a test goes on when it serves, and it ends with the test.
//!
//! What must always hold: no process is left behind, however the test ends.
#![allow(dead_code)] // each test program uses a part of it

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_archipelago");

pub struct RegionProcess {
    process: Child,
    /// What it said once it served.
    pub ready: Value,
}

impl RegionProcess {
    /// Starts a region of the cluster `demo` in that folder, on `data/REGION`; `more` adds to how it is called.
    pub fn start(
        folder: &Path,
        region: &str,
        log: impl Into<Stdio>,
        more: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["region", region, "--cluster", "demo", "--data", &format!("data/{region}")]);
        command.current_dir(folder).stdout(Stdio::piped()).stderr(log);
        more(&mut command);
        let mut started = Self { process: command.spawn().unwrap(), ready: Value::Null };
        let mut line = String::new();
        BufReader::new(started.process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        started.ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{region} says {line:?}"));
        started
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// Tells it to end, as a service manager does, and gives its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait().code()
    }

    /// Ends it without warning.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.wait();
    }
}

impl Drop for RegionProcess {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and that is as well.
        let _ = self.process.kill();
        // However it ended: the test has said what it expects of that.
        let _ = self.process.wait();
    }
}
