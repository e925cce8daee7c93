//! Who issued an operation: replica ids, sequences and dots.
//!
//! What must always hold: a dot names one operation for ever. A store that lost data must not issue a dot again, so it
//! comes back under another incarnation, which is random: a backup restored twice is two replicas.

use super::text::{Text, decimal, hexadecimal};
use super::{ParseIdError, RegionId};
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

    /// The number after this one. One a nanosecond would last 584 years; a peer may claim the last one all the same, so it saturates.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Text {
    fn replica(&mut self, ReplicaId { region, incarnation }: ReplicaId) -> &mut Self {
        self.character(b'r').decimal(u64::from(region.0)).character(b'.').hexadecimal(incarnation.0, 16)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text::new().hexadecimal(self.0, 16).give(f)
    }
}

impl FromStr for Incarnation {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        // 16 hexadecimal digits always fit 64 bits.
        hexadecimal(text.as_bytes(), 16)
            .map(|number| Self(number as u64))
            .ok_or_else(|| ParseIdError::new(text, "incarnation", "00000000000000ff"))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Sequence {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        decimal(text).map(Self).ok_or_else(|| ParseIdError::new(text, "sequence", "12"))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text::new().replica(*self).give(f)
    }
}

impl FromStr for ReplicaId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let refuse = || ParseIdError::new(text, "replica id", "r1.00000000000000ff");
        let (region, incarnation) = text.split_once('.').ok_or_else(refuse)?;
        let region = region.parse().map_err(|_| refuse())?;
        let incarnation = incarnation.parse().map_err(|_| refuse())?;
        Ok(Self { region, incarnation })
    }
}

impl fmt::Display for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text::new().replica(self.replica).character(b':').decimal(self.sequence.0).give(f)
    }
}

impl FromStr for Dot {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let refuse = || ParseIdError::new(text, "dot", "r1.00000000000000ff:12");
        let (replica, sequence) = text.split_once(':').ok_or_else(refuse)?;
        let replica = replica.parse().map_err(|_| refuse())?;
        let sequence = sequence.parse().map_err(|_| refuse())?;
        if sequence == Sequence::NONE { Err(refuse()) } else { Ok(Self { replica, sequence }) }
    }
}
