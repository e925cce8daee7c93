//! Delete for me: whether one user sees one message. One register a message and user, in feeds.
//!
//! Its name holds the message's identity, not an operation, so it is the same for whatever carries the message and whether or not that has come yet. One register
//! for all that a user hides would send all of it again with each message more.
//!
//! What must always hold:
//! - Joining takes the higher state: it is commutative, associative, idempotent, and what was hidden stays hidden.
//! - It says nothing of the message, and nothing of what others see.
//!
//! Growth: a message hidden, for good, at one byte beside its name.

use crate::canonical::{Decoder, Encoder, MalformedState};

/// The register of one user and one message. From the lower state to the higher.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | a user hides one message on two devices, in two regions | hidden |
/// | a message is hidden where it has not come yet | hidden when it comes, whatever carries it |
/// | a message is hidden, and sent again, edited or reacted to elsewhere | hidden, and so is what is done to it |
/// | two users hide one message | each for themselves |
///
/// Cost: constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Visibility {
    /// The user has said nothing of it.
    #[default]
    Shown,
    /// The user has taken it out of their view.
    Hidden,
}

impl Visibility {
    /// The higher of both. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        let grows = *self < *other;
        *self = (*self).max(*other);
        grows
    }

    /// The canonical encoding: the value of its register.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.byte(u8::from(*self == Self::Hidden));
        encoder.into_bytes()
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let visibility = if decoder.flag()? { Self::Hidden } else { Self::Shown };
        decoder.finish()?;
        Ok(visibility)
    }
}
