//! The region's present: advances with the monotonic clock and slews towards the wall clock, which never moves it otherwise.
//!
//! Reading the wall clock directly lets an operator's mistake, a leap or a dead battery reorder conversations and expire windows. So the wall clock
//! is believed once, at the first reading, and from then on only followed. What must always hold:
//! - The present never goes back, and never below the floor it was started with (what was persisted before a restart).
//! - Between two readings it advances by what the monotonic clock advanced, give or take 1 in 1,000 (to the microsecond).
//! - A jump of the wall clock never enters; it shows in [`DisciplinedClock::wall_offset_us`], for an alarm.
//! - Integers only: the same readings give the same present on every machine.
//!
//! A wall-clock reading of a millisecond stands for the whole of it, so the clock does not chase its granularity.
//! A monotonic clock that stops while the machine sleeps makes the present late, by however long it slept: the alarm tells, and a
//! restart of the region sets it right. Cost: no allocation, a few integer operations a reading.

use crate::clock::Now;

/// The slew is at most one part in this many.
pub const SLEW_ONE_IN: u64 = 1_000;

/// What a driver read off the machine, both at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Of a clock that only advances, in microseconds since any fixed moment. One that went back counts as one that stood.
    pub monotonic_us: u64,
    /// Of the wall clock, in milliseconds since 1970.
    pub wall_ms: u64,
}

/// The clock of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisciplinedClock {
    now: Now,
    /// The last reading of the monotonic clock; none before the first.
    monotonic_us: Option<u64>,
    /// Microseconds advanced that have not yet earned a microsecond of slew; below [`SLEW_ONE_IN`].
    unspent_us: u64,
    wall_offset_us: i64,
}

impl DisciplinedClock {
    /// A clock that will not show less than `floor`: the highest present that was persisted before a restart, or zero.
    #[must_use]
    pub const fn new(floor: Now) -> Self {
        Self { now: floor, monotonic_us: None, unspent_us: 0, wall_offset_us: 0 }
    }

    /// The present, from a new reading.
    pub fn read(&mut self, reading: Reading) -> Now {
        if let Some(before) = self.monotonic_us {
            let advanced = reading.monotonic_us.saturating_sub(before);
            let earned = self.unspent_us.saturating_add(advanced);
            self.unspent_us = earned % SLEW_ONE_IN;
            let slew_max = i64::try_from(earned / SLEW_ONE_IN).unwrap_or(i64::MAX);
            let unslewed = self.now.0.saturating_add(advanced);
            let slew = offset_us(reading.wall_ms, unslewed).clamp(-slew_max, slew_max);
            // `earned / 1,000` is at most `advanced`, since what was unspent is below 1,000: so this does not go back, except
            // where the end of the range cut the advance short.
            self.now = self.now.max(Now(unslewed.saturating_add_signed(slew)));
            self.monotonic_us = Some(before.max(reading.monotonic_us));
        } else {
            self.now = self.now.max(Now(reading.wall_ms.saturating_mul(1_000)));
            self.monotonic_us = Some(reading.monotonic_us);
        }
        self.wall_offset_us = offset_us(reading.wall_ms, self.now.0);
        self.now
    }

    /// The present at the last reading; the floor before the first.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// How far the wall clock was ahead of the present at the last reading, in microseconds; negative when it was behind.
    #[must_use]
    pub const fn wall_offset_us(&self) -> i64 {
        self.wall_offset_us
    }
}

/// How far the millisecond of the wall clock is ahead of that moment; zero when the moment lies within it.
fn offset_us(wall_ms: u64, now_us: u64) -> i64 {
    let from = i128::from(wall_ms) * 1_000;
    let now = i128::from(now_us);
    let offset = if now < from { from - now } else { (from + 999 - now).min(0) };
    // Clamped to the range of the type just before.
    offset.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}
