//! Every refusal: named by its code, and nothing changed.
//!
//! Commands are refused to the device that sent them; commits and registers are refused to the peer, all of an input at once. After
//! each refusal the store is compared, record by record, with what it was before.
use crate::rig::{ELSEWHERE, START, WORLD, World, create, group, key, message, post, replica, user};
use bytes::Bytes;
use crdt::operation::{Body, Draft, MalformedOperation};
use crdt::roster::{Action, Change};
use crdt::{Cut, Dot, MessageId, PartitionId, Sequence, Timestamp, UserId};
use expect_test::{Expect, expect};
use region::command::{Command, Done, MembersWish, Refusal, Seen};
use region::shard::{Effect, Input, OpenError, Shard};
use region::store::MemoryStore;
use replication::commit::{Commit, CommitRefused, OperationBytes};
use replication::log::{ChangeNumber, LogView as _, Position};
use replication::register::Register;
use replication::signature::Ed25519;

/// A world of two regions in which users 1 and 2 are in group 1, 1 and 2 talk directly, and both regions hold all of it.
fn world() -> World {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    let direct = Command::OpenDirect { placement: WORLD, command: message(3), peer: user(2) };
    world.ask(0, 1, direct).unwrap();
    world.calm();
    world
}

fn check(by: u64, command: Command, expected: Expect) {
    let mut world = world();
    let before = world.regions[0].store.clone();
    let input = world.command(by, command);
    let outcome = world.step(0, vec![input]);
    let refusal = crate::rig::reply(&outcome.effects).unwrap_err();
    expected.assert_eq(&format!("{}: {refusal}", refusal.code()));
    assert!(outcome.batch.is_empty(), "a refusal writes nothing");
    assert_eq!(outcome.effects.len(), 1, "a refusal says nothing but itself");
    assert!(world.regions[0].store == before, "a refusal changes nothing");
}

fn direct() -> crdt::ConversationId {
    crdt::ConversationId::direct(WORLD, user(1), user(2))
}

