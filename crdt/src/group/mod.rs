//! A group: its roster, and the rights by which it never has more members than its limit.
//!
//! To count members and add one if there is room exceeds the limit as soon as two regions do so at once; and to count the room that a removal
//! made exceeds it when the removal turns out void. So an add spends a right that its region holds (`escrow.rs`), and a right comes back only when
//! the roster has folded what freed it. What must always hold:
//! - Each member's place is held by one right that was spent on it and not returned. So whatever is concurrent with whatever, there are at most
//!   as many members as first members and rights.
//! - A right is returned once, by the replica that spent it or its heir, and by nobody else.
//! - An add that its replica had no right for is void: it spends nothing and adds nobody, here as everywhere.
//!
//! Cost of an add: the roster's and `O(log n)`. Growth: 19 bytes for each right that is spent.

mod bytes;
mod rights;

pub use rights::{RightsAct, RightsChange, RightsOperation};

use crate::escrow::{Act, Count, Escrow, Moved, Movement, NoneLeft};
use crate::id::{Dot, ReplicaId, UserId};
use crate::roster::{Action, BehindFold, NotAllowed, Right, Roster, RosterOperation, StandingChange, Wish};
use crate::timeline::Identity;
use crate::version_vector::Cut;
use std::collections::BTreeSet;

/// One group.
///
/// | concurrent | outcome |
/// | --- | --- |
/// | the last rights of two regions are spent | both adds stand: there was room for both |
/// | a removal, the use of the place that it made, and the undoing of the removal | the place is not free before all regions have acknowledged the removal and whatever is concurrent with it: then it stands, or nothing was freed |
/// | an add and its resend, each of which spent a right | one place: when both are folded, one right comes back |
/// | an add by an admin who is demoted concurrently | void: its right comes back when both are folded |
/// | a removal or leave, and a promotion of the same user | they stay by the promotion and keep their right; it comes back when that is over and folded |
/// | removed and added again | the old right comes back, the new one is held |
/// | a region is ended | its heir has what it held, and returns what it had spent |
/// | a store is restored | its new incarnation holds nothing until others give it some |
/// | two creations of one id | the rights of the one that stands count; what was spent under the other adds nobody |
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    roster: Roster,
    /// One a creation; where regions keep to the rules there is one.
    issues: Vec<Issue>,
}

/// The rights that one creation issued.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Issue {
    command: Identity,
    create: Action,
    /// The operations that are this creation: more than one if it was resent.
    creations: BTreeSet<Dot>,
    escrow: Escrow<Count>,
    /// Spent on adds and not returned.
    spent: BTreeSet<Right>,
    /// First members whose right was not returned.
    first: BTreeSet<UserId>,
    /// Freed by what is folded here, and not returned.
    freed: BTreeSet<Right>,
}

/// What a roster operation did to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Every user whose standing changed, sorted.
    pub changes: Vec<StandingChange>,
    /// False if it was an add that its replica had no right for: void, to be counted, and an alarm.
    pub covered: bool,
}

/// Why a wish is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The user may not.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// There is no room here.
    #[error(transparent)]
    NoneLeft(#[from] NoneLeft),
}

impl Group {
    /// Who is in it.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The creation that stands, as far as is known: what operations on rights name. If an earlier one comes to light, whoever had inherited
    /// inherits again, under that.
    #[must_use]
    pub fn creation(&self) -> Option<Dot> {
        self.roster.creation()
    }

