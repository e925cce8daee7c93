//! The histories that break a design like this one, as far as a shard meets them. Each fails when its clause is taken out.
//!
//! The numbers are those of the list of histories that the design was tried against. Each test says in one sentence what went wrong in
//! an earlier wording, and the clause that keeps it right.
use crate::rig::{START, World, create, group, message, post, replica, user};
use bytes::Bytes;
use crdt::{Cut, Timestamp};
use region::command::{Command, Done, Seen};
use region::item::{Content, Item};
use region::read::{self, PageFrom, Standing};
use region::shard::{Effect, Input};
use region::store::Store as _;
use replication::log::{LogView as _, Position};

fn bodies(world: &World, at: usize, who: u64) -> Vec<String> {
    let page = read::page(&world.regions[at].store, group(1), user(who), PageFrom::Newest, 50).unwrap();
    let body = |item: &Item| match &item.content {
        Content::Post { body, .. } => String::from_utf8_lossy(body).into_owned(),
        _ => panic!("a page has messages alone"),
    };
    page.unwrap().iter().map(body).collect()
}

fn hlc(done: Done) -> Timestamp {
    match done {
        Done::Operation { hlc, .. } => hlc,
        Done::Exists { .. } | Done::Receipt | Done::Hidden { .. } => panic!("an operation has a timestamp"),
    }
}

/// Only the entries or only the registers of what is carried.
fn entries(input: &Input) -> bool {
    matches!(input, Input::Entries { .. })
}

/// History 1: acknowledged but not applied. Applied, logged and acknowledged are one batch: a crash loses all of it or nothing.
#[test]
fn what_is_acknowledged_is_applied_and_logged_in_the_same_batch_or_before() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    let partition = group(1).partition();
    let mut inputs = world.lacking(0, 1, usize::MAX);
    world.now = world.now.plus_ms(1_000);
    inputs.push(Input::Tick);
    let lost = world.step_only(1, inputs.clone()).unwrap();
    assert!(!lost.batch.is_empty());
    world.reopen(1);
    assert_eq!(world.log(1).state(partition).unwrap(), replication::log::PartitionState::default());
    assert_eq!(world.log(1).cursor(replica(0), partition).unwrap().log, Position(0), "it will be sent again");
    // Restarted once it is durable and before it is acknowledged: the acknowledgement is due at once.
    world.step(1, inputs);
    world.reopen(1);
    world.step(1, vec![Input::Tick]);
    let (registers, _) = world
        .log(1)
        .registers(partition, Default::default(), world.regions[0].config.replica, usize::MAX)
        .unwrap();
    assert_eq!(registers.len(), 1, "the region's own acknowledgement");
    let pair = replication::stability::Pair::decode(&registers[0].1.value).unwrap();
    assert_eq!(pair.applied, world.log(1).state(partition).unwrap().applied);
}

/// History 2: a pair believed too early. Region 1 hears from 2 that it holds c3, before it has c0 that is concurrent with c3.
#[test]
fn a_pair_counts_only_for_who_has_applied_all_of_it() {
    let mut world = World::new(3);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.calm();
    let before = read::stable(&world.regions[1].store, group(1).partition()).unwrap();
    world.ask(0, 1, post(group(1), 10, "c0")).unwrap();
    let Done::Operation { dot: c3, .. } = world.ask(1, 2, post(group(1), 11, "c3")).unwrap() else {
        panic!()
    };
    for (from, to) in [(0, 2), (1, 2), (1, 0)] {
        world.carry(from, to);
    }
    world.now = world.now.plus_ms(1_000);
    for at in 0..3 {
        world.step(at, vec![Input::Tick]);
    }
    // The feeds reach region 1, the logs do not.
    for from in [0, 2] {
        let registers = world.lacking(from, 1, usize::MAX).into_iter().filter(|input| !entries(input));
        let inputs = registers.collect();
        world.step(1, inputs);
    }
    let stable = read::stable(&world.regions[1].store, group(1).partition()).unwrap();
    assert_eq!(stable, before, "something concurrent with c3 may still come, and does");
    world.carry(2, 1);
    let told = |effect: &Effect| matches!(effect, Effect::Stable { cut, .. } if cut.covers(c3));
    assert!(world.effects.iter().any(told), "now all three hold it: {:?}", world.effects);
}

