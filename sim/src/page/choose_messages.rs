//! Which messages a page shows, when there were more than it can hold.
//!
//! What must always hold: those that waited longest are among them, for they are what people look for; the others are spread evenly over the run.

use super::recording::Message;
use crate::limits::{MESSAGES_DRAWN_MAX, SLOWEST_DRAWN_MAX};
use crdt::MessageId;
use std::collections::BTreeSet;

/// The messages to show, by the time they were posted.
pub(crate) fn choose_messages(mut all: Vec<&Message>, now: u64) -> Vec<Message> {
    all.sort_by_key(|message| (message.posted_us, message.id));
    if all.len() <= MESSAGES_DRAWN_MAX {
        return all.into_iter().cloned().collect();
    }
    let slow = slowest(all.iter().copied(), now, SLOWEST_DRAWN_MAX);
    let (room, count) = (MESSAGES_DRAWN_MAX - slow.len(), all.len() - slow.len());
    let mut others = 0;
    all.retain(|message| {
        if slow.contains(&message.id) {
            return true;
        }
        others += 1;
        others * room / count > (others - 1) * room / count
    });
    all.into_iter().cloned().collect()
}

/// The messages that waited longest, for their devices or, while not all regions are known to have them, up to now.
pub(super) fn slowest<'a>(
    messages: impl Iterator<Item = &'a Message>,
    now: u64,
    most: usize,
) -> BTreeSet<MessageId> {
    let waited = |message: &Message| {
        let shown = message.shown.iter().map(|showing| showing.at_us);
        let last = if message.stable_us.is_some() { shown.max().unwrap_or(message.posted_us) } else { now };
        last.saturating_sub(message.posted_us)
    };
    let mut waits: Vec<(u64, MessageId)> = messages.map(|message| (waited(message), message.id)).collect();
    waits.sort_unstable_by(|one, other| other.cmp(one));
    waits.into_iter().take(most).map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::planted::recording;

    #[test]
    fn of_many_messages_as_many_as_fit_are_shown_and_the_slowest_of_all_is_among_them() {
        let some = recording();
        let mut all: Vec<Message> = (0..5_000_u32)
            .map(|number| Message {
                id: MessageId(u128::from(number) + 10),
                posted_us: u64::from(number) * 1_000_000,
                shown: vec![],
                ..some.messages[0].clone()
            })
            .collect();
        all[3_333].shown = some.messages[0].shown.clone();
        all[3_333].shown[0].at_us = all[3_333].posted_us + 40_000_000;
        let chosen = choose_messages(all.iter().collect(), 0);
        assert_eq!(chosen.len(), MESSAGES_DRAWN_MAX);
        assert!(chosen.iter().any(|message| message.id == all[3_333].id));
        let longest = chosen.windows(2).map(|pair| pair[1].posted_us - pair[0].posted_us).max();
        assert!(longest <= Some(8_000_000), "a hole of {longest:?}");
    }
}
