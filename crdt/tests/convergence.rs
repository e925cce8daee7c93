//! Promise 3 for one conversation: the same operations give the same bytes, in whatever order, how often, and with whatever
//! payloads cut; and those bytes say what a slow reading of the rules says.
//!
//! Histories are drawn at random with what depends on what; every order tried extends happened-before, as every region's does.

use crate::histories::{History, Issued, USERS, face, steps, user};
use crate::roster::model::Model;
use crdt::amendments::{Amended, AmendmentContent};
use crdt::emoji::Emoji;
use crdt::operation::{Body, Draft, Envelope};
use crdt::roster::{Action, Change, RosterOperation};
use crdt::timeline::{Entry, Inserted};
use crdt::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn state<'a>(history: &History, order: impl IntoIterator<Item = &'a Operation>) -> Conversation {
    let mut state = Conversation::new(history.conversation);
    for operation in order {
        state.apply(operation).unwrap();
    }
    state
}

proptest! {
    #[test]
    fn any_order_that_extends_happened_before_gives_the_same_bytes(
        steps in steps(),
        extensions in prop::collection::vec(prop::collection::vec(any::<usize>(), 1..40), 4),
    ) {
        let history = History::play(&steps);
        let expected = state(&history, history.operations());
        for choices in extensions {
            let other = state(&history, history.linear_extension(&choices));
            prop_assert_eq!(other.canonical_bytes(), expected.canonical_bytes());
            prop_assert_eq!(other.digest(), expected.digest());
            prop_assert_eq!(other, expected.clone());
        }
    }

    #[test]
    fn even_an_order_of_messages_that_breaks_happened_before_gives_the_same_bytes(
        (steps, keys) in (steps(), prop::collection::vec(any::<u64>(), 60)),
    ) {
        let history = History::play(&steps);
        // What a right is spent on comes after what gave the right.
        let (members, others): (Vec<_>, Vec<_>) = history
            .issued
            .iter()
            .zip(keys.iter().cycle())
            .partition(|(issued, _)| issued.draft.body.kind().changes_members());
        let mut in_turn: Vec<u64> = members.iter().map(|(_, key)| **key).collect();
        in_turn.sort_unstable();
        let members = in_turn.into_iter().zip(members).map(|(key, (issued, _))| (key, &issued.operation));
        let others = others.into_iter().map(|(issued, key)| (*key, &issued.operation));
        let mut shuffled: Vec<(u64, &Operation)> = members.chain(others).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let other = state(&history, shuffled.into_iter().map(|(_, operation)| operation));
        prop_assert_eq!(other.canonical_bytes(), state(&history, history.operations()).canonical_bytes());
    }

    #[test]
    fn an_operation_taken_twice_changes_nothing(steps in steps(), again in prop::collection::vec(any::<bool>(), 60)) {
        let history = History::play(&steps);
        let mut state = Conversation::new(history.conversation);
        for (operation, again) in history.operations().zip(again.iter().cycle()) {
            state.apply(operation).unwrap();
            if *again {
                let before = state.clone();
                let applied = state.apply(operation).unwrap();
                prop_assert_eq!(applied.inserted, timeline::Inserted::AlreadyThere);
                prop_assert_eq!(applied.members, vec![]);
                prop_assert_ne!(applied.amended, Some(Amended::Changed));
                prop_assert_eq!(&state, &before);
            }
        }
        let once = state.clone();
        for operation in history.operations() {
            state.apply(operation).unwrap();
        }
        prop_assert_eq!(state, once);
    }

    #[test]
    fn a_region_that_has_cut_payloads_of_messages_and_edits_holds_the_same_bytes(steps in steps(), cut in prop::collection::vec(any::<bool>(), 60)) {
        let history = History::play(&steps);
        let mut state_with_cuts = Conversation::new(history.conversation);
        for (issued, cut) in history.issued.iter().zip(cut.iter().cycle()) {
            let may_be_cut = issued.draft.body.kind().may_be_cut();
            let payload = issued.operation.payload.clone().filter(|_| !(may_be_cut && *cut));
            state_with_cuts.apply(&Operation { payload, ..issued.operation.clone() }).unwrap();
        }
        prop_assert_eq!(state_with_cuts.canonical_bytes(), state(&history, history.operations()).canonical_bytes());
    }

    #[test]
    fn replicas_that_applied_the_same_hold_the_same_and_others_differ(steps in steps()) {
        let history = History::play(&steps);
        let states: Vec<_> = history.states().collect();
        for (applied, state) in &states {
            for (other_applied, other_state) in &states {
                prop_assert_eq!(applied == other_applied, state.digest() == other_state.digest());
            }
        }
    }

    #[test]
    fn the_digest_is_kept_up_by_what_each_operation_reports(
        steps in steps(),
        choices in prop::collection::vec(any::<usize>(), 1..40),
    ) {
        let history = History::play(&steps);
        let id = history.conversation;
        let mut state = Conversation::new(id);
        let (mut kept, mut entries) = (StateDigest::default(), std::collections::BTreeMap::new());
        for operation in history.linear_extension(&choices) {
            let envelope = Envelope::decode(&operation.envelope).unwrap();
            let (place, identity, entry) = (envelope.place(operation.dot), envelope.identity(), Entry::of(&envelope));
            let target = envelope.target;
            let amended = |state: &Conversation| {
                target.and_then(|target| Some((target, state.amendments_of(target)?.clone())))
            };
            let (members_before, amended_before) = (state.membership().clone(), amended(&state));
            match state.apply(operation).unwrap().inserted {
                Inserted::First => {}
                Inserted::Moved { from } => {
                    let gone: Entry = entries.remove(&from).unwrap();
                    kept -= StateDigest::of_entry(id, from, &gone);
                }
                Inserted::AliasOnly | Inserted::AlreadyThere => {}
            }
            kept += StateDigest::of_alias(id, identity, place);
            if state.timeline().aliases(identity).and_then(|aliases| aliases.canonical()) == Some(place) {
                kept += StateDigest::of_entry(id, place, &entry);
                entries.insert(place, entry);
            }
            if let Some((of, before)) = amended_before {
                kept -= StateDigest::of_amendments(id, of, &before);
            }
            if let Some((of, after)) = amended(&state) {
                kept += StateDigest::of_amendments(id, of, &after);
            }
            kept -= StateDigest::of_membership(id, &members_before);
            kept += StateDigest::of_membership(id, state.membership());
            prop_assert_eq!(kept, state.digest());
        }
    }

    #[test]
    fn what_each_operation_reports_adds_up_to_the_state(steps in steps(), choices in prop::collection::vec(any::<usize>(), 1..40)) {
        let history = History::play(&steps);
        let mut state = Conversation::new(history.conversation);
        let mut shown = std::collections::BTreeMap::new();
        let mut standings = std::collections::BTreeMap::new();
        for operation in history.linear_extension(&choices) {
            let envelope = Envelope::decode(&operation.envelope).unwrap();
            let place = envelope.place(operation.dot);
            let applied = state.apply(operation).unwrap();
            match applied.inserted {
                timeline::Inserted::First => prop_assert_eq!(shown.insert(place, envelope.identity()), None),
                timeline::Inserted::Moved { from } => {
                    prop_assert_eq!(shown.remove(&from), Some(envelope.identity()));
                    shown.insert(place, envelope.identity());
                }
                timeline::Inserted::AliasOnly => {}
                timeline::Inserted::AlreadyThere => prop_assert!(false, "each operation is applied once"),
            }
            for change in applied.members {
                prop_assert_ne!(&change.before, &change.after);
                prop_assert_eq!(standings.get(&change.user).cloned(), change.before);
                match change.after {
                    Some(since) => standings.insert(change.user, since),
                    None => standings.remove(&change.user),
                };
            }
        }
        let entries = state.timeline().entries().map(|(place, entry)| (place, entry.identity));
        prop_assert!(entries.eq(shown));
        let members = state.membership().members();
        prop_assert!(members.map(|user| (user, state.membership().member(user).unwrap())).eq(standings));
    }

    #[test]
    fn a_conversation_says_what_slow_readings_of_the_rules_say(steps in steps()) {
        says_what_slow_readings_say(&History::play(&steps))?;
    }

    #[test]
    fn membership_comes_back_from_its_bytes(steps in steps()) {
        let history = History::play(&steps);
        for (_, state) in history.states() {
            let bytes = state.membership().encode();
            prop_assert_eq!(&Membership::decode(&bytes).unwrap(), state.membership());
        }
    }
}

