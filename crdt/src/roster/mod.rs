//! The roster of a group: creator, admins and members, right under every concurrency.
//!
//! Admins form a tree: each was promoted by one above, the creator stands highest. An admin adds and removes members, promotes
//! members, and demotes or removes admins of strictly lower rank; anybody leaves. Each operation carries the cut it was made on and the
//! grant it was made under. Revocation wins: what an admin did before is kept, what they did concurrently is not.
//!
//! What must always hold:
//! - Standings are a function of the *set* of operations (`evaluate.rs`), and folding changes none of them (`fold.rs`).
//! - The door (`door.rs`) judges once and lets in only what takes effect where it was asked; what survives elsewhere is the table's.

mod bytes;
mod door;
mod evaluate;
mod fold;
mod judge;
mod operation;
mod standing;

pub use door::{NotAllowed, Wish};
pub use fold::Right;
pub use operation::{Action, Change, RosterOperation};
pub(crate) use operation::{shares, shares_to_proto};
pub use standing::Rank;

use crate::Timestamp;
use crate::id::{Dot, UserId};
use crate::timeline::Place;
use crate::version_vector::Cut;
use evaluate::standings;
use judge::Judged;
use standing::{Grant, Inherited, Standing, View};
use std::collections::BTreeMap;

/// The roster of one group. `crdt/tests/roster/concurrent_cases.rs` has a test for each row.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | a demotion or removal of an admin, and what that admin does to the roster | void is what they did; what they did before stands |
/// | two revocations that would void each other | the higher rank's stands; equals cannot revoke each other |
/// | a chain: Z demotes Y, Y demotes X, X removes m | settled from the top: Y's is void, so X is an admin and the removal stands |
/// | a promotion and a removal, demotion or leave of the promoted | the promotion stands: it had not been seen. They are a member by it |
/// | a promotion, and a demotion of the promoter | void |
/// | an admin demotes or removes who promoted them | void: only the higher rank may |
/// | add and removal (or leave) of one user | the user is a member: only what was seen is undone |
/// | a removal, and a removal and adding again | a member, by the new add |
/// | an add and its resend, one of which a removal had seen | undone |
/// | a removal of a member, and the removal's undoing by a demotion of the remover | a member, as if never removed |
/// | two leaves of one user; a leave of a demoted admin | a leave always stands |
/// | an admin's leave on one device, an add by them on another | the add is void |
/// | a promotion of somebody who was no member where it was made | void |
/// | a claim where an admin was known, or a more senior member | void |
/// | a claim, and what an admin did who had left there | the claim stands: theirs is concurrent with their leave |
/// | a claim, and a leave of the claimant, or their removal by an earlier generation | void |
/// | two claims | both stand, as equals |
/// | two creations of one id | the lower (hlc, dot) stands with its aliases; void is all under the other, what claims began there too |
///
/// An operation made on all that came before costs `O(log n)`; one that is concurrent with others costs an evaluation of what is unfolded
/// (`evaluate.rs`), whatever the age of the group. Memory: about 150 bytes a member and the cut they were added on, and as much for each
/// unfolded operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    folded: Folded,
    unfolded: BTreeMap<Place, Unfolded>,
    /// The dots of what is unfolded.
    dots: Cut,
    /// The join of the cuts of what is unfolded.
    claimed: Cut,
    /// What the users are whom the unfolded operations are about.
    changed: BTreeMap<UserId, Standing>,
}

/// The evaluated state of operations that nothing to come is concurrent with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Folded {
    dots: Cut,
    highest: Timestamp,
    /// The highest generation of admins so far.
    generation: u32,
    /// The creation that stands.
    creation: Option<Dot>,
    /// Members alone.
    users: BTreeMap<UserId, Standing>,
}

/// An operation whose verdict can still change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unfolded {
    operation: RosterOperation,
    judged: Judged,
}

/// A member, as others see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// How high they stand as an admin; none if they are not.
    pub rank: Option<Rank>,
    /// What is hidden from them: the operations this cut covers. Empty if they see all.
    pub since: Cut,
}

/// One user whose standing an operation changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingChange {
    /// Who.
    pub user: UserId,
    /// What they were; none if not a member.
    pub before: Option<Member>,
    /// What they are; none if not a member.
    pub after: Option<Member>,
}

/// The operation does not follow what was folded, though all regions had acknowledged that before: its region has contradicted itself. Nothing was
/// changed, and whoever has not folded yet may hold another roster: an alarm, never a matter of course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the roster operation {0} is concurrent with what every region had acknowledged")]
pub struct BehindFold(pub Dot);

