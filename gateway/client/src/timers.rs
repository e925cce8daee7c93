//! The client's timers: a closed set, each with one deadline at a time.
//!
//! | timer | when it fires |
//! | --- | --- |
//! | `Reconnect` | the line tries to connect again |
//! | `Welcome` | connecting took too long: the attempt counts as failed |
//! | `Heartbeat` | nothing was sent for a while: a ping goes out |
//! | `Silence` | nothing was heard for three heartbeats: the connection is dead |
//! | `Sync` | a sync that was refused for the moment goes out again |
//! | `Acknowledge` | what was delivered of the conversation is acknowledged |
//! | `Retry` | the conversation's outbox, held up by a refusal for the moment, goes on |
//!
//! What must always hold: the driver needs to know one deadline, the earliest; firing early or late changes nothing but time.

use crate::line::LineKey;
use crdt::{ConversationId, Now};
use std::collections::{BTreeMap, BTreeSet};

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The line tries to connect again.
    Reconnect(LineKey),
    /// Connecting took too long.
    Welcome(LineKey),
    /// A ping goes out.
    Heartbeat(LineKey),
    /// The connection is dead.
    Silence(LineKey),
    /// A sync goes out again.
    Sync(LineKey),
    /// What was delivered is acknowledged.
    Acknowledge(ConversationId),
    /// The conversation's outbox goes on.
    Retry(ConversationId),
}

/// All deadlines, by timer and by time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers {
    at: BTreeMap<Timer, Now>,
    order: BTreeSet<(Now, Timer)>,
}

impl Timers {
    /// Sets a timer, in place of what it was set to.
    pub(crate) fn set(&mut self, timer: Timer, at: Now) {
        self.cancel(timer);
        self.at.insert(timer, at);
        self.order.insert((at, timer));
    }

    /// Sets a timer unless it is set already.
    pub(crate) fn set_if_idle(&mut self, timer: Timer, at: Now) {
        if !self.at.contains_key(&timer) {
            self.set(timer, at);
        }
    }

    /// Forgets a timer.
    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.at.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    /// The earliest deadline.
    pub(crate) fn deadline(&self) -> Option<Now> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now: Now) -> Option<Timer> {
        let (_, timer) = *self.order.first().filter(|(at, _)| *at <= now)?;
        self.cancel(timer);
        Some(timer)
    }

    /// All of them, for the state printer.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Now, Timer)> + '_ {
        self.order.iter().copied()
    }
}