#[test]
fn commands_are_refused_by_name_and_change_nothing() {
    let (islands, new) = (group(1), message(9));
    let elsewhere = crdt::ConversationId::group(ELSEWHERE, 1);
    let pinned = UserId::new(ELSEWHERE, 1);
    check(
        1,
        post(elsewhere, 9, "x"),
        expect![
            "wrong_placement: conversation c00020000000000000000000000000001 lives in a placement that this region has no part in: connect to a region of that placement"
        ],
    );
    check(
        3,
        post(islands, 9, "x"),
        expect![
            "unknown_conversation: there is no conversation c00010000000000000000000000000001 for you here: check the id, or wait until this region has heard of it"
        ],
    );
    check(
        1,
        post(group(77), 9, "x"),
        expect![
            "unknown_conversation: there is no conversation c0001000000000000000000000000004d for you here: check the id, or wait until this region has heard of it"
        ],
    );
    check(
        1,
        post(islands, 9, &"x".repeat(65_537)),
        expect![
            "body_too_large: the body has 65537 bytes, the limit is 65536: shorten it, or send it in parts"
        ],
    );
    check(
        1,
        Command::ChangeMembers { conversation: islands, command: new, wish: MembersWish::Add(pinned) },
        expect![
            "placement_fixed: u0002000000000001 cannot take part in conversation c00010000000000000000000000000001, because placements are fixed: begin a new one in a placement that all members allow"
        ],
    );
    check(
        2,
        Command::ChangeMembers { conversation: islands, command: new, wish: MembersWish::Add(user(3)) },
        expect!["not_an_admin: only admins may do that: ask one of them"],
    );
    check(
        1,
        Command::ChangeMembers { conversation: direct(), command: new, wish: MembersWish::Add(user(3)) },
        expect![
            "direct_conversation: conversation c0001c5a1e1c23db41737f9b162e9e22e is between two users, who are in it for good: begin a group"
        ],
    );
    check(
        1,
        Command::ChangeMembers { conversation: direct(), command: new, wish: MembersWish::Leave },
        expect![
            "direct_conversation: conversation c0001c5a1e1c23db41737f9b162e9e22e is between two users, who are in it for good: begin a group"
        ],
    );
    check(
        3,
        Command::ChangeMembers { conversation: islands, command: new, wish: MembersWish::Leave },
        expect![
            "unknown_conversation: there is no conversation c00010000000000000000000000000001 for you here: check the id, or wait until this region has heard of it"
        ],
    );
    check(
        1,
        Command::OpenDirect { placement: WORLD, command: new, peer: user(1) },
        expect![
            "direct_conversation: conversation c0001e282870203aa807832cbbc88331f is between two users, who are in it for good: begin a group"
        ],
    );
    check(
        2,
        create(islands, 9, &[2, 3]),
        expect![
            "conversation_exists: conversation c00010000000000000000000000000001 exists already: draw another id"
        ],
    );
    check(
        1,
        create(group(2), 9, &(1..=1_025).collect::<Vec<_>>()),
        expect![
            "too_many_members: 1025 members are more than the limit of 1024: begin with fewer, or remove somebody first"
        ],
    );
    let name = "ü".repeat(257);
    let long =
        Command::CreateGroup { conversation: group(2), command: new, members: vec![], name, begun_in: None };
    check(1, long, expect!["name_too_long: the name has 257 characters, the limit is 256: shorten it"]);
    let members = vec![pinned];
    let of_another = Command::CreateGroup {
        conversation: group(2),
        command: new,
        members,
        name: String::new(),
        begun_in: None,
    };
    check(
        1,
        of_another,
        expect![
            "placement_fixed: u0002000000000001 cannot take part in conversation c00010000000000000000000000000002, because placements are fixed: begin a new one in a placement that all members allow"
        ],
    );
}

#[test]
fn what_is_as_large_as_it_may_be_is_taken() {
    let mut world = world();
    world.ask(0, 1, post(group(1), 9, &"x".repeat(65_536))).unwrap();
    let members = (1..=1_024).map(user).collect();
    let name = "ü".repeat(256);
    let largest =
        Command::CreateGroup { conversation: group(2), command: message(10), members, name, begun_in: None };
    world.ask(0, 1, largest).unwrap();
}

#[test]
fn who_left_is_told_so_and_who_was_never_in_it_learns_nothing() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world
        .ask(
            0,
            2,
            Command::ChangeMembers { conversation: group(1), command: message(2), wish: MembersWish::Leave },
        )
        .unwrap();
    let mut code = |user| world.ask(0, user, post(group(1), 3, "x")).unwrap_err().code();
    assert_eq!((code(2), code(3)), ("not_a_member", "unknown_conversation"));
}

#[test]
fn a_message_that_is_to_stand_after_another_is_not_taken_before_it() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    let mut later = post(group(1), 3, "later");
    if let Command::Post { after, .. } = &mut later {
        *after = Some(message(2));
    }
    let refused = world.ask(0, 2, later.clone()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("message {} is to stand before this one and is not here: send that one first", message(2))
    );
    // Somebody else's message under that id is another one.
    world.ask(0, 1, post(group(1), 2, "another")).unwrap();
    assert_eq!(world.ask(0, 2, later.clone()).unwrap_err().code(), "predecessor_missing");
    world.ask(0, 2, post(group(1), 2, "earlier")).unwrap();
    world.ask(0, 2, later).unwrap();
}

