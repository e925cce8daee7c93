//! What a run takes on the machine it runs on: wall time and memory. The simulator itself knows neither.
//!
//! What must always hold: nothing of it reaches a world.

use std::time::Instant;

/// A run that is being measured.
#[derive(Debug)]
pub(crate) struct Measuring(Instant);

/// What it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Milliseconds of wall time.
    pub(crate) wall_ms: u64,
    /// The most memory that this process ever had, in bytes; 0 where the system does not tell.
    pub(crate) peak_rss_bytes: u64,
}

impl Measuring {
    pub(crate) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn end(&self) -> Measured {
        let wall_ms = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        Measured { wall_ms, peak_rss_bytes: peak_rss_bytes() }
    }
}

fn peak_rss_bytes() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1_024 };
    let kib = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    u64::try_from(kib).unwrap_or(0) * unit
}
