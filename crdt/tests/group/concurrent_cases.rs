//! The tables of `crdt/src/group.rs` and `crdt/src/escrow.rs`, row by row.
//!
//! Four regions with real groups; each case says what each of them is asked and what it has taken of the others. That the limit holds and
//! no right is lost is asserted after each operation by `histories.rs`.

use super::histories::{Entry, History, REGIONS, Step};
use crate::histories::{replica, user};
use crdt::escrow::{self, Act, Count, Escrow, Moved, Movement, NoneLeft};
use crdt::group::{Refused, RightsAct};
use crdt::roster::{Change, Wish};
use crdt::*;
use std::collections::{BTreeMap, BTreeSet};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;

/// O creates and is above all; Z is a first member.
const O: u64 = 0;
const Z: u64 = 1;
const X: u64 = 2;
const W: u64 = 3;
const V: u64 = 4;

/// A group of that limit, which every region has: O and Z are in it.
fn group(limit: u64) -> History {
    let mut history = History::new(limit);
    history.step(&Step::Create { region: A, own: false });
    share(&mut history);
    history
}

fn share(history: &mut History) {
    for _ in 0..2 {
        (0..REGIONS).for_each(|region| (0..REGIONS).for_each(|from| history.take_all(region, from)));
    }
}

fn ask(history: &mut History, region: usize, sender: u64, wish: Wish) {
    assert_eq!(history.try_ask(region, user(sender), wish), Ok(()));
}

fn members(history: &History, region: usize) -> Vec<UserId> {
    history.group(region).roster().members().collect()
}

fn users(letters: &[u64]) -> Vec<UserId> {
    letters.iter().copied().map(user).collect()
}

/// A full group of three: O, the admin Z, and X, who holds the only right there was.
fn full() -> History {
    let mut history = group(3);
    ask(&mut history, A, O, Wish::Promote(user(Z)));
    ask(&mut history, A, O, Wish::Add(user(X)));
    history.heal();
    history
}

/// History 30.
#[test]
fn a_removal_at_b_the_right_used_at_a_and_the_remover_demoted_at_d() {
    let mut history = full();
    ask(&mut history, B, Z, Wish::Remove(user(X)));
    ask(&mut history, D, O, Wish::Demote(user(Z)));
    history.take_all(A, B);
    for region in [A, B] {
        history.fold(region);
        assert_eq!(members(&history, region), users(&[O, Z]));
        let refused = history.try_ask(region, user(O), Wish::Add(user(W)));
        assert_eq!(refused, Err(Refused::NoneLeft(NoneLeft::Anywhere)), "the place is not free yet");
        assert_eq!(history.group(region).rights_due(history.id(region), &[history.id(region)].into()), None);
    }
    history.heal();
    assert_eq!(members(&history, A), users(&[O, Z, X]), "the removal was void");
    assert_eq!(history.try_ask(A, user(O), Wish::Add(user(W))), Err(Refused::NoneLeft(NoneLeft::Anywhere)));
}

#[test]
fn a_place_is_free_once_when_all_have_acknowledged_what_freed_it() {
    let mut history = full();
    ask(&mut history, B, Z, Wish::Remove(user(X)));
    history.heal();
    assert_eq!(history.group(B).held(history.id(A)), Count(1), "who spent it has it back");
    let here = NoneLeft::Here(history.id(A));
    assert_eq!(history.try_ask(B, user(O), Wish::Add(user(W))), Err(Refused::NoneLeft(here)));
    ask(&mut history, A, O, Wish::Add(user(W)));
    assert_eq!(history.try_ask(A, user(O), Wish::Add(user(V))), Err(Refused::NoneLeft(NoneLeft::Anywhere)));
}

#[test]
fn the_last_rights_of_two_regions_are_both_spent() {
    let mut history = group(4);
    assert_eq!(history.group(A).held(history.id(A)), Count(1));
    let poor = (B..=D).find(|region| history.group(A).held(history.id(*region)) == Count(1)).unwrap();
    ask(&mut history, A, O, Wish::Add(user(X)));
    ask(&mut history, poor, O, Wish::Add(user(W)));
    history.heal();
    assert_eq!(members(&history, C), users(&[O, Z, X, W]));
}

