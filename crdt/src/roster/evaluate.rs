//! Which roster operations stand, and what they make of each user: rank by rank.
//!
//! The naive ways fail: an order by time lets whoever has the later clock win; an order by seniority is cyclic when X removes m, Y demotes X
//! concurrently, and Z demotes Y after the first and concurrently with the second. What must always hold:
//! - An operation stands if the grant it was made under stands and every standing revocation of that grant comes after it: none
//!   before, none concurrent. A leave always stands.
//! - A grant is revoked by a removal or demotion of its holder that had seen it and was made under a strictly higher rank, or by the
//!   holder's leave. So a verdict at one rank needs verdicts of higher ranks alone, and the ranks are settled from the
//!   top, each once, in one way.
//! - A grant never depends on an add. So who was added by whom never decides who is an admin.
//! - Seeing one of a command's resends is seeing all of those that are concurrent with it.
//!
//! Cost: `O(w log w)` for `w` unfolded operations, times the entries of a cut; and for each user the revocations of them times
//! the grants they held. "Every standing revocation comes after" is one cut, the meet of theirs, and "some removal has seen it" their join.

use super::judge::Judged;
use super::operation::{Action, RosterOperation};
use super::standing::{Grant, Inherited, Rank, Standing};
use super::{Folded, Unfolded};
use crate::id::{Dot, UserId};
use crate::timeline::{Identity, Place};
use crate::version_vector::Cut;
use std::collections::BTreeMap;

/// A window of operations on top of a folded state, with a verdict on each.
#[derive(Debug)]
pub(super) struct Evaluation<'a> {
    folded: &'a Folded,
    operations: &'a [&'a Unfolded],
    /// Sorted, as the next: a window is indexed once and small, so a list is faster than a tree.
    by_dot: Vec<(Dot, usize)>,
    by_command: Vec<(Identity, usize)>,
    about: BTreeMap<UserId, About>,
    acting: Vec<Option<Acting>>,
    stands: Vec<bool>,
    revoked: BTreeMap<Dot, Revoked>,
}

/// The operations about one user, as indices in the order of places.
#[derive(Debug, Default)]
struct About {
    adds: Vec<usize>,
    grants: Vec<usize>,
    revocations: Vec<usize>,
    /// What the standing leaves and removals of them had seen.
    removed: Option<Cut>,
}

/// The grant an operation was made under.
#[derive(Debug, Clone, Copy)]
struct Acting {
    grant: Dot,
    rank: Rank,
    given: Given,
    /// The creation at the root of the tree.
    creation: Dot,
}

/// Where something stands that is referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// It was folded, so it stands.
    Folded,
    /// It is that operation of the window.
    Here(usize),
}

/// The standing revocations of a grant.
#[derive(Debug)]
struct Revoked {
    /// What all of them had seen.
    by_all: Cut,
    by: Vec<usize>,
}

/// When an operation is settled: by generation, then by the rank it was made under.
type Level = (u32, u64);

impl<'a> Evaluation<'a> {
    /// Settles all of them. They must come in the order of places.
    pub(super) fn of(folded: &'a Folded, operations: &'a [&'a Unfolded]) -> Self {
        let numbered = || operations.iter().map(|it| &it.operation).zip(0..);
        let mut by_dot: Vec<(Dot, usize)> = numbered().map(|(it, index)| (it.dot(), index)).collect();
        let mut by_command: Vec<(Identity, usize)> =
            numbered().map(|(it, index)| (it.identity(), index)).collect();
        by_dot.sort_unstable();
        by_command.sort_unstable();
        let mut evaluation = Self {
            folded,
            operations,
            by_dot,
            by_command,
            about: BTreeMap::new(),
            acting: Vec::with_capacity(operations.len()),
            stands: vec![false; operations.len()],
            revoked: BTreeMap::new(),
        };
        for index in 0..operations.len() {
            evaluation.index(index);
        }
        evaluation.settle();
        evaluation
    }

    /// Everybody whom an operation is about.
    pub(super) fn users(&self) -> impl Iterator<Item = UserId> + '_ {
        self.about.keys().copied()
    }

