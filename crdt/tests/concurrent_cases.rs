//! The tables of concurrent cases, line by line: what `README.md` and the heads of the types promise.
//!
//! Three replicas; each case says what each of them issued and what it had seen. Every case is applied in every order.

use bytes::Bytes;
use crdt::operation::{Body, Draft, Post};
use crdt::roster::{Action, Change};
use crdt::*;
use std::collections::BTreeMap;

const CREATOR: UserId = UserId(0x0001_0000_0000_0001);
const ANN: UserId = UserId(0x0001_0000_0000_000a);
const BEN: UserId = UserId(0x0001_0000_0000_000b);

fn group() -> ConversationId {
    ConversationId::group(PlacementId(1), 7)
}

fn dot(region: u16, sequence: u64) -> Dot {
    let replica = ReplicaId { region: RegionId(region), incarnation: Incarnation(1) };
    Dot { replica, sequence: Sequence(sequence) }
}

fn cut(dots: &[Dot]) -> Cut {
    dots.iter().copied().collect()
}

/// One operation: at that dot, at that time, by that user, under that command's number.
fn by(dot: Dot, ms: u64, sender: UserId, command: u128, body: Body) -> (Dot, Draft) {
    let (hlc, message) = (Timestamp::from_ms(ms), MessageId(command));
    (dot, Draft { conversation: group(), hlc, sender, message, body })
}

fn in_conversation(conversation: ConversationId, (dot, draft): (Dot, Draft)) -> (Dot, Draft) {
    (dot, Draft { conversation, ..draft })
}

fn create(members: &[UserId], name: &str) -> Body {
    // As many rights as no case needs.
    let shares = (1..=4).map(|region| (dot(region, 1).replica, 100)).collect();
    Body::Create { members: members.to_vec(), name: name.into(), direct: false, shares }
}

fn direct(one: UserId, other: UserId) -> Body {
    Body::Create { members: vec![one, other], name: String::new(), direct: true, shares: [].into() }
}

/// Under the grant of the creation at `dot(1, 1)`, as all that a case does but creating.
fn add(user: UserId, since: &[Dot]) -> Body {
    under(user, since, dot(1, 1))
}

fn under(user: UserId, since: &[Dot], under: Dot) -> Body {
    Body::Change(Change { cut: cut(since), action: Action::Add { user, under } })
}

fn leave(seen: &[Dot]) -> Body {
    Body::Change(Change { cut: cut(seen), action: Action::Leave })
}

fn admins(state: &Conversation) -> Vec<UserId> {
    state.membership().admins().collect()
}

fn post(text: &'static str) -> Body {
    Body::Post(Post { body: Bytes::from_static(text.as_bytes()), sent_at_ms: 0, reply_to: None, seen: None })
}

/// The state after these operations, having checked that every order that extends happened-before gives it.
fn after(operations: &[(Dot, Draft)]) -> Conversation {
    let sealed: Vec<Operation> = operations
        .iter()
        .map(|(dot, draft)| {
            let (envelope, payload) = draft.seal([dot.replica.region.0 as u8; 16]);
            Operation { dot: *dot, envelope, payload: Some(payload) }
        })
        .collect();
    let id = operations[0].1.conversation;
    let cuts: BTreeMap<Dot, Cut> = operations
        .iter()
        .map(|(dot, draft)| match &draft.body {
            Body::Change(change) => (*dot, change.cut.clone()),
            _ => (*dot, Cut::new()),
        })
        .collect();
    let causal = |order: &Vec<&Operation>| {
        order.iter().enumerate().all(|(at, one)| {
            order[at..].iter().all(|later| {
                !cuts[&one.dot].covers(later.dot)
                    && (one.dot.replica != later.dot.replica || one.dot.sequence <= later.dot.sequence)
            })
        })
    };
    let mut states = orders(&sealed).into_iter().filter(causal).map(|order| {
        let mut state = Conversation::new(id);
        for operation in order {
            state.apply(operation).unwrap();
        }
        state
    });
    let first = states.next().unwrap();
    assert!(states.all(|state| state == first && state.digest() == first.digest()));
    first
}

