//! What each device was told, held against what was so.
//!
//! Checked at the moment of telling: an item is one that is durable somewhere, with the content that its author gave it; shown once; not to
//! somebody from whom it is hidden; not before anything of the conversation that its author's region had applied, nor, without the mark, before
//! anything that its author's device had been shown; an acknowledgement is of something durable, and told once; what was acknowledged is
//! never refused; a mark goes only when all is there.

use super::operations::{IdentityNumber, Kind, Sent};
use super::set::Set;
use super::{Checker, Facts, Oracle};
use crate::world::Moment;
use crate::world::PINNED;
use crdt::{ConversationId, DeviceId, MessageId, UserId};
use gateway_client::{Act, Content, Event, Item, Place};
use std::collections::{BTreeMap, BTreeSet};

/// Codes with which a command may be refused for good in these worlds: the conversation is not the user's to write in (any more).
const REFUSALS: [&str; 6] = [
    "unknown_conversation",
    "not_a_member",
    "not_creator",
    "placement_fixed",
    "direct_conversation",
    "conversation_exists",
];

/// A device.
#[derive(Debug)]
pub(crate) struct DeviceFacts {
    pub(crate) user: UserId,
    pub(crate) conversations: BTreeMap<ConversationId, Screen>,
    pub(crate) acknowledged: BTreeMap<MessageId, ConversationId>,
    pub(crate) stable: BTreeSet<MessageId>,
    pub(crate) refused: BTreeSet<MessageId>,
    posts: BTreeMap<ConversationId, u64>,
    /// Own messages with their ticks: whose device, and whether read.
    pub(crate) ticks: BTreeSet<(MessageId, DeviceId, bool)>,
}

/// A conversation, as a device shows it.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    pub(crate) order: Vec<IdentityNumber>,
    pub(crate) set: Set,
    pub(crate) places: BTreeMap<IdentityNumber, Place>,
    pub(crate) marked: BTreeSet<IdentityNumber>,
    /// What had been shown when its user last marked it as read.
    pub(crate) read: Set,
}

impl DeviceFacts {
    pub(crate) fn new(user: UserId) -> Self {
        Self {
            user,
            conversations: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            stable: BTreeSet::new(),
            refused: BTreeSet::new(),
            posts: BTreeMap::new(),
            ticks: BTreeSet::new(),
        }
    }
}

