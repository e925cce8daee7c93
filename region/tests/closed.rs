//! What is counted of a replica that an epoch has closed: what of it is here, what is known to be missing, and whether more may come.
//!
//! What must always hold: nothing is counted that was not issued, and nothing that is here; what nobody heard of is not counted.

use crate::following_epochs::actives;
use crate::rig::{WORLD, World, create, group, message, post, replica};
use bytes::Bytes;
use crdt::{Cut, Dot, Sequence, Timestamp};
use region::closed::{Closed, closed};
use region::command::{Command, Done, Seen};
use region::shard::Input;
use region::{export, verify};

/// Three regions with a group that all know; the last operation of the first one is its own.
fn world() -> World {
    let mut world = World::new(3);
    world.greet();
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.calm();
    world
}

/// Something is said in the first region, so many times.
fn say(world: &mut World, numbers: std::ops::Range<u128>) -> Dot {
    let mut last = None;
    for number in numbers {
        let done = world.ask(0, 1, post(group(1), number, "something")).unwrap();
        let Done::Operation { dot, .. } = done else { panic!("a post is an operation") };
        last = Some(dot);
    }
    last.unwrap()
}

/// A post of somebody whose device was shown elsewhere what that one names.
pub(crate) fn post_on(number: u128, last: Dot) -> Command {
    let seen = Seen { cut: Cut::from_iter([last]), highest: Timestamp::from_ms(1) };
    let body = Bytes::from_static(b"what happened?");
    let message = message(number);
    Command::Post {
        conversation: group(1),
        message,
        body,
        reply_to: None,
        sent_at_ms: 0,
        seen: Some(seen),
        after: None,
        taken_before: false,
    }
}

/// The first region is closed; those that are left exchange what they have.
fn close(world: &mut World) {
    let without = world.next_epoch(1, &actives(&[1, 2]));
    for at in [1, 2] {
        world.tell_epoch(at, &without);
    }
    exchange(world);
}

fn exchange(world: &mut World) {
    for _ in 0..4 {
        world.carry(1, 2);
        world.carry(2, 1);
        world.now = world.now.plus_ms(1_100);
        for at in [1, 2] {
            world.step(at, vec![Input::Tick]);
        }
    }
}

/// What a region says of the first one.
fn of(world: &World, at: usize) -> Closed {
    let region = &world.regions[at];
    let mut all = closed(&region.store, &region.config.placement).unwrap();
    let found = all.remove(&replica(0)).expect("it is closed");
    assert!(all.is_empty(), "and nobody else is: {all:?}");
    let export = export::partition(&region.store, group(1).partition()).unwrap();
    assert_eq!(found.operations, export.applied.get(replica(0)).0, "as an export has it");
    assert_eq!(verify::verify(&region.store, WORLD, 3).unwrap().damaged, []);
    found
}

#[test]
fn of_one_that_all_had_everything_of_nothing_is_missing() {
    let mut world = world();
    let region = &world.regions[1];
    assert!(closed(&region.store, &region.config.placement).unwrap().is_empty(), "nobody is closed");
    say(&mut world, 10..13);
    world.calm();
    let said_ms = world.now.ms();
    close(&mut world);
    for at in [1, 2] {
        let found = of(&world, at);
        assert_eq!((found.operations, found.issued(), found.missing, found.unsettled), (4, 4, 0, 0));
        assert!(found.last_issued_ms.unwrap() <= said_ms);
    }
}

/// Nobody was told, so nobody can count: that is no proof that there was nothing.
#[test]
fn what_nobody_heard_of_is_not_counted() {
    let mut world = world();
    say(&mut world, 10..13);
    close(&mut world);
    let found = of(&world, 1);
    assert_eq!((found.operations, found.missing), (1, 0));
}

/// Its own word, and another's that is lost as well, may come before what they are about.
#[test]
fn what_was_acknowledged_and_did_not_come_is_missing() {
    let mut world = world();
    say(&mut world, 10..13);
    world.now = world.now.plus_ms(1_100);
    world.step(0, vec![Input::Tick]);
    let registers: Vec<Input> = world
        .lacking(0, 1, usize::MAX)
        .into_iter()
        .filter(|input| matches!(input, Input::Registers { .. }))
        .collect();
    assert_eq!(registers.len(), 1);
    world.step(1, registers);
    close(&mut world);
    for at in [1, 2] {
        let found = of(&world, at);
        assert_eq!(
            (found.operations, found.issued(), found.missing, found.unsettled),
            (1, 4, 3, 0),
            "region {at}"
        );
    }
    world.reopen(1);
    assert_eq!(of(&world, 1).missing, 3);
}

/// A device that comes from the lost region was shown what nobody else has. It may come before the region is closed, and after.
#[test]
fn what_a_device_was_shown_and_nobody_has_is_missing() {
    for first in [false, true] {
        let mut world = world();
        let (shown, _unseen) = (say(&mut world, 10..13), say(&mut world, 20..22));
        if first {
            world.ask(1, 2, post_on(30, shown)).unwrap();
        }
        close(&mut world);
        if !first {
            assert_eq!(of(&world, 1).missing, 0);
            world.ask(1, 2, post_on(30, shown)).unwrap();
        }
        // An earlier word takes nothing back.
        world.ask(1, 2, post_on(31, Dot { sequence: Sequence(2), ..shown })).unwrap();
        let found = of(&world, 1);
        assert_eq!(
            (found.operations, found.issued(), found.missing),
            (1, 4, 3),
            "two more were shown to nobody"
        );
        assert_eq!(of(&world, 2).missing, 0, "the device did not come here");
        world.reopen(1);
        assert_eq!(of(&world, 1), found);
    }
}

/// Also one that only confirms what it was shown.
#[test]
fn what_a_device_confirms_and_nobody_has_is_missing() {
    let mut world = world();
    let shown = say(&mut world, 10..13);
    let delivered = Some(Cut::from_iter([shown]));
    world.ask(1, 2, Command::Receipt { conversation: group(1), delivered, read: None }).unwrap();
    close(&mut world);
    assert_eq!((of(&world, 1).operations, of(&world, 1).missing), (1, 3));
}

/// A device was only faster than the bridge: what it was shown has come since.
#[test]
fn what_has_come_since_is_not_missing() {
    let mut world = world();
    let shown = say(&mut world, 10..13);
    world.ask(1, 2, post_on(30, shown)).unwrap();
    world.calm();
    close(&mut world);
    assert_eq!((of(&world, 1).operations, of(&world, 1).missing), (4, 0));
}

#[test]
fn as_long_as_not_all_have_said_what_they_have_of_it_more_may_come() {
    let mut world = world();
    say(&mut world, 10..13);
    world.carry(0, 2);
    let without = world.next_epoch(1, &actives(&[1, 2]));
    world.tell_epoch(1, &without);
    for _ in 0..3 {
        world.now = world.now.plus_ms(1_100);
        world.step(1, vec![Input::Tick]);
    }
    let found = of(&world, 1);
    assert_eq!((found.operations, found.unsettled), (1, 1));
    world.tell_epoch(2, &without);
    exchange(&mut world);
    let found = of(&world, 1);
    assert_eq!((found.operations, found.missing, found.unsettled), (4, 0, 0));
}