/// One command, taken by two regions.
fn resend_add(history: &mut History, region: usize) {
    let added = history.issued.iter().rposition(|entry| matches!(entry, Entry::Roster(it) if matches!(it.change, Change { action: roster::Action::Add { .. }, .. })));
    history.step(&Step::Resend { region, which: added.unwrap() });
}

#[test]
fn an_add_and_its_resend_hold_one_place_and_one_right_comes_back() {
    let mut history = group(6);
    let other = (B..=D).find(|region| history.group(A).held(history.id(*region)) > Count(0)).unwrap();
    ask(&mut history, A, O, Wish::Add(user(X)));
    resend_add(&mut history, other);
    history.take_all(other, A);
    assert_eq!(history.group(other).spent(), 4, "two rights for one place");
    history.heal();
    assert_eq!(history.group(A).spent(), 3);
    assert_eq!(members(&history, A), users(&[O, Z, X]));
}

#[test]
fn the_right_of_an_add_by_an_admin_who_is_demoted_concurrently_comes_back() {
    let mut history = group(6);
    ask(&mut history, A, O, Wish::Promote(user(Z)));
    share(&mut history);
    let other = (B..=D).find(|region| history.group(A).held(history.id(*region)) > Count(0)).unwrap();
    ask(&mut history, other, Z, Wish::Add(user(X)));
    ask(&mut history, A, O, Wish::Demote(user(Z)));
    share(&mut history);
    assert_eq!(members(&history, A), users(&[O, Z]));
    assert_eq!(history.group(A).spent(), 3, "not before it is folded");
    history.heal();
    assert_eq!(history.group(A).spent(), 2);
}

/// History 32: four leaves with a concurrent promotion, the right returned, promoted again.
#[test]
fn a_promotion_concurrent_with_leaves_keeps_its_members_right_until_that_is_over() {
    let mut history = full();
    for region in A..=D {
        ask(&mut history, region, X, Wish::Leave);
    }
    let mut promoted = full();
    ask(&mut promoted, A, O, Wish::Promote(user(X)));
    for region in B..=D {
        ask(&mut promoted, region, X, Wish::Leave);
    }
    promoted.heal();
    assert_eq!(members(&promoted, B), users(&[O, Z, X]));
    assert_eq!(promoted.group(B).spent(), 3, "their place is theirs by the grant");
    ask(&mut promoted, B, O, Wish::Demote(user(X)));
    promoted.heal();
    assert_eq!(members(&promoted, B), users(&[O, Z]));
    assert_eq!(promoted.group(B).spent(), 2);
    assert!(
        promoted.try_ask(B, user(O), Wish::Promote(user(X))).is_err(),
        "who is no member is not promoted"
    );
    history.heal();
    assert_eq!(history.group(A).spent(), 2, "and four leaves give one right back");
}

#[test]
fn who_is_removed_and_added_again_holds_the_new_right() {
    let mut history = group(8);
    ask(&mut history, A, O, Wish::Add(user(X)));
    ask(&mut history, A, O, Wish::Remove(user(X)));
    ask(&mut history, A, O, Wish::Add(user(X)));
    share(&mut history);
    assert_eq!(history.group(A).spent(), 4);
    history.heal();
    assert_eq!(history.group(A).spent(), 3);
    ask(&mut history, B, X, Wish::Leave);
    history.heal();
    assert_eq!(history.group(A).spent(), 2);
}

#[test]
fn an_ended_regions_heir_has_what_it_held_and_returns_what_it_had_spent() {
    let mut history = full();
    let ended = history.id(A);
    history.step(&Step::End { region: A, heir: B });
    history.heal();
    ask(&mut history, C, Z, Wish::Remove(user(X)));
    history.heal();
    assert_eq!(history.group(C).held(ended), Count(0));
    assert_eq!(history.group(C).held(history.id(B)), Count(1));
    ask(&mut history, B, O, Wish::Add(user(W)));
}

