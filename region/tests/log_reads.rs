//! What bridges read of a region: commits and registers, in parts as large as they have room for.
//!
//! What must always hold: parts follow on each other and together are all there is; a reader that has room for nothing still gets one, or it would never go on.
use crate::rig::{World, create, group, post, replica};
use crdt::Sequence;
use region::command::Command;
use region::shard::{Input, Ticket};
use replication::commit::Commit;
use replication::log::{ChangeNumber, LogView as _, Position};

/// One region with a group and five posts of growing length: six commits of one operation.
fn six() -> World {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 100, &[1, 2])).unwrap();
    for number in 1..=5 {
        world.ask(0, 1, post(group(1), number, &"x".repeat(100 * number as usize))).unwrap();
    }
    world
}

fn size(commit: &Commit) -> usize {
    let bytes = |payload: &Option<bytes::Bytes>| payload.as_ref().map_or(0, bytes::Bytes::len);
    commit.operations.iter().map(|operation| operation.envelope.len() + bytes(&operation.payload)).sum()
}

#[test]
fn commits_of_an_origin_are_found_from_one_to_another_and_no_further() {
    let world = six();
    let log = world.log(0);
    let found = |from, to, bytes_max| {
        let partition = group(1).partition();
        let found = log.find(partition, replica(0), Sequence(from), Sequence(to), bytes_max).unwrap();
        found.iter().map(|commit| commit.first.0).collect::<Vec<_>>()
    };
    assert_eq!(found(2, 4, usize::MAX), [2, 3, 4]);
    assert_eq!(found(0, 2, usize::MAX), [1, 2]);
    assert_eq!(found(5, 9, usize::MAX), [5, 6]);
    assert!(found(7, 9, usize::MAX).is_empty() && found(4, 3, usize::MAX).is_empty());
    let partition = group(1).partition();
    assert!(log.find(partition, replica(1), Sequence(1), Sequence(9), usize::MAX).unwrap().is_empty());
    let all = log.find(partition, replica(0), Sequence(1), Sequence(9), usize::MAX).unwrap();
    let two = size(&all[1]) + size(&all[2]);
    assert_eq!((found(2, 9, two), found(2, 9, two - 1), found(2, 9, 0)), (vec![2, 3], vec![2], vec![2]));
}

#[test]
fn the_log_is_read_in_parts_that_follow_on_each_other() {
    let world = six();
    let log = world.log(0);
    let read = |from, bytes_max| log.read(group(1).partition(), Position(from), bytes_max).unwrap();
    let all = read(0, usize::MAX);
    assert_eq!(all.iter().map(|logged| logged.last.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    let two = size(&all[1].commit) + size(&all[2].commit);
    for (bytes_max, parts) in [(two, vec![2, 1, 1, 1]), (two - 1, vec![1; 5]), (0, vec![1; 5])] {
        let (mut at, mut counts) = (1, Vec::new());
        while let Some(last) = read(at, bytes_max).last().map(|logged| logged.last.0) {
            counts.push(read(at, bytes_max).len());
            at = last;
        }
        assert_eq!(counts, parts, "with room for {bytes_max} bytes");
    }
}

/// A peer goes on where a commit ended in another log, which bridges may have joined with the next one: within a commit of this one.
#[test]
fn a_reader_who_stands_within_a_commit_is_given_all_of_it_and_one_at_its_end_nothing() {
    let mut world = six();
    let posts = (10..13).map(|number| world.command(1, post(group(1), number, "together"))).collect();
    world.step(0, posts);
    world.ask(0, 1, post(group(1), 20, "alone")).unwrap();
    let log = world.log(0);
    let read = |from, bytes_max| {
        let read = log.read(group(1).partition(), Position(from), bytes_max).unwrap();
        read.iter().map(|logged| (logged.first.0, logged.last.0)).collect::<Vec<_>>()
    };
    assert_eq!(read(6, usize::MAX), [(7, 9), (10, 10)]);
    assert_eq!((read(7, usize::MAX), read(8, 0)), (vec![(7, 9)], vec![(7, 9)]));
    assert_eq!(read(5, 0), [(6, 6)]);
    assert_eq!(read(6, 0), [(7, 9)], "a commit is given whole, though it is beyond the room");
    assert!(read(10, usize::MAX).is_empty());
}

#[test]
fn registers_are_read_in_parts_that_follow_on_each_other() {
    let mut world = six();
    let given = world.log(0).state(group(1).partition()).unwrap().applied;
    for device in 1..=4 {
        let command = Command::Receipt { conversation: group(1), delivered: Some(given.clone()), read: None };
        let (ticket, user) = (Ticket(1_000 + device), crate::rig::user(2));
        let device = crdt::DeviceId(device);
        world.step(0, vec![Input::Command { ticket, user, device, command }]);
    }
    let log = world.log(0);
    let read = |from, bytes_max| {
        log.registers(group(1).partition(), ChangeNumber(from), replica(1), bytes_max).unwrap().0
    };
    let all = read(0, usize::MAX);
    assert_eq!(all.len(), 4);
    let sizes: Vec<usize> = all.iter().map(|(_, one)| one.key.len() + one.value.len()).collect();
    let two = sizes[0] + sizes[1];
    for (bytes_max, parts) in [(two, vec![2, 2]), (two - 1, vec![1; 4]), (0, vec![1; 4])] {
        let (mut at, mut counts) = (0, Vec::new());
        while let Some((last, _)) = read(at, bytes_max).last() {
            counts.push(read(at, bytes_max).len());
            at = last.0;
        }
        assert_eq!(counts, parts, "with room for {bytes_max} bytes");
    }
}

/// Two regions have a register from a third. One tells the other, which has it: from then on that knows that it need not tell.
#[test]
fn who_sends_what_stands_here_already_is_not_told_of_it() {
    let mut world = World::new(3);
    world.ask(0, 1, create(group(1), 100, &[1, 2])).unwrap();
    world.calm();
    let delivered = Some(world.log(0).state(group(1).partition()).unwrap().applied);
    world.ask(0, 1, Command::Receipt { conversation: group(1), delivered, read: None }).unwrap();
    world.carry(0, 1);
    world.carry(0, 2);
    let told = |world: &World, from: usize, to: usize| {
        let inputs = world.lacking(from, to, usize::MAX);
        inputs.iter().filter(|input| matches!(input, Input::Registers { .. })).count()
    };
    assert_eq!((told(&world, 1, 2), told(&world, 2, 1)), (1, 1), "neither knows that the other has it");
    world.carry(1, 2);
    assert_eq!((told(&world, 1, 2), told(&world, 2, 1)), (0, 0));
}

#[test]
fn a_shard_that_is_opened_again_acknowledges_what_it_had_not_and_nothing_else() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 100, &[1, 2])).unwrap();
    world.ask(0, 1, post(group(1), 1, "hello")).unwrap();
    world.reopen(0);
    assert!(
        !world.step(0, vec![Input::Tick]).batch.is_empty(),
        "it is not known for how long that has waited"
    );
    let partition = group(1).partition();
    let acknowledged = world.log(0).acknowledged(partition, replica(0)).unwrap();
    assert_eq!(acknowledged, world.log(0).state(partition).unwrap().applied.get(replica(0)));
    world.reopen(0);
    let quiet = world.step(0, vec![Input::Tick]);
    assert!(quiet.batch.is_empty() && quiet.next_tick.is_none(), "where nothing was applied nothing waits");
}
