//! Folding: what nothing can be concurrent with any more is kept as its outcome alone.
//!
//! Without it a roster would grow for ever, and every change would weigh all before it. Stability alone is not enough to fold on: an unstable
//! operation that is here already may be concurrent with a stable one and change its verdict (165 of 6,000 random histories). What must always hold:
//! - What is folded is stable, and every operation outside, here or still to come, was made on all of it. So no verdict on
//!   what is folded can change, and who has folded it holds the same standings as who has not.
//! - A right to a member's place is released once: when an add is folded that does not hold its user's place, or when what
//!   ended its holding is. As long as its user's add or a grant of theirs lives, one add holds one right.
//!
//! Cost: an evaluation of what is unfolded.

use super::evaluate::{Evaluation, standings};
use super::judge::Judged;
use super::{Action, Roster, Unfolded};
use crate::canonical::{Decoder, Encoder, MalformedState};
use crate::id::{Dot, UserId};
use crate::timeline::Place;
use crate::version_vector::Cut;
use std::collections::BTreeSet;

/// A right to one member's place: it belongs to the replica that spent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The add that spent it, or the creation.
    pub dot: Dot,
    /// The member.
    pub user: UserId,
}

impl Roster {
    /// Folds what can be. `stable` must cover only operations that every active region has acknowledged, as `replication` tells. Returns the
    /// rights that no member's place is held by any more, each once in a roster's life, sorted.
    pub fn fold(&mut self, stable: &Cut) -> Vec<Right> {
        let count = self.foldable(stable);
        let window: Vec<&Unfolded> = self.unfolded.values().take(count).collect();
        let Some(last) = window.last() else { return Vec::new() };
        crate::sometimes::ROSTER_FOLDED.reach();
        let highest = last.operation.place.hlc;
        let evaluation = Evaluation::of(&self.folded, &window);
        let mut released = Vec::new();
        let mut outcomes = Vec::new();
        for user in evaluation.users() {
            let before = self.folded.users.get(&user).and_then(|standing| standing.right());
            let after = evaluation.standing(user);
            let held: BTreeSet<Place> = evaluation.spent(user).chain(before).collect();
            let free = held.into_iter().filter(|place| Some(*place) != after.right());
            released.extend(free.map(|place| Right { dot: place.dot, user }));
            outcomes.push((user, after));
        }
        released.sort_unstable();
        let dots: Vec<Dot> = window.iter().map(|unfolded| unfolded.operation.dot()).collect();
        let generations = window.iter().filter_map(|unfolded| match unfolded.judged {
            Judged::Claim { generation, .. } => Some(generation),
            Judged::Void | Judged::Plain | Judged::Add(_) | Judged::Promote(_) => None,
        });
        let generation = generations.fold(self.folded.generation, u32::max);
        let create = |it: &&&Unfolded| matches!(it.operation.change.action, Action::Create { .. });
        let creation = window.iter().find(create).map(|unfolded| unfolded.operation.dot());

        self.folded.creation = self.folded.creation.or(creation);
        self.folded.generation = generation;
        self.folded.highest = highest;
        for dot in dots {
            self.folded.dots.raise(dot);
        }
        for (user, after) in outcomes {
            if after.is_member() {
                self.folded.users.insert(user, after);
            } else {
                self.folded.users.remove(&user);
            }
        }
        for _ in 0..count {
            self.unfolded.pop_first();
        }
        self.summarise();
        released
    }

    /// How many of the first operations can be folded.
    fn foldable(&self, stable: &Cut) -> usize {
        let operations: Vec<&Unfolded> = self.unfolded.values().collect();
        let is_stable = |unfolded: &&&Unfolded| stable.covers(unfolded.operation.dot());
        let mut count = operations.iter().take_while(is_stable).count();
        // What all outside have seen; whatever one of them has not seen goes outside too, with all that came later.
        let mut seen: Option<Cut> = None;
        let mut outside = count..operations.len();
        loop {
            for unfolded in operations.get(outside).into_iter().flatten() {
                let cut = &unfolded.operation.change.cut;
                seen = Some(seen.map_or_else(|| cut.clone(), |seen| seen.meet(cut)));
            }
            let unseen = |unfolded: &&Unfolded| {
                seen.as_ref().is_some_and(|seen| !seen.covers(unfolded.operation.dot()))
            };
            match operations.iter().take(count).position(unseen) {
                None => return count,
                Some(first) => {
                    outside = first..count;
                    count = first;
                }
            }
        }
    }

    /// Makes anew what follows from the unfolded operations.
    pub(super) fn summarise(&mut self) {
        let window: Vec<&Unfolded> = self.unfolded.values().collect();
        self.dots = window.iter().map(|unfolded| unfolded.operation.dot()).collect();
        let mut claimed = Cut::new();
        for unfolded in &window {
            claimed.join(&unfolded.operation.change.cut);
        }
        self.claimed = claimed;
        self.changed = standings(&self.folded, &window);
    }
}

impl Right {
    pub(crate) fn write(self, encoder: &mut Encoder) {
        encoder.dot(self.dot);
        encoder.user(self.user);
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Result<Self, MalformedState> {
        Ok(Self { dot: decoder.dot()?, user: decoder.user()? })
    }
}
