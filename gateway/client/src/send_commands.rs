//! What happens when the user sends: into the outbox, out to the region, and what its answer means.
//!
//! What must always hold:
//! - Resent under the same id it is the same message; the same id with another content is refused here.
//! - One acknowledgement is told per command, however often it was sent.
//! - A refusal for the moment holds up the conversation and nothing overtakes. A refusal for good takes out what no region has acknowledged; what one has
//!   acknowledged stays until it is stable, and is tried again after a while.
//! - A message is sent again with the proof of whichever region took it last, so that what operators allow meanwhile does not part it from later ones. Without
//!   one, being refused for that holds up the conversation.

use crate::client::{Client, Step};
use crate::error::LocalRefusal;
use crate::input::{Act, Amend, DocumentEdit};
use crate::item::{MalformedFrame, Place, read_cut, read_id};
use crate::limits;
use crate::line::LineKey;
use crate::outbox::{Entry, NewDot, Wish};
use crate::output::Event;
use crate::queue::Aside;
use crate::timers::Timer;
use bytes::Bytes;
use crdt::roster::Wish as MembersWish;
use crdt::{ConversationId, MessageId, UserId};
use gateway_protocol::fields::write_message_ref;
use gateway_protocol::v1::{self, client_frame::Frame};

impl Client {
    /// Puts a command into the outbox.
    pub(crate) fn take_command(&mut self, step: &mut Step<'_>, act: Act) {
        let Some((conversation, id, wish)) = self.read_command(step, act) else { return };
        let id = id.unwrap_or_else(|| step.draw_id());
        if let Some((_, entry)) = self.outbox.find(conversation, id) {
            if entry.wish.is_same(&wish) {
                crate::sometimes::SAME_COMMAND_AGAIN.reach();
            } else {
                crate::sometimes::ID_IN_USE.reach();
                step.refuse(Some(conversation), Some(id), &LocalRefusal::IdInUse { conversation });
            }
            return;
        }
        if let Err(why) = self.admit(conversation, &wish) {
            step.refuse(Some(conversation), Some(id), &why);
            return;
        }
        self.outbox.push(conversation, id, wish);
        self.take_part(step, conversation.placement());
    }

    fn read_command(&self, step: &Step<'_>, act: Act) -> Option<(ConversationId, Option<MessageId>, Wish)> {
        match act {
            Act::Send { conversation, message, body, reply_to } => {
                let seen = self.conversations.get(&conversation).and_then(|known| known.cursor.clone());
                let sent_at_ms = i64::try_from(step.now.ms()).unwrap_or(i64::MAX);
                Some((conversation, message, Wish::Post { body, reply_to, sent_at_ms, seen }))
            }
            Act::Amend { conversation, command, target, what } => {
                let known = self.conversations.get(&conversation);
                let seen =
                    known.and_then(|known| known.cursor.clone()).filter(|_| matches!(what, Amend::Edit(_)));
                Some((conversation, command, Wish::Amend { target, what, seen }))
            }
            Act::DeleteForMe { conversation, command, target } => {
                Some((conversation, command, Wish::Hide { target }))
            }
            Act::EditDocument { conversation, command, edit } => {
                Some((conversation, command, Wish::Document(edit)))
            }
            Act::CreateGroup { conversation, command, members, name } => {
                Some((conversation, command, Wish::Create { members, name, begun: None }))
            }
            Act::OpenDirect { placement, peer } => {
                let conversation = ConversationId::direct(placement, self.config.user, peer);
                Some((conversation, None, Wish::Direct { peer }))
            }
            Act::ChangeMembers { conversation, wish } => Some((conversation, None, Wish::Members(wish))),
            Act::MarkRead { .. }
            | Act::TellReads { .. }
            | Act::GetDocument { .. }
            | Act::Page { .. }
            | Act::List
            | Act::TakePart { .. }
            | Act::Move { .. }
            | Act::Renew { .. } => None,
        }
    }

    fn admit(&self, conversation: ConversationId, wish: &Wish) -> Result<(), LocalRefusal> {
        if let Wish::Post { body, .. } | Wish::Amend { what: Amend::Edit(body), .. } = wish
            && body.len() > self.body_bytes
        {
            return Err(LocalRefusal::BodyTooLarge { bytes: body.len(), limit: self.body_bytes });
        }
        if self.routes.lacks(conversation.placement()) {
            return Err(LocalRefusal::UnknownPlacement(conversation.placement()));
        }
        if !self.outbox.has_room(wish) {
            crate::sometimes::OUTBOX_FULL.reach();
            let (entries, bytes) = self.outbox.size();
            let (entries_max, bytes_max) = (limits::OUTBOX_ENTRIES_MAX, limits::OUTBOX_BYTES_MAX);
            return Err(LocalRefusal::OutboxFull { entries, bytes, entries_max, bytes_max });
        }
        Ok(())
    }

