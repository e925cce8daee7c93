//! The frames in a QUIC packet (RFC 9000, section 19), as far as it takes to find the bytes of streams among them.
//!
//! What must always hold: nothing is passed over: a frame of an unknown type fails the test, since what follows it could not be read.

/// Reads bytes from the front.
pub struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    /// A number whose first two bits say how many bytes it takes.
    pub fn number(&mut self) -> Option<u64> {
        let first = *self.0.first()?;
        let bytes = self.take(1 << (first >> 6))?;
        let rest = bytes[1..].iter();
        Some(rest.fold(u64::from(first & 0x3f), |number, byte| number << 8 | u64::from(*byte)))
    }

    fn numbers(&mut self, count: u64) -> Option<()> {
        (0..count).try_for_each(|_| self.number().map(drop))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length as usize)
    }

    /// What is of a stream in the next frame, and from where on.
    fn frame(&mut self) -> Option<Option<(u64, &'a [u8])>> {
        let kind = self.number()?;
        match kind {
            // Padding, ping, the handshake is done, acknowledge at once.
            0x00 | 0x01 | 0x1e | 0x1f => {}
            // What has come, and marks of congestion.
            0x02 | 0x03 => {
                self.numbers(2)?;
                let ranges = self.number()?;
                self.numbers(1 + 2 * ranges + if kind == 0x03 { 3 } else { 0 })?;
            }
            // Limits, streams that end, connections' names that are given up.
            0x10 | 0x12..=0x14 | 0x16 | 0x17 | 0x19 => self.numbers(1)?,
            0x05 | 0x11 | 0x15 => self.numbers(2)?,
            0x04 => self.numbers(3)?,
            0xaf => self.numbers(4)?,
            // The handshake, a token.
            0x06 => {
                self.numbers(1)?;
                self.bytes()?;
            }
            0x07 => _ = self.bytes()?,
            // A stream's bytes.
            0x08..=0x0f => {
                assert_eq!(self.number()?, 0, "a bridge has one stream");
                let offset = if kind & 4 == 0 { 0 } else { self.number()? };
                let bytes = if kind & 2 == 0 { self.take(self.0.len())? } else { self.bytes()? };
                return Some(Some((offset, bytes)));
            }
            // A new name, with the token that resets it.
            0x18 => {
                self.numbers(2)?;
                let length = self.byte()?;
                self.take(usize::from(length) + 16)?;
            }
            // The way is tried.
            0x1a | 0x1b => _ = self.take(8)?,
            // The end, with a reason in words.
            0x1c | 0x1d => {
                self.numbers(if kind == 0x1c { 2 } else { 1 })?;
                self.bytes()?;
            }
            // A datagram.
            0x30 => _ = self.take(self.0.len())?,
            0x31 => _ = self.bytes()?,
            _ => panic!("a frame of type {kind:#x}"),
        }
        Some(None)
    }
}

/// What a packet carries of its connection's stream, and from where on.
pub fn stream_bytes(packet: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let (mut cursor, mut found) = (Cursor::new(packet), Vec::new());
    while !cursor.rest().is_empty() {
        let frame = cursor.frame().expect("whole frames");
        found.extend(frame.map(|(offset, bytes)| (offset, bytes.to_vec())));
    }
    found
}
