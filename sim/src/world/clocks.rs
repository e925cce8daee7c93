//! The clocks of a region's machine: its wall clock and its monotonic clock, as its process reads them.
//!
//! Fault model of the wall clock: ahead or behind, a jump either way while the process runs or while it is down, stuck. Both clocks run fast or slow together by some parts in a million, since one
//! crystal drives them. The monotonic clock never goes back. What a process makes of its readings is production code (`crdt::disciplined_clock`), and so is what its store
//! remembers of the present (`region::present`).
//!
//! What must always hold: whoever sets a clock right sets it to what it usually shows, and its rate to what is true.

use crate::world::layout::START_US;
use crate::world::queue::Moment;
use crdt::disciplined_clock::Reading;

/// What goes wrong with a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skew {
    /// It jumps, forwards or back.
    Jump {
        /// By so many microseconds.
        by_us: i64,
    },
    /// It runs fast, or slow below zero.
    Drift {
        /// By so many parts in a million.
        per_million: i32,
    },
    /// It shows the same for ever.
    Stuck,
}

/// The clocks of a machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct MachineClock {
    /// How far the wall clock usually is ahead of the world's time, in microseconds.
    usual_us: i64,
    /// Both clocks' readings then, from where they go on.
    since: Moment,
    wall_us: Option<u64>,
    monotonic_us: u64,
    drift_per_million: i32,
    stuck: bool,
}

impl MachineClock {
    /// What a process reads.
    pub(crate) fn read(&self, at: Moment) -> Reading {
        Reading { monotonic_us: self.monotonic_us(at), wall_ms: self.wall_us(at) / 1_000 }
    }

    /// Sets what the wall clock usually shows.
    pub(crate) fn set_usual(&mut self, at: Moment, ahead_us: i64) {
        self.usual_us = ahead_us;
        self.set_right(at);
    }

    /// Something goes wrong with it.
    pub(crate) fn skew(&mut self, at: Moment, skew: Skew) {
        self.rebase(at);
        match skew {
            Skew::Jump { by_us } => self.wall_us = self.wall_us.map(|wall| wall.saturating_add_signed(by_us)),
            Skew::Drift { per_million } => self.drift_per_million = per_million,
            Skew::Stuck => self.stuck = true,
        }
    }

    /// Somebody sets it right.
    pub(crate) fn set_right(&mut self, at: Moment) {
        self.rebase(at);
        self.wall_us = Some((START_US + at).saturating_add_signed(self.usual_us));
        (self.drift_per_million, self.stuck) = (0, false);
    }

    fn rebase(&mut self, at: Moment) {
        (self.wall_us, self.monotonic_us) = (Some(self.wall_us(at)), self.monotonic_us(at));
        self.since = at;
    }

    fn wall_us(&self, at: Moment) -> u64 {
        let from = self.wall_us.unwrap_or((START_US + self.since).saturating_add_signed(self.usual_us));
        if self.stuck { from } else { from + self.elapsed_us(at) }
    }

    fn monotonic_us(&self, at: Moment) -> u64 {
        self.monotonic_us + self.elapsed_us(at)
    }

    /// What the crystal counts since then.
    fn elapsed_us(&self, at: Moment) -> u64 {
        let elapsed = at.saturating_sub(self.since);
        if self.drift_per_million == 0 {
            return elapsed;
        }
        let extra = i128::from(elapsed) * i128::from(self.drift_per_million) / 1_000_000;
        elapsed.saturating_add_signed(i64::try_from(extra).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn ahead_ms(clock: &MachineClock, at: Moment) -> i64 {
        let true_ms = (START_US + at) / 1_000;
        i64::try_from(clock.read(at).wall_ms).unwrap_or(0) - i64::try_from(true_ms).unwrap_or(0)
    }

    #[test]
    fn a_jump_moves_the_wall_clock_alone_and_is_set_right() {
        let mut clock = MachineClock::default();
        clock.set_usual(0, 7_000);
        clock.skew(SECOND, Skew::Jump { by_us: -3_600_000_000 });
        assert_eq!(ahead_ms(&clock, 2 * SECOND), 7 - 3_600_000);
        assert_eq!(clock.read(2 * SECOND).monotonic_us, 2 * SECOND);
        clock.set_right(3 * SECOND);
        assert_eq!(ahead_ms(&clock, 4 * SECOND), 7);
    }

    #[test]
    fn drift_moves_both_clocks_and_what_was_gained_stays_in_the_monotonic_one() {
        let mut clock = MachineClock::default();
        clock.skew(0, Skew::Drift { per_million: 500 });
        assert_eq!(ahead_ms(&clock, 100 * SECOND), 50);
        clock.set_right(100 * SECOND);
        assert_eq!(ahead_ms(&clock, 200 * SECOND), 0);
        assert_eq!(clock.read(200 * SECOND).monotonic_us, 200 * SECOND + 50_000);
        clock.skew(200 * SECOND, Skew::Drift { per_million: -500 });
        assert_eq!(ahead_ms(&clock, 300 * SECOND), -50);
    }

    #[test]
    fn a_stuck_wall_clock_stands_while_the_monotonic_one_goes_on() {
        let mut clock = MachineClock::default();
        clock.skew(SECOND, Skew::Stuck);
        assert_eq!(ahead_ms(&clock, 11 * SECOND), -10_000);
        assert_eq!(clock.read(11 * SECOND).monotonic_us, 11 * SECOND);
    }
}
