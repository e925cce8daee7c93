//! The thread that reads a placement's store again, at leisure: `region::scrub` says what and how often.
//!
//! What must always hold: dropping it stops and ends it, after the partition that it is reading; what it finds is counted, and logged by name once a process.
//! A store that cannot be read is told of like damage: nobody knows what lies there.

use crate::counters::ShardCounters;
use crate::store::Reader;
use region::scrub::Scrub;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Names of damages that are remembered as told.
const TOLD_MAX: usize = 10_000;

/// The thread. Dropping this stops and ends it.
#[derive(Debug)]
pub(crate) struct Scrubber {
    /// None only while it is dropped.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Scrubber {
    pub(crate) fn start(
        mut scrub: Scrub,
        reader: Reader,
        counters: Arc<ShardCounters>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let pause = Duration::from_millis(scrub.pause_ms().max(1));
        let read = move || {
            let mut told = BTreeSet::new();
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let read = reader.consistent(|view| scrub.read_next(view));
                let found = match read {
                    Ok(verified) => verified.damaged,
                    Err(error) => vec![error],
                };
                counters.scrubbed(scrub.damaged());
                for damage in found {
                    let name = damage.to_string();
                    if told.len() < TOLD_MAX && !told.contains(&name) {
                        tracing::error!(%damage, "reading the disk again found damage");
                        told.insert(name);
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("scrub".to_owned()).spawn(read)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so already.
            let _ = thread.join();
        }
    }
}
