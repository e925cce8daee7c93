//! Hybrid logical time, one clock a conversation (Kulkarni et al., "Logical Physical Clocks", OPODIS 2014).
//!
//! What must always hold: a new timestamp is above everything its conversation holds and everything its author's
//! device had seen, so a reply sorts after what it answers, whatever the wall clocks say. The top of the range is
//! refused rather than wrapped.

use std::fmt;
use std::str::FromStr;

/// 48 bits of milliseconds since 1970 and 16 bits of counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

/// The clock of a conversation stands at the top of its range: nothing can be issued in it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the conversation's clock is exhausted: start a new conversation")]
pub struct ClockExhausted;

impl Timestamp {
    /// Before everything.
    pub const ZERO: Self = Self(0);
    /// From here on nothing is issued: a day's worth of milliseconds below the end of the range.
    pub const REFUSED_FROM: Self = Self(u64::MAX - (86_400_000 << 16));

    /// The timestamp at those milliseconds with counter zero; milliseconds above 48 bits saturate.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        let top = (1 << 48) - 1;
        Self((if ms > top { top } else { ms }) << 16)
    }

    /// Its milliseconds since 1970.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0 >> 16
    }

    /// Its counter within the millisecond.
    #[must_use]
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The timestamp of a new operation: `max(now, highest + 1, seen + 1)`.
    ///
    /// # Errors
    /// [`ClockExhausted`] when that would be at or above [`Timestamp::REFUSED_FROM`].
    pub fn issue(now_ms: u64, highest: Self, seen: Self) -> Result<Self, ClockExhausted> {
        let above = highest.max(seen).0.saturating_add(1);
        let issued = Self(Self::from_ms(now_ms).0.max(above));
        if issued.0 == above {
            crate::sometimes::CLOCK_BEHIND_CONVERSATION.reach();
        }
        if issued >= Self::REFUSED_FROM { Err(ClockExhausted) } else { Ok(issued) }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::id::print_timestamp(*self, f)
    }
}

impl FromStr for Timestamp {
    type Err = crate::id::ParseIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        crate::id::parse_timestamp(text)
    }
}

/// A region's present, in microseconds since 1970, as its disciplined clock gives it: it never goes back, and a jump of the
/// wall clock never enters it. Every core takes it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Now(pub u64);

impl Now {
    /// In milliseconds since 1970.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0 / 1_000
    }

    /// This present and so many milliseconds more.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000)))
    }
}