/// Whether the timeline, the membership and what became of messages are what the tables say, read word for word.
pub(crate) fn says_what_slow_readings_say(history: &History) -> Result<(), TestCaseError> {
    let state = state(history, history.operations());
    timeline_agrees(history, &state)?;
    membership_agrees(history, &state)?;
    amendments_agree(history, &state)
}

fn timeline_agrees(history: &History, state: &Conversation) -> Result<(), TestCaseError> {
    let mut expected: Vec<(Place, Identity, &[u8])> = Vec::new();
    for issued in &history.issued {
        let same = |other: &&Issued| identity(&other.draft) == identity(&issued.draft);
        let lowest = history.issued.iter().filter(same).map(place).min().unwrap();
        if place(issued) == lowest {
            expected.push((lowest, identity(&issued.draft), issued.operation.payload.as_ref().unwrap()));
        }
    }
    expected.sort();
    let entries: Vec<_> = state.timeline().entries().collect();
    prop_assert_eq!(entries.len(), expected.len());
    for ((place, entry), (expected_place, identity, payload)) in entries.into_iter().zip(expected) {
        prop_assert_eq!(place, expected_place);
        prop_assert_eq!(entry.identity, identity);
        prop_assert_eq!(entry.payload_digest, operation::digest(payload));
    }
    Ok(())
}

