//! The bytes of one key, on the stack: a step looks up far more keys than it writes, and a look-up should allocate nothing.
//!
//! What must always hold: it never holds more than [`KEY_BYTES_MAX`], which every key fits into by its fields' sizes; what would not
//! fit is a mistake in `keys.rs`, and stops the step before a wrong key could be read or written.

use std::fmt;
use std::ops::Deref;

/// The longest key, the register of a user and a message, has 52 bytes.
pub(crate) const KEY_BYTES_MAX: usize = 56;

/// A key's bytes, or the end of a range of keys.
#[derive(Clone, Copy)]
pub(crate) struct KeyBytes {
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
}

impl KeyBytes {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; KEY_BYTES_MAX], length: 0 }
    }

    /// After every key there is.
    pub(crate) const fn after_all() -> Self {
        Self { bytes: [0xff; KEY_BYTES_MAX], length: KEY_BYTES_MAX }
    }

    /// Adds bytes at the end.
    pub(crate) fn extend<const N: usize>(&mut self, more: [u8; N]) {
        let end = self.length + N;
        assert!(end <= KEY_BYTES_MAX, "a key has at most {KEY_BYTES_MAX} bytes");
        // Asserted just above.
        self.bytes[self.length..end].copy_from_slice(&more);
        self.length = end;
    }

    pub(crate) fn push(&mut self, byte: u8) {
        self.extend([byte]);
    }

    /// The first bytes that come after everything that begins with these; none if nothing does.
    pub(crate) fn after_prefix(mut self) -> Self {
        while let Some(last) = self.length.checked_sub(1) {
            self.length = last;
            // The length was above it.
            let cut_off = std::mem::take(&mut self.bytes[last]);
            if let Some(next) = cut_off.checked_add(1) {
                self.push(next);
                break;
            }
        }
        self
    }
}

impl Deref for KeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // The length is never above the array's.
        &self.bytes[..self.length]
    }
}

impl PartialEq for KeyBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for KeyBytes {}

impl PartialOrd for KeyBytes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyBytes {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<const N: usize>(bytes: [u8; N]) -> KeyBytes {
        let mut key = KeyBytes::new();
        key.extend(bytes);
        key
    }

    #[test]
    fn after_a_prefix_comes_the_next_number_with_every_full_byte_carried() {
        assert_eq!(of([1, 2]).after_prefix(), of([1, 3]));
        assert_eq!(of([1, 0xff, 0xff]).after_prefix(), of([2]));
        assert_eq!(of([0xff]).after_prefix(), of([]));
    }

    #[test]
    fn what_was_cut_off_does_not_count() {
        assert_eq!(of([1, 0xff]).after_prefix(), of([2]));
        assert!(of([1]) < of([1, 0]) && of([1, 0xff, 7]).after_prefix() > of([1, 0xff, 7]));
    }
}
