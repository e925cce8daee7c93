//! The directory: which region is a user's home, and that a user was erased. One register a user, in feeds.
//!
//! It is all that leaves a user's placement, so it holds ids and regions and nothing else. The naive way is a table that the newest write wins, by the time of a clock: a region whose
//! clock is ahead would keep its users for ever. Here a home is numbered, and only the home that gives a user away numbers the next one.
//!
//! What must always hold:
//! - The states of a register stand in one order, and joining takes the higher one: so it is commutative, associative, idempotent, and only grows.
//! - Whoever was erased stays erased, whatever comes late; of their home nothing is left.
//!
//! Growth: a user, for ever, at 6 to 15 bytes; an erased one at one byte.

use crate::canonical::{Decoder, Encoder, MalformedState};
use crate::id::RegionId;

/// Which home of a user it is, the first, the second. Ordered by number, then by the region that gave the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HomeEpoch {
    number: u64,
    by: RegionId,
}

impl HomeEpoch {
    /// That of a user's first home, which the region that registers them gives.
    #[must_use]
    pub const fn first(by: RegionId) -> Self {
        Self { number: 1, by }
    }

    /// The one after this, given by that region; none at the end of the numbers.
    #[must_use]
    pub fn next(self, by: RegionId) -> Option<Self> {
        Some(Self { number: self.number.checked_add(1)?, by })
    }

    /// How many homes the user has had, this one included.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }

    /// The region that gave the number.
    #[must_use]
    pub const fn by(self) -> RegionId {
        self.by
    }
}

/// The register of one user. From the lowest state to the highest.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | a home of a lower number and one of a higher | the higher |
/// | two homes of one number, given by two regions | the one that the region of the higher id gave, everywhere |
/// | two homes under one epoch, from a region that gave it twice | the region of the higher id |
/// | a new home and an erasure | erased, for good |
///
/// Cost: constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DirectoryEntry {
    /// Nobody has said anything of the user.
    #[default]
    Unknown,
    /// The user has a home.
    Home {
        /// Which one.
        epoch: HomeEpoch,
        /// Where.
        region: RegionId,
    },
    /// The user was erased.
    Erased,
}

impl DirectoryEntry {
    /// The higher of both. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        let grows = *self < *other;
        *self = (*self).max(*other);
        grows
    }

    /// The region that is the authority for the user.
    #[must_use]
    pub const fn home(&self) -> Option<RegionId> {
        match self {
            Self::Home { region, .. } => Some(*region),
            Self::Unknown | Self::Erased => None,
        }
    }

    /// The canonical encoding: the value of its register.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        match self {
            Self::Unknown => encoder.byte(0),
            Self::Home { epoch, region } => {
                encoder.byte(1);
                encoder.varint(epoch.number);
                encoder.fixed(&epoch.by.0.to_be_bytes());
                encoder.fixed(&region.0.to_be_bytes());
            }
            Self::Erased => encoder.byte(2),
        }
        encoder.into_bytes()
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let entry = match decoder.byte()? {
            0 => Self::Unknown,
            1 => {
                let number = decoder.varint()?;
                let by = RegionId(u16::from_be_bytes(decoder.array()?));
                let region = RegionId(u16::from_be_bytes(decoder.array()?));
                if number == 0 {
                    return Err(MalformedState("a home numbered zero"));
                }
                Self::Home { epoch: HomeEpoch { number, by }, region }
            }
            2 => Self::Erased,
            3..=u8::MAX => return Err(MalformedState("an entry of no kind")),
        };
        decoder.finish()?;
        Ok(entry)
    }
}
