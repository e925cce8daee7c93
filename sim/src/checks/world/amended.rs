//! Promise 3, on screens and on disks: a message looks on every device as what was done to it says, whatever the order; and what a deleted message said stands on no
//! disk once its deletion is stable.
//!
//! Held whenever a device says that a message looks different, over what that device has been given, and of every screen at the end. Disks are searched for the texts
//! themselves, byte by byte, once all is calm. So is what the engine's older files hold, as far as
//! the simulated disk knows of such; a real one's are searched by tests of its own. What this does not see: that a text goes out for a moment after a region has its deletion.

use super::record::{Facts, Look, Screen};
use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, RegionId, UserId};
use gateway_client::{Became, Content, Item};
use region::store::{Direction, StoreError, View};
use std::ops::ControlFlow;

/// How a message looks after all that this screen was given.
fn expected(facts: &Facts, screen: &Screen, message: (UserId, MessageId)) -> Look {
    facts.amendments.look(message, |identity| screen.places.get(&identity).copied())
}

/// What is shown as deleted was deleted, and has no text.
pub(super) fn is_gone(facts: &Facts, item: &Item) -> Fault {
    let Content::Post { body, became, .. } = &item.content else { return Ok(()) };
    let was_deleted = facts.amendments.is_deleted((item.sender, item.message));
    match (became.deleted, was_deleted, body.is_empty()) {
        (true, true, true) | (false, ..) => Ok(()),
        (true, false, _) => Err((Checker::Amended, "it is shown as deleted, and nobody has".to_owned())),
        (true, true, false) => Err((Checker::Amended, "it is deleted and has a text".to_owned())),
    }
}

impl Oracle {
    /// A device says that a message looks different.
    pub(super) fn is_amended(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        message: (UserId, MessageId),
        body: Option<Bytes>,
        became: Became,
    ) -> Fault {
        let look = Look::told(body, became);
        let device = self.record.devices.get_mut(&id);
        let Some(screen) = device.and_then(|device| device.conversations.get_mut(&conversation)) else {
            return Ok(());
        };
        screen.looks.insert(message, look.clone());
        if self.is_off {
            return Ok(());
        }
        self.tallies.of(Checker::Amended).checked += 1;
        let Some(facts) = self.record.conversations.get(&conversation) else { return Ok(()) };
        let wanted = expected(facts, screen, message);
        // A region does not give the text of a deleted message any more, so a device may learn of it by what it is given in its place.
        let is_early = look == Look::gone() && facts.amendments.is_deleted(message);
        if look == wanted || is_early {
            return Ok(());
        }
        let (sender, id) = message;
        let text = format!("{id} of {sender} in {conversation} looks like {look:?} and not {wanted:?}");
        Err((Checker::Amended, text))
    }

    /// Once all is calm.
    pub(super) fn judge_amended(&mut self, at: Moment) {
        let mut faults = Vec::new();
        let mut looked_at = 0;
        for (id, facts) in &self.record.conversations {
            for message in facts.amendments.messages() {
                let Some(identity) = facts.identities.get(&message) else { continue };
                for (device, known) in self.devices_to_judge(*id, facts) {
                    let Some(screen) = known.conversations.get(id).filter(|screen| screen.shows(*identity))
                    else {
                        continue;
                    };
                    if self.hidden.is_told(device, *id, message) {
                        continue;
                    }
                    looked_at += 1;
                    let wanted = expected(facts, screen, message);
                    let looks = screen.looks.get(&message).cloned().unwrap_or_default();
                    // Who has left is not given the deletion any more.
                    let is_early = looks == Look::gone() && facts.amendments.is_deleted(message);
                    if looks != wanted && !is_early {
                        let (sender, of) = message;
                        faults.push(format!(
                            "{of} of {sender} in {id} on {device}: {looks:?} and not {wanted:?}"
                        ));
                    }
                }
            }
        }
        self.looked_at(Checker::Amended, looked_at);
        for what in faults {
            self.violate(at, Checker::Amended, what);
        }
    }

