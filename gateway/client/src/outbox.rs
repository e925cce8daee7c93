//! The outbox: every command of this device that is not yet stable, in the order in which the user gave them.
//!
//! The naive way keeps a message until a region acknowledges it. Then a region that burns down, or is cut off while the user
//! moves, takes acknowledged messages with it as far as this user can tell. So an entry stays until it is durable in every region
//! of its placement, and goes to every region the user moves to, under the same id.
//!
//! What must always hold:
//! - Conversations take turns, and each keeps its own order (`queue.rs`).
//! - An entry that was acknowledged by any region leaves only by becoming stable.
//! - Dots are those of the original and of every duplicate: any of them being stable makes the entry stable.
//! - A dot counts only as told on the present connection. A store put back to an old state gives out a dot a second time before its peers
//!   fence it, and what another region then says of that dot is true of something else. Asked again, each region tells what it has itself.

use crate::input::{Amend, DocumentEdit};
use crate::limits;
use crate::line::Line;
use crate::queue::{Aside, Kind, Queue};
use bytes::Bytes;
use crdt::roster::Wish as MembersWish;
use crdt::{ConversationId, Cut, Dot, MessageId, UserId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Post a message.
    Post {
        body: Bytes,
        reply_to: Option<(UserId, MessageId)>,
        sent_at_ms: i64,
        /// The cursor of what the device had been shown when it was written.
        seen: Option<Bytes>,
    },
    /// Do something to a message.
    Amend {
        target: (UserId, MessageId),
        what: Amend,
        /// Of an edit, as of a post.
        seen: Option<Bytes>,
    },
    /// Delete a message for the user alone.
    Hide { target: (UserId, MessageId) },
    /// Change what the conversation says of itself.
    Document(DocumentEdit),
    /// Begin a group.
    Create {
        members: Vec<UserId>,
        name: String,
        /// Where it was first sent.
        begun: Option<Begun>,
    },
    /// Open a direct conversation.
    Direct { peer: UserId },
    /// Change who is in a group, or what they may do.
    Members(MembersWish),
}

/// Where a group was first asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The id of the region.
    pub(crate) region_id: String,
    /// In which it stood then; 0 if it did not say.
    pub(crate) epoch: u64,
}

/// One command.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) conversation: ConversationId,
    pub(crate) id: MessageId,
    pub(crate) wish: Wish,
    /// A region has it, or had.
    pub(crate) acknowledged: bool,
    /// The proof of it, from the last that gave one.
    pub(crate) acceptance: Bytes,
    /// Under which it stands, as the present connection has told.
    pub(crate) dots: Vec<Dot>,
}

/// What a dot says of an own command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewDot {
    /// A region has it: the first one.
    First,
    /// Another region has taken it too.
    Another,
    /// That was known, or the command is none of this outbox.
    Known,
}

/// All commands that are not yet stable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox {
    entries: BTreeMap<u64, Entry>,
    numbers: BTreeMap<(ConversationId, MessageId), u64>,
    queues: BTreeMap<ConversationId, Queue>,
    /// Conversations of which a command can be sent, and the one that had the last turn.
    ready: BTreeSet<ConversationId>,
    last: Option<ConversationId>,
    bytes: usize,
    next: u64,
}

impl Wish {
    fn bytes(&self) -> usize {
        match self {
            Self::Post { body, .. } => body.len(),
            Self::Amend { what: Amend::Edit(body), .. } => body.len(),
            Self::Amend { what: Amend::React(emoji) | Amend::Withdraw(emoji), .. } => emoji.len(),
            Self::Amend { what: Amend::Delete, .. } => 0,
            Self::Create { members, name, .. } => members.len() * 8 + name.len(),
            Self::Document(
                DocumentEdit::Name(text)
                | DocumentEdit::Icon(text)
                | DocumentEdit::Description(text)
                | DocumentEdit::DisplayName(text)
                | DocumentEdit::Status(text)
                | DocumentEdit::Contact { name: text, .. }
                | DocumentEdit::Label { label: text, .. },
            ) => text.len(),
            Self::Document(DocumentEdit::Setting { name, value }) => name.len() + value.len(),
            Self::Hide { .. }
            | Self::Document(
                DocumentEdit::Pin(_)
                | DocumentEdit::Unpin(_)
                | DocumentEdit::Block(_)
                | DocumentEdit::Unblock(_),
            )
            | Self::Direct { .. }
            | Self::Members(_) => 0,
        }
    }
}

