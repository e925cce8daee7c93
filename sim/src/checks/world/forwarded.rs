//! Promise 6, for what is said again: a forwarded message says what was shown, and counts one more than that had been forwarded.
//!
//! Held when a user forwards, over what the record knows of the message: who had said it first, through how many hands it had come, and what its device shows it as. That the copies are
//! shown as they were sent `shown_once.rs` sees. What this does not see: an application that says another's words as its own, and what a device makes of a message that a region which lies
//! showed it.

use super::{Checker, Oracle};
use crate::world::Moment;
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, MessageId, UserId};
use std::collections::BTreeMap;

/// Chats that one message is forwarded to at once.
const CHATS_MAX: usize = 5;

/// By conversation, sender and id: how often what it says has been forwarded, and what that is.
pub(super) type Forwards = BTreeMap<(ConversationId, UserId, MessageId), (u64, Bytes)>;

impl Oracle {
    /// A user says a message again in other conversations; `body` is what their client makes of it, if it does.
    pub(crate) fn forwards(
        &mut self,
        at: Moment,
        id: DeviceId,
        (conversation, (sender, message)): (ConversationId, (UserId, MessageId)),
        copies: &[(ConversationId, MessageId)],
        body: Option<&Bytes>,
    ) {
        if self.is_off {
            return;
        }
        if self.lies.have_misled(id) {
            self.takes_at_its_word(id, copies, body);
            return;
        }
        self.look_at(Checker::Identity);
        let Some(device) = self.record.devices.get(&id) else { return };
        let user = device.user;
        let screen = device.conversations.get(&conversation);
        let edited = screen.and_then(|screen| screen.looks.get(&(sender, message))?.body.clone());
        let facts = self.record.conversations.get(&conversation);
        let sent = || facts?.sent.get(&(sender, message)).map(|sent| sent.body.clone());
        let known = self.forwards.get(&(conversation, sender, message)).cloned();
        // An edit is its author's own words.
        let known = edited.map(|body| (0, body)).or(known).or_else(|| Some((0, sent()?)));
        let Some((times, said)) = known else { return };
        let times = (times + 1).min(255);
        let wanted = (copies.len() <= CHATS_MAX).then(|| {
            let mut wanted = vec![0xff, u8::try_from(times).unwrap_or(u8::MAX)];
            wanted.extend_from_slice(&said);
            wanted
        });
        if body.map(|body| &body[..]) != wanted.as_deref() {
            let text = format!(
                "{id} forwards {message} of {sender} to {} conversations, the {times}. time, as {body:?}",
                copies.len()
            );
            self.violate(at, Checker::Identity, text);
        }
        if body.is_some() {
            self.note_forwards(user, copies, &(times, said));
        }
    }

    /// What a misled device was shown nobody can say, nor what it is to make of that. But whoever forwards its copy counts on.
    fn takes_at_its_word(
        &mut self,
        id: DeviceId,
        copies: &[(ConversationId, MessageId)],
        body: Option<&Bytes>,
    ) {
        let Some((user, body)) = self.record.devices.get(&id).map(|device| device.user).zip(body) else {
            return;
        };
        if let [0xff, times, said @ ..] = &body[..] {
            self.note_forwards(user, copies, &(u64::from(*times), Bytes::copy_from_slice(said)));
        }
    }

    fn note_forwards(
        &mut self,
        user: UserId,
        copies: &[(ConversationId, MessageId)],
        counted: &(u64, Bytes),
    ) {
        for (conversation, message) in copies {
            self.forwards.insert((*conversation, user, *message), counted.clone());
        }
    }
}