    /// Searches a region's store for the texts of messages whose deletion it holds for stable.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub(super) fn search_for_deleted(
        &mut self,
        at: Moment,
        region: RegionId,
        placement: PlacementId,
        view: &dyn View,
    ) -> Result<(), StoreError> {
        let texts = self.deleted_texts(region, placement);
        if texts.is_empty() {
            return Ok(());
        }
        self.looked_at(Checker::Gone, texts.len() as u64);
        let mut found = None;
        view.scan(&[], &[0xff; 64], Direction::Ascending, &mut |_, value| {
            found = found_in(value, &texts);
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Some((id, message)) = found {
            let text = format!("{region} still holds what {message} in {id} said");
            self.violate(at, Checker::Gone, text);
        }
        Ok(())
    }

    /// The same in what a region's engine has overwritten, and keeps in older files until it compacts them.
    pub(crate) fn search_older_files<'a>(
        &mut self,
        at: Moment,
        region: RegionId,
        placement: PlacementId,
        mut older: impl Iterator<Item = &'a Bytes>,
    ) {
        if self.is_off || !self.is_whole() {
            return;
        }
        let texts = self.deleted_texts(region, placement);
        self.looked_at(Checker::Gone, texts.len() as u64);
        if let Some((id, message)) = older.find_map(|value| found_in(value, &texts)) {
            let text = format!("older files of {region} still hold what {message} in {id} said");
            self.violate(at, Checker::Gone, text);
        }
    }

    /// What messages said whose deletion a region holds for stable, as it stands in payloads.
    fn deleted_texts(&self, region: RegionId, placement: PlacementId) -> Vec<DeletedText> {
        let mut texts = Vec::new();
        for (id, facts) in self.record.conversations.iter().filter(|(id, _)| id.placement() == placement) {
            for message in facts.amendments.messages().filter(|message| facts.amendments.is_deleted(*message))
            {
                if self.is_stable_deletion(region, *id, facts, message) {
                    let sent = facts.sent.get(&message).map(|sent| &sent.body);
                    let bodies = sent.into_iter().chain(facts.amendments.bodies(message));
                    let bodies = bodies.filter(|body| !self.is_said_by_another(message, body));
                    texts.extend(bodies.map(|body| (*id, message.1, as_field(body))));
                }
            }
        }
        texts
    }

    /// Whether another message says the very same and is not deleted: all that were forwarded together do.
    fn is_said_by_another(&self, message: (UserId, MessageId), body: &Bytes) -> bool {
        let is_forwarded = body.first() == Some(&0xff);
        is_forwarded
            && self.record.conversations.values().any(|facts| {
                let mut others = facts.sent.iter().filter(|(of, sent)| **of != message && sent.body == *body);
                others.any(|(of, _)| !facts.amendments.is_deleted(*of))
            })
    }

    /// Whether a region holds for stable all that carries a message, its edits and its deletion.
    fn is_stable_deletion(
        &self,
        region: RegionId,
        id: ConversationId,
        facts: &Facts,
        message: (UserId, MessageId),
    ) -> bool {
        let Some(stable) = self.record.stable_at.get(&(region, id.partition())) else { return false };
        let own = facts.identities.get(&message).copied();
        let identities = own.into_iter().chain(facts.amendments.carriers(message));
        let mut operations = identities.flat_map(|identity| facts.aliases.get(identity)).flatten();
        operations.all(|number| {
            facts.operations.get(*number).is_some_and(|operation| stable.covers(operation.place.dot))
        })
    }
}

/// A message that was deleted, and what it said, as it stands in a payload.
type DeletedText = (ConversationId, MessageId, Vec<u8>);

fn found_in(value: &[u8], texts: &[DeletedText]) -> Option<(ConversationId, MessageId)> {
    texts.iter().find(|(.., text)| holds(value, text)).map(|(id, message, _)| (*id, *message))
}

/// A body as it stands in a payload: behind its field and its length, so that a short one is not found in a longer.
fn as_field(body: &Bytes) -> Vec<u8> {
    let mut field = vec![0x0a];
    let mut length = body.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(body);
    field
}

fn holds(value: &[u8], text: &[u8]) -> bool {
    value.len() >= text.len() && value.windows(text.len()).any(|window| window == text)
}
