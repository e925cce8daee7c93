//! Delivered and read ticks of own messages.
//!
//! A receipt is a pair of cuts of another user's device. A message is delivered to (read by) that device when its dot, or that of any
//! duplicate of it, is covered; so a message can be ticked by a new receipt or by a newly learnt duplicate.
//!
//! A receipt's cut is causally closed, so it also covers what was said before its user was added; that user was never shown it, and it
//! does not count. A receipt can outrun the item that tells of the adding, so it waits until this client has been given all that it
//! covers, every adding that its device was given included. While one waits, what the same device confirms next is joined to a second
//! cut, so that a busy conversation cannot put off the first for ever.
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

/// Whose receipt, and of which kind.
type Key = (UserId, DeviceId, TickKind);

/// What a device has confirmed and this client has not been given yet.
#[derive(Debug, Clone)]
struct Waiting {
    /// The first cut that waits.
    oldest: Cut,
    /// All that was confirmed since, joined to it.
    newest: Cut,
}

/// The own messages of a conversation that are followed, and the receipts of others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticks {
    /// Message ids begin with their time, so the first are the oldest.
    dots: BTreeMap<MessageId, Vec<Dot>>,
    messages: BTreeMap<Dot, MessageId>,
    /// Receipts that cover nothing but what this client has been given.
    receipts: BTreeMap<Key, Cut>,
    /// Receipts that cover more.
    waiting: BTreeMap<Key, Waiting>,
    /// Who was there from the start, if the client has been shown the start.
    first_members: Option<BTreeSet<UserId>>,
    /// What may be hidden from those who were added: all that any of their adds hides, those that a leave undid too. Of several at once the region hides only what all of
    /// them do, but a device that was given the conversation under one of them has passed over what that one hid.
    hidden: BTreeMap<UserId, Cut>,
    /// Users who were there before this one: they sent receipts, and nothing that those cover told of an adding.
    elders: BTreeSet<UserId>,
    /// Users who have left and were not added again.
    gone: BTreeSet<UserId>,
    /// The beginning has been shown.
    has_begun: bool,
    /// Messages of before this user last left, which are not followed any more.
    retired: BTreeSet<MessageId>,
    /// What this user's adds hide: an own message that stands there is of before, whenever its region says so.
    before: Cut,
    /// Ticks given of users whose membership ended or was forgotten: what counts is reckoned anew then, and they are not given again.
    told: BTreeSet<Tick>,
}

impl Ticks {
    /// Whether any message is followed.
    pub(crate) fn is_following(&self) -> bool {
        !self.dots.is_empty()
    }