fn orders(operations: &[Operation]) -> Vec<Vec<&Operation>> {
    let Some((first, rest)) = operations.split_first() else { return vec![vec![]] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut order = order.clone();
            order.insert(at, first);
            all.push(order);
        }
    }
    all
}

fn members(state: &Conversation) -> Vec<UserId> {
    state.membership().members().collect()
}

fn begun() -> (Dot, Draft) {
    by(dot(1, 1), 1, CREATOR, 1, create(&[CREATOR, ANN], "Lagoon"))
}

#[test]
fn two_creations_of_one_id_the_lower_stands_and_the_other_is_void_with_its_adds() {
    let state = after(&[
        by(dot(1, 1), 5, CREATOR, 1, create(&[CREATOR], "first")),
        by(dot(2, 1), 9, ANN, 2, create(&[ANN, BEN], "second")),
        by(dot(2, 2), 10, ANN, 3, under(UserId(99), &[dot(2, 1)], dot(2, 1))),
    ]);
    assert_eq!(admins(&state), [CREATOR]);
    assert_eq!(state.membership().name(), "first");
    assert_eq!(members(&state), [CREATOR]);
}

#[test]
fn creations_at_the_same_time_are_told_apart_by_dot() {
    let state = after(&[
        by(dot(2, 1), 5, ANN, 2, create(&[ANN], "second")),
        by(dot(1, 1), 5, CREATOR, 1, create(&[CREATOR], "first")),
    ]);
    assert_eq!(admins(&state), [CREATOR]);
}

#[test]
fn a_creation_resent_to_another_region_is_one_creation_and_a_leave_that_saw_either_counts() {
    let state = after(&[
        by(dot(1, 1), 5, CREATOR, 1, create(&[CREATOR, ANN], "Lagoon")),
        by(dot(2, 1), 9, CREATOR, 1, create(&[CREATOR, ANN], "Lagoon")),
        by(dot(2, 2), 10, ANN, 2, leave(&[dot(2, 1)])),
    ]);
    assert_eq!(members(&state), [CREATOR]);
    assert_eq!(state.timeline().entries().count(), 2, "the creation once, and the leave");
}

#[test]
fn a_leave_that_saw_only_the_void_creation_leaves_the_standing_one_alone() {
    let state = after(&[
        by(dot(1, 1), 5, CREATOR, 1, create(&[CREATOR, ANN], "first")),
        by(dot(2, 1), 9, BEN, 2, create(&[ANN, BEN], "second")),
        by(dot(2, 2), 10, ANN, 3, leave(&[dot(2, 1)])),
    ]);
    assert_eq!(members(&state), [CREATOR, ANN]);
}

#[test]
fn an_add_concurrent_with_a_leave_stands() {
    let state = after(&[
        begun(),
        by(dot(1, 2), 2, CREATOR, 2, add(ANN, &[dot(1, 1)])),
        by(dot(2, 1), 3, ANN, 3, leave(&[dot(1, 1)])),
    ]);
    assert_eq!(members(&state), [CREATOR, ANN]);
    assert_eq!(
        state.membership().member(ANN),
        Some(cut(&[dot(1, 1)])),
        "by the add, no longer as a first member"
    );
}

#[test]
fn an_add_that_a_leave_has_seen_is_undone_and_so_is_its_resend() {
    let state = after(&[
        begun(),
        by(dot(1, 2), 2, CREATOR, 2, add(BEN, &[dot(1, 1)])),
        by(dot(2, 1), 3, BEN, 3, leave(&[dot(1, 2)])),
        by(dot(3, 1), 4, CREATOR, 2, add(BEN, &[dot(1, 1)])),
    ]);
    assert_eq!(members(&state), [CREATOR, ANN]);
}

#[test]
fn whoever_left_can_be_added_again_and_is_not_shown_what_was_before() {
    let state = after(&[
        begun(),
        by(dot(2, 1), 2, ANN, 2, leave(&[dot(1, 1)])),
        by(dot(1, 2), 3, CREATOR, 3, add(ANN, &[dot(1, 1), dot(2, 1)])),
    ]);
    assert_eq!(state.membership().member(ANN), Some(cut(&[dot(1, 1), dot(2, 1)])));
    assert_eq!(state.membership().member(CREATOR), Some(Cut::new()));
}