impl Oracle {
    /// A user does something.
    pub(crate) fn acts(&mut self, _: Moment, id: DeviceId, act: &Act) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        match act {
            Act::Send { conversation, message: Some(message), body, .. } => {
                let number = device.posts.entry(*conversation).or_default();
                *number += 1;
                let seen = device.conversations.get(conversation).map(|screen| screen.set.clone());
                let sent =
                    Sent { device: id, number: *number, body: body.clone(), seen: seen.unwrap_or_default() };
                let facts = self.conversations.entry(*conversation).or_default();
                facts.sent.entry((device.user, *message)).or_insert(sent);
                self.canaries.watch(*conversation);
            }
            Act::CreateGroup { conversation, .. } => self.canaries.watch(*conversation),
            Act::OpenDirect { placement, peer } => {
                self.canaries.watch(ConversationId::direct(*placement, device.user, *peer));
            }
            Act::MarkRead { conversation } => {
                if let Some(screen) = device.conversations.get_mut(conversation) {
                    screen.read = screen.set.clone();
                }
            }
            Act::Send { .. }
            | Act::Add { .. }
            | Act::Leave { .. }
            | Act::Page { .. }
            | Act::List
            | Act::TakePart { .. }
            | Act::Move { .. }
            | Act::Renew { .. } => {}
        }
    }

    /// A device tells its user.
    pub(crate) fn told(&mut self, at: Moment, id: DeviceId, event: Event) {
        let fault = match event {
            Event::Shown { conversation, item, marked } => {
                self.marks.shown += 1;
                self.marks.marked += u64::from(marked);
                self.is_shown(id, conversation, &item, marked)
            }
            Event::Moved { conversation, sender, message, from, to } => {
                self.marks.moved += 1;
                self.look_at(Checker::Moves);
                self.is_moved(id, conversation, (sender, message), from, to)
            }
            Event::MarkCleared { conversation, sender, message } => {
                self.marks.unmarked += 1;
                self.look_at(Checker::Marks);
                self.mark_goes(id, conversation, (sender, message))
            }
            Event::Acknowledged { conversation, command, place } => {
                self.marks.acknowledged += 1;
                self.look_at(Checker::Durable);
                self.is_acknowledged(id, conversation, command, place)
            }
            Event::Stable { conversation, command } => {
                self.marks.stable += 1;
                self.look_at(Checker::StableEverywhere);
                self.is_stable(id, conversation, command)
            }
            Event::Delivered { conversation, message, user, device } => {
                self.is_ticked(id, conversation, message, (user, device), false)
            }
            Event::Read { conversation, message, user, device } => {
                self.is_ticked(id, conversation, message, (user, device), true)
            }
            Event::Refused { command, code, message, .. } => self.is_refused(id, command, &code, &message),
            Event::SignedIn { .. }
            | Event::SignedOut { .. }
            | Event::Redirected { .. }
            | Event::CaughtUp { .. }
            | Event::Membership { .. }
            | Event::Paged { .. }
            | Event::Listed { .. } => Ok(()),
        };
        if let Err((checker, what)) = fault {
            self.violate(at, checker, format!("{id}: {what}"));
        }
    }

    fn is_shown(&mut self, id: DeviceId, conversation: ConversationId, item: &Item, marked: bool) -> Fault {
        for checker in
            [Checker::Durable, Checker::Identity, Checker::Hidden, Checker::ShownOnce, Checker::CausesFirst]
        {
            self.look_at(checker);
        }
        let Some(device) = self.devices.get_mut(&id) else { return Ok(()) };
        let facts = self.conversations.entry(conversation).or_default();
        let place = item.place;
        let name = || format!("{} of {} at {place} in {conversation}", item.message, item.sender);
        let Some(number) = facts.by_dot.get(&place.dot).copied() else {
            return Err((Checker::Durable, name()));
        };
        // Every number in the index is one of the list.
        let operation = &facts.operations[number];
        if (operation.sender, operation.message, operation.place) != (item.sender, item.message, place) {
            return Err((Checker::Identity, format!("{} is {operation:?}", name())));
        }
        if let (Content::Post { body, .. }, Some(sent)) =
            (&item.content, facts.sent.get(&(item.sender, item.message)))
            && *body != sent.body
        {
            return Err((Checker::Identity, name()));
        }
        if !facts.may_be_shown(number, device.user) {
            return Err((Checker::Hidden, name()));
        }
        let identity = operation.identity;
        let screen = device.conversations.entry(conversation).or_default();
        let lacking = lacking_causes(facts, number, &screen.set, device.user);
        let unseen = lacking_seen(facts, (item.sender, item.message), &screen.set, device.user);
        let new = screen.set.insert(identity);
        screen.order.push(identity);
        screen.places.insert(identity, place);
        if marked {
            screen.marked.insert(identity);
        }
        if !new {
            return Err((Checker::ShownOnce, name()));
        }
        if let Some(lacking) = lacking {
            return Err((Checker::CausesFirst, format!("{} before {lacking}", name())));
        }
        if let Some(unseen) = unseen.filter(|_| !marked) {
            return Err((Checker::CausesFirst, format!("{} before {unseen}", name())));
        }
        Ok(())
    }

    fn is_moved(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        (sender, message): (UserId, MessageId),
        from: Place,
        to: Place,
    ) -> Fault {
        let Some(facts) = self.conversations.get(&conversation) else { return Ok(()) };
        let identity = facts.identities.get(&(sender, message)).copied();
        let screen = self.devices.get_mut(&id).and_then(|device| device.conversations.get_mut(&conversation));
        let shown = screen.zip(identity).and_then(|(screen, identity)| screen.places.get_mut(&identity));
        let text = || format!("{message} of {sender} from {from} to {to} in {conversation}");
        match shown {
            Some(place) if *place == from && to < from && facts.by_dot.contains_key(&to.dot) => {
                *place = to;
                Ok(())
            }
            _ => Err((Checker::Moves, text())),
        }
    }

    fn mark_goes(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        identity: (UserId, MessageId),
    ) -> Fault {
        let Some(device) = self.devices.get_mut(&id) else { return Ok(()) };
        let Some(facts) = self.conversations.get(&conversation) else { return Ok(()) };
        let Some(screen) = device.conversations.get_mut(&conversation) else { return Ok(()) };
        let number = facts.identities.get(&identity).copied();
        let was = number.is_some_and(|number| screen.marked.remove(&number));
        match lacking_seen(facts, identity, &screen.set, device.user) {
            Some(lacking) => Err((Checker::Marks, format!("{identity:?} before {lacking}"))),
            None if !was => Err((Checker::Marks, format!("{identity:?} in {conversation}"))),
            None => Ok(()),
        }
    }

    fn is_acknowledged(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        command: MessageId,
        place: Option<Place>,
    ) -> Fault {
        let durable = place.is_none_or(|place| {
            self.conversations.get(&conversation).is_some_and(|facts| facts.by_dot.contains_key(&place.dot))
        });
        let Some(device) = self.devices.get_mut(&id) else { return Ok(()) };
        let first = device.acknowledged.insert(command, conversation).is_none();
        if durable && first {
            Ok(())
        } else {
            Err((
                if durable { Checker::ShownOnce } else { Checker::Durable },
                format!("{command} at {place:?}, first: {first}"),
            ))
        }
    }

    fn is_stable(&mut self, id: DeviceId, conversation: ConversationId, command: MessageId) -> Fault {
        let regions = self.regions_of(conversation);
        let Some(device) = self.devices.get_mut(&id) else { return Ok(()) };
        let user = device.user;
        if !device.stable.insert(command) || !device.acknowledged.contains_key(&command) {
            return Err((Checker::StableEverywhere, command.to_string()));
        }
        let everywhere = self.conversations.get(&conversation).is_some_and(|facts| {
            let identity = facts.identities.get(&(user, command));
            identity.is_some_and(|identity| regions.iter().all(|region| facts.stands_in(*region, *identity)))
        });
        if everywhere { Ok(()) } else { Err((Checker::StableEverywhere, command.to_string())) }
    }

    fn is_refused(&mut self, id: DeviceId, command: Option<MessageId>, code: &str, message: &str) -> Fault {
        self.marks.refused += 1;
        self.look_at(Checker::Refusals);
        self.look_at(Checker::RefusedAfterAcknowledged);
        let Some(device) = self.devices.get_mut(&id) else { return Ok(()) };
        if let Some(command) = command {
            device.refused.insert(command);
            if device.acknowledged.contains_key(&command) {
                return Err((Checker::RefusedAfterAcknowledged, format!("{command}: {code}: {message}")));
            }
        }
        if REFUSALS.contains(&code) { Ok(()) } else { Err((Checker::Refusals, format!("{code}: {message}"))) }
    }

    /// The regions of a conversation's placement.
    pub(crate) fn regions_of(&self, conversation: ConversationId) -> Vec<crdt::RegionId> {
        let all = &self.canaries.regions;
        let pinned = conversation.placement() == PINNED;
        all.iter().copied().take(if pinned { 2 } else { all.len() }).collect()
    }
}