impl Outbox {
    /// Whether another wish of that size has room.
    pub(crate) fn has_room(&self, wish: &Wish) -> bool {
        self.entries.len() < limits::OUTBOX_ENTRIES_MAX
            && self.bytes + wish.bytes() <= limits::OUTBOX_BYTES_MAX
    }

    /// Entries and bytes in it.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Adds a wish at the end. The caller has checked that there is room and that the id is free.
    pub(crate) fn push(&mut self, conversation: ConversationId, id: MessageId, wish: Wish) {
        let number = self.next;
        self.next += 1;
        self.bytes += wish.bytes();
        self.numbers.insert((conversation, id), number);
        let (acceptance, dots) = (Bytes::new(), Vec::new());
        let kind = if matches!(wish, Wish::Post { .. }) { Kind::Message } else { Kind::Other };
        self.entries.insert(number, Entry { conversation, id, wish, acknowledged: false, acceptance, dots });
        self.queues.entry(conversation).or_default().push(number, kind);
        self.refresh(conversation);
    }

    /// The entry under that id.
    pub(crate) fn find(&self, conversation: ConversationId, id: MessageId) -> Option<(u64, &Entry)> {
        let number = *self.numbers.get(&(conversation, id))?;
        self.entries.get(&number).map(|entry| (number, entry))
    }

