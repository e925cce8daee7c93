//! Users and their devices.
//!
//! What must always hold: an id says where its user's bytes may be (the pin) and nothing else about them, because ids
//! travel wherever conversations do.

use super::text::{Text, hexadecimal};
use super::{Bucket, ParseIdError, PartitionId, PlacementId};
use std::fmt;
use std::str::FromStr;

/// A user. The top 16 bits carry their placement (their pin); it holds no name and no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u64);

/// A device of a user, random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u64);

impl DeviceId {
    /// No device: names what those of a user's devices share that have nothing of their own.
    pub const REST: Self = Self(0);
}

impl UserId {
    /// The user of that placement with those 48 low bits; higher bits of `low` are cut off.
    #[must_use]
    pub const fn new(placement: PlacementId, low: u64) -> Self {
        Self(((placement.0 as u64) << 48) | (low & 0xffff_ffff_ffff))
    }

    /// The placement the user is pinned to.
    #[must_use]
    pub const fn placement(self) -> PlacementId {
        PlacementId((self.0 >> 48) as u16)
    }

    /// The partition that holds this user's rows in `placement`, which need not be their own: a user's
    /// account has a part in each placement they use.
    #[must_use]
    pub fn partition(self, placement: PlacementId) -> PartitionId {
        let digest = blake3::hash(&self.0.to_be_bytes());
        let bucket = Bucket::of_hash(u64::from_be_bytes(first_eight(digest.as_bytes())));
        PartitionId { placement, bucket }
    }
}

/// The first eight bytes of a hash.
pub(super) fn first_eight(digest: &[u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *digest;
    [a, b, c, d, e, f, g, h]
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text::new().character(b'u').hexadecimal(self.0, 16).give(f)
    }
}

impl FromStr for UserId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix('u')
            .and_then(|digits| hexadecimal(digits.as_bytes(), 16))
            .map(|number| Self(number as u64))
            .ok_or_else(|| ParseIdError::new(text, "user id", "u0001000000000abc"))
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text::new().character(b'd').hexadecimal(self.0, 16).give(f)
    }
}

impl FromStr for DeviceId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix('d')
            .and_then(|digits| hexadecimal(digits.as_bytes(), 16))
            .map(|number| Self(number as u64))
            .ok_or_else(|| ParseIdError::new(text, "device id", "d0000000000000abc"))
    }
}
