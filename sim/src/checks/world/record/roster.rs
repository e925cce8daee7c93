//! Who is in a group by the rules of the published table, read word for word over what was done, every time anew: slow, obvious, and sharing no code with what is judged.
//!
//! What an act had seen is what its region had applied when it took it; which of their grants somebody acted under is the highest that they had there. What must always hold: no
//! cut, rank or verdict of the product is asked; an outcome is a function of the set of acts.

use super::operations::{Facts, IdentityNumber, Number};
use crdt::{Dot, RegionId, UserId};
use gateway_client::Place;
use region::item::{Content, Item};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// How high an admin stands: how often the group had been claimed, and how many promotions below. Lower is higher.
pub(crate) type Rank = (u32, u32);

/// The members, and the rank of those who are admins.
pub(crate) type Members = BTreeMap<UserId, Option<Rank>>;

/// What was done to who is in a conversation.
#[derive(Debug, Default)]
pub(crate) struct RosterFacts {
    acts: Vec<Act>,
    /// The two of a direct conversation.
    pair: Option<BTreeSet<UserId>>,
    /// Of all acts, as long as none is added.
    outcome: RefCell<Option<Members>>,
    /// Who is in it where, after the last change that was read there.
    inside: BTreeMap<RegionId, BTreeSet<UserId>>,
    /// Regions that have applied a change since.
    changing: BTreeSet<RegionId>,
    /// Who was in it and is not, and how much their region had applied when that was read.
    outside: BTreeMap<(RegionId, UserId), usize>,
}

#[derive(Debug)]
struct Act {
    number: Number,
    identity: IdentityNumber,
    by: UserId,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Create(BTreeSet<UserId>),
    Add(UserId),
    Remove(UserId),
    Leave,
    Promote(UserId),
    Demote(UserId),
    Claim,
}

impl RosterFacts {
    /// An operation, as the region that issued it tells it; nothing if it is of another kind.
    pub(super) fn add(&mut self, number: Number, identity: IdentityNumber, item: &Item) {
        let what = match &item.content {
            Content::Created { members, direct: true, .. } => {
                self.pair = Some(members.iter().copied().collect());
                return;
            }
            Content::Created { members, .. } => {
                What::Create(members.iter().copied().chain([item.sender]).collect())
            }
            Content::Added { user, .. } => What::Add(*user),
            Content::Removed { user } => What::Remove(*user),
            Content::Left => What::Leave,
            Content::Promoted { user } => What::Promote(*user),
            Content::Demoted { user } => What::Demote(*user),
            Content::Claimed => What::Claim,
            Content::Post { .. }
            | Content::Edited { .. }
            | Content::Deleted { .. }
            | Content::Withheld { .. }
            | Content::Reacted { .. }
            | Content::Withdrawn { .. }
            | Content::Rights(_)
            | Content::DocumentChanged { .. } => return,
        };
        self.acts.push(Act { number, identity, by: item.sender, what });
        self.outcome.take();
    }

    /// That operation is no more.
    pub(super) fn forget(&mut self, number: Number) {
        self.acts.retain(|act| act.number != number);
        self.outcome.take();
    }

    /// How many acts there are.
    pub(crate) const fn len(&self) -> usize {
        self.acts.len()
    }

    /// A region's store is another one.
    pub(super) fn forget_store(&mut self, region: RegionId) {
        self.inside.remove(&region);
        self.changing.remove(&region);
        self.outside.retain(|(of, _), _| *of != region);
    }

    /// A region has applied one: who is in it there is not known until it is read.
    pub(super) fn applies(&mut self, region: RegionId) {
        self.changing.insert(region);
    }
}

impl Facts {
    /// Who is in it in a region, as that was read; none if it cannot be known.
    pub(crate) fn note_members(&mut self, region: RegionId, members: Option<&Members>) {
        let applied = self.count_applied(region);
        let roster = &mut self.roster;
        let Some(members) = members else {
            roster.inside.remove(&region);
            roster.outside.retain(|(of, _), _| *of != region);
            return;
        };
        roster.changing.remove(&region);
        let inside: BTreeSet<UserId> = members.keys().copied().collect();
        for gone in roster.inside.get(&region).into_iter().flatten().filter(|user| !inside.contains(user)) {
            roster.outside.insert((region, *gone), applied);
        }
        roster.outside.retain(|(of, user), _| *of != region || !inside.contains(user));
        roster.inside.insert(region, inside);
    }