/// History 14, the shard's part: bridges join neighbouring commits, so a reference may end where no commit ends here. The chain's head is known there all the same, or
/// a fork would not be seen behind it.
#[test]
fn the_head_is_known_within_a_commit_that_a_bridge_joined() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    for number in 2..5 {
        world.ask(0, 1, post(group(1), number, "one after the other")).unwrap();
    }
    let partition = group(1).partition();
    let mut inputs = world.lacking(0, 1, usize::MAX);
    for input in &mut inputs {
        if let Input::Entries { commits, .. } = input {
            let joined = commits.drain(1..).collect::<Vec<_>>().into_iter().reduce(|mut one, next| {
                one.operations.extend(next.operations);
                one.signature = next.signature;
                one
            });
            commits.extend(joined);
        }
    }
    world.step(1, inputs);
    for sequence in (1..=4).map(crdt::Sequence) {
        let head = |at: usize| world.log(at).head(partition, replica(0), sequence).unwrap();
        assert!(head(0).is_some() && head(0) == head(1), "{sequence:?}");
    }
    assert_eq!(world.log(1).head(partition, replica(0), crdt::Sequence(5)).unwrap(), None);
}

/// History 17: a crash between write and sync. What is not synced shows nowhere, so the same dot may be issued again.
#[test]
fn what_a_crash_takes_back_had_not_left() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    let state = world.log(0).state(group(1).partition()).unwrap();
    let input = world.command(1, post(group(1), 2, "lost"));
    let lost = world.step_only(0, vec![input]).unwrap();
    assert_eq!(world.log(0).state(group(1).partition()).unwrap(), state, "bridges read what is durable");
    assert_eq!(bodies(&world, 0, 1), Vec::<String>::new(), "devices read what is durable");
    world.reopen(0);
    let done = world.ask(0, 1, post(group(1), 3, "kept")).unwrap();
    let dot = |done: &Done| match done {
        Done::Operation { dot, .. } => *dot,
        Done::Exists { .. } | Done::Receipt | Done::Hidden { .. } => panic!(),
    };
    assert_eq!(
        dot(&crate::rig::reply(&lost.effects).unwrap()),
        dot(&done),
        "the dot is issued once among those that left"
    );
    world.calm();
    assert_eq!(bodies(&world, 1, 2), ["kept"]);
}

/// History 21: a clock in 2038 for one second, a clock in 1970 for a new conversation, and a reply from a region 50 s behind.
#[test]
fn wrong_clocks_misplace_and_never_uncause() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.carry(0, 1);
    world.now = START.plus_ms(13 * 365 * 86_400_000);
    let late = crdt::MessageId::new(world.now.ms(), 2);
    let (conversation, body) = (group(1), Bytes::from_static(b"from 2038"));
    let command = Command::Post {
        conversation,
        message: late,
        body,
        reply_to: None,
        sent_at_ms: 0,
        seen: None,
        after: None,
        taken_before: false,
    };
    let ahead = hlc(world.ask(0, 1, command).unwrap());
    world.now = START.plus_ms(1_000);
    let next = hlc(world.ask(0, 1, post(group(1), 3, "back in time")).unwrap());
    assert_eq!(next, Timestamp(ahead.0 + 1), "nothing is uncaused");
    world.carry(0, 1);
    world.now = crdt::Now(START.0 - 49_000_000);
    let reply = hlc(world.ask(1, 2, post(group(1), 4, "a reply, 50 s behind")).unwrap());
    assert!(reply > next, "a reply sorts after what it answers");
    assert_eq!(bodies(&world, 1, 1), ["from 2038", "back in time", "a reply, 50 s behind"]);

    world.now = crdt::Now(1_000_000);
    let early = crdt::MessageId::new(1_000, 5);
    let members = vec![user(2)];
    let first = Command::CreateGroup {
        conversation: group(2),
        command: early,
        members,
        name: String::new(),
        begun: None,
    };
    let first = hlc(world.ask(0, 1, first).unwrap());
    assert!(first.ms() < 2_000);
    world.now = START.plus_ms(2_000);
    assert!(hlc(world.ask(0, 1, post(group(2), 6, "set right")).unwrap()) > first);
}

