//! How ids are written and read as text, digit by digit: every frame to a device carries a handful of them.
//!
//! The formatter pads, and a nested `write!` hands over piece by piece, so that a dot's text grew in three allocations. Here the whole text is put together
//! in place and handed over at once: `to_string` allocates once, exactly.
//!
//! What must always hold: a text has room for the longest id, a dot of 44 characters; only ASCII is put into one; what is read is the one form that is written.

use std::fmt;

/// Characters of the longest id: `r65535.ffffffffffffffff:18446744073709551615`.
const LONGEST: usize = 44;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A text under way.
pub(super) struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    /// Adds an ASCII character.
    pub(super) fn character(&mut self, character: u8) -> &mut Self {
        // No id is longer; a character more would be left out, and `parse(print(id)) == id` tested for the largest of each.
        if let Some(byte) = self.bytes.get_mut(self.length) {
            *byte = character;
            self.length += 1;
        }
        self
    }

    /// Adds the lowest so many hexadecimal digits of a number.
    pub(super) fn hexadecimal(&mut self, number: u64, digits: u32) -> &mut Self {
        for place in (0..digits).rev() {
            // Four bits are below sixteen.
            self.character(DIGITS[(number >> (4 * place) & 15) as usize]);
        }
        self
    }

    /// Adds a number in decimal.
    pub(super) fn decimal(&mut self, mut number: u64) -> &mut Self {
        // Twenty digits hold every number of 64 bits.
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            // A remainder of ten is below sixteen, and there are never more than twenty of them.
            digits[first] = DIGITS[(number % 10) as usize];
            number /= 10;
            if number == 0 {
                break;
            }
        }
        for digit in &digits[first..] {
            self.character(*digit);
        }
        self
    }

    /// Hands it over.
    pub(super) fn give(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only ASCII was put in, and never more than there is room for.
        f.write_str(std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default())
    }
}

/// Parses exactly `digits` lower-case hexadecimal digits, at most 32.
pub(super) fn hexadecimal(text: &[u8], digits: usize) -> Option<u128> {
    if text.len() != digits {
        return None;
    }
    let (high, low) = text.split_at(digits.saturating_sub(16));
    Some(u128::from(up_to_sixteen(high)?) << 64 | u128::from(up_to_sixteen(low)?))
}

fn up_to_sixteen(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |number, character| {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

/// Parses a decimal number without sign, leading zeros or spaces.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let begins_with_zero = text.starts_with('0') && text.len() > 1;
    if text.is_empty() || begins_with_zero {
        return None;
    }
    text.bytes().try_fold(0_u64, |number, character| {
        let digit = character.is_ascii_digit().then(|| u64::from(character - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