    /// Whether a user may do something in it in a region, as far as is known.
    pub(crate) fn may_act(&self, region: RegionId, user: UserId) -> bool {
        let inside = self.roster.inside.get(&region).filter(|_| !self.roster.changing.contains(&region));
        inside.is_none_or(|inside| inside.contains(&user))
    }

    /// Whether a region applied that operation after it had heard that the user was removed, and has not heard otherwise since: nor may it have, by a change that was not read
    /// (a damaged store's, or one of too many).
    pub(crate) fn came_after_removal(&self, region: RegionId, user: UserId, dot: Dot) -> bool {
        let since =
            self.roster.outside.get(&(region, user)).filter(|_| !self.roster.changing.contains(&region));
        since.is_some_and(|since| self.place_in(region, dot).is_some_and(|place| place >= *since))
    }

    /// Who is in it after those operations; none if what one of them had seen is not known.
    pub(crate) fn members_after(&self, is_applied: impl Fn(Number) -> bool) -> Option<Members> {
        if let Some(pair) = &self.roster.pair {
            return Some(pair.iter().map(|user| (*user, None)).collect());
        }
        let acts = &self.roster.acts;
        let set: BTreeSet<usize> =
            (0..acts.len()).filter(|act| is_applied(self.roster.acts[*act].number)).collect();
        let is_unknown = |act: &usize| {
            let operation = &self.operations[acts[*act].number];
            operation.of_second_life && !matches!(acts[*act].what, What::Create(_))
        };
        if set.iter().any(is_unknown) {
            return None;
        }
        let rules = Rules { facts: self, acts, own: RefCell::default(), grants: RefCell::default() };
        let reading = rules.read(set);
        let users = reading.users();
        let members = users.into_iter().filter(|user| reading.is_member(*user));
        Some(members.map(|user| (user, reading.rank(user))).collect())
    }

    /// Whether that user is a member once everything has arrived; nobody is, if that cannot be known.
    pub(crate) fn is_member(&self, user: UserId) -> bool {
        let mut outcome = self.roster.outcome.borrow_mut();
        let members = outcome.get_or_insert_with(|| self.members_after(|_| true).unwrap_or_default());
        members.contains_key(&user)
    }
}

/// All acts of a conversation; sets of them are sets of their places in the list. What follows from an act's own past is read once.
struct Rules<'a> {
    facts: &'a Facts,
    acts: &'a [Act],
    own: RefCell<BTreeMap<usize, Option<Own>>>,
    grants: RefCell<BTreeMap<usize, Option<usize>>>,
}

/// What a promotion or claim finds on its own past, if it is allowed there.
#[derive(Debug, Clone, Copy)]
struct Own {
    generation: u32,
    creation: usize,
}

/// The rules over one set.
struct Reading<'r, 'a> {
    rules: &'r Rules<'a>,
    set: BTreeSet<usize>,
    verdicts: RefCell<BTreeMap<usize, bool>>,
}

impl<'a> Rules<'a> {
    fn read(&self, set: BTreeSet<usize>) -> Reading<'_, 'a> {
        Reading { rules: self, set, verdicts: RefCell::default() }
    }

