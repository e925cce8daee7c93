//! The mark of promise 4: a message whose author had seen what this device has not been given yet.
//!
//! A device that leaves a cut-off region may have seen more than its new region has. What it writes there carries what it had
//! seen, as a cut: per origin, the last operation of this conversation. The message is marked until this device has been given all
//! that the cut covers.
//!
//! How a device knows what it has been given, from the dots of delivered items alone:
//! - Items of one origin come in the order of their sequences, in every region and across moves between regions: a region applies
//!   each origin's operations in order, and a cursor names what has been given. So an item with sequence n means that every
//!   earlier operation of that origin in this conversation has been given, or is hidden from this user for good.
//! - Hidden for good is what the `since` of the user's own membership covers. It is never given, so a cut that reaches into it
//!   would stay open for ever: what `since` covers counts as given. Of several memberships at once that is what any of them
//!   hides (their join), as the region has it; a first member is hidden nothing. That a membership ended is told by the next add alone, which covers it, as no region
//!   adds whom it has as a member: who left is not given their leave, or only one that came to nothing.
//! - What is kept no longer is never given either; the region says what it has passed over, and that counts as given here, but not for receipts.
//! - Duplicates count: each has an item and a dot of its own.
//! - Pages of the past do not count: they may show a message without its causes.
//!
//! What must always hold: a mark that goes was settled. Where this device cannot tell, the mark stays.

use crate::item::{Content, Item};
use crate::limits;
use crdt::{Cut, Dot, MessageId, UserId};
use std::collections::BTreeMap;

/// What a device has been given of a conversation, and which messages are marked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    cut: Cut,
    /// What will never be given, since it is kept no longer.
    expired: Cut,
    /// What each of the user's memberships hides, by the dot that began it.
    memberships: BTreeMap<Dot, Cut>,
    marked: BTreeMap<(UserId, MessageId), Cut>,
}

impl Given {
    /// Whether an operation has been given already.
    pub(crate) fn covers(&self, dot: Dot) -> bool {
        self.cut.covers(dot)
    }