#[test]
fn ids_outside_their_window_are_refused_and_the_window_is_judged_on_now() {
    let day = 86_400_000;
    let post = |created_ms| Command::Post {
        conversation: group(1),
        message: MessageId::new(created_ms, 9),
        body: Bytes::from_static(b"x"),
        reply_to: None,
        sent_at_ms: 0,
        seen: None,
        after: None,
    };
    check(
        1,
        post(START.ms() - 30 * day - 1_000),
        expect![
            "message_too_old: message id 0192c68d-4118-7000-8000-000000000009 was made more than 30 days ago: send the message again under a new id"
        ],
    );
    check(
        1,
        post(START.ms() + day + 60_000),
        expect![
            "message_from_future: message id 01936633-5360-7000-8000-000000000009 is dated more than a day ahead: correct the device's clock and send again under a new id"
        ],
    );
    let mut world = world();
    for created_ms in [world.now.ms() - 30 * day + 1_000, world.now.ms() + day] {
        world.ask(0, 1, post(created_ms)).unwrap();
    }
}

#[test]
fn cuts_that_nobody_was_given_are_refused() {
    let seen = |replica, sequence| {
        let dot = Dot { replica, sequence: Sequence(sequence) };
        let seen = Seen { cut: Cut::from_iter([dot]), highest: Timestamp::from_ms(1) };
        let (conversation, body) = (group(1), Bytes::from_static(b"x"));
        Command::Post {
            conversation,
            message: message(9),
            body,
            reply_to: None,
            sent_at_ms: 0,
            seen: Some(seen),
            after: None,
        }
    };
    check(
        1,
        seen(replica(0), 999),
        expect![
            "cursor_ahead: the cursor claims more than this conversation holds: sync again from your last cursor"
        ],
    );
    check(
        1,
        seen(replica(7), 1),
        expect![
            "cursor_ahead: the cursor claims more than this conversation holds: sync again from your last cursor"
        ],
    );
    let read = Some(Cut::from_iter([Dot { replica: replica(0), sequence: Sequence(999) }]));
    check(
        1,
        Command::Receipt { conversation: group(1), delivered: None, read },
        expect![
            "cursor_ahead: the cursor claims more than this conversation holds: sync again from your last cursor"
        ],
    );
    check(
        3,
        Command::Receipt { conversation: group(1), delivered: None, read: None },
        expect![
            "unknown_conversation: there is no conversation c00010000000000000000000000000001 for you here: check the id, or wait until this region has heard of it"
        ],
    );
}

#[test]
fn a_conversation_whose_clock_is_at_the_top_of_its_range_takes_nothing_more() {
    let highest = Timestamp(Timestamp::REFUSED_FROM.0 - 1);
    let seen = Some(Seen { cut: Cut::new(), highest });
    let (conversation, body) = (group(1), Bytes::from_static(b"x"));
    let post = Command::Post {
        conversation,
        message: message(9),
        body,
        reply_to: None,
        sent_at_ms: 0,
        seen,
        after: None,
    };
    check(
        1,
        post,
        expect![
            "clock_exhausted: conversation c00010000000000000000000000000001 can take no more messages: begin a new one"
        ],
    );
}

#[test]
fn a_shard_opens_only_under_the_key_its_epoch_knows() {
    let mut config = crate::rig::config(0, 2);
    config.signing_key = key(1);
    let refused = Shard::open(config, &MemoryStore::new()).unwrap_err();
    assert_eq!(refused, OpenError::NotActive { placement: WORLD, replica: replica(0) });
    assert!(refused.to_string().contains("check the region's key"));
}

/// A post that region 1 could have issued next in group 1.
fn next_post(number: u128) -> OperationBytes {
    let body = Body::Post(crdt::operation::Post {
        body: format!("from a peer {number}").into(),
        sent_at_ms: 0,
        reply_to: None,
        seen: None,
    });
    next(number, body)
}

fn next(number: u128, body: Body) -> OperationBytes {
    let hlc = Timestamp::from_ms(START.ms() + 10_000);
    let draft = Draft { conversation: group(1), hlc, sender: user(2), message: message(number), body };
    let (envelope, payload) = draft.seal([1; 16]);
    OperationBytes { envelope, payload: Some(payload) }
}

