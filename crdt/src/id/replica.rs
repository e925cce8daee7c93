//! Who issued an operation: replica ids, sequences and dots.

use super::{ParseIdError, RegionId, decimal, hexadecimal};
use std::fmt;
use std::str::FromStr;

/// Random 64 bits, bound to one store: a store that was restored or lost data is a new incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// A region in one incarnation: the issuer of dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// The site.
    pub region: RegionId,
    /// Which life of its store.
    pub incarnation: Incarnation,
}

/// The number of an operation among those of one replica in one partition, contiguous from 1. Zero means none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// Who issued an operation in a partition, and as which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The issuer.
    pub replica: ReplicaId,
    /// Its number, from 1.
    pub sequence: Sequence,
}

impl Sequence {
    /// None issued yet.
    pub const NONE: Self = Self(0);

    /// The number after this one. Sequences are 64-bit: one a nanosecond would last 584 years.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:016x}", self.region, self.incarnation.0)
    }
}

impl FromStr for ReplicaId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let refuse = || ParseIdError::new(text, "replica id", "r1.00000000000000ff");
        let (region, incarnation) = text.split_once('.').ok_or_else(refuse)?;
        let region = region.parse().map_err(|_| refuse())?;
        let incarnation = hexadecimal(incarnation, 16).ok_or_else(refuse)?;
        // 16 hexadecimal digits always fit 64 bits.
        Ok(Self { region, incarnation: Incarnation(incarnation as u64) })
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replica, self.sequence.0)
    }
}

impl FromStr for Dot {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let refuse = || ParseIdError::new(text, "dot", "r1.00000000000000ff:12");
        let (replica, sequence) = text.split_once(':').ok_or_else(refuse)?;
        let replica = replica.parse().map_err(|_| refuse())?;
        let sequence = decimal(sequence).filter(|n| *n > 0).ok_or_else(refuse)?;
        Ok(Self { replica, sequence: Sequence(sequence) })
    }
}
