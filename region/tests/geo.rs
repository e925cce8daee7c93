//! Placements that have bought durability in a second region: a command is acknowledged once another active region has it on stable storage too.
//!
//! What must always hold: no answer before that; everybody who asks is answered in the end, with the same operation; meanwhile it goes its way, and whoever waits for long is told so.

use crate::following_epochs::actives;
use crate::rig::{World, create, group, message, post, replica, reply};
use crdt::{Dot, ReplicaId, Sequence};
use region::command::{Command, Done, Refusal};
use region::shard::{Effect, Input};
use replication::log::{ChangeNumber, LogView as _};
use replication::placement::{Durability, Epoch};
use replication::register::Register;
use replication::stability::{Pair, register_key};

const O: u64 = 1;

/// Regions with a group that all have, which from then on acknowledge what two of them have.
fn world(regions: usize) -> World {
    let mut world = World::new(regions);
    world.greet();
    world.ask(0, O, create(group(1), 1, &[O, 2])).unwrap();
    world.calm();
    for at in 0..regions {
        world.regions[at].config.placement.durability = Durability::Geo;
        world.reopen(at);
    }
    world
}

fn is_answered(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Reply { .. }))
}

/// Somebody sends something to a region, which does not answer yet.
fn sends(world: &mut World, at: usize, command: Command) {
    let input = world.command(O, command);
    let outcome = world.step(at, vec![input]);
    assert!(!is_answered(&outcome.effects), "{:?}", outcome.effects);
}

/// The first region is given these by that one, and answers nobody for that.
fn passes_on(world: &mut World, peer: ReplicaId, registers: Vec<Register>) {
    let partition = group(1).partition();
    let after = world.log(0).cursor(peer, partition).unwrap().feed;
    let cursor = ChangeNumber(after.0 + 1);
    world.step(0, vec![Input::Registers { peer, partition, registers, after, cursor }]);
    assert!(!is_answered(&world.effects), "{:?}", world.effects);
}

fn dot(answer: Result<Done, Refusal>) -> Dot {
    match answer.unwrap() {
        Done::Operation { dot, .. } => dot,
        other => panic!("{other:?}"),
    }
}

/// Operations that a region's log has of the group's partition.
fn logged(world: &World, at: usize) -> u64 {
    world.log(at).state(group(1).partition()).unwrap().log_end.0
}

#[test]
fn a_command_is_acknowledged_in_the_step_in_which_it_is_heard_that_another_region_has_it() {
    let mut world = world(3);
    sends(&mut world, 0, post(group(1), 2, "hello"));
    assert_eq!(logged(&world, 0), 2, "it is logged, and goes to the others");
    assert!(world.carry(0, 1));
    assert!(world.carry(1, 0), "in the step that applied it, it was acknowledged");
    let answered = dot(reply(&world.effects));
    assert_eq!((answered.replica, answered.sequence.0), (world.regions[0].config.replica, 2));
    assert_eq!(logged(&world, 2), 1, "for the third nobody waits");
    // Sent again, from this device or another, it is answered at once, wherever it is.
    assert_eq!(dot(world.ask(0, O, post(group(1), 2, "hello"))), answered);
    assert_eq!(dot(world.ask(1, O, post(group(1), 2, "hello"))), answered, "its origin has it");
}

#[test]
fn what_has_been_elsewhere_before_is_no_word_about_what_comes_later() {
    let mut world = world(2);
    sends(&mut world, 0, post(group(1), 2, "first"));
    assert!(world.carry(0, 1));
    sends(&mut world, 0, post(group(1), 3, "second"));
    assert!(world.carry(1, 0));
    assert_eq!(dot(reply(&world.effects)).sequence.0, 2);
    let replies = world.effects.iter().filter(|effect| matches!(effect, Effect::Reply { .. }));
    assert_eq!(replies.count(), 1);
}

#[test]
fn whoever_waits_for_long_is_told_so_and_answered_when_it_can_be() {
    let mut world = world(2);
    sends(&mut world, 0, post(group(1), 2, "is anybody there"));
    let outcome = world.step(0, vec![Input::Tick]);
    let due = outcome.next_tick.unwrap();
    assert!(!is_answered(&outcome.effects) && due.ms() <= world.now.ms() + 10_000);
    world.now = due;
    world.step(0, vec![Input::Tick]);
    let told = reply(&world.effects).unwrap_err();
    assert_eq!((told.code(), told), ("not_elsewhere", Refusal::NotElsewhere(group(1))));
    // It sends it again, as does another device of its user; nothing is done twice.
    sends(&mut world, 0, post(group(1), 2, "is anybody there"));
    sends(&mut world, 0, post(group(1), 2, "is anybody there"));
    assert_eq!(logged(&world, 0), 2);
    assert!(world.carry(0, 1) && world.carry(1, 0));
    let answers = crate::rig::replies(&world.effects);
    let dots: Vec<u64> = answers.into_values().map(|answer| dot(answer).sequence.0).collect();
    assert_eq!(dots, [2, 2]);
    assert!(!is_answered(&world.step(0, vec![Input::Tick]).effects));
    assert_eq!(world.regions[0].shard.held_answers(), 0);
}

