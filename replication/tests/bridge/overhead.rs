//! What a bridge costs: bytes of overhead around a body of 1,024 bytes, everything but QUIC included, and bytes of a third region's
//! references a message.
//!
//! The figures are exact, since the world is seeded; whoever changes the wire sees the difference here. Posts are real ones, with random ids, salts and bodies.

use crate::store::placement;
use crate::world::{World, partition, region};
use bytes::Bytes;
use crdt::operation::{Body, Draft, Post};
use crdt::{ConversationId, MessageId, Timestamp, UserId};
use expect_test::expect;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use replication::commit::OperationBytes;
use replication::placement::Placements;

const BODY_BYTES: u64 = 1_024;
/// The length prefix that the driver puts before a frame.
const PREFIX_BYTES: u64 = 4;

fn post(world: &mut World, conversation: u128) -> OperationBytes {
    let random = &mut world.random;
    let mut draw = |bytes: usize| {
        let mut drawn = vec![0; bytes];
        random.fill_bytes(&mut drawn);
        drawn
    };
    let body = Bytes::from(draw(1_024));
    let message = MessageId(u128::from_be_bytes(draw(16).try_into().unwrap()));
    let sender = UserId((1 << 48) | u64::from(draw(1)[0]));
    let salt = draw(16).try_into().unwrap();
    let sent_at_ms = 1_795_000_000_000 + (world.now.0 / 1_000) as i64;
    let draft = Draft {
        conversation: ConversationId(conversation),
        hlc: Timestamp::from_ms(sent_at_ms as u64),
        sender,
        message,
        body: Body::Post(Post { body, sent_at_ms, reply_to: None, seen: None }),
    };
    let (envelope, payload) = draft.seal(salt);
    OperationBytes { envelope, payload: Some(payload) }
}

fn conversation(number: u128) -> u128 {
    (1 << 112) | 0x00ab_cdef_0123_4567_89ab_cdef_0000_0000 | number
}

/// Hundredths of bytes a message beyond its body, in commits of `size`, `apart_ms` after one another.
fn overhead(size: u64, apart_ms: u64, conversations: u128) -> u64 {
    let mut world = World::new(1, &[1, 2], &Placements::new([placement(1, &[1, 2])]));
    world.commit_ms = 0;
    world.start_all();
    world.run_ms(1_000);
    let link = (region(1), region(2));
    let before = world.bytes_sent[&link];
    let commits = 64;
    for at in 0..commits {
        let operations =
            (0..size).map(|n| post(&mut world, conversation(u128::from(at * size + n) % conversations)));
        let operations = operations.collect::<Vec<_>>();
        world.issue(region(1), partition(1, 700), operations);
        world.run_ms(apart_ms);
    }
    world.run_ms(1_000);
    assert!(world.converged());
    let frames = world.frames_sent[&link];
    let sent = world.bytes_sent[&link] - before + PREFIX_BYTES * frames;
    (sent - commits * size * BODY_BYTES) * 100 / (commits * size)
}

/// Hundredths of bytes that a message of region 3 costs on the bridge from 1 to 2, when both 1 and 3 issue in turn in one conversation.
fn reference(size: u64, theirs_a_commit: u64) -> u64 {
    let mut sent = [0, 0];
    for (with_third, total) in [false, true].into_iter().zip(&mut sent) {
        let mut world = World::new(1, &[1, 2, 3], &Placements::new([placement(1, &[1, 2, 3])]));
        world.commit_ms = 0;
        world.start_all();
        world.run_ms(1_000);
        let link = (region(1), region(2));
        let before = world.bytes_sent[&link];
        for _ in 0..64 {
            for _ in 0..theirs_a_commit {
                let theirs = post(&mut world, conversation(1));
                if with_third {
                    world.issue(region(3), partition(1, 700), vec![theirs]);
                }
                world.run_ms(30);
            }
            let operations = (0..size).map(|_| post(&mut world, conversation(1))).collect();
            world.issue(region(1), partition(1, 700), operations);
            world.run_ms(1);
        }
        world.run_ms(1_000);
        assert!(world.converged());
        *total = world.bytes_sent[&link] - before;
    }
    (sent[1] - sent[0]) * 100 / (64 * theirs_a_commit)
}

/// The same with all three regions issuing one by one at random.
fn reference_at_random() -> u64 {
    let (mut sent, mut theirs) = ([0, 0], 0);
    for (with_third, total) in [false, true].into_iter().zip(&mut sent) {
        let mut world = World::new(1, &[1, 2, 3], &Placements::new([placement(1, &[1, 2, 3])]));
        world.commit_ms = 0;
        world.start_all();
        world.run_ms(1_000);
        let link = (region(1), region(2));
        let before = world.bytes_sent[&link];
        let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        theirs = 0;
        for _ in 0..600 {
            let who = 1 + (dice.next_u64() % 3) as u16;
            theirs += u64::from(who == 3);
            let operation = post(&mut world, conversation(1));
            if who != 3 || with_third {
                world.issue(region(who), partition(1, 700), vec![operation]);
            }
            world.run_ms(20);
        }
        world.run_ms(1_000);
        assert!(world.converged());
        *total = world.bytes_sent[&link] - before;
    }
    (sent[1] - sent[0]) * 100 / theirs
}

fn text(hundredths: u64) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[test]
fn a_message_of_1_kb_costs_at_most_112_bytes_of_overhead_under_load() {
    let mut table = String::new();
    for (what, size, apart, conversations) in [
        ("commits of 1, one conversation, pipe idle", 1, 50, 1),
        ("commits of 1, one conversation, pipe busy", 1, 0, 1),
        ("commits of 4, one conversation, pipe idle", 4, 50, 1),
        ("commits of 4, four conversations, pipe idle", 4, 50, 4),
        ("commits of 16, one conversation, pipe idle", 16, 50, 1),
        ("commits of 16, four conversations, pipe idle", 16, 50, 4),
    ] {
        let cost = overhead(size, apart, conversations);
        assert!(size == 1 || cost <= 11_200, "{what}: {cost} hundredths");
        table += &format!("{what:<46} {:>7}\n", text(cost));
    }
    expect![[r#"
        commits of 1, one conversation, pipe idle       146.89
        commits of 1, one conversation, pipe busy        63.23
        commits of 4, one conversation, pipe idle        79.41
        commits of 4, four conversations, pipe idle      81.66
        commits of 16, one conversation, pipe idle       62.74
        commits of 16, four conversations, pipe idle     63.37
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_third_regions_references_cost_at_most_4_bytes_a_message_under_load() {
    let mut table = String::new();
    for (what, size, theirs) in [
        ("one of theirs before each of ours", 1, 1),
        ("two of theirs before each of ours", 1, 2),
        ("four of theirs before each of ours", 4, 4),
    ] {
        let cost = reference(size, theirs);
        assert!(theirs == 1 || cost <= 400, "{what}: {cost} hundredths");
        table += &format!("{what:<46} {:>7}\n", text(cost));
    }
    let cost = reference_at_random();
    assert!(cost <= 400, "at random: {cost} hundredths");
    table += &format!("{:<46} {:>7}\n", "one by one at random, three regions", text(cost));
    expect![[r#"
        one of theirs before each of ours                 7.00
        two of theirs before each of ours                 3.51
        four of theirs before each of ours                1.74
        one by one at random, three regions               2.79
    "#]]
    .assert_eq(&table);
}
