//! Identifiers: every one a newtype with exactly one textual form.
//!
//! What must always hold: `parse(print(id)) == id`, and no other text parses. A text that is refused is
//! named in the error, together with the form that was expected.

mod conversation;
mod place;
mod replica;
mod text;
mod user;

pub use conversation::{ConversationId, MessageId};
pub use place::{BUCKETS, Bucket, PartitionId, PlacementId, RegionId};
pub use replica::{Dot, Incarnation, ReplicaId, Sequence};
pub use user::{DeviceId, UserId};

use std::fmt;
use text::{Text, decimal, hexadecimal};

/// A text that is not the identifier it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {expected}: it has the form `{form}`")]
pub struct ParseIdError {
    /// What was to be parsed: its first 64 characters, control characters escaped, since this goes to logs and clients.
    pub text: String,
    /// Which identifier was expected.
    pub expected: &'static str,
    /// The form it has, by example.
    pub form: &'static str,
}

impl ParseIdError {
    pub(crate) fn new(text: &str, expected: &'static str, form: &'static str) -> Self {
        Self { text: text.chars().take(64).flat_map(char::escape_debug).collect(), expected, form }
    }
}

/// Parses 32 bytes as 64 lower-case hexadecimal digits.
pub(crate) fn parse_bytes(text: &str, expected: &'static str) -> Result<[u8; 32], ParseIdError> {
    let halves = text
        .as_bytes()
        .split_at_checked(32)
        .and_then(|(high, low)| Some((hexadecimal(high, 32)?, hexadecimal(low, 32)?)));
    let (high, low) =
        halves.ok_or_else(|| ParseIdError::new(text, expected, "64 digits of 0123456789abcdef"))?;
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&high.to_be_bytes());
    bytes[16..].copy_from_slice(&low.to_be_bytes());
    Ok(bytes)
}

/// Parses 16 bytes as 32 lower-case hexadecimal digits.
pub(crate) fn parse_half(text: &str, expected: &'static str) -> Result<u128, ParseIdError> {
    let number = hexadecimal(text.as_bytes(), 32);
    number.ok_or_else(|| ParseIdError::new(text, expected, "32 digits of 0123456789abcdef"))
}

/// Parses `milliseconds.counter`; here because it shares the number grammar of the ids.
pub(crate) fn parse_timestamp(text: &str) -> Result<crate::Timestamp, ParseIdError> {
    let refuse = || ParseIdError::new(text, "timestamp", "1732500000000.0");
    let (ms, counter) = text.split_once('.').ok_or_else(refuse)?;
    let ms = decimal(ms).filter(|ms| *ms < 1 << 48).ok_or_else(refuse)?;
    let counter = decimal(counter).filter(|counter| *counter < 1 << 16).ok_or_else(refuse)?;
    Ok(crate::Timestamp((ms << 16) | counter))
}

/// Prints `milliseconds.counter`.
pub(crate) fn print_timestamp(timestamp: crate::Timestamp, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    Text::new().decimal(timestamp.ms()).character(b'.').decimal(u64::from(timestamp.counter())).give(f)
}