/// History 21, last part: a device that roams answers what its new region lacks. The answer sorts after it and bears the mark.
#[test]
fn an_answer_to_what_this_region_lacks_sorts_after_it_and_bears_the_mark() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.calm();
    world.now = world.now.plus_ms(60_000);
    let asked = hlc(world.ask(0, 1, post(group(1), 2, "a question")).unwrap());
    let given = read::changes(&world.regions[0].store, group(1), user(2), &Standing::default(), 100);
    let given = given.unwrap().unwrap();
    world.now = START.plus_ms(1_000);
    let seen = Some(Seen { cut: given.cut.clone(), highest: given.highest });
    let (conversation, body, reply_to) =
        (group(1), Bytes::from_static(b"an answer"), Some((user(1), message(2))));
    let answer = Command::Post {
        conversation,
        message: message(3),
        body,
        reply_to,
        sent_at_ms: 0,
        seen,
        after: None,
        taken_before: false,
    };
    let answered = hlc(world.ask(1, 2, answer).unwrap());
    assert!(answered > asked, "although this region lacks the question and its clock is behind");
    let mark = |effect: &Effect| match effect {
        Effect::Changed(change) => match &change.item.content {
            Content::Post { seen, .. } => seen.clone(),
            _ => None,
        },
        _ => None,
    };
    assert_eq!(world.effects.iter().find_map(mark), Some(given.cut), "the cut its author had seen");
    world.calm();
    assert_eq!(bodies(&world, 1, 1), ["a question", "an answer"]);
    // One that has seen no more than its region holds bears none.
    let seen = Some(Seen { cut: Cut::new(), highest: Timestamp::ZERO });
    let (conversation, body) = (group(1), Bytes::from_static(b"thanks"));
    let thanks = Command::Post {
        conversation,
        message: message(4),
        body,
        reply_to: None,
        sent_at_ms: 0,
        seen,
        after: None,
        taken_before: false,
    };
    world.ask(0, 1, thanks).unwrap();
    assert_eq!(world.effects.iter().find_map(mark), None);
}

/// History 23, the alias part: m at A; A is cut off; m is resent at B; A heals and m becomes the earlier one.
#[test]
fn a_message_resent_elsewhere_is_shown_once_at_its_earlier_place_and_stays_read() {
    let mut world = World::new(3);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.calm();
    let first = hlc(world.ask(0, 1, post(group(1), 2, "m")).unwrap());
    world.now = world.now.plus_ms(600_000);
    world.ask(1, 2, post(group(1), 3, "between")).unwrap();
    let second = hlc(world.ask(1, 1, post(group(1), 2, "m")).unwrap());
    assert!(first < second);
    world.carry(1, 2);
    assert_eq!(bodies(&world, 2, 2), ["between", "m"]);
    world.carry(0, 2);
    let list = read::conversations(&world.regions[2].store, crate::rig::WORLD, user(2), 9).unwrap();
    assert_eq!(list[0].unread, 1, "unread once, although two operations carry it");
    let given = read::changes(&world.regions[1].store, group(1), user(2), &Standing::default(), 100);
    let given = given.unwrap().unwrap();
    let read = Some(given.cut.clone());
    world.ask(1, 2, Command::Receipt { conversation: group(1), delivered: None, read }).unwrap();
    world.calm();
    for at in 0..3 {
        assert_eq!(bodies(&world, at, 2), ["m", "between"], "shown once, at the earlier place");
        let list = read::conversations(&world.regions[at].store, crate::rig::WORLD, user(2), 9).unwrap();
        assert_eq!(list[0].unread, 0, "what was read stays read");
        assert_eq!(world.ask(at, 1, post(group(1), 2, "m")).map(hlc), Ok(first), "one answer everywhere");
    }
    let standing = Standing { after: given.through, cut: given.cut, highest: given.highest };
    let moved = read::changes(&world.regions[1].store, group(1), user(2), &standing, 100).unwrap().unwrap();
    let told: Vec<_> = moved.items.iter().map(|(_, item)| (item.message, item.hlc)).collect();
    assert_eq!(
        told,
        [(message(2), first)],
        "the move is an entry of its own, so devices are told and cuts cover it"
    );
}

