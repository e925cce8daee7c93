//! What waits for one session: events in order, bounded.
//!
//! What must always hold: whoever puts something in never waits. At the limit everything is dropped until the session has taken what was
//! there; it is then told once that it missed something, after the last event that it got and before the next.

use crate::limits;
use crdt::{ConversationId, Cut, DeviceId, Identity, PartitionId, UserId, VersionVector};
use gateway::input::Redirect;
use gateway::{Input, SharedDelivery};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Something for a session, shared with the others that get it.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A conversation changed.
    Changed(Arc<SharedDelivery>),
    /// The session's user became, or ceased to be, a member.
    Membership { conversation: ConversationId, member: bool },
    /// The session's user no longer sees a message.
    Hidden { conversation: ConversationId, message: Identity },
    /// A receipt grew.
    Receipt {
        conversation: ConversationId,
        user: UserId,
        device: DeviceId,
        delivered: Arc<Cut>,
        read: Arc<Cut>,
    },
    /// More is stable.
    Stable { partition: PartitionId, cut: Arc<VersionVector> },
    /// Events were dropped before this.
    Missed,
    /// The region is shutting down.
    Drain(Option<Redirect>),
}

impl Event {
    /// As the session takes it.
    pub(crate) fn into_input(self) -> Input {
        match self {
            Self::Changed(delivery) => Input::Changed(delivery),
            Self::Membership { conversation, member } => Input::Membership { conversation, member },
            Self::Hidden { conversation, message } => Input::Hidden { conversation, message },
            Self::Receipt { conversation, user, device, delivered, read } => {
                Input::Receipt { conversation, user, device, delivered, read }
            }
            Self::Stable { partition, cut } => Input::Stable { partition, cut },
            Self::Missed => Input::Missed,
            Self::Drain(redirect) => Input::Drain(redirect),
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    overflowed: bool,
}

/// The inbox of one session.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

impl Inbox {
    /// Puts an event in, or drops it. Tells whether it was the first one dropped.
    pub(crate) fn put(&self, event: Event) -> bool {
        let first_dropped = {
            // A poisoned lock means a panic while moving plain values; they are whole.
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let full = waiting.events.len() >= limits::INBOX_EVENTS_MAX;
            let drained = matches!(event, Event::Drain(_));
            if !waiting.overflowed && !full || drained {
                waiting.events.push_back(event);
                false
            } else {
                !std::mem::replace(&mut waiting.overflowed, true)
            }
        };
        self.filled.notify_one();
        first_dropped
    }

    /// Everything there is, in order.
    pub(crate) fn take(&self) -> VecDeque<Event> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = std::mem::take(&mut waiting.events);
        if std::mem::take(&mut waiting.overflowed) {
            events.push_back(Event::Missed);
        }
        events
    }

    /// Waits until something may be there.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u128) -> Event {
        Event::Membership { conversation: ConversationId(number), member: true }
    }

    #[test]
    fn at_the_limit_events_are_dropped_until_taken_and_the_session_is_told_once() {
        let inbox = Inbox::default();
        let dropped = (0..limits::INBOX_EVENTS_MAX as u128 + 10).filter(|n| inbox.put(event(*n))).count();
        assert_eq!(dropped, 1, "only the first drop is reported");
        let taken = inbox.take();
        assert_eq!(taken.len(), limits::INBOX_EVENTS_MAX + 1);
        assert!(matches!(taken.back(), Some(Event::Missed)));
        assert!(!inbox.put(event(0)));
        assert_eq!(inbox.take().len(), 1);
    }
}