#[test]
fn a_restored_stores_new_incarnation_holds_nothing_until_others_give_it_some() {
    let mut history = group(10);
    history.step(&Step::End { region: A, heir: B });
    history.heal();
    assert_eq!(history.group(A).held(history.id(A)), Count(0));
    let refused = history.try_ask(A, user(O), Wish::Add(user(X)));
    assert!(matches!(refused, Err(Refused::NoneLeft(NoneLeft::Here(_)))), "{refused:?}");
    history.step(&Step::Move { region: B, reachable: REGIONS });
    history.take_all(A, B);
    ask(&mut history, A, O, Wish::Add(user(X)));
}

#[test]
fn of_two_creations_the_rights_of_the_one_that_stands_count() {
    let mut history = History::new(4);
    history.step(&Step::Create { region: A, own: false });
    history.step(&Step::Create { region: B, own: true });
    ask(&mut history, B, 1, Wish::Add(user(V)));
    ask(&mut history, A, O, Wish::Add(user(X)));
    history.heal();
    assert_eq!(members(&history, A), users(&[O, Z, X]));
    assert_eq!((history.group(A).spent(), history.group(A).limit()), (3, 4));
}

#[test]
fn a_creation_taken_by_two_regions_issues_its_rights_once() {
    let mut history = History::new(4);
    history.step(&Step::Create { region: A, own: false });
    history.step(&Step::Create { region: B, own: false });
    ask(&mut history, A, O, Wish::Add(user(X)));
    assert_eq!(
        history.try_ask(A, user(O), Wish::Add(user(W))).err().map(|it| matches!(it, Refused::NoneLeft(_))),
        Some(true)
    );
    ask(&mut history, B, O, Wish::Add(user(W)));
    history.heal();
    assert_eq!(members(&history, B), users(&[O, Z, X, W]));
}

/// A promotion that had seen one of the two creations, and a leave that had seen the other.
#[test]
fn the_right_of_a_first_member_is_one_whichever_creation_was_in_sight() {
    let mut history = History::new(3);
    history.step(&Step::Create { region: A, own: false });
    history.step(&Step::Create { region: B, own: false });
    history.take_all(C, A);
    ask(&mut history, B, O, Wish::Promote(user(Z)));
    ask(&mut history, C, Z, Wish::Leave);
    history.heal();
    assert_eq!(members(&history, D), users(&[O, Z]));
    assert_eq!(
        history.group(D).spent(),
        2,
        "their place is held by the right that they had from the beginning"
    );
    ask(&mut history, D, O, Wish::Remove(user(Z)));
    history.heal();
    assert_eq!(history.group(D).spent(), 1);
}

/// The right of an add that was folded and did not hold its member's place came back: it never holds it later.
#[test]
fn a_member_who_loses_a_grant_keeps_the_place_that_their_later_add_holds() {
    let mut history = group(6);
    ask(&mut history, A, O, Wish::Add(user(X)));
    share(&mut history);
    let other = (B..=D).find(|region| history.group(A).held(history.id(*region)) > Count(0)).unwrap();
    ask(&mut history, other, X, Wish::Leave);
    ask(&mut history, other, O, Wish::Add(user(X)));
    ask(&mut history, A, O, Wish::Promote(user(X)));
    history.heal();
    assert_eq!(history.group(A).spent(), 3);
    ask(&mut history, A, O, Wish::Demote(user(X)));
    history.heal();
    assert_eq!(members(&history, A), users(&[O, Z, X]));
    assert_eq!(history.group(A).spent(), 3);
}

#[test]
fn an_add_without_a_right_is_void_everywhere() {
    let mut history = full();
    history.step(&Step::Forge {
        region: B,
        sender: O,
        wish: super::histories::Asked::Add,
        target: W,
        grant: 0,
    });
    assert_eq!(history.uncovered.len(), 1);
    history.heal();
    assert_eq!(members(&history, D), users(&[O, Z, X]));
}

