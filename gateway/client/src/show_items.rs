//! Showing what a region delivers: once, in causal order, with its place, its mark, and its ticks.
//!
//! What must always hold:
//! - Items are shown in the order delivered, which is causal: each after everything its author's region had applied.
//! - One identity is shown once; a duplicate at an earlier place moves it. What the user has deleted for themselves is shown as nothing but that.
//! - The cursor is taken with the items and not before; what is delivered twice is shown once.

use crate::amended::Look;
use crate::client::{Client, Step};
use crate::conversation::Conversation;
use crate::error::LocalRefusal;
use crate::identities::Sighting;
use crate::item::{Content, Item, MalformedFrame, Place, read_cut, read_id, read_reference};
use crate::limits;
use crate::line::{LineKey, Question};
use crate::output::Event;
use crate::ticks::{Tick, TickKind};
use crdt::{ConversationId, Cut, MessageId, UserId};
use gateway_protocol::v1;

impl Client {
    /// New entries of a conversation.
    pub(crate) fn deliver(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        deliver: &v1::Deliver,
    ) -> Result<(), MalformedFrame> {
        let id: ConversationId = read_id("conversation", &deliver.conversation)?;
        let items: Vec<Item> = deliver.items.iter().map(Item::try_from).collect::<Result<_, _>>()?;
        if self.conversation_of(step, key, id).is_none() {
            return Ok(());
        }
        let count = items.len();
        for item in items {
            self.show_item(step, id, item);
        }
        let Some(conversation) = self.conversations.get_mut(&id) else { return Ok(()) };
        conversation.cursor = Some(deliver.cursor.clone());
        self.settle(step, id);
        self.given(step, id, count);
        Ok(())
    }

