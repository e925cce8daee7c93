//! Where a thing may live: placements, their partitions, and regions.
//!
//! What must always hold: numbers, not names, stand in ids, so that renaming a placement or a region touches the cluster file alone;
//! and a bucket is below [`BUCKETS`] by construction.

use super::ParseIdError;
use super::text::decimal;
use std::fmt;
use std::str::FromStr;

/// Buckets in every placement: the unit of logging, replication and hand-over is (placement, bucket).
pub const BUCKETS: u16 = 1024;

/// A named set of regions that may keep a thing at rest. The number stands in ids; the name in the cluster file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlacementId(pub u16);

/// One of the [`BUCKETS`] of a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

/// Placement and bucket: the unit of logging and replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The placement whose regions hold it.
    pub placement: PlacementId,
    /// The bucket within the placement.
    pub bucket: Bucket,
}

/// One site, as numbered in the cluster file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub u16);

impl Bucket {
    /// The first one.
    pub const FIRST: Self = Self(0);

    /// The bucket of that number, if there is one.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < BUCKETS { Some(Self(number)) } else { None }
    }

    /// Its number, below [`BUCKETS`].
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The bucket a 64-bit hash falls into.
    #[must_use]
    pub(crate) const fn of_hash(hash: u64) -> Self {
        Self((hash % BUCKETS as u64) as u16)
    }
}

impl fmt::Display for PlacementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl FromStr for PlacementId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix('p')
            .and_then(decimal)
            .and_then(|number| u16::try_from(number).ok())
            .map(Self)
            .ok_or_else(|| ParseIdError::new(text, "placement id", "p1"))
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Bucket {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        decimal(text)
            .and_then(|number| u16::try_from(number).ok())
            .and_then(Self::new)
            .ok_or_else(|| ParseIdError::new(text, "bucket", "1023"))
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.placement, self.bucket)
    }
}

impl FromStr for PartitionId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let refuse = || ParseIdError::new(text, "partition id", "p1/1023");
        let (placement, bucket) = text.split_once('/').ok_or_else(refuse)?;
        let placement = placement.parse().map_err(|_| refuse())?;
        let bucket = bucket.parse().map_err(|_| refuse())?;
        Ok(Self { placement, bucket })
    }
}

impl fmt::Display for RegionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl FromStr for RegionId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix('r')
            .and_then(decimal)
            .and_then(|number| u16::try_from(number).ok())
            .map(Self)
            .ok_or_else(|| ParseIdError::new(text, "region id", "r1"))
    }
}
