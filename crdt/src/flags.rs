//! Flags: what an operator has turned off or limited, feature by feature. One register a region, in feeds.
//!
//! One register for all would need an order between two operators who change it in regions that do not hear of each other. Here each region has its own, which its own operators alone
//! write, and what holds is the strictest of all that are known: so a feature that is turned off in one region goes off everywhere, and where a cut keeps that from going, the
//! operator turns it off on the other side too. It is on again once every region that turned it off has turned it on.
//!
//! What must always hold:
//! - A register's version grows with each write of its region; the higher version is the register, whole.
//! - Of two under one version, which only a region that lost its store can write, the strictest holds, and of their features the first [`FLAGS_MAX`] by name: so joining is commutative, associative and
//!   idempotent, and no register grows beyond its limit.
//! - What holds depends on the set of registers alone.
//!
//! Growth: a region, at a few bytes a feature that it has set; at most [`FLAGS_MAX`] features.

use crate::canonical::{Decoder, Encoder, MalformedState, ascending};
use crate::limits::{FLAG_NAME_BYTES_MAX, FLAGS_MAX};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The name of a feature: small letters, digits and hyphens, up to [`FLAG_NAME_BYTES_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlagName(String);

/// A text that is no name of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a flag's name has 1 to {FLAG_NAME_BYTES_MAX} small letters, digits and hyphens")]
pub struct NotAFlagName;

impl FromStr for FlagName {
    type Err = NotAFlagName;

    fn from_str(text: &str) -> Result<Self, NotAFlagName> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let fits = (1..=FLAG_NAME_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(is_allowed) { Ok(Self(text.to_owned())) } else { Err(NotAFlagName) }
    }
}

impl fmt::Display for FlagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a region says of a feature. From the strictest to the mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// It is off.
    Off,
    /// It is on, up to so much, in the feature's own unit.
    AtMost(u64),
}

/// A region has said all that a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSet {
    /// So many features are set, and no more may be.
    #[error("{FLAGS_MAX} features have flags, and no more may: clear one")]
    TooMany,
    /// The register was written as often as can be counted.
    #[error("the flags of this region have been written as often as can be counted")]
    Exhausted,
}

/// The register of one region.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | an older and a newer state of a region's register | the newer, whole |
/// | two states under one version, of a region that lost its store | feature by feature the stricter |
/// | two such states that set more features together than may be set | the first by name |
/// | one region turns a feature off, another limits it | off |
/// | two regions limit a feature | the lower limit |
/// | a region turns a feature on again that another one turned off too | off, until that one has turned it on |
///
/// Cost: joining takes time in the features that are set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    version: u64,
    set: BTreeMap<FlagName, Flag>,
}

impl Flags {
    /// Says that of a feature, or, if none, nothing any more. Returns whether that changed anything.
    ///
    /// # Errors
    /// [`NotSet`]: the register is full.
    pub fn set(&mut self, name: FlagName, flag: Option<Flag>) -> Result<bool, NotSet> {
        if self.set.get(&name).copied() == flag {
            return Ok(false);
        }
        if flag.is_some() && self.set.len() >= FLAGS_MAX && !self.set.contains_key(&name) {
            return Err(NotSet::TooMany);
        }
        self.version = self.version.checked_add(1).ok_or(NotSet::Exhausted)?;
        match flag {
            Some(flag) => _ = self.set.insert(name, flag),
            None => _ = self.set.remove(&name),
        }
        Ok(true)
    }

    /// What this region says of a feature.
    #[must_use]
    pub fn get(&self, name: &FlagName) -> Option<Flag> {
        self.set.get(name).copied()
    }

    /// All that this region says, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&FlagName, Flag)> {
        self.set.iter().map(|(name, flag)| (name, *flag))
    }

    /// The newer of both. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        if self.version > other.version {
            return false;
        }
        if self.version < other.version {
            self.clone_from(other);
            return true;
        }
        let before = self.clone();
        for (name, flag) in other.iter() {
            let stricter = |held: &mut Flag| *held = (*held).min(flag);
            self.set.entry(name.clone()).and_modify(stricter).or_insert(flag);
        }
        while self.set.len() > FLAGS_MAX {
            self.set.pop_last();
        }
        *self != before
    }

    /// What holds of a feature where those registers are known: the strictest of what they say; none if none says anything.
    #[must_use]
    pub fn holds<'a>(registers: impl IntoIterator<Item = &'a Self>, name: &FlagName) -> Option<Flag> {
        registers.into_iter().filter_map(|register| register.get(name)).min()
    }

    /// The canonical encoding: the value of its register.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.varint(self.version);
        encoder.count(self.set.len());
        for (name, flag) in &self.set {
            encoder.text(&name.0);
            match flag {
                Flag::Off => encoder.byte(0),
                Flag::AtMost(limit) => {
                    encoder.byte(1);
                    encoder.varint(*limit);
                }
            }
        }
        encoder.into_bytes()
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes, and for more features than may be set.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let (version, mut set) = (decoder.varint()?, BTreeMap::new());
        let count = decoder.count(FLAG_BYTES_MIN)?;
        if count > FLAGS_MAX {
            return Err(MalformedState("more flags than may be set"));
        }
        for _ in 0..count {
            let name = decoder.text()?.parse().map_err(|_| MalformedState("no name of a flag"))?;
            ascending(set.keys().next_back(), &name)?;
            let flag = if decoder.flag()? { Flag::AtMost(decoder.varint()?) } else { Flag::Off };
            set.insert(name, flag);
        }
        decoder.finish()?;
        Ok(Self { version, set })
    }
}

/// A name's length, one letter, and what is said.
const FLAG_BYTES_MIN: usize = 3;
