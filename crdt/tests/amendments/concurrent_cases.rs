//! The table of `crdt/src/amendments/mod.rs`, row by row, and its door. Every case is applied in every order, and twice.
//!
//! A is region 1, B is region 2. Times are minutes since the message was sent.

use crdt::amendments::{Amended, Amendment, AmendmentAct, AmendmentWish, Amendments, NotAmended, Windows};
use crdt::emoji::Emoji;
use crdt::limits::{COMMANDS_A_REACTION_MAX, EDITS_MAX, EMOJI_DISTINCT_MAX};
use crdt::*;
use expect_test::expect;

const ANN: UserId = UserId(0x0001_0000_0000_000a);
const BEN: UserId = UserId(0x0001_0000_0000_000b);
const MESSAGE: Identity = Identity { sender: ANN, message: MessageId(1) };
const SENT_MS: u64 = 1_732_500_000_000;

fn dot(region: u16, sequence: u64) -> Dot {
    let replica = ReplicaId { region: RegionId(region), incarnation: Incarnation(1) };
    Dot { replica, sequence: Sequence(sequence) }
}

fn place(minute: u64, dot: Dot) -> Place {
    Place { hlc: Timestamp::from_ms(SENT_MS + minute * 60_000), dot }
}

fn by(sender: UserId, minute: u64, dot: Dot, act: AmendmentAct) -> Amendment {
    let command = MessageId(u128::from(dot.replica.region.0) * 1_000 + u128::from(dot.sequence.0));
    Amendment { place: place(minute, dot), sender, command, target: MESSAGE, act }
}

/// The same command, sent to another region.
fn resent(amendment: &Amendment, minute: u64, dot: Dot) -> Amendment {
    Amendment { place: place(minute, dot), ..amendment.clone() }
}

fn edit(text: u8) -> AmendmentAct {
    AmendmentAct::Edit([text; 20])
}

fn emoji(text: &str) -> Emoji {
    text.parse().unwrap()
}

fn react(text: &str) -> AmendmentAct {
    AmendmentAct::React(emoji(text))
}

fn withdraw(text: &str, seen: &[&Amendment]) -> AmendmentAct {
    AmendmentAct::Withdraw { emoji: emoji(text), seen: seen.iter().map(|seen| seen.command).collect() }
}

/// What all of them make of a message, the same in every order.
fn after(amendments: &[Amendment]) -> Amendments {
    let mut states = orders(amendments).into_iter().map(|order| {
        let mut state = Amendments::default();
        for amendment in order {
            state.apply(amendment);
            let once = state.clone();
            assert_ne!(state.apply(amendment), Amended::Changed);
            assert_eq!(state, once);
        }
        state
    });
    let first = states.next().unwrap();
    assert!(states.all(|state| state == first && state.encode() == first.encode()));
    assert_eq!(Amendments::decode(&first.encode()), Ok(first.clone()));
    first
}

fn orders(amendments: &[Amendment]) -> Vec<Vec<&Amendment>> {
    let Some((first, rest)) = amendments.split_first() else { return vec![vec![]] };
    let insert = |order: &Vec<_>, at| {
        let mut order = order.clone();
        order.insert(at, first);
        order
    };
    orders(rest)
        .iter()
        .flat_map(|order| (0..=order.len()).map(|at| insert(order, at)).collect::<Vec<_>>())
        .collect()
}

fn shown(state: &Amendments) -> Vec<(String, Vec<UserId>)> {
    state.reactions().into_iter().map(|(emoji, users)| (emoji.to_string(), users)).collect()
}

#[test]
fn of_two_edits_the_newest_is_shown() {
    let state = after(&[
        by(ANN, 2, dot(1, 2), edit(1)),
        by(ANN, 3, dot(2, 1), edit(2)),
        by(ANN, 3, dot(1, 3), edit(3)),
    ]);
    assert_eq!(state.edited(), Some(place(3, dot(2, 1))));
}