impl Roster {
    /// Takes an operation, once or again. Its region must have been given all that the operation's cut covers, as logs see to. Returns every
    /// user whose standing changed, sorted.
    ///
    /// # Errors
    /// [`BehindFold`] when it is concurrent with what was folded.
    pub fn apply(&mut self, operation: RosterOperation) -> Result<Vec<StandingChange>, BehindFold> {
        if self.is_known(&operation)? {
            return Ok(Vec::new());
        }
        let dot = operation.dot();
        let changes =
            if self.follows_all(&operation) { self.append(operation) } else { self.insert(operation) };
        self.dots.raise(dot);
        Ok(changes)
    }

    /// Whether it was taken already.
    pub(crate) fn is_known(&self, operation: &RosterOperation) -> Result<bool, BehindFold> {
        let (place, dot) = (operation.place, operation.dot());
        if self.folded.dots.covers(dot) || self.unfolded.contains_key(&place) {
            return Ok(true);
        }
        if !operation.change.cut.covers_all(&self.folded.dots) || place.hlc <= self.folded.highest {
            return Err(BehindFold(dot));
        }
        Ok(false)
    }

    /// The creation out of whose rights an add that is not known yet spends one; none if it is void wherever it goes.
    pub(crate) fn spends_under(&self, operation: &RosterOperation) -> Option<Dot> {
        match self.judge(operation) {
            Judged::Add(creation) => Some(creation),
            Judged::Void | Judged::Plain | Judged::Promote(_) | Judged::Claim { .. } => None,
        }
    }

    /// The creation that stands.
    pub(crate) fn creation(&self) -> Option<Dot> {
        let create = |it: &&Unfolded| matches!(it.operation.change.action, Action::Create { .. });
        let here = || self.unfolded.values().find(create).map(|unfolded| unfolded.operation.dot());
        self.folded.creation.or_else(here)
    }

    /// The creation that stands, once it is folded.
    pub(crate) const fn folded_creation(&self) -> Option<Dot> {
        self.folded.creation
    }

    /// That user; none if they are not a member.
    #[must_use]
    pub fn member(&self, user: UserId) -> Option<Member> {
        as_member(self.standing(user))
    }

