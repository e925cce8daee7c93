//! Promise 3, for one user: what they deleted for themselves is gone from all their devices, and from nobody else's.
//!
//! Held at the wire, where a region that has told a device of it gives it nothing of that message any more; on screens, which show nothing of it once they were told; in regions,
//! which hide only what their users asked for; and once all is calm, when every region and every device of the user has heard. What this does not see: a page that was read
//! before its region heard, which the client cuts.

use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, RegionId, UserId};
use gateway_client::{Event, Item};
use gateway_protocol::v1::item::Content as Wire;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ServerFrame};
use region::export::ExportedHidden;
use std::collections::{BTreeMap, BTreeSet};

/// A message, by who sent it under which id.
type Message = (UserId, MessageId);
/// That a user sees a message of a conversation no more.
type Mark = (ConversationId, UserId, Message);

/// What users deleted for themselves.
#[derive(Debug, Default)]
pub(super) struct HiddenFacts {
    marks: BTreeMap<Mark, MarkFacts>,
    commands: BTreeMap<(DeviceId, MessageId), Mark>,
    /// What each region has told each device of.
    told_by: BTreeMap<(RegionId, DeviceId), BTreeSet<(ConversationId, Message)>>,
    /// What each device has told its user of.
    told: BTreeMap<DeviceId, BTreeSet<(ConversationId, Message)>>,
}

/// A mark that somebody asked for.
#[derive(Debug, Default)]
struct MarkFacts {
    is_acknowledged: bool,
    /// Where it is durable.
    regions: BTreeSet<RegionId>,
}

impl HiddenFacts {
    /// A region's store is another one.
    pub(super) fn forget_store(&mut self, region: RegionId) {
        self.told_by.retain(|(of, _), _| *of != region);
        self.marks.values_mut().for_each(|facts| _ = facts.regions.remove(&region));
    }

    /// Messages that anybody has asked to be hidden from them.
    pub(super) fn messages(&self) -> impl Iterator<Item = MessageId> {
        self.marks.keys().map(|(.., (_, message))| *message)
    }

    /// Whether a device has told its user that a message is gone.
    pub(super) fn is_told(&self, id: DeviceId, conversation: ConversationId, message: Message) -> bool {
        self.told.get(&id).is_some_and(|told| told.contains(&(conversation, message)))
    }
}

impl Oracle {
    /// A user deletes a message for themselves.
    pub(super) fn hides(&mut self, id: DeviceId, command: MessageId, mark: Mark) {
        self.hidden.marks.entry(mark).or_default();
        self.hidden.commands.insert((id, command), mark);
    }

    /// A command of a device is done.
    pub(super) fn hide_is_done(&mut self, id: DeviceId, command: MessageId) {
        let mark = self.hidden.commands.get(&(id, command));
        if let Some(facts) = mark.and_then(|mark| self.hidden.marks.get_mut(mark)) {
            facts.is_acknowledged = true;
        }
    }

    /// A region has made durable that a user sees a message no more.
    pub(crate) fn hidden_stands(&mut self, at: Moment, region: RegionId, mark: Mark) {
        if self.is_off {
            return;
        }
        self.look_at(Checker::DeletedForMe);
        match self.hidden.marks.get_mut(&mark) {
            Some(facts) => _ = facts.regions.insert(region),
            None => {
                let (conversation, user, (sender, message)) = mark;
                let text = format!(
                    "{region} hides {message} of {sender} in {conversation} from {user}, who never asked"
                );
                self.violate(at, Checker::DeletedForMe, text);
            }
        }
    }

    /// A region tells a device something: nothing of a message that it has told it to be gone.
    pub(super) fn sends_nothing_hidden(
        &mut self,
        at: Moment,
        region: RegionId,
        device: DeviceId,
        frame: &ServerFrame,
    ) {
        match &frame.frame {
            Some(Frame::DeletedForMe(deleted)) => {
                let Ok(conversation) = deleted.conversation.parse() else { return };
                let messages = deleted.messages.iter().filter_map(read);
                let told = self.hidden.told_by.entry((region, device)).or_default();
                told.extend(messages.map(|message| (conversation, message)));
            }
            Some(Frame::Deliver(deliver)) if !self.is_muted(region) => {
                let Some(told) = self.hidden.told_by.get(&(region, device)) else { return };
                let Ok(conversation) = deliver.conversation.parse() else { return };
                let given = deliver.items.iter().filter_map(message_of);
                let hidden = given.into_iter().find(|message| told.contains(&(conversation, *message)));
                self.tallies.of(Checker::DeletedForMe).checked += 1;
                if let Some((sender, message)) = hidden {
                    let text = format!(
                        "{region} gives {device} something of {message} of {sender} in {conversation}, which it had told it to be gone"
                    );
                    self.violate(at, Checker::DeletedForMe, text);
                }
            }
            _ => {}
        }
    }