    /// What has been given.
    pub(crate) fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Marked messages, in order.
    pub(crate) fn marked(&self) -> impl Iterator<Item = (UserId, MessageId)> + '_ {
        self.marked.keys().copied()
    }

    /// Takes note of an item that is given now.
    pub(crate) fn take(&mut self, me: UserId, item: &Item) {
        self.cut.raise(item.place.dot);
        match &item.content {
            Content::Post { .. }
            | Content::Edited { .. }
            | Content::Deleted { .. }
            | Content::Withheld { .. }
            | Content::Reacted { .. }
            | Content::Withdrawn { .. }
            | Content::Promoted { .. }
            | Content::Demoted { .. }
            | Content::Claimed
            | Content::Rights
            | Content::DocumentChanged { .. } => {}
            // Who left or is removed is not given that, unless it came to nothing, or is a duplicate of what the add behind it had seen: either way they are a member.
            Content::Removed { .. } | Content::Left => {}
            Content::Created { members, .. } => {
                if members.contains(&me) {
                    self.begin_membership(item.place.dot, Cut::new());
                }
            }
            Content::Added { user, since } => {
                if *user == me {
                    self.begin_membership(item.place.dot, since.clone());
                }
            }
        }
    }

    /// The region has passed that over, since it is kept no longer.
    pub(crate) fn pass(&mut self, expired: &Cut) {
        self.expired.join(expired);
    }

    /// Whether all that the cut covers has been given, or never will be.
    pub(crate) fn settles(&self, seen: &Cut) -> bool {
        let hidden = self.hidden();
        seen.iter().all(|dot| self.cut.covers(dot) || hidden.covers(dot) || self.expired.covers(dot))
    }

    /// Marks a message, or an edit of one, until its cut is settled.
    pub(crate) fn mark(&mut self, sender: UserId, message: MessageId, seen: Cut) {
        if self.marked.len() < limits::MARKED_MAX {
            self.marked.insert((sender, message), seen);
        } else {
            crate::sometimes::MARKS_FULL.reach();
        }
    }

    /// Takes out the messages whose mark goes.
    pub(crate) fn take_settled(&mut self) -> Vec<(UserId, MessageId)> {
        if self.marked.is_empty() {
            return Vec::new();
        }
        let settled =
            |(identity, seen): (&(UserId, MessageId), &Cut)| self.settles(seen).then_some(*identity);
        let settled: Vec<(UserId, MessageId)> = self.marked.iter().filter_map(settled).collect();
        for identity in &settled {
            self.marked.remove(identity);
        }
        settled
    }

    fn begin_membership(&mut self, dot: Dot, since: Cut) {
        if self.memberships.values().any(|later| later.covers(dot)) {
            return;
        }
        self.memberships.retain(|earlier, _| !since.covers(*earlier));
        if self.memberships.len() < limits::MEMBERSHIPS_MAX {
            self.memberships.insert(dot, since);
        } else {
            crate::sometimes::MEMBERSHIP_FORGOTTEN.reach();
            // Not followed: what it hides cannot be told, so nothing counts as hidden.
            self.memberships.insert(dot, Cut::new());
            self.memberships.pop_first();
        }
    }

    fn hidden(&self) -> Cut {
        let mut hidden = Cut::new();
        for since in self.memberships.values() {
            if since.is_empty() {
                return Cut::new();
            }
            hidden.join(since);
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::item::{Became, Place};
    use crdt::{PlacementId, Timestamp};

    fn user(number: u64) -> UserId {
        UserId::new(PlacementId(1), number)
    }

    fn dot(region: u16, sequence: u64) -> Dot {
        format!("r{region}.0000000000000001:{sequence}").parse().unwrap()
    }

    fn item(sender: u64, dot: Dot, content: Content) -> Item {
        let message = MessageId(u128::from(dot.sequence.0));
        Item { sender: user(sender), message, place: Place::new(Timestamp(dot.sequence.0), dot), content }
    }

    fn post(region: u16, sequence: u64) -> Item {
        let content = Content::Post {
            body: "x".into(),
            sent_at_ms: 0,
            reply_to: None,
            seen: None,
            became: Became::default(),
        };
        item(9, dot(region, sequence), content)
    }

    fn cut(dots: &[(u16, u64)]) -> Cut {
        dots.iter().map(|(region, sequence)| dot(*region, *sequence)).collect()
    }

    #[test]
    fn the_mark_goes_only_when_the_last_cause_has_come() {
        let mut given = Given::default();
        given.mark(user(2), MessageId(7), cut(&[(1, 5), (2, 3)]));
        for cause in [post(1, 5), post(2, 2)] {
            given.take(user(1), &cause);
            assert!(given.take_settled().is_empty());
        }
        given.take(user(1), &post(2, 4));
        assert_eq!(given.take_settled(), [(user(2), MessageId(7))]);
        assert!(given.take_settled().is_empty());
    }

    #[test]
    fn what_lies_before_the_membership_is_not_waited_for() {
        let mut given = Given::default();
        let seen = cut(&[(1, 5), (2, 3)]);
        given.take(user(1), &item(2, dot(3, 1), Content::Added { user: user(1), since: cut(&[(1, 8)]) }));
        assert!(!given.settles(&seen), "(r2, 3) is still to come");
        given.take(user(1), &post(2, 3));
        assert!(given.settles(&seen));
    }

    #[test]
    fn what_is_kept_no_longer_is_not_waited_for_nor_has_it_been_given() {
        let mut given = Given::default();
        given.mark(user(2), MessageId(7), cut(&[(1, 5), (2, 3)]));
        given.take(user(1), &post(2, 3));
        given.pass(&cut(&[(1, 4)]));
        assert!(given.take_settled().is_empty(), "(r1, 5) may still come");
        given.pass(&cut(&[(1, 6)]));
        assert_eq!(given.take_settled(), [(user(2), MessageId(7))]);
        assert_eq!(given.cut(), &cut(&[(2, 3)]));
    }

    #[test]
    fn of_two_memberships_what_either_hides_counts_as_hidden() {
        let mut given = Given::default();
        given.take(user(1), &item(2, dot(3, 1), Content::Added { user: user(1), since: cut(&[(1, 8)]) }));
        given.take(user(1), &item(2, dot(4, 1), Content::Added { user: user(1), since: cut(&[(1, 2)]) }));
        assert!(given.settles(&cut(&[(1, 5)])));
        assert!(!given.settles(&cut(&[(1, 9)])));
    }

    #[test]
    fn being_added_again_ends_what_the_membership_before_the_leave_hid() {
        let mut given = Given::default();
        given.take(
            user(1),
            &item(
                2,
                dot(3, 1),
                Content::Created { members: vec![user(1)], name: String::new(), direct: false },
            ),
        );
        given.take(user(1), &item(1, dot(3, 2), Content::Left));
        let since = cut(&[(1, 8), (3, 2)]);
        given.take(user(1), &item(2, dot(3, 9), Content::Added { user: user(1), since }));
        assert!(given.settles(&cut(&[(1, 8)])), "the empty cut of the first membership no longer counts");
    }

    /// Seed 78192 of `storm-of-everything`: a leave was sent to two regions, an add had seen the one, and the other came after it.
    #[test]
    fn a_duplicate_of_a_leave_that_an_add_had_seen_ends_nothing() {
        let mut given = Given::default();
        given.take(
            user(1),
            &item(
                2,
                dot(1, 1),
                Content::Created { members: vec![user(1)], name: String::new(), direct: false },
            ),
        );
        let since = cut(&[(1, 1), (3, 1)]);
        given.take(user(1), &item(2, dot(1, 2), Content::Added { user: user(1), since }));
        given.take(user(1), &item(1, dot(4, 1), Content::Left));
        assert!(given.settles(&cut(&[(1, 2), (3, 1)])), "the leave's other duplicate is hidden for good");
    }

    /// Seed 100 of `comings-and-goings`: the mark stood for ever, since the leave was never given to whoever left.
    #[test]
    fn being_added_again_tells_of_a_leave_that_was_not_given() {
        let mut given = Given::default();
        let created = Content::Created { members: vec![user(1)], name: String::new(), direct: false };
        given.take(user(1), &item(2, dot(1, 1), created.clone()));
        let since = cut(&[(1, 1), (3, 1)]);
        given.take(user(1), &item(2, dot(1, 2), Content::Added { user: user(1), since }));
        let seen = cut(&[(1, 2), (3, 1)]);
        assert!(given.settles(&seen), "(r3, 1) is the leave, hidden for good");
        given.take(user(1), &item(2, dot(1, 1), created));
        assert!(given.settles(&seen), "what is given once more does not begin again");
    }
}