    /// The conversation began with these members; a duplicate of the beginning changes nothing.
    pub(crate) fn note_created(&mut self, members: &[UserId]) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let first = members.iter().copied().filter(|user| !self.gone.contains(user));
            self.first_members = Some(first.collect());
        }
    }

    /// A member was added, and is not shown what `since` covers.
    pub(crate) fn note_added(&mut self, user: UserId, since: &Cut) {
        self.keep_told(user);
        self.gone.remove(&user);
        if let Some(first) = &mut self.first_members {
            // Nobody is added who is a member: they had left, which this client may not have been shown.
            first.remove(&user);
        }
        if self.hidden.len() >= limits::RECEIPTS_MAX {
            self.forget_somebody_gone();
        }
        let room = self.hidden.len() < limits::RECEIPTS_MAX;
        match self.hidden.get_mut(&user) {
            Some(hidden) => _ = hidden.join(since),
            None if room => _ = self.hidden.insert(user, since.clone()),
            None => {}
        }
    }

    /// What was hidden from one of those who are gone makes room for who is there: it is only wanted if another add of that user turns up.
    fn forget_somebody_gone(&mut self) {
        let gone = self.hidden.keys().find(|user| self.gone.contains(user)).copied();
        if let Some(user) = gone {
            self.hidden.remove(&user);
        }
    }

    /// A duplicate of an add arrived, which hides on its own account; but a leave that was shown since undid both.
    pub(crate) fn note_added_again(&mut self, user: UserId, since: &Cut) {
        if !self.gone.contains(&user) {
            self.note_added(user, since);
        }
    }

    /// A member left. What is said while they are away stays hidden from them when they are added again, and so does what an add hid that the leave undid: their devices have passed over it.
    pub(crate) fn note_left(&mut self, user: UserId) {
        self.keep_told(user);
        if let Some(first) = &mut self.first_members {
            first.remove(&user);
        }
        self.elders.remove(&user);
        if self.gone.len() < limits::RECEIPTS_MAX {
            self.gone.insert(user);
        } else {
            self.hidden.remove(&user);
        }
    }

    /// This user left or was added again: who came and went meanwhile is not known, so nothing is known of anybody from now on, and messages
    /// of before are not followed any more: who joined meanwhile was not given them. An add says what it hides.
    pub(crate) fn forget_members(&mut self, hides: &Cut) {
        crate::sometimes::MEMBERS_FORGOTTEN.reach();
        self.before.join(hides);
        for message in self.dots.keys().copied().collect::<Vec<_>>() {
            self.retire(message);
        }
        self.first_members = None;
        self.hidden.clear();
        self.elders.clear();
        self.gone.clear();
        self.has_begun = true;
    }

    /// That message is not followed any more.
    fn retire(&mut self, message: MessageId) {
        for dot in self.dots.remove(&message).unwrap_or_default() {
            self.messages.remove(&dot);
        }
        self.retired.insert(message);
        if self.retired.len() > limits::OWN_MESSAGES_MAX {
            self.retired.pop_first();
        }
    }

    /// An own message stands in a region under this dot.
    pub(crate) fn note_dot(&mut self, message: MessageId, dot: Dot) -> Vec<Tick> {
        if self.before.covers(dot) {
            self.retire(message);
        }
        let known = self.dots.get(&message).map_or(&[][..], Vec::as_slice);
        if self.retired.contains(&message)
            || known.contains(&dot)
            || known.len() >= limits::DOTS_OF_A_MESSAGE_MAX
        {
            return Vec::new();
        }
        let newly = |((user, device, kind), cut): (&Key, &Cut)| {
            let counts = |dot: Dot| cut.covers(dot) && self.may_count(*user, dot);
            let ticked = known.iter().any(|other| counts(*other));
            let tick = Tick { message, kind: *kind, user: *user, device: *device };
            (counts(dot) && !ticked && self.is_untold(&tick)).then_some(tick)
        };
        let ticks = self.receipts.iter().filter_map(newly).collect();
        self.dots.entry(message).or_default().push(dot);
        self.messages.insert(dot, message);
        if self.dots.len() > limits::OWN_MESSAGES_MAX {
            crate::sometimes::OWN_MESSAGE_FORGOTTEN.reach();
            for dot in self.dots.pop_first().map(|(_, dots)| dots).unwrap_or_default() {
                self.messages.remove(&dot);
            }
        }
        ticks
    }

    /// Another user's device confirms all that the cut covers; it counts once that is settled ([`Self::settle`]).
    pub(crate) fn note_receipt(&mut self, user: UserId, device: DeviceId, kind: TickKind, cut: &Cut) {
        let key = (user, device, kind);
        let counted = self.receipts.get(&key);
        if counted.map_or(cut.is_empty(), |counted| cut.iter().all(|dot| counted.covers(dot))) {
            return;
        }
        let room = self.receipts.len() + self.waiting.len() < limits::RECEIPTS_MAX * 2;
        match self.waiting.get_mut(&key) {
            Some(waiting) => {
                crate::sometimes::RECEIPTS_JOINED.reach();
                waiting.newest.join(cut);
            }
            None if room || counted.is_some() => {
                _ = self.waiting.insert(key, Waiting { oldest: cut.clone(), newest: cut.clone() });
            }
            None => {}
        }
    }

    /// Lets those receipts count of which all that they cover has been given.
    pub(crate) fn settle(&mut self, is_given: impl Fn(&Cut) -> bool) -> Vec<Tick> {
        let mut settled = Vec::new();
        self.waiting.retain(|key, waiting| {
            if is_given(&waiting.newest) {
                settled.push((*key, std::mem::take(&mut waiting.newest)));
                return false;
            }
            crate::sometimes::RECEIPT_WAITS.reach();
            if is_given(&waiting.oldest) {
                settled.push((*key, std::mem::replace(&mut waiting.oldest, waiting.newest.clone())));
            }
            true
        });
        settled.into_iter().flat_map(|(key, cut)| self.count(key, &cut)).collect()
    }

    /// Joins a receipt that covers nothing but what has been given.
    fn count(&mut self, key: Key, cut: &Cut) -> Vec<Tick> {
        let (user, device, kind) = key;
        let is_known = self.hidden.contains_key(&user) || self.gone.contains(&user);
        if !is_known && self.first_members.is_none() && self.elders.insert(user) {
            crate::sometimes::ELDER.reach();
        }
        let before = self.receipts.get(&key).cloned().unwrap_or_default();
        let mut covered = BTreeSet::new();
        for dot in cut.iter().filter(|dot| !before.covers(*dot)) {
            let first = Dot { sequence: Sequence(before.get(dot.replica).0.saturating_add(1)), ..dot };
            let counting = self.messages.range(first..=dot).filter(|(dot, _)| self.may_count(user, **dot));
            covered.extend(counting.map(|(_, message)| *message));
        }
        self.receipts.entry(key).or_default().join(cut);
        let was_ticked = |message: &MessageId| {
            let ticked = |dot: &Dot| before.covers(*dot) && self.may_count(user, *dot);
            self.dots.get(message).is_some_and(|dots| dots.iter().any(ticked))
        };
        let newly = covered.into_iter().filter(|message| !was_ticked(message));
        let ticks = newly.map(|message| Tick { message, kind, user, device });
        ticks.filter(|tick| self.is_untold(tick)).collect()
    }

    /// Whether it was not given before its user left.
    fn is_untold(&self, tick: &Tick) -> bool {
        let told = self.told.contains(tick);
        if told {
            crate::sometimes::TICK_TOLD_BEFORE.reach();
        }
        !told
    }

    /// Remembers the ticks that this user's receipts have given, beyond [`limits::TOLD_MAX`] the newest messages'.
    fn keep_told(&mut self, user: UserId) {
        let mut told = std::mem::take(&mut self.told);
        let first = (user, DeviceId(0), TickKind::Delivered);
        for ((_, device, kind), cut) in self.receipts.range(first..).take_while(|((of, ..), _)| *of == user) {
            for (message, dots) in &self.dots {
                if dots.iter().any(|dot| cut.covers(*dot) && self.may_count(user, *dot)) {
                    told.insert(Tick { message: *message, kind: *kind, user, device: *device });
                }
            }
        }
        while told.len() > limits::TOLD_MAX {
            told.pop_first();
        }
        self.told = told;
    }

    /// Whether a receipt of that user can confirm that operation.
    fn may_count(&self, user: UserId, dot: Dot) -> bool {
        if self.gone.contains(&user) {
            return false;
        }
        match (self.hidden.get(&user), &self.first_members) {
            (Some(hidden), _) => !hidden.covers(dot),
            (None, Some(first)) => first.contains(&user),
            (None, None) => self.elders.contains(&user),
        }
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
        let user = UserId::new(PlacementId(1), 2);
        ticks.note_receipt(user, DeviceId(1), TickKind::Delivered, &cut);
        ticks.settle(|_| true).len()
    }

    #[test]
    fn what_was_said_while_a_member_was_away_is_not_ticked_when_they_are_back() {
        let reader = UserId::new(PlacementId(1), 2);
        for begun in [true, false] {
            let mut ticks = Ticks::default();
            if begun {
                ticks.note_created(&[reader]);
            }
            for number in 1..=3 {
                ticks.note_dot(MessageId(number.into()), dot(1, number));
            }
            assert_eq!(receipt(&mut ticks, &[dot(1, 1)]), 1);
            ticks.note_left(reader);
            assert_eq!(receipt(&mut ticks, &[dot(1, 2)]), 0, "they are not there");
            ticks.note_added(reader, &[dot(1, 2)].into_iter().collect());
            assert_eq!(receipt(&mut ticks, &[dot(1, 3)]), 1);
        }
    }

    /// Seed 600013 of `comings-and-goings`: two regions add the reader, who leaves the one of them before it has heard of the other's.
    #[test]
    fn what_an_add_hid_that_a_leave_undid_is_not_ticked_when_another_add_turns_up() {
        let reader = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_created(&[]);
        ticks.note_dot(MessageId(1), dot(3, 2));
        ticks.note_added(reader, &[dot(3, 2)].into_iter().collect());
        ticks.note_left(reader);
        assert_eq!(ticks.note_dot(MessageId(1), dot(2, 2)), []);
        ticks.note_added(reader, &[dot(2, 2)].into_iter().collect());
        // What it confirmed under the first had to wait.
        assert_eq!(receipt(&mut ticks, &[dot(2, 4), dot(3, 4)]), 0, "their device has passed over it");
        ticks.note_dot(MessageId(2), dot(3, 5));
        assert_eq!(receipt(&mut ticks, &[dot(3, 5)]), 1, "what came after is theirs");
    }

    /// A group that many have passed through: those who are gone take nobody's place.
    #[test]
    fn however_many_came_and_went_a_new_member_is_followed() {
        let mut ticks = Ticks::default();
        ticks.note_created(&[]);
        for number in 0..limits::RECEIPTS_MAX as u64 {
            let passing = UserId::new(PlacementId(1), 1_000 + number);
            ticks.note_added(passing, &[dot(1, 1)].into_iter().collect());
            ticks.note_left(passing);
        }
        let reader = UserId::new(PlacementId(1), 2);
        ticks.note_added(reader, &[dot(1, 1)].into_iter().collect());
        ticks.note_dot(MessageId(1), dot(1, 2));
        assert_eq!(receipt(&mut ticks, &[dot(1, 2)]), 1, "who is there now is ticked");
        assert!(ticks.hidden.len() <= limits::RECEIPTS_MAX, "{}", ticks.hidden.len());
    }

    /// Seed 52 of `comings-and-goings`: the author and the creator's add had moved to another region, and came again from there.
    #[test]
    fn a_duplicate_of_an_add_that_a_leave_undid_brings_nobody_back() {
        let reader = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_created(&[reader]);
        ticks.note_left(reader);
        ticks.note_dot(MessageId(1), dot(1, 5));
        ticks.note_added(reader, &[dot(1, 5)].into_iter().collect());
        assert_eq!(receipt(&mut ticks, &[dot(1, 6)]), 0, "it is hidden from them");
        ticks.note_left(reader);
        ticks.note_added_again(reader, &[dot(2, 1)].into_iter().collect());
        assert_eq!(receipt(&mut ticks, &[dot(1, 7)]), 0, "they are not there");
        assert!(!ticks.may_count(reader, dot(1, 6)));
    }

    /// Seed 369 of `a-region-joins`: its region said so only when the device was back, and who had joined meanwhile ticked it.
    #[test]
    fn what_stands_before_this_user_was_added_is_not_followed_whenever_that_is_learnt() {
        let mut ticks = Ticks::default();
        ticks.forget_members(&[dot(1, 2)].into_iter().collect());
        ticks.note_dot(MessageId(1), dot(1, 2));
        ticks.note_dot(MessageId(2), dot(2, 1));
        ticks.note_dot(MessageId(2), dot(1, 1));
        ticks.note_dot(MessageId(3), dot(1, 3));
        assert_eq!(receipt(&mut ticks, &[dot(1, 3), dot(2, 1)]), 1);
    }

    #[test]
    fn what_was_ticked_is_not_ticked_again_for_a_member_who_is_back() {
        let reader = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_created(&[reader]);
        ticks.note_dot(MessageId(1), dot(1, 1));
        assert_eq!(receipt(&mut ticks, &[dot(1, 1)]), 1);
        ticks.note_left(reader);
        ticks.note_added(reader, &Cut::new());
        assert_eq!(receipt(&mut ticks, &[dot(1, 1), dot(3, 1)]), 0, "their new region had not heard of it");
        ticks.forget_members(&Cut::new());
        assert_eq!(receipt(&mut ticks, &[dot(1, 2)]), 0);
        assert!(ticks.note_dot(MessageId(1), dot(2, 1)).is_empty());
        assert_eq!(receipt(&mut ticks, &[dot(2, 2)]), 0, "a duplicate is the same message");
    }

    #[test]
    fn who_came_and_went_while_this_user_was_away_is_a_stranger() {
        let reader = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_created(&[reader]);
        ticks.note_dot(MessageId(0), dot(1, 1));
        ticks.forget_members(&Cut::new());
        assert!(ticks.note_dot(MessageId(0), dot(1, 1)).is_empty());
        ticks.note_dot(MessageId(1), dot(1, 4));
        ticks.note_created(&[reader]);
        assert!(!ticks.may_count(reader, dot(1, 4)), "the reader may have left");
        ticks.note_added(reader, &[dot(1, 4)].into_iter().collect());
        assert_eq!(receipt(&mut ticks, &[dot(1, 9)]), 0, "it was said before they were added");
        ticks.note_dot(MessageId(2), dot(1, 8));
        assert_eq!(receipt(&mut ticks, &[dot(2, 1)]), 0);
        assert!(ticks.may_count(reader, dot(1, 8)));
    }

    #[test]
    fn a_receipt_that_came_before_the_beginning_was_shown_counts_once_it_is() {
        let reader = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_dot(MessageId(1), dot(1, 1));
        ticks.note_receipt(reader, DeviceId(1), TickKind::Delivered, &[dot(1, 1)].into_iter().collect());
        assert!(ticks.settle(|_| false).is_empty());
        ticks.note_created(&[reader]);
        assert_eq!(ticks.settle(|_| true).len(), 1);
        ticks.note_left(reader);
        ticks.note_created(&[reader]);
        assert!(!ticks.may_count(reader, dot(1, 1)), "a duplicate of the beginning brings nobody back");
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

    #[test]
    fn a_receipt_does_not_confirm_what_was_said_before_its_user_was_added() {
        let user = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_created(&[UserId::new(PlacementId(1), 1)]);
        ticks.note_dot(MessageId(1), dot(1, 4));
        ticks.note_dot(MessageId(2), dot(1, 9));
        ticks.note_receipt(user, DeviceId(1), TickKind::Delivered, &[dot(1, 9)].into_iter().collect());
        assert!(ticks.settle(|_| false).is_empty(), "the adding has not been given");
        let since: Cut = [dot(1, 7)].into_iter().collect();
        ticks.note_added(user, &since);
        let told: Vec<MessageId> = ticks.settle(|_| true).iter().map(|tick| tick.message).collect();
        assert_eq!(told, [MessageId(2)]);
        assert_eq!(ticks.note_dot(MessageId(3), dot(1, 6)).len(), 0, "hidden from them for good");
        assert_eq!(ticks.note_dot(MessageId(4), dot(1, 8)).len(), 1);
        let wider: Cut = [dot(1, 5), dot(2, 3)].into_iter().collect();
        ticks.note_added(user, &wider);
        assert_eq!(
            ticks.note_dot(MessageId(5), dot(1, 6)).len(),
            0,
            "of two adds what either hides is hidden"
        );
    }

    #[test]
    fn a_receipt_waits_until_all_that_it_covers_has_been_given() {
        let (user, since) = (UserId::new(PlacementId(1), 2), [dot(1, 7)].into_iter().collect());
        let cut: Cut = [dot(1, 9)].into_iter().collect();
        let outrun = || {
            let mut ticks = Ticks::default();
            ticks.note_dot(MessageId(1), dot(1, 4));
            ticks.note_receipt(user, DeviceId(1), TickKind::Delivered, &cut);
            assert!(ticks.settle(|covered| *covered != cut).is_empty());
            ticks
        };
        let mut elder = outrun();
        assert_eq!(elder.settle(|_| true).len(), 1, "nothing told of an adding, so they were there before");
        let mut newcomer = outrun();
        newcomer.note_added(user, &since);
        assert!(newcomer.settle(|_| true).is_empty(), "message 1 is hidden from them");
    }

    /// Seed 1 of `roaming-through-a-cut`: the add was done in two regions, and the one that hid the message came last.
    #[test]
    fn of_two_adds_the_one_that_was_not_given_yet_is_waited_for() {
        let user = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_created(&[]);
        ticks.note_dot(MessageId(1), dot(1, 4));
        ticks.note_added(user, &Cut::new());
        let cut: Cut = [dot(1, 5), dot(2, 1)].into_iter().collect();
        ticks.note_receipt(user, DeviceId(1), TickKind::Delivered, &cut);
        assert!(ticks.settle(|_| false).is_empty());
        ticks.note_added_again(user, &[dot(1, 4)].into_iter().collect());
        assert!(ticks.settle(|_| true).is_empty(), "their device was never given it");
    }

    #[test]
    fn what_is_confirmed_meanwhile_does_not_put_off_the_first() {
        let user = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_created(&[user]);
        ticks.note_dot(MessageId(1), dot(1, 1));
        ticks.note_dot(MessageId(2), dot(1, 2));
        for sequence in [1, 2, 3] {
            let cut = [dot(1, sequence)].into_iter().collect();
            ticks.note_receipt(user, DeviceId(1), TickKind::Delivered, &cut);
        }
        let given: Cut = [dot(1, 2)].into_iter().collect();
        let is_given = |cut: &Cut| cut.iter().all(|dot| given.covers(dot));
        let messages = |ticks: Vec<Tick>| ticks.iter().map(|tick| tick.message).collect::<Vec<_>>();
        assert_eq!(messages(ticks.settle(is_given)), [MessageId(1)]);
        assert!(ticks.settle(is_given).is_empty());
        assert_eq!(messages(ticks.settle(|_| true)), [MessageId(2)]);
    }
}
