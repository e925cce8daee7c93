//! Promises 3 and 10 for one roster: the same operations give the same bytes, in whatever order and whatever was folded, and those bytes
//! say what a slow reading of the rules says.
//!
//! `PROPTEST_CASES=n` plays so many histories a test, to be run for hours.

use super::model::Model;
use crate::group::histories::{Entry, History, USERS, steps};
use crate::histories::{replica, user};
use crdt::group::Group;
use crdt::roster::{Change, Rank, Right, RosterOperation, Wish};
use crdt::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, BTreeSet};

/// So many members that rights are none of the matter.
const MANY: u64 = 1_000;

fn all_of<'a>(order: impl IntoIterator<Item = &'a Entry>) -> Group {
    let mut group = Group::default();
    for entry in order {
        entry.apply(&mut group);
    }
    group
}

/// Whether the roster is what the model says of that set.
fn agrees(roster: &Roster, model: &Model<'_>, applied: &VersionVector) -> Result<(), TestCaseError> {
    let reading = model.read(|operation| applied.covers(operation.place.dot));
    let mut members = 0;
    let mut rights = BTreeSet::new();
    for user in reading.users() {
        let member = roster.member(user);
        prop_assert_eq!(member.is_some(), reading.is_member(user), "{} is a member", user);
        let Some(member) = member else { continue };
        members += 1;
        let rank = member.rank.map(|rank| (rank.generation(), rank.depth()));
        prop_assert_eq!(rank, reading.rank(user), "rank of {}", user);
        prop_assert_eq!(member.since, reading.since(user).unwrap_or_default(), "what {} sees", user);
        rights.insert(Right { dot: reading.right(user).unwrap().dot, user });
    }
    prop_assert_eq!(roster.size(), members);
    prop_assert_eq!(roster.rights().collect::<BTreeSet<_>>(), rights);
    Ok(())
}

fn check(history: &History) -> Result<(), TestCaseError> {
    let model = Model::new(history.roster_operations());
    for (applied, group) in history.outcomes() {
        agrees(group.roster(), &model, applied)?;
        let unfolded = all_of(history.issued.iter().filter(|entry| applied.covers(entry.dot())));
        prop_assert_eq!(group.canonical_bytes(), unfolded.canonical_bytes());
    }
    Ok(())
}

/// Whether each region holds what the model says of what it has applied, before and after all is healed and folded.
pub(crate) fn holds_what_the_model_says(history: &mut History) -> Result<(), TestCaseError> {
    check(history)?;
    history.heal();
    check(history)?;
    prop_assert!(history.outcomes().all(|(_, group)| group.roster().unfolded() == 0), "all of it is folded");
    Ok(())
}

proptest! {
    #[test]
    fn any_order_that_extends_happened_before_gives_the_same_bytes(
        steps in steps(60),
        limit in prop_oneof![Just(3), Just(MANY)],
        extensions in prop::collection::vec(prop::collection::vec(any::<usize>(), 1..40), 3),
    ) {
        let history = History::play(limit, &steps);
        let expected = all_of(&history.issued);
        for choices in extensions {
            let other = all_of(history.linear_extension(&choices));
            prop_assert_eq!(other.canonical_bytes(), expected.canonical_bytes());
            prop_assert_eq!(other, expected.clone(), "nothing was folded, so the records are equal too");
        }
    }

    #[test]
    fn each_region_holds_what_the_model_says_whatever_it_has_folded(
        steps in steps(60),
        limit in prop_oneof![Just(4), Just(MANY)],
    ) {
        holds_what_the_model_says(&mut History::play(limit, &steps))?;
    }

    #[test]
    fn an_operation_taken_twice_changes_nothing(steps in steps(60)) {
        let history = History::play(MANY, &steps);
        for (applied, group) in history.outcomes() {
            let mut again = group.clone();
            for entry in history.issued.iter().filter(|entry| applied.covers(entry.dot())) {
                entry.apply(&mut again);
            }
            prop_assert_eq!(&again, group);
        }
    }

    #[test]
    fn what_each_operation_reports_adds_up_to_the_roster(
        steps in steps(60),
        choices in prop::collection::vec(any::<usize>(), 1..40),
    ) {
        let history = History::play(MANY, &steps);
        let mut group = Group::default();
        let mut members = BTreeMap::new();
        for entry in history.linear_extension(&choices) {
            let Entry::Roster(operation) = entry else { continue };
            for change in group.apply(operation.clone()).unwrap().changes {
                prop_assert_ne!(&change.before, &change.after);
                prop_assert_eq!(members.get(&change.user).cloned(), change.before);
                match change.after {
                    Some(member) => members.insert(change.user, member),
                    None => members.remove(&change.user),
                };
            }
        }
        let roster = group.roster();
        prop_assert!(roster.members().map(|user| (user, roster.member(user).unwrap())).eq(members));
    }

    #[test]
    fn what_the_door_lets_in_takes_effect_at_once(steps in steps(60)) {
        for (applied, group) in History::play(MANY, &steps).outcomes() {
            door_is_true(applied, group.roster())?;
        }
    }
}

