//! What was done with a group's rights to members' places, added up anew from what each operation says: slow, obvious, and sharing no code with what is judged.
//!
//! A creation issues so many to each region and one for each first member; an add spends one of its region's; a region gives some of its own to another, has those
//! back that it had spent, and takes over all of one that an epoch has closed. What must always hold: a sum is over a set of operations, in whatever order they came.

use super::operations::{Facts, Number};
use crdt::group::RightsAct;
use crdt::{Dot, ReplicaId, UserId};
use region::item::{Content, Item};
use std::collections::{BTreeMap, BTreeSet};

/// What was done with the rights of a conversation.
#[derive(Debug, Default)]
pub(crate) struct RightsFacts {
    acts: Vec<(Number, Act)>,
}

#[derive(Debug)]
enum Act {
    Issue { shares: BTreeMap<ReplicaId, u64>, first: BTreeSet<UserId> },
    Spend { by: ReplicaId },
    Give { by: ReplicaId, to: ReplicaId, rights: u64 },
    Return { by: ReplicaId, rights: BTreeSet<(Dot, UserId)> },
    TakeOver { by: ReplicaId, of: ReplicaId },
}

impl RightsFacts {
    /// An operation, as the region that issued it tells it; nothing if it is of another kind.
    pub(super) fn add(&mut self, number: Number, item: &Item) {
        let by = item.dot.replica;
        let act = match &item.content {
            Content::Created { members, shares, direct: false, .. } => {
                let first = members.iter().copied().chain([item.sender]).collect();
                Act::Issue { shares: shares.clone(), first }
            }
            Content::Added { .. } => Act::Spend { by },
            Content::Rights(RightsAct::Transfer { to, rights }) => {
                Act::Give { by, to: *to, rights: rights.0 }
            }
            Content::Rights(RightsAct::Return(rights)) => {
                let rights = rights.iter().map(|right| (right.dot, right.user)).collect();
                Act::Return { by, rights }
            }
            Content::Rights(RightsAct::Inherit(of)) => Act::TakeOver { by, of: *of },
            _ => return,
        };
        self.acts.push((number, act));
    }

    /// That operation is no more.
    pub(super) fn forget(&mut self, number: Number) {
        self.acts.retain(|(of, _)| *of != number);
    }
}

impl Facts {
    /// What each region holds after those operations: below zero if it has spent or given more than it had.
    pub(crate) fn rights_held(&self, is_in: impl Fn(Number) -> bool) -> BTreeMap<ReplicaId, i64> {
        let signed = |rights: u64| i64::try_from(rights).unwrap_or(i64::MAX);
        let mut held: BTreeMap<ReplicaId, i64> = BTreeMap::new();
        let mut is_issued = false;
        for (_, act) in self.rights.acts.iter().filter(|(number, _)| is_in(*number)) {
            let mut move_by = |replica: ReplicaId, rights| *held.entry(replica).or_default() += rights;
            match act {
                // Sent again elsewhere it is the same creation.
                Act::Issue { .. } if is_issued => {}
                Act::Issue { shares, .. } => {
                    is_issued = true;
                    shares.iter().for_each(|(replica, rights)| move_by(*replica, signed(*rights)));
                }
                Act::Spend { by } => move_by(*by, -1),
                Act::Give { by, to, rights } => {
                    move_by(*by, -signed(*rights));
                    move_by(*to, signed(*rights));
                }
                Act::Return { by, rights } => move_by(*by, signed(rights.len() as u64)),
                Act::TakeOver { .. } => {}
            }
        }
        // Whatever was and is meant for a closed one is its heir's.
        let heirs = self.heirs(is_in);
        let mut of_heirs: BTreeMap<ReplicaId, i64> = BTreeMap::new();
        for (replica, rights) in held {
            *of_heirs.entry(last_heir(&heirs, replica)).or_default() += rights;
        }
        of_heirs
    }

    /// Who has taken over from whom by those operations.
    fn heirs(&self, is_in: impl Fn(Number) -> bool) -> BTreeMap<ReplicaId, ReplicaId> {
        let mut heirs = BTreeMap::new();
        for (_, act) in self.rights.acts.iter().filter(|(number, _)| is_in(*number)) {
            if let Act::TakeOver { by, of } = act {
                heirs.entry(*of).or_insert(*by);
            }
        }
        heirs
    }

    /// How many rights are spent and not returned after those operations, those of first members among them.
    pub(crate) fn rights_spent(&self, is_in: impl Fn(Number) -> bool) -> i64 {
        let acts = || self.rights.acts.iter().filter(|(number, _)| is_in(*number)).map(|(_, act)| act);
        let first =
            acts().find_map(|act| if let Act::Issue { first, .. } = act { Some(first.len()) } else { None });
        let spent = acts().filter(|act| matches!(act, Act::Spend { .. })).count();
        let returned = acts().map(|act| if let Act::Return { rights, .. } = act { rights.len() } else { 0 });
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        signed(first.unwrap_or(0)) + signed(spent) - signed(returned.sum())
    }

    /// How many members and rights its creations issued; none if it has none, or they differ.
    pub(crate) fn rights_issued(&self) -> Option<u64> {
        let issues = || {
            self.rights.acts.iter().filter_map(|(_, act)| match act {
                Act::Issue { shares, first } => Some((shares, first)),
                _ => None,
            })
        };
        let one = issues().next()?;
        let (shares, first) = one;
        issues().all(|other| other == one).then(|| shares.values().sum::<u64>() + first.len() as u64)
    }

    /// Whether a right that is said to be returned by that operation was not this region's, or had been returned before by an operation that counts.
    pub(crate) fn returns_wrongly(
        &self,
        number: Number,
        counts: impl Fn(Number) -> bool,
    ) -> Option<(Dot, UserId)> {
        let returned = |of: &(Number, Act)| match &of.1 {
            Act::Return { by, rights } => Some((of.0, *by, rights.clone())),
            _ => None,
        };
        let returns: Vec<_> = self.rights.acts.iter().filter_map(returned).collect();
        let (_, by, rights) = returns.iter().find(|(of, ..)| *of == number)?;
        let before = |right: &(Dot, UserId)| {
            returns.iter().any(|(of, _, others)| *of != number && counts(*of) && others.contains(right))
        };
        let heirs = self.heirs(|_| true);
        let is_its = |right: &(Dot, UserId)| last_heir(&heirs, right.0.replica) == last_heir(&heirs, *by);
        let mut wrong = rights.iter().filter(|right| !is_its(right) || before(right));
        wrong.next().copied()
    }
}

fn last_heir(heirs: &BTreeMap<ReplicaId, ReplicaId>, replica: ReplicaId) -> ReplicaId {
    // Nobody follows more often than there are heirs.
    (0..heirs.len()).fold(replica, |at, _| heirs.get(&at).copied().unwrap_or(at))
}
