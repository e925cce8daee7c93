//! Delivered and read ticks of own messages.
//!
//! A receipt is a pair of cuts of another user's device. A message is delivered to (read by) that device when its dot, or that of any
//! duplicate of it, is covered; so a message can be ticked by a new receipt or by a newly learnt duplicate.
//!
//! What must always hold: one tick per message, device and kind. Cuts only grow (they are joined), so a tick never goes away.

use crate::limits;
use crdt::{Cut, DeviceId, Dot, MessageId, Sequence, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// What a device has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TickKind {
    /// It holds the message.
    Delivered,
    /// Its user has read it.
    Read,
}

/// One tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick {
    pub(crate) message: MessageId,
    pub(crate) kind: TickKind,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
}

/// The own messages of a conversation that are followed, and the receipts of others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticks {
    /// Message ids begin with their time, so the first are the oldest.
    dots: BTreeMap<MessageId, Vec<Dot>>,
    messages: BTreeMap<Dot, MessageId>,
    receipts: BTreeMap<(UserId, DeviceId, TickKind), Cut>,
}

impl Ticks {
    /// Whether any message is followed.
    pub(crate) fn is_following(&self) -> bool {
        !self.dots.is_empty()
    }

    /// An own message stands in a region under this dot.
    pub(crate) fn note_dot(&mut self, message: MessageId, dot: Dot) -> Vec<Tick> {
        let dots = self.dots.entry(message).or_default();
        if dots.contains(&dot) || dots.len() >= limits::DOTS_OF_A_MESSAGE_MAX {
            return Vec::new();
        }
        let newly = |((user, device, kind), cut): (&(UserId, DeviceId, TickKind), &Cut)| {
            let ticked = dots.iter().any(|other| cut.covers(*other));
            (cut.covers(dot) && !ticked).then_some(Tick {
                message,
                kind: *kind,
                user: *user,
                device: *device,
            })
        };
        let ticks = self.receipts.iter().filter_map(newly).collect();
        dots.push(dot);
        self.messages.insert(dot, message);
        if self.dots.len() > limits::OWN_MESSAGES_MAX {
            for dot in self.dots.pop_first().map(|(_, dots)| dots).unwrap_or_default() {
                self.messages.remove(&dot);
            }
        }
        ticks
    }

    /// Joins a receipt of another user's device.
    pub(crate) fn note_receipt(
        &mut self,
        user: UserId,
        device: DeviceId,
        kind: TickKind,
        cut: &Cut,
    ) -> Vec<Tick> {
        let key = (user, device, kind);
        if !self.receipts.contains_key(&key) && self.receipts.len() >= limits::RECEIPTS_MAX * 2 {
            return Vec::new();
        }
        let before = self.receipts.get(&key).cloned().unwrap_or_default();
        let mut covered = BTreeSet::new();
        for dot in cut.iter().filter(|dot| !before.covers(*dot)) {
            let first = Dot { sequence: Sequence(before.get(dot.replica).0.saturating_add(1)), ..dot };
            covered.extend(self.messages.range(first..=dot).map(|(_, message)| *message));
        }
        self.receipts.entry(key).or_default().join(cut);
        let was_ticked = |message: &MessageId| {
            self.dots.get(message).is_some_and(|dots| dots.iter().any(|dot| before.covers(*dot)))
        };
        let newly = covered.into_iter().filter(|message| !was_ticked(message));
        newly.map(|message| Tick { message, kind, user, device }).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crdt::PlacementId;

    fn dot(region: u16, sequence: u64) -> Dot {
        format!("r{region}.0000000000000001:{sequence}").parse().unwrap()
    }

    fn receipt(ticks: &mut Ticks, dots: &[Dot]) -> usize {
        let cut = dots.iter().copied().collect();
        ticks.note_receipt(UserId::new(PlacementId(1), 2), DeviceId(1), TickKind::Delivered, &cut).len()
    }

    #[test]
    fn a_message_is_ticked_once_by_whichever_duplicate_is_covered_first() {
        let mut ticks = Ticks::default();
        ticks.note_dot(MessageId(1), dot(1, 4));
        ticks.note_dot(MessageId(1), dot(2, 7));
        assert_eq!(receipt(&mut ticks, &[dot(1, 3), dot(2, 6)]), 0);
        assert_eq!(receipt(&mut ticks, &[dot(2, 7)]), 1);
        assert_eq!(receipt(&mut ticks, &[dot(1, 4), dot(2, 9)]), 0);
    }

    #[test]
    fn a_receipt_that_came_before_the_dot_was_known_ticks_when_it_becomes_known() {
        let mut ticks = Ticks::default();
        assert_eq!(receipt(&mut ticks, &[dot(1, 9)]), 0);
        assert_eq!(ticks.note_dot(MessageId(1), dot(1, 4)).len(), 1);
        assert_eq!(ticks.note_dot(MessageId(1), dot(1, 5)).len(), 0);
        assert_eq!(receipt(&mut ticks, &[dot(1, 10)]), 0);
    }

    #[test]
    fn one_receipt_ticks_all_it_newly_covers_and_nothing_twice() {
        let mut ticks = Ticks::default();
        for number in 1..=5 {
            ticks.note_dot(MessageId(number.into()), dot(1, number));
        }
        assert_eq!(receipt(&mut ticks, &[dot(1, 3)]), 3);
        assert_eq!(receipt(&mut ticks, &[dot(1, 2)]), 0);
        assert_eq!(receipt(&mut ticks, &[dot(1, 5)]), 2);
    }
}
