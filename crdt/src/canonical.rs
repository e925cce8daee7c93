//! The canonical bytes of replicated state: big-endian numbers, minimal varints, sorted lists, nothing else.
//!
//! What must always hold:
//! - A value has one encoding, and only that one decodes: `encode(decode(bytes)) == bytes` for all bytes that decode. So equal
//!   states are equal bytes, and a digest of the bytes is a digest of the state.
//! - Decoding is total and bounded: a count is believed only as far as the bytes that are there could hold it.
//!
//! Operations are not encoded like this but as Protocol Buffers, because they travel between versions; this is for
//! what a region derives from them, keeps on its own disk and compares by digest.

use crate::id::{Dot, Incarnation, MessageId, RegionId, ReplicaId, Sequence, UserId};
use std::collections::BTreeMap;

/// Bytes that are not the canonical encoding of what they were taken for: a damaged record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical encoding: {0}")]
pub struct MalformedState(pub &'static str);

/// Appends canonical encodings to bytes.
#[derive(Debug, Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// LEB128, minimal.
    pub(crate) fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.varint(count as u64);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.fixed(text.as_bytes());
    }

    pub(crate) fn user(&mut self, user: UserId) {
        self.fixed(&user.0.to_be_bytes());
    }

    pub(crate) fn message(&mut self, message: MessageId) {
        self.fixed(&message.0.to_be_bytes());
    }

    pub(crate) fn dot(&mut self, dot: Dot) {
        self.fixed(&dot.replica.region.0.to_be_bytes());
        self.fixed(&dot.replica.incarnation.0.to_be_bytes());
        self.varint(dot.sequence.0);
    }
}

/// Takes canonical encodings off the front of bytes.
#[derive(Debug)]
pub(crate) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses what is left over.
    pub(crate) fn finish(self) -> Result<(), MalformedState> {
        if self.0.is_empty() { Ok(()) } else { Err(MalformedState("bytes after the end")) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], MalformedState> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(MalformedState("cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], MalformedState> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(MalformedState("cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, MalformedState> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, MalformedState> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
                return Err(MalformedState("a number out of range or with padding"));
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(MalformedState("a number out of range or with padding"))
    }

    /// A count of things that take at least `bytes_min` bytes each.
    pub(crate) fn count(&mut self, bytes_min: usize) -> Result<usize, MalformedState> {
        let count = usize::try_from(self.varint()?).map_err(|_| MalformedState("cut short"))?;
        if count > self.0.len() / bytes_min.max(1) {
            return Err(MalformedState("a count of more than there is"));
        }
        Ok(count)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, MalformedState> {
        let length = self.count(1)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| MalformedState("text that is not UTF-8"))
    }

    pub(crate) fn number(&mut self) -> Result<u64, MalformedState> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn user(&mut self) -> Result<UserId, MalformedState> {
        self.number().map(UserId)
    }

    pub(crate) fn message(&mut self) -> Result<MessageId, MalformedState> {
        self.array().map(u128::from_be_bytes).map(MessageId)
    }

    /// A varint of at most 32 bits.
    pub(crate) fn small(&mut self) -> Result<u32, MalformedState> {
        u32::try_from(self.varint()?).map_err(|_| MalformedState("a number out of range or with padding"))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, MalformedState> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            2..=u8::MAX => Err(MalformedState("a flag that is neither 0 nor 1")),
        }
    }

    /// A counted, strictly ascending list of entries that take at least `bytes_min` bytes each.
    pub(crate) fn map<K: Ord + Copy, V>(
        &mut self,
        bytes_min: usize,
        mut entry: impl FnMut(&mut Self) -> Result<(K, V), MalformedState>,
    ) -> Result<BTreeMap<K, V>, MalformedState> {
        let mut map = BTreeMap::new();
        for _ in 0..self.count(bytes_min)? {
            let (key, value) = entry(self)?;
            ascending(map.keys().next_back(), &key)?;
            map.insert(key, value);
        }
        Ok(map)
    }

    /// The bytes a dot takes at least.
    pub(crate) const DOT_BYTES_MIN: usize = 11;

    pub(crate) fn dot(&mut self) -> Result<Dot, MalformedState> {
        let region = RegionId(u16::from_be_bytes(self.array()?));
        let incarnation = Incarnation(self.number()?);
        let sequence = Sequence(self.varint()?);
        if sequence == Sequence::NONE {
            return Err(MalformedState("a dot numbered zero"));
        }
        Ok(Dot { replica: ReplicaId { region, incarnation }, sequence })
    }
}

/// Refuses a list that is not strictly ascending: it would be a second encoding of the same set.
pub(crate) fn ascending<T: Ord>(before: Option<&T>, next: &T) -> Result<(), MalformedState> {
    if before.is_none_or(|before| before < next) {
        Ok(())
    } else {
        Err(MalformedState("entries out of order"))
    }
}
