//! What people do and what their devices are told, given to every checker that it is for.
//!
//! What must always hold: the record is brought up to date whatever a checker finds, so that one breach is not reported again as another.

use super::record::{Facts, Look, Number, Screen, Sent};
use super::{Checker, Fault, Oracle, amended, causal_order, shown_once};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId, UserId};
use gateway_client::{Act, Content, Event, Item};

/// An item as it appears on a screen.
pub(super) struct Appearance<'a> {
    pub(super) id: DeviceId,
    pub(super) user: UserId,
    pub(super) item: &'a Item,
    pub(super) marked: bool,
    /// Its operation.
    pub(super) number: Number,
}

impl Oracle {
    /// A user does something.
    pub(crate) fn acts(&mut self, at: Moment, id: DeviceId, act: &Act) {
        if !self.is_off {
            self.watch(id, act);
        }
        let Some(device) = self.record.devices.get_mut(&id) else { return };
        match act {
            Act::Send { conversation, message: Some(message), body, .. } if !self.is_off => {
                let number = device.posts.entry(*conversation).or_default();
                *number += 1;
                let screen = device.conversations.get(conversation).filter(|_| !self.lies.have_misled(id));
                let seen = screen.map_or(0, |screen| screen.order().len());
                let sent = Sent { device: id, number: *number, body: body.clone(), seen };
                let facts = self.record.conversations.entry(*conversation).or_default();
                facts.sent.entry((device.user, *message)).or_insert(sent);
                self.waits_for_an_answer(at, id, *message);
            }
            Act::DeleteForMe { conversation, command: Some(command), target } => {
                let user = device.user;
                self.hides(id, *command, (*conversation, user, *target));
            }
            Act::TellReads { told } => device.is_quiet = !told,
            // What is read quietly is nobody's to be told: no receipt may claim it.
            Act::MarkRead { .. } if device.is_quiet => {}
            Act::EditDocument { conversation, command: Some(command), edit } if !self.is_off => {
                let facts = self.record.conversations.entry(*conversation).or_default();
                facts.described.insert((device.user, *command), edit.clone());
            }
            Act::MarkRead { conversation } => {
                if let Some(screen) = device.conversations.get_mut(conversation) {
                    screen.mark_read();
                }
            }
            Act::Send { .. }
            | Act::Amend { .. }
            | Act::DeleteForMe { .. }
            | Act::CreateGroup { .. }
            | Act::OpenDirect { .. }
            | Act::ChangeMembers { .. }
            | Act::EditDocument { .. }
            | Act::GetDocument { .. }
            | Act::Page { .. }
            | Act::List
            | Act::TakePart { .. }
            | Act::Move { .. }
            | Act::Renew { .. } => {}
        }
    }

    /// A device tells its user.
    pub(crate) fn told(&mut self, at: Moment, id: DeviceId, event: Event) {
        if self.lies.have_misled(id) {
            // What it lets go of it cannot send again, so that must be true whoever says it.
            let fault = match event {
                Event::Stable { conversation, command } => self.is_stable(id, conversation, command),
                event => {
                    self.told_in_error(id, &event);
                    Ok(())
                }
            };
            self.found(at, || id.to_string(), fault);
            return;
        }
        if !self.is_off {
            let fault = self.shows_nothing_hidden(id, &event);
            self.found(at, || id.to_string(), fault);
        }
        let fault = match event {
            Event::Hidden { conversation, sender, message } => {
                self.marks.hidden += 1;
                self.is_hidden(id, conversation, (sender, message))
            }
            Event::Shown { conversation, item, marked } => {
                self.marks.shown += 1;
                self.marks.marked += u64::from(marked);
                self.is_given_in_time(at, id, conversation, item.place);
                return self.is_shown(at, id, conversation, &item, marked);
            }
            Event::Moved { conversation, sender, message, from, to } => {
                self.marks.moved += 1;
                self.is_moved(id, conversation, (sender, message), from, to)
            }
            Event::Amended { conversation, sender, message, body, became } => {
                self.is_amended(id, conversation, (sender, message), body, became)
            }
            Event::MarkCleared { conversation, sender, message } => {
                self.marks.unmarked += 1;
                self.mark_goes(id, conversation, (sender, message))
            }
            Event::Repeated { conversation, message, place, .. } => {
                self.is_repeated(conversation, message, place)
            }
            Event::Acknowledged { conversation, command, place } => {
                self.marks.acknowledged += 1;
                self.hide_is_done(id, command);
                self.is_answered_in_time(at, id, conversation, command, place);
                self.is_acknowledged(at, id, conversation, command, place)
            }
            Event::Stable { conversation, command } => {
                self.marks.stable += 1;
                self.is_stable(id, conversation, command)
            }
            Event::Delivered { conversation, message, user, device } => {
                self.marks.ticks += 1;
                self.is_ticked(id, conversation, message, (user, device), false)
            }
            Event::Read { conversation, message, user, device } => {
                self.marks.ticks += 1;
                self.is_ticked(id, conversation, message, (user, device), true)
            }
            Event::Refused { command, code, message, .. } => {
                self.marks.refused += 1;
                self.is_refused(id, command, &code, &message)
            }
            Event::SignedIn { placement, region } => {
                self.may_welcome(at, id, placement, &region);
                self.is_served(at, id, placement, &region);
                Ok(())
            }
            // What they are shown of it is judged by the histories.
            Event::AddedAgain { .. }
            | Event::SignedOut { .. }
            | Event::ServedAtHome { .. }
            | Event::Redirected { .. }
            | Event::CaughtUp { .. }
            | Event::Membership { .. }
            | Event::Paged { .. }
            | Event::Documented { .. }
            | Event::Listed { .. } => Ok(()),
        };
        self.found(at, || id.to_string(), fault);
    }

