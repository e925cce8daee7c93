//! Promise 12: what is refused is refused by name, with a stable code, and nothing that should be taken is.
//!
//! People here do what their application offers, so a command is refused only because the conversation is not theirs to write in (any more). Strangers
//! (`world/strangers.rs`) send what must be refused, and that is refused, each by its code, and nothing of it is done. That honest regions
//! understand each other is reported where it shows: an alarm, a fence, a frame or a commit that is not taken. What this does not see: bytes that are
//! no frame, which tests of the cores give.

use super::{Checker, Fault, Oracle};
use crate::world::{Moment, WORLD};
use crdt::{DeviceId, MessageId, UserId};
use region::item::{Change, Content};

/// Codes with which a command may be refused for good in these worlds.
const REFUSALS: [&str; 24] = [
    "unknown_conversation",
    "not_a_member",
    "not_an_admin",
    "not_above",
    "unknown_member",
    "admins_remain",
    "not_most_senior",
    "placement_fixed",
    // Groups are small in some worlds, and their rights are elsewhere or on their way.
    "too_many_members",
    "no_rights_left",
    "direct_conversation",
    "conversation_exists",
    // What people do to messages crosses with what others do, and with their own moves.
    "unknown_message",
    "message_deleted",
    "too_late",
    "too_many_edits",
    "too_many_emoji",
    "too_many_reactions",
    "unknown_reaction",
    "too_many_hidden",
    // Several have made a description together that is over its limit, and somebody changes something else.
    "document_too_long",
    // Operators turn features off and limit them.
    "feature_off",
    "body_too_large",
    // Before the regions of a placement have met.
    "not_known_everywhere",
];

/// The code with which a device is told that its region cannot read its store.
const UNAVAILABLE: &str = "region_unavailable";

/// The code with which a region that was admitted and has not caught up sends devices elsewhere.
const BEHIND: &str = "region_behind";

/// The code with which a session that closes for slowness says so; a device that is slow and reads hears it.
const SLOW: &str = "slow_device";

impl Oracle {
    /// Something that an honest peer or device sent is taken.
    pub(crate) const fn hears(&mut self) {
        self.look_at(Checker::Understood);
    }

    /// Nothing may be done under that id: it is a stranger's, and what it asks for is wrong.
    pub(crate) fn must_be_refused(&mut self, command: MessageId) {
        self.forbidden.insert(command);
    }

    /// A stranger was refused, or what else happened.
    pub(crate) fn refuses_a_stranger(&mut self, at: Moment, fault: Option<String>) {
        if self.is_off {
            return;
        }
        self.marks.strangers += 1;
        self.look_at(Checker::Refusals);
        if let Some(fault) = fault {
            self.violate(at, Checker::Refusals, fault);
        }
    }

    /// A region issues an operation: not one that must be refused.
    pub(super) fn may_be_done(&self, command: MessageId) -> Fault {
        if self.forbidden.contains(&command) {
            return Err((Checker::Refusals, "it had to be refused".to_owned()));
        }
        Ok(())
    }

    /// Nobody whose pin forbids a conversation's placement is let into it: the pinned placement takes everybody, the world's nobody who is pinned.
    pub(super) fn may_be_a_member(&mut self, change: &Change) -> Fault {
        self.look_at(Checker::Pins);
        let let_in: &[UserId] = match &change.item.content {
            Content::Created { members, .. } => members,
            Content::Added { user, .. } => std::slice::from_ref(user),
            Content::Post { .. }
            | Content::Left
            | Content::Removed { .. }
            | Content::Promoted { .. }
            | Content::Demoted { .. }
            | Content::Claimed
            | Content::Rights(_)
            | Content::DocumentChanged { .. }
            | Content::Edited { .. }
            | Content::Deleted { .. }
            | Content::Withheld { .. }
            | Content::Reacted { .. }
            | Content::Withdrawn { .. } => &[],
        };
        let is_world = change.conversation.placement() == WORLD;
        match let_in.iter().find(|user| is_world && user.placement() != WORLD) {
            Some(user) => Err((Checker::Pins, format!("it lets {user} in, whose pin forbids it"))),
            None => Ok(()),
        }
    }

    /// A store failed a read for a device, while a fault lay on its disk: the device may be told so, once.
    pub(crate) fn may_be_refused(&mut self, id: DeviceId) {
        if let Some(device) = self.record.devices.get_mut(&id) {
            device.unread += 1;
        }
    }

    /// A device is told that something was refused for good.
    pub(super) fn is_refused(
        &mut self,
        id: DeviceId,
        command: Option<MessageId>,
        code: &str,
        message: &str,
    ) -> Fault {
        self.look_at(Checker::Refusals);
        self.look_at(Checker::RefusedAfterAcknowledged);
        let Some(device) = self.record.devices.get_mut(&id) else { return Ok(()) };
        if let Some(command) = command {
            device.refused.insert(command);
            if device.acknowledged.contains_key(&command) {
                let text = format!("{command}: {code}: {message}");
                return Err((Checker::RefusedAfterAcknowledged, text));
            }
        }
        if code == UNAVAILABLE && device.unread > 0 {
            device.unread -= 1;
            return Ok(());
        }
        if code == BEHIND && self.admitted.were_any() {
            return Ok(());
        }
        if code == SLOW && self.marks.slow > 0 {
            return Ok(());
        }
        if REFUSALS.contains(&code) { Ok(()) } else { Err((Checker::Refusals, format!("{code}: {message}"))) }
    }
}