fn signed(partition: PartitionId, first: u64, operations: Vec<OperationBytes>) -> Commit {
    let genesis = crdt::ChainHead::genesis(partition, replica(1));
    Commit::sign(partition, replica(1), Sequence(first), operations, genesis, (&Ed25519, &key(1)))
}

/// Gives region 0 these commits of region 1 after a good one, and sees all of it refused.
fn refused(commits: Vec<Commit>) -> CommitRefused {
    let mut world = world();
    let before = world.regions[0].store.clone();
    let partition = group(1).partition();
    let input = Input::Entries { peer: replica(1), partition, commits, cursor: Some(Position(9)) };
    let outcome = world.step(0, vec![input]);
    let [Effect::Refused { peer, reason }] = &outcome.effects[..] else {
        panic!("refused and nothing else: {:?}", outcome.effects);
    };
    assert_eq!(*peer, replica(1));
    assert!(outcome.batch.is_empty() && world.regions[0].store == before, "a refusal changes nothing");
    reason.clone()
}

#[test]
fn commits_of_a_peer_are_refused_whole() {
    let partition = group(1).partition();
    let good = signed(partition, 1, vec![next_post(50)]);
    let two = signed(partition, 1, vec![next_post(50), next_post(51)]);

    let gap = signed(partition, 3, vec![next_post(50)]);
    assert!(matches!(refused(vec![gap]), CommitRefused::OutOfOrder { first: 3, expected: 1, .. }));

    for first in [0, u64::MAX - 1, u64::MAX] {
        let nowhere = Commit { first: Sequence(first), ..two.clone() };
        assert!(matches!(refused(vec![nowhere]), CommitRefused::OutOfOrder { expected: 1, .. }));
    }

    let short = Commit { operations: two.operations[..1].to_vec(), ..two.clone() };
    assert!(matches!(refused(vec![short]), CommitRefused::Signature { last: 1, .. }));

    let mut tampered = good.clone();
    tampered.operations[0] = next_post(52);
    assert!(matches!(refused(vec![tampered]), CommitRefused::Signature { .. }));

    let empty = Commit { operations: vec![], ..good.clone() };
    assert!(matches!(refused(vec![empty]), CommitRefused::Empty { .. }));

    let stranger = Commit { origin: replica(7), ..good.clone() };
    assert!(matches!(refused(vec![stranger]), CommitRefused::UnknownOrigin { .. }));

    let mut payload = good.clone();
    payload.operations[0].payload = two.operations[1].payload.clone();
    let digest = MalformedOperation::Digest;
    assert!(matches!(refused(vec![payload]), CommitRefused::Malformed { reason, .. } if reason == digest));

    // Of a post the payload may have been cut; a leave governs what comes after it, and keeps its own.
    let left = Body::Change(Change { cut: Cut::new(), action: Action::Leave });
    let bare = OperationBytes { payload: None, ..next(50, left) };
    let missing = signed(partition, 1, vec![bare]);
    assert!(matches!(refused(vec![missing]), CommitRefused::Malformed { .. }));

    let rubbish = OperationBytes { envelope: Bytes::from_static(&[255; 9]), payload: None };
    let rubbish = signed(partition, 1, vec![next_post(50), rubbish]);
    assert!(matches!(refused(vec![rubbish]), CommitRefused::Malformed { dot, .. } if dot.sequence.0 == 2));

    let mut later = next_post(50);
    let mut bytes = later.envelope.to_vec();
    bytes.extend([0x18, 99]);
    later.envelope = bytes.into();
    let later = signed(partition, 1, vec![later]);
    let refusal = refused(vec![good.clone(), later]);
    assert!(matches!(refusal, CommitRefused::Fork { .. }), "after a good one it is another chain: {refusal}");
}

