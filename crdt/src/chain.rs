//! The chain: per origin and partition, a hash over its envelopes in order.
//!
//! `head(0)` is derived from the partition and the replica, and `head(n) = hash(head(n-1), envelope n)`, so a head binds
//! every envelope before it, their order, and the dots they carry although envelopes do not name their dot. The same
//! sequence with another head is a fork.

use crate::id::{ParseIdError, PartitionId, ReplicaId, parse_bytes};
use std::fmt;
use std::str::FromStr;

/// The hash over all envelopes of one origin in one partition, up to some sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainHead(pub [u8; 32]);

impl ChainHead {
    /// The head before the first operation.
    #[must_use]
    pub fn genesis(partition: PartitionId, origin: ReplicaId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("archipelago chain genesis");
        hasher
            .update(&partition.placement.0.to_be_bytes())
            .update(&partition.bucket.number().to_be_bytes())
            .update(&origin.region.0.to_be_bytes())
            .update(&origin.incarnation.0.to_be_bytes());
        Self(*hasher.finalize().as_bytes())
    }

    /// The head after one more envelope, given as the bytes its origin wrote.
    #[must_use]
    pub fn extend(self, envelope: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(envelope);
        Self(*hasher.finalize().as_bytes())
    }

    /// The four bytes a reference carries: enough to notice a fork, since every later reference checks again.
    #[must_use]
    pub const fn check(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ChainHead {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_bytes(text, "chain head").map(Self)
    }
}

impl fmt::Debug for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHead({self})")
    }
}
