//! The whole state of one conversation as a function of the set of its operations, and the digest by which regions compare it.
//!
//! What must always hold: regions that have applied the same operations of a conversation hold the same canonical bytes (promise 3), whatever
//! the order and whatever payloads they have cut. So the bytes name payloads by digest and hold nothing that
//! depends on arrival.
//!
//! The canonical bytes are one header, then the timeline's entries in the display order, then the aliases in the order of identities, then the
//! amendments of messages in the same. A shard keeps these lists in tables with those very keys, so a scan of each feeds a [`DigestBuilder`]: no
//! memory beyond one item, whatever the length. [`Conversation`] holds it all in memory: for tests, the simulator and the checker.
//!
//! Cost: about 150 bytes hashed a message, a gigabyte a second and core.

use crate::Timestamp;
use crate::amendments::{Amended, Amendment, Amendments};
use crate::canonical::Encoder;
use crate::id::{ConversationId, Dot, ParseIdError, parse_bytes};
use crate::membership::{MemberChange, Membership};
use crate::operation::{Body, Envelope, Kind, MalformedOperation, Operation};
use crate::timeline::{Aliases, Entry, Identity, Inserted, Place, Timeline};
use crate::version_vector::Cut;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// One conversation, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    id: ConversationId,
    cut: Cut,
    highest: Timestamp,
    membership: Membership,
    timeline: Timeline,
    /// By message, whatever has been done to it.
    amendments: BTreeMap<Identity, Amendments>,
}

/// What an operation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// To the timeline.
    pub inserted: Inserted,
    /// To the membership.
    pub members: Vec<MemberChange>,
    /// To the message that it amends, if it does.
    pub amended: Option<Amended>,
}

/// Why an operation was not applied. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// It belongs elsewhere.
    #[error("the operation belongs to conversation {0}")]
    OtherConversation(ConversationId),
    /// Its bytes are not an operation.
    #[error(transparent)]
    Malformed(#[from] MalformedOperation),
    /// Its payload has been cut, although its kind governs others.
    #[error("the payload of {0} is gone, although operations of its kind keep theirs for ever")]
    PayloadGone(Dot),
}

impl Conversation {
    /// The empty state of that conversation.
    #[must_use]
    pub fn new(id: ConversationId) -> Self {
        Self {
            id,
            cut: Cut::new(),
            highest: Timestamp::ZERO,
            membership: Membership::default(),
            timeline: Timeline::default(),
            amendments: BTreeMap::new(),
        }
    }

    /// Takes an operation, once or again.
    ///
    /// # Errors
    /// [`NotApplied`] when it is not an operation of this conversation.
    pub fn apply(&mut self, operation: &Operation) -> Result<Applied, NotApplied> {
        let envelope = Envelope::decode(&operation.envelope)?;
        if envelope.conversation != self.id {
            return Err(NotApplied::OtherConversation(envelope.conversation));
        }
        let body = match &operation.payload {
            // What a message says changes nothing here.
            Some(payload) if envelope.kind == Kind::Post => {
                Body::check_post(&envelope, payload).map(|()| None)?
            }
            Some(payload) => Some(Body::decode(&envelope, payload)?),
            None if envelope.kind.may_be_cut() => None,
            None => return Err(NotApplied::PayloadGone(operation.dot)),
        };
        let inserted = self.timeline.apply(operation.dot, &envelope);
        let amendment = Amendment::of(operation.dot, &envelope, body.as_ref());
        let amended = amendment.map(|amendment| self.amend(&amendment));
        // Nothing is folded here, so nothing can come behind a fold.
        let outcome = body.and_then(|body| self.membership.apply(operation.dot, &envelope, &body).ok());
        self.cut.raise(operation.dot);
        self.highest = self.highest.max(envelope.hlc);
        Ok(Applied { inserted, members: outcome.map_or_else(Vec::new, |outcome| outcome.members), amended })
    }

    /// What is void leaves nothing behind, so that a message nobody amended has no entry.
    fn amend(&mut self, amendment: &Amendment) -> Amended {
        let mut state = self.amendments.remove(&amendment.target).unwrap_or_default();
        let amended = state.apply(amendment);
        if state != Amendments::default() {
            self.amendments.insert(amendment.target, state);
        }
        amended
    }

    /// Which conversation it is.
    #[must_use]
    pub const fn id(&self) -> ConversationId {
        self.id
    }

    /// Per origin, the last operation applied.
    #[must_use]
    pub const fn cut(&self) -> &Cut {
        &self.cut
    }

    /// The highest timestamp applied.
    #[must_use]
    pub const fn highest(&self) -> Timestamp {
        self.highest
    }

    /// Who is in it.
    #[must_use]
    pub const fn membership(&self) -> &Membership {
        &self.membership
    }

    /// What was said.
    #[must_use]
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What became of messages that were amended, sorted by identity.
    pub fn amendments(&self) -> impl Iterator<Item = (Identity, &Amendments)> {
        self.amendments.iter().map(|(identity, state)| (*identity, state))
    }