    fn is_shown(
        &mut self,
        at: Moment,
        id: DeviceId,
        conversation: ConversationId,
        item: &Item,
        marked: bool,
    ) {
        let Some(device) = self.record.devices.get_mut(&id) else { return };
        let user = device.user;
        // Screens of two devices are looked at together, so this one is taken out meanwhile.
        let mut screen = std::mem::take(&mut **device.conversations.entry(conversation).or_default());
        let facts = self.record.conversations.entry(conversation).or_default();
        let name =
            || format!("{id}: {} of {} at {} in {conversation}", item.message, item.sender, item.place);
        if self.is_off {
            let identity = facts.identity(item.sender, item.message);
            screen.show(identity, item.place);
        } else if let Some(number) = facts.by_dot.get(&item.place.dot).copied() {
            let appearance = Appearance { id, user, item, marked, number };
            for fault in self.judge_shown(conversation, &mut screen, &appearance) {
                self.found(at, name, fault);
            }
        } else {
            self.violate(at, Checker::Durable, name());
        }
        let device = self.record.devices.get_mut(&id);
        if let Some(kept) = device.and_then(|device| device.conversations.get_mut(&conversation)) {
            **kept = screen;
        }
    }

    fn judge_shown(
        &mut self,
        conversation: ConversationId,
        screen: &mut Screen,
        shown: &Appearance<'_>,
    ) -> [Fault; 6] {
        for checker in
            [Checker::Durable, Checker::Identity, Checker::Hidden, Checker::ShownOnce, Checker::CausesFirst]
        {
            self.look_at(checker);
        }
        let facts = self.record.conversations.entry(conversation).or_default();
        let identity = facts.identity(shown.item.sender, shown.item.message);
        let sent = facts.sent.get(&(shown.item.sender, shown.item.message));
        let author = sent.filter(|sent| sent.device != shown.id).and_then(|sent| {
            self.record
                .devices
                .get(&sent.device)?
                .conversations
                .get(&conversation)
                .map(|screen| screen.order())
        });
        // Nothing is added to the conversation here.
        let facts: &Facts = facts;
        // What is left of a deleted or withheld message says nothing that could be misunderstood, so it bears no mark.
        let is_gone = match &shown.item.content {
            Content::Post { became, .. } => became.deleted,
            content => matches!(content, Content::Withheld { .. }),
        };
        let sent = sent.filter(|_| !is_gone);
        let unseen =
            sent.zip(author).and_then(|(sent, author)| screen.unseen(facts, sent, author, shown.user));
        let faults = [
            shown_once::is_what_was_issued(facts, shown),
            shown_once::is_what_was_sent(facts, shown),
            causal_order::is_hidden_from(facts, shown),
            causal_order::lacks_causes(facts, screen, shown),
            causal_order::lacks_what_its_author_saw(facts, unseen, shown.marked),
        ];
        let gone = amended::is_gone(facts, shown.item);
        let new = screen.show(identity, shown.item.place);
        if let Content::Post { became, .. } = &shown.item.content
            && became.deleted
        {
            screen.looks.insert((shown.item.sender, shown.item.message), Look::gone());
        }
        if shown.marked {
            screen.marked.insert(identity);
        }
        let [issued, sent, hidden, causes, seen] = faults;
        let once = if new { Ok(()) } else { Err((Checker::ShownOnce, "again".to_owned())) };
        [issued.and(sent), hidden, once, causes, seen, gone]
    }
}
