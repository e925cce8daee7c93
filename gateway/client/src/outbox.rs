//! The outbox: every command of this device that is not yet stable, in the order in which the user gave them.
//!
//! The naive way keeps a message until a region acknowledges it. Then a region that burns down, or is cut off while the user
//! moves, takes acknowledged messages with it as far as this user can tell. So an entry stays until it is durable in every region
//! of its placement, and goes to every region the user moves to, under the same id.
//!
//! What must always hold:
//! - Conversations take turns, and each keeps its own order (`queue.rs`). What is new to its replica goes before what any has acknowledged and is sent again.
//! - An entry that was acknowledged by any region leaves only by becoming stable.
//! - Dots are those of the original and of every duplicate: any of them being stable makes the entry stable.
//! - A dot counts only as told on the present connection. A store put back to an old state gives out a dot a second time before its peers
//!   fence it, and what another region then says of that dot is true of something else. Asked again, each region tells what it has itself.

use crate::input::{Amend, DocumentEdit};
use crate::limits;
use crate::line::{Line, Standing};
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
        begun: Option<Standing>,
    },
    /// Open a direct conversation.
    Direct { peer: UserId },
    /// Change who is in a group, or what they may do.
    Members(MembersWish),
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
    /// The replicas that have acknowledged it.
    taken_by: Vec<Standing>,
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
    /// Conversations of which a new command can be sent, those of which one can be sent again, and the one that had the last turn.
    ready: BTreeSet<ConversationId>,
    ready_again: BTreeSet<ConversationId>,
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
        let (acceptance, dots, taken_by) = (Bytes::new(), Vec::new(), Vec::new());
        let kind = if matches!(wish, Wish::Post { .. }) { Kind::Message } else { Kind::Other };
        let entry = Entry { conversation, id, wish, acknowledged: false, acceptance, dots, taken_by };
        self.entries.insert(number, entry);
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
        if let Wish::Create { begun: first @ None, .. } = &mut entry.wish {
            *first = line.standing(entry.conversation.placement());
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

    /// A new connection to that replica will be asked for this conversation: everything of it is to be sent again.
    pub(crate) fn send_all_again(&mut self, conversation: ConversationId, to: Option<&Standing>) {
        if let Some(queue) = self.queues.get_mut(&conversation) {
            let of = |number: u64| self.entries.get(&number).map(|entry| &entry.taken_by);
            queue.send_all_again(|number| {
                to.is_some_and(|to| to.epoch > 0 && of(number).is_some_and(|taken_by| taken_by.contains(to)))
            });
            for number in queue.iter() {
                if let Some(entry) = self.entries.get_mut(&number) {
                    entry.dots.clear();
                }
            }
        }
        self.refresh(conversation);
    }

    /// The next command that can be sent in one of the conversations that `takes` admits, marked as in flight: one that is new to its replica, or, if there is none and these that are
    /// under way leave room for it, one that is sent again.
    pub(crate) fn take_next<'a>(
        &mut self,
        takes: impl Fn(ConversationId) -> bool,
        under_way: impl Iterator<Item = &'a u64>,
    ) -> Option<u64> {
        let later = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let turn = |ready: &BTreeSet<ConversationId>| {
            let mut turns = ready.range((later, Bound::Unbounded)).chain(ready).copied();
            turns.find(|conversation| takes(*conversation))
        };
        let conversation = match turn(&self.ready) {
            Some(conversation) => conversation,
            None => {
                let (count, bytes) = self.repeated(under_way);
                let has_room =
                    count < limits::REPEATED_IN_FLIGHT_MAX && bytes < limits::REPEATED_BYTES_IN_FLIGHT;
                turn(&self.ready_again).filter(|_| has_room)?
            }
        };
        let queue = self.queues.get_mut(&conversation)?;
        let number = queue.next().or_else(|| queue.next_again())?;
        queue.send(number);
        self.last = Some(conversation);
        self.refresh(conversation);
        Some(number)
    }

    /// How many of these are sent again to the replica that has acknowledged them, and their bytes.
    pub(crate) fn repeated<'a>(&self, under_way: impl Iterator<Item = &'a u64>) -> (usize, usize) {
        let entries = under_way.filter_map(|number| Some((number, self.entries.get(number)?)));
        let repeated = entries.filter(|(number, entry)| {
            self.queues.get(&entry.conversation).is_some_and(|queue| queue.is_repeated(**number))
        });
        repeated.fold((0, 0), |(count, bytes), (_, entry)| (count + 1, bytes + entry.wish.bytes()))
    }

    /// The command that this one, which is under way, must not be taken before.
    pub(crate) fn named_by(&self, number: u64) -> Option<MessageId> {
        let queue = self.queues.get(&self.entries.get(&number)?.conversation)?;
        self.entries.get(&queue.named_by(number)?).map(|entry| entry.id)
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

    /// Whether the refusal of that command may come of what its region has lost: then it counts only in its turn ([`Queue::send_in_turn`]).
    pub(crate) fn went_ahead(&self, number: u64) -> bool {
        let queue = self.entries.get(&number).and_then(|entry| self.queues.get(&entry.conversation));
        queue.is_some_and(|queue| queue.went_ahead(number))
    }

    /// The region refused that command ahead of its turn.
    pub(crate) fn send_in_turn(&mut self, number: u64) {
        self.change(number, |queue| queue.send_in_turn(number));
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

    /// The present replica has that command under this dot.
    pub(crate) fn note_dot(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        dot: Dot,
        by: Option<Standing>,
    ) -> NewDot {
        let Some(number) = self.numbers.get(&(conversation, id)).copied() else { return NewDot::Known };
        self.change(number, |queue| queue.stands(number));
        let Some(entry) = self.entries.get_mut(&number) else { return NewDot::Known };
        if let Some(by) = by.filter(|by| !entry.taken_by.contains(by))
            && entry.taken_by.len() < limits::REPLICAS_OF_A_COMMAND_MAX
        {
            entry.taken_by.push(by);
        }
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
        let queue = self.queues.get(&conversation);
        let can_send = queue.is_some_and(|queue| queue.next().is_some());
        let can_repeat = queue.is_some_and(|queue| queue.next_again().is_some());
        for (ready, is_ready) in [(&mut self.ready, can_send), (&mut self.ready_again, can_repeat)] {
            if is_ready {
                ready.insert(conversation);
            } else {
                ready.remove(&conversation);
            }
        }
    }
}