    fn of(&self, act: usize) -> &'a Act {
        // Places are those of the list.
        &self.acts[act]
    }

    fn place(&self, act: usize) -> Place {
        self.facts.operations[self.of(act).number].place
    }

    /// Whether `later` was made on `earlier`.
    fn saw(&self, later: usize, earlier: usize) -> bool {
        self.facts.is_cause(self.of(earlier).number, self.of(later).number)
    }

    fn past(&self, act: usize) -> Reading<'_, 'a> {
        self.read((0..self.acts.len()).filter(|other| self.saw(act, *other)).collect())
    }

    /// One command, taken by two regions that did not know of each other's.
    fn are_aliases(&self, one: usize, other: usize) -> bool {
        let (first, second) = (self.of(one), self.of(other));
        let same = first.identity == second.identity && first.what == second.what;
        same && !self.saw(one, other) && !self.saw(other, one)
    }

    fn saw_it_or_an_alias(&self, later: usize, earlier: usize) -> bool {
        let seen = |other: &usize| *other == earlier || self.are_aliases(*other, earlier);
        (0..self.acts.len()).filter(seen).any(|other| self.saw(later, other))
    }

    /// Who holds the grant that it gives.
    fn holder(&self, act: usize) -> Option<UserId> {
        match self.of(act).what {
            What::Create(_) | What::Claim => Some(self.of(act).by),
            What::Promote(user) => Some(user),
            What::Add(_) | What::Remove(_) | What::Leave | What::Demote(_) => None,
        }
    }

    /// The grant it was made under: the highest that its author had then.
    fn grant_of(&self, act: usize) -> Option<usize> {
        if matches!(self.of(act).what, What::Create(_) | What::Leave | What::Claim) {
            return None;
        }
        if let Some(known) = self.grants.borrow().get(&act) {
            return *known;
        }
        let held = self.past(act).grants(self.of(act).by);
        let ranked =
            held.into_iter().filter_map(|grant| Some((self.rank(grant)?, self.place(grant).dot, grant)));
        let grant = ranked.min().map(|(.., grant)| grant);
        self.grants.borrow_mut().insert(act, grant);
        grant
    }

    fn rank(&self, grant: usize) -> Option<Rank> {
        match self.of(grant).what {
            What::Create(_) => Some((0, 0)),
            What::Claim => Some((self.own(grant)?.generation, 0)),
            What::Promote(_) => {
                let (generation, depth) = self.rank(self.grant_of(grant)?)?;
                Some((generation, depth + 1))
            }
            What::Add(_) | What::Remove(_) | What::Leave | What::Demote(_) => None,
        }
    }

    fn own(&self, act: usize) -> Option<Own> {
        if let Some(known) = self.own.borrow().get(&act) {
            return *known;
        }
        let past = self.past(act);
        let allowed = match self.of(act).what {
            What::Promote(user) => past.is_member(user),
            What::Claim => past.may_claim(self.of(act).by),
            _ => false,
        };
        let own = past.creation().filter(|_| allowed).map(|creation| {
            let claims = past.set.iter().filter(|claim| matches!(self.of(**claim).what, What::Claim));
            let generations = claims.filter_map(|claim| Some(self.own(*claim)?.generation));
            Own { generation: generations.max().unwrap_or(0) + 1, creation }
        });
        self.own.borrow_mut().insert(act, own);
        own
    }
}

impl Reading<'_, '_> {
    fn users(&self) -> BTreeSet<UserId> {
        let named = |act: &usize| match &self.rules.of(*act).what {
            What::Create(members) => members.iter().copied().collect(),
            What::Add(user) => vec![*user],
            _ => Vec::new(),
        };
        self.set.iter().flat_map(named).collect()
    }

    fn rank(&self, user: UserId) -> Option<Rank> {
        self.grants(user).into_iter().filter_map(|grant| self.rules.rank(grant)).min()
    }

    fn is_member(&self, user: UserId) -> bool {
        !self.adds(user).is_empty() || !self.grants(user).is_empty()
    }

    /// Nobody is an admin, and nobody has been in it for longer.
    fn may_claim(&self, user: UserId) -> bool {
        let members: Vec<UserId> = self.users().into_iter().filter(|user| self.is_member(*user)).collect();
        let is_abandoned = members.iter().all(|member| self.grants(*member).is_empty());
        let seniority = |member: &UserId| {
            (self.adds(*member).into_iter().map(|add| self.rules.place(add)).min(), *member)
        };
        is_abandoned && members.into_iter().min_by_key(seniority) == Some(user)
    }

    /// The creation that stands: the lowest.
    fn creation(&self) -> Option<usize> {
        let creations =
            self.set.iter().copied().filter(|act| matches!(self.rules.of(*act).what, What::Create(_)));
        creations.min_by_key(|creation| self.rules.place(*creation))
    }

    /// The adds of the user that stand and that no standing removal or leave of theirs has seen.
    fn adds(&self, user: UserId) -> Vec<usize> {
        let adds = |act: &usize| match &self.rules.of(*act).what {
            What::Create(members) => members.contains(&user),
            What::Add(added) => *added == user,
            _ => false,
        };
        let is_undone = |add: usize| {
            let of_user = |act: &usize| match self.rules.of(*act).what {
                What::Leave => self.rules.of(*act).by == user,
                What::Remove(removed) => removed == user,
                _ => false,
            };
            let mut removals = self.set.iter().copied().filter(of_user);
            removals.any(|removal| self.rules.saw_it_or_an_alias(removal, add) && self.stands(removal))
        };
        self.set.iter().copied().filter(|act| adds(act) && self.stands(*act) && !is_undone(*act)).collect()
    }

