//! A key as a batch and a store in memory hold it: short ones in place, so that neither writing nor comparing them follows a pointer.
//!
//! Keys of a region's tables have at most 45 bytes. As slices elsewhere in memory, comparing them was most of what a look-up cost.
//!
//! What must always hold: keys are ordered as their bytes are, whatever their lengths; bytes after the end of a short key are zero.

use crate::key_bytes::{KEY_BYTES_MAX, KeyBytes};
use bytes::Bytes;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

/// A key.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreKey {
    /// Its first bytes, and zeros.
    first: [u8; KEY_BYTES_MAX],
    whole: Whole,
}

/// Where all of it is. A short key comes before every longer one that begins with its bytes and zeros.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whole {
    /// The first bytes are all, so many.
    Short(u8),
    Long(Box<[u8]>),
}

impl From<&[u8]> for StoreKey {
    fn from(key: &[u8]) -> Self {
        let mut first = [0; KEY_BYTES_MAX];
        let length = key.len().min(KEY_BYTES_MAX);
        // Both have that many.
        first[..length].copy_from_slice(&key[..length]);
        let short = u8::try_from(key.len()).ok().filter(|length| usize::from(*length) <= KEY_BYTES_MAX);
        Self { first, whole: short.map_or_else(|| Whole::Long(key.into()), Whole::Short) }
    }
}

impl From<KeyBytes> for StoreKey {
    fn from(key: KeyBytes) -> Self {
        Self::from(&*key)
    }
}

impl From<Bytes> for StoreKey {
    fn from(key: Bytes) -> Self {
        Self::from(&key[..])
    }
}

impl From<Vec<u8>> for StoreKey {
    fn from(key: Vec<u8>) -> Self {
        Self::from(&key[..])
    }
}

impl Deref for StoreKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.whole {
            // It is never more than there are.
            Whole::Short(length) => &self.first[..usize::from(*length)],
            Whole::Long(whole) => whole,
        }
    }
}

impl AsRef<[u8]> for StoreKey {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Ord for StoreKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, _) = self.first.as_chunks::<8>();
        let (theirs, _) = other.first.as_chunks::<8>();
        for (one, other) in ours.iter().zip(theirs) {
            let (one, other) = (u64::from_be_bytes(*one), u64::from_be_bytes(*other));
            if one != other {
                return one.cmp(&other);
            }
        }
        self.whole.cmp(&other.whole)
    }
}

impl PartialOrd for StoreKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keys that agree in much, and end around where short ones do.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let long = (44_usize..52, 0_u8..2, 0_u8..2).prop_map(|(length, filled, last)| {
            let mut key = vec![filled; length];
            key.push(last);
            key
        });
        prop_oneof![proptest::collection::vec(0_u8..3, 0..6), long]
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_their_bytes_are(one in key(), other in key()) {
            let (a, b) = (StoreKey::from(&one[..]), StoreKey::from(&other[..]));
            prop_assert_eq!(&a[..], &one[..]);
            prop_assert_eq!((a.cmp(&b), a < b), (one.cmp(&other), one < other));
            prop_assert_eq!(a == b, one == other);
        }
    }
}
