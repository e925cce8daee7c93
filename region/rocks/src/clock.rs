//! The readings behind a region's disciplined clock: the monotonic clock and the wall clock. What follows from them is decided in
//! `crdt::disciplined_clock`.
//!
//! What must always hold: a region has one such clock and everybody in it asks that one, so that no two parts of a region
//! disagree on the present, and it never goes back.

use crdt::Now;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A region's clock.
#[derive(Debug)]
pub struct RegionClock {
    started: Instant,
    wall_at_start_us: u64,
}

impl RegionClock {
    /// Begins at the wall clock's reading.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now(), wall_at_start_us: wall_us() }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Now {
        Now(self.wall_at_start_us.saturating_add(microseconds(self.started.elapsed())))
    }
}

/// Microseconds since 1970 by the wall clock; zero before that.
fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, microseconds)
}

fn microseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
