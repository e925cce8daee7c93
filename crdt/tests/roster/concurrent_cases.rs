//! The table of concurrent cases of the roster, row by row: what the head of `crdt/src/roster/mod.rs` promises.
//!
//! Up to four regions; each case says what each of them issued and what it had seen. Every case is applied in every order that extends
//! happened-before, compared with the model, and once more folded as far as it goes.

use super::model::Model;
use crate::histories::{replica, user};
use crdt::roster::{Action, Change, Member, NotAllowed, RosterOperation, Wish};
use crdt::*;
use std::collections::{BTreeMap, BTreeSet};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;

/// Users by a letter: O creates, the rest are who the case makes them.
const O: u64 = 0;
const P: u64 = 1;
const X: u64 = 2;
const Y: u64 = 3;
const Z: u64 = 4;
const M: u64 = 5;
const N: u64 = 6;

/// A name for an operation of a case.
#[derive(Clone, Copy)]
struct Made(usize);

#[derive(Default)]
struct Case {
    operations: Vec<RosterOperation>,
    issued: BTreeMap<usize, u64>,
}

impl Case {
    /// A group that O created at A with these members.
    fn group(members: &[u64]) -> (Self, Made) {
        let mut case = Self::default();
        let members = members.iter().copied().map(user).collect();
        let created = case.at(A, O, &[], Action::Create { members, shares: BTreeMap::new() });
        (case, created)
    }

    /// Issued at a region by a user, with these operations and what they had seen in sight.
    fn at(&mut self, region: usize, sender: u64, seen: &[Made], action: Action) -> Made {
        let command = MessageId(self.operations.len() as u128 + 1);
        self.again(region, sender, command, seen, action)
    }

    /// The same under a command's id that was used before.
    fn again(
        &mut self,
        region: usize,
        sender: u64,
        command: MessageId,
        seen: &[Made],
        action: Action,
    ) -> Made {
        let sequence = self.issued.entry(region).or_default();
        *sequence += 1;
        let dot = Dot { replica: replica(region), sequence: Sequence(*sequence) };
        let mut cut = Cut::new();
        for Made(number) in seen {
            cut.join(&self.operations[*number].change.cut);
            cut.raise(self.operations[*number].place.dot);
        }
        let hlc = Timestamp::from_ms(self.operations.len() as u64 + 1);
        let change = Change { cut, action };
        let operation = RosterOperation { place: Place { hlc, dot }, sender: user(sender), command, change };
        self.operations.push(operation);
        Made(self.operations.len() - 1)
    }

    fn dot(&self, Made(number): Made) -> Dot {
        self.operations[number].place.dot
    }

    fn command(&self, Made(number): Made) -> MessageId {
        self.operations[number].command
    }

    fn add(&mut self, region: usize, by: (u64, Made), seen: &[Made], who: u64) -> Made {
        let under = self.dot(by.1);
        self.at(region, by.0, seen, Action::Add { user: user(who), under })
    }

    fn remove(&mut self, region: usize, by: (u64, Made), seen: &[Made], who: u64) -> Made {
        let under = self.dot(by.1);
        self.at(region, by.0, seen, Action::Remove { user: user(who), under })
    }

    fn promote(&mut self, region: usize, by: (u64, Made), seen: &[Made], who: u64) -> Made {
        let under = self.dot(by.1);
        self.at(region, by.0, seen, Action::Promote { user: user(who), under })
    }

    fn demote(&mut self, region: usize, by: (u64, Made), seen: &[Made], who: u64) -> Made {
        let under = self.dot(by.1);
        self.at(region, by.0, seen, Action::Demote { user: user(who), under })
    }

    fn leave(&mut self, region: usize, who: u64, seen: &[Made]) -> Made {
        self.at(region, who, seen, Action::Leave)
    }

