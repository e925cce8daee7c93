//! Conversations and the messages in them.
//!
//! What must always hold: a conversation's placement is in its id and never changes, so any region routes it, or refuses it, without a
//! look-up; the bucket is a hash of the rest, so that ids drawn by hostile clients still spread. The id of a conversation of
//! two users is a hash of the pair: both sides, cut off from each other, open the same one. That of an account has the user in it, so that anybody knows it for one.

use super::text::{Text, hexadecimal};
use super::user::first_eight;
use super::{Bucket, ParseIdError, PartitionId, PlacementId, UserId};
use std::fmt;
use std::str::FromStr;

/// A conversation. The top 16 bits carry its placement, so that any region can route it without a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(pub u128);

/// What stands between the placement and the user in an account's id: "accoun". Of drawn ids one in 2^48 has it, and is refused where a group begins.
const ACCOUNT: u128 = 0x6163_636f_756e;

/// Chosen by the client (a UUIDv7) and the idempotency key of what it names: one identity is
/// (conversation, sender, message id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u128);

impl ConversationId {
    /// A group of that placement with those 112 low (random) bits; higher bits of `low` are cut off.
    #[must_use]
    pub const fn group(placement: PlacementId, low: u128) -> Self {
        Self(((placement.0 as u128) << 112) | (low & ((1 << 112) - 1)))
    }

    /// The conversation of two users: the same whoever asks. That of a user with themselves is their account in that placement.
    #[must_use]
    pub fn direct(placement: PlacementId, one: UserId, other: UserId) -> Self {
        if one == other {
            return Self::account(placement, one);
        }
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        let mut hasher = blake3::Hasher::new_derive_key("archipelago direct conversation");
        hasher.update(&placement.0.to_be_bytes()).update(&low.0.to_be_bytes()).update(&high.0.to_be_bytes());
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self::group(placement, u128::from_be_bytes(bytes))
    }

    /// A user's account in that placement: the one conversation that nobody else is ever in, and that has a document and no messages.
    #[must_use]
    pub const fn account(placement: PlacementId, user: UserId) -> Self {
        Self::group(placement, (ACCOUNT << 64) | user.0 as u128)
    }

    /// Whose account it is, if it is one.
    #[must_use]
    pub const fn account_of(self) -> Option<UserId> {
        let is_one = (self.0 >> 64) & ((1 << 48) - 1) == ACCOUNT;
        if is_one { Some(UserId(self.0 as u64)) } else { None }
    }

    /// The placement it lives in, for ever.
    #[must_use]
    pub const fn placement(self) -> PlacementId {
        PlacementId((self.0 >> 112) as u16)
    }

    /// The partition it is logged in.
    #[must_use]
    pub fn partition(self) -> PartitionId {
        let low = self.0 & ((1 << 112) - 1);
        let digest = blake3::hash(&low.to_be_bytes());
        let bucket = Bucket::of_hash(u64::from_be_bytes(first_eight(digest.as_bytes())));
        PartitionId { placement: self.placement(), bucket }
    }
}

impl MessageId {
    /// The milliseconds since 1970 that a UUIDv7 carries: when the client made it, by its own clock.
    #[must_use]
    pub const fn created_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// A UUIDv7 (RFC 9562, section 5.7) of that time and randomness.
    #[must_use]
    pub const fn new(created_ms: u64, random: u128) -> Self {
        let time = (created_ms as u128 & 0xffff_ffff_ffff) << 80;
        let version = 7 << 76;
        let variant = 0b10 << 62;
        let kept = (0xfff << 64) | 0x3fff_ffff_ffff_ffff;
        Self(time | version | variant | (random & kept))
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text::new()
            .character(b'c')
            .hexadecimal((self.0 >> 64) as u64, 16)
            .hexadecimal(self.0 as u64, 16)
            .give(f)
    }
}

impl FromStr for ConversationId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.strip_prefix('c')
            .and_then(|digits| hexadecimal(digits.as_bytes(), 32))
            .map(Self)
            .ok_or_else(|| ParseIdError::new(text, "conversation id", "c00010000000000000000000000000abc"))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = ((self.0 >> 64) as u64, self.0 as u64);
        let mut text = Text::new();
        text.hexadecimal(high >> 32, 8).character(b'-').hexadecimal(high >> 16, 4).character(b'-');
        text.hexadecimal(high, 4).character(b'-').hexadecimal(low >> 48, 4).character(b'-');
        text.hexadecimal(low, 12).give(f)
    }
}

impl FromStr for MessageId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let refuse = || ParseIdError::new(text, "message id", "01890a5d-ac96-774b-bcce-b302099a8057");
        let mut digits = [0; 32];
        let mut found = 0;
        for (at, character) in text.bytes().enumerate() {
            let is_dash = matches!(at, 8 | 13 | 18 | 23);
            if is_dash != (character == b'-') {
                return Err(refuse());
            }
            if !is_dash {
                *digits.get_mut(found).ok_or_else(refuse)? = character;
                found += 1;
            }
        }
        hexadecimal(&digits, 32).map(Self).ok_or_else(refuse)
    }
}
