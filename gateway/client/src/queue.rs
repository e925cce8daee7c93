//! One conversation's part of the outbox: which of its commands are to be sent, in which order, and which may be under way at once.
//!
//! The naive way sends all at once. Then a refusal for the moment lets the next one overtake, and one sender's messages are shown out of order. One at a
//! time keeps the order, but costs a round trip a message: who comes back over a slow line writes behind everything that is sent again
//! (decision 0024). So messages go ahead of each other's answers, and each names the last one before it that the region has not answered: the region does
//! not take it before that one. Whatever is no message waits until all before it is answered, and is waited for.
//!
//! What must always hold:
//! - Commands are sent in the order in which the user gave them, and a message names the last earlier one that is not answered, or was refused while its
//!   user was out. So none is taken before an earlier one that may still be.
//! - At most [`limits::IN_FLIGHT_OF_ONE_MAX`] are under way.
//! - While one was refused for the moment nothing is sent, so that what named it is not sent again and again.

use crate::limits;
use std::collections::{BTreeMap, BTreeSet};

/// The commands of one conversation, by their numbers in the outbox.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    all: BTreeMap<u64, Kind>,
    /// Those that the present region has not answered for good.
    to_send: BTreeSet<u64>,
    /// Of these, those that were sent and await an answer.
    in_flight: BTreeSet<u64>,
    /// A refusal for the moment: wait for the retry timer.
    held: bool,
    /// Refused by the present region for good or needless there, but acknowledged by another: they wait for the retry timer too, and hold up nothing,
    /// except that [`Aside::Out`] goes before later messages.
    refused: BTreeMap<u64, Aside>,
}

/// Whether a command can go ahead of others' answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It can name the one that it follows.
    Message,
    /// It is sent alone.
    Other,
}

/// Why a command waits aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// A message of who is not in the conversation, as the present region has it: should they be let in, the region takes no later message before it, which
    /// says that it is to stand after.
    Out,
    /// Anything else.
    InVain,
}

impl Queue {
    /// All commands, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.all.keys().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether the present region has not answered that one.
    pub(crate) fn awaits(&self, number: u64) -> bool {
        self.to_send.contains(&number)
    }

    /// How many are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Adds a command at the end.
    pub(crate) fn push(&mut self, number: u64, kind: Kind) {
        self.all.insert(number, kind);
        self.to_send.insert(number);
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.answered(number);
        self.all.remove(&number);
        self.refused.remove(&number);
    }

    /// On a new connection everything is to be sent again.
    pub(crate) fn send_all_again(&mut self) {
        if self.to_send.len() != self.all.len() || !self.in_flight.is_empty() {
            crate::sometimes::SENT_AGAIN.reach();
        }
        self.to_send = self.all.keys().copied().collect();
        self.in_flight.clear();
        self.held = false;
        self.refused.clear();
    }

    /// What can be sent now.
    pub(crate) fn next(&self) -> Option<u64> {
        let is_message = |number: &u64| self.all.get(number) == Some(&Kind::Message);
        let number = self.to_send.difference(&self.in_flight).next().filter(|_| !self.held)?;
        let alone = self.in_flight.is_empty();
        let ahead = self.in_flight.len() < limits::IN_FLIGHT_OF_ONE_MAX
            && is_message(number)
            && self.in_flight.iter().all(is_message);
        (alone || ahead).then_some(*number)
    }

    /// That one is sent.
    pub(crate) fn send(&mut self, number: u64) {
        if !self.in_flight.is_empty() {
            crate::sometimes::SENT_AHEAD.reach();
        }
        self.in_flight.insert(number);
    }

    /// The message that this one must not be taken before: the last earlier one that is not answered, or was refused while the user was out.
    pub(crate) fn predecessor(&self, number: u64) -> Option<u64> {
        let unanswered = self.to_send.range(..number).next_back().copied();
        let mut aside = self.refused.range(..number).rev();
        let out = aside.find(|(_, why)| **why == Aside::Out).map(|(earlier, _)| *earlier);
        unanswered.max(out)
    }

    /// The present region has answered that one for good, whichever way.
    pub(crate) fn answered(&mut self, number: u64) {
        self.to_send.remove(&number);
        self.in_flight.remove(&number);
    }

    /// It was refused for the moment: nothing more is sent until [`Queue::release`].
    pub(crate) fn hold(&mut self, number: u64) {
        self.in_flight.remove(&number);
        self.held = true;
    }

    /// It is sent again, changed.
    pub(crate) fn send_again(&mut self, number: u64) {
        self.in_flight.remove(&number);
    }

    /// It was refused for good, or needless, but stays: it is sent again when the wait is over.
    pub(crate) fn set_aside(&mut self, number: u64, why: Aside) {
        self.answered(number);
        self.refused.insert(number, why);
    }

    /// It was not taken, since the one that it named is not there: that one goes first, also if it waits aside. What was refused in vain is not named again: sent with it, it would
    /// be refused, and this one with it, for ever.
    pub(crate) fn would_overtake(&mut self, number: u64) {
        self.in_flight.remove(&number);
        let out = self.refused.extract_if(.., |_, why| *why == Aside::Out);
        self.to_send.extend(out.map(|(number, _)| number));
    }

    /// What waits aside is to be sent again, before anything later.
    pub(crate) fn try_refused(&mut self) {
        self.to_send.extend(std::mem::take(&mut self.refused).into_keys());
    }

    /// The wait is over.
    pub(crate) fn release(&mut self) {
        self.held = false;
        self.try_refused();
    }
}