    /// The most members that it can have.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.standing().map_or(0, |issue| match &issue.create {
            Action::Create { shares, .. } => shares
                .values()
                .fold(first_members(issue).len() as u64, |sum, share| sum.saturating_add(*share)),
            _ => 0,
        })
    }

    /// The door: as [`Roster::judge_wish`], and whether that replica has a right to spend on an add.
    ///
    /// # Errors
    /// [`Refused`] says why not, and where there would be room.
    pub fn judge_wish(&self, me: ReplicaId, sender: UserId, wish: Wish) -> Result<Action, Refused> {
        let action = self.roster.judge_wish(sender, wish)?;
        if let (Wish::Add(_), Some(issue)) = (wish, self.standing()) {
            issue.escrow.check(me, &Count(1))?;
        }
        Ok(action)
    }

    /// Takes a roster operation, once or again, under the conditions of [`Roster::apply`].
    ///
    /// # Errors
    /// [`BehindFold`] as there.
    pub fn apply(&mut self, operation: RosterOperation) -> Result<Applied, BehindFold> {
        if self.roster.is_known(&operation)? {
            return Ok(Applied { changes: Vec::new(), covered: true });
        }
        let dot = operation.dot();
        match &operation.change.action {
            Action::Create { .. } => self.create(&operation),
            Action::Add { user, .. } => {
                let creation = self.roster.spends_under(&operation);
                if let Some(issue) = creation.and_then(|creation| self.issue_of(creation)) {
                    let spend = Act::Spend(Count(1));
                    let movement = Movement { dot, cut: operation.change.cut.clone(), act: spend };
                    match issue.escrow.apply(&movement) {
                        Moved::Done => drop(issue.spent.insert(Right { dot, user: *user })),
                        Moved::NotHeld | Moved::AlreadyDone => {
                            return Ok(Applied { changes: Vec::new(), covered: false });
                        }
                    }
                }
            }
            Action::Remove { .. }
            | Action::Leave
            | Action::Promote { .. }
            | Action::Demote { .. }
            | Action::Claim => {}
        }
        Ok(Applied { changes: self.roster.apply(operation)?, covered: true })
    }

    /// Takes an operation on rights, once or again, after all that its cut covers.
    pub fn apply_rights(&mut self, operation: &RightsOperation) -> Moved {
        let RightsOperation { dot, change } = operation;
        let (dot, cut) = (*dot, change.cut.clone());
        let Some(issue) = self.issue_of(change.creation) else { return Moved::NotHeld };
        let act = match &change.act {
            RightsAct::Transfer { to, rights } => Act::Transfer { to: *to, part: *rights },
            RightsAct::Inherit(of) => Act::Inherit(*of),
            RightsAct::Return(rights) => {
                // What was returned is not out any more, so an operation that comes again has nothing back.
                let mine: Vec<Right> =
                    rights.iter().copied().filter(|right| issue.is_out(*right, dot.replica)).collect();
                mine.iter().for_each(|right| issue.take_back(*right));
                Act::Return(Count(mine.len() as u64))
            }
        };
        issue.escrow.apply(&Movement { dot, cut, act })
    }

    /// Folds what can be, as [`Roster::fold`], and notes which rights that frees.
    pub fn fold(&mut self, stable: &Cut) {
        let freed = self.roster.fold(stable);
        for right in freed {
            let issue = self.issues.iter_mut().find(|issue| issue.holds(right));
            if let Some(issue) = issue {
                issue.freed.insert(right);
            }
        }
        // What stood under another creation than the one that was folded is void for ever.
        if let Some(creation) = self.roster.folded_creation() {
            self.issues.retain(|issue| issue.creations.contains(&creation));
        }
    }

    /// What that replica is to issue for the rights' sake: have back what it may, else give some to who will need it
    /// ([`Escrow::transfer_due`]). Asked again when that is applied, until there is nothing.
    #[must_use]
    pub fn rights_due(&self, me: ReplicaId, reachable: &BTreeSet<ReplicaId>) -> Option<(Dot, RightsAct)> {
        let issue = self.standing()?;
        let creation = *issue.creations.first()?;
        let mine: BTreeSet<Right> =
            issue.freed.iter().copied().filter(|right| issue.is_out(*right, me)).collect();
        if !mine.is_empty() {
            return Some((creation, RightsAct::Return(mine)));
        }
        let (to, rights) = issue.escrow.transfer_due(me, reachable)?;
        Some((creation, RightsAct::Transfer { to, rights }))
    }

    /// What the heir of those replicas, which epochs have ended, is to issue to take over from one of them: nothing if none of them holds a right, or has spent one
    /// that may come back. It may be issued once all that they ever did is known.
    #[must_use]
    pub fn inheritance_due(&self, ended: impl IntoIterator<Item = ReplicaId>) -> Option<(Dot, RightsAct)> {
        let issue = self.standing()?;
        let creation = *issue.creations.first()?;
        let owns = |replica: &ReplicaId| {
            issue.escrow.last_heir(*replica) == *replica
                && (issue.escrow.held(*replica) > Count(0) || issue.has_spent(*replica))
        };
        ended.into_iter().find(owns).map(|of| (creation, RightsAct::Inherit(of)))
    }

    /// Whether every right that is spent holds somebody's place: until then some may come to be returned.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.spent() == self.roster.size() as u64
    }

    /// Who holds how many rights.
    #[must_use]
    pub fn held(&self, replica: ReplicaId) -> Count {
        self.standing().map_or(Count(0), |issue| issue.escrow.held(replica))
    }

    /// How many rights are held or on their way.
    #[must_use]
    pub fn held_by_all(&self) -> Count {
        let held =
            |issue: &Issue| issue.escrow.holders().fold(0_u64, |sum, (_, held)| sum.saturating_add(held.0));
        Count(self.standing().map_or(0, held))
    }

    /// How many rights are spent and not returned, those of first members among them.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.standing().map_or(0, |issue| (issue.spent.len() + issue.first.len()) as u64)
    }

    fn create(&mut self, operation: &RosterOperation) {
        let (command, create) = (operation.identity(), &operation.change.action);
        let same = |issue: &&mut Issue| issue.command == command && issue.create == *create;
        if let Some(issue) = self.issues.iter_mut().find(same) {
            issue.creations.insert(operation.dot());
            self.issues.sort_by_key(Issue::key);
            return;
        }
        let Action::Create { shares, .. } = create else { return };
        let shares = shares.iter().map(|(replica, share)| (*replica, Count(*share))).collect();
        let mut issue = Issue {
            command,
            create: create.clone(),
            creations: BTreeSet::from([operation.dot()]),
            escrow: Escrow::issue(shares),
            spent: BTreeSet::new(),
            first: BTreeSet::new(),
            freed: BTreeSet::new(),
        };
        issue.first = first_members(&issue);
        self.issues.push(issue);
        self.issues.sort_by_key(Issue::key);
    }

    fn issue_of(&mut self, creation: Dot) -> Option<&mut Issue> {
        self.issues.iter_mut().find(|issue| issue.creations.contains(&creation))
    }

    /// The issue of the creation that stands.
    fn standing(&self) -> Option<&Issue> {
        let creation = self.roster.creation()?;
        self.issues.iter().find(|issue| issue.creations.contains(&creation))
    }
}

