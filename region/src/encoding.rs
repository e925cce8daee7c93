//! How the fields of records and registers are written and read.
//!
//! What must always hold: what is written has one encoding, reading is total (bytes that cannot be read are none, never a
//! panic and never an allocation larger than the bytes), and reading takes slices of the record without copying them.
//! Numbers are variable-length, seven bits a byte, smallest first; ids and hashes have their full length.

use bytes::Bytes;
use crdt::{Cut, Dot, Incarnation, MessageId, RegionId, ReplicaId, Sequence, Timestamp, UserId};

/// Writes fields one after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

/// Reads fields one after the other.
#[derive(Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
    read: usize,
}

impl Writer {
    /// Begins anew, with the room that there is.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn written(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.fixed(bytes);
    }

    pub(crate) fn user(&mut self, user: UserId) {
        self.fixed(&user.0.to_be_bytes());
    }

    pub(crate) fn message(&mut self, message: MessageId) {
        self.fixed(&message.0.to_be_bytes());
    }

    pub(crate) fn timestamp(&mut self, timestamp: Timestamp) {
        self.fixed(&timestamp.0.to_be_bytes());
    }

    pub(crate) fn replica(&mut self, replica: ReplicaId) {
        self.number(u64::from(replica.region.0));
        self.fixed(&replica.incarnation.0.to_be_bytes());
    }

    pub(crate) fn dot(&mut self, dot: Dot) {
        self.replica(dot.replica);
        self.number(dot.sequence.0);
    }

    pub(crate) fn cut(&mut self, cut: &Cut) {
        self.number(cut.iter().count() as u64);
        for dot in cut.iter() {
            self.dot(dot);
        }
    }

    pub(crate) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, read: 0 }
    }

    /// Some if everything has been read.
    pub(crate) fn end(&self) -> Option<()> {
        (self.read == self.bytes.len()).then_some(())
    }

    /// Leaves out what a later version wrote after what this one knows.
    pub(crate) fn skip_rest(&mut self) {
        self.read = self.bytes.len();
    }

    /// The next bytes, to be looked at.
    fn next(&mut self, count: usize) -> Option<&[u8]> {
        let (from, to) = (self.read, self.read.checked_add(count)?);
        let next = self.bytes.get(from..to)?;
        self.read = to;
        Some(next)
    }

    /// The next bytes, to be kept.
    pub(crate) fn take(&mut self, count: usize) -> Option<Bytes> {
        let from = self.read;
        let length = self.next(count)?.len();
        Some(self.bytes.slice(from..from + length))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.next(N)?.try_into().ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has one bit of room; a last byte of zero would be a second encoding.
            if (shift == 63 && bits > 1) || (shift > 0 && byte == 0) {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.next(length)?).ok().map(str::to_owned)
    }

    pub(crate) fn user(&mut self) -> Option<UserId> {
        self.array().map(u64::from_be_bytes).map(UserId)
    }

    pub(crate) fn message(&mut self) -> Option<MessageId> {
        self.array().map(u128::from_be_bytes).map(MessageId)
    }

    pub(crate) fn timestamp(&mut self) -> Option<Timestamp> {
        self.array().map(u64::from_be_bytes).map(Timestamp)
    }

    pub(crate) fn replica(&mut self) -> Option<ReplicaId> {
        let region = RegionId(u16::try_from(self.number()?).ok()?);
        Some(ReplicaId { region, incarnation: Incarnation(u64::from_be_bytes(self.array()?)) })
    }

    pub(crate) fn dot(&mut self) -> Option<Dot> {
        Some(Dot { replica: self.replica()?, sequence: Sequence(self.number()?) })
    }

    /// A cut has one encoding: sorted by replica, no entry at zero.
    pub(crate) fn cut(&mut self) -> Option<Cut> {
        let mut cut = Cut::new();
        let mut previous = None;
        for _ in 0..self.number()? {
            let dot = self.dot()?;
            if dot.sequence == Sequence::NONE || previous.is_some_and(|before| before >= dot.replica) {
                return None;
            }
            previous = Some(dot.replica);
            cut.raise(dot);
        }
        Some(cut)
    }

    pub(crate) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_comes_back_and_has_one_encoding(number: u64) {
            let mut writer = Writer::default();
            writer.number(number);
            let mut reader = Reader::new(Bytes::copy_from_slice(writer.written()));
            prop_assert_eq!(reader.number(), Some(number));
            prop_assert_eq!(reader.end(), Some(()));
        }

        #[test]
        fn whatever_reads_as_a_number_is_its_only_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(bytes.clone().into());
            if let Some(number) = reader.number() {
                let mut writer = Writer::default();
                writer.number(number);
                prop_assert_eq!(writer.written(), &bytes[..reader.read]);
            }
        }

        #[test]
        fn reading_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(bytes.clone().into());
            let _ = (reader.cut(), reader.dot(), reader.bytes(), reader.optional(Reader::text));
            let mut reader = Reader::new(bytes.into());
            let _ = (reader.text(), reader.cut());
        }
    }
}