    /// All members, sorted.
    pub fn members(&self) -> impl Iterator<Item = UserId> + '_ {
        self.view().all().map(|(user, _)| user)
    }

    /// The members who are admins, sorted.
    pub fn admins(&self) -> impl Iterator<Item = UserId> + '_ {
        let admin = |(user, standing): (UserId, &Standing)| (!standing.grants.is_empty()).then_some(user);
        self.view().all().filter_map(admin)
    }

    /// The add, or the creation, that keeps that member in.
    pub(crate) fn right(&self, user: UserId) -> Option<Place> {
        self.standing(user)?.right()
    }

    /// How many members there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.view().all().count()
    }

    /// How many operations can still change their verdict.
    #[must_use]
    pub fn unfolded(&self) -> usize {
        self.unfolded.len()
    }

    /// Whether a creation is known.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.creation().is_some()
    }

    /// The dots that hold a right to a member's place, one a member: the limit counts them.
    pub fn rights(&self) -> impl Iterator<Item = Right> + '_ {
        let right = |(user, standing): (UserId, &Standing)| Some(Right { dot: standing.right()?.dot, user });
        self.view().all().filter_map(right)
    }

    fn view(&self) -> View<'_> {
        View { folded: &self.folded.users, changed: &self.changed }
    }

    fn standing(&self, user: UserId) -> Option<&Standing> {
        self.view().standing(user)
    }

    /// Whether it was made on all there is.
    fn follows_all(&self, operation: &RosterOperation) -> bool {
        let dot = operation.dot();
        self.unfolded.keys().next_back().is_none_or(|last| last.hlc < operation.place.hlc)
            && operation.change.cut.covers_all(&self.dots)
            && !self.claimed.covers(dot)
            && !operation.change.cut.covers(dot)
    }

    fn judge(&self, operation: &RosterOperation) -> Judged {
        if self.follows_all(operation) {
            judge::on(&self.view(), &self.folded, self.unfolded.values(), operation)
        } else {
            judge::on_its_cut(&self.folded, &self.unfolded, operation)
        }
    }

    /// One that was made on all there is: what is settled stays so.
    fn append(&mut self, operation: RosterOperation) -> Vec<StandingChange> {
        let judged = self.judge(&operation);
        let changes = self.take_effect(&operation, &judged);
        // Void or not, it is about that user, and `changed` has all whom something is about.
        self.alter(operation.target(), |_| ());
        self.claimed.join(&operation.change.cut);
        self.unfolded.insert(operation.place, Unfolded { operation, judged });
        changes
    }

    /// One that is concurrent with others: all that is unfolded is settled anew.
    fn insert(&mut self, operation: RosterOperation) -> Vec<StandingChange> {
        crate::sometimes::ROSTER_CONCURRENT.reach();
        let (place, dot, target) = (operation.place, operation.dot(), operation.target());
        self.claimed.join(&operation.change.cut);
        self.unfolded.insert(place, Unfolded { operation, judged: Judged::Void });
        // An honest region's cut covers only what was there before. If this was claimed before it came, those claims are judged again.
        let again: Vec<Place> =
            if self.claimed.covers(dot) { self.unfolded.keys().copied().collect() } else { vec![place] };
        for place in again {
            let judged = self
                .unfolded
                .get(&place)
                .map(|it| judge::on_its_cut(&self.folded, &self.unfolded, &it.operation));
            if let (Some(judged), Some(unfolded)) = (judged, self.unfolded.get_mut(&place)) {
                unfolded.judged = judged;
            }
        }
        let window: Vec<&Unfolded> = self.unfolded.values().collect();
        let after = standings(&self.folded, &window);
        let before = std::mem::take(&mut self.changed);
        let was = |user: &UserId| before.get(user).or_else(|| self.folded.users.get(user));
        // Most are what they were: looking is cheaper than copying what they see.
        let differ = after.iter().filter(|(user, is)| was(user) != Some(*is));
        let changes =
            differ.filter_map(|(user, is)| change(*user, as_member(was(user)), as_member(Some(is))));
        let changes: Vec<StandingChange> = changes.collect();
        if changes.iter().any(|change| change.user != target) {
            crate::sometimes::ROSTER_UNDONE.reach();
        }
        self.changed = after;
        changes
    }

    /// What an operation that follows all others does. The same as evaluating all of them anew.
    fn take_effect(&mut self, operation: &RosterOperation, judged: &Judged) -> Vec<StandingChange> {
        let authority = match operation.under() {
            None => None,
            Some(under) => match self.standing(operation.sender).and_then(|held| held.grants.get(&under)) {
                Some(grant) => Some((grant.rank, grant.creation)),
                None => return Vec::new(),
            },
        };
        let (place, cut) = (operation.place, &operation.change.cut);
        match (&operation.change.action, authority, judged) {
            (Action::Create { members, .. }, _, _) => {
                if self.exists() {
                    return Vec::new();
                }
                let mut changes: Vec<StandingChange> = members
                    .iter()
                    .filter(|user| **user != operation.sender)
                    .flat_map(|user| self.alter(*user, |standing| standing.admit(place, None)))
                    .collect();
                let inherited = Inherited { since: None, right: place };
                let grant = Grant { rank: Rank::CREATOR, creation: place.dot, inherited };
                changes.extend(self.alter(operation.sender, |standing| {
                    standing.admit(place, None);
                    standing.grants.insert(place.dot, grant);
                }));
                changes.sort_by_key(|change| change.user);
                changes
            }
            (Action::Add { user, .. }, Some(_), _) => {
                self.alter(*user, |standing| standing.admit(place, Some(cut.clone())))
            }
            (Action::Remove { user, .. }, Some((rank, _)), _) => self.alter(*user, |standing| {
                if standing.rank().is_none_or(|other| rank.is_above(other)) {
                    *standing = Standing::default();
                }
            }),
            (Action::Demote { user, .. }, Some((rank, _)), _) => {
                self.alter(*user, |standing| standing.grants.retain(|_, grant| !rank.is_above(grant.rank)))
            }
            (Action::Leave, _, _) => self.alter(operation.sender, |standing| *standing = Standing::default()),
            (Action::Promote { user, .. }, Some((rank, creation)), Judged::Promote(inherited)) => {
                let grant = Grant { rank: rank.below(), creation, inherited: inherited.clone() };
                self.alter(*user, |standing| drop(standing.grants.insert(place.dot, grant)))
            }
            (Action::Claim, _, Judged::Claim { generation, creation, inherited }) => {
                let rank = Rank::claimed(*generation);
                let grant = Grant { rank, creation: *creation, inherited: inherited.clone() };
                self.alter(operation.sender, |standing| drop(standing.grants.insert(place.dot, grant)))
            }
            (_, _, _) => Vec::new(),
        }
    }

    fn alter(&mut self, user: UserId, alter: impl FnOnce(&mut Standing)) -> Vec<StandingChange> {
        let before = self.member(user);
        let known = || self.folded.users.get(&user).cloned().unwrap_or_default();
        let standing = self.changed.entry(user).or_insert_with(known);
        alter(standing);
        change(user, before, as_member(Some(standing))).into_iter().collect()
    }
}

fn as_member(standing: Option<&Standing>) -> Option<Member> {
    let standing = standing.filter(|standing| standing.is_member())?;
    Some(Member { rank: standing.rank(), since: standing.since().unwrap_or_default() })
}

fn change(user: UserId, before: Option<Member>, after: Option<Member>) -> Option<StandingChange> {
    (before != after).then_some(StandingChange { user, before, after })
}