#[test]
fn two_adds_of_one_user_are_one_membership_that_is_hidden_what_either_hides() {
    let state = after(&[
        begun(),
        by(dot(1, 2), 2, CREATOR, 2, add(BEN, &[dot(1, 1), dot(2, 3), dot(3, 5)])),
        by(dot(2, 4), 3, CREATOR, 3, add(BEN, &[dot(1, 1), dot(2, 3), dot(3, 9)])),
    ]);
    assert_eq!(state.membership().member(BEN), Some(cut(&[dot(1, 1), dot(2, 3), dot(3, 9)])));
}

#[test]
fn an_add_by_somebody_who_is_no_admin_is_void() {
    let state = after(&[begun(), by(dot(1, 2), 2, ANN, 2, add(BEN, &[dot(1, 1)]))]);
    assert_eq!(members(&state), [CREATOR, ANN]);
}

#[test]
fn a_leave_by_somebody_who_is_no_member_changes_nothing_and_their_later_add_stands() {
    let state = after(&[
        begun(),
        by(dot(2, 1), 2, BEN, 2, leave(&[dot(1, 1)])),
        by(dot(1, 2), 3, CREATOR, 3, add(BEN, &[dot(1, 1), dot(2, 1)])),
    ]);
    assert_eq!(members(&state), [CREATOR, ANN, BEN]);
}

#[test]
fn a_creator_who_leaves_is_gone_and_so_is_whom_they_added_concurrently() {
    let state = after(&[
        begun(),
        by(dot(1, 2), 2, CREATOR, 2, leave(&[dot(1, 1)])),
        by(dot(2, 1), 2, CREATOR, 3, add(BEN, &[dot(1, 1)])),
    ]);
    assert_eq!(members(&state), [ANN]);
    assert_eq!(admins(&state), []);
}

#[test]
fn a_direct_conversation_opened_from_both_sides_is_one_and_nobody_joins_or_leaves_it() {
    let pair = ConversationId::direct(PlacementId(1), ANN, BEN);
    let state = after(&[
        in_conversation(pair, by(dot(1, 1), 1, ANN, 1, direct(ANN, BEN))),
        in_conversation(pair, by(dot(2, 1), 2, BEN, 2, direct(ANN, BEN))),
        in_conversation(pair, by(dot(1, 2), 3, ANN, 3, add(CREATOR, &[dot(1, 1)]))),
        in_conversation(pair, by(dot(2, 2), 3, BEN, 4, leave(&[dot(1, 1), dot(2, 1)]))),
    ]);
    assert!(state.membership().direct());
    assert_eq!(members(&state), [ANN, BEN]);
    assert_eq!(state.membership().member(BEN), Some(Cut::new()));
}

#[test]
fn an_account_is_its_users_alone_and_whatever_else_has_its_id_gives_way() {
    let account = ConversationId::account(PlacementId(1), ANN);
    let own =
        |of: UserId| Body::Create { members: vec![of], name: String::new(), direct: true, shares: [].into() };
    let state = after(&[
        in_conversation(account, by(dot(1, 1), 1, CREATOR, 1, create(&[CREATOR, ANN], "squatted"))),
        in_conversation(account, by(dot(3, 1), 1, BEN, 1, own(BEN))),
        in_conversation(account, by(dot(2, 1), 9, ANN, 2, own(ANN))),
        in_conversation(account, by(dot(1, 2), 9, CREATOR, 3, add(BEN, &[dot(1, 1)]))),
        in_conversation(account, by(dot(2, 2), 10, ANN, 4, leave(&[dot(2, 1)]))),
    ]);
    assert_eq!(members(&state), [ANN]);
    assert!(state.membership().direct() && state.membership().member(CREATOR).is_none());
    let bytes = state.membership().encode();
    assert_eq!(crdt::Membership::decode(&bytes).unwrap(), *state.membership());
    let void = [
        after(&[in_conversation(account, by(dot(1, 1), 1, BEN, 1, own(ANN)))]),
        after(&[in_conversation(account, by(dot(1, 1), 1, ANN, 1, direct(ANN, BEN)))]),
        after(&[by(dot(1, 1), 1, ANN, 1, own(ANN))]),
    ];
    for state in void {
        assert!(!state.membership().exists());
    }
}

