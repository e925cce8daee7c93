//! The directory, the flags and what users hide: each row of their tables, the join laws, and a slow twin that keeps everything that was ever written.
//!
//! What must always hold: whatever the order in which values come, and however often, a register holds what the twin reads out of all of them at once.

use crate::laws::check_join_laws;
use crdt::flags::NotSet;
use crdt::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn home(number: u64, by: u16, region: u16) -> DirectoryEntry {
    let mut epoch = HomeEpoch::first(RegionId(by));
    for _ in 1..number {
        epoch = epoch.next(RegionId(by)).unwrap();
    }
    DirectoryEntry::Home { epoch, region: RegionId(region) }
}

fn both<T: Clone>(one: &T, other: &T, join: impl Fn(&mut T, &T) -> bool) -> [T; 2] {
    let (mut first, mut second) = (one.clone(), other.clone());
    join(&mut first, other);
    join(&mut second, one);
    [first, second]
}

fn entries(one: DirectoryEntry, other: DirectoryEntry) -> DirectoryEntry {
    let [first, second] = both(&one, &other, DirectoryEntry::join);
    assert_eq!(first, second);
    first
}

#[test]
fn the_home_of_the_higher_number_holds() {
    let moved = HomeEpoch::first(RegionId(9)).next(RegionId(1)).unwrap();
    assert_eq!((moved.number(), moved.by()), (2, RegionId(1)));
    let entry = entries(home(1, 9, 9), DirectoryEntry::Home { epoch: moved, region: RegionId(3) });
    assert_eq!(entry.home(), Some(RegionId(3)));
    assert_eq!(entries(home(1, 1, 1), DirectoryEntry::Unknown).home(), Some(RegionId(1)));
}

#[test]
fn of_two_homes_of_one_number_that_of_the_higher_region_holds_everywhere() {
    assert_eq!(entries(home(2, 1, 7), home(2, 2, 3)).home(), Some(RegionId(3)));
    assert_eq!(entries(home(2, 1, 7), home(2, 1, 3)).home(), Some(RegionId(7)), "one that gave it twice");
}

#[test]
fn whoever_was_erased_stays_erased() {
    let entry = entries(DirectoryEntry::Erased, home(u64::from(u16::MAX), 1, 1));
    assert_eq!((entry, entry.home()), (DirectoryEntry::Erased, None));
}

#[test]
fn the_numbers_of_homes_have_an_end_that_is_told() {
    let last = DirectoryEntry::decode(&[&[1][..], &[0xff; 9], &[1, 0, 1, 0, 2]].concat()).unwrap();
    let DirectoryEntry::Home { epoch, .. } = last else { panic!("it is a home") };
    assert_eq!((epoch.number(), epoch.next(RegionId(1))), (u64::MAX, None));
}

fn name(text: &str) -> FlagName {
    text.parse().unwrap()
}

fn flags(set: &[(&str, Flag)]) -> Flags {
    let mut flags = Flags::default();
    for (feature, flag) in set {
        assert_eq!(flags.set(name(feature), Some(*flag)), Ok(true));
    }
    flags
}

#[test]
fn the_newer_state_of_a_regions_flags_holds_whole() {
    let older = flags(&[("calls", Flag::Off), ("media", Flag::AtMost(5))]);
    let mut newer = older.clone();
    assert_eq!(newer.set(name("calls"), None), Ok(true));
    assert_eq!(newer.set(name("calls"), None), Ok(false), "it says nothing already");
    for joined in both(&older, &newer, Flags::join) {
        assert_eq!(joined, newer);
        assert_eq!((joined.get(&name("calls")), joined.get(&name("media"))), (None, Some(Flag::AtMost(5))));
    }
}

#[test]
fn of_two_states_under_one_version_the_stricter_holds_feature_by_feature() {
    let one = flags(&[("calls", Flag::Off), ("media", Flag::AtMost(5))]);
    let other = flags(&[("media", Flag::AtMost(3)), ("stickers", Flag::AtMost(9))]);
    let wanted = [("calls", Flag::Off), ("media", Flag::AtMost(3)), ("stickers", Flag::AtMost(9))];
    for joined in both(&one, &other, Flags::join) {
        let held: Vec<(String, Flag)> = joined.iter().map(|(name, flag)| (name.to_string(), flag)).collect();
        assert_eq!(held, wanted.map(|(name, flag)| (name.to_owned(), flag)));
    }
}

