//! Hides duplicates: a message has one identity (conversation, sender, message id), however often it was sent and wherever.
//!
//! What must always hold: one identity is shown once. A duplicate at an earlier place moves what is shown; at a later
//! place it changes nothing. All devices end with the lowest place, so they show the same order.
//! Bounded by [`limits::IDENTITIES_MAX`], which tells what happens to the oldest.

use crate::item::Place;
use crate::limits;
use crdt::{MessageId, UserId};
use std::collections::BTreeMap;

/// What an item turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// Never shown.
    New,
    /// Shown at a later place, which it leaves for this one.
    Moves {
        /// Where it was shown.
        from: Place,
    },
    /// Shown already.
    Known,
}

/// The identities shown of a conversation. Message ids begin with their time, so the first are the oldest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identities {
    places: BTreeMap<(MessageId, UserId), Place>,
    /// The newest that was forgotten.
    forgotten: Option<(MessageId, UserId)>,
}

impl Identities {
    /// Takes note of an item. `given` says whether its very operation has been given before.
    pub(crate) fn see(&mut self, sender: UserId, message: MessageId, place: Place, given: bool) -> Sighting {
        let identity = (message, sender);
        if let Some(shown) = self.places.get_mut(&identity) {
            if place >= *shown {
                return Sighting::Known;
            }
            let from = std::mem::replace(shown, place);
            return Sighting::Moves { from };
        }
        if given && self.forgotten >= Some(identity) {
            return Sighting::Known;
        }
        self.places.insert(identity, place);
        if self.places.len() > limits::IDENTITIES_MAX {
            crate::sometimes::IDENTITY_FORGOTTEN.reach();
            let oldest = self.places.pop_first().map(|(oldest, _)| oldest);
            self.forgotten = self.forgotten.max(oldest);
        }
        Sighting::New
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crdt::{PlacementId, Timestamp};

    fn place(hlc: u64, region: u16) -> Place {
        Place::new(Timestamp(hlc), format!("r{region}.0000000000000001:{hlc}").parse().unwrap())
    }

    #[test]
    fn a_duplicate_moves_a_message_only_to_an_earlier_place() {
        let sender = UserId::new(PlacementId(1), 1);
        let mut identities = Identities::default();
        let mut see = |hlc, region| identities.see(sender, MessageId(1), place(hlc, region), false);
        assert_eq!(see(5, 1), Sighting::New);
        assert_eq!(see(6, 2), Sighting::Known);
        assert_eq!(see(5, 1), Sighting::Known);
        assert_eq!(see(4, 3), Sighting::Moves { from: place(5, 1) });
        assert_eq!(see(5, 1), Sighting::Known);
    }

    #[test]
    fn one_message_id_of_two_senders_is_two_messages() {
        let mut identities = Identities::default();
        for number in [1, 2] {
            let sender = UserId::new(PlacementId(1), number);
            assert_eq!(identities.see(sender, MessageId(1), place(number, 1), false), Sighting::New);
        }
    }

    #[test]
    fn a_forgotten_identity_given_again_under_its_dot_stays_hidden() {
        let sender = UserId::new(PlacementId(1), 1);
        let mut identities = Identities::default();
        let many = u64::try_from(limits::IDENTITIES_MAX).unwrap() + 1;
        for number in 1..=many {
            identities.see(sender, MessageId(number.into()), place(number, 1), false);
        }
        assert_eq!(identities.len(), limits::IDENTITIES_MAX);
        assert_eq!(identities.see(sender, MessageId(1), place(1, 1), true), Sighting::Known);
        assert_eq!(
            identities.see(sender, MessageId(u128::from(many) + 1), place(many + 1, 1), true),
            Sighting::New
        );
    }
}