/// A device edits at A; another device of the user, having seen that, edits again; the first one moves to B and sends its edit once more.
#[test]
fn an_edit_sent_again_does_not_come_before_a_later_one() {
    let first = by(ANN, 2, dot(1, 2), edit(1));
    let later = by(ANN, 3, dot(1, 3), edit(2));
    let state = after(&[first.clone(), later.clone(), resent(&first, 9, dot(2, 1))]);
    assert_eq!(state.edited(), Some(later.place));
    assert_eq!(state.edits().count(), 3, "each payload is to be cut with a deletion");
    let moved = after(&[by(ANN, 3, dot(1, 3), edit(2)), resent(&later, 1, dot(2, 1)), first.clone()]);
    assert_eq!(moved.edited(), Some(first.place), "the same edit taken earlier elsewhere");
}

#[test]
fn a_deletion_beats_an_edit_whatever_the_order() {
    let state = after(&[
        by(ANN, 2, dot(1, 2), edit(1)),
        by(ANN, 3, dot(2, 1), AmendmentAct::Delete),
        by(ANN, 4, dot(1, 3), edit(2)),
    ]);
    assert!(state.is_deleted());
    assert_eq!(state.edited(), None);
    assert_eq!(state.edits().count(), 2, "their payloads are to be cut too");
}

/// History 22: the identity stays deleted whatever operation of it comes.
#[test]
fn a_resend_of_a_deleted_message_is_deleted() {
    let mut state = after(&[by(ANN, 3, dot(1, 2), AmendmentAct::Delete)]);
    let mut aliases = Aliases::from_iter([place(0, dot(1, 1))]);
    aliases.insert(place(30 * 24 * 60, dot(3, 1)));
    assert!(state.is_deleted());
    let now = Now((SENT_MS + 60_000) * 1_000);
    let refused = state.check((MESSAGE, &aliases), ANN, &AmendmentWish::Edit, now, Windows::default());
    assert_eq!(refused, Err(NotAmended::Deleted));
    assert_eq!(state.apply(&by(ANN, 4, dot(3, 2), edit(1))), Amended::Unchanged);
}

/// History 23: m at A; A is cut; resent at B 10 minutes later, edited there 12 minutes after that; A heals and m becomes the earlier one.
#[test]
fn an_edit_of_a_resend_after_the_originals_window_stays_when_the_original_arrives() {
    let mut state = Amendments::default();
    let at_b = Aliases::from_iter([place(10, dot(2, 1))]);
    let now = Now((SENT_MS + 22 * 60_000) * 1_000);
    assert_eq!(state.check((MESSAGE, &at_b), ANN, &AmendmentWish::Edit, now, Windows::default()), Ok(()));
    state.apply(&by(ANN, 22, dot(2, 2), edit(7)));
    let mut healed = at_b;
    healed.insert(place(0, dot(1, 1)));
    assert_eq!(healed.canonical(), Some(place(0, dot(1, 1))));
    assert_eq!(state.edited(), Some(place(22, dot(2, 2))), "it was in time where it was judged");
    let refused = state.check((MESSAGE, &healed), ANN, &AmendmentWish::Edit, now, Windows::default());
    assert_eq!(refused, Err(NotAmended::TooLate { age_ms: 22 * 60_000, window_ms: 15 * 60_000 }));
}

#[test]
fn an_edit_or_a_deletion_by_another_is_void() {
    let state = after(&[by(BEN, 2, dot(1, 2), edit(1)), by(BEN, 3, dot(2, 1), AmendmentAct::Delete)]);
    assert_eq!(state, Amendments::default());
    assert_eq!(Amendments::default().apply(&by(BEN, 2, dot(1, 2), edit(1))), Amended::Void);
}

#[test]
fn a_reaction_stays_that_its_withdrawal_had_not_seen() {
    let one = by(BEN, 2, dot(1, 2), react("👍"));
    let other = by(BEN, 2, dot(2, 1), react("👍"));
    let withdrawn = by(BEN, 3, dot(1, 3), withdraw("👍", &[&one]));
    let both = by(BEN, 4, dot(1, 4), withdraw("👍", &[&one, &other]));
    let state = after(&[one.clone(), other.clone(), withdrawn.clone()]);
    assert_eq!(shown(&state), [("👍".to_owned(), vec![BEN])]);
    assert_eq!(shown(&after(&[one.clone(), withdrawn.clone()])), []);
    assert_eq!(shown(&after(&[one, other, withdrawn, both])), []);
}

