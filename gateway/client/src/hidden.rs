//! Which messages the user has deleted for themselves, on this device or another.
//!
//! Regions withhold what they know to be hidden. A device may know more than the region that it has just moved to, so it looks for itself too.
//!
//! What must always hold: what was hidden is shown no more, whatever carries it and whatever is done to it.
//! Bounded by [`limits::HIDDEN_MAX`], which tells what happens to the oldest.

use crate::item::{Content, Item};
use crate::limits;
use crdt::{MessageId, UserId};
use std::collections::BTreeSet;

/// The hidden messages of a conversation. Message ids begin with their time, so the first are the oldest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hidden(BTreeSet<(MessageId, UserId)>);

impl Hidden {
    /// Takes note that a message is hidden. Says whether that is new.
    pub(crate) fn hide(&mut self, (sender, message): (UserId, MessageId)) -> bool {
        let is_new = self.0.insert((message, sender));
        if self.0.len() > limits::HIDDEN_MAX {
            crate::sometimes::HIDDEN_FORGOTTEN.reach();
            self.0.pop_first();
        }
        is_new
    }

    /// Whether that message is hidden.
    pub(crate) fn contains(&self, (sender, message): (UserId, MessageId)) -> bool {
        self.0.contains(&(message, sender))
    }

    /// The item, or what is left of it if it is about a hidden message.
    pub(crate) fn withhold(&self, item: Item) -> Item {
        match item.about() {
            Some(target) if self.contains(target) => Item { content: Content::Withheld { target }, ..item },
            Some(_) | None => item,
        }
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
