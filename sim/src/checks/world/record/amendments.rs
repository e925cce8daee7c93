//! What was done to messages, and what follows from it: the rules of the protocol's page, read word for word, sharing no code with what is judged.
//!
//! What must always hold: how a message looks is a function of what was done to it, each act standing at the lowest place that it was given under; nothing of the
//! product's own state is asked.

use super::operations::IdentityNumber;
use bytes::Bytes;
use crdt::{MessageId, UserId};
use gateway_client::{Became, Place};
use region::item::{Content, Item};
use std::collections::{BTreeMap, BTreeSet};

/// Different emoji that a message shows.
const EMOJI_SHOWN: usize = 20;

/// What was done to the messages of a conversation.
#[derive(Debug, Default)]
pub(crate) struct AmendmentFacts(BTreeMap<(UserId, MessageId), BTreeMap<IdentityNumber, Done>>);

/// Something that was done to a message.
#[derive(Debug)]
pub(crate) struct Done {
    by: UserId,
    command: MessageId,
    what: What,
}

#[derive(Debug)]
enum What {
    Edit(Bytes),
    Delete,
    React(String),
    Withdraw(String, BTreeSet<MessageId>),
}

/// How a message looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Look {
    pub(crate) deleted: bool,
    /// Of the edit that it shows.
    pub(crate) body: Option<Bytes>,
    /// In the order in which they began.
    pub(crate) reactions: Vec<(String, Vec<UserId>)>,
}

impl Look {
    /// As a device says that it looks.
    pub(crate) fn told(body: Option<Bytes>, became: Became) -> Self {
        let reactions = became.reactions.into_iter().map(|reaction| (reaction.emoji, reaction.users));
        Self { deleted: became.deleted, body, reactions: reactions.collect() }
    }

    /// Of a message that is deleted nothing else shows.
    pub(crate) fn gone() -> Self {
        Self { deleted: true, ..Self::default() }
    }
}

impl AmendmentFacts {
    /// An operation, as the region that issued it tells it; nothing if it is of another kind.
    pub(super) fn add(&mut self, identity: IdentityNumber, item: &Item) {
        let (target, what) = match &item.content {
            Content::Edited { target, body, .. } => (target, What::Edit(body.clone())),
            Content::Deleted { target } => (target, What::Delete),
            Content::Reacted { target, emoji } => (target, What::React(emoji.to_string())),
            Content::Withdrawn { target, emoji, seen } => {
                (target, What::Withdraw(emoji.to_string(), seen.clone()))
            }
            Content::Post { .. }
            | Content::Withheld { .. }
            | Content::Created { .. }
            | Content::Added { .. }
            | Content::Left
            | Content::Removed { .. }
            | Content::Promoted { .. }
            | Content::Demoted { .. }
            | Content::Claimed
            | Content::Rights(_)
            | Content::DocumentChanged { .. } => return,
        };
        let done = Done { by: item.sender, command: item.message, what };
        let of_message = self.0.entry((target.sender, target.message)).or_default();
        of_message.entry(identity).or_insert(done);
    }

    /// The messages to which anything was done.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (UserId, MessageId)> + '_ {
        self.0.keys().copied()
    }

    /// Whether a message was deleted anywhere.
    pub(crate) fn is_deleted(&self, message: (UserId, MessageId)) -> bool {
        self.of(message).any(|(_, done)| done.by == message.0 && matches!(done.what, What::Delete))
    }

    /// The bodies that edits gave to a message.
    pub(crate) fn bodies(&self, message: (UserId, MessageId)) -> impl Iterator<Item = &Bytes> {
        self.of(message).filter_map(|(_, done)| match &done.what {
            What::Edit(body) => Some(body),
            What::Delete | What::React(_) | What::Withdraw(..) => None,
        })
    }

    /// The operations that edit a message or delete it.
    pub(crate) fn carriers(&self, message: (UserId, MessageId)) -> impl Iterator<Item = IdentityNumber> {
        let of_it =
            move |done: &Done| done.by == message.0 && matches!(done.what, What::Edit(_) | What::Delete);
        self.of(message).filter(move |(_, done)| of_it(done)).map(|(identity, _)| identity)
    }

    /// How a message looks after what stands at a place; what has none has not been given.
    pub(crate) fn look(
        &self,
        message: (UserId, MessageId),
        place: impl Fn(IdentityNumber) -> Option<Place>,
    ) -> Look {
        let given = || self.of(message).filter_map(|(identity, done)| Some((place(identity)?, done)));
        let own = |done: &Done| done.by == message.0;
        if given().any(|(_, done)| own(done) && matches!(done.what, What::Delete)) {
            return Look::gone();
        }
        let edits = given().filter_map(|(at, done)| match &done.what {
            What::Edit(body) if own(done) => Some((at, body)),
            _ => None,
        });
        let body = edits.max_by_key(|(at, _)| *at).map(|(_, body)| body.clone());
        let withdrawn = |by: UserId, emoji: &str, command: MessageId| {
            given().any(|(_, done)| match &done.what {
                What::Withdraw(of, seen) => done.by == by && of == emoji && seen.contains(&command),
                _ => false,
            })
        };
        let mut shown: BTreeMap<&str, (Place, BTreeSet<UserId>)> = BTreeMap::new();
        for (at, done) in given() {
            let What::React(emoji) = &done.what else { continue };
            if !withdrawn(done.by, emoji, done.command) {
                let (began, users) = shown.entry(emoji).or_insert_with(|| (at, BTreeSet::new()));
                *began = at.min(*began);
                users.insert(done.by);
            }
        }
        let mut shown: Vec<_> = shown.into_iter().collect();
        shown.sort_by_key(|(_, (began, _))| *began);
        let named = shown.into_iter().take(EMOJI_SHOWN);
        let reactions = named.map(|(emoji, (_, users))| (emoji.to_owned(), users.into_iter().collect()));
        Look { deleted: false, body, reactions: reactions.collect() }
    }

    fn of(&self, message: (UserId, MessageId)) -> impl Iterator<Item = (IdentityNumber, &Done)> {
        self.0.get(&message).into_iter().flatten().map(|(identity, done)| (*identity, done))
    }
}
