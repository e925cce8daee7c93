//! Every refusal of what a peer sends: commits and registers, named by their reason, all of an input at once.
//!
//! What must always hold: a refusal changes nothing. After each the store is compared, record by record, with what it was before; a fork is told from tampering and from a
//! resend. What a device is refused is in `refusals.rs`.

use crate::refusals::world;
use crate::rig::{START, World, group, key, message, post, replica, user};
use bytes::Bytes;
use crdt::operation::{Body, Draft, MalformedOperation};
use crdt::roster::{Action, Change};
use crdt::{Cut, PartitionId, Sequence, Timestamp};
use region::shard::{Effect, Input};
use replication::commit::{Commit, CommitRefused, OperationBytes};
use replication::log::{ChangeNumber, LogView as _, Position};
use replication::register::Register;
use replication::signature::Ed25519;

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
    world.greet();
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

    world.greet();
    let longer = signed(partition, 1, vec![next_post(51), next_post(52)]);
    world.step(0, vec![entries(vec![longer])]);
    let reason = CommitRefused::Fork { partition, origin: replica(1), last: 2 };
    assert_eq!(
        world.effects,
        [Effect::Refused { peer: replica(1), reason }],
        "it does not begin as what is had"
    );

    world.greet();
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
        world.greet();
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

/// Seed 8001469 of `storm-of-everything`: what followed on the branch that was refused was on its way already, and was taken.
#[test]
fn behind_a_refusal_nothing_of_that_stream_is_taken_until_its_peer_introduces_itself_anew() {
    let mut world = world();
    world.greet();
    let partition = group(1).partition();
    let entries = |commits: Vec<Commit>, cursor| Input::Entries {
        peer: replica(1),
        partition,
        commits,
        cursor: Some(Position(cursor)),
    };
    let first = signed(partition, 1, vec![next_post(50)]);
    let head = first.head_after(crdt::ChainHead::genesis(partition, replica(1)));
    let operations = vec![next_post(51)];
    let second = Commit::sign(partition, replica(1), Sequence(2), operations, head, (&Ed25519, &key(1)));
    world.step(0, vec![entries(vec![first], 1)]);
    let before = world.regions[0].store.clone();
    let fork = entries(vec![signed(partition, 1, vec![next_post(52)])], 2);
    let outcome = world.step(0, vec![fork, entries(vec![second.clone()], 3)]);
    let [Effect::Refused { reason: CommitRefused::Fork { .. }, .. }] = &outcome.effects[..] else {
        panic!("the fork is told, and nothing else: {:?}", outcome.effects);
    };
    world.step(0, vec![entries(vec![second.clone()], 3), entries(vec![], 4)]);
    assert!(world.regions[0].store == before, "neither what was behind it nor its cursor is taken");
    world.greet();
    world.step(0, vec![entries(vec![second], 3)]);
    assert_eq!(world.log(0).state(partition).unwrap().applied.get(replica(1)), Sequence(2));
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
    world.step(
        0,
        vec![Input::Registers { peer: replica(1), partition, registers, after: ChangeNumber(0), cursor }],
    );
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
        (vec![], vec![]),
        (vec![3, 1, 2], vec![]),
        (receipt(group(1)), vec![255]),
        (receipt(elsewhere), empty.clone()),
        (acknowledgement, vec![255]),
        (vec![1, 2, 3], empty),
    ];
    for (key, value) in unreadable {
        let registers = vec![Register { key: key.clone().into(), value: value.into() }];
        let cursor = ChangeNumber(99);
        let outcome = world.step(
            0,
            vec![Input::Registers { peer: replica(1), partition, registers, after: ChangeNumber(0), cursor }],
        );
        let [Effect::Refused { reason: CommitRefused::Register { .. }, .. }] = &outcome.effects[..] else {
            panic!("{key:?}: {:?}", outcome.effects);
        };
        assert!(outcome.batch.is_empty() && world.regions[0].store == before);
    }
}