    /// What the user is after all of them.
    pub(super) fn standing(&self, user: UserId) -> Standing {
        let mut standing = self.folded.users.get(&user).cloned().unwrap_or_default();
        let Some(about) = self.about.get(&user) else { return standing };
        if about.removed.is_some() {
            standing.added = None;
        }
        standing.grants.retain(|dot, _| !self.revoked.contains_key(dot));
        for index in about.adds.iter().copied().filter(|index| self.stands[*index]) {
            if !about.removed.as_ref().is_some_and(|seen| self.has_seen(seen, index)) {
                let operation = self.operation(index);
                let first = matches!(operation.change.action, Action::Create { .. });
                standing.admit(operation.place, (!first).then(|| operation.change.cut.clone()));
            }
        }
        for index in about.grants.iter().copied().filter(|index| self.stands[*index]) {
            let operation = self.operation(index);
            if let Some(grant) = self.given(index).filter(|_| !self.revoked.contains_key(&operation.dot())) {
                standing.grants.insert(operation.dot(), grant);
            }
        }
        standing
    }

    /// The adds that spent a right of the group that stands, on that user: whatever became of them.
    pub(super) fn spent(&self, user: UserId) -> impl Iterator<Item = Place> + '_ {
        let lowest = self.lowest_creation();
        let adds = self.about.get(&user).into_iter().flat_map(|about| about.adds.iter().copied());
        let spent = move |index: &usize| match self.operations[*index].judged {
            Judged::Add(creation) => self.creation_stands(creation),
            _ => lowest == Some(*index),
        };
        adds.filter(spent).map(|index| self.operation(index).place)
    }

    fn of_dot(&self, dot: Dot) -> Option<usize> {
        let at = self.by_dot.partition_point(|(other, _)| *other < dot);
        self.by_dot.get(at).filter(|(other, _)| *other == dot).map(|(_, index)| *index)
    }

    fn of_command(&self, command: Identity) -> impl Iterator<Item = usize> + '_ {
        let at = self.by_command.partition_point(|(other, _)| *other < command);
        self.by_command[at..].iter().take_while(move |(other, _)| *other == command).map(|(_, index)| *index)
    }

    fn operation(&self, index: usize) -> &'a RosterOperation {
        &self.operations[index].operation
    }

    fn index(&mut self, index: usize) {
        let operation = self.operation(index);
        let target = operation.target();
        let about = self.about.entry(target).or_default();
        match &operation.change.action {
            Action::Create { members, .. } => {
                about.adds.push(index);
                about.grants.push(index);
                for user in members.iter().filter(|user| **user != target) {
                    self.about.entry(*user).or_default().adds.push(index);
                }
            }
            Action::Add { .. } => about.adds.push(index),
            Action::Promote { .. } | Action::Claim => about.grants.push(index),
            Action::Remove { .. } | Action::Demote { .. } | Action::Leave => about.revocations.push(index),
        }
        let acting = self.find_acting(index);
        self.acting.push(acting);
    }

    /// The grant it names: its sender's, and seen by it.
    fn find_acting(&self, index: usize) -> Option<Acting> {
        let operation = self.operation(index);
        let grant = operation.under()?;
        if matches!(self.operations[index].judged, Judged::Void) {
            return None;
        }
        let folded = self.folded.users.get(&operation.sender).and_then(|held| held.grants.get(&grant));
        if let Some(Grant { rank, creation, .. }) = folded {
            return Some(Acting { grant, rank: *rank, given: Given::Folded, creation: *creation });
        }
        // What was given later than it cannot be what it acts under.
        let given = self.of_dot(grant).filter(|given| *given < index)?;
        let giver = self.operation(given);
        if !operation.follows(giver) || giver.target() != operation.sender {
            return None;
        }
        let (rank, creation) = (self.rank_given(given)?, self.creation_of(given)?);
        Some(Acting { grant, rank, given: Given::Here(given), creation })
    }

    /// The creation at the root of the grant that it gives.
    fn creation_of(&self, index: usize) -> Option<Dot> {
        match (&self.operation(index).change.action, &self.operations[index].judged) {
            (Action::Create { .. }, _) => Some(self.operation(index).dot()),
            (_, Judged::Claim { creation, .. }) => Some(*creation),
            (_, _) => self.acting[index].map(|acting| acting.creation),
        }
    }

    /// The rank of the grant that it gives, if it gives one.
    fn rank_given(&self, index: usize) -> Option<Rank> {
        match (&self.operation(index).change.action, &self.operations[index].judged) {
            (_, Judged::Void) => None,
            (Action::Create { .. }, _) => Some(Rank::CREATOR),
            (Action::Promote { .. }, _) => Some(self.acting[index]?.rank.below()),
            (Action::Claim, Judged::Claim { generation, .. }) => Some(Rank::claimed(*generation)),
            (_, _) => None,
        }
    }

    /// The grant that it gives.
    fn given(&self, index: usize) -> Option<Grant> {
        let operation = self.operation(index);
        let mut inherited = match &self.operations[index].judged {
            Judged::Promote(inherited) | Judged::Claim { inherited, .. } => inherited.clone(),
            Judged::Void | Judged::Plain | Judged::Add(_) => {
                Inherited { since: None, right: operation.place }
            }
        };
        // A creation that was resent issued its rights once: they are those of the lowest of its operations, whichever was in sight.
        let right = self.of_dot(inherited.right.dot).map(|index| self.operation(index));
        if let (Some(Action::Create { .. }), Some(lowest)) =
            (right.map(|it| &it.change.action), self.lowest_creation())
        {
            inherited.right = self.operation(lowest).place;
        }
        Some(Grant { rank: self.rank_given(index)?, creation: self.creation_of(index)?, inherited })
    }

    fn settle(&mut self) {
        let mut levels: Vec<(Level, usize)> =
            (0..self.operations.len()).filter_map(|index| Some((self.level(index)?, index))).collect();
        levels.sort_unstable();
        for (_, index) in levels {
            if self.is_to_stand(index) {
                self.stands[index] = true;
                self.revoke(index);
            }
        }
    }

    /// None if it stands under no circumstances.
    fn level(&self, index: usize) -> Option<Level> {
        match (&self.operation(index).change.action, &self.operations[index].judged) {
            (_, Judged::Void) => None,
            (Action::Create { .. } | Action::Leave, _) => Some((0, 0)),
            (Action::Claim, Judged::Claim { generation, .. }) => Some((*generation, 0)),
            (Action::Claim, _) => None,
            (_, _) => {
                self.acting[index].map(|acting| (acting.rank.generation, u64::from(acting.rank.depth) + 1))
            }
        }
    }

    fn is_to_stand(&self, index: usize) -> bool {
        let operation = self.operation(index);
        match &operation.change.action {
            Action::Create { .. } => self
                .lowest_creation()
                .is_some_and(|lowest| lowest == index || operation.is_alias_of(self.operation(lowest))),
            Action::Leave => true,
            Action::Claim => self.claim_stands(index),
            Action::Remove { user, .. } => self.is_authorised(index) && !self.meets_an_equal(index, *user),
            Action::Add { .. } | Action::Promote { .. } | Action::Demote { .. } => self.is_authorised(index),
        }
    }

    /// The creation that stands, if it is not folded yet.
    fn lowest_creation(&self) -> Option<usize> {
        let is_creation = |index: &usize| {
            matches!(self.operation(*index).change.action, Action::Create { .. })
                && !matches!(self.operations[*index].judged, Judged::Void)
        };
        // A folded creation has everything else behind it, so there is none in the window then.
        (0..self.operations.len()).find(is_creation)
    }

    fn given_stands(&self, given: Given) -> bool {
        match given {
            Given::Folded => true,
            Given::Here(index) => self.stands[index],
        }
    }

    /// Whether a creation that was seen stands: one that was folded does, for what stood under another was folded away with it.
    fn creation_stands(&self, creation: Dot) -> bool {
        self.of_dot(creation).is_none_or(|index| self.stands[index])
    }

    /// Whether its grant stands, and every standing revocation of that comes after it.
    fn is_authorised(&self, index: usize) -> bool {
        let Some(acting) = self.acting[index] else { return false };
        let dot = self.operation(index).dot();
        let revoked = self.revoked.get(&acting.grant);
        self.given_stands(acting.given) && revoked.is_none_or(|revoked| revoked.by_all.covers(dot))
    }

    /// Whether the user holds a grant that the removal had seen and may not touch: one of its own rank or a higher.
    fn meets_an_equal(&self, index: usize, user: UserId) -> bool {
        let (operation, Some(acting)) = (self.operation(index), self.acting[index]) else { return false };
        let was_revoked_before = |grant: Dot| {
            let by = self.revoked.get(&grant).map(|revoked| &revoked.by);
            by.is_some_and(|by| by.iter().any(|at| operation.follows(self.operation(*at))))
        };
        self.grants_of(user).any(|(grant, rank, given)| {
            !acting.rank.is_above(rank)
                && self.has_seen_given(&operation.change.cut, given)
                && self.given_stands(given)
                && !was_revoked_before(grant)
        })
    }

    /// Judged on its own cut already; but nobody claims a group that they are concurrently removed from, or leave.
    fn claim_stands(&self, index: usize) -> bool {
        let (operation, Judged::Claim { generation, creation, .. }) =
            (self.operation(index), &self.operations[index].judged)
        else {
            return false;
        };
        if !self.creation_stands(*creation) {
            return false;
        }
        let removes = |at: &usize| {
            let removal = self.operation(*at);
            let by_higher = match removal.change.action {
                Action::Leave => true,
                Action::Remove { .. } => {
                    self.acting[*at].is_some_and(|acting| acting.rank.generation < *generation)
                }
                _ => false,
            };
            by_higher && self.stands[*at] && !removal.follows(operation) && !operation.follows(removal)
        };
        !self.about.get(&operation.sender).is_some_and(|about| about.revocations.iter().any(removes))
    }

    /// Notes what a standing operation takes away.
    fn revoke(&mut self, index: usize) {
        let operation = self.operation(index);
        let user = operation.target();
        let above = match operation.change.action {
            Action::Leave => None,
            Action::Remove { .. } | Action::Demote { .. } => match self.acting[index] {
                Some(acting) => Some(acting.rank),
                None => return,
            },
            Action::Create { .. } | Action::Add { .. } | Action::Promote { .. } | Action::Claim => return,
        };
        let cut = &operation.change.cut;
        let takes = |(_, rank, given): &(Dot, Rank, Given)| {
            above.is_none_or(|above| above.is_above(*rank)) && self.has_seen_given(cut, *given)
        };
        let grants: Vec<Dot> = self.grants_of(user).filter(takes).map(|(grant, ..)| grant).collect();
        for grant in grants {
            let revoked = self.revoked.entry(grant);
            let revoked = revoked
                .and_modify(|revoked| revoked.by_all = revoked.by_all.meet(cut))
                .or_insert_with(|| Revoked { by_all: cut.clone(), by: Vec::new() });
            revoked.by.push(index);
        }
        if !matches!(operation.change.action, Action::Demote { .. })
            && let Some(about) = self.about.get_mut(&user)
        {
            about.removed.get_or_insert_default().join(cut);
        }
    }

    fn grants_of(&self, user: UserId) -> impl Iterator<Item = (Dot, Rank, Given)> + '_ {
        let folded = self.folded.users.get(&user).into_iter().flat_map(|standing| &standing.grants);
        let folded = folded.map(|(dot, grant)| (*dot, grant.rank, Given::Folded));
        let here = self.about.get(&user).into_iter().flat_map(|about| about.grants.iter().copied());
        let here = here.filter_map(|index| {
            Some((self.operation(index).dot(), self.rank_given(index)?, Given::Here(index)))
        });
        folded.chain(here)
    }

    fn has_seen_given(&self, cut: &Cut, given: Given) -> bool {
        match given {
            // Every operation of the window was made on all that is folded.
            Given::Folded => true,
            Given::Here(index) => self.has_seen(cut, index),
        }
    }

    /// Whether the cut covers it or one of its aliases.
    fn has_seen(&self, cut: &Cut, index: usize) -> bool {
        let operation = self.operation(index);
        let is_seen_alias = |other: usize| {
            other != index
                && cut.covers(self.operation(other).dot())
                && operation.is_alias_of(self.operation(other))
        };
        cut.covers(operation.dot()) || self.of_command(operation.identity()).any(is_seen_alias)
    }
}

/// Everybody a window is about, and what they are after it.
pub(super) fn standings(folded: &Folded, operations: &[&Unfolded]) -> BTreeMap<UserId, Standing> {
    let evaluation = Evaluation::of(folded, operations);
    evaluation.users().map(|user| (user, evaluation.standing(user))).collect()
}
