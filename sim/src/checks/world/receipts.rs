//! Promise 4, for ticks: a receipt is the effect of a message that was given, and comes after it.
//!
//! A receipt's cut names operations of its own conversation alone (history 35), and covers only what its device has been given, or what is hidden from its user for
//! good, or kept no longer; what it covers as read was on the screen when its user said so, and not only to themselves; who tells nobody is told nothing. An author is told so once. Each operation is looked at when a receipt first covers
//! it. One of the rest of a user's devices may be of any of them. What this does not see: what a user looked at.

use super::record::IdentityNumber;
use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, Cut, DeviceId, MessageId, UserId};

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
        if self.is_off || self.is_misled(user, device) {
            return;
        }
        self.look_at(Checker::Receipts);
        for (cut, is_read) in [(delivered, false), (read, true)] {
            let fault = self.claims(conversation, user, device, cut, is_read);
            self.found(at, || format!("of {device} in {conversation}, read: {is_read}"), fault);
        }
    }

    fn claims(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        device: DeviceId,
        cut: &Cut,
        is_read: bool,
    ) -> Fault {
        if !self.record.conversations.contains_key(&conversation) {
            return Ok(());
        }
        let claimed = self.record.newly_claimed((conversation, user, device), cut, is_read);
        let Some(facts) = self.record.conversations.get(&conversation) else { return Ok(()) };
        for (from, to) in claimed {
            if !facts.by_dot.contains_key(&to) {
                return Err((Checker::Receipts, format!("{to} is not of it")));
            }
            for (_, number) in facts.by_dot.range(from..=to) {
                // Numbers are those of the conversation.
                let identity = facts.operations[*number].identity;
                let given = self.was_given(conversation, (user, device), identity, is_read);
                if !given && !facts.is_excused(*number, user) {
                    return Err((Checker::Receipts, facts.describe(*number)));
                }
            }
        }
        Ok(())
    }

    /// The devices for which a receipt of one of a user's may stand: that one, or any for that of the rest.
    fn may_stand_for(&self, user: UserId, device: DeviceId) -> Vec<DeviceId> {
        let all = || self.record.devices_of.get(&user).cloned().unwrap_or_default();
        if device == DeviceId::REST { all() } else { vec![device] }
    }

    fn is_misled(&self, user: UserId, device: DeviceId) -> bool {
        self.may_stand_for(user, device).iter().any(|device| self.lies.have_misled(*device))
    }

    /// Whether a device, or any other for which its receipt may stand, shows a message, or its user had read it there.
    fn was_given(
        &self,
        conversation: ConversationId,
        (user, device): (UserId, DeviceId),
        identity: IdentityNumber,
        is_read: bool,
    ) -> bool {
        self.may_stand_for(user, device).iter().any(|device| {
            let known = self.record.devices.get(device);
            known.and_then(|known| known.conversations.get(&conversation)).is_some_and(|screen| {
                if is_read { screen.has_read(identity) } else { screen.shows(identity) }
            })
        })
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
        self.look_at(Checker::Receipts);
        let Some(device) = self.record.devices.get_mut(&id) else { return Ok(()) };
        let name = || format!("{message} to {reader} of {user}, read: {is_read}");
        if !device.ticks.insert((message, user, reader, is_read)) {
            return Err((Checker::ShownOnce, format!("told again: {}", name())));
        }
        if is_read && device.is_quiet {
            return Err((Checker::Receipts, format!("told, though they tell nobody: {}", name())));
        }
        let author = device.user;
        let Some(facts) = self.record.conversations.get(&conversation).filter(|_| !self.is_off) else {
            return Ok(());
        };
        let identity = facts.identities.get(&(author, message)).copied();
        // A cut has no holes: what came behind something that is kept no longer counts that with it.
        let given = self.is_misled(user, reader)
            || identity.is_some_and(|identity| {
                facts.is_expired(identity) || self.was_given(conversation, (user, reader), identity, is_read)
            });
        if given { Ok(()) } else { Err((Checker::Receipts, name())) }
    }
}
