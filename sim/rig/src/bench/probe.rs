//! What the disk gives: appends and fdatasyncs beside the load, on the same disk, by a thread that does nothing else.
//!
//! What must always hold: it is never the load itself: a few syncs a second, each of one to four KiB, as a shard's batches are.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two syncs.
const EVERY: Duration = Duration::from_millis(5);

/// A running probe.
pub(super) struct Probe {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Probe {
    /// Probes the disk of that folder.
    pub(super) fn start(folder: &Path) -> Self {
        let path = folder.join("probe");
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let thread = thread::spawn(move || {
            let mut took_us = vec![];
            let piece = vec![0x5a_u8; 4096];
            // A disk that cannot be written gives no samples, and that is what is reported.
            let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) else {
                return took_us;
            };
            for number in 0_usize.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let begun = Instant::now();
                let bytes = 1024 * (1 + number % 4);
                if file.write_all(&piece[..bytes]).and_then(|()| file.sync_data()).is_ok() {
                    took_us.push(begun.elapsed().as_micros() as u64);
                }
                thread::sleep(EVERY);
            }
            took_us
        });
        Self { stopped, thread }
    }

    /// Stops, and says what each append with its sync took, in microseconds.
    pub(super) fn stop(self) -> Vec<u64> {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
