//! Delivered and read ticks of own messages.
//!
//! A receipt is a pair of cuts of another user's device. A message is delivered to (read by) that device when its dot, or that of any
//! duplicate of it, is covered; so a message can be ticked by a new receipt or by a newly learnt duplicate.
//!
//! A receipt's cut is causally closed, so it also covers what was said before its user was added; that user was never shown it, and it
//! does not count. A receipt can outrun the item that tells of the adding, so a stranger's receipt waits: where the client was shown
//! the conversation's beginning, for that item; else until it has been given all that the receipt covers, the adding included.
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
    /// Who was there from the start, if the client has been shown the start.
    first_members: Option<BTreeSet<UserId>>,
    /// What may be hidden from those who were added: all that any of their adds hides. Of several at once the region hides only what all of
    /// them do, but a device that was given the conversation under one of them has passed over what that one hid.
    hidden: BTreeMap<UserId, Cut>,
    /// Users of whom nothing is known but a receipt, with its cut; their receipts do not count yet.
    strangers: BTreeMap<UserId, Cut>,
    /// Former strangers who turned out to have been there before this user.
    elders: BTreeSet<UserId>,
    /// Users who have left and were not added again.
    gone: BTreeSet<UserId>,
    /// The beginning has been shown.
    has_begun: bool,
    /// Messages of before this user last left, which are not followed any more.
    retired: BTreeSet<MessageId>,
    /// Ticks given of users whose membership ended or was forgotten: what counts is reckoned anew then, and they are not given again.
    told: BTreeSet<Tick>,
}

impl Ticks {
    /// Whether any message is followed.
    pub(crate) fn is_following(&self) -> bool {
        !self.dots.is_empty()
    }