#[test]
fn a_group_squatting_on_the_id_of_a_direct_conversation_gives_way_to_it() {
    let pair = ConversationId::direct(PlacementId(1), ANN, BEN);
    let state = after(&[
        in_conversation(pair, by(dot(1, 1), 1, CREATOR, 1, create(&[CREATOR], "squatted"))),
        in_conversation(pair, by(dot(2, 1), 9, BEN, 2, direct(ANN, BEN))),
    ]);
    assert_eq!(members(&state), [ANN, BEN]);
    assert_eq!(state.membership().name(), "");
}

#[test]
fn a_direct_creation_under_an_id_that_is_not_its_members_or_by_a_third_is_void() {
    let pair = ConversationId::direct(PlacementId(1), ANN, BEN);
    let strangers = after(&[in_conversation(pair, by(dot(1, 1), 1, ANN, 1, direct(CREATOR, ANN)))]);
    let third = after(&[in_conversation(pair, by(dot(1, 1), 1, CREATOR, 1, direct(ANN, BEN)))]);
    let drawn = after(&[by(dot(1, 1), 1, ANN, 1, direct(ANN, BEN))]);
    for state in [strangers, third, drawn] {
        assert!(!state.membership().exists());
        assert_eq!(members(&state), []);
    }
}

#[test]
fn a_message_taken_by_two_regions_is_shown_once_at_the_lower_place() {
    let state = after(&[
        begun(),
        by(dot(2, 1), 9, ANN, 2, post("hello")),
        by(dot(1, 2), 20, CREATOR, 3, post("between")),
        by(dot(3, 1), 30, ANN, 2, post("hello")),
    ]);
    let shown: Vec<Dot> = state.timeline().entries().map(|(place, _)| place.dot).collect();
    assert_eq!(shown, [dot(1, 1), dot(2, 1), dot(1, 2)]);
    let identity = Identity { sender: ANN, message: MessageId(2) };
    assert_eq!(state.timeline().aliases(identity).unwrap().canonical().unwrap().dot, dot(2, 1));
}

#[test]
fn one_id_under_two_messages_shows_the_lower_one_everywhere() {
    let state = after(&[
        begun(),
        by(dot(2, 1), 9, ANN, 2, post("this")),
        by(dot(3, 1), 8, ANN, 2, post("that")),
        by(dot(2, 2), 9, CREATOR, 2, post("the same number by another sender is another message")),
    ]);
    let shown: Vec<Dot> = state.timeline().entries().map(|(place, _)| place.dot).collect();
    assert_eq!(shown, [dot(1, 1), dot(3, 1), dot(2, 2)]);
}

#[test]
fn an_answer_points_to_its_message_wherever_that_moves() {
    let question = by(dot(2, 1), 9, ANN, 2, post("?"));
    let answer = Post {
        body: Bytes::from_static(b"!"),
        sent_at_ms: 0,
        reply_to: Some((ANN, MessageId(2))),
        seen: None,
    };
    let answer = by(dot(2, 2), 10, BEN, 3, Body::Post(answer));
    let (sender, message) = match &answer.1.body {
        Body::Post(post) => post.reply_to.unwrap(),
        Body::Create { .. } | Body::Change(_) | Body::Rights(_) | Body::Document(_) | Body::Amend { .. } => {
            unreachable!("a post")
        }
    };
    let target = |state: &Conversation| {
        state.timeline().aliases(Identity { sender, message }).unwrap().canonical().unwrap().dot
    };
    assert_eq!(target(&after(&[question.clone(), answer.clone()])), dot(2, 1));
    let moved = after(&[question, answer, by(dot(3, 1), 4, ANN, 2, post("?"))]);
    assert_eq!(target(&moved), dot(3, 1));
}