    /// The grants of the user that stand and are not revoked.
    fn grants(&self, user: UserId) -> Vec<usize> {
        let of_user = |act: &usize| self.rules.holder(*act) == Some(user);
        let is_live = |act: &usize| self.stands(*act) && self.revocations(*act).is_empty();
        self.set.iter().copied().filter(of_user).filter(is_live).collect()
    }

    /// The standing revocations of a grant.
    fn revocations(&self, grant: usize) -> Vec<usize> {
        let (rules, holder) = (self.rules, self.rules.holder(grant));
        let revokes = |act: &usize| {
            let above = match rules.of(*act).what {
                What::Leave => Some(rules.of(*act).by) == holder,
                What::Remove(user) | What::Demote(user) => {
                    let rank = rules.grant_of(*act).and_then(|own| rules.rank(own));
                    Some(user) == holder && rank.zip(rules.rank(grant)).is_some_and(|(own, its)| own < its)
                }
                _ => false,
            };
            above && rules.saw_it_or_an_alias(*act, grant) && self.stands(*act)
        };
        self.set.iter().copied().filter(revokes).collect()
    }

    fn stands(&self, act: usize) -> bool {
        if let Some(verdict) = self.verdicts.borrow().get(&act) {
            return *verdict;
        }
        let verdict = self.judge(act);
        self.verdicts.borrow_mut().insert(act, verdict);
        verdict
    }

    fn judge(&self, act: usize) -> bool {
        match self.rules.of(act).what {
            What::Leave => true,
            What::Create(_) => {
                let is_it = |lowest| lowest == act || self.rules.are_aliases(lowest, act);
                self.creation().is_some_and(is_it)
            }
            What::Add(_) | What::Demote(_) => self.is_authorised(act),
            What::Promote(_) => self.is_authorised(act) && self.rules.own(act).is_some(),
            What::Remove(user) => self.is_authorised(act) && !self.meets_an_equal(act, user),
            What::Claim => self.claim_stands(act),
        }
    }

    /// Its grant stands, and every standing revocation of that comes after it: what was done before is kept, what was done concurrently is not.
    fn is_authorised(&self, act: usize) -> bool {
        let Some(grant) = self.rules.grant_of(act) else { return false };
        let after = |revocation: usize| self.rules.saw(revocation, act);
        self.stands(grant) && self.revocations(grant).into_iter().all(after)
    }

    /// It removes somebody who, as it saw, was an admin of its own rank or above.
    fn meets_an_equal(&self, act: usize, user: UserId) -> bool {
        let rules = self.rules;
        let Some(own) = rules.grant_of(act).and_then(|grant| rules.rank(grant)) else { return false };
        let grants = self.set.iter().copied().filter(|grant| rules.holder(*grant) == Some(user));
        let not_below = grants.filter(|grant| rules.rank(*grant).is_some_and(|its| its <= own));
        let mut seen = not_below.filter(|grant| rules.saw_it_or_an_alias(act, *grant) && self.stands(*grant));
        seen.any(|grant| !self.revocations(grant).into_iter().any(|revocation| rules.saw(act, revocation)))
    }

    /// The group was abandoned where it was made, and its author neither left concurrently nor was removed by an earlier generation.
    fn claim_stands(&self, act: usize) -> bool {
        let (rules, by) = (self.rules, self.rules.of(act).by);
        let Some(own) = rules.own(act) else { return false };
        let removes = |removal: &usize| {
            let by_higher = match rules.of(*removal).what {
                What::Leave => rules.of(*removal).by == by,
                What::Remove(user) => {
                    let rank = rules.grant_of(*removal).and_then(|own| rules.rank(own));
                    user == by && rank.is_some_and(|(generation, _)| generation < own.generation)
                }
                _ => false,
            };
            let concurrent = !rules.saw(*removal, act) && !rules.saw(act, *removal);
            by_higher && concurrent && self.stands(*removal)
        };
        self.stands(own.creation) && !self.set.iter().any(removes)
    }
}
