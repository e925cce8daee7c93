//! What becomes of a message is a function of the set of operations, and what a slow reading of the rules says.
//!
//! Histories need no happened-before here: the rules hold in any order, so any is tried. `PROPTEST_CASES=n` plays so many.

use crate::histories::{replica, user};
use crdt::amendments::{Amended, Amendment, AmendmentAct, Amendments};
use crdt::emoji::Emoji;
use crdt::limits::EMOJI_DISTINCT_MAX;
use crdt::*;
use proptest::prelude::*;

const SENDER: u64 = 0;

fn face(number: u32) -> Emoji {
    char::from_u32(0x1f600 + number).unwrap().to_string().parse().unwrap()
}

fn amendment() -> impl Strategy<Value = (u64, u64, u128, AmendmentAct)> {
    let faces = || 0..26_u32;
    let act = prop_oneof![
        3 => any::<u8>().prop_map(|text| AmendmentAct::Edit([text; 20])),
        12 => faces().prop_map(|number| AmendmentAct::React(face(number))),
        6 => (faces(), prop::collection::btree_set(0..40_u128, 0..6)).prop_map(|(number, seen)| {
            AmendmentAct::Withdraw { emoji: face(number), seen: seen.into_iter().map(MessageId).collect() }
        }),
    ];
    (0..3_u64, 0..20_u64, 0..40_u128, act)
}

fn history() -> impl Strategy<Value = Vec<Amendment>> {
    let deletion = prop::option::weighted(0.2, 0..20_u64);
    (prop::collection::vec(amendment(), 0..60), deletion).prop_map(|(mut drawn, deletion)| {
        drawn.extend(deletion.map(|ms| (SENDER, ms, 99, AmendmentAct::Delete)));
        let target = Identity { sender: user(SENDER), message: MessageId(1) };
        let numbered = drawn.into_iter().enumerate().map(|(at, (sender, ms, command, act))| {
            let dot = Dot { replica: replica(at % 3), sequence: Sequence(at as u64 / 3 + 1) };
            let place = Place { hlc: Timestamp::from_ms(ms + 1), dot };
            Amendment { place, sender: user(sender), command: MessageId(command), target, act }
        });
        numbered.collect()
    })
}

/// A history and another order of it.
pub(crate) fn two_orders() -> impl Strategy<Value = (Vec<Amendment>, Vec<Amendment>)> {
    history().prop_flat_map(|history| (Just(history.clone()), Just(history).prop_shuffle()))
}

/// The table, word for word.
struct Twin<'a>(&'a [Amendment]);

impl Twin<'_> {
    fn deleted(&self) -> bool {
        self.0.iter().any(|it| it.act == AmendmentAct::Delete && it.sender == it.target.sender)
    }

    fn edited(&self) -> Option<Place> {
        let edit = |it: &&Amendment| matches!(it.act, AmendmentAct::Edit(_)) && it.sender == it.target.sender;
        let first =
            |command| self.0.iter().filter(edit).filter(|it| it.command == command).map(|it| it.place).min();
        self.0.iter().filter(edit).filter_map(|it| first(it.command)).max().filter(|_| !self.deleted())
    }

    /// When that reaction began, by any command that no withdrawal has seen.
    fn began(&self, emoji: &Emoji, user: UserId) -> Option<Place> {
        let withdrawn = |command| {
            self.0.iter().any(|it| match &it.act {
                AmendmentAct::Withdraw { emoji: other, seen } => {
                    it.sender == user && other == emoji && seen.contains(&command)
                }
                _ => false,
            })
        };
        let gives = |it: &&Amendment| {
            it.sender == user && it.act == AmendmentAct::React(emoji.clone()) && !withdrawn(it.command)
        };
        self.0.iter().filter(gives).map(|it| it.place).min()
    }

    fn reactions(&self) -> Vec<(Emoji, Vec<UserId>)> {
        if self.deleted() {
            return Vec::new();
        }
        let mut shown: Vec<(Place, Emoji, Vec<UserId>)> = Vec::new();
        for emoji in (0..26).map(face) {
            let users: Vec<UserId> =
                (0..3).map(user).filter(|user| self.began(&emoji, *user).is_some()).collect();
            let began = users.iter().filter_map(|user| self.began(&emoji, *user)).min();
            shown.extend(began.map(|began| (began, emoji, users)));
        }
        shown.sort();
        shown.into_iter().take(EMOJI_DISTINCT_MAX).map(|(_, emoji, users)| (emoji, users)).collect()
    }
}

fn shown(state: &Amendments) -> Vec<(Emoji, Vec<UserId>)> {
    state.reactions().into_iter().map(|(emoji, users)| (emoji.clone(), users)).collect()
}

/// Whether both orders of the same operations give what the twin says.
pub(crate) fn says_what_the_twin_says(
    history: &[Amendment],
    shuffled: &[Amendment],
) -> Result<(), TestCaseError> {
    let mut state = Amendments::default();
    let mut other = Amendments::default();
    for amendment in history {
        state.apply(amendment);
    }
    for amendment in shuffled {
        other.apply(amendment);
        prop_assert_ne!(other.apply(amendment), Amended::Changed, "taken twice");
    }
    prop_assert_eq!(state.encode(), other.encode());
    let twin = Twin(history);
    prop_assert_eq!(state.is_deleted(), twin.deleted());
    prop_assert_eq!(state.edited(), twin.edited());
    prop_assert_eq!(shown(&state), twin.reactions());
    prop_assert_eq!(Amendments::decode(&state.encode()), Ok(state));
    Ok(())
}

proptest! {
    #[test]
    fn any_order_gives_the_same_bytes_and_they_say_what_the_twin_says(
        (history, shuffled) in two_orders(),
    ) {
        says_what_the_twin_says(&history, &shuffled)?;
    }

    #[test]
    fn what_changes_is_reported(history in history()) {
        let mut state = Amendments::default();
        for amendment in &history {
            let before = (state.is_deleted(), state.edited(), shown(&state));
            let amended = state.apply(amendment);
            let after = (state.is_deleted(), state.edited(), shown(&state));
            prop_assert!(before == after || amended == Amended::Changed, "{:?}", amendment);
        }
    }

    #[test]
    fn any_bytes_are_the_one_encoding_of_a_state_or_refused(
        history in history(),
        (at, byte) in (any::<usize>(), any::<u8>()),
    ) {
        let mut state = Amendments::default();
        for amendment in &history {
            state.apply(amendment);
        }
        let mut bytes = state.encode();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(decoded) = Amendments::decode(&bytes) {
            prop_assert_eq!(decoded.encode(), bytes);
        }
    }
}
