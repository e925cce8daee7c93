//! The rules of the roster, read word for word over the whole set of operations, every time anew. Slow and obvious.
//!
//! What must always hold: no folding, no windows, no order but happened-before, and no code of the roster's. What an operation was on
//! its own cut is asked by reading the rules over that cut.

use crdt::roster::{Action, RosterOperation};
use crdt::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Generation and depth; lower is higher.
pub(crate) type ModelRank = (u32, u32);
/// None: from the beginning.
type Since = Option<Cut>;

/// All operations there are; sets of them are sets of their numbers.
pub(crate) struct Model<'a> {
    operations: Vec<&'a RosterOperation>,
    on_own_cut: RefCell<BTreeMap<usize, Option<OwnCut>>>,
}

/// What a promotion or claim finds on its own cut, if it is allowed there.
#[derive(Clone)]
struct OwnCut {
    since: Since,
    right: Place,
    generation: u32,
    creation: usize,
}

/// The rules over one set.
pub(crate) struct Reading<'m, 'a> {
    model: &'m Model<'a>,
    set: BTreeSet<usize>,
    verdicts: RefCell<BTreeMap<usize, bool>>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(operations: impl IntoIterator<Item = &'a RosterOperation>) -> Self {
        let operations = operations.into_iter().collect();
        Self { operations, on_own_cut: RefCell::default() }
    }

    pub(crate) fn read(&self, which: impl Fn(&RosterOperation) -> bool) -> Reading<'_, 'a> {
        let set = (0..self.operations.len()).filter(|number| which(self.operations[*number])).collect();
        Reading { model: self, set, verdicts: RefCell::default() }
    }

    fn of(&self, number: usize) -> &'a RosterOperation {
        self.operations[number]
    }

    /// Whether `later` was made on `earlier`.
    fn saw(&self, later: usize, earlier: usize) -> bool {
        self.of(later).change.cut.covers(self.of(earlier).place.dot)
    }

    /// One command, taken by two regions that did not know of each other's.
    fn are_aliases(&self, one: usize, other: usize) -> bool {
        let (first, second) = (self.of(one), self.of(other));
        let same_command = (first.sender, first.command) == (second.sender, second.command);
        let same_wish = match (&first.change.action, &second.change.action) {
            (Action::Create { .. }, Action::Create { .. }) => first.change.action == second.change.action,
            (Action::Add { user, .. }, Action::Add { user: other, .. })
            | (Action::Remove { user, .. }, Action::Remove { user: other, .. })
            | (Action::Promote { user, .. }, Action::Promote { user: other, .. })
            | (Action::Demote { user, .. }, Action::Demote { user: other, .. }) => user == other,
            (Action::Leave, Action::Leave) | (Action::Claim, Action::Claim) => true,
            _ => false,
        };
        same_command && same_wish && !self.saw(one, other) && !self.saw(other, one)
    }

    fn saw_it_or_an_alias(&self, later: usize, earlier: usize) -> bool {
        let all = 0..self.operations.len();
        all.into_iter()
            .any(|other| (other == earlier || self.are_aliases(other, earlier)) && self.saw(later, other))
    }

    /// Who holds the grant that it gives.
    fn holder(&self, number: usize) -> Option<UserId> {
        match self.of(number).change.action {
            Action::Create { .. } | Action::Claim => Some(self.of(number).sender),
            Action::Promote { user, .. } => Some(user),
            _ => None,
        }
    }

    /// The operation that gave the grant it was made under.
    fn grant_of(&self, number: usize) -> Option<usize> {
        let (Action::Add { under, .. }
        | Action::Remove { under, .. }
        | Action::Promote { under, .. }
        | Action::Demote { under, .. }) = self.of(number).change.action
        else {
            return None;
        };
        let grant = (0..self.operations.len()).find(|other| self.of(*other).place.dot == under)?;
        let valid = self.holder(grant) == Some(self.of(number).sender) && self.saw(number, grant);
        valid.then_some(grant)
    }

    fn rank(&self, grant: usize) -> Option<ModelRank> {
        match self.of(grant).change.action {
            Action::Create { .. } => Some((0, 0)),
            Action::Claim => Some((self.own_cut(grant)?.generation, 0)),
            Action::Promote { .. } => {
                let (generation, depth) = self.rank(self.grant_of(grant)?)?;
                Some((generation, depth + 1))
            }
            _ => None,
        }
    }

    /// An add is void everywhere if its sender did not hold the grant on its own cut.
    fn held_its_grant(&self, number: usize) -> bool {
        let cut = &self.of(number).change.cut;
        let then = self.read(|other| cut.covers(other.place.dot));
        self.grant_of(number).is_some_and(|grant| then.grants(self.of(number).sender).contains(&grant))
    }

    fn own_cut(&self, number: usize) -> Option<OwnCut> {
        if let Some(known) = self.on_own_cut.borrow().get(&number) {
            return known.clone();
        }
        let operation = self.of(number);
        let then = self.read(|other| operation.change.cut.covers(other.place.dot));
        let own = match operation.change.action {
            Action::Promote { user, .. } => then.own_cut_of(user),
            Action::Claim if then.may_claim(operation.sender) => then.own_cut_of(operation.sender),
            _ => None,
        };
        self.on_own_cut.borrow_mut().insert(number, own.clone());
        own
    }
}

