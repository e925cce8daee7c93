//! One conversation's part of the outbox: which of its commands are to be sent, in which order, and which may be under way at once.
//!
//! The naive way sends all at once. Then a refusal for the moment lets the next one overtake, and one sender's messages are shown out of order. One at a
//! time keeps the order, but costs a round trip a message (decision 0024). So messages go ahead of each other's answers, and each names the last command
//! before it that the region has not answered: the region does not take it before that one. Whatever is no message waits until all before it is answered, and is waited for.
//!
//! While another region is cut off nothing becomes stable, and all of it is sent again on each connection. What the very replica has acknowledged is *taken*, and goes behind
//! what is new to it (decision 0036). A new message names the last taken one. The last taken message is sent again next: its answer says that all before it is *kept*, since a store has what
//! stands before anything that it has. What is kept is sent again in no order, to be named with a dot, so that it is heard of once it is stable.
//!
//! What must always hold:
//! - What is new is sent in the order in which the user gave it, and a message names the last earlier command that is neither answered nor kept, or was refused while its
//!   user was out. So none is taken before an earlier one that may still be, also by a store that was put back to an old copy: nothing rests on who is held for the same replica but the order of sending.
//! - Whatever is no message goes when all before it is answered or kept. Of what is taken nothing else is sent but the last message, then what stands behind it, one by one.
//! - A region that lacks what was taken and named, or refuses it, has lost it: all is new to it, and goes in order.
//! - At most [`limits::IN_FLIGHT_OF_ONE_MAX`] are under way.
//! - While one was refused for the moment nothing is sent, so that what named it is not sent again and again.

use crate::limits;
use std::collections::{BTreeMap, BTreeSet};