#[test]
fn a_kind_of_a_later_version_stops_the_stream_by_name() {
    let mut later = next_post(50);
    let mut bytes = later.envelope.to_vec();
    bytes.extend([0x18, 99]);
    later.envelope = bytes.into();
    let refusal = refused(vec![signed(group(1).partition(), 1, vec![later])]);
    assert!(matches!(refusal, CommitRefused::LaterKind { kind: 99, .. }), "{refusal}");
    assert!(refusal.to_string().contains("upgrade this region"));
}

#[test]
fn an_operation_stands_only_in_the_partition_of_its_conversation() {
    let other = (2..).map(group).find(|group| group.partition() != crate::rig::group(1).partition()).unwrap();
    let commit = signed(other.partition(), 1, vec![next_post(50)]);
    let mut world = world();
    let before = world.regions[0].store.clone();
    let entries = |partition, commit: &Commit| Input::Entries {
        peer: replica(1),
        partition,
        commits: vec![commit.clone()],
        cursor: None,
    };
    let inputs = vec![entries(other.partition(), &commit), entries(group(1).partition(), &commit)];
    let outcome = world.step(0, inputs);
    let wrong = |effect: &Effect| {
        matches!(effect, Effect::Refused { reason: CommitRefused::WrongPartition { .. }, .. })
    };
    assert!(outcome.effects.len() == 2 && outcome.effects.iter().all(wrong), "{:?}", outcome.effects);
    assert!(world.regions[0].store == before);
}

#[test]
fn a_fork_is_told_from_tampering_and_from_a_resend() {
    let mut world = world();
    let partition = group(1).partition();
    let entries = |commits| Input::Entries { peer: replica(1), partition, commits, cursor: None };
    let good = signed(partition, 1, vec![next_post(50)]);
    world.step(0, vec![entries(vec![good.clone()])]);
    let before = world.regions[0].store.clone();

    world.step(0, vec![entries(vec![good.clone()])]);
    assert_eq!(world.effects, [], "what is had already is passed over");

    let fork = signed(partition, 1, vec![next_post(51)]);
    world.step(0, vec![entries(vec![fork.clone()])]);
    let reason = CommitRefused::Fork { partition, origin: replica(1), last: 1 };
    assert_eq!(world.effects, [Effect::Refused { peer: replica(1), reason }]);

    let longer = signed(partition, 1, vec![next_post(51), next_post(52)]);
    world.step(0, vec![entries(vec![longer])]);
    let reason = CommitRefused::Fork { partition, origin: replica(1), last: 2 };
    assert_eq!(
        world.effects,
        [Effect::Refused { peer: replica(1), reason }],
        "it does not begin as what is had"
    );

    let tampered = Commit { signature: good.signature, ..fork };
    world.step(0, vec![entries(vec![tampered])]);
    let reason = CommitRefused::Signature { partition, origin: replica(1), last: 1 };
    assert_eq!(world.effects, [Effect::Refused { peer: replica(1), reason }]);
    assert!(world.regions[0].store == before);
}