#[test]
fn of_two_states_under_one_version_no_more_features_are_kept_than_may_be_set() {
    let full = |prefix: &str, flag: Flag| {
        let mut flags = Flags::default();
        for number in 0..limits::FLAGS_MAX {
            flags.set(name(&format!("{prefix}{number:03}")), Some(flag)).unwrap();
        }
        flags
    };
    let (a, b, c) = (full("a", Flag::AtMost(1)), full("b", Flag::Off), full("a", Flag::Off));
    for joined in both(&a, &b, Flags::join) {
        assert_eq!(joined, a, "the first by name");
    }
    check_join_laws((&a, &b, &c), Flags::join).unwrap();
    let mut mixed = full("c", Flag::Off);
    mixed.join(&a);
    assert_eq!(Flags::decode(&mixed.encode()), Ok(mixed));
    let features = a.encode().split_off(4);
    assert!(Flags::decode(&[&[1, 0x80, 0x02][..], &features].concat()).is_ok());
    let one_more = [&[1, 0x81, 0x02][..], &features, &[1, b'z', 0]].concat();
    assert!(Flags::decode(&one_more).is_err(), "a value of more is none");
}

#[test]
fn the_strictest_of_all_regions_holds_until_each_has_let_go() {
    let (off, low, high) = (
        flags(&[("calls", Flag::Off)]),
        flags(&[("calls", Flag::AtMost(2))]),
        flags(&[("calls", Flag::AtMost(7))]),
    );
    let holds = |registers: &[&Flags]| Flags::holds(registers.iter().copied(), &name("calls"));
    assert_eq!(holds(&[&high, &off, &low]), Some(Flag::Off));
    assert_eq!(holds(&[&high, &low]), Some(Flag::AtMost(2)));
    let mut again = off.clone();
    again.set(name("calls"), None).unwrap();
    assert_eq!(holds(&[&again, &off]), Some(Flag::Off), "the other region has it off still");
    assert_eq!(holds(&[&again]), None);
}

#[test]
fn names_of_flags_are_plain_and_registers_have_an_end() {
    for text in ["", "Calls", "a b", "ä", &"a".repeat(65)] {
        assert!(text.parse::<FlagName>().is_err(), "{text:?}");
    }
    let mut full = Flags::default();
    for number in 0..limits::FLAGS_MAX {
        full.set(name(&format!("f{number}")), Some(Flag::Off)).unwrap();
    }
    assert_eq!(full.set(name("one-more"), Some(Flag::Off)), Err(NotSet::TooMany));
    assert_eq!(full.set(name("f0"), Some(Flag::AtMost(1))), Ok(true));
    assert_eq!(full.set(name("f0"), None), Ok(true));
    let mut last = Flags::decode(&[&[0xff; 9][..], &[1, 0]].concat()).unwrap();
    assert_eq!(last.set(name("calls"), Some(Flag::Off)), Err(NotSet::Exhausted));
}

#[test]
fn what_a_user_hid_stays_hidden_whatever_comes_and_on_whichever_device() {
    let [here, there] = both(&Visibility::Hidden, &Visibility::Shown, Visibility::join);
    assert_eq!([here, there], [Visibility::Hidden; 2]);
    let mut hidden = Visibility::default();
    assert_eq!([Visibility::Hidden; 3].map(|told| hidden.join(&told)), [true, false, false], "two devices");
}

/// The registers of three users and three messages, as a region keeps them: by user and identity, whether or not there is such a message.
#[test]
fn what_is_hidden_is_a_users_and_an_identity_s_and_needs_no_message() {
    let message = |number| Identity { sender: UserId(7), message: MessageId(number) };
    let mut registers: BTreeMap<(UserId, Identity), Visibility> = BTreeMap::new();
    for (user, hides) in [(1, 1), (2, 1), (2, 2)] {
        registers.entry((UserId(user), message(hides))).or_default().join(&Visibility::Hidden);
    }
    let sees = |user, number| {
        registers.get(&(UserId(user), message(number))).copied().unwrap_or_default() == Visibility::Shown
    };
    let seen = [1, 2, 3].map(|user| [1, 2, 3].map(|number| sees(user, number)));
    assert_eq!(seen, [[false, true, true], [false, false, true], [true, true, true]]);
}

fn visibility() -> impl Strategy<Value = Visibility> {
    prop_oneof![Just(Visibility::Shown), Just(Visibility::Hidden)]
}

fn entry() -> impl Strategy<Value = DirectoryEntry> {
    prop_oneof![
        1 => Just(DirectoryEntry::Unknown),
        8 => (1..4_u64, 0..3_u16, 0..3_u16).prop_map(|(number, by, region)| home(number, by, region)),
        1 => Just(DirectoryEntry::Erased),
    ]
}

