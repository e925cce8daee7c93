//! Promise 1: nothing acknowledged is lost.
//!
//! Once all is calm, whatever was acknowledged is in every region of its placement. On the way there: what is told to be stable is durable in every region at that
//! moment (whoever believes it forgets it), and what was acknowledged is not refused afterwards. What this does not see: stores that nobody reads.

use super::record::DeviceFacts;
use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId, Dot, MessageId, PartitionId, VersionVector};

impl Oracle {
    /// An author is told that a command is stable.
    pub(super) fn is_stable(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        command: MessageId,
    ) -> Fault {
        self.look_at(Checker::StableEverywhere);
        let Some(device) = self.record.devices.get_mut(&id) else { return Ok(()) };
        let user = device.user;
        if !device.stable.insert(command) || !device.acknowledged.contains_key(&command) {
            let text = format!("{command}, twice or before it was acknowledged");
            return Err((Checker::StableEverywhere, text));
        }
        let regions = self.record.regions_of(conversation.placement());
        let everywhere = self.is_off
            || self.record.conversations.get(&conversation).is_some_and(|facts| {
                let identity = facts.identities.get(&(user, command));
                identity.is_some_and(|identity| regions.iter().all(|at| facts.stands_in(*at, *identity)))
            });
        if everywhere { Ok(()) } else { Err((Checker::StableEverywhere, command.to_string())) }
    }

    /// A region says that so much of a partition is stable. Each operation is looked at when it is first said of it.
    pub(crate) fn stable_stands(&mut self, at: Moment, partition: PartitionId, cut: &VersionVector) {
        if self.is_off {
            return;
        }
        self.look_at(Checker::StableEverywhere);
        let known = self.record.stable.entry(partition).or_default();
        if known.covers_all(cut) {
            return;
        }
        let from = |dot: Dot| Dot { sequence: known.get(dot.replica).next(), ..dot };
        let new: Vec<(Dot, Dot)> =
            cut.iter().map(|dot| (from(dot), dot)).filter(|(from, to)| from <= to).collect();
        known.join(cut);
        let regions = self.record.regions_of(partition.placement);
        let dots = self.record.dots.get(&partition);
        let claimed =
            dots.into_iter().flat_map(|dots| new.iter().flat_map(|(from, to)| dots.range(*from..=*to)));
        let mut fault = None;
        for (dot, (conversation, number)) in claimed {
            let Some(facts) = self.record.conversations.get(conversation) else { continue };
            if let Some(region) = regions.iter().find(|region| !facts.is_applied(**region, *number)) {
                fault = Some(format!("{dot} of {conversation} is not durable in {region}"));
            }
        }
        if let Some(fault) = fault {
            self.violate(at, Checker::StableEverywhere, fault);
        }
    }

    /// Once all is calm.
    pub(super) fn judge_lost(&mut self, at: Moment) {
        let devices = self.record.devices.iter();
        let commands =
            devices.flat_map(|(id, known)| known.acknowledged.iter().map(move |of| (id, known, of)));
        let mut looked_at = 0;
        let faults: Vec<String> = commands
            .inspect(|_| looked_at += 1)
            .filter_map(|(id, known, (command, conversation))| self.lost(*id, known, *command, *conversation))
            .collect();
        self.looked_at(Checker::Lost, looked_at);
        for what in faults {
            self.violate(at, Checker::Lost, what);
        }
    }

    pub(super) fn lost(
        &self,
        device: DeviceId,
        known: &DeviceFacts,
        command: MessageId,
        id: ConversationId,
    ) -> Option<String> {
        let facts = self.record.conversations.get(&id);
        let regions = self.record.regions_of(id.placement());
        let stands = facts.is_some_and(|facts| {
            let identity = facts.identities.get(&(known.user, command));
            identity.is_some_and(|number| regions.iter().all(|region| facts.stands_in(*region, *number)))
        });
        let needless = known.needless.contains(&command)
            || facts.is_some_and(|facts| self.may_come_too_late(id, facts, (known.user, command)));
        (!stands && !needless).then(|| format!("{command} of {device} in {id}"))
    }
}
