//! Registers: keyed lattice values that travel in feeds, such as receipts and acknowledgements.
//!
//! The bridge carries them and does not look inside; the region that holds them joins them. What must always hold: a register's
//! value only grows, joined by its kind's rule, so it may be passed on by everyone, any number of times, in any order.

use bytes::Bytes;

/// One register with its value as its kind encodes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// Which register, within its partition. Its first byte says which kind.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
}
