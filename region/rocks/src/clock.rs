//! The readings behind a region's disciplined clock: the monotonic clock and the wall clock. What follows from them is decided in
//! [`crdt::disciplined_clock`].
//!
//! What must always hold: a region has one such clock and everybody in it asks that one, so that no two parts of a region
//! disagree on the present, and it never goes back.

use crdt::Now;
use crdt::disciplined_clock::{DisciplinedClock, Reading};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A region's clock.
#[derive(Debug)]
pub struct RegionClock {
    started: Instant,
    disciplined: Mutex<DisciplinedClock>,
}

impl RegionClock {
    /// Begins at the wall clock's reading.
    #[must_use]
    pub fn start(floor: Now) -> Self {
        Self { started: Instant::now(), disciplined: Mutex::new(DisciplinedClock::new(floor)) }
    }

    /// The present.
    pub fn now(&self) -> Now {
        let mut disciplined = self.disciplined.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: a reading taken before it could be older than the one another thread has given already.
        let monotonic_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        disciplined.read(Reading { monotonic_us, wall_ms })
    }

    /// How far the wall clock is ahead of the present, in microseconds; negative when it is behind. For an alarm.
    pub fn wall_offset_us(&self) -> i64 {
        self.disciplined.lock().unwrap_or_else(PoisonError::into_inner).wall_offset_us()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_ask_one_after_the_other_never_see_the_present_go_back() {
        let clock = RegionClock::start(Now(0));
        let highest = Mutex::new(Now(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let mut before = highest.lock().unwrap_or_else(PoisonError::into_inner);
                        let now = clock.now();
                        assert!(now >= *before, "{now:?} after {before:?}");
                        *before = now;
                    }
                });
            }
        });
    }
}