impl Reading<'_, '_> {
    pub(crate) fn users(&self) -> BTreeSet<UserId> {
        let operations = self.set.iter().map(|number| self.model.of(*number));
        operations
            .flat_map(|operation| {
                let mut users = vec![operation.sender];
                match &operation.change.action {
                    Action::Create { members, .. } => users.extend(members),
                    Action::Add { user, .. } => users.push(*user),
                    _ => {}
                }
                users
            })
            .collect()
    }

    pub(crate) fn rank(&self, user: UserId) -> Option<ModelRank> {
        self.grants(user).into_iter().filter_map(|grant| self.model.rank(grant)).min()
    }

    pub(crate) fn is_member(&self, user: UserId) -> bool {
        !self.adds(user).is_empty() || !self.grants(user).is_empty()
    }

    /// A member by what they were granted alone.
    pub(crate) fn outlived_their_adds(&self, user: UserId) -> bool {
        self.adds(user).is_empty() && !self.grants(user).is_empty()
    }

    pub(crate) fn since(&self, user: UserId) -> Since {
        let adds = self.adds(user);
        let each: Vec<Since> = if adds.is_empty() {
            let own = self.grants(user).into_iter().map(|grant| match self.model.of(grant).change.action {
                Action::Create { .. } => None,
                _ => self.model.own_cut(grant).unwrap().since,
            });
            own.collect()
        } else {
            let of_add = |add: &usize| match &self.model.of(*add).change.action {
                Action::Create { .. } => None,
                _ => Some(self.model.of(*add).change.cut.clone()),
            };
            adds.iter().map(of_add).collect()
        };
        let joined = each.into_iter().reduce(|one, other| {
            let mut one = one?;
            one.join(&other?);
            Some(one)
        });
        joined.flatten()
    }

    /// The add that holds the right to the member's place: the earliest that lives, else what the highest grant found.
    /// A creation that was resent issued its rights once: they are those of the lowest of its operations.
    pub(crate) fn right(&self, user: UserId) -> Option<Place> {
        let right = self.right_in_sight(user)?;
        let creation = |number: &usize| {
            let operation = self.model.of(*number);
            operation.place == right && matches!(operation.change.action, Action::Create { .. })
        };
        let lowest = self.creation().map(|creation| self.model.of(creation).place);
        if self.set.iter().any(creation) { lowest } else { Some(right) }
    }

    fn right_in_sight(&self, user: UserId) -> Option<Place> {
        let adds = self.adds(user).into_iter().map(|add| self.model.of(add).place).min();
        let of_grant = |grant: usize| {
            let found = match self.model.of(grant).change.action {
                Action::Create { .. } => self.model.of(grant).place,
                _ => self.model.own_cut(grant).unwrap().right,
            };
            (self.model.rank(grant).unwrap(), found)
        };
        adds.or_else(|| self.grants(user).into_iter().map(of_grant).min().map(|(_, place)| place))
    }

    fn own_cut_of(&self, user: UserId) -> Option<OwnCut> {
        let right = self.right(user)?;
        let claims = self.set.iter().filter(|it| matches!(self.model.of(**it).change.action, Action::Claim));
        let generations = claims.filter_map(|claim| Some(self.model.own_cut(*claim)?.generation));
        let generation = generations.max().unwrap_or(0) + 1;
        Some(OwnCut { since: self.since(user), right, generation, creation: self.creation()? })
    }

    fn may_claim(&self, user: UserId) -> bool {
        let members: Vec<UserId> = self.users().into_iter().filter(|user| self.is_member(*user)).collect();
        let abandoned = members.iter().all(|member| self.grants(*member).is_empty());
        let seniority = |member: &UserId| {
            let adds = self.adds(*member).into_iter().map(|add| self.model.of(add).place);
            (adds.min(), *member)
        };
        abandoned && members.into_iter().min_by_key(seniority) == Some(user)
    }

    /// The creation that stands: the lowest.
    fn creation(&self) -> Option<usize> {
        let creations = self
            .set
            .iter()
            .copied()
            .filter(|it| matches!(self.model.of(*it).change.action, Action::Create { .. }));
        creations.min_by_key(|creation| self.model.of(*creation).place)
    }

    fn members_of(&self, creation: usize) -> BTreeSet<UserId> {
        let Action::Create { members, .. } = &self.model.of(creation).change.action else {
            return BTreeSet::new();
        };
        members.iter().copied().chain([self.model.of(creation).sender]).collect()
    }

