//! Promise 5: all devices that have the same operations show them in the same order, by (time, dot).
//!
//! Once all is calm everything on a screen stands at the lowest of its operations' places: then any two screens agree. A message moves on the way there, and only to an
//! earlier place of its own. An operation gets a place above all that its region had applied to the conversation, so that no answer is displayed above its question. To whom an operation is hidden, any of the places that are not. What this does not see: how an application draws it.

use super::record::{DeviceFacts, Facts, IdentityNumber, Number, Screen};
use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId, MessageId, RegionId, UserId};
use gateway_client::Place;

impl Oracle {
    /// A shown message moves.
    pub(super) fn is_moved(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        (sender, message): (UserId, MessageId),
        from: Place,
        to: Place,
    ) -> Fault {
        self.look_at(Checker::Moves);
        let record = &mut self.record;
        let Some(facts) = record.conversations.get(&conversation) else { return Ok(()) };
        let Some(identity) = facts.identities.get(&(sender, message)).copied() else { return Ok(()) };
        let device = record.devices.get_mut(&id);
        let screen = device.and_then(|device| device.conversations.get_mut(&conversation));
        let place = screen.and_then(|screen| screen.places.get_mut(&identity));
        let is_one_of_its = self.is_off
            || facts.by_dot.get(&to.dot).is_some_and(|number| {
                // Numbers are those of the conversation.
                let operation = &facts.operations[*number];
                operation.identity == identity && operation.place == to
            });
        match place {
            Some(place) if *place == from && to < from && is_one_of_its => {
                *place = to;
                Ok(())
            }
            _ => {
                let text = format!("{message} of {sender} from {from} to {to} in {conversation}");
                Err((Checker::Moves, text))
            }
        }
    }

    /// Once all is calm.
    pub(super) fn judge_display_order(&mut self, at: Moment) {
        let mut faults = Vec::new();
        let mut screens = 0;
        for (id, facts) in &self.record.conversations {
            for (device, known) in self.devices_to_judge(*id, facts) {
                let Some(screen) = known.conversations.get(id) else { continue };
                screens += 1;
                let held = |identity| self.is_all_held(*id, facts, identity);
                faults.extend(misplaced(facts, device, known, screen, held));
            }
        }
        self.looked_at(Checker::DisplayOrder, screens);
        for what in faults {
            self.violate(at, Checker::DisplayOrder, what);
        }
    }
}

/// A region gives an operation a place above all that it had applied to the conversation; but for one that it brings back, which keeps the time that another replica gave it.
pub(super) fn stands_above_its_causes(facts: &Facts, region: RegionId, number: Number) -> Fault {
    // Numbers are those of the conversation.
    let (place, identity) = (facts.operations[number].place, facts.operations[number].identity);
    let mut others = facts.aliases.get(identity).into_iter().flatten();
    if others.any(|other| {
        let other = facts.operations[*other].place;
        other.hlc == place.hlc && other.dot.replica != place.dot.replica
    }) {
        return Ok(());
    }
    match facts.highest_applied(region) {
        Some(highest) if highest >= place => {
            Err((Checker::DisplayOrder, format!("at {place}, below what it had applied at {highest}")))
        }
        _ => Ok(()),
    }
}

fn misplaced(
    facts: &Facts,
    device: DeviceId,
    known: &DeviceFacts,
    screen: &Screen,
    is_all_held: impl Fn(IdentityNumber) -> bool,
) -> Option<String> {
    if !facts.is_member(known.user) || facts.leaves.contains_key(&known.user) {
        return None;
    }
    for (identity, place) in screen.places.iter().filter(|(identity, _)| is_all_held(**identity)) {
        let aliases = facts.aliases.get(*identity).into_iter().flatten();
        let seen = aliases.filter(|alias| !facts.is_excused(**alias, known.user));
        let lowest: Option<Place> = seen.map(|alias| facts.operations[*alias].place).min();
        // One that an add hides, while an earlier one of the same user does not, may have come before it was hidden: then it stands there rightly.
        let came_before = |lowest: &Place| {
            let number = facts.by_dot.get(&place.dot).filter(|_| place < lowest);
            number.is_some_and(|number| facts.may_be_shown(*number, known.user))
        };
        if let Some(lowest) = lowest.filter(|lowest| lowest != place && !came_before(lowest)) {
            return Some(format!("{device} shows at {place} what belongs at {lowest}"));
        }
    }
    None
}
