//! Once faults have ended: everything acknowledged is everywhere, every device has everything, in one order, all is told, and every queue is empty.
//!
//! `lacking` is asked again and again while the world heals and names the first thing that is still missing; `judge` is asked once, at the end.

use super::record::{DeviceFacts, Facts, IdentityNumber, Screen};
use super::{Checker, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId, MessageId, RegionId, UserId};

impl Oracle {
    /// The first thing that has not come to everyone yet.
    pub(crate) fn lacking(&self) -> Option<String> {
        if self.is_off {
            return None;
        }
        for (id, facts) in &self.record.conversations {
            for region in self.record.regions_of(id.placement()) {
                let (has, all) = (facts.count_applied(*region), self.count_held(*id, facts));
                if has != all {
                    return Some(format!("{region} has {has} of {all} operations of {id}"));
                }
            }
            for (device, known) in self.devices_to_judge(*id, facts) {
                let held = |identity| self.is_all_held(*id, facts, identity);
                if let Some(lacking) =
                    lacks_shown(facts, known, known.conversations.get(id).map(Box::as_ref), held)
                {
                    return Some(format!("{device} lacks {lacking} of {id}"));
                }
            }
            if self.lies.spare(id.placement())
                && let Some(lacking) = self.lacks_ticks(*id, facts)
            {
                return Some(lacking);
            }
            if let Some(unanswered) = self.unanswered(facts) {
                return Some(unanswered);
            }
        }
        if let Some(lacking) = self.lacks_hidden() {
            return Some(lacking);
        }
        for (device, known) in &self.record.devices {
            // What only a lost region had acknowledged is in an outbox still, and is sent elsewhere once its author's device is there.
            let mut acknowledged =
                known.acknowledged.iter().filter(|(_, id)| !self.lies.spare(id.placement()));
            if let Some(lost) =
                acknowledged.find_map(|(command, id)| self.lost(*device, known, *command, *id))
            {
                return Some(format!("not in every region that is left: {lost}"));
            }
            if let Some(command) =
                known.acknowledged.keys().find(|command| !self.is_settled(*device, known, command))
            {
                return Some(format!("{device} was not told that {command} is stable"));
            }
        }
        None
    }

    /// The first thing that one of these regions has and another one of them lacks.
    pub(crate) fn lacking_among(&self, regions: &[RegionId]) -> Option<String> {
        if self.is_off {
            return None;
        }
        for (id, facts) in &self.record.conversations {
            let holders =
                self.record.regions_of(id.placement()).iter().filter(|region| regions.contains(region));
            let holders: Vec<RegionId> = holders.copied().collect();
            for number in 0..facts.operations.len() {
                let lacks = |region: &&RegionId| !facts.is_applied(**region, number);
                let lacking = holders.iter().find(lacks);
                let holding = holders.iter().find(|region| !lacks(region));
                if let Some((lacking, holding)) = lacking.zip(holding) {
                    let what = facts.describe(number);
                    return Some(format!("{lacking} lacks {what} of {id}, which {holding} has"));
                }
            }
        }
        None
    }

    /// A message that was neither acknowledged nor refused to its author's device: if it is not in an outbox either, it was dropped without a word.
    fn unanswered(&self, facts: &Facts) -> Option<String> {
        let mut unanswered = facts.sent.iter().filter_map(|((_, message), sent)| {
            let known = self.record.devices.get(&sent.device)?;
            let told = known.acknowledged.contains_key(message) || known.refused.contains(message);
            (!told).then(|| format!("{} was told nothing of its {message}", sent.device))
        });
        unanswered.next()
    }

    fn is_settled(&self, id: DeviceId, device: &DeviceFacts, command: &MessageId) -> bool {
        let may_wait = |conversation| self.may_stay_unstable(conversation, (id, device), *command);
        let excused = device.acknowledged.get(command).is_some_and(|conversation| may_wait(*conversation));
        excused || device.needless.contains(command) || device.stable.contains(command)
    }