/// History 26, the shard's part: a device that streams in arrival order is given everything after its causes, in whatever region and
/// from wherever it begins, and nothing twice.
#[test]
fn changes_come_after_their_causes_and_once_wherever_a_device_goes_on() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.carry(0, 1);
    for round in 0..10_u128 {
        let at = (round % 2) as usize;
        world.ask(at, 1, post(group(1), 10 + 2 * round, "question")).unwrap();
        world.ask(at, 2, post(group(1), 11 + 2 * round, "answer")).unwrap();
        if round % 3 == 0 {
            world.carry(at, 1 - at);
        }
    }
    world.calm();
    let (mut standing, mut given) = (Standing::default(), Vec::new());
    for turn in 0.. {
        // A device that changes regions at every batch, so its arrival number never counts.
        standing.after = Default::default();
        let view = &world.regions[turn % 2].store;
        let changes = read::changes(view, group(1), user(2), &standing, 3).unwrap().unwrap();
        if changes.items.is_empty() {
            assert_eq!(changes.through, changes.end);
            break;
        }
        for (_, item) in &changes.items {
            if let Content::Post { .. } = item.content
                && let Some(question) = (item.message.0 % 2 == 1).then(|| item.message.0 - 1)
            {
                assert!(given.contains(&crdt::MessageId(question)), "an answer is given after its question");
            }
            assert!(!given.contains(&item.message), "nothing is given twice");
            given.push(item.message);
        }
        standing.cut = changes.cut;
        standing.highest = changes.highest;
    }
    assert_eq!(given.len(), 21);
    assert_eq!(
        standing.highest,
        read::conversations(&world.regions[0].store, crate::rig::WORLD, user(2), 1).unwrap()[0].highest
    );
}

/// A peer's entries and a command in one step: the region's own operation comes after what was applied, and commits stay whole.
#[test]
fn own_operations_of_a_step_stand_behind_everything_applied_as_one_commit() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.carry(0, 1);
    world.ask(0, 1, post(group(1), 2, "from a peer")).unwrap();
    let mut inputs =
        vec![world.command(2, post(group(1), 3, "own")), world.command(2, post(group(1), 4, "own"))];
    inputs.extend(world.lacking(0, 1, usize::MAX));
    let outcome = world.step(1, inputs);
    let logged = world.log(1).read(group(1).partition(), Position(1), usize::MAX).unwrap();
    let shape: Vec<_> =
        logged.iter().map(|logged| (logged.commit.origin, logged.first.0, logged.last.0)).collect();
    assert_eq!(shape, [(replica(0), 2, 2), (replica(1), 3, 4)]);
    let mut again = world.regions[1].store.clone();
    again.commit(&outcome.batch).unwrap();
    assert!(again == world.regions[1].store, "a batch committed twice is committed once");
    assert_eq!(bodies(&world, 1, 1), ["from a peer", "own", "own"]);
}

/// A step that issues much makes several commits, none larger than a peer takes.
#[test]
fn much_in_one_step_is_several_commits_one_behind_the_other() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    let body = "x".repeat(65_536);
    let inputs = (2..12).map(|number| world.command(1, post(group(1), number, &body))).collect();
    world.step(0, inputs);
    let logged = world.log(0).read(group(1).partition(), Position(1), usize::MAX).unwrap();
    let shape: Vec<_> = logged.iter().map(|logged| (logged.first.0, logged.last.0)).collect();
    assert_eq!(shape, [(2, 5), (6, 9), (10, 11)]);
    let many = (100..1_300).map(|number| world.command(1, post(group(1), number, "x"))).collect();
    world.step(0, many);
    let logged = world.log(0).read(group(1).partition(), Position(11), usize::MAX).unwrap();
    let counts: Vec<_> = logged.iter().map(|logged| logged.commit.operations.len()).collect();
    assert_eq!(counts, [1_024, 176]);
    world.calm();
    assert_eq!(region::verify::verify(&world.regions[1].store, crate::rig::WORLD, 9).unwrap().damaged, []);
}

/// Feeds and logs may be given again from an earlier place; what stands for what is had never goes back.
#[test]
fn a_cursor_in_a_peers_log_or_feed_never_goes_back() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    world.calm();
    let partition = group(1).partition();
    let before = world.log(1).cursor(replica(0), partition).unwrap();
    assert!(before.log == Position(2) && before.feed.0 > 0);
    let peer = replica(0);
    let again = vec![
        Input::Entries { peer, partition, commits: vec![], cursor: Some(Position(1)) },
        Input::Registers {
            peer,
            partition,
            registers: vec![],
            after: Default::default(),
            cursor: Default::default(),
        },
    ];
    assert!(world.step(1, again).batch.is_empty());
    assert_eq!(world.log(1).cursor(replica(0), partition).unwrap(), before);
    let ahead = vec![Input::Entries { peer, partition, commits: vec![], cursor: Some(Position(9)) }];
    world.step(1, ahead);
    assert_eq!(
        world.log(1).cursor(replica(0), partition).unwrap().log,
        Position(9),
        "passed over what was had"
    );
}