    /// The roster in the end, the same in every order.
    fn outcome(&self) -> Roster {
        let mut states = self.orders(&[]).into_iter().map(|order| {
            let mut roster = Roster::default();
            order.iter().for_each(|at| drop(roster.apply(self.operations[*at].clone()).unwrap()));
            roster
        });
        let first = states.next().unwrap();
        for state in states {
            assert_eq!(state, first);
        }
        let model = Model::new(&self.operations);
        let reading = model.read(|_| true);
        for user in reading.users() {
            let member = first.member(user);
            assert_eq!(member.is_some(), reading.is_member(user), "{user}");
            let rank = member.as_ref().and_then(|member| member.rank);
            assert_eq!(rank.map(|rank| (rank.generation(), rank.depth())), reading.rank(user), "{user}");
            assert!(member.is_none_or(|member| member.since == reading.since(user).unwrap_or_default()));
        }
        let mut folded = first.clone();
        folded.fold(&self.operations.iter().map(|operation| operation.place.dot).collect());
        assert_eq!(folded.unfolded(), 0);
        assert_eq!(folded.canonical_bytes(), first.canonical_bytes());
        first
    }

    fn orders(&self, done: &[usize]) -> Vec<Vec<usize>> {
        if done.len() == self.operations.len() {
            return vec![done.to_vec()];
        }
        let applied: Cut = done.iter().map(|at| self.operations[*at].place.dot).collect();
        let ready = (0..self.operations.len())
            .filter(|at| !done.contains(at) && applied.covers_all(&self.operations[*at].change.cut));
        ready.flat_map(|at| self.orders(&[done, &[at]].concat())).collect()
    }
}

fn members(roster: &Roster) -> Vec<UserId> {
    roster.members().collect()
}

fn users(letters: &[u64]) -> Vec<UserId> {
    letters.iter().copied().map(user).collect()
}

fn admins(roster: &Roster) -> Vec<UserId> {
    let is_admin = |user: &UserId| roster.member(*user).is_some_and(|member| member.rank.is_some());
    roster.members().filter(is_admin).collect()
}

#[test]
fn what_an_admin_does_concurrently_with_their_demotion_is_void_and_what_they_did_before_stands() {
    let (mut case, created) = Case::group(&[P]);
    let p = case.promote(A, (O, created), &[created], P);
    let before = case.add(B, (P, p), &[p], X);
    case.add(B, (P, p), &[before], Y);
    case.remove(B, (P, p), &[before], X);
    case.promote(B, (P, p), &[before], X);
    case.demote(A, (O, created), &[before], P);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[O, P, X]));
    assert_eq!(admins(&roster), users(&[O]));
}

#[test]
fn what_an_admin_does_concurrently_with_their_removal_is_void() {
    let (mut case, created) = Case::group(&[P]);
    let p = case.promote(A, (O, created), &[created], P);
    case.add(B, (P, p), &[p], Y);
    case.remove(A, (O, created), &[p], P);
    assert_eq!(members(&case.outcome()), users(&[O]));
}

#[test]
fn what_an_admin_does_after_their_demotion_is_void() {
    let (mut case, created) = Case::group(&[P]);
    let p = case.promote(A, (O, created), &[created], P);
    let demoted = case.demote(A, (O, created), &[p], P);
    case.add(B, (P, p), &[demoted], Y);
    assert_eq!(members(&case.outcome()), users(&[O, P]));
}

#[test]
fn of_two_revocations_that_would_void_each_other_the_higher_ranks_stands() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.promote(A, (P, p), &[p], X);
    case.demote(B, (P, p), &[x], X);
    case.demote(C, (X, x), &[x], P);
    let roster = case.outcome();
    assert_eq!(admins(&roster), users(&[O, P]));
}

#[test]
fn equals_cannot_revoke_each_other() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.promote(A, (O, created), &[p], X);
    let by_x = case.remove(B, (X, x), &[x], P);
    case.demote(C, (P, p), &[x], X);
    case.add(B, (X, x), &[by_x], M);
    case.add(C, (P, p), &[x], N);
    let roster = case.outcome();
    assert_eq!(admins(&roster), users(&[O, P, X]));
    assert_eq!(members(&roster), users(&[O, P, X, M, N]));
    assert_eq!(roster.judge_wish(user(X), Wish::Remove(user(P))), Err(NotAllowed::NotAbove(user(P))));
}

