//! The whole state of one conversation as a function of the set of its operations, and the digest by which regions compare it.
//!
//! What must always hold: regions that have applied the same operations of a conversation hold the same canonical bytes (promise 3), whatever
//! the order and whatever payloads they have cut. So the bytes name payloads by digest and hold nothing that
//! depends on arrival.
//!
//! The canonical bytes are one header, then the timeline's entries in the display order, then the aliases in the order of identities, then the
//! amendments of messages in the same. A shard keeps these lists in tables with those very keys, and the digest beside them. [`Conversation`] holds it
//! all in memory: for tests, the simulator and the checker.

use crate::Timestamp;
use crate::amendments::{Amended, Amendment, Amendments};
use crate::canonical::Encoder;
use crate::digest::StateDigest;
use crate::id::{ConversationId, Dot};
use crate::membership::{MemberChange, Membership};
use crate::operation::{Body, Envelope, Kind, MalformedOperation, Operation};
use crate::timeline::{Aliases, Entry, Identity, Inserted, Place, Timeline};
use crate::version_vector::Cut;
use std::collections::BTreeMap;

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

    /// The digest: equal when the sets of operations are, and not otherwise.
    #[must_use]
    pub fn digest(&self) -> StateDigest {
        let entries =
            self.timeline.entries().map(|(place, entry)| StateDigest::of_entry(self.id, place, &entry));
        let aliases = self.timeline.identities().flat_map(|(identity, aliases)| {
            let of = |place| StateDigest::of_alias(self.id, identity, place);
            aliases.iter().map(of).collect::<Vec<_>>()
        });
        let amendments = self.amendments().map(|(of, state)| StateDigest::of_amendments(self.id, of, state));
        let membership = StateDigest::of_membership(self.id, &self.membership);
        entries.chain(aliases).chain(amendments).chain([membership]).sum()
    }
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