/// A user reacts at A, hears nothing, reacts again at B and withdraws there; then A's copy arrives.
#[test]
fn a_reaction_and_its_resend_are_withdrawn_together() {
    let one = by(BEN, 2, dot(1, 2), react("👍"));
    let again = resent(&one, 3, dot(2, 1));
    let withdrawn = by(BEN, 4, dot(2, 2), withdraw("👍", &[&again]));
    assert_eq!(shown(&after(&[one.clone(), again.clone(), withdrawn])), []);
    assert_eq!(shown(&after(&[one, again])), [("👍".to_owned(), vec![BEN])]);
}

#[test]
fn two_users_react_alike_and_each_has_their_own() {
    let ann = by(ANN, 2, dot(1, 2), react("👍"));
    let ben = by(BEN, 2, dot(2, 1), react("👍"));
    let state = after(&[ann.clone(), ben.clone()]);
    assert_eq!(shown(&state), [("👍".to_owned(), vec![ANN, BEN])]);
    let state = after(&[ann.clone(), ben, by(ANN, 3, dot(2, 2), withdraw("👍", &[&ann]))]);
    assert_eq!(shown(&state), [("👍".to_owned(), vec![BEN])]);
}

#[test]
fn of_more_than_twenty_emoji_those_are_shown_that_began_first() {
    let faces: Vec<String> = ('\u{1f600}'..).take(EMOJI_DISTINCT_MAX + 2).map(String::from).collect();
    let each = |(at, face): (usize, &String)| {
        by(BEN, at as u64, dot((at % 2) as u16 + 1, at as u64 + 1), react(face))
    };
    let mut reactions: Vec<Amendment> = faces.iter().enumerate().map(each).collect();
    let first = reactions[0].clone();
    let state = |reactions: &[Amendment]| {
        let mut state = Amendments::default();
        for reaction in reactions {
            state.apply(reaction);
        }
        state
    };
    let all = state(&reactions);
    let names: Vec<String> = shown(&all).into_iter().map(|(face, _)| face).collect();
    assert_eq!(names, faces[..EMOJI_DISTINCT_MAX]);
    reactions.reverse();
    assert_eq!(state(&reactions), all);
    reactions.push(by(BEN, 90, dot(1, 90), withdraw(&faces[0], &[&first])));
    let names: Vec<String> = shown(&state(&reactions)).into_iter().map(|(face, _)| face).collect();
    assert_eq!(names, faces[1..=EMOJI_DISTINCT_MAX], "the next one comes up");
    let aliases = Aliases::from_iter([place(0, dot(1, 1))]);
    let ask = |state: &Amendments, face: &str| {
        let wish = AmendmentWish::React(emoji(face));
        state.check((MESSAGE, &aliases), ANN, &wish, Now(0), Windows::default())
    };
    assert_eq!(ask(&all, "👍"), Err(NotAmended::TooManyEmoji));
    assert_eq!(ask(&all, &faces[3]), Ok(()));
}

#[test]
fn a_deletion_takes_the_reactions_with_it() {
    let state = after(&[
        by(BEN, 2, dot(1, 2), react("👍")),
        by(ANN, 3, dot(2, 1), AmendmentAct::Delete),
        by(BEN, 4, dot(1, 3), react("❤")),
    ]);
    assert_eq!(shown(&state), []);
}

#[test]
fn payloads_are_cut_when_the_deletion_and_every_alias_and_edit_are_stable() {
    let state = after(&[by(ANN, 2, dot(1, 2), edit(1)), by(ANN, 3, dot(2, 2), AmendmentAct::Delete)]);
    let aliases = Aliases::from_iter([place(0, dot(1, 1)), place(1, dot(3, 1))]);
    let all = [dot(1, 2), dot(2, 2), dot(3, 1)];
    assert!(state.is_to_be_cut(&aliases, &Cut::from_iter(all)));
    for lacking in 0..all.len() {
        let stable = all.iter().enumerate().filter(|(at, _)| *at != lacking).map(|(_, dot)| *dot);
        assert!(!state.is_to_be_cut(&aliases, &stable.collect()), "not before {}", all[lacking]);
    }
    assert!(!after(&[by(ANN, 2, dot(1, 2), edit(1))]).is_to_be_cut(&aliases, &Cut::from_iter(all)));
}