/// History 33: an order by seniority is cyclic here.
#[test]
fn a_chain_of_revocations_is_settled_from_the_top() {
    let (mut case, created) = Case::group(&[X, Y, Z, M]);
    let z = case.promote(A, (O, created), &[created], Z);
    let y = case.promote(A, (Z, z), &[z], Y);
    let x = case.promote(A, (Y, y), &[y], X);
    let removal = case.remove(A, (X, x), &[x], M);
    case.demote(B, (Y, y), &[x], X);
    case.demote(C, (Z, z), &[removal], Y);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[O, X, Y, Z]), "the removal stands");
    assert_eq!(admins(&roster), users(&[O, X, Z]));
}

#[test]
fn a_promotion_concurrent_with_the_removal_of_the_promoted_keeps_them_a_member() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    case.promote(B, (O, created), &[p], X);
    let removed = case.remove(C, (P, p), &[p], X);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[O, P, X]));
    assert_eq!(admins(&roster), users(&[O, P, X]));
    let mut demoted = case;
    demoted.demote(A, (O, created), &[Made(2), removed], X);
    assert_eq!(members(&demoted.outcome()), users(&[O, P]), "their add was undone, so nothing is left");
}

#[test]
fn a_promotion_concurrent_with_a_demotion_or_a_leave_of_the_promoted_stands() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let below = case.promote(B, (P, p), &[p], X);
    case.demote(A, (O, created), &[below], X);
    case.promote(C, (O, created), &[below], X);
    assert_eq!(admins(&case.outcome()), users(&[O, P, X]));

    let (mut case, created) = Case::group(&[X]);
    case.leave(B, X, &[created]);
    case.promote(A, (O, created), &[created], X);
    assert_eq!(admins(&case.outcome()), users(&[O, X]));
}

#[test]
fn a_promotion_concurrent_with_the_demotion_of_the_promoter_is_void() {
    let (mut case, created) = Case::group(&[P, X, M]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.promote(B, (P, p), &[p], X);
    case.remove(B, (X, x), &[x], M);
    case.demote(A, (O, created), &[p], P);
    let roster = case.outcome();
    assert_eq!(admins(&roster), users(&[O]));
    assert_eq!(members(&roster), users(&[O, P, X, M]), "nor does what was done under it stand");
}

#[test]
fn nobody_revokes_their_promoter() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.promote(B, (P, p), &[p], X);
    case.demote(C, (X, x), &[x], P);
    case.remove(C, (X, x), &[x], P);
    case.remove(D, (X, x), &[x], O);
    let roster = case.outcome();
    assert_eq!(admins(&roster), users(&[O, P, X]));
    assert_eq!(roster.judge_wish(user(X), Wish::Demote(user(P))), Err(NotAllowed::NotAbove(user(P))));
}

/// Else who was removed in vain would drop out of the group with their role, much later.
#[test]
fn a_removal_by_who_is_not_above_undoes_no_add() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.promote(A, (O, created), &[p], X);
    let removed = case.remove(B, (X, x), &[x], P);
    case.demote(A, (O, created), &[removed], P);
    assert_eq!(members(&case.outcome()), users(&[O, P, X]));
}

#[test]
fn a_removal_concurrent_with_an_add_leaves_the_user_a_member_by_that_add() {
    let (mut case, created) = Case::group(&[P]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.add(A, (O, created), &[p], X);
    let removed = case.remove(B, (P, p), &[x], X);
    let again = case.add(C, (O, created), &[x], X);
    let roster = case.outcome();
    let since = case.operations[again.0].change.cut.clone();
    assert_eq!(roster.member(user(X)), Some(Member { rank: None, since }));
    let mut readded = case;
    readded.remove(A, (O, created), &[removed, again], X);
    assert_eq!(members(&readded.outcome()), users(&[O, P]));
}

#[test]
fn a_leave_concurrent_with_an_add_leaves_the_user_a_member_by_that_add() {
    let (mut case, created) = Case::group(&[X]);
    case.leave(B, X, &[created]);
    let again = case.add(A, (O, created), &[created], X);
    let since = case.operations[again.0].change.cut.clone();
    assert_eq!(case.outcome().member(user(X)), Some(Member { rank: None, since }));
}

#[test]
fn a_removal_concurrent_with_a_removal_and_adding_again_leaves_a_member() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let removed = case.remove(B, (O, created), &[p], X);
    case.add(B, (O, created), &[removed], X);
    case.remove(C, (P, p), &[p], X);
    assert_eq!(members(&case.outcome()), users(&[O, P, X]));
}