fn membership_agrees(history: &History, state: &Conversation) -> Result<(), TestCaseError> {
    let membership = state.membership();
    let slow = SlowMembership::of(history);
    prop_assert_eq!(membership.exists(), slow.exists());
    let members = slow.members();
    for (user, since) in &members {
        prop_assert_eq!(&membership.member(*user), since);
    }
    let expected = members.into_iter().filter(|(_, since)| since.is_some()).map(|(user, _)| user);
    prop_assert!(membership.members().eq(expected));
    Ok(())
}

fn amendments_agree(history: &History, state: &Conversation) -> Result<(), TestCaseError> {
    let slow = SlowAmendments(history);
    for (identity, _) in state.timeline().identities() {
        let held = state.amendments_of(identity).cloned().unwrap_or_default();
        prop_assert_eq!(held.is_deleted(), slow.deleted(identity));
        prop_assert_eq!(held.edited(), slow.edited(identity));
        let shown: Vec<_> =
            held.reactions().into_iter().map(|(emoji, users)| (emoji.clone(), users)).collect();
        prop_assert_eq!(shown, slow.reactions(identity));
    }
    Ok(())
}

fn place(issued: &Issued) -> Place {
    Place { hlc: issued.draft.hlc, dot: issued.operation.dot }
}

fn identity(draft: &Draft) -> Identity {
    Identity { sender: draft.sender, message: draft.message }
}

/// The head of `membership.rs`, read word for word over the whole set of operations, every time anew; of groups, the table of the roster.
struct SlowMembership {
    pair: bool,
    operations: Vec<RosterOperation>,
}

impl SlowMembership {
    fn of(history: &History) -> Self {
        let opens = |issued: &Issued| match &issued.draft.body {
            Body::Create { direct: true, members, .. } => {
                let pair = BTreeSet::from([user(0), user(1)]);
                members.iter().copied().collect::<BTreeSet<_>>() == pair
                    && pair.contains(&issued.draft.sender)
            }
            _ => false,
        };
        let operation = |issued: &Issued| {
            let change = match &issued.draft.body {
                Body::Create { direct: false, members, shares, .. } => {
                    let (members, shares) = (members.iter().copied().collect(), shares.clone());
                    Change { cut: Cut::new(), action: Action::Create { members, shares } }
                }
                Body::Change(change) => change.clone(),
                Body::Create { .. }
                | Body::Post(_)
                | Body::Rights(_)
                | Body::Document(_)
                | Body::Amend { .. } => return None,
            };
            let (sender, command) = (issued.draft.sender, issued.draft.message);
            Some(RosterOperation { place: place(issued), sender, command, change })
        };
        Self {
            pair: history.issued.iter().any(opens),
            operations: history.issued.iter().filter_map(operation).collect(),
        }
    }

    fn exists(&self) -> bool {
        let creates = |it: &RosterOperation| matches!(it.change.action, Action::Create { .. });
        self.pair || self.operations.iter().any(creates)
    }

    /// What is hidden from each user; none if they are no member.
    fn members(&self) -> Vec<(UserId, Option<Cut>)> {
        let model = Model::new(&self.operations);
        let reading = model.read(|_| true);
        let member = |user: UserId| {
            if self.pair {
                return [crate::histories::user(0), crate::histories::user(1)].contains(&user).then(Cut::new);
            }
            reading.is_member(user).then(|| reading.since(user).unwrap_or_default())
        };
        (0..USERS).map(user).map(|user| (user, member(user))).collect()
    }
}

/// The table of `amendments/mod.rs`, read word for word over the whole set of operations, every time anew.
struct SlowAmendments<'a>(&'a History);

impl<'a> SlowAmendments<'a> {
    /// Every operation that amends that message, but those that are void.
    fn of(&self, message: Identity) -> impl Iterator<Item = (&'a Issued, &'a AmendmentContent)> {
        self.0.issued.iter().filter_map(move |issued| match &issued.draft.body {
            Body::Amend { target, content } if *target == message => {
                let others = matches!(content, AmendmentContent::Edit { .. } | AmendmentContent::Delete);
                (!others || issued.draft.sender == message.sender).then_some((issued, content))
            }
            _ => None,
        })
    }