    /// Where a region was lost, it is closed by an epoch in the end: what stands in those that are left becomes stable then, and a member's device is told, unless it was misled. What
    /// the lost one alone had taken is another matter (`lost.rs`).
    fn may_stay_unstable(
        &self,
        conversation: ConversationId,
        (id, device): (DeviceId, &DeviceFacts),
        command: MessageId,
    ) -> bool {
        if self.lies.spare(conversation.placement()) {
            return false;
        }
        let Some(facts) = self.record.conversations.get(&conversation) else { return true };
        let rest = self.record.regions_of(conversation.placement());
        let identity = facts.identities.get(&(device.user, command));
        let stands =
            identity.is_some_and(|identity| rest.iter().any(|region| facts.stands_in(*region, *identity)));
        !stands || !self.devices_to_judge(conversation, facts).any(|(judged, _)| judged == id)
    }

    /// A delivered tick that the author's device still waits for. Only among members who never left: others' receipts are not theirs to see.
    fn lacks_ticks(&self, id: ConversationId, facts: &Facts) -> Option<String> {
        let stays = |user: &UserId| facts.is_member(*user) && !facts.leaves.contains_key(user);
        let readers: Vec<_> =
            self.devices_to_judge(id, facts).filter(|(_, known)| stays(&known.user)).collect();
        for ((author, message), sent) in facts.sent.iter().filter(|((author, _), _)| stays(author)) {
            let Some(device) = self.record.devices.get(&sent.device) else { continue };
            let Some(identity) = facts.identities.get(&(*author, *message)) else { continue };
            if !device.acknowledged.contains_key(message) || self.lies.have_misled(sent.device) {
                continue;
            }
            for (reader, known) in &readers {
                let shown = known.conversations.get(&id).is_some_and(|screen| screen.shows(*identity));
                let given = shown && facts.must_be_shown(*identity, known.user);
                // A receipt of its own, or with the rest of its user's devices.
                let mut readers = [*reader, DeviceId::REST].into_iter();
                let is_told = |reader| device.ticks.contains(&(*message, known.user, reader, false));
                if known.user != *author && given && !readers.any(is_told) {
                    let by = sent.device;
                    return Some(format!("{by} was not told that {message} reached {reader} in {id}"));
                }
            }
        }
        None
    }

    /// How much there is; changes as long as anything happens.
    pub(crate) const fn progress(&self) -> u64 {
        let marks = &self.marks;
        self.record.applied
            + marks.shown
            + marks.stable
            + marks.ticks
            + marks.unmarked
            + marks.moved
            + marks.hidden
            + marks.acknowledged
            + marks.receipts
    }

    /// The healed world is whole and quiet, or something is missing though its time is over.
    pub(crate) fn healed(&mut self, at: Moment, missing: Option<String>) {
        self.look_at(Checker::Whole);
        if let Some(missing) = missing {
            self.violate(at, Checker::Whole, missing);
        }
    }

    /// Everything that is judged at the end.
    pub(crate) fn judge(&mut self, at: Moment) {
        if self.is_off {
            return;
        }
        self.judge_lost(at);
        self.judge_causal_order(at);
        self.judge_display_order(at);
        self.judge_amended(at);
        self.judge_hidden(at);
        let identities = self.record.conversations.values().flat_map(|facts| &facts.aliases);
        let aliases: usize = identities.map(|aliases| aliases.len().saturating_sub(1)).sum();
        self.marks.aliases += aliases as u64;
    }
}

fn lacks_shown(
    facts: &Facts,
    known: &DeviceFacts,
    screen: Option<&Screen>,
    is_all_held: impl Fn(IdentityNumber) -> bool,
) -> Option<String> {
    if !facts.is_member(known.user) {
        return None;
    }
    for (identity, aliases) in facts.aliases.iter().enumerate() {
        let shown = screen.is_some_and(|screen| screen.shows(identity));
        if let Some(first) = aliases.first().filter(|_| !shown)
            && facts.must_be_shown(identity, known.user)
            && is_all_held(identity)
        {
            return Some(facts.describe(*first));
        }
    }
    None
}