#[test]
fn what_was_returned_is_not_returned_again() {
    let mut history = full();
    ask(&mut history, B, Z, Wish::Remove(user(X)));
    history.heal();
    let is_return =
        |entry: &&Entry| matches!(entry, Entry::Rights(it) if matches!(it.change.act, RightsAct::Return(_)));
    assert_eq!(history.issued.iter().filter(is_return).count(), 1);
    history.step(&Step::ForgeRights { region: A, to: A, rights: 1 });
    history.step(&Step::ForgeRights { region: C, to: C, rights: 1 });
    assert_eq!(history.issued.iter().filter(is_return).count(), 3);
    history.heal();
    assert_eq!(history.group(D).held_by_all(), Count(1));
}

#[test]
fn first_shares_are_half_for_who_begins_and_the_rest_for_the_others_alike() {
    let all = |count| (0..count).map(replica).collect::<BTreeSet<_>>();
    let shares = |count, first, of| {
        let shares = escrow::shares(count, replica(first), &all(of));
        (0..of).map(|at| shares.get(&replica(at)).map_or(0, |share| share.0)).collect::<Vec<_>>()
    };
    assert_eq!(shares(1_022, 1, 3), [256, 511, 255]);
    assert_eq!(shares(1, 2, 3), [0, 0, 1]);
    assert_eq!(shares(0, 0, 2), [0, 0]);
    assert_eq!(shares(7, 0, 1), [7]);
    assert_eq!(shares(3, 0, 2), [2, 1]);
}

/// An escrow in which A and B hold so much, and what of it they did, as movements on cuts.
fn two(a: u64, b: u64) -> Escrow<Count> {
    Escrow::issue(BTreeMap::from([(replica(A), Count(a)), (replica(B), Count(b))]))
}

fn movement(at: usize, sequence: u64, seen: &[Dot], act: Act<Count>) -> Movement<Count> {
    let mut cut: Cut = seen.iter().copied().collect();
    let dot = Dot { replica: replica(at), sequence: Sequence(sequence) };
    if sequence > 1 {
        cut.raise(Dot { sequence: Sequence(sequence - 1), ..dot });
    }
    Movement { dot, cut, act }
}

#[test]
fn a_spending_by_a_receiver_who_had_not_seen_the_transfer_stands_on_what_they_held() {
    let gift = movement(A, 1, &[], Act::Transfer { to: replica(B), part: Count(2) });
    let unseen = movement(B, 1, &[], Act::Spend(Count(1)));
    let seen = movement(B, 2, &[gift.dot], Act::Spend(Count(2)));
    for first in [[&gift, &unseen], [&unseen, &gift]] {
        let mut escrow = two(2, 0);
        let moved: Vec<Moved> = first.iter().map(|movement| escrow.apply(movement)).collect();
        let at = first.iter().position(|movement| movement.dot == unseen.dot).unwrap();
        assert_eq!(moved[at], Moved::NotHeld);
        assert_eq!(escrow.apply(&seen), Moved::Done);
        assert_eq!(escrow.apply(&seen), Moved::AlreadyDone);
        assert_eq!(escrow, {
            let mut other = two(2, 0);
            for movement in [&unseen, &gift, &seen] {
                other.apply(movement);
            }
            other
        });
    }
}

#[test]
fn a_transfer_to_a_replica_that_is_ended_meanwhile_is_its_heirs() {
    let gift = movement(A, 1, &[], Act::Transfer { to: replica(B), part: Count(2) });
    let ended = movement(C, 1, &[], Act::Inherit(replica(B)));
    let spent = movement(C, 2, &[gift.dot], Act::Spend(Count(5)));
    let states = [[&gift, &ended], [&ended, &gift]].map(|order| {
        let mut escrow = two(3, 3);
        order.iter().for_each(|movement| assert_eq!(escrow.apply(movement), Moved::Done));
        assert_eq!(escrow.apply(&spent), Moved::Done);
        escrow
    });
    assert_eq!(states[0], states[1]);
    assert_eq!(states[0].holders().collect::<Vec<_>>(), [(replica(A), Count(1))]);
}