    /// The conversation began with these members. Receipts that were here before count now; a duplicate of the beginning changes nothing.
    pub(crate) fn note_created(&mut self, members: &[UserId]) -> Vec<Tick> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Vec::new();
        }
        let before = self.clone_memberships();
        let first: BTreeSet<UserId> =
            members.iter().copied().filter(|user| !self.gone.contains(user)).collect();
        self.strangers.retain(|user, _| !first.contains(user));
        self.first_members = Some(first.clone());
        first.into_iter().flat_map(|user| self.gained(user, &before)).collect()
    }

    /// A member was added, and is not shown what `since` covers.
    pub(crate) fn note_added(&mut self, user: UserId, since: &Cut) -> Vec<Tick> {
        let before = self.clone_memberships();
        self.gone.remove(&user);
        self.keep_told(user);
        if let Some(first) = &mut self.first_members {
            // Nobody is added who is a member: they had left, which this client may not have been shown.
            first.remove(&user);
        }
        let room = self.hidden.len() < limits::RECEIPTS_MAX;
        match self.hidden.get_mut(&user) {
            Some(hidden) => _ = hidden.join(since),
            None if room => _ = self.hidden.insert(user, since.clone()),
            None => return Vec::new(),
        }
        self.strangers.remove(&user);
        self.gained(user, &before)
    }

    /// A duplicate of an add arrived, which hides on its own account; but a leave that was shown since undid both.
    pub(crate) fn note_added_again(&mut self, user: UserId, since: &Cut) -> Vec<Tick> {
        if self.gone.contains(&user) { Vec::new() } else { self.note_added(user, since) }
    }

    /// A member left. What is said while they are away stays hidden from them when they are added again, so what they were before does not count any more.
    pub(crate) fn note_left(&mut self, user: UserId) {
        self.keep_told(user);
        if let Some(first) = &mut self.first_members {
            first.remove(&user);
        }
        self.hidden.remove(&user);
        self.elders.remove(&user);
        self.strangers.remove(&user);
        if self.gone.len() < limits::RECEIPTS_MAX {
            self.gone.insert(user);
        }
    }

    /// This user left or was added again: who came and went meanwhile is not known, so everybody is a stranger from now on, and messages
    /// of before are not followed any more: who joined meanwhile was not given them.
    pub(crate) fn forget_members(&mut self) {
        crate::sometimes::MEMBERS_FORGOTTEN.reach();
        self.messages.clear();
        self.retired.extend(std::mem::take(&mut self.dots).into_keys());
        while self.retired.len() > limits::OWN_MESSAGES_MAX {
            self.retired.pop_first();
        }
        self.first_members = None;
        self.hidden.clear();
        self.elders.clear();
        self.strangers.clear();
        self.gone.clear();
        self.has_begun = true;
    }

    /// Lets the receipts count of those strangers for whom all that their receipt covered has been given.
    pub(crate) fn vet(&mut self, is_given: impl Fn(&Cut) -> bool) -> Vec<Tick> {
        let vetted: Vec<UserId> =
            self.strangers.iter().filter(|(_, cut)| is_given(cut)).map(|(user, _)| *user).collect();
        let mut ticks = Vec::new();
        for user in vetted {
            crate::sometimes::STRANGER_COUNTS.reach();
            let before = self.clone_memberships();
            self.strangers.remove(&user);
            self.elders.insert(user);
            ticks.extend(self.gained(user, &before));
        }
        ticks
    }

    /// Remembers the ticks that this user's receipts have given, beyond [`limits::TOLD_MAX`] the newest messages'.
    fn keep_told(&mut self, user: UserId) {
        let mut told = std::mem::take(&mut self.told);
        told.extend(self.gained(user, &Self::default()));
        while told.len() > limits::TOLD_MAX {
            told.pop_first();
        }
        self.told = told;
    }

    /// The ticks that this user's receipts give now and did not give before.
    fn gained(&self, user: UserId, before: &Self) -> Vec<Tick> {
        let mut ticks = Vec::new();
        for ((of, device, kind), cut) in self.receipts.range((user, DeviceId(0), TickKind::Delivered)..) {
            if *of != user {
                break;
            }
            for (message, dots) in &self.dots {
                let counts = dots.iter().any(|dot| cut.covers(*dot) && self.may_count(user, *dot));
                let counted = dots.iter().any(|dot| cut.covers(*dot) && before.may_count(user, *dot));
                let tick = Tick { message: *message, kind: *kind, user, device: *device };
                if counts && !counted {
                    if self.told.contains(&tick) {
                        crate::sometimes::TICK_TOLD_BEFORE.reach();
                    } else {
                        ticks.push(tick);
                    }
                }
            }
        }
        ticks
    }

    /// What is known of members, without the rest.
    fn clone_memberships(&self) -> Self {
        let (first_members, hidden) = (self.first_members.clone(), self.hidden.clone());
        Self { first_members, hidden, elders: self.elders.clone(), ..Self::default() }
    }

    /// Whether a receipt of that user can confirm that operation.
    fn may_count(&self, user: UserId, dot: Dot) -> bool {
        match (self.hidden.get(&user), &self.first_members) {
            (Some(hidden), _) => !hidden.covers(dot),
            (None, Some(first)) => first.contains(&user),
            (None, None) => self.elders.contains(&user),
        }
    }

    /// An own message stands in a region under this dot.
    pub(crate) fn note_dot(&mut self, message: MessageId, dot: Dot) -> Vec<Tick> {
        let known = self.dots.get(&message).map_or(&[][..], Vec::as_slice);
        if self.retired.contains(&message)
            || known.contains(&dot)
            || known.len() >= limits::DOTS_OF_A_MESSAGE_MAX
        {
            return Vec::new();
        }
        let newly = |((user, device, kind), cut): (&(UserId, DeviceId, TickKind), &Cut)| {
            let counts = |dot: Dot| cut.covers(dot) && self.may_count(*user, dot);
            let ticked = known.iter().any(|other| counts(*other));
            let tick = Tick { message, kind: *kind, user: *user, device: *device };
            (counts(dot) && !ticked && !self.told.contains(&tick)).then_some(tick)
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
        let is_known =
            self.hidden.contains_key(&user) || self.elders.contains(&user) || self.gone.contains(&user);
        if !is_known && self.first_members.is_none() && !cut.is_empty() {
            crate::sometimes::STRANGER.reach();
            self.strangers.entry(user).or_insert_with(|| cut.clone());
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
        ticks.filter(|tick| !self.told.contains(tick)).collect()
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
        let told = ticks.note_receipt(user, DeviceId(1), TickKind::Delivered, &cut).len();
        told + ticks.vet(|_| true).len()
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
            assert!(ticks.note_added(reader, &[dot(1, 2)].into_iter().collect()).is_empty());
            assert_eq!(receipt(&mut ticks, &[dot(1, 3)]), 1);
        }
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
        let ticked = ticks.note_added_again(reader, &[dot(2, 1)].into_iter().collect());
        assert_eq!(ticked, [], "they are not there");
    }

    #[test]
    fn what_was_ticked_is_not_ticked_again_for_a_member_who_is_back() {
        let reader = UserId::new(PlacementId(1), 2);
        let mut ticks = Ticks::default();
        ticks.note_created(&[reader]);
        ticks.note_dot(MessageId(1), dot(1, 1));
        assert_eq!(receipt(&mut ticks, &[dot(1, 1)]), 1);
        ticks.note_left(reader);
        assert!(ticks.note_added(reader, &Cut::new()).is_empty(), "their new region had not heard of it");
        ticks.forget_members();
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
        ticks.forget_members();
        assert!(ticks.note_dot(MessageId(0), dot(1, 1)).is_empty());
        ticks.note_dot(MessageId(1), dot(1, 4));
        ticks.note_created(&[reader]);
        assert!(!ticks.may_count(reader, dot(1, 4)), "the reader may have left");
        assert!(ticks.note_added(reader, &[dot(1, 4)].into_iter().collect()).is_empty());
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
        let cut = [dot(1, 1)].into_iter().collect();
        assert!(ticks.note_receipt(reader, DeviceId(1), TickKind::Delivered, &cut).is_empty());
        assert_eq!(ticks.note_created(&[reader]).len(), 1);
        ticks.note_left(reader);
        assert!(ticks.note_created(&[reader]).is_empty());
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
        assert_eq!(receipt(&mut ticks, &[dot(1, 9)]), 0, "a stranger's receipt waits");
        let since: Cut = [dot(1, 7)].into_iter().collect();
        let told: Vec<MessageId> = ticks.note_added(user, &since).iter().map(|tick| tick.message).collect();
        assert_eq!(told, [MessageId(2)]);
        assert_eq!(ticks.note_dot(MessageId(3), dot(1, 6)).len(), 0, "hidden from them for good");
        assert_eq!(ticks.note_dot(MessageId(4), dot(1, 8)).len(), 1);
        let wider: Cut = [dot(1, 5), dot(2, 3)].into_iter().collect();
        assert!(ticks.note_added(user, &wider).is_empty());
        assert_eq!(
            ticks.note_dot(MessageId(5), dot(1, 6)).len(),
            0,
            "of two adds what either hides is hidden"
        );
    }

    #[test]
    fn a_strangers_receipt_waits_until_all_that_it_covers_has_been_given() {
        let (user, since) = (UserId::new(PlacementId(1), 2), [dot(1, 7)].into_iter().collect());
        let cut: Cut = [dot(1, 9)].into_iter().collect();
        let outrun = || {
            let mut ticks = Ticks::default();
            ticks.note_dot(MessageId(1), dot(1, 4));
            assert!(ticks.note_receipt(user, DeviceId(1), TickKind::Delivered, &cut).is_empty());
            assert!(ticks.vet(|covered| *covered != cut).is_empty());
            ticks
        };
        let mut elder = outrun();
        assert_eq!(elder.vet(|_| true).len(), 1, "nothing told of an adding, so they were there before");
        let mut newcomer = outrun();
        assert!(newcomer.note_added(user, &since).is_empty());
        assert!(newcomer.vet(|_| true).is_empty(), "message 1 is hidden from them");
    }
}
