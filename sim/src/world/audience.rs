//! Who among a region's sessions is to be told of what: by conversation, by user, and for ticks by partition too.
//!
//! A region of twenty thousand devices has a change for a handful of them a thousand times a second: looking through all of them each time would
//! be all that a world does.
//!
//! What must always hold: it names exactly the sessions that have asked and are still there, in the order of their connections.

use crate::world::queue::LineId;
use crdt::{ConversationId, PartitionId, UserId};
use std::collections::BTreeSet;

/// Who has asked for what.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    subscribed: BTreeSet<(ConversationId, LineId)>,
    ticks: BTreeSet<(PartitionId, LineId, ConversationId)>,
    ticks_of: BTreeSet<(ConversationId, LineId)>,
    watching: BTreeSet<(UserId, LineId)>,
}

impl Audience {
    /// A session is to be told what is said in a conversation, or is no longer.
    pub(crate) fn subscribe(&mut self, line: LineId, conversation: ConversationId, on: bool) {
        set(&mut self.subscribed, (conversation, line), on);
    }

    /// A session is to be told how far a conversation's messages have come, or is no longer.
    pub(crate) fn watch_ticks(&mut self, line: LineId, conversation: ConversationId, on: bool) {
        set(&mut self.ticks, (conversation.partition(), line, conversation), on);
        set(&mut self.ticks_of, (conversation, line), on);
    }

    /// A session is to be told which conversations its user is in, or is no longer.
    pub(crate) fn watch_user(&mut self, line: LineId, user: UserId, on: bool) {
        set(&mut self.watching, (user, line), on);
    }

    /// Who is told what is said there.
    pub(crate) fn of(&self, conversation: ConversationId) -> Vec<LineId> {
        lines(&self.subscribed, conversation)
    }

    /// Who is told of receipts there.
    pub(crate) fn of_ticks(&self, conversation: ConversationId) -> Vec<LineId> {
        lines(&self.ticks_of, conversation)
    }

    /// Who is told of that user's memberships.
    pub(crate) fn of_user(&self, user: UserId) -> Vec<LineId> {
        lines(&self.watching, user)
    }

    /// Who is told what of a partition is stable.
    pub(crate) fn of_partition(&self, partition: PartitionId) -> Vec<LineId> {
        let (first, last) = (ConversationId(0), ConversationId(u128::MAX));
        let range = (partition, LineId(0), first)..=(partition, LineId(u64::MAX), last);
        let mut lines: Vec<LineId> = self.ticks.range(range).map(|(_, line, _)| *line).collect();
        lines.dedup();
        lines
    }
}

fn set<T: Ord>(among: &mut BTreeSet<T>, one: T, on: bool) {
    if on {
        among.insert(one);
    } else {
        among.remove(&one);
    }
}

fn lines<T: Ord + Copy>(among: &BTreeSet<(T, LineId)>, of: T) -> Vec<LineId> {
    among.range((of, LineId(0))..=(of, LineId(u64::MAX))).map(|(_, line)| *line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::PlacementId;

    #[test]
    fn who_has_asked_is_told_once_and_in_order_until_it_asks_no_more() {
        let mut audience = Audience::default();
        let [one, other] = [1, 2].map(|number| ConversationId::group(PlacementId(1), number));
        for line in [LineId(3), LineId(1)] {
            audience.subscribe(line, one, true);
            audience.watch_ticks(line, one, true);
        }
        audience.watch_ticks(LineId(1), one, true);
        audience.watch_ticks(LineId(2), other, true);
        audience.watch_user(LineId(1), UserId(7), true);
        assert_eq!(audience.of(one), [LineId(1), LineId(3)]);
        assert_eq!(audience.of(other), []);
        assert_eq!(audience.of_ticks(other), [LineId(2)]);
        assert_eq!(audience.of_partition(one.partition()), [LineId(1), LineId(3)]);
        assert_eq!(audience.of_user(UserId(7)), [LineId(1)]);
        audience.subscribe(LineId(1), one, false);
        audience.watch_ticks(LineId(3), one, false);
        audience.watch_user(LineId(1), UserId(7), false);
        assert_eq!(audience.of(one), [LineId(3)]);
        assert_eq!((audience.of_ticks(one), audience.of_user(UserId(7))), (vec![LineId(1)], vec![]));
    }
}