#[test]
fn what_one_device_read_in_two_regions_is_joined_and_was_delivered() {
    let mut receipt = Receipt::new(cut(&[dot(1, 4)]), cut(&[dot(1, 2)]));
    assert!(receipt.join(&Receipt::new(Cut::new(), cut(&[dot(1, 1), dot(2, 3)]))));
    assert_eq!(receipt.read(), &cut(&[dot(1, 2), dot(2, 3)]));
    assert_eq!(receipt.delivered(), &cut(&[dot(1, 4), dot(2, 3)]));
}

/// A receipt given before a cut-off region came back does not claim that region's late messages, although they sort before it.
#[test]
fn a_late_message_is_not_falsely_read() {
    let late = Place { hlc: Timestamp::from_ms(5), dot: dot(2, 1) };
    let read = Place { hlc: Timestamp::from_ms(9), dot: dot(1, 4) };
    let receipt = Receipt::new(Cut::new(), cut(&[dot(1, 4)]));
    assert!(receipt.has_read(&Aliases::from_iter([read]), &Cut::new()));
    assert!(!receipt.has_delivered(&Aliases::from_iter([late]), &Cut::new()));
}

#[test]
fn what_was_read_stays_read_when_it_becomes_an_alias() {
    let read = Place { hlc: Timestamp::from_ms(8), dot: dot(1, 3) };
    let late = Place { hlc: Timestamp::from_ms(5), dot: dot(2, 1) };
    let receipt = Receipt::new(Cut::new(), cut(&[dot(1, 4)]));
    let mut message = Aliases::from_iter([read]);
    assert!(receipt.has_read(&message, &Cut::new()));
    assert_eq!(message.insert(late), crdt::timeline::Inserted::Moved { from: read });
    assert!(receipt.has_read(&message, &Cut::new()));
}

#[test]
fn who_tells_nobody_has_read_it_for_themselves_and_only_what_was_told_counts_for_others() {
    let message = Aliases::from_iter([Place { hlc: Timestamp::from_ms(8), dot: dot(1, 3) }]);
    let mut receipt = Receipt::new(Cut::new(), cut(&[dot(1, 2)]));
    assert!(receipt.join(&Receipt::quiet(cut(&[dot(1, 4), dot(2, 1)]))));
    assert!(receipt.has_delivered(&message, &Cut::new()), "delivered receipts go on");
    assert!(!receipt.has_read(&message, &Cut::new()));
    assert_eq!(receipt.read(), &cut(&[dot(1, 2)]));
    assert_eq!(receipt.noted(), &cut(&[dot(1, 4), dot(2, 1)]));
    assert!(receipt.join(&Receipt::new(Cut::new(), cut(&[dot(1, 5)]))), "they tell others again");
    assert!(receipt.has_read(&message, &Cut::new()));
    assert_eq!(receipt.noted(), &cut(&[dot(1, 5), dot(2, 1)]));
}

#[test]
fn what_a_device_confirmed_that_was_taken_for_dead_counts_for_the_rest() {
    let some = Receipt::new(cut(&[dot(1, 4)]), cut(&[dot(1, 2)]));
    let more = Receipt::new(cut(&[dot(2, 3)]), Cut::new());
    let mut here = DeviceReceipt::Kept(some.clone());
    assert_eq!(here.join(&DeviceReceipt::Dead), (true, Some(some)));
    assert_eq!(here.join(&DeviceReceipt::Kept(more.clone())), (false, Some(more)), "it is found in a drawer");
    assert_eq!(here.join(&DeviceReceipt::Dead), (false, None));
    assert_eq!((here.kept(), DeviceReceipt::decode(&here.encode())), (None, Ok(DeviceReceipt::Dead)));
}

#[test]
fn nothing_from_before_its_reader_was_added_counts() {
    let message = Aliases::from_iter([Place { hlc: Timestamp::from_ms(9), dot: dot(1, 4) }]);
    let receipt = Receipt::new(Cut::new(), cut(&[dot(1, 4)]));
    for (since, counts) in [(dot(1, 3), true), (dot(1, 4), false)] {
        let since = cut(&[since]);
        assert_eq!(receipt.has_read(&message, &since), counts);
        assert_eq!(receipt.has_delivered(&message, &since), counts);
    }
}