#[test]
fn the_door_judges_sender_window_and_counts() {
    let aliases = Aliases::from_iter([place(0, dot(1, 1))]);
    let check = |state: &Amendments, sender, wish: &AmendmentWish, minute: u64| {
        let now = Now((SENT_MS + minute * 60_000) * 1_000);
        state.check((MESSAGE, &aliases), sender, wish, now, Windows::default())
    };
    let state = Amendments::default();
    let (edit_it, delete_it) = (AmendmentWish::Edit, AmendmentWish::Delete);
    assert_eq!(check(&state, ANN, &edit_it, 15), Ok(()));
    let late = |minutes: u64, window_minutes: u64| {
        Err(NotAmended::TooLate { age_ms: minutes * 60_000, window_ms: window_minutes * 60_000 })
    };
    assert_eq!(check(&state, ANN, &edit_it, 16), late(16, 15));
    assert_eq!(check(&state, ANN, &delete_it, 48 * 60), Ok(()));
    assert_eq!(check(&state, ANN, &delete_it, 48 * 60 + 1), late(48 * 60 + 1, 48 * 60));
    assert_eq!(check(&state, BEN, &edit_it, 1), Err(NotAmended::NotTheSender));
    assert_eq!(check(&state, BEN, &delete_it, 90 * 60), Err(NotAmended::NotTheSender));
    let nothing = state.check((MESSAGE, &Aliases::default()), ANN, &edit_it, Now(0), Windows::default());
    assert_eq!(nothing, Err(NotAmended::NoSuchMessage));

    let mut edited = Amendments::default();
    for number in 0..EDITS_MAX as u64 {
        assert_eq!(check(&edited, ANN, &edit_it, 1), Ok(()));
        edited.apply(&by(ANN, 1, dot(1, number + 2), edit(1)));
    }
    assert_eq!(check(&edited, ANN, &edit_it, 1), Err(NotAmended::TooManyEdits));

    let (like, unlike) = (AmendmentWish::React(emoji("👍")), AmendmentWish::Withdraw(emoji("👍")));
    let mut liked = Amendments::default();
    assert_eq!(check(&liked, BEN, &unlike, 1), Err(NotAmended::NoSuchReaction));
    for number in 0..COMMANDS_A_REACTION_MAX as u64 {
        assert_eq!(check(&liked, BEN, &like, 1), Ok(()));
        liked.apply(&by(BEN, 1, dot(1, 2 * number + 2), react("👍")));
        assert_eq!(check(&liked, BEN, &like, 1), Err(NotAmended::AlreadyReacted));
        assert_eq!(check(&liked, BEN, &unlike, 1), Ok(()));
        let seen = liked.seen(&emoji("👍"), BEN);
        assert_eq!(seen.len(), 1);
        liked.apply(&by(BEN, 1, dot(1, 2 * number + 3), AmendmentAct::Withdraw { emoji: emoji("👍"), seen }));
    }
    assert_eq!(check(&liked, BEN, &like, 1), Err(NotAmended::TooOften));
}

/// The bytes as they are today: a change here is a change of what regions would store and compare.
#[test]
fn golden_bytes() {
    let one = by(BEN, 2, dot(1, 2), react("👍"));
    let gone = by(ANN, 3, dot(1, 3), withdraw("❤", &[&one]));
    let hex =
        |state: &Amendments| state.encode().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let state = after(&[by(ANN, 2, dot(2, 2), edit(0xed)), one, gone]);
    expect!["01000000000000000000000000000007d2010193610de1c000000002000000000000000102edededededededededededededededededededed000203e29da4000100000000000a01000000000000000000000000000003ea0004f09f918d000100000000000b01000000000000000000000000000003ea010193610de1c000000001000000000000000102"].assert_eq(&hex(&state));
    expect!["01000000000000000000000000000007d2010193610de1c000000002000000000000000102edededededededededededededededededededed010193610ecc2000000002000000000000000103"].assert_eq(&hex(&after(&[
        by(ANN, 2, dot(2, 2), edit(0xed)),
        by(ANN, 3, dot(2, 3), AmendmentAct::Delete),
    ])));
}
