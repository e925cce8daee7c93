//! Times of a scenario: a share of its length, or a time since it began.
//!
//! `"40%"` is two fifths into the run; `"90 s"`, `"250 ms"`, `"3 min"`, `"2 h"` and `"15 us"` are what they say.
//!
//! What must always hold: a time is a whole number of its unit; a share is at most the whole.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;

/// A moment of a run, or a span of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So many hundredths of the run.
    Percent(u64),
    /// So many microseconds.
    Us(u64),
}

impl When {
    /// In microseconds, in a run of that length.
    #[must_use]
    pub const fn us(self, length_us: u64) -> u64 {
        match self {
            Self::Percent(percent) => length_us / 100 * percent,
            Self::Us(us) => us,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text.get(..digits)?.parse().ok()?;
        let unit_us = match text.get(digits..)?.trim() {
            "%" => return (number <= 100).then_some(Self::Percent(number)),
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "min" => 60_000_000,
            "h" => 3_600_000_000,
            _ => return None,
        };
        number.checked_mul(unit_us).map(Self::Us)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(WhenVisitor)
    }
}

struct WhenVisitor;

impl Visitor<'_> for WhenVisitor {
    type Value = When;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in quotes, such as \"40%\", \"90 s\", \"250 ms\" or \"3 min\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<When, E> {
        When::parse(text).ok_or_else(|| {
            E::custom(format!("`{text}` is not a time: write \"40%\", \"90 s\", \"250 ms\" or \"3 min\""))
        })
    }
}
