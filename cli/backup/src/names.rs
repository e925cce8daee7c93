//! What things in a bucket are called: chunks by a hash of what they hold, backups by when they were begun.
//!
//! ```text
//!   PLACEMENT/REGION/chunks/64 HEXADECIMAL DIGITS
//!   PLACEMENT/REGION/manifests/20261130T034359123Z-1a2b3c4d     the millisecond, and eight digits of what it holds
//! ```
//! What must always hold: names have one form, and sort as what they name: backups by their time; what is of another form is nobody's, and is left alone.

use region::read_toml::{bytes_of_hex, hex};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use time::{Date, Month, OffsetDateTime, Time};

/// The name of a chunk: a keyed hash of what it holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChunkName(pub(crate) [u8; 32]);

/// The name of a backup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupId {
    taken_at_ms: i64,
    text: String,
}

/// A text that is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a {1}")]
pub struct NotAName(String, &'static str);

impl BackupId {
    /// The name of a backup that was begun then, and whose manifest hashes to that. None of a time that has no four-digit year.
    pub(crate) fn new(taken_at_ms: i64, hash: &ChunkName) -> Option<Self> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(taken_at_ms) * 1_000_000).ok();
        let at = at.filter(|at| (1970..=9999).contains(&at.year()))?;
        let hash: String = hash.to_string().chars().take(8).collect();
        let text = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}{:03}Z-{hash}",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        );
        Some(Self { taken_at_ms, text })
    }

    /// When it was begun, in milliseconds since 1970.
    #[must_use]
    pub fn taken_at_ms(&self) -> i64 {
        self.taken_at_ms
    }

    /// The same, for people.
    #[must_use]
    pub fn time(&self) -> String {
        let part = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default();
        format!(
            "{}-{}-{} {}:{}:{} UTC",
            part(0, 4),
            part(4, 6),
            part(6, 8),
            part(9, 11),
            part(11, 13),
            part(13, 15)
        )
    }
}

impl FromStr for BackupId {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        parse_id(text).ok_or_else(|| NotAName(text.chars().take(64).collect(), "backup"))
    }
}

fn parse_id(text: &str) -> Option<BackupId> {
    let (when, hash) = text.split_once("Z-")?;
    let (date, time) = when.split_once('T')?;
    let is_right = date.len() == 8 && time.len() == 9 && bytes_of_hex::<4>(hash).is_some();
    let digits = |text: &str, from: usize, to: usize| -> Option<u16> {
        let digits = text.get(from..to)?;
        if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let small = |text, from, to| u8::try_from(digits(text, from, to)?).ok();
    let month = Month::try_from(small(date, 4, 6)?).ok()?;
    let day = Date::from_calendar_date(i32::from(digits(date, 0, 4)?), month, small(date, 6, 8)?).ok()?;
    let (hour, minute, second) = (small(time, 0, 2)?, small(time, 2, 4)?, small(time, 4, 6)?);
    let time = Time::from_hms_milli(hour, minute, second, digits(time, 6, 9)?).ok()?;
    let taken_at_ms =
        i64::try_from(day.with_time(time).assume_utc().unix_timestamp_nanos() / 1_000_000).ok()?;
    (is_right && taken_at_ms >= 0).then(|| BackupId { taken_at_ms, text: text.to_owned() })
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ChunkName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        bytes_of_hex(text).map(Self).ok_or_else(|| NotAName(text.chars().take(64).collect(), "chunk"))
    }
}

impl TryFrom<String> for ChunkName {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        text.parse()
    }
}

impl From<ChunkName> for String {
    fn from(name: ChunkName) -> Self {
        hex(&name.0)
    }
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_read_as_they_were_written_and_sort_by_time(
            one in 0_i64..253_402_300_800_000, other in 0_i64..253_402_300_800_000, hash in any::<[u8; 32]>(),
        ) {
            let id = BackupId::new(one, &ChunkName(hash)).unwrap();
            prop_assert_eq!(&id.to_string().parse::<BackupId>().unwrap(), &id);
            prop_assert_eq!(id.taken_at_ms(), one);
            let later = BackupId::new(other, &ChunkName(hash)).unwrap();
            prop_assert_eq!(id.cmp(&later), one.cmp(&other));
            prop_assert_eq!(id.to_string().cmp(&later.to_string()), one.cmp(&other));
            let name = ChunkName(hash);
            prop_assert_eq!(name.to_string().parse::<ChunkName>().unwrap(), name);
        }

        #[test]
        fn no_text_makes_reading_a_name_panic(text in "\\PC{0,30}", digits in "[0-9TZ-]{0,30}") {
            for text in [text, digits] {
                if let Ok(id) = text.parse::<BackupId>() {
                    prop_assert_eq!(id.to_string(), text);
                }
            }
        }
    }

    #[test]
    fn what_is_of_another_form_is_no_name() {
        let id: BackupId = "20261130T034359123Z-1a2b3c4d".parse().unwrap();
        assert_eq!((id.taken_at_ms(), id.time().as_str()), (1_796_010_239_123, "2026-11-30 03:43:59 UTC"));
        for wrong in [
            "",
            "20261130T034359123Z",
            "20261130T034359Z-1a2b3c4d",
            "20261130T0343591234Z-1a2b3c4d",
            "20261130T034359123Z-1A2B3C4D",
            "20261130T034359123Z-1a2b3c4d5",
            "20261330T034359123Z-1a2b3c4d",
            "20261130T034360123Z-1a2b3c4d",
            "2026113T0034359123Z-1a2b3c4d",
            "+0261130T034359123Z-1a2b3c4d",
            "../20261130T034359123Z-1a2b3c4d",
        ] {
            assert!(wrong.parse::<BackupId>().is_err(), "{wrong}");
        }
        assert!("ab".parse::<ChunkName>().is_err());
    }
}