    /// A device says that its user has deleted a message for themselves: they have, and it says so once.
    pub(super) fn is_hidden(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        message: Message,
    ) -> Fault {
        let Some(user) = self.record.devices.get(&id).map(|device| device.user) else { return Ok(()) };
        let is_new = self.hidden.told.entry(id).or_default().insert((conversation, message));
        if self.is_off {
            return Ok(());
        }
        self.look_at(Checker::DeletedForMe);
        let was_asked = self.hidden.marks.contains_key(&(conversation, user, message));
        let (sender, message) = message;
        match (was_asked, is_new) {
            (true, true) => Ok(()),
            (false, _) => Err((
                Checker::DeletedForMe,
                format!("{message} of {sender} in {conversation} is gone, and {user} never asked"),
            )),
            (true, false) => Err((Checker::DeletedForMe, format!("{message} of {sender} is gone again"))),
        }
    }

    /// What a device shows is not gone for its user.
    pub(super) fn shows_nothing_hidden(&self, id: DeviceId, event: &Event) -> Fault {
        let is_gone = |conversation: &ConversationId, item: &Item| {
            let message =
                item.about().filter(|_| !matches!(item.content, gateway_client::Content::Withheld { .. }));
            message.filter(|message| self.hidden.is_told(id, *conversation, *message))
        };
        let gone = match event {
            Event::Shown { conversation, item, .. } => is_gone(conversation, item),
            Event::Amended { conversation, sender, message, .. } => {
                Some((*sender, *message)).filter(|message| self.hidden.is_told(id, *conversation, *message))
            }
            Event::Paged { conversation, items, .. } => {
                items.iter().find_map(|item| is_gone(conversation, item))
            }
            _ => None,
        };
        match gone {
            None => Ok(()),
            Some((sender, message)) => Err((
                Checker::DeletedForMe,
                format!("it shows {message} of {sender}, which its user has deleted for themselves"),
            )),
        }
    }

    /// The first device that has not heard of what its user deleted for themselves.
    pub(super) fn lacks_hidden(&self) -> Option<String> {
        for ((id, user, message), facts) in &self.hidden.marks {
            let stands = facts.is_acknowledged || !facts.regions.is_empty();
            let Some(conversation) = self.record.conversations.get(id) else { continue };
            if !stands || !self.lies.spare(id.placement()) {
                continue;
            }
            let what =
                || format!("that {user} has deleted {} of {} in {id} for themselves", message.1, message.0);
            let mut own = self.devices_to_judge(*id, conversation).filter(|(_, known)| {
                known.user == *user && conversation.is_member(*user) && known.conversations.contains_key(id)
            });
            if let Some((device, _)) = own.find(|(device, _)| !self.hidden.is_told(*device, *id, *message)) {
                return Some(format!("{device} was not told {}", what()));
            }
        }
        None
    }

    /// Once all is calm, a region's store holds every mark that somebody was answered for, or that any region made durable. (That a region told devices of it does not show that: a process may
    /// end in between.)
    pub(super) fn judge_marks(
        &mut self,
        at: Moment,
        region: RegionId,
        placement: PlacementId,
        held: &[ExportedHidden],
    ) {
        if !self.lies.spare(placement) {
            return;
        }
        let of = |held: &ExportedHidden| {
            (held.conversation, held.user, (held.message.sender, held.message.message))
        };
        let held: BTreeSet<Mark> = held.iter().map(of).collect();
        let stand = self.hidden.marks.iter().filter(|((id, ..), facts)| {
            id.placement() == placement && (facts.is_acknowledged || !facts.regions.is_empty())
        });
        let lacking = stand.map(|(mark, _)| *mark).find(|mark| !held.contains(mark));
        if let Some((id, user, (sender, message))) = lacking {
            let text = format!(
                "{region} does not hold that {user} has deleted {message} of {sender} in {id} for themselves"
            );
            self.violate(at, Checker::DeletedForMe, text);
        }
    }

    /// Once all is calm.
    pub(super) fn judge_hidden(&mut self, at: Moment) {
        self.looked_at(Checker::DeletedForMe, self.hidden.marks.len() as u64);
        if let Some(lacking) = self.lacks_hidden() {
            self.violate(at, Checker::DeletedForMe, lacking);
        }
    }
}

fn read(reference: &v1::MessageRef) -> Option<Message> {
    Some((reference.sender.parse().ok()?, reference.message.parse().ok()?))
}

/// The message of which an item tells something.
fn message_of(item: &v1::Item) -> Option<Message> {
    let target = match item.content.as_ref()? {
        Wire::Post(_) => return Some((item.sender.parse().ok()?, item.message.parse().ok()?)),
        Wire::Edited(edited) => &edited.target,
        Wire::Deleted(deleted) => &deleted.target,
        Wire::Reacted(reacted) => &reacted.target,
        Wire::Withdrawn(withdrawn) => &withdrawn.target,
        _ => return None,
    };
    read(target.as_ref()?)
}