#[test]
fn two_replicas_that_spend_their_last_have_both_spent_it() {
    let spendings = [movement(A, 1, &[], Act::Spend(Count(1))), movement(B, 1, &[], Act::Spend(Count(1)))];
    for order in [[0, 1], [1, 0_usize]] {
        let mut escrow = two(1, 1);
        for at in order {
            assert_eq!(escrow.apply(&spendings[at]), Moved::Done);
        }
        assert_eq!(escrow.holders().count(), 0);
        assert_eq!(escrow.check(replica(A), &Count(1)), Err(NoneLeft::Anywhere));
    }
}

#[test]
fn a_new_incarnation_holds_nothing_until_somebody_gives_it_something() {
    let again = ReplicaId { incarnation: Incarnation(0xffff), ..replica(A) };
    let spending = |sequence, cut| {
        let dot = Dot { replica: again, sequence: Sequence(sequence) };
        Movement { dot, cut, act: Act::Spend(Count(1)) }
    };
    let gift = movement(B, 1, &[], Act::Transfer { to: again, part: Count(1) });
    let mut escrow = two(3, 3);
    assert_eq!(escrow.apply(&spending(1, Cut::new())), Moved::NotHeld);
    assert_eq!(escrow.apply(&gift), Moved::Done);
    assert_eq!(escrow.apply(&spending(2, Cut::from_iter([gift.dot]))), Moved::Done);
    assert_eq!(
        escrow.held(replica(A)),
        Count(3),
        "what the old one held stays its own, until an heir is named"
    );
}

#[test]
fn two_transfers_to_each_other_both_stand() {
    let mut escrow = two(1, 2);
    escrow.apply(&movement(A, 1, &[], Act::Transfer { to: replica(B), part: Count(1) }));
    escrow.apply(&movement(B, 1, &[], Act::Transfer { to: replica(A), part: Count(2) }));
    assert_eq!((escrow.held(replica(A)), escrow.held(replica(B))), (Count(2), Count(1)));
}

#[test]
fn what_is_spent_on_the_strength_of_a_void_transfer_is_void() {
    let mut escrow = two(1, 0);
    let gift = movement(A, 1, &[], Act::Transfer { to: replica(B), part: Count(2) });
    assert_eq!(escrow.apply(&gift), Moved::NotHeld);
    assert_eq!(escrow.apply(&movement(B, 1, &[gift.dot], Act::Spend(Count(1)))), Moved::NotHeld);
    assert_eq!(escrow.held(replica(A)), Count(1));
}

#[test]
fn one_time_keys_are_leased_and_spent_by_the_same_rules() {
    let keys = |keys: &[u32]| keys.iter().copied().collect::<BTreeSet<u32>>();
    let mut escrow = Escrow::issue(BTreeMap::from([(replica(A), keys(&[1, 2, 3]))]));
    let dot = |at, sequence| Dot { replica: replica(at), sequence: Sequence(sequence) };
    let lease = Act::Transfer { to: replica(B), part: keys(&[2, 3]) };
    assert_eq!(escrow.apply(&Movement { dot: dot(A, 1), cut: Cut::new(), act: lease }), Moved::Done);
    let spend = |part| Act::Spend(part);
    let mine = Movement { dot: dot(A, 2), cut: Cut::from_iter([dot(A, 1)]), act: spend(keys(&[2])) };
    assert_eq!(escrow.apply(&mine), Moved::NotHeld, "it was leased to B");
    let theirs = Movement { dot: dot(B, 1), cut: Cut::from_iter([dot(A, 1)]), act: spend(keys(&[2])) };
    assert_eq!(escrow.apply(&theirs), Moved::Done);
    assert_eq!(escrow.held(replica(B)), keys(&[3]));
    assert_eq!(escrow.check(replica(A), &keys(&[3])), Err(NoneLeft::Here(replica(B))));
    assert_eq!(escrow.check(replica(A), &keys(&[2])), Err(NoneLeft::Anywhere));
}

#[test]
fn what_was_just_shared_out_does_not_move_however_many_they_are() {
    for replicas in 1..=16 {
        let active: BTreeSet<ReplicaId> = (0..replicas).map(replica).collect();
        let escrow = Escrow::issue(escrow::shares(1_023, replica(0), &active));
        for me in &active {
            assert_eq!(escrow.transfer_due(*me, &active), None, "{replicas} replicas");
        }
    }
}