    fn deleted(&self, message: Identity) -> bool {
        self.of(message).any(|(_, content)| *content == AmendmentContent::Delete)
    }

    /// The newest edit, each standing where it was taken first.
    fn edited(&self, message: Identity) -> Option<Place> {
        if self.deleted(message) {
            return None;
        }
        let edits =
            || self.of(message).filter(|(_, content)| matches!(content, AmendmentContent::Edit { .. }));
        let first = |edit: &Issued| {
            let same = edits().filter(|(other, _)| other.draft.message == edit.draft.message);
            same.map(|(other, _)| place(other)).min()
        };
        edits().filter_map(|(edit, _)| first(edit)).max()
    }

    /// When that reaction began, by any command that no withdrawal has seen.
    fn began(&self, message: Identity, of: (&Emoji, UserId)) -> Option<Place> {
        let withdrawn = |command: &MessageId| {
            self.of(message).any(|(it, content)| match content {
                AmendmentContent::Withdraw { emoji, seen } => {
                    (emoji, it.draft.sender) == of && seen.contains(command)
                }
                _ => false,
            })
        };
        let gives = |(it, content): &(&Issued, &AmendmentContent)| match content {
            AmendmentContent::React(emoji) => (emoji, it.draft.sender) == of && !withdrawn(&it.draft.message),
            _ => false,
        };
        self.of(message).filter(gives).map(|(it, _)| place(it)).min()
    }

    fn reactions(&self, message: Identity) -> Vec<(Emoji, Vec<UserId>)> {
        if self.deleted(message) {
            return Vec::new();
        }
        let mut shown = Vec::new();
        for emoji in (0..3).map(face) {
            let given =
                (0..USERS).map(user).filter_map(|user| Some((self.began(message, (&emoji, user))?, user)));
            let given: Vec<_> = given.collect();
            let began = given.iter().map(|(began, _)| *began).min();
            shown
                .extend(began.map(|began| (began, emoji, given.into_iter().map(|(_, user)| user).collect())));
        }
        shown.sort_by_key(|(began, ..)| *began);
        shown.into_iter().map(|(_, emoji, users)| (emoji, users)).collect()
    }
}

/// The histories are worth something: what the rules are about does occur in them.
#[test]
fn the_histories_reach_what_the_rules_are_about() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut aliases, mut moved, mut direct, mut readded, mut lost_creations, mut members_added) =
        (0, 0, 0, 0, 0, 0);
    let (mut edited, mut deleted, mut reactions, mut void) = (0, 0, 0, 0);
    for _ in 0..400 {
        let history = History::play(&steps().new_tree(&mut runner).unwrap().current());
        let mut state = Conversation::new(history.conversation);
        for choices in [[0], [usize::MAX]] {
            for operation in history.linear_extension(&choices) {
                let applied = state.apply(operation).unwrap();
                void += usize::from(applied.amended == Some(Amended::Void));
                match applied.inserted {
                    timeline::Inserted::AliasOnly => aliases += 1,
                    timeline::Inserted::Moved { .. } => moved += 1,
                    timeline::Inserted::First | timeline::Inserted::AlreadyThere => {}
                }
            }
        }
        for (_, amendments) in state.amendments() {
            edited += usize::from(amendments.edited().is_some());
            deleted += usize::from(amendments.is_deleted());
            reactions += amendments.reactions().len();
        }
        let slow = SlowMembership::of(&history);
        let creations: BTreeSet<UserId> = history
            .issued
            .iter()
            .filter(|issued| matches!(issued.draft.body, Body::Create { .. }))
            .map(|issued| issued.draft.sender)
            .collect();
        direct += usize::from(state.membership().direct());
        lost_creations += usize::from(creations.len() > 1);
        let left = |who| {
            history.issued.iter().any(|issued| match &issued.draft.body {
                Body::Change(Change { action: Action::Remove { user, .. }, .. }) => *user == who,
                body => body.kind() == Kind::Leave && issued.draft.sender == who,
            })
        };
        for (user, since) in slow.members() {
            members_added += usize::from(since.as_ref().is_some_and(|since| !since.is_empty()));
            readded += usize::from(since.is_some() && left(user) && !state.membership().direct());
        }
    }
    for (what, times) in [
        ("aliases", aliases),
        ("moves", moved),
        ("direct conversations", direct),
        ("members who had left", readded),
        ("creations by two users", lost_creations),
        ("members who do not see all", members_added),
        ("edited messages", edited),
        ("deleted messages", deleted),
        ("reactions", reactions),
        ("edits and deletions that are void", void),
    ] {
        assert!(times >= 20, "{what} occurred {times} times in 400 histories");
    }
}