    /// Sends what can be sent, on all live lines.
    pub(crate) fn send_ready(&mut self, step: &mut Step<'_>) {
        for key in self.live_lines() {
            while self.lines.get(&key).is_some_and(|line| line.commands.len() < limits::IN_FLIGHT_MAX) {
                let routes = &self.routes;
                let leads = |conversation| routes.leads(key, conversation);
                let under_way = self.lines.get(&key).into_iter().flat_map(|line| line.commands.values());
                let Some(number) = self.outbox.take_next(leads, under_way) else { break };
                if let Some(line) = self.lines.get(&key) {
                    self.outbox.begin(number, line);
                }
                let after = self.outbox.named_by(number);
                let Some(frame) = self.outbox.get(number).map(|entry| write_command(entry, after)) else {
                    break;
                };
                let Some(request) = self.send(step, key, frame) else { break };
                if let Some(line) = self.lines.get_mut(&key) {
                    line.commands.insert(request, number);
                }
            }
        }
    }

    /// The region has done a command, or noted a receipt.
    pub(crate) fn done(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        request: u64,
        done: &v1::Done,
    ) -> Result<(), MalformedFrame> {
        let Some(line) = self.lines.get_mut(&key) else { return Ok(()) };
        if let Some(receipt) = line.receipts.remove(&request) {
            self.receipt_answered(request, receipt);
            return Ok(());
        }
        if line.syncs.remove(&request) {
            return Ok(());
        }
        let Some(number) = line.commands.get(&request).copied() else { return Ok(()) };
        let place = if done.dot.is_empty() {
            None
        } else {
            Some(Place::new(read_id("hlc", &done.hlc)?, read_id("dot", &done.dot)?))
        };
        line.commands.remove(&request);
        let Some(entry) = self.outbox.get(number) else { return Ok(()) };
        let (conversation, id, acknowledged) = (entry.conversation, entry.id, entry.acknowledged);
        self.outbox.note_acceptance(number, &done.acceptance);
        self.outbox.answered(number);
        match place {
            Some(place) => self.stands(step, conversation, id, place),
            // Another region has done it; here nothing is left to do, until that operation arrives and can be named.
            None if acknowledged => {
                crate::sometimes::DONE_ELSEWHERE.reach();
                self.ask_again_later(step, conversation, number, Aside::InVain);
            }
            None => {
                // Nothing had to be done, or nothing that is an operation: none could become stable.
                let entry = self.outbox.remove(number);
                step.show(Event::Acknowledged { conversation, command: id, place: None });
                if let Some(Wish::Hide { target }) = entry.map(|entry| entry.wish) {
                    self.hide(step, conversation, target);
                }
            }
        }
        Ok(())
    }

    /// An own command stands in a region, as its answer or, unless that has to wait, its delivery tells.
    pub(crate) fn stands(
        &mut self,
        step: &mut Step<'_>,
        conversation: ConversationId,
        id: MessageId,
        place: Place,
    ) {
        let is_post = self
            .outbox
            .find(conversation, id)
            .is_some_and(|(_, entry)| matches!(entry.wish, Wish::Post { .. }));
        let line = self.routes.line_of(conversation.placement()).and_then(|key| self.lines.get(&key));
        let by = line.and_then(|line| line.standing(conversation.placement()));
        match self.outbox.note_dot(conversation, id, place.dot, by) {
            NewDot::First => {
                step.show(Event::Acknowledged { conversation, command: id, place: Some(place) });
            }
            NewDot::Another if is_post => {
                crate::sometimes::ACKNOWLEDGED_AGAIN.reach();
                let sender = self.config.user;
                step.show(Event::Repeated { conversation, sender, message: id, place });
            }
            NewDot::Another | NewDot::Known => {}
        }
        if is_post {
            self.follow(step, conversation, id, place);
        }
        self.release_stable(step, conversation);
    }

    /// Whether what is delivered there of an own command acknowledges nothing: another region may not have it yet.
    pub(crate) fn waits_in(&self, conversation: ConversationId) -> bool {
        let placement = conversation.placement();
        let line = self.routes.line_of(placement).and_then(|key| self.lines.get(&key));
        line.is_some_and(|line| line.geo.contains(&placement))
    }

    /// Operations of a conversation are stable.
    pub(crate) fn stable(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        stable: &v1::Stable,
    ) -> Result<(), MalformedFrame> {
        let conversation: ConversationId = read_id("conversation", &stable.conversation)?;
        let cut = read_cut("cut", stable.cut.as_ref())?;
        if let Some(known) = self.conversation_of(step, key, conversation) {
            known.stable.join(&cut);
            self.release_stable(step, conversation);
        }
        Ok(())
    }

