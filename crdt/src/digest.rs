//! The digest of a state, which is kept up while operations are applied: the sum of the digests of its items, modulo 2^128.
//!
//! What must always hold:
//! - It is a function of the set of items, so of the set of operations: the same operations give the same digest, in whatever order they came, however often,
//!   and whatever has been folded away or cut since.
//! - An item that comes or goes costs that item alone, and the digest of several states is the sum of theirs: so a conversation's digest is kept beside it, and
//!   its partition's beside that.
//!
//! A sum of hashes is the AdHash of Bellare and Micciancio (*A New Paradigm for Collision-Free Hashing*, 1997). It finds faults: a region that computed, kept or lost something other than the
//! rest. It does not withstand who chooses items at will; that nobody can say two things under one dot is for [the chain](crate::chain).
//!
//! Cost: one BLAKE3 an item, some 100 ns for the two of a message.

use crate::amendments::Amendments;
use crate::canonical::Encoder;
use crate::id::{ConversationId, ParseIdError, parse_half};
use crate::membership::Membership;
use crate::timeline::{Entry, Identity, Place};
use std::fmt;
use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};
use std::str::FromStr;

/// The digest of a state, or of one of its items.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StateDigest(pub u128);

/// Keys the hash, so that no item reads as anything else that is hashed. Another meaning of an item is another key.
const KEY: &[u8; 32] = b"archipelago: items of a state, 1";

impl StateDigest {
    /// That an operation carries an identity, at its place.
    #[must_use]
    pub fn of_alias(conversation: ConversationId, identity: Identity, place: Place) -> Self {
        of_item(1, conversation, |encoder| {
            identity.write(encoder);
            place.write(encoder);
        })
    }

    /// What stands at a place of the display order.
    #[must_use]
    pub fn of_entry(conversation: ConversationId, place: Place, entry: &Entry) -> Self {
        of_item(2, conversation, |encoder| entry.write(place, encoder))
    }

    /// What became of a message that was amended.
    #[must_use]
    pub fn of_amendments(conversation: ConversationId, identity: Identity, amendments: &Amendments) -> Self {
        of_item(3, conversation, |encoder| {
            identity.write(encoder);
            encoder.fixed(&amendments.encode());
        })
    }

    /// Who is in it: nothing while nothing is known of that.
    #[must_use]
    pub fn of_membership(conversation: ConversationId, membership: &Membership) -> Self {
        let bytes = membership.canonical_bytes();
        if bytes == Membership::default().canonical_bytes() {
            return Self::default();
        }
        of_item(4, conversation, |encoder| encoder.fixed(&bytes))
    }

    /// The document that people edit together, in its canonical bytes.
    #[must_use]
    pub fn of_document(conversation: ConversationId, bytes: &[u8]) -> Self {
        of_item(5, conversation, |encoder| encoder.fixed(bytes))
    }
}

/// Items begin with a byte that says which they are, so that none of one kind reads as another.
fn of_item(kind: u8, conversation: ConversationId, write: impl FnOnce(&mut Encoder)) -> StateDigest {
    let mut encoder = Encoder::default();
    encoder.byte(kind);
    encoder.fixed(&conversation.0.to_be_bytes());
    write(&mut encoder);
    let hash = blake3::keyed_hash(KEY, &encoder.into_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    StateDigest(u128::from_be_bytes(first))
}

impl AddAssign for StateDigest {
    fn add_assign(&mut self, item: Self) {
        self.0 = self.0.wrapping_add(item.0);
    }
}

impl SubAssign for StateDigest {
    fn sub_assign(&mut self, item: Self) {
        self.0 = self.0.wrapping_sub(item.0);
    }
}

impl Sum for StateDigest {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        let mut sum = Self::default();
        items.for_each(|item| sum += item);
        sum
    }
}

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for StateDigest {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_half(text, "state digest").map(Self)
    }
}

impl fmt::Debug for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateDigest({self})")
    }
}
