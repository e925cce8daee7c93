//! What became of messages: edited, deleted for everyone, reacted to.
//!
//! Each entry that a region delivers says what one operation did, in an order that is causal but differs between devices. What a message shows is a
//! function of the set of them, by the rules that regions go by themselves ([`crdt::amendments`]), so all devices end with the same.
//!
//! What must always hold:
//! - A deleted message stays deleted, whatever comes, and nothing of its texts is kept.
//! - The application is told when a message looks different, with all that it shows.
//!
//! Bounded by [`limits::AMENDED_MAX`] and [`limits::AMENDED_BYTES_MAX`], which tell what happens to the oldest.

use crate::item::{Became, Content, Item, Reaction};
use crate::limits;
use bytes::Bytes;
use crdt::amendments::{Amended as Outcome, Amendment, AmendmentAct, Amendments};
use crdt::{Identity, MessageId, UserId};
use std::collections::BTreeMap;

/// The amended messages of a conversation. Message ids begin with their time, so the first are the oldest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Amended {
    messages: BTreeMap<(MessageId, UserId), Message>,
    /// Of the bodies of edits.
    bytes: usize,
}

#[derive(Debug, Clone, Default)]
struct Message {
    state: Amendments,
    /// Of every edit: one that is not shown may be, when the one that is turns out to have been sent before it.
    bodies: BTreeMap<crdt::Place, Bytes>,
}

/// How a message looks now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// The message's sender and id.
    pub(crate) of: (UserId, MessageId),
    /// Of the edit that it shows.
    pub(crate) body: Option<Bytes>,
    pub(crate) became: Became,
}

impl Amended {
    /// Takes what an item does to a message. Says how that looks, if it looks different now.
    pub(crate) fn take(&mut self, item: &Item) -> Option<Look> {
        let (amendment, body) = read(item)?;
        let key = (amendment.target.message, amendment.target.sender);
        let message = self.messages.entry(key).or_default();
        let outcome = message.state.apply(&amendment);
        let is_kept = outcome != Outcome::Void && !message.state.is_deleted();
        if let Some(body) = body.filter(|_| is_kept) {
            self.bytes += body.len();
            self.bytes -= message.bodies.insert(amendment.place, body).map_or(0, |before| before.len());
        }
        if message.state.is_deleted() {
            self.bytes -= message.bodies.values().map(Bytes::len).sum::<usize>();
            message.bodies.clear();
        }
        let look = (outcome == Outcome::Changed).then(|| message.look(key));
        if message.state == Amendments::default() {
            self.messages.remove(&key);
        }
        self.forget_oldest();
        look
    }

    /// How that message looks, if anything was done to it.
    pub(crate) fn look(&self, (sender, message): (UserId, MessageId)) -> Option<Look> {
        let key = (message, sender);
        self.messages.get(&key).map(|message| message.look(key))
    }

    /// The message is hidden: nothing of it is kept.
    pub(crate) fn forget(&mut self, (sender, message): (UserId, MessageId)) {
        if let Some(forgotten) = self.messages.remove(&(message, sender)) {
            self.bytes -= forgotten.bodies.values().map(Bytes::len).sum::<usize>();
        }
    }

    /// How many messages, and how many bytes of bodies.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.messages.len(), self.bytes)
    }

    fn forget_oldest(&mut self) {
        while self.messages.len() > limits::AMENDED_MAX || self.bytes > limits::AMENDED_BYTES_MAX {
            let Some((_, oldest)) = self.messages.pop_first() else { return };
            crate::sometimes::AMENDED_FORGOTTEN.reach();
            self.bytes -= oldest.bodies.values().map(Bytes::len).sum::<usize>();
        }
    }
}

impl Message {
    fn look(&self, (message, sender): (MessageId, UserId)) -> Look {
        let edited = self.state.edited();
        let reaction = |(emoji, users): (&crdt::emoji::Emoji, Vec<UserId>)| Reaction {
            emoji: emoji.to_string(),
            count: users.len(),
            users,
        };
        let became = Became {
            deleted: self.state.is_deleted(),
            edited: edited.map(|place| crate::item::Place::new(place.hlc, place.dot)),
            reactions: self.state.reactions().into_iter().map(reaction).collect(),
        };
        let of = (sender, message);
        Look { of, body: edited.and_then(|place| self.bodies.get(&place).cloned()), became }
    }
}

/// What an item does to a message, and the body that it gives it.
fn read(item: &Item) -> Option<(Amendment, Option<Bytes>)> {
    let place = crdt::Place { hlc: item.place.hlc, dot: item.place.dot };
    let (target, act, body) = match &item.content {
        // A client knows no digest of the payload, and needs none: the place tells edits apart.
        Content::Edited { target, body, .. } => {
            (target, AmendmentAct::Edit([0; crdt::operation::DIGEST_BYTES]), Some(body.clone()))
        }
        Content::Deleted { target } => (target, AmendmentAct::Delete, None),
        Content::Reacted { target, emoji } => (target, AmendmentAct::React(emoji.clone()), None),
        Content::Withdrawn { target, emoji, seen } => {
            (target, AmendmentAct::Withdraw { emoji: emoji.clone(), seen: seen.clone() }, None)
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
        | Content::Rights
        | Content::DocumentChanged { .. } => {
            return None;
        }
    };
    let target = Identity { sender: target.0, message: target.1 };
    Some((Amendment { place, sender: item.sender, command: item.message, target, act }, body))
}