    fn release_stable(&mut self, step: &mut Step<'_>, conversation: ConversationId) {
        let Some(known) = self.conversations.get(&conversation) else { return };
        for command in self.outbox.take_stable(conversation, &known.stable) {
            step.show(Event::Stable { conversation, command });
        }
    }

    /// The region refused a command.
    pub(crate) fn command_refused(&mut self, step: &mut Step<'_>, number: u64, error: v1::Error) {
        let Some(entry) = self.outbox.get(number) else { return };
        let (conversation, id, acknowledged) = (entry.conversation, entry.id, entry.acknowledged);
        let (seen, is_post) = (entry.wish.seen(), matches!(entry.wish, Wish::Post { .. }));
        let known = self.conversations.get(&conversation);
        let is_member = known.is_some_and(|known| known.member == Some(true));
        // A region that was just moved to may not have heard yet of a conversation that this user is in.
        let unheard = error.code == "unknown_conversation" && is_member;
        // What operators allow has changed since another region took the message, of which this client has no proof that counts: it was told by a delivery alone, or the key is retired.
        let restricted =
            is_post && acknowledged && ["feature_off", "body_too_large"].contains(&error.code.as_str());
        // The region may have lost what this one went ahead of: the group, say, or that the user was added.
        let is_early = !error.temporary
            && error.code != "predecessor_missing"
            && !error.code.starts_with("cursor_")
            && self.outbox.went_ahead(number);
        if is_early {
            self.outbox.send_in_turn(number);
        } else if error.temporary || unheard {
            let mark = if unheard { &crate::sometimes::HELD_AS_UNHEARD } else { &crate::sometimes::HELD };
            mark.reach();
            let asked =
                if error.retry_after_ms == 0 { limits::RETRY_MS_DEFAULT } else { error.retry_after_ms };
            self.hold(step, number, asked.min(limits::RETRY_MS_MAX));
        } else if restricted {
            crate::sometimes::HELD_AS_RESTRICTED.reach();
            self.hold(step, number, limits::RETRY_MS_MAX);
        } else if let Some(refused) = seen.filter(|_| error.code.starts_with("cursor_")) {
            crate::sometimes::CURSOR_OF_POST_REFUSED.reach();
            // The newest cursor claims at least as much; without any, the message goes without the causes only this device knows of.
            let newest = known.and_then(|known| known.cursor.clone()).filter(|newest| *newest != refused);
            self.outbox.send_again_with(number, newest);
        } else if error.code == "predecessor_missing" {
            crate::sometimes::WOULD_OVERTAKE.reach();
            self.outbox.would_overtake(number);
        } else if acknowledged {
            crate::sometimes::SET_ASIDE.reach();
            let is_out = is_post && matches!(error.code.as_str(), "not_a_member" | "unknown_conversation");
            let why = if is_out { Aside::Out } else { Aside::InVain };
            self.ask_again_later(step, conversation, number, why);
        } else {
            crate::sometimes::REFUSED.reach();
            self.outbox.remove(number);
            let v1::Error { code, message, .. } = error;
            step.show(Event::Refused { conversation: Some(conversation), command: Some(id), code, message });
        }
    }
}

impl Client {
    fn hold(&mut self, step: &Step<'_>, number: u64, wait_ms: u64) {
        if let Some(held) = self.outbox.hold(number) {
            self.timers.set(Timer::Retry(held), step.now.plus_ms(wait_ms));
        }
    }

    /// What another region has acknowledged and this one does not name: it may have it by then.
    fn ask_again_later(&mut self, step: &Step<'_>, conversation: ConversationId, number: u64, why: Aside) {
        self.outbox.set_aside(number, why);
        let again = step.now.plus_ms(limits::RETRY_MS_MAX);
        self.timers.set_if_idle(Timer::Retry(conversation), again);
    }
}

impl Wish {
    /// The cursor it was written on.
    fn seen(&self) -> Option<Bytes> {
        match self {
            Self::Post { seen, .. } | Self::Amend { seen, .. } => seen.clone(),
            Self::Hide { .. }
            | Self::Document(_)
            | Self::Create { .. }
            | Self::Direct { .. }
            | Self::Members(_) => None,
        }
    }

    /// Whether it wishes for the same, told at another time.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Post { body, reply_to, .. },
                Self::Post { body: other_body, reply_to: other_reply, .. },
            ) => body == other_body && reply_to == other_reply,
            (
                Self::Amend { target, what, .. },
                Self::Amend { target: other_target, what: other_what, .. },
            ) => target == other_target && what == other_what,
            (
                Self::Create { members, name, .. },
                Self::Create { members: other_members, name: other_name, .. },
            ) => members == other_members && name == other_name,
            (one, other) => one == other,
        }
    }
}