#[test]
fn beyond_the_limit_nobody_waits() {
    let mut world = world(2);
    let again: Vec<Input> = (0..=65_536).map(|_| world.command(O, post(group(1), 2, "hello"))).collect();
    world.step(0, again);
    let answers = crate::rig::replies(&world.effects);
    assert_eq!(answers.into_values().collect::<Vec<_>>(), [Err(Refusal::NotElsewhere(group(1)))]);
    assert_eq!(world.regions[0].shard.held_answers(), 65_536);
}

#[test]
fn what_a_crash_forgets_is_answered_when_it_is_sent_again() {
    let mut world = world(2);
    sends(&mut world, 0, post(group(1), 2, "hello"));
    world.reopen(0);
    assert!(world.carry(0, 1) && world.carry(1, 0));
    assert!(!is_answered(&world.effects), "nobody has asked this process");
    assert_eq!(dot(world.ask(0, O, post(group(1), 2, "hello"))).sequence.0, 2);
}

#[test]
fn a_region_that_an_epoch_has_closed_is_none() {
    let mut world = world(3);
    sends(&mut world, 0, post(group(1), 2, "hello"));
    let without = world.next_epoch(0, &actives(&[0, 2]));
    assert!(world.carry(0, 1));
    for at in [0, 2] {
        world.tell_epoch(at, &without);
    }
    // What the closed one had said of it comes by way of another, too late.
    let (closed, other, partition) = (replica(1), replica(2), group(1).partition());
    let (said, _) = world.log(1).registers(partition, ChangeNumber(0), other, usize::MAX).unwrap();
    let registers: Vec<Register> = said.into_iter().map(|(_, register)| register).collect();
    assert!(registers.iter().any(|register| register.key == register_key(closed)), "{registers:?}");
    passes_on(&mut world, other, registers);
    assert!(world.carry(0, 2) && world.carry(2, 0));
    assert_eq!(dot(reply(&world.effects)).sequence.0, 2);
}

#[test]
fn what_a_closed_region_took_waits_as_what_is_taken_here() {
    let mut world = world(3);
    sends(&mut world, 1, post(group(1), 2, "hello"));
    assert!(world.carry(1, 0));
    let without = world.next_epoch(0, &actives(&[0, 2]));
    for at in [0, 2] {
        world.tell_epoch(at, &without);
    }
    // Of those that are left this one alone has it.
    sends(&mut world, 0, post(group(1), 2, "hello"));
    assert!(world.carry(0, 2) && world.carry(2, 0));
    assert_eq!(dot(reply(&world.effects)), Dot { replica: replica(1), sequence: Sequence(1) });
}

#[test]
fn each_waits_for_as_long_from_when_it_asked() {
    let mut world = world(2);
    sends(&mut world, 0, post(group(1), 2, "hello"));
    let first_due = world.step(0, vec![Input::Tick]).next_tick.unwrap();
    world.now = world.now.plus_ms(5_000);
    sends(&mut world, 0, post(group(1), 2, "hello"));
    world.now = first_due;
    let outcome = world.step(0, vec![Input::Tick]);
    assert_eq!(crate::rig::replies(&world.effects).len(), 1, "the second one has waited half as long");
    assert!(outcome.next_tick.is_some_and(|next| next.ms() >= first_due.ms() + 4_900));
    assert_eq!(world.regions[0].shard.held_answers(), 1);
}

#[test]
fn another_history_under_that_number_is_none() {
    let mut world = world(2);
    sends(&mut world, 0, post(group(1), 2, "hello"));
    let (own, peer) = (replica(0), replica(1));
    let applied = [Dot { replica: own, sequence: Sequence(2) }].into_iter().collect();
    let told = Pair { epoch: Epoch(1), applied, heads: [(own, 0xbad)].into() };
    passes_on(&mut world, peer, vec![Register { key: register_key(peer), value: told.encode() }]);
}

#[test]
fn what_is_no_operation_waits_for_nobody() {
    let mut world = world(2);
    let hide = Command::Hide {
        conversation: group(1),
        message: crdt::Identity { sender: crate::rig::user(O), message: message(1) },
    };
    assert_eq!(world.ask(0, O, hide), Ok(Done::Hidden { conversation: group(1) }));
    let unknown = world.ask(0, O, post(group(7), 9, "where"));
    assert_eq!(unknown, Err(Refusal::UnknownConversation(group(7))));
}