fn first_members(issue: &Issue) -> BTreeSet<UserId> {
    match &issue.create {
        Action::Create { members, .. } => members.iter().copied().chain([issue.command.sender]).collect(),
        _ => BTreeSet::new(),
    }
}

impl Issue {
    /// By which they are kept in order: a command, and the first of its operations, since a client may use one command's id twice.
    fn key(&self) -> (Identity, Option<Dot>) {
        (self.command, self.creations.first().copied())
    }

    /// Whether the right was spent and not returned.
    fn holds(&self, right: Right) -> bool {
        let of_first_member = self.creations.contains(&right.dot) && self.first.contains(&right.user);
        self.spent.contains(&right) || of_first_member
    }

    /// Whether it was spent by that replica, or by one it is the heir of, and not returned.
    fn is_out(&self, right: Right, by: ReplicaId) -> bool {
        self.holds(right) && self.escrow.last_heir(right.dot.replica) == by
    }

    /// Whether any right that it spent was not returned.
    fn has_spent(&self, by: ReplicaId) -> bool {
        let of_first_member = self.creations.iter().any(|dot| dot.replica == by) && !self.first.is_empty();
        of_first_member || self.spent.iter().any(|right| right.dot.replica == by)
    }

    fn take_back(&mut self, right: Right) {
        if !self.spent.remove(&right) {
            self.first.remove(&right.user);
        }
        self.freed.remove(&right);
    }
}
