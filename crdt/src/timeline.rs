//! The timeline: what was said, in the display order, each message once however often it was sent.
//!
//! A client that hears nothing sends again, perhaps to another region, so one message may be issued as several operations.
//! Its *identity* is (conversation, sender, message id). What must always hold:
//! - The operations of one identity collapse to the lowest (hlc, dot), its canonical place; the others are aliases. The lowest of
//!   a set does not depend on the order in which the set became known.
//! - What targets a message (a reply) targets the identity, so a collapse breaks no link.
//! - A collapse that moves what was shown is an event of its own: [`Inserted::Moved`].
//!
//! | concurrent | outcome |
//! | --- | --- |
//! | the same message taken by two regions | one entry at the lower (hlc, dot); who showed the other moves it |
//! | a reply, and the collapse of what it answers | the reply names the identity: it points to wherever that stands |
//! | one id for two different messages (a client's mistake) | the lower (hlc, dot) is shown, on every region the same one |
//!
//! [`Aliases`] is the rule as a small value, which a shard loads and writes for one identity at a time: a region that
//! has an identity issues no second operation for it, so there are at most as many aliases as replicas ever had the
//! conversation. [`Timeline`] is the same rule over a whole conversation in memory (`timeline/in_memory.rs`).

mod gallop;
mod identity_index;
mod in_memory;

pub use in_memory::Timeline;

use crate::Timestamp;
use crate::canonical::{Decoder, Encoder, MalformedState, ascending};
use crate::id::{Dot, MessageId, UserId};
use crate::operation::{DIGEST_BYTES, Envelope, Kind};

/// What a message is, within its conversation, however often it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Who sent it.
    pub sender: UserId,
    /// The client's id.
    pub message: MessageId,
}

/// A place in the display order: by timestamp, then by dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The operation's timestamp.
    pub hlc: Timestamp,
    /// The operation.
    pub dot: Dot,
}

/// All known operations of one identity, sorted: the first is canonical.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aliases(Vec<Place>);

/// What one more operation did to its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// The identity is new: show it.
    First,
    /// It is shown already, at a lower place: nothing to show.
    AliasOnly,
    /// It was shown at `from`, and stands at the operation's own place from now on, with the operation's content.
    Moved {
        /// Where it stood.
        from: Place,
    },
    /// This very operation was known.
    AlreadyThere,
}

impl Aliases {
    /// Takes one more operation of the identity.
    pub fn insert(&mut self, place: Place) -> Inserted {
        let Err(index) = self.0.binary_search(&place) else { return Inserted::AlreadyThere };
        let first = self.0.first().copied();
        self.0.insert(index, place);
        match first {
            None => Inserted::First,
            Some(from) if place < from => Inserted::Moved { from },
            Some(_) => Inserted::AliasOnly,
        }
    }

    /// Where the identity is shown; none before the first operation.
    #[must_use]
    pub fn canonical(&self) -> Option<Place> {
        self.0.first().copied()
    }

    /// All of them, the canonical one first.
    pub fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        self.0.iter().copied()
    }

    /// The canonical encoding.
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
        let count = decoder.count(8 + Decoder::DOT_BYTES_MIN)?;
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let place = Place::read(&mut decoder)?;
            ascending(places.last(), &place)?;
            places.push(place);
        }
        decoder.finish()?;
        Ok(Self(places))
    }

    pub(crate) fn write(&self, encoder: &mut Encoder) {
        encoder.count(self.0.len());
        self.0.iter().for_each(|place| place.write(encoder));
    }
}

impl FromIterator<Place> for Aliases {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let mut aliases = Self::default();
        for place in places {
            aliases.insert(place);
        }
        aliases
    }
}

impl Place {
    pub(crate) fn write(self, encoder: &mut Encoder) {
        encoder.fixed(&self.hlc.0.to_be_bytes());
        encoder.dot(self.dot);
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        Ok(Self { hlc: Timestamp(decoder.number()?), dot: decoder.dot()? })
    }
}

impl Identity {
    pub(crate) fn write(self, encoder: &mut Encoder) {
        encoder.user(self.sender);
        encoder.message(self.message);
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        Ok(Self { sender: decoder.user()?, message: decoder.message()? })
    }
}

impl Envelope {
    /// What its message is, within its conversation.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        Identity { sender: self.sender, message: self.message }
    }

    /// Its place in the display order, given its dot.
    #[must_use]
    pub const fn place(&self, dot: Dot) -> Place {
        Place { hlc: self.hlc, dot }
    }
}

/// What stands at a place, as far as every region has it, whatever payloads it has cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub identity: Identity,
    /// What its canonical operation does.
    pub kind: Kind,
    /// The digest of the canonical operation's payload.
    pub payload_digest: [u8; DIGEST_BYTES],
}

impl Entry {
    /// What an operation puts at its place.
    #[must_use]
    pub const fn of(envelope: &Envelope) -> Self {
        Self { identity: envelope.identity(), kind: envelope.kind, payload_digest: envelope.payload_digest }
    }

    pub(crate) fn write(&self, place: Place, encoder: &mut Encoder) {
        place.write(encoder);
        self.identity.write(encoder);
        encoder.byte(self.kind.code());
        encoder.fixed(&self.payload_digest);
    }
}