/// The commands of one conversation, by their numbers in the outbox.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    all: BTreeMap<u64, Kind>,
    /// Those that the present replica has neither acknowledged before nor answered for good.
    new: BTreeSet<u64>,
    /// Those that it acknowledged on an earlier connection, and may have lost since.
    taken: BTreeSet<u64>,
    /// Of what it acknowledged, that which it still has: it has said so of one behind them.
    kept: BTreeSet<u64>,
    /// Of these three, those that were sent and await an answer, each with the one that it is not to be taken before.
    in_flight: BTreeMap<u64, Option<u64>>,
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
    /// It is sent alone, when all before it is answered or kept.
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
        self.new.contains(&number) || self.is_repeated(number)
    }

    /// Whether it is sent again to the replica that has acknowledged it.
    pub(crate) fn is_repeated(&self, number: u64) -> bool {
        self.taken.contains(&number) || self.kept.contains(&number)
    }

    /// How many are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Adds a command at the end.
    pub(crate) fn push(&mut self, number: u64, kind: Kind) {
        self.all.insert(number, kind);
        self.new.insert(number);
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.answered(number);
        self.all.remove(&number);
        self.refused.remove(&number);
    }

    /// On a new connection everything is to be sent again, to a replica that has acknowledged these.
    pub(crate) fn send_all_again(&mut self, has_taken: impl Fn(u64) -> bool) {
        let unanswered = self.new.len() + self.taken.len() + self.kept.len();
        if unanswered != self.all.len() || !self.in_flight.is_empty() {
            crate::sometimes::SENT_AGAIN.reach();
        }
        (self.taken, self.new) = self.all.keys().copied().partition(|number| has_taken(*number));
        self.kept.clear();
        self.in_flight.clear();
        self.held = false;
        self.refused.clear();
    }

    /// What is new and can be sent now.
    pub(crate) fn next(&self) -> Option<u64> {
        let number = self.first_waiting(&self.new).filter(|_| !self.held)?;
        let can_go = if self.is_message(number) {
            let mut others = self.in_flight.keys().filter(|other| !self.is_message(**other));
            self.in_flight.len() < limits::IN_FLIGHT_OF_ONE_MAX
                && others.all(|other| self.is_repeated(*other))
        } else {
            self.is_alone() && self.taken.range(..number).next().is_none()
        };
        can_go.then_some(number)
    }

    /// What can be sent again now to the replica that has acknowledged it, if nothing new can be sent.
    pub(crate) fn next_again(&self) -> Option<u64> {
        if self.held || self.in_flight.len() >= limits::IN_FLIGHT_OF_ONE_MAX {
            return None;
        }
        let last = self.taken.iter().rev().find(|number| self.is_message(**number));
        let asks = match last {
            Some(last) => Some(last).filter(|last| !self.in_flight.contains_key(last)),
            None => self.taken.first().filter(|_| self.is_alone()),
        };
        asks.copied().or_else(|| self.first_waiting(&self.kept))
    }

    fn first_waiting(&self, of: &BTreeSet<u64>) -> Option<u64> {
        of.iter().find(|number| !self.in_flight.contains_key(number)).copied()
    }

    fn is_message(&self, number: u64) -> bool {
        self.all.get(&number) == Some(&Kind::Message)
    }

    /// Whether nothing is under way whose order matters.
    fn is_alone(&self) -> bool {
        self.in_flight.keys().all(|number| self.kept.contains(number))
    }

    /// That one is sent.
    pub(crate) fn send(&mut self, number: u64) {
        if !self.in_flight.is_empty() {
            crate::sometimes::SENT_AHEAD.reach();
        }
        if self.new.contains(&number) && self.went_ahead(number) {
            crate::sometimes::SENT_BEFORE_TAKEN.reach();
        }
        self.in_flight.insert(number, self.predecessor(number));
    }

    /// The command that this one, which is under way, must not be taken before.
    pub(crate) fn named_by(&self, number: u64) -> Option<u64> {
        self.in_flight.get(&number).copied().flatten()
    }

    /// The last earlier command that is neither answered nor kept, or was refused while the user was out.
    fn predecessor(&self, number: u64) -> Option<u64> {
        let last = |of: &BTreeSet<u64>| of.range(..number).next_back().copied();
        let mut aside = self.refused.range(..number).rev();
        let out = aside.find(|(_, why)| **why == Aside::Out).map(|(earlier, _)| *earlier);
        last(&self.new).max(last(&self.taken)).max(out)
    }

    /// Whether that one, or one before it, was taken, and it is not known whether it still is: that it is refused may come of what was lost.
    pub(crate) fn went_ahead(&self, number: u64) -> bool {
        self.taken.range(..=number).next().is_some()
    }

    /// The present replica has that one now, and so whatever it has ever acknowledged before it.
    pub(crate) fn stands(&mut self, number: u64) {
        let later = self.taken.split_off(&(number + 1));
        if !self.taken.is_empty() {
            crate::sometimes::STILL_THERE.reach();
        }
        self.kept.append(&mut self.taken);
        self.taken = later;
    }

    /// The present region has answered that one for good, whichever way.
    pub(crate) fn answered(&mut self, number: u64) {
        for unanswered in [&mut self.new, &mut self.taken, &mut self.kept] {
            unanswered.remove(&number);
        }
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
        let named = self.in_flight.remove(&number).flatten();
        if named.is_some_and(|named| self.is_repeated(named)) {
            self.distrust();
        }
        let out = self.refused.extract_if(.., |_, why| *why == Aside::Out);
        self.new.extend(out.map(|(number, _)| number));
    }

    /// It was refused, and went ahead of what was taken: what the region says of it counts when all before it is answered or kept.
    pub(crate) fn send_in_turn(&mut self, number: u64) {
        crate::sometimes::REFUSED_EARLY.reach();
        self.in_flight.remove(&number);
        if self.taken.contains(&number) {
            self.distrust();
        } else {
            // It names nobody any more, since it is sent alone, also on later connections: rare, and a round trip.
            self.all.insert(number, Kind::Other);
        }
    }

    /// The region does not have what it acknowledged.
    fn distrust(&mut self) {
        if !self.taken.is_empty() {
            crate::sometimes::TAKEN_AND_LOST.reach();
        }
        self.new.append(&mut self.taken);
        self.new.append(&mut self.kept);
    }

    /// What waits aside is to be sent again, before anything later.
    pub(crate) fn try_refused(&mut self) {
        self.new.extend(std::mem::take(&mut self.refused).into_keys());
    }

    /// The wait is over.
    pub(crate) fn release(&mut self) {
        self.held = false;
        self.try_refused();
    }
}