    /// The adds of the user that stand and that no standing removal or leave of theirs has seen.
    fn adds(&self, user: UserId) -> Vec<usize> {
        let is_add = |number: &usize| match self.model.of(*number).change.action {
            Action::Create { .. } => self.members_of(*number).contains(&user),
            Action::Add { user: added, .. } => added == user,
            _ => false,
        };
        let undone = |add: usize| {
            self.set.iter().any(|removal| {
                let of_user = match self.model.of(*removal).change.action {
                    Action::Leave => self.model.of(*removal).sender == user,
                    Action::Remove { user: removed, .. } => removed == user,
                    _ => false,
                };
                of_user && self.model.saw_it_or_an_alias(*removal, add) && self.stands(*removal)
            })
        };
        self.set.iter().copied().filter(|it| is_add(it) && self.stands(*it) && !undone(*it)).collect()
    }

    /// The grants of the user that stand and are not revoked.
    fn grants(&self, user: UserId) -> Vec<usize> {
        let of_user = |number: &usize| self.model.holder(*number) == Some(user);
        let live = |number: &usize| self.stands(*number) && self.revocations(*number).is_empty();
        self.set.iter().copied().filter(of_user).filter(live).collect()
    }

    /// The standing revocations of a grant.
    fn revocations(&self, grant: usize) -> Vec<usize> {
        let holder = self.model.holder(grant);
        let revokes = |number: &usize| {
            let operation = self.model.of(*number);
            let above = match operation.change.action {
                Action::Leave => Some(operation.sender) == holder,
                Action::Remove { user, .. } | Action::Demote { user, .. } => {
                    let rank = self.model.grant_of(*number).and_then(|own| self.model.rank(own));
                    let strictly = rank.zip(self.model.rank(grant)).is_some_and(|(own, its)| own < its);
                    Some(user) == holder && strictly
                }
                _ => false,
            };
            above && self.model.saw_it_or_an_alias(*number, grant) && self.stands(*number)
        };
        self.set.iter().copied().filter(revokes).collect()
    }

    pub(crate) fn stands(&self, number: usize) -> bool {
        if let Some(verdict) = self.verdicts.borrow().get(&number) {
            return *verdict;
        }
        let verdict = self.judge(number);
        self.verdicts.borrow_mut().insert(number, verdict);
        verdict
    }

    fn judge(&self, number: usize) -> bool {
        let (model, operation) = (self.model, self.model.of(number));
        match operation.change.action {
            Action::Leave => true,
            Action::Create { .. } => {
                let lowest = self.creation();
                lowest == Some(number) || lowest.is_some_and(|lowest| model.are_aliases(lowest, number))
            }
            Action::Demote { .. } => self.is_authorised(number),
            Action::Add { .. } => self.is_authorised(number) && model.held_its_grant(number),
            Action::Promote { .. } => self.is_authorised(number) && model.own_cut(number).is_some(),
            Action::Remove { user, .. } => self.is_authorised(number) && !self.meets_an_equal(number, user),
            Action::Claim => {
                let Some(own) = model.own_cut(number) else { return false };
                let removed = self.set.iter().any(|removal| {
                    let by_higher = match model.of(*removal).change.action {
                        Action::Leave => model.of(*removal).sender == operation.sender,
                        Action::Remove { user, .. } => {
                            let rank = model.grant_of(*removal).and_then(|own| model.rank(own));
                            user == operation.sender
                                && rank.is_some_and(|(generation, _)| generation < own.generation)
                        }
                        _ => false,
                    };
                    by_higher
                        && !model.saw(*removal, number)
                        && !model.saw(number, *removal)
                        && self.stands(*removal)
                });
                self.stands(own.creation) && !removed
            }
        }
    }

    /// Its grant stands, and every standing revocation of that comes after it.
    fn is_authorised(&self, number: usize) -> bool {
        let Some(grant) = self.model.grant_of(number) else { return false };
        let after = |revocation: usize| self.model.saw(revocation, number);
        self.model.rank(grant).is_some()
            && self.set.contains(&grant)
            && self.stands(grant)
            && self.revocations(grant).into_iter().all(after)
    }

    /// It removes somebody who, as it saw, was an admin of its own rank or above.
    fn meets_an_equal(&self, number: usize, user: UserId) -> bool {
        let model = self.model;
        let Some(own) = model.grant_of(number).and_then(|grant| model.rank(grant)) else { return false };
        let grants = self.set.iter().copied().filter(|grant| model.holder(*grant) == Some(user));
        let not_below = grants.filter(|grant| model.rank(*grant).is_some_and(|its| its <= own));
        let seen = not_below.filter(|grant| model.saw_it_or_an_alias(number, *grant) && self.stands(*grant));
        let mut left =
            seen.filter(|grant| !self.revocations(*grant).into_iter().any(|it| model.saw(number, it)));
        left.next().is_some()
    }
}
