//! Numbers and strings of Automerge's binary format: LEB128, signed and not, and what has its length before it.
//!
//! What must always hold: reading is total, and nothing is believed longer than the bytes that are there. Longer forms of a number than the
//! shortest are read; that a change as a whole is in its one canonical form is checked where it is read.

use crate::change::Malformed;

/// Takes values off the front of bytes.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Malformed::Short)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, Malformed> {
        let (mut number, mut shift) = (0_u64, 0_u32);
        loop {
            let [byte] = self.array()?;
            let low = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && low > 1) {
                return Err(Malformed::Number);
            }
            number |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Malformed> {
        let (mut number, mut shift) = (0_i64, 0_u32);
        loop {
            let [byte] = self.array()?;
            let low = i64::from(byte & 0x7f);
            // The tenth byte holds the last bit and the sign.
            if shift > 63 || (shift == 63 && low != 0 && low != 0x7f) {
                return Err(Malformed::Number);
            }
            number |= low << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                let is_negative = byte & 0x40 != 0 && shift < 64;
                return Ok(if is_negative { number | (-1_i64 << shift) } else { number });
            }
        }
    }

    /// A number that counts something there may be at most so many of.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.unsigned()?).map_err(|_| Malformed::Number)?;
        if count > max { Err(Malformed::TooLarge) } else { Ok(count) }
    }

    /// Bytes with their number before them.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<&'a [u8], Malformed> {
        let count = self.count(max)?;
        self.take(count)
    }

    pub(crate) fn text(&mut self, max: usize) -> Result<String, Malformed> {
        String::from_utf8(self.bytes(max)?.to_vec()).map_err(|_| Malformed::Text)
    }
}

pub(crate) fn put_unsigned(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn put_signed(mut number: i64, out: &mut Vec<u8>) {
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if (number == 0 && byte & 0x40 == 0) || (number == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_unsigned(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Reader, put_signed, put_unsigned};
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(unsigned in any::<u64>(), signed in any::<i64>()) {
            let mut bytes = Vec::new();
            put_unsigned(unsigned, &mut bytes);
            put_signed(signed, &mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!((reader.unsigned().unwrap(), reader.signed().unwrap()), (unsigned, signed));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn numbers_of_more_than_64_bits_are_refused() {
        assert!(Reader::new(&[0xff; 11]).unsigned().is_err());
        assert!(
            Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]).unsigned().is_err()
        );
        assert!(Reader::new(&[0xff; 11]).signed().is_err());
        assert!(Reader::new(&[0x80; 3]).unsigned().is_err(), "cut short");
    }
}
