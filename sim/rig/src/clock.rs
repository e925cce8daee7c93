//! The one clock of a replay: all histories and faults are timed by it, so they can be compared.
//!
//! What must always hold: it never goes back, whatever the wall clock does.

use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::time::Instant as TokioInstant;

/// Microseconds since the schedule began; zero before.
#[derive(Debug, Default)]
pub(crate) struct RunClock {
    start: OnceLock<Instant>,
}

impl RunClock {
    /// The schedule begins now.
    pub(crate) fn begin(&self) {
        self.start.get_or_init(Instant::now);
    }

    /// Now.
    pub(crate) fn now_us(&self) -> u64 {
        self.at_us(Instant::now())
    }

    /// That moment.
    pub(crate) fn at_us(&self, at: Instant) -> u64 {
        // A replay does not run for 584,000 years.
        self.start.get().map_or(0, |start| at.saturating_duration_since(*start).as_micros() as u64)
    }

    /// Now, in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_us() / 1_000
    }

    /// Sleeps until so many milliseconds after the schedule's begin, which must have come.
    pub(crate) async fn sleep_until_ms(&self, at_ms: u64) {
        if let Some(start) = self.start.get() {
            tokio::time::sleep_until(TokioInstant::from_std(*start + Duration::from_millis(at_ms))).await;
        }
    }
}