/// Which promise, and what happened.
pub(super) type Fault = Result<(), (Checker, String)>;

/// A cause of that operation, by its region, that is neither shown nor hidden for good.
fn lacking_causes(facts: &Facts, number: usize, shown: &Set, user: UserId) -> Option<String> {
    let causes = facts.operations[number].causes.iter();
    let missing = causes.filter(|cause| !shown.contains(facts.operations[*cause].identity));
    let mut missing = missing.filter(|cause| !facts.is_excused(*cause, user));
    missing.next().map(|cause| {
        let cause = &facts.operations[cause];
        format!("{:?} {} of {} at {}", cause.kind, cause.message, cause.sender, cause.place)
    })
}

/// Something that the author's device had been shown that is neither shown here nor hidden for good.
fn lacking_seen(facts: &Facts, identity: (UserId, MessageId), shown: &Set, user: UserId) -> Option<String> {
    let sent = facts.sent.get(&identity)?;
    let hidden = |seen: &usize| {
        // Every identity has its list.
        facts.aliases[*seen].iter().any(|alias| facts.is_excused(*alias, user))
    };
    let lacking = sent.seen.beyond(shown).find(|seen| !hidden(seen))?;
    let alias = facts.aliases[lacking].first().map(|alias| &facts.operations[*alias])?;
    Some(format!(
        "{} of {} at {}, which its author's device had been shown",
        alias.message, alias.sender, alias.place
    ))
}

impl Kind {
    /// Whether it is a message.
    pub(crate) const fn is_post(self) -> bool {
        matches!(self, Self::Post)
    }
}