    /// What became of that message; nothing if it was not amended.
    #[must_use]
    pub fn amendments_of(&self, identity: Identity) -> Option<&Amendments> {
        self.amendments.get(&identity)
    }

    /// The canonical bytes: equal exactly when the states are.
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        header(&mut encoder, self.id, &self.cut, self.highest, &self.membership);
        for (place, entry) in self.timeline.entries() {
            entry_item(&mut encoder, place, &entry);
        }
        for (identity, aliases) in self.timeline.identities() {
            aliases_item(&mut encoder, identity, &aliases);
        }
        for (identity, amendments) in self.amendments() {
            amendments_item(&mut encoder, identity, amendments);
        }
        encoder.into_bytes()
    }

    /// The digest of the canonical bytes, as a [`DigestBuilder`] gives it.
    #[must_use]
    pub fn digest(&self) -> StateDigest {
        let mut hasher = hasher();
        hasher.update(&self.canonical_bytes());
        StateDigest(*hasher.finalize().as_bytes())
    }
}

/// The digest of a conversation's canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateDigest(pub [u8; 32]);

/// Digests a conversation from its tables: the entries in the order of places, then the aliases in the order of identities, then the amendments
/// in the same.
#[derive(Debug)]
pub struct DigestBuilder {
    hasher: blake3::Hasher,
    place: Option<Place>,
    identity: Option<Identity>,
    amended: Option<Identity>,
}

/// An item was given that does not follow the one before it: the table it came from is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "items to be digested must come in order: entries by place, then aliases by identity, then amendments by identity"
)]
pub struct OutOfOrder;

impl DigestBuilder {
    /// Begins with what a conversation holds once.
    #[must_use]
    pub fn new(id: ConversationId, cut: &Cut, highest: Timestamp, membership: &Membership) -> Self {
        let mut encoder = Encoder::default();
        header(&mut encoder, id, cut, highest, membership);
        let mut hasher = hasher();
        hasher.update(&encoder.into_bytes());
        Self { hasher, place: None, identity: None, amended: None }
    }

    /// The next entry of the timeline.
    ///
    /// # Errors
    /// [`OutOfOrder`] unless its place is above the one before, and no aliases were given yet.
    pub fn entry(&mut self, place: Place, entry: &Entry) -> Result<(), OutOfOrder> {
        if self.identity.is_some()
            || self.amended.is_some()
            || self.place.is_some_and(|before| before >= place)
        {
            return Err(OutOfOrder);
        }
        self.place = Some(place);
        let mut encoder = Encoder::default();
        entry_item(&mut encoder, place, entry);
        self.hasher.update(&encoder.into_bytes());
        Ok(())
    }

    /// All operations of the next identity.
    ///
    /// # Errors
    /// [`OutOfOrder`] unless the identity is above the one before, and no amendments were given yet.
    pub fn aliases(&mut self, identity: Identity, aliases: &Aliases) -> Result<(), OutOfOrder> {
        if self.amended.is_some() || self.identity.is_some_and(|before| before >= identity) {
            return Err(OutOfOrder);
        }
        self.identity = Some(identity);
        let mut encoder = Encoder::default();
        aliases_item(&mut encoder, identity, aliases);
        self.hasher.update(&encoder.into_bytes());
        Ok(())
    }

    /// What became of the next message that was amended.
    ///
    /// # Errors
    /// [`OutOfOrder`] unless the identity is above the one before.
    pub fn amendments(&mut self, identity: Identity, amendments: &Amendments) -> Result<(), OutOfOrder> {
        if self.amended.is_some_and(|before| before >= identity) {
            return Err(OutOfOrder);
        }
        self.amended = Some(identity);
        let mut encoder = Encoder::default();
        amendments_item(&mut encoder, identity, amendments);
        self.hasher.update(&encoder.into_bytes());
        Ok(())
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> StateDigest {
        StateDigest(*self.hasher.finalize().as_bytes())
    }
}

fn hasher() -> blake3::Hasher {
    blake3::Hasher::new_derive_key("archipelago conversation state")
}

fn header(encoder: &mut Encoder, id: ConversationId, cut: &Cut, highest: Timestamp, membership: &Membership) {
    encoder.fixed(&id.0.to_be_bytes());
    cut.write(encoder);
    encoder.fixed(&highest.0.to_be_bytes());
    encoder.fixed(&membership.canonical_bytes());
}

// Items begin with a byte that says which they are, so that no list of one kind reads as another.
fn entry_item(encoder: &mut Encoder, place: Place, entry: &Entry) {
    encoder.byte(1);
    entry.write(place, encoder);
}

fn aliases_item(encoder: &mut Encoder, identity: Identity, aliases: &Aliases) {
    encoder.byte(2);
    identity.write(encoder);
    aliases.write(encoder);
}

fn amendments_item(encoder: &mut Encoder, identity: Identity, amendments: &Amendments) {
    encoder.byte(3);
    identity.write(encoder);
    encoder.fixed(&amendments.encode());
}

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for StateDigest {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_bytes(text, "state digest").map(Self)
    }
}

impl fmt::Debug for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateDigest({self})")
    }
}