#[test]
fn an_add_and_its_resend_one_of_which_a_removal_had_seen_are_undone() {
    let (mut case, created) = Case::group(&[P]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.add(A, (O, created), &[p], X);
    let under = case.dot(created);
    let command = case.command(x);
    case.again(B, O, command, &[p], Action::Add { user: user(X), under });
    let removed = case.remove(C, (P, p), &[x], X);
    assert_eq!(members(&case.outcome()), users(&[O, P]));
    case.add(D, (O, created), &[removed], X);
    assert_eq!(members(&case.outcome()), users(&[O, P, X]), "another command is another add");
}

/// History 30, as far as the roster is concerned.
#[test]
fn a_removal_whose_remover_is_demoted_concurrently_never_was() {
    let (mut case, created) = Case::group(&[Z, X]);
    let z = case.promote(A, (O, created), &[created], Z);
    case.remove(B, (Z, z), &[z], X);
    case.demote(D, (O, created), &[z], Z);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[O, X, Z]));
    assert_eq!(roster.member(user(X)).unwrap().since, Cut::new(), "they see what they always saw");
}

#[test]
fn a_leave_always_stands() {
    let (mut case, created) = Case::group(&[P]);
    let p = case.promote(A, (O, created), &[created], P);
    case.leave(B, P, &[p]);
    case.leave(C, P, &[p]);
    case.demote(A, (O, created), &[p], P);
    assert_eq!(members(&case.outcome()), users(&[O]));
}

#[test]
fn an_add_concurrent_with_the_adders_leave_is_void() {
    let (mut case, created) = Case::group(&[P]);
    let p = case.promote(A, (O, created), &[created], P);
    case.leave(B, P, &[p]);
    case.add(C, (P, p), &[p], X);
    assert_eq!(members(&case.outcome()), users(&[O]));
}

#[test]
fn a_promotion_of_a_non_member_is_void() {
    let (mut case, created) = Case::group(&[X]);
    let left = case.leave(A, X, &[created]);
    case.promote(B, (O, created), &[left], X);
    case.promote(C, (O, created), &[created], Y);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[O]));
    assert_eq!(roster.judge_wish(user(O), Wish::Promote(user(X))), Err(NotAllowed::NoSuchMember(user(X))));
}

#[test]
fn a_removal_and_a_resent_promotion_of_which_it_had_seen_one_leave_nothing() {
    let (mut case, created) = Case::group(&[X]);
    let x = case.promote(A, (O, created), &[created], X);
    let under = case.dot(created);
    let command = case.command(x);
    case.again(B, O, command, &[created], Action::Promote { user: user(X), under });
    case.remove(A, (O, created), &[x], X);
    assert_eq!(members(&case.outcome()), users(&[O]));
}

#[test]
fn an_admin_whose_own_add_died_stays_one() {
    let (mut case, created) = Case::group(&[P]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.add(B, (P, p), &[p], X);
    let promoted = case.promote(C, (O, created), &[x], X);
    case.demote(A, (O, created), &[p], P);
    case.add(C, (X, promoted), &[promoted], M);
    let roster = case.outcome();
    assert_eq!(admins(&roster), users(&[O, X]), "a grant never depends on an add");
    assert_eq!(members(&roster), users(&[O, P, X, M]));
}

#[test]
fn an_admin_promoted_at_a_and_demoted_at_b_by_one_whom_the_creator_demotes_at_c() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.promote(A, (P, p), &[p], X);
    let added_by_x = case.add(D, (X, x), &[x], M);
    case.demote(B, (P, p), &[x], X);
    case.add(B, (P, p), &[x], N);
    case.demote(C, (O, created), &[x], P);
    case.add(C, (O, created), &[x], Y);
    let roster = case.outcome();
    assert_eq!(admins(&roster), users(&[O, X]), "the demotion of X is void, for P was demoted concurrently");
    assert_eq!(members(&roster), users(&[O, P, X, Y, M]), "what X and O added stands, what P added does not");
    assert_eq!(roster.member(user(M)).unwrap().since, case.operations[added_by_x.0].change.cut);
}

