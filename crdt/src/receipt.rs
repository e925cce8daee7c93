//! Receipts: what a member's device has been given and its user has read, each as a cut of the conversation.
//!
//! A count or a single timestamp would be wrong the moment a cut-off region comes back: its late messages sort before what was
//! read, and would be read without having been shown. A cut is causally closed, so a late message is in no cut that
//! was given before it arrived. What must always hold:
//! - Whatever was read was delivered: joining makes it so.
//! - Who tells nobody that they read still has their own unread counts, on all their devices. So there are two cuts of what was read: `read` is
//!   told to others, `noted` is for the member alone, and whatever is in the first is in the second.
//! - Join is pointwise: commutative, associative, idempotent; a receipt only grows.
//! - A message counts when any of its aliases is in the cut and is not hidden from the member.
//!
//! Growth: members' devices × replicas for a conversation's whole life, about 12 bytes each and twice, three times for who reads without telling; not messages.

use crate::canonical::{Decoder, Encoder, MalformedState};
use crate::id::Dot;
use crate::timeline::Aliases;
use crate::version_vector::Cut;

/// The register of one member's device in one conversation.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | two devices, or one device in two regions, read on | joined pointwise; read implies delivered |
/// | a late message of a cut-off region sorts before what was read | not read: it is in no cut given before it came |
/// | the copy of a message that was read becomes an alias | it stays read |
/// | a message from before the reader was added | does not count |
/// | a member reads on one device telling others, on another without | others are told what the first read; the member has read both |
///
/// Cost: a join takes time in the entries of the cuts, one for each replica.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    delivered: Cut,
    read: Cut,
    noted: Cut,
}

impl Receipt {
    /// Delivered and read up to there; what is read is delivered too.
    #[must_use]
    pub fn new(delivered: Cut, read: Cut) -> Self {
        let mut receipt = Self { delivered, noted: read.clone(), read };
        receipt.delivered.join(&receipt.read);
        receipt
    }

    /// Delivered up to there; read too, which nobody but the member is told.
    #[must_use]
    pub fn quiet(noted: Cut) -> Self {
        Self { delivered: noted.clone(), read: Cut::new(), noted }
    }

    /// Everything given to the device.
    #[must_use]
    pub const fn delivered(&self) -> &Cut {
        &self.delivered
    }

    /// Everything the user has read on it and tells others so.
    #[must_use]
    pub const fn read(&self) -> &Cut {
        &self.read
    }

    /// Everything the user has read on it, whether others are told or not: for nobody but the user.
    #[must_use]
    pub const fn noted(&self) -> &Cut {
        &self.noted
    }

    /// The least receipt that covers both. Returns whether that changed anything.
    pub fn join(&mut self, other: &Self) -> bool {
        let delivered = self.delivered.join(&other.delivered);
        let read = self.read.join(&other.read);
        let noted = self.noted.join(&other.noted);
        delivered || read || noted
    }

    /// Whether that operation was delivered.
    #[must_use]
    pub fn covers(&self, dot: Dot) -> bool {
        self.delivered.covers(dot)
    }

    /// Whether a message was delivered to the device of a member who is not shown what `since` covers.
    #[must_use]
    pub fn has_delivered(&self, message: &Aliases, since: &Cut) -> bool {
        counts(&self.delivered, message, since)
    }

    /// Whether a message was read by a member who is not shown what `since` covers.
    #[must_use]
    pub fn has_read(&self, message: &Aliases, since: &Cut) -> bool {
        counts(&self.read, message, since)
    }

    /// The canonical encoding: the value of its register. What was noted is written only where it is more than what was read.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        self.delivered.write(&mut encoder);
        self.read.write(&mut encoder);
        if self.noted != self.read {
            self.noted.write(&mut encoder);
        }
        encoder.into_bytes()
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] for any other bytes, and when more is read than noted, or more noted than delivered.
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        let mut decoder = Decoder::new(bytes);
        let (delivered, read) = (Cut::take(&mut decoder)?, Cut::take(&mut decoder)?);
        let told = decoder.is_empty();
        let noted = if told { read.clone() } else { Cut::take(&mut decoder)? };
        decoder.finish()?;
        if !told && noted == read {
            return Err(MalformedState("a receipt that notes nothing beyond what was read"));
        }
        let receipt = Self { delivered, read, noted };
        if receipt.delivered.covers_all(&receipt.noted) && receipt.noted.covers_all(&receipt.read) {
            Ok(receipt)
        } else {
            Err(MalformedState("a receipt for more read than delivered"))
        }
    }
}

/// What is kept of one of a member's devices: its receipt, until it is taken for dead. What a dead device confirmed, before or after, counts for the rest of its
/// user's devices together, which have a receipt of their own that cannot die: so nothing that was read is lost, and a life of new phones does not leave a row each.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | a device confirms, and is taken for dead elsewhere | it is dead, and what it confirmed counts for the rest of its user's devices |
/// | a device that was taken for dead confirms again | it stays dead; what it confirms counts for the rest of its user's devices |
/// | two regions take one device for dead | it is dead |
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceReceipt {
    /// What it has confirmed.
    Kept(Receipt),
    /// It was taken for dead. Nothing is above that.
    Dead,
}

impl Default for DeviceReceipt {
    fn default() -> Self {
        Self::Kept(Receipt::default())
    }
}

impl DeviceReceipt {
    /// The least that is above both. Returns whether that changed anything, and what is to be joined into the receipt of the rest of the user's devices.
    pub fn join(&mut self, other: &Self) -> (bool, Option<Receipt>) {
        match (&mut *self, other) {
            (Self::Kept(kept), Self::Kept(more)) => (kept.join(more), None),
            (Self::Kept(kept), Self::Dead) => {
                let rest = std::mem::take(kept);
                *self = Self::Dead;
                (true, Some(rest))
            }
            (Self::Dead, Self::Kept(more)) => (false, Some(more.clone())),
            (Self::Dead, Self::Dead) => (false, None),
        }
    }

    /// The receipt, if the device was not taken for dead.
    #[must_use]
    pub const fn kept(&self) -> Option<&Receipt> {
        match self {
            Self::Kept(receipt) => Some(receipt),
            Self::Dead => None,
        }
    }

    /// The canonical encoding: that of the receipt, or no byte.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.kept().map(Receipt::encode).unwrap_or_default()
    }

    /// Reads the canonical encoding.
    ///
    /// # Errors
    /// [`MalformedState`] as [`Receipt::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MalformedState> {
        if bytes.is_empty() { Ok(Self::Dead) } else { Receipt::decode(bytes).map(Self::Kept) }
    }
}

/// Whether any operation of the message is in the cut and not hidden.
fn counts(cut: &Cut, message: &Aliases, since: &Cut) -> bool {
    message.iter().any(|place| cut.covers(place.dot) && !since.covers(place.dot))
}