    /// What waited for what has been given now waits no longer.
    fn settle(&mut self, step: &mut Step<'_>, id: ConversationId) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        for (sender, message) in conversation.given.take_settled() {
            crate::sometimes::MARK_CLEARED.reach();
            step.show(Event::MarkCleared { conversation: id, sender, message });
        }
        let given = &conversation.given;
        let ticks = conversation.ticks.settle(|cut| given.settles(cut));
        show_ticks(step, id, ticks, self.tells_reads);
    }

    fn show_item(&mut self, step: &mut Step<'_>, id: ConversationId, item: Item) {
        let me = self.config.user;
        if let Content::Withheld { target } = item.content {
            self.hide(step, id, target);
        }
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let item = conversation.hidden.withhold(item);
        let (sender, message, place) = (item.sender, item.message, item.place);
        let given = conversation.given.covers(place.dot);
        if given {
            crate::sometimes::GIVEN_AGAIN.reach();
        }
        conversation.given.take(me, &item);
        note_membership(conversation, me, &item);
        let sighting = conversation.identities.see(sender, message, place, given);
        let new = matches!(sighting, Sighting::New);
        if let Content::Added { user, since } = &item.content
            && !given
            && !new
        {
            crate::sometimes::ADDED_AGAIN.reach();
            step.show(Event::AddedAgain { conversation: id, user: *user, since: since.clone() });
        }
        match &item.content {
            // Given again after a sync from an older cursor: who came and went has been noted.
            _ if given => {}
            Content::Created { members, .. } => conversation.ticks.note_created(members),
            Content::Added { user, since } if *user != me && new => {
                conversation.ticks.note_added(*user, since);
            }
            Content::Added { user, since } if *user != me => {
                conversation.ticks.note_added_again(*user, since);
            }
            // A duplicate of a coming or going that has been noted.
            _ if !new => {}
            Content::Left if sender != me => conversation.ticks.note_left(sender),
            Content::Added { since, .. } => conversation.ticks.forget_members(since),
            Content::Left => conversation.ticks.forget_members(&Cut::new()),
            // Whether a removal stands is not for a device to tell, and need not be: who is removed confirms nothing more, until an adding says
            // what they were not shown.
            Content::Removed { .. }
            | Content::Promoted { .. }
            | Content::Demoted { .. }
            | Content::Claimed
            | Content::Rights
            | Content::DocumentChanged { .. } => {}
            Content::Post { .. }
            | Content::Edited { .. }
            | Content::Deleted { .. }
            | Content::Withheld { .. }
            | Content::Reacted { .. }
            | Content::Withdrawn { .. } => {}
        }
        // Of a message that appears, what was done to it may have been given while it was hidden itself.
        let look = match sighting {
            Sighting::New => conversation.amended.look((sender, message)),
            Sighting::Moves { .. } | Sighting::Known => None,
        };
        let look = conversation.amended.take(&item).or(look);
        let is_post = item.is_message();
        match sighting {
            Sighting::New => {
                let seen = match &item.content {
                    Content::Post { seen, .. } | Content::Edited { seen, .. } => seen.clone(),
                    Content::Created { .. }
                    | Content::Added { .. }
                    | Content::Left
                    | Content::Removed { .. }
                    | Content::Promoted { .. }
                    | Content::Demoted { .. }
                    | Content::Claimed
                    | Content::Rights
                    | Content::DocumentChanged { .. }
                    | Content::Deleted { .. }
                    | Content::Withheld { .. }
                    | Content::Reacted { .. }
                    | Content::Withdrawn { .. } => None,
                };
                let unsettled = seen.filter(|seen| !conversation.given.settles(seen));
                let marked = unsettled.is_some();
                if let Some(seen) = unsettled {
                    crate::sometimes::MARKED.reach();
                    conversation.given.mark(sender, message, seen);
                }
                step.show(Event::Shown { conversation: id, item, marked });
            }
            Sighting::Moves { from } => {
                crate::sometimes::MOVED.reach();
                step.show(Event::Moved { conversation: id, sender, message, from, to: place });
            }
            Sighting::Known => {
                crate::sometimes::DUPLICATE_HIDDEN.reach();
                if is_post && !given && self.outbox.find(id, message).is_none() {
                    step.show(Event::Repeated { conversation: id, sender, message, place });
                }
            }
        }
        if let Some(Look { of, body, became }) = look {
            let (sender, message) = of;
            step.show(Event::Amended { conversation: id, sender, message, body, became });
        }
        if sender == me {
            if is_post {
                self.follow(step, id, message, place);
            }
            let is_acknowledged = self.outbox.find(id, message).map(|(_, entry)| entry.acknowledged);
            if is_acknowledged.is_some_and(|already| already || !self.waits_in(id)) {
                self.stands(step, id, message, place);
            }
        }
    }

    /// The user has deleted messages for themselves.
    pub(crate) fn deleted_for_me(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        deleted: &v1::DeletedForMe,
    ) -> Result<(), MalformedFrame> {
        let id: ConversationId = read_id("conversation", &deleted.conversation)?;
        let messages: Vec<_> = deleted.messages.iter().map(read_reference).collect::<Result<_, _>>()?;
        if self.conversation_of(step, key, id).is_some() {
            for message in messages {
                self.hide(step, id, message);
            }
        }
        Ok(())
    }

    /// A message goes from the view, whether or not it was there.
    pub(crate) fn hide(&mut self, step: &mut Step<'_>, id: ConversationId, target: (UserId, MessageId)) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.hidden.hide(target) {
            conversation.amended.forget(target);
            let (sender, message) = target;
            step.show(Event::Hidden { conversation: id, sender, message });
        }
    }

    /// An own message is followed for its ticks.
    pub(crate) fn follow(
        &mut self,
        step: &mut Step<'_>,
        id: ConversationId,
        message: MessageId,
        place: Place,
    ) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            let ticks = conversation.ticks.note_dot(message, place.dot);
            show_ticks(step, id, ticks, self.tells_reads);
        }
    }

    /// All that was waiting has been given.
    pub(crate) fn caught_up(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        caught_up: &v1::CaughtUp,
    ) -> Result<(), MalformedFrame> {
        let id: ConversationId = read_id("conversation", &caught_up.conversation)?;
        let expired = read_cut("expired", caught_up.expired.as_ref())?;
        let Some(conversation) = self.conversation_of(step, key, id) else { return Ok(()) };
        conversation.live = true;
        if !expired.is_empty() {
            crate::sometimes::EXPIRED.reach();
            conversation.given.pass(&expired);
            self.settle(step, id);
        }
        let Some(conversation) = self.conversations.get_mut(&id) else { return Ok(()) };
        let follows = conversation.ticks.is_following();
        step.show(Event::CaughtUp { conversation: id });
        if follows {
            self.ask(step, key, Question::Receipts { conversation: id });
        }
        Ok(())
    }

    /// Others' devices confirm own messages.
    pub(crate) fn receipts(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        request: u64,
        receipts: &v1::Receipts,
    ) -> Result<(), MalformedFrame> {
        let id: ConversationId = read_id("conversation", &receipts.conversation)?;
        let me = self.config.user;
        let mut read = Vec::with_capacity(receipts.receipts.len());
        for receipt in &receipts.receipts {
            let user: UserId = read_id("user", &receipt.user)?;
            let device = read_id("device", &receipt.device)?;
            let delivered = read_cut("delivered", receipt.delivered.as_ref())?;
            let has_read = read_cut("read", receipt.read.as_ref())?;
            read.push((user, device, TickKind::Delivered, delivered));
            read.push((user, device, TickKind::Read, has_read));
        }
        if let Some(line) = self.lines.get_mut(&key) {
            line.is_answer(request, receipts.more);
        }
        let Some(conversation) = self.conversation_of(step, key, id) else { return Ok(()) };
        for (user, device, kind, cut) in read.into_iter().filter(|(user, ..)| *user != me) {
            conversation.ticks.note_receipt(user, device, kind, &cut);
        }
        let given = &conversation.given;
        let ticks = conversation.ticks.settle(|cut| given.settles(cut));
        show_ticks(step, id, ticks, self.tells_reads);
        Ok(())
    }

    /// A member came or went.
    pub(crate) fn membership(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        change: &v1::Membership,
    ) -> Result<(), MalformedFrame> {
        let id: ConversationId = read_id("conversation", &change.conversation)?;
        let user: UserId = read_id("user", &change.user)?;
        let me = self.config.user;
        let Some(conversation) = self.conversation_of(step, key, id) else { return Ok(()) };
        if user == me {
            let was = conversation.member.replace(change.member);
            if change.member {
                self.outbox.try_refused(id);
            } else if was == Some(false) {
                // Regions say so whenever this device syncs with a cursor of it.
                return Ok(());
            }
        }
        step.show(Event::Membership { conversation: id, user, member: change.member });
        Ok(())
    }

    /// The conversation, begun if it is new and has room; none if this line does not lead to it.
    pub(crate) fn conversation_of(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        id: ConversationId,
    ) -> Option<&mut Conversation> {
        if !self.routes.leads(key, id) {
            return None;
        }
        if !self.conversations.contains_key(&id) && self.conversations.len() >= limits::CONVERSATIONS_MAX {
            crate::sometimes::TOO_MANY_CONVERSATIONS.reach();
            let line = self.lines.get_mut(&key)?;
            if !std::mem::replace(&mut line.crowded, true) {
                let limit = limits::CONVERSATIONS_MAX;
                step.refuse(Some(id), None, &LocalRefusal::TooManyConversations { conversation: id, limit });
            }
            return None;
        }
        Some(self.conversations.entry(id).or_default())
    }
}

