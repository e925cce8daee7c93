//! What must be so once faults have ended: everything acknowledged is everywhere, every device has everything, in one order, and all is told.
//!
//! `lacking` is asked again and again while the world heals and names the first thing that is still missing; `judge` is asked once, at the end.

use super::operations::Facts;
use super::shown::{DeviceFacts, Screen};
use super::{Checker, Oracle, Sent};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId};
use gateway_client::Place;

impl Oracle {
    /// The first thing that has not come to everyone yet.
    pub(crate) fn lacking(&self) -> Option<String> {
        for (id, facts) in &self.conversations {
            for region in self.regions_of(*id) {
                let all = facts.operations.len();
                let has = facts.applied.get(&region).map_or(0, |applied| applied.count);
                if has != all as u64 {
                    return Some(format!("{region} has {has} of {all} operations of {id}"));
                }
            }
            for (device, known) in &self.devices {
                if let Some(lacking) = lacks_shown(facts, known, known.conversations.get(id)) {
                    return Some(format!("{device} lacks {lacking} of {id}"));
                }
            }
            if let Some(lacking) = self.lacks_ticks(*id, facts) {
                return Some(lacking);
            }
        }
        for (device, known) in &self.devices {
            if let Some(command) = known.acknowledged.keys().find(|command| !self.is_settled(known, command))
            {
                return Some(format!("{device} was not told that {command} is stable"));
            }
        }
        None
    }

    fn is_settled(&self, device: &DeviceFacts, command: &crdt::MessageId) -> bool {
        // What needed nothing to be done has no operation, and becomes stable without being told.
        let stands = device.acknowledged.get(command).and_then(|id| self.conversations.get(id));
        let identity =
            stands.and_then(|facts| facts.identities.get(&(device.user, *command)).map(|n| (facts, n)));
        let exists =
            identity.is_some_and(|(facts, number)| facts.aliases.get(*number).is_some_and(|a| !a.is_empty()));
        !exists || device.stable.contains(command)
    }

    /// A delivered tick that the author's device still waits for. Only among members who never left: others' receipts are not theirs to see.
    fn lacks_ticks(&self, id: ConversationId, facts: &Facts) -> Option<String> {
        let stays = |user: &crdt::UserId| facts.is_member(*user) && !facts.leaves.contains_key(user);
        for ((author, message), sent) in facts.sent.iter().filter(|((author, _), _)| stays(author)) {
            let Some(device) = self.devices.get(&sent.device) else { continue };
            let Some(identity) = facts.identities.get(&(*author, *message)) else { continue };
            if !device.acknowledged.contains_key(message) {
                continue;
            }
            for (reader, known) in self.devices.iter().filter(|(_, known)| stays(&known.user)) {
                let shown = known.conversations.get(&id).is_some_and(|screen| screen.set.contains(*identity));
                let given = shown && facts.must_be_shown(*identity, known.user);
                if known.user != *author && given && !device.ticks.contains(&(*message, *reader, false)) {
                    return Some(format!(
                        "{} was not told that {message} reached {reader} in {id}",
                        sent.device
                    ));
                }
            }
        }
        None
    }

    /// How much there is; changes as long as anything happens.
    pub(crate) fn progress(&self) -> u64 {
        let marks = &self.marks;
        let applied = self.conversations.values().flat_map(|facts| facts.applied.values());
        let applied: u64 = applied.map(|applied| applied.count).sum();
        applied + marks.shown + marks.stable + marks.ticks + marks.unmarked + marks.moved + marks.acknowledged
    }

