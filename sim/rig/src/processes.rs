//! The region processes: started, waited for, killed without warning, started again, stopped.
//!
//! What must always hold: no process outlives the rig that started it (they are killed when dropped); what a process says after its
//! ready line is read and kept in `REGION.log`, so a full pipe never stops it.

use crate::limits::{READY_WITHIN, STOP_WITHIN};
use crate::options::ReplayError;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// One region's process, or the place where it will be again.
#[derive(Debug)]
pub(crate) struct RegionProcess {
    name: String,
    program: PathBuf,
    cluster_file: PathBuf,
    data: PathBuf,
    log: PathBuf,
    environment: Vec<(&'static str, PathBuf)>,
    child: Option<Child>,
}

impl RegionProcess {
    /// A region of that cluster, with its data and log under `output`. Not started yet.
    pub(crate) fn new(name: &str, program: &Path, cluster_folder: &Path, output: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            cluster_file: cluster_folder.join("cluster.toml"),
            data: output.join("data").join(name),
            log: output.join(format!("{name}.log")),
            environment: vec![],
            child: None,
        }
    }

    /// From its next start on it sees these variables too.
    pub(crate) fn set_environment(&mut self, environment: Vec<(&'static str, PathBuf)>) {
        self.environment = environment;
    }

    /// From its next start on it is another program.
    pub(crate) fn upgrade_to(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// The id of its process, if it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    /// Starts it and waits until it is ready. Returns its process id.
    ///
    /// # Errors
    /// [`ReplayError`] when it does not start, ends, or is not ready in time; with the end of what it said.
    pub(crate) async fn start(&mut self) -> Result<u32, ReplayError> {
        let open =
            |reason: std::io::Error| ReplayError::File { path: self.log.clone(), reason: reason.to_string() };
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).map_err(open)?;
        let mut command = Command::new(&self.program);
        command.arg("region").arg(&self.name).arg("--cluster").arg(&self.cluster_file);
        command.arg("--data").arg(&self.data).arg("--insecure-loopback");
        command.envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| self.failed(&format!("{}: {error}", self.program.display())))?;
        let pid = child.id().unwrap_or(0);
        let stdout = child.stdout.take().ok_or_else(|| self.failed("its output cannot be read"))?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(READY_WITHIN, lines.next_line()).await;
        let said = match ready {
            Ok(Ok(Some(line))) if serde_json::from_str::<serde_json::Value>(&line).is_ok() => Ok(()),
            Ok(Ok(Some(line))) => Err(format!("its first line should be JSON, it was: {line}")),
            Ok(Ok(None)) => Err(format!("it ended before it was ready: {}", self.last_words())),
            Ok(Err(error)) => Err(format!("its output cannot be read: {error}")),
            Err(_) => Err(format!("it was not ready within {} s", READY_WITHIN.as_secs())),
        };
        said.map_err(|reason| self.failed(&reason))?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        self.child = Some(child);
        Ok(pid)
    }

    /// Kills it without warning and waits until it is gone. Returns the id of the process that was killed; none if it did not run.
    pub(crate) async fn kill(&mut self) -> Option<u32> {
        let mut child = self.child.take()?;
        let pid = child.id();
        // Either it is killed, or it had ended already, and then there is no id.
        let _killed = child.kill().await;
        pid
    }

    /// Whether it ended although nobody asked it to; then with what it said last.
    pub(crate) fn ended_by_itself(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(format!("region {} ended by itself ({status}): {}", self.name, self.last_words()))
    }

    /// Asks it to stop and waits; kills it if it does not. Says so if that was needed.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        if let Some(pid) = pid {
            // A process that is gone already needs no signal; waiting tells.
            let _asked = kill(pid, Signal::SIGTERM);
        }
        match tokio::time::timeout(STOP_WITHIN, child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => {
                // If it ended this very moment, it ended late all the same.
                let _killed = child.kill().await;
                Err(format!(
                    "region {} did not stop within {} s of SIGTERM",
                    self.name,
                    STOP_WITHIN.as_secs()
                ))
            }
        }
    }

    fn failed(&self, reason: &str) -> ReplayError {
        ReplayError::Region { region: self.name.clone(), reason: reason.to_owned() }
    }

    /// The last lines of its log.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let mut last: Vec<&str> = log.lines().rev().take(3).collect();
        last.reverse();
        if last.is_empty() { "it said nothing".to_owned() } else { last.join(" / ") }
    }
}