/// What was written under one version of one region's register.
fn state() -> impl Strategy<Value = Flags> {
    let flag = prop_oneof![Just(Flag::Off), (0..3_u64).prop_map(Flag::AtMost)];
    let set = prop::collection::vec((0..4_u8, prop::option::of(flag)), 0..4);
    set.prop_map(|writes| {
        let mut flags = Flags::default();
        for (feature, flag) in writes {
            flags.set(name(&format!("f{feature}")), flag).unwrap();
        }
        flags
    })
}

/// How many writes a register has seen, as its bytes begin.
fn version(flags: &Flags) -> u8 {
    flags.encode()[0]
}

/// The twin: of all states that were ever written those of the highest version, and of these the strictest word on each feature.
fn all_at_once(states: &[Flags]) -> BTreeMap<String, Flag> {
    let newest = states.iter().map(version).max().unwrap_or_default();
    let mut held: BTreeMap<String, Flag> = BTreeMap::new();
    for state in states.iter().filter(|state| version(state) == newest) {
        for (name, flag) in state.iter() {
            let strictest = held.get(&name.to_string()).map_or(flag, |held| flag.min(*held));
            held.insert(name.to_string(), strictest);
        }
    }
    held
}

/// What one user's and one region's register were told.
pub(crate) fn written() -> impl Strategy<Value = (Vec<DirectoryEntry>, Vec<Flags>)> {
    (prop::collection::vec(entry(), 0..12), prop::collection::vec(state(), 0..12))
}

/// A user is where all entries at once say, and a region's flags are what all its states at once say, each told twice.
pub(crate) fn registers_are_all_at_once(
    entries: &[DirectoryEntry],
    states: &[Flags],
) -> Result<(), TestCaseError> {
    let mut register = DirectoryEntry::default();
    for value in entries.iter().chain(entries) {
        register.join(value);
    }
    let homes = entries.iter().filter_map(|entry| match entry {
        DirectoryEntry::Home { epoch, region } => Some((epoch.number(), epoch.by(), *region)),
        DirectoryEntry::Unknown | DirectoryEntry::Erased => None,
    });
    let erased = entries.contains(&DirectoryEntry::Erased);
    let wanted = homes.max().map(|(.., region)| region).filter(|_| !erased);
    prop_assert_eq!(register.home(), wanted);
    prop_assert_eq!(register == DirectoryEntry::Erased, erased);
    let mut register = Flags::default();
    for value in states.iter().chain(states) {
        register.join(value);
    }
    let held: BTreeMap<String, Flag> = register.iter().map(|(name, flag)| (name.to_string(), flag)).collect();
    prop_assert_eq!(held, all_at_once(states));
    Ok(())
}

proptest! {
    #[test]
    fn the_directory_obeys_the_join_laws(a in entry(), b in entry(), c in entry()) {
        check_join_laws((&a, &b, &c), DirectoryEntry::join)?;
        prop_assert_eq!(DirectoryEntry::decode(&a.encode()), Ok(a));
    }

    #[test]
    fn flags_obey_the_join_laws(a in state(), b in state(), c in state()) {
        check_join_laws((&a, &b, &c), Flags::join)?;
        prop_assert_eq!(Flags::decode(&a.encode()), Ok(a));
    }

    #[test]
    fn what_is_hidden_obeys_the_join_laws(a in visibility(), b in visibility(), c in visibility()) {
        check_join_laws((&a, &b, &c), Visibility::join)?;
        prop_assert_eq!(Visibility::decode(&a.encode()), Ok(a));
    }

    /// The twin: a set of whom a message is hidden from, told in any order and each twice.
    #[test]
    fn what_is_hidden_is_the_set_of_all_that_was_ever_hidden(
        told in prop::collection::vec((0..3_u64, 0..4_u128, visibility()), 0..24), at in any::<prop::sample::Index>(),
    ) {
        let hidden: BTreeSet<(u64, u128)> = told
            .iter()
            .filter(|(.., visibility)| *visibility == Visibility::Hidden)
            .map(|(user, message, _)| (*user, *message))
            .collect();
        let turned = if told.is_empty() { 0 } else { at.index(told.len()) };
        let mut registers: BTreeMap<(u64, u128), Visibility> = BTreeMap::new();
        for (user, message, visibility) in told[turned..].iter().chain(told.iter().rev()) {
            registers.entry((*user, *message)).or_default().join(visibility);
        }
        let held = registers.into_iter().filter(|(_, held)| *held == Visibility::Hidden);
        prop_assert_eq!(held.map(|(of, _)| of).collect::<BTreeSet<_>>(), hidden);
    }

    #[test]
    fn registers_hold_what_all_that_was_written_says((entries, states) in written()) {
        registers_are_all_at_once(&entries, &states)?;
    }
}
