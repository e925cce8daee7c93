//! Who is to be shown what: by what clients were told of membership, not by what a roster says.
//!
//! First members are to be shown everything; who was added, all that none of their adds hides; who left, nothing more is asked for. An
//! add that its creator's device resent to another region is one of its own there, with a cut of its own, and tells clients so: a region shows the newcomer
//! what those it has heard of do not hide, so what only one of them hides is shown in some regions and owed in none.
//! A message with duplicates is owed if none of them is hidden.

use super::{ConversationEvidence, Evidence, MessageFacts};
use crdt::{Cut, UserId};

/// What one member is owed of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    /// Nothing: not a member, or left.
    Nothing,
    /// All that this cut does not cover.
    AllBut(Cut),
}

impl Owed {
    /// Whether that message must be shown in the end.
    #[must_use]
    pub fn includes(&self, message: &MessageFacts) -> bool {
        match self {
            Self::Nothing => false,
            Self::AllBut(hidden) => !message.dots.iter().any(|dot| hidden.covers(*dot)),
        }
    }
}

impl ConversationEvidence {
    /// What that user's devices are owed.
    #[must_use]
    pub fn owed_to(&self, user: UserId) -> Owed {
        if self.left.contains(&user) {
            return Owed::Nothing;
        }
        if self.first_members.contains(&user) {
            return Owed::AllBut(Cut::new());
        }
        let Some(adds) = self.added.get(&user) else { return Owed::Nothing };
        let mut hidden = Cut::new();
        for add in adds {
            hidden.join(add);
        }
        Owed::AllBut(hidden)
    }
}

impl Evidence {
    /// Messages acknowledged, those owed to devices (a pair of message and device counts one), and those of them that were shown.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for conversation in self.conversations.values() {
            let acknowledged = conversation.messages.iter().filter(|facts| facts.acknowledged.is_some());
            totals.acknowledged += acknowledged.count() as u64;
            for (number, device) in self.devices.iter().enumerate() {
                let owed = conversation.owed_to(device.user);
                if owed == Owed::Nothing {
                    continue;
                }
                let shown = conversation
                    .tracks
                    .get(&number)
                    .map(|track| track.first_shown(conversation.messages.len()));
                for (message, facts) in conversation.messages.iter().enumerate() {
                    if facts.acknowledged.is_some() && owed.includes(facts) {
                        totals.shown_expected += 1;
                        totals.shown +=
                            u64::from(shown.as_ref().is_some_and(|shown| shown[message].is_some()));
                    }
                }
            }
        }
        totals
    }
}

/// How much was done and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Pairs of an acknowledged message and a device that is owed it.
    pub shown_expected: u64,
    /// Those of them where the device was shown the message.
    pub shown: u64,
}