/// A replica is accused of a fork only where it signed both: bytes that were changed on their way are a signature that does not hold.
#[test]
fn a_fork_is_told_from_tampering_behind_what_both_have_too() {
    let mut world = world();
    let partition = group(1).partition();
    let origin = replica(1);
    let mut refused = |commits| {
        world.step(0, vec![Input::Entries { peer: replica(1), partition, commits, cursor: None }]);
        world.effects.iter().find_map(|effect| match effect {
            Effect::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    };
    let first = signed(partition, 1, vec![next_post(50)]);
    let head = first.head_after(crdt::ChainHead::genesis(partition, origin));
    let second = |number| {
        let operations = vec![next_post(number)];
        Commit::sign(partition, origin, Sequence(2), operations, head, (&Ed25519, &key(1)))
    };
    assert_eq!(refused(vec![first, second(51)]), None);
    assert_eq!(refused(vec![second(52)]), Some(CommitRefused::Fork { partition, origin, last: 2 }));
    let tampered = Commit { signature: second(51).signature, ..second(52) };
    assert_eq!(refused(vec![tampered]), Some(CommitRefused::Signature { partition, origin, last: 2 }));
}

/// A bridge joins neighbouring commits under the last one's signature, so a region may have the first operations of what comes joined.
#[test]
fn the_same_chain_cut_otherwise_is_no_fork() {
    let mut world = world();
    let partition = group(1).partition();
    let entries = |commits| Input::Entries { peer: replica(1), partition, commits, cursor: None };
    let operations = [50, 51, 52].map(next_post);
    world.step(0, vec![entries(vec![signed(partition, 1, operations[..1].to_vec())])]);
    let refused = |world: &crate::rig::World| {
        world.effects.iter().any(|effect| matches!(effect, Effect::Refused { .. }))
    };
    world.step(0, vec![entries(vec![signed(partition, 1, operations[..2].to_vec())])]);
    assert!(!refused(&world), "{:?}", world.effects);
    assert_eq!(world.log(0).state(partition).unwrap().applied.get(replica(1)), Sequence(2));
    let before = world.regions[0].store.clone();
    world.step(0, vec![entries(vec![signed(partition, 1, operations[..1].to_vec())])]);
    assert!(!refused(&world) && world.regions[0].store == before, "what is had already is passed over");
    let twice =
        vec![signed(partition, 1, operations.to_vec()), signed(partition, 1, operations[..2].to_vec())];
    world.step(0, vec![entries(twice)]);
    assert!(!refused(&world), "{:?}", world.effects);
    assert_eq!(world.log(0).state(partition).unwrap().applied.get(replica(1)), Sequence(3));
}

/// History 11, seen from the shard: a peer that holds more of this very replica than its own store does.
#[test]
fn a_store_rolled_back_behind_its_owners_back_takes_nothing_of_its_second_life() {
    let mut world = world();
    let backup = world.regions[0].store.clone();
    world.ask(0, 1, post(group(1), 60, "after the backup")).unwrap();
    world.carry(0, 1);
    world.regions[0].store = backup;
    world.reopen(0);
    let partition = group(1).partition();
    let logged = world.log(1).read(partition, Position(0), usize::MAX).unwrap();
    let commits = logged.into_iter().map(|logged| logged.commit).collect();
    world.step(0, vec![Input::Entries { peer: replica(1), partition, commits, cursor: None }]);
    let fork = |effect: &Effect| matches!(effect, Effect::Refused { reason: CommitRefused::Fork { origin, .. }, .. } if *origin == replica(0));
    assert!(world.effects.len() == 1 && fork(&world.effects[0]), "{:?}", world.effects);
}

/// The same, seen first in a feed: this replica once acknowledged more of its own than its store holds now.
#[test]
fn a_rolled_back_store_refuses_the_feed_that_knows_its_first_life() {
    let mut world = world();
    let backup = world.regions[0].store.clone();
    world.ask(0, 1, post(group(1), 60, "after the backup")).unwrap();
    world.calm();
    world.regions[0].store = backup.clone();
    world.reopen(0);
    // To the region itself its own acknowledgement does not come back from whom it told; by way of others it does.
    let partition = group(1).partition();
    let (heard, _) = world.log(1).registers(partition, Default::default(), replica(7), usize::MAX).unwrap();
    let cursor = heard.last().unwrap().0;
    let registers = heard.into_iter().map(|(_, register)| register).collect();
    world.step(0, vec![Input::Registers { peer: replica(1), partition, registers, cursor }]);
    let fork = |effect: &Effect| matches!(effect, Effect::Refused { reason: CommitRefused::Fork { origin, .. }, .. } if *origin == replica(0));
    assert!(world.effects.len() == 1 && fork(&world.effects[0]), "{:?}", world.effects);
    assert!(world.regions[0].store == backup, "nothing of the first life is joined");
    let known = world.log(1).acknowledged(partition, replica(0)).unwrap();
    let own = world.log(0).state(partition).unwrap().applied.get(replica(0));
    assert!(known > own, "which Resume says on every bridge: {known:?} against {own:?}");
}

/// A value goes to everyone but who is known to have it.
#[test]
fn a_register_is_not_sent_back_to_whom_it_came_from() {
    let mut world = world();
    world.calm();
    let partition = group(1).partition();
    let told = |world: &World, peer: usize| {
        let registers = world.log(0).registers(partition, Default::default(), replica(peer), usize::MAX);
        registers.unwrap().0.into_iter().map(|(_, register)| register.key[1..3].to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(told(&world, 1), [[0, 1]], "its own alone: the other's came from there");
    assert_eq!(told(&world, 7), [[0, 1], [0, 2]], "whoever else there is is told of both");
    let (_, read) = world.log(0).registers(partition, Default::default(), replica(1), usize::MAX).unwrap();
    let end = world.log(0).state(partition).unwrap().feed_end;
    assert_eq!(read, end, "what is not for a peer is read past, or it would be read again and again");
}

#[test]
fn registers_that_cannot_be_read_stop_the_feed_by_name() {
    let mut world = world();
    let before = world.regions[0].store.clone();
    let partition = group(1).partition();
    let empty = crdt::Receipt::default().encode();
    let receipt = |conversation: crdt::ConversationId| {
        let mut key = vec![2];
        key.extend(conversation.0.to_be_bytes());
        key.extend([0; 16]);
        key
    };
    let elsewhere = (2..).map(group).find(|group| group.partition() != partition).unwrap();
    let acknowledgement = [[1].as_slice(), &[0; 10]].concat();
    let unreadable = [
        (vec![9, 1, 2], vec![]),
        (vec![], vec![]),
        (receipt(group(1)), vec![255]),
        (receipt(elsewhere), empty.clone()),
        (acknowledgement, vec![255]),
        (vec![1, 2, 3], empty),
    ];
    for (key, value) in unreadable {
        let registers = vec![Register { key: key.clone().into(), value: value.into() }];
        let cursor = ChangeNumber(99);
        let outcome =
            world.step(0, vec![Input::Registers { peer: replica(1), partition, registers, cursor }]);
        let [Effect::Refused { reason: CommitRefused::Register { .. }, .. }] = &outcome.effects[..] else {
            panic!("{key:?}: {:?}", outcome.effects);
        };
        assert!(outcome.batch.is_empty() && world.regions[0].store == before);
    }
}

#[test]
fn a_resent_command_gets_the_originals_answer_whatever_came_between() {
    let mut world = world();
    let first = world.ask(0, 1, post(group(1), 70, "once")).unwrap();
    assert_eq!(world.ask(0, 1, post(group(1), 70, "once more")).unwrap(), first);
    assert_eq!(world.effects.len(), 1, "nothing is shown again");
    let pair = vec![
        world.command(2, post(group(1), 71, "twice in one step")),
        world.command(2, post(group(1), 71, "twice in one step")),
    ];
    world.step(0, pair);
    let answers: Vec<Result<Done, Refusal>> = crate::rig::replies(&world.effects).into_values().collect();
    assert!(answers[0].is_ok() && answers[0] == answers[1]);
    world.carry(0, 1);
    assert_eq!(world.ask(1, 1, post(group(1), 70, "once")).unwrap(), first, "also in another region");
    world.now = world.now.plus_ms(40 * 86_400_000);
    assert_eq!(world.ask(1, 1, post(group(1), 70, "once")).unwrap(), first, "also after its window");
    assert_eq!(
        world.ask(
            0,
            1,
            Command::ChangeMembers { conversation: group(1), command: message(70), wish: MembersWish::Leave }
        ),
        Ok(first)
    );
}
