//! Receipts and stability: a cut claims nothing that is not so.
//!
//! A receipt's cut names operations of its own conversation alone, and covers only what its device has been given (or what is hidden from its user for
//! good); what it covers as read was on the screen when its user said so. A stable cut covers only what is durable in every region.

use super::shown::Fault;
use super::{Checker, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, Cut, DeviceId, MessageId, PartitionId, UserId, VersionVector};

impl Oracle {
    /// A region holds a receipt.
    pub(crate) fn receipt_stands(
        &mut self,
        at: Moment,
        conversation: ConversationId,
        user: UserId,
        device: DeviceId,
        delivered: &Cut,
        read: &Cut,
    ) {
        self.look_at(Checker::Receipts);
        for (cut, is_read) in [(delivered, false), (read, true)] {
            if let Err((checker, what)) = self.claims(conversation, user, device, cut, is_read) {
                let text = format!("of {device} in {conversation}, read: {is_read}: {what}");
                self.violate(at, checker, text);
            }
        }
    }

    fn claims(
        &self,
        conversation: ConversationId,
        user: UserId,
        device: DeviceId,
        cut: &Cut,
        is_read: bool,
    ) -> Fault {
        let Some(facts) = self.conversations.get(&conversation) else { return Ok(()) };
        if let Some(foreign) = cut.iter().find(|dot| !facts.by_dot.contains_key(dot)) {
            return Err((Checker::Receipts, format!("{foreign} is not of it")));
        }
        let screen = self.devices.get(&device).and_then(|facts| facts.conversations.get(&conversation));
        for (number, operation) in facts.operations.iter().enumerate() {
            let given = screen.is_some_and(|screen| {
                let set = if is_read { &screen.read } else { &screen.set };
                set.contains(operation.identity)
            });
            if cut.covers(operation.place.dot) && !given && !facts.is_excused(number, user) {
                let what = format!("{} of {} at {}", operation.message, operation.sender, operation.place);
                return Err((Checker::Receipts, what));
            }
        }
        Ok(())
    }

    /// A region says that so much of a partition is stable.
    pub(crate) fn stable_stands(&mut self, at: Moment, partition: PartitionId, cut: &VersionVector) {
        self.look_at(Checker::StableEverywhere);
        let mut fault = None;
        for (conversation, facts) in self.conversations.iter().filter(|(id, _)| id.partition() == partition) {
            let regions = self.regions_of(*conversation);
            for (number, operation) in facts.operations.iter().enumerate() {
                let lacks =
                    |region| facts.applied.get(region).is_none_or(|applied| !applied.set.contains(number));
                if cut.covers(operation.place.dot)
                    && let Some(region) = regions.iter().find(|region| lacks(region))
                {
                    fault = Some(format!("{} of {conversation} is not durable in {region}", operation.place));
                }
            }
        }
        if let Some(fault) = fault {
            self.violate(at, Checker::StableEverywhere, fault);
        }
    }

    /// An author is told that a message reached a device, or was read there.
    pub(super) fn is_ticked(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        message: MessageId,
        (user, reader): (UserId, DeviceId),
        is_read: bool,
    ) -> Fault {
        self.marks.ticks += 1;
        self.look_at(Checker::Receipts);
        let Some(device) = self.devices.get_mut(&id) else { return Ok(()) };
        let name = format!("{message} to {reader} of {user}, read: {is_read}");
        if !device.ticks.insert((message, reader, is_read)) {
            return Err((Checker::ShownOnce, name));
        }
        let author = device.user;
        let Some(facts) = self.conversations.get(&conversation) else { return Ok(()) };
        let screen = self.devices.get(&reader).and_then(|facts| facts.conversations.get(&conversation));
        let identity = facts.identities.get(&(author, message));
        let given = screen.zip(identity).is_some_and(|(screen, identity)| {
            if is_read { screen.read.contains(*identity) } else { screen.set.contains(*identity) }
        });
        if given { Ok(()) } else { Err((Checker::Receipts, name)) }
    }
}