    /// Everything that is judged at the end.
    pub(crate) fn judge(&mut self, at: Moment) {
        let mut faults = Vec::new();
        let (mut screens, mut commands) = (0, 0);
        let mut aliases = 0;
        for (id, facts) in &self.conversations {
            aliases += facts.aliases.iter().map(|aliases| aliases.len().saturating_sub(1)).sum::<usize>();
            for (device, known) in &self.devices {
                let Some(screen) = known.conversations.get(id) else { continue };
                screens += 1;
                faults.extend(places(facts, *device, known, screen));
                faults.extend(out_of_order(facts, *device, known, screen));
                if !screen.marked.is_empty() && facts.is_member(known.user) {
                    let text = format!("{device} still shows {} marks in {id}", screen.marked.len());
                    faults.push((Checker::Marks, text));
                }
            }
        }
        for (device, known) in &self.devices {
            for (command, id) in &known.acknowledged {
                commands += 1;
                faults.extend(self.lost(*device, known, *command, *id));
            }
        }
        self.marks.aliases += aliases as u64;
        self.looked_at(Checker::Lost, commands);
        for checker in [Checker::DisplayOrder, Checker::SenderInOrder, Checker::Marks] {
            self.looked_at(checker, screens);
        }
        for (checker, what) in faults {
            self.violate(at, checker, what);
        }
    }

    fn lost(
        &self,
        device: DeviceId,
        known: &DeviceFacts,
        command: crdt::MessageId,
        id: ConversationId,
    ) -> Option<(Checker, String)> {
        let facts = self.conversations.get(&id)?;
        let sent = facts.sent.contains_key(&(known.user, command));
        let identity = facts.identities.get(&(known.user, command));
        let stands =
            |number: &usize| self.regions_of(id).iter().all(|region| facts.stands_in(*region, *number));
        match identity {
            Some(number) if stands(number) => None,
            None if !sent => None,
            _ => Some((Checker::Lost, format!("{command} of {device} in {id}"))),
        }
    }
}

fn lacks_shown(facts: &Facts, known: &DeviceFacts, screen: Option<&Screen>) -> Option<String> {
    if !facts.is_member(known.user) {
        return None;
    }
    for (identity, aliases) in facts.aliases.iter().enumerate() {
        let shown = screen.is_some_and(|screen| screen.set.contains(identity));
        if !aliases.is_empty() && !shown && facts.must_be_shown(identity, known.user) {
            // It is not empty.
            let operation = &facts.operations[aliases[0]];
            return Some(format!("{:?} {} of {}", operation.kind, operation.message, operation.sender));
        }
    }
    None
}

/// One display order: everything stands at its lowest place. To whom an alias is hidden, any of the places that are not.
fn places(
    facts: &Facts,
    device: DeviceId,
    known: &DeviceFacts,
    screen: &Screen,
) -> Option<(Checker, String)> {
    if !facts.is_member(known.user) || facts.leaves.contains_key(&known.user) {
        return None;
    }
    for (identity, place) in &screen.places {
        let aliases = facts.aliases.get(*identity).into_iter().flatten();
        let seen = aliases.filter(|alias| !facts.is_excused(**alias, known.user));
        let lowest: Option<Place> = seen.map(|alias| facts.operations[*alias].place).min();
        if lowest.is_some_and(|lowest| lowest != *place) {
            return Some((
                Checker::DisplayOrder,
                format!("{device} shows at {place} what belongs at {lowest:?}"),
            ));
        }
    }
    None
}

/// One sending device's messages are shown in the order sent.
fn out_of_order(
    facts: &Facts,
    device: DeviceId,
    known: &DeviceFacts,
    screen: &Screen,
) -> Option<(Checker, String)> {
    let mut latest: std::collections::BTreeMap<DeviceId, u64> = std::collections::BTreeMap::new();
    for identity in &screen.order {
        let operation = facts.aliases.get(*identity)?.first().map(|alias| &facts.operations[*alias])?;
        let Some(Sent { device: by, number, .. }) = facts.sent.get(&(operation.sender, operation.message))
        else {
            continue;
        };
        let before = latest.entry(*by).or_default();
        let excused = facts.aliases[*identity].iter().any(|alias| facts.is_excused(*alias, known.user));
        if operation.kind.is_post() && number < before && !excused {
            let text = format!("{device} shows {by}'s message {number} after its {before}.");
            return Some((Checker::SenderInOrder, text));
        }
        *before = (*before).max(*number);
    }
    None
}