fn note_membership(conversation: &mut Conversation, me: UserId, item: &Item) {
    match &item.content {
        Content::Post { .. }
        | Content::Edited { .. }
        | Content::Deleted { .. }
        | Content::Withheld { .. }
        | Content::Reacted { .. }
        | Content::Withdrawn { .. }
        | Content::Removed { .. }
        | Content::Promoted { .. }
        | Content::Demoted { .. }
        | Content::Claimed
        | Content::Rights
        | Content::DocumentChanged { .. } => {}
        Content::Created { members, .. } => {
            if members.contains(&me) {
                conversation.member = Some(true);
            }
        }
        Content::Added { user, .. } => {
            if *user == me {
                conversation.member = Some(true);
            }
        }
        Content::Left => {
            if item.sender == me {
                conversation.member = Some(false);
            }
        }
    }
}

fn show_ticks(step: &mut Step<'_>, conversation: ConversationId, ticks: Vec<Tick>, tells_reads: bool) {
    // Who tells nobody is told nothing.
    let shown = ticks.into_iter().filter(|tick| tells_reads || tick.kind != TickKind::Read);
    for Tick { message, kind, user, device } in shown {
        step.show(match kind {
            TickKind::Delivered => Event::Delivered { conversation, message, user, device },
            TickKind::Read => Event::Read { conversation, message, user, device },
        });
    }
}