#[test]
fn two_adds_whose_adders_demote_each_other_stand_by_rank() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let x = case.promote(A, (P, p), &[p], X);
    case.add(B, (P, p), &[x], M);
    case.demote(B, (P, p), &[x], X);
    case.add(C, (X, x), &[x], N);
    case.demote(C, (X, x), &[x], P);
    assert_eq!(members(&case.outcome()), users(&[O, P, X, M]));
}

#[test]
fn when_the_last_admin_has_left_the_most_senior_member_may_claim() {
    let (mut case, created) = Case::group(&[]);
    let y = case.add(A, (O, created), &[created], Y);
    let x = case.add(A, (O, created), &[y], X);
    let left = case.leave(A, O, &[x]);
    let abandoned = case.outcome();
    assert_eq!(admins(&abandoned), []);
    assert_eq!(abandoned.judge_wish(user(X), Wish::Claim), Err(NotAllowed::NotMostSenior(user(Y))));
    assert_eq!(abandoned.judge_wish(user(X), Wish::Add(user(M))), Err(NotAllowed::NotAnAdmin));
    assert_eq!(abandoned.judge_wish(user(Y), Wish::Claim), Ok(Action::Claim));
    let void = case.at(B, X, &[left], Action::Claim);
    let claim = case.at(C, Y, &[left], Action::Claim);
    case.add(C, (Y, claim), &[claim], M);
    case.at(D, Y, &[x], Action::Claim);
    case.add(B, (X, void), &[void], N);
    let roster = case.outcome();
    assert_eq!(admins(&roster), users(&[Y]));
    assert_eq!(members(&roster), users(&[X, Y, M]));
}

/// What is not in sight of a claim and was done by admins who are gone there is void, so no admin of before comes back.
#[test]
fn a_claim_stands_against_what_the_last_admin_did_concurrently_with_their_leave() {
    let (mut case, created) = Case::group(&[X, Y]);
    let left = case.leave(B, O, &[created]);
    case.at(B, X, &[left], Action::Claim);
    let y = case.promote(A, (O, created), &[created], Y);
    case.remove(C, (Y, y), &[y], X);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[X, Y]));
    assert_eq!(admins(&roster), users(&[X]));
}

/// P leaves on two devices. As B has it X is the most senior then; as C has it P removed X before.
fn two_claims() -> (Case, Made, Made, Made) {
    let (mut case, created) = Case::group(&[P, X, Y, Z]);
    let p = case.promote(A, (O, created), &[created], P);
    let o_left = case.leave(A, O, &[p]);
    let p_left = case.leave(B, P, &[o_left]);
    let x_claims = case.at(B, X, &[p_left], Action::Claim);
    let x_removed = case.remove(C, (P, p), &[o_left], X);
    let y_removed = case.remove(C, (P, p), &[x_removed], Y);
    let p_left_again = case.leave(C, P, &[y_removed]);
    let z_claims = case.at(C, Z, &[p_left_again], Action::Claim);
    (case, p_left, x_claims, z_claims)
}

#[test]
fn two_claims_both_stand_as_equals() {
    let (mut case, _, x_claims, z_claims) = two_claims();
    case.demote(D, (X, x_claims), &[x_claims, z_claims], Z);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[X, Y, Z]), "P left concurrently with removing X and Y");
    assert_eq!(admins(&roster), users(&[X, Z]));
    assert_eq!(roster.member(user(X)).unwrap().rank, roster.member(user(Z)).unwrap().rank);
}