/// The frame that asks for it; of a message, not before that one.
fn write_command(entry: &Entry, after: Option<MessageId>) -> Frame {
    let (conversation, command) = (entry.conversation.to_string(), entry.id.to_string());
    match &entry.wish {
        Wish::Post { body, reply_to, sent_at_ms, seen } => Frame::Send(v1::Send {
            conversation,
            message: command,
            body: body.clone(),
            reply_to: reply_to.map(write_message_ref),
            sent_at_ms: *sent_at_ms,
            seen: seen.clone().unwrap_or_default(),
            after: after.as_ref().map(ToString::to_string).unwrap_or_default(),
            acceptance: entry.acceptance.clone(),
        }),
        Wish::Amend { target, what, seen } => {
            let target = Some(write_message_ref(*target));
            let react = |emoji: &String, withdraw| (emoji.clone(), withdraw);
            let (emoji, withdraw) = match what {
                Amend::Edit(body) => {
                    let (body, seen) = (body.clone(), seen.clone().unwrap_or_default());
                    return Frame::Edit(v1::Edit { conversation, command, target, body, seen });
                }
                Amend::Delete => return Frame::Delete(v1::Delete { conversation, command, target }),
                Amend::React(emoji) => react(emoji, false),
                Amend::Withdraw(emoji) => react(emoji, true),
            };
            Frame::React(v1::React { conversation, command, target, emoji, withdraw })
        }
        Wish::Hide { target } => {
            let target = Some(write_message_ref(*target));
            Frame::DeleteForMe(v1::DeleteForMe { conversation, command, target })
        }
        Wish::Create { members, name, begun } => Frame::CreateGroup(v1::CreateGroup {
            conversation,
            command,
            members: members.iter().map(ToString::to_string).collect(),
            name: name.clone(),
            begun_in: begun.as_ref().map(|begun| begun.region_id.clone()).unwrap_or_default(),
            epoch: begun.as_ref().map(|begun| begun.epoch).unwrap_or_default(),
        }),
        Wish::Direct { peer } => Frame::OpenDirect(v1::OpenDirect {
            placement: entry.conversation.placement().to_string(),
            command,
            peer: peer.to_string(),
        }),
        Wish::Document(edit) => write_document(conversation, command, edit),
        Wish::Members(wish) => write_members(conversation, command, *wish),
    }
}

fn write_document(conversation: String, command: String, edit: &DocumentEdit) -> Frame {
    let mut frame = v1::EditDocument { conversation, command, ..v1::EditDocument::default() };
    match edit {
        DocumentEdit::Name(name) => frame.name = Some(name.clone()),
        DocumentEdit::Icon(icon) => frame.icon = Some(icon.clone()),
        DocumentEdit::Description(description) => frame.description = Some(description.clone()),
        DocumentEdit::Pin(message) => frame.pin = Some(write_message_ref(*message)),
        DocumentEdit::Unpin(message) => frame.unpin = Some(write_message_ref(*message)),
        DocumentEdit::Setting { name, value } => {
            frame.settings.push(v1::Setting { name: name.clone(), value: value.clone() });
        }
        DocumentEdit::DisplayName(name) => frame.display_name = Some(name.clone()),
        DocumentEdit::Status(status) => frame.status = Some(status.clone()),
        DocumentEdit::Contact { user, name } => {
            frame.contacts.push(v1::Setting { name: user.to_string(), value: name.clone() });
        }
        DocumentEdit::Label { conversation, label } => {
            frame.labels.push(v1::Setting { name: conversation.to_string(), value: label.clone() });
        }
        DocumentEdit::Block(user) => frame.block.push(user.to_string()),
        DocumentEdit::Unblock(user) => frame.unblock.push(user.to_string()),
    }
    Frame::EditDocument(Box::new(frame))
}

fn write_members(conversation: String, command: String, wish: MembersWish) -> Frame {
    let name = |user: UserId| user.to_string();
    match wish {
        MembersWish::Add(user) => Frame::AddMember(v1::AddMember { conversation, command, user: name(user) }),
        MembersWish::Remove(user) => {
            Frame::RemoveMember(v1::RemoveMember { conversation, command, user: name(user) })
        }
        MembersWish::Promote(user) => Frame::Promote(v1::Promote { conversation, command, user: name(user) }),
        MembersWish::Demote(user) => Frame::Demote(v1::Demote { conversation, command, user: name(user) }),
        MembersWish::Leave => Frame::Leave(v1::Leave { conversation, command }),
        MembersWish::Claim => Frame::Claim(v1::Claim { conversation, command }),
    }
}