fn door_is_true(applied: &VersionVector, roster: &Roster) -> Result<(), TestCaseError> {
    for sender in roster.members() {
        for target in (0..USERS).map(user) {
            for wish in [
                Wish::Add(target),
                Wish::Remove(target),
                Wish::Promote(target),
                Wish::Demote(target),
                Wish::Leave,
                Wish::Claim,
            ] {
                let Ok(action) = roster.judge_wish(sender, wish) else { continue };
                let mut after = roster.clone();
                let dot = Dot { replica: replica(9), sequence: Sequence(1) };
                let place = Place { hlc: Timestamp::from_ms(5_000_000), dot };
                let change = Change { cut: applied.clone(), action };
                let command = MessageId(9);
                after.apply(RosterOperation { place, sender, command, change }).unwrap();
                prop_assert!(is_done(wish, sender, roster, &after), "{} {:?}", sender, wish);
            }
        }
    }
    Ok(())
}

fn is_done(wish: Wish, sender: UserId, before: &Roster, after: &Roster) -> bool {
    let rank = |roster: &Roster, user| roster.member(user).and_then(|member| member.rank);
    let joined = |user| before.member(user).is_none() && after.member(user).is_some();
    let gone = |user| before.member(user).is_some() && after.member(user).is_none();
    match wish {
        Wish::Add(user) => joined(user),
        Wish::Remove(user) => gone(user),
        Wish::Leave => gone(sender),
        Wish::Promote(user) => {
            let raised = |old: Rank| rank(after, user).is_some_and(|new| new.is_above(old));
            rank(after, user).is_some() && rank(before, user).is_none_or(raised)
        }
        Wish::Demote(user) => rank(before, user).is_some() && rank(after, user).is_none(),
        Wish::Claim => rank(before, sender).is_none() && rank(after, sender).is_some(),
    }
}

/// The histories are worth something: what the rules are about does occur in them.
#[test]
fn the_histories_reach_what_the_rules_are_about() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut reached: BTreeMap<&str, usize> = BTreeMap::new();
    let mut count = |what, how_often: usize| *reached.entry(what).or_default() += how_often;
    for _ in 0..200 {
        let history = History::play(MANY, &steps(100).new_tree(&mut runner).unwrap().current());
        let operations = history.roster_operations();
        let model = Model::new(operations.iter().copied());
        let all = model.read(|_| true);
        count("void", (0..operations.len()).filter(|number| !all.stands(*number)).count());
        let concurrent = operations.iter().enumerate().filter(|(at, operation)| {
            operations[..*at].iter().any(|other| !operation.change.cut.covers(other.place.dot))
        });
        count("concurrent", concurrent.count());
        let outlived = all.users().into_iter().filter(|user| all.outlived_their_adds(*user));
        count("a member by a grant alone", outlived.count());
        for (_, group) in history.outcomes() {
            let roster = group.roster();
            let ranks = roster.members().filter_map(|user| roster.member(user)?.rank);
            count("a claim that stands", ranks.filter(|rank| rank.generation() > 0).count());
            let unfolded = roster.unfolded();
            count("partly folded", usize::from(unfolded > 0 && unfolded < operations.len() / 2));
        }
    }
    assert_eq!(reached.len(), 5);
    assert!(reached.values().all(|count| *count > 5), "{reached:?}");
}
