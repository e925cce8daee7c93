//! Version vectors and cuts: what a region has applied, and points in causal time.
//!
//! A vector is exact, because logs have no holes: sequence n of a replica means all of 1..=n. Joined pointwise,
//! so join is commutative, associative and idempotent; an absent replica stands at zero.
//!
//! A vector has as many entries as a placement has replicas, few, and is copied, joined and compared with every operation: so it is a sorted list, one
//! allocation of 24 bytes an entry, where a tree's first node alone takes 280. What must always hold: its replicas ascend strictly.

use crate::canonical::{Decoder, Encoder, MalformedState, ascending};
use crate::id::{Dot, ParseIdError, ReplicaId, Sequence};
use crate::limits::CUT_ENTRIES_MAX;
use crate::proto;
use std::fmt;
use std::str::FromStr;

/// Per replica, the highest sequence applied. Zero entries are never kept, so equal vectors are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct VersionVector(Vec<(ReplicaId, Sequence)>);

/// A version vector taken as a point in causal time; within one conversation, per origin the last operation of
/// that conversation that it covers.
pub type Cut = VersionVector;

impl VersionVector {
    /// Covers nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The highest sequence of that replica it covers; [`Sequence::NONE`] if none.
    #[must_use]
    pub fn get(&self, replica: ReplicaId) -> Sequence {
        self.0.iter().find(|(known, _)| *known == replica).map_or(Sequence::NONE, |(_, sequence)| *sequence)
    }

    /// Whether it covers that operation.
    #[must_use]
    pub fn covers(&self, dot: Dot) -> bool {
        dot.sequence <= self.get(dot.replica)
    }

    /// Whether it covers all that `other` covers.
    #[must_use]
    pub fn covers_all(&self, other: &Self) -> bool {
        other.0.iter().all(|(replica, sequence)| *sequence <= self.get(*replica))
    }

    /// Raises one entry to at least that dot. Returns whether that changed anything.
    pub fn raise(&mut self, dot: Dot) -> bool {
        let at = self.0.partition_point(|(replica, _)| *replica < dot.replica);
        match self.0.get_mut(at).filter(|(replica, _)| *replica == dot.replica) {
            Some((_, sequence)) if *sequence >= dot.sequence => false,
            Some((_, sequence)) => {
                *sequence = dot.sequence;
                true
            }
            None if dot.sequence == Sequence::NONE => false,
            None => {
                self.0.insert(at, (dot.replica, dot.sequence));
                true
            }
        }
    }

    /// The least vector that covers both. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for dot in other.iter() {
            changed |= self.raise(dot);
        }
        changed
    }

    /// The greatest vector that both cover.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let least = |(replica, sequence): &(ReplicaId, Sequence)| {
            let least = other.get(*replica).min(*sequence);
            (least != Sequence::NONE).then_some((*replica, least))
        };
        Self(self.0.iter().filter_map(least).collect())
    }

    /// Its entries in replica order, each as the last dot covered.
    pub fn iter(&self) -> impl Iterator<Item = Dot> + '_ {
        self.0.iter().map(|(replica, sequence)| Dot { replica: *replica, sequence: *sequence })
    }

    /// Whether it covers nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The canonical encoding: what a region keeps and compares.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        self.write(&mut encoder);
        encoder.into_bytes()
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let vector = Self::take(&mut decoder)?;
        decoder.finish()?;
        Ok(vector)
    }

    pub(crate) fn write(&self, encoder: &mut Encoder) {
        encoder.count(self.0.len());
        self.iter().for_each(|dot| encoder.dot(dot));
    }

    pub(crate) fn take(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        let count = decoder.count(Decoder::DOT_BYTES_MIN)?;
        let mut vector: Vec<(ReplicaId, Sequence)> = Vec::with_capacity(count);
        for _ in 0..count {
            let dot = decoder.dot()?;
            ascending(vector.last().map(|(replica, _)| replica), &dot.replica)?;
            vector.push((dot.replica, dot.sequence));
        }
        Ok(Self(vector))
    }

    /// The Protocol Buffers form, sorted by replica.
    #[must_use]
    pub fn to_proto(&self) -> proto::Cut {
        let entry = |dot: Dot| proto::CutEntry {
            region: u32::from(dot.replica.region.0),
            incarnation: dot.replica.incarnation.0,
            sequence: dot.sequence.0,
        };
        proto::Cut { entries: self.iter().map(entry).collect() }
    }

    /// Reads the Protocol Buffers form.
    ///
    /// # Errors
    /// [`MalformedCut`] when a region number is out of range, a sequence is zero, the entries are not strictly sorted (a
    /// vector has one encoding), or there are more than [`CUT_ENTRIES_MAX`].
    pub fn from_proto(cut: &proto::Cut) -> Result<Self, MalformedCut> {
        if cut.entries.len() > CUT_ENTRIES_MAX {
            return Err(MalformedCut);
        }
        let mut vector = Self::new();
        let mut previous = None;
        for entry in &cut.entries {
            let region = u16::try_from(entry.region).map_err(|_| MalformedCut)?;
            let replica = ReplicaId {
                region: crate::RegionId(region),
                incarnation: crate::Incarnation(entry.incarnation),
            };
            if entry.sequence == 0 || previous.is_some_and(|before| before >= replica) {
                return Err(MalformedCut);
            }
            previous = Some(replica);
            vector.raise(Dot { replica, sequence: Sequence(entry.sequence) });
        }
        Ok(vector)
    }
}

impl FromIterator<Dot> for VersionVector {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let dots = dots.into_iter();
        let mut vector = Self(Vec::with_capacity(dots.size_hint().0));
        for dot in dots {
            vector.raise(dot);
        }
        vector
    }
}

impl FromStr for VersionVector {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let refuse =
            || ParseIdError::new(text, "version vector", "{r1.00000000000000ff:12 r2.00000000000000aa:7}");
        let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(refuse)?;
        let mut vector: Vec<(ReplicaId, Sequence)> = Vec::new();
        for dot in inside.split(' ').filter(|_| !inside.is_empty()) {
            let dot: Dot = dot.parse().map_err(|_| refuse())?;
            ascending(vector.last().map(|(replica, _)| replica), &dot.replica).map_err(|_| refuse())?;
            vector.push((dot.replica, dot.sequence));
        }
        Ok(Self(vector))
    }
}

impl fmt::Display for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, dot) in self.iter().enumerate() {
            write!(f, "{}{dot}", if index == 0 { "" } else { " " })?;
        }
        f.write_str("}")
    }
}

/// A cut whose entries are out of range, zero, unsorted or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cut's entries must be sorted by replica, within range, above zero and at most {CUT_ENTRIES_MAX}")]
pub struct MalformedCut;