#[test]
fn a_claim_concurrent_with_a_removal_by_an_earlier_generation_is_void() {
    let (mut case, p_left, x_claims, z_claims) = two_claims();
    let x_left = case.leave(B, X, &[x_claims]);
    let y_claims = case.at(B, Y, &[x_left], Action::Claim);
    let without_removal = case.outcome();
    assert_eq!(admins(&without_removal), users(&[Y, Z]));
    let rank = |user| without_removal.member(user).unwrap().rank.unwrap();
    assert!(rank(user(Z)).is_above(rank(user(Y))), "the earlier generation stands higher");
    case.remove(D, (Z, z_claims), &[z_claims, p_left], Y);
    case.add(B, (Y, y_claims), &[y_claims], M);
    assert_eq!(members(&case.outcome()), users(&[Z]));
}

#[test]
fn a_leave_on_one_device_voids_a_claim_on_another() {
    let (mut case, created) = Case::group(&[X, Y]);
    let left = case.leave(A, O, &[created]);
    case.at(B, X, &[left], Action::Claim);
    case.leave(C, X, &[left]);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[Y]));
    assert_eq!(roster.judge_wish(user(Y), Wish::Claim), Ok(Action::Claim));
}

#[test]
fn two_creations_of_one_id_the_lower_stands_and_all_under_the_other_is_void() {
    let mut case = Case::default();
    let create = |members: &[u64]| {
        let members: BTreeSet<UserId> = members.iter().copied().map(user).collect();
        Action::Create { members, shares: BTreeMap::new() }
    };
    let first = case.at(A, O, &[], create(&[P]));
    let second = case.at(B, X, &[], create(&[Y]));
    let added = case.add(B, (X, second), &[second], M);
    let left = case.leave(B, X, &[added]);
    let claim = case.at(B, Y, &[left], Action::Claim);
    case.add(B, (Y, claim), &[claim], N);
    case.add(A, (O, first), &[first], Z);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[O, P, Z]));
    assert_eq!(admins(&roster), users(&[O]));
}

#[test]
fn a_creation_taken_by_two_regions_is_one_and_a_leave_that_saw_either_counts() {
    let mut case = Case::default();
    let create =
        || Action::Create { members: users(&[O, P, X]).into_iter().collect(), shares: BTreeMap::new() };
    let first = case.again(A, O, MessageId(77), &[], create());
    let second = case.again(B, O, MessageId(77), &[], create());
    case.leave(B, X, &[second]);
    case.add(B, (O, second), &[second], M);
    case.promote(A, (O, first), &[first], P);
    let roster = case.outcome();
    assert_eq!(members(&roster), users(&[O, P, M]));
    assert_eq!(admins(&roster), users(&[O, P]));
}

/// History 31: what is stable is not folded while something here is concurrent with it.
#[test]
fn stability_alone_folds_nothing_that_can_still_change() {
    let (mut case, created) = Case::group(&[P, X]);
    let p = case.promote(A, (O, created), &[created], P);
    let removed = case.remove(B, (P, p), &[p], X);
    case.demote(C, (O, created), &[p], P);
    let mut roster = case.outcome();
    roster.fold(&Cut::from_iter([created, p, removed].map(|made| case.dot(made))));
    assert_eq!(roster.unfolded(), 2, "the removal waits for the demotion");
    assert_eq!(members(&roster), users(&[O, P, X]));
}

#[test]
fn an_operation_behind_the_fold_is_refused_by_name_and_changes_nothing() {
    let (mut case, created) = Case::group(&[X]);
    case.leave(A, X, &[created]);
    let late = case.promote(B, (O, created), &[created], X);
    let mut roster = Roster::default();
    roster.apply(case.operations[0].clone()).unwrap();
    roster.apply(case.operations[1].clone()).unwrap();
    roster.fold(&Cut::from_iter([case.operations[1].place.dot]));
    let before = roster.clone();
    assert_eq!(roster.apply(case.operations[2].clone()), Err(crdt::roster::BehindFold(case.dot(late))));
    assert_eq!(roster, before);
}