    /// The entry is sent on that line. A creation remembers the first region and its epoch, so that it asks every region for the same.
    pub(crate) fn begin(&mut self, number: u64, line: &Line) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        if let (Wish::Create { begun: first @ None, .. }, Some(region_id)) =
            (&mut entry.wish, &line.region_id)
        {
            let epoch = line.epochs.get(&entry.conversation.placement()).copied().unwrap_or_default();
            *first = Some(Begun { region_id: region_id.clone(), epoch });
        }
    }

    /// The entry of that number.
    pub(crate) fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.get(&number)
    }

    /// Conversations with anything in it.
    pub(crate) fn conversations(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.queues.keys().copied()
    }

    /// How many commands of one conversation are in flight, at most.
    pub(crate) fn in_flight(&self) -> usize {
        self.queues.values().map(Queue::in_flight).max().unwrap_or(0)
    }

    /// Entries in order, for the state printer: number, entry, whether it awaits an answer of the present region.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Entry, bool)> + '_ {
        let waits = |number: &u64, entry: &Entry| {
            self.queues.get(&entry.conversation).is_some_and(|queue| queue.awaits(*number))
        };
        self.entries.iter().map(move |(number, entry)| (*number, entry, waits(number, entry)))
    }

    /// A new connection will be asked for this conversation: everything of it is to be sent again, in order.
    pub(crate) fn send_all_again(&mut self, conversation: ConversationId) {
        if let Some(queue) = self.queues.get_mut(&conversation) {
            queue.send_all_again();
            for number in queue.iter() {
                if let Some(entry) = self.entries.get_mut(&number) {
                    entry.dots.clear();
                }
            }
        }
        self.refresh(conversation);
    }

    /// The next command that can be sent in one of the conversations that `takes` admits, marked as in flight.
    pub(crate) fn take_next(&mut self, takes: impl Fn(ConversationId) -> bool) -> Option<u64> {
        let later = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut turns = self.ready.range((later, Bound::Unbounded)).chain(&self.ready).copied();
        let conversation = turns.find(|conversation| takes(*conversation))?;
        let queue = self.queues.get_mut(&conversation)?;
        let number = queue.next()?;
        queue.send(number);
        self.last = Some(conversation);
        self.refresh(conversation);
        Some(number)
    }

    /// The message that this one must not be taken before ([`Queue::predecessor`]).
    pub(crate) fn predecessor(&self, number: u64) -> Option<MessageId> {
        let queue = self.queues.get(&self.entries.get(&number)?.conversation)?;
        self.entries.get(&queue.predecessor(number)?).map(|entry| entry.id)
    }

    /// The present region has answered that command for good, whichever way.
    pub(crate) fn answered(&mut self, number: u64) {
        self.change(number, |queue| queue.answered(number));
    }

    /// The region refused that command for the moment: nothing more of its conversation is sent until [`Outbox::release`].
    pub(crate) fn hold(&mut self, number: u64) -> Option<ConversationId> {
        self.change(number, |queue| queue.hold(number))
    }

    /// The region did not take the cursor of that post or edit: it is sent again with this one, or without.
    pub(crate) fn send_again_with(&mut self, number: u64, newer: Option<Bytes>) {
        let entry = self.entries.get_mut(&number);
        if let Some(Wish::Post { seen, .. } | Wish::Amend { seen, .. }) = entry.map(|entry| &mut entry.wish) {
            *seen = newer;
        }
        self.change(number, |queue| queue.send_again(number));
    }

    /// A region proves that it took that command.
    pub(crate) fn note_acceptance(&mut self, number: u64, acceptance: &Bytes) {
        if let Some(entry) = self.entries.get_mut(&number).filter(|_| !acceptance.is_empty()) {
            entry.acceptance = acceptance.clone();
        }
    }

    /// The present region refused for good what another one has acknowledged, or has nothing left to do for it: it is sent again when the
    /// wait is over, since this region may have it by then, and would say that it is stable.
    pub(crate) fn set_aside(&mut self, number: u64, why: Aside) {
        self.change(number, |queue| queue.set_aside(number, why));
    }

    /// The region did not take that command before its predecessor.
    pub(crate) fn would_overtake(&mut self, number: u64) {
        self.change(number, |queue| queue.would_overtake(number));
    }

    /// The user is a member again, as the present region sees it: what it refused for good may be taken now, and goes before anything later, or others
    /// would be shown the later first.
    pub(crate) fn try_refused(&mut self, conversation: ConversationId) {
        self.queues.entry(conversation).and_modify(Queue::try_refused);
        self.refresh(conversation);
    }

    /// The wait is over.
    pub(crate) fn release(&mut self, conversation: ConversationId) {
        self.queues.entry(conversation).and_modify(Queue::release);
        self.refresh(conversation);
    }

    /// A region has that command under this dot.
    pub(crate) fn note_dot(&mut self, conversation: ConversationId, id: MessageId, dot: Dot) -> NewDot {
        let Some(number) = self.numbers.get(&(conversation, id)) else { return NewDot::Known };
        let Some(entry) = self.entries.get_mut(number) else { return NewDot::Known };
        let first = !std::mem::replace(&mut entry.acknowledged, true);
        let new = !entry.dots.contains(&dot) && entry.dots.len() < limits::DOTS_OF_A_MESSAGE_MAX;
        if new {
            entry.dots.push(dot);
        }
        match (first, new) {
            (true, _) => NewDot::First,
            (false, true) => NewDot::Another,
            (false, false) => NewDot::Known,
        }
    }

    /// Takes out what that cut makes stable, in order.
    pub(crate) fn take_stable(&mut self, conversation: ConversationId, stable: &Cut) -> Vec<MessageId> {
        let Some(queue) = self.queues.get(&conversation) else { return Vec::new() };
        let covered = |number: &u64| {
            self.entries.get(number).is_some_and(|entry| entry.dots.iter().any(|dot| stable.covers(*dot)))
        };
        let numbers: Vec<u64> = queue.iter().filter(covered).collect();
        numbers.into_iter().filter_map(|number| self.remove(number)).map(|entry| entry.id).collect()
    }

    /// Takes out what no region has acknowledged, in order.
    pub(crate) fn drop_unacknowledged(&mut self, conversation: ConversationId) -> Vec<MessageId> {
        let Some(queue) = self.queues.get(&conversation) else { return Vec::new() };
        let unacknowledged = |number: &u64| self.entries.get(number).is_some_and(|entry| !entry.acknowledged);
        let numbers: Vec<u64> = queue.iter().filter(unacknowledged).collect();
        numbers.into_iter().filter_map(|number| self.remove(number)).map(|entry| entry.id).collect()
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Entry> {
        self.change(number, |queue| queue.remove(number));
        let entry = self.entries.remove(&number)?;
        self.numbers.remove(&(entry.conversation, entry.id));
        self.bytes -= entry.wish.bytes();
        if self.queues.get(&entry.conversation).is_some_and(Queue::is_empty) {
            self.queues.remove(&entry.conversation);
        }
        Some(entry)
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Queue)) -> Option<ConversationId> {
        let conversation = self.entries.get(&number)?.conversation;
        change(self.queues.get_mut(&conversation)?);
        self.refresh(conversation);
        Some(conversation)
    }

    fn refresh(&mut self, conversation: ConversationId) {
        if self.queues.get(&conversation).is_some_and(|queue| queue.next().is_some()) {
            self.ready.insert(conversation);
        } else {
            self.ready.remove(&conversation);
        }
    }
}
