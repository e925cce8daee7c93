//! A shard that is told of an epoch: what is stable, whose entries are taken, what is kept, and what a region does that is closed or new.
//!
//! What must always hold: pairs of another epoch count for nothing (history 3); what a closed replica sends is not taken, what it sent before comes from the others (history 4).

use crate::rig::{World, config, create, group, key, message, post, replica, user};
use crdt::{Dot, Incarnation, ReplicaId, Sequence};
use ed25519_dalek::SigningKey;
use expect_test::expect;
use region::command::{Begun, Command, MembersWish};
use region::follow_epochs;
use region::read;
use region::shard::{Effect, Input, Shard};
use region::store::{MemoryStore, Store as _};
use replication::placement::Epoch;

pub(crate) fn actives(regions: &[usize]) -> Vec<(ReplicaId, SigningKey)> {
    regions.iter().map(|region| (replica(*region), key(*region))).collect()
}

/// Three regions with a group, of which the last one is then cut off.
fn world() -> World {
    let mut world = World::new(3);
    world.greet();
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.calm();
    world
}

/// Whether the group's last operation of a region is stable at another.
fn is_stable(world: &World, at: usize, of: usize) -> bool {
    let region = &world.regions[at];
    let partition = group(1).partition();
    let held = region::export::partition(&region.store, partition).unwrap();
    let last = held.applied.get(replica(of));
    read::stable(&region.store, partition).unwrap().get(replica(of)) == last
}

/// A region on an empty store, admitted by the next epoch as that number, which all meet.
pub(crate) fn admit(world: &mut World, number: usize) {
    let admitted = (ReplicaId { incarnation: Incarnation(0xbeef), ..replica(number) }, key(number));
    let mut active = actives(&(0..number).collect::<Vec<_>>());
    active.push(admitted.clone());
    let with = world.next_epoch(0, &active);
    (0..number).for_each(|at| _ = world.tell_epoch(at, &with));
    let mut config = config(number, number + 1);
    (config.replica, config.placement) = (admitted.0, world.regions[0].config.placement.clone());
    let mut store = MemoryStore::new();
    let first = follow_epochs::kept(&world.regions[0].store, Epoch(0), usize::MAX).unwrap();
    store.commit(&follow_epochs::to_keep(&store, &first).unwrap()).unwrap();
    let shard = Shard::open(config.clone(), &store).unwrap();
    world.regions.push(crate::rig::Region { shard, config, store });
    for (from, to) in world.pairs() {
        let (peer, start, kinds) =
            (world.regions[from].config.replica, crate::rig::start(1), crate::rig::kinds());
        world.step(to, vec![Input::PeerStarted { peer, start, kinds }]);
    }
}

/// A region goes through its groups, as it does after an epoch.
fn survey(world: &mut World, at: usize) {
    let rests = (0..9).any(|_| world.step(at, vec![Input::Tick]).batch.is_empty());
    assert!(rests, "one step a partition");
}

fn exchange(world: &mut World, between: &[(usize, usize)]) {
    for _ in 0..4 {
        for (one, other) in between {
            world.carry(*one, *other);
            world.carry(*other, *one);
        }
        world.now = world.now.plus_ms(1_100);
        for at in 0..world.regions.len() {
            world.step(at, vec![Input::Tick]);
        }
    }
}

#[test]
fn what_waited_for_a_lost_region_is_stable_once_an_epoch_closes_it_and_all_have_said_so_under_it() {
    let mut world = world();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    exchange(&mut world, &[(0, 1)]);
    assert!(!is_stable(&world, 0, 0), "region 2 has not acknowledged it");
    let without = world.next_epoch(0, &actives(&[0, 1]));
    world.tell_epoch(0, &without);
    // History 3: what 1 says under the former epoch proves nothing under this one.
    exchange(&mut world, &[(0, 1)]);
    assert!(!is_stable(&world, 0, 0), "region 1 has given no pair of this epoch");
    world.tell_epoch(1, &without);
    exchange(&mut world, &[(0, 1)]);
    assert!(is_stable(&world, 0, 0) && is_stable(&world, 1, 0));
}

#[test]
fn what_a_closed_replica_sends_is_dropped_and_what_others_have_of_it_is_taken() {
    let mut world = world();
    world.ask(2, 1, post(group(1), 2, "had by one")).unwrap();
    world.carry(2, 1);
    let without = world.next_epoch(0, &actives(&[0, 1]));
    world.tell_epoch(0, &without);
    survey(&mut world, 0);
    // Both were on their way when the epoch came.
    let late = world.lacking(2, 0, usize::MAX);
    let outcome = world.step(0, late);
    assert!(outcome.batch.is_empty() && outcome.effects.is_empty(), "{:?}", outcome.effects);
    world.tell_epoch(1, &without);
    exchange(&mut world, &[(0, 1)]);
    let held = region::export::partition(&world.regions[0].store, group(1).partition()).unwrap();
    assert!(held.applied.covers(Dot { replica: replica(2), sequence: Sequence(1) }));
    // A device may have been given it: a cut that names it is no forgery.
    let seen = held.applied.clone();
    let marked = Command::Post {
        conversation: group(1),
        message: message(3),
        body: "answer".into(),
        reply_to: None,
        sent_at_ms: 0,
        seen: Some(region::command::Seen { cut: seen, highest: crdt::Timestamp::ZERO }),
        after: None,
        taken_before: false,
    };
    world.ask(0, 1, marked).unwrap();
}

#[test]
fn a_region_that_is_closed_keeps_the_statement_and_takes_nothing_more() {
    let mut world = world();
    let without = world.next_epoch(2, &actives(&[0, 1]));
    let command = world.command(1, post(group(1), 2, "too late"));
    let outcome = world.step(2, vec![command, Input::Epochs(vec![without.clone()])]);
    assert!(
        matches!(&outcome.effects[..], [Effect::Epoch(placement)] if !placement.active.contains_key(&replica(2)))
    );
    assert_eq!(outcome.batch.writes().count(), 1, "the statement alone is kept");
    assert_eq!(follow_epochs::kept(&world.regions[2].store, Epoch(1), 9).unwrap(), [without]);
}

#[test]
fn statements_are_kept_in_order_and_others_are_refused_by_name() {
    let mut world = world();
    let second = world.next_epoch(0, &actives(&[0, 1, 2]));
    world.tell_epoch(0, &second);
    let third = world.next_epoch(0, &actives(&[0, 1]));
    world.tell_epoch(0, &third);
    let kept = |world: &World, after, max| {
        let kept = follow_epochs::kept(&world.regions[0].store, Epoch(after), max).unwrap();
        kept.iter().map(|statement| statement.number.0).collect::<Vec<_>>()
    };
    assert_eq!(kept(&world, 1, 9), [2, 3]);
    assert_eq!(kept(&world, 1, 1), [2]);
    assert_eq!(kept(&world, 3, 9), [0; 0]);
    survey(&mut world, 0);
    // Told again by others: nothing happens.
    let again = world.step(0, vec![Input::Epochs(vec![second.clone(), third.clone()])]);
    assert!(again.batch.is_empty() && again.effects.is_empty());
    // Region 1 is told of the third alone, and of another second one.
    let gap = world.step(1, vec![Input::Epochs(vec![third])]);
    let other = world.next_epoch(1, &actives(&[1, 2]));
    world.tell_epoch(1, &second);
    let fork = world.step(1, vec![Input::Epochs(vec![other])]);
    let said = |effects: &[Effect]| match effects {
        [Effect::EpochRefused(why)] => why.to_string(),
        others => panic!("{others:?}"),
    };
    assert!(gap.batch.is_empty() && fork.batch.is_empty());
    expect!["epoch 2 of p1 is missing: get its file from an operator"].assert_eq(&said(&gap.effects));
    assert!(said(&fork.effects).starts_with("epoch 2 of p1 is a fork"), "{}", said(&fork.effects));
}

#[test]
fn a_region_that_an_epoch_admits_catches_up_and_takes_part_in_groups() {
    let mut world = World::new(2);
    world.greet();
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    for number in 2..9 {
        world.ask(0, 1, post(group(1), number, "before it came")).unwrap();
    }
    world.calm();
    admit(&mut world, 2);
    world.calm();
    let state = |at: usize| {
        let mut held = region::export::partition(&world.regions[at].store, group(1).partition()).unwrap();
        held.stable = crdt::VersionVector::new();
        held
    };
    assert_eq!(state(2), state(0));
    // It began with no right to a member's place, and has been given some since.
    let add = Command::ChangeMembers {
        conversation: group(1),
        command: message(20),
        wish: MembersWish::Add(user(7)),
    };
    world.ask(2, 1, add).unwrap();
    world.calm();
    assert!(is_stable(&world, 2, 0));
}

#[test]
fn a_group_is_begun_again_under_a_later_epoch_as_it_was_begun_under_the_former() {
    let mut world = World::new(3);
    world.greet();
    let again = world.next_epoch(0, &actives(&[0, 1, 2]));
    for at in [0, 1] {
        world.tell_epoch(at, &again);
    }
    let begin = |epoch: u64| {
        let begun = Some(Begun { region: replica(0).region, epoch: Some(Epoch(epoch)) });
        Command::CreateGroup {
            conversation: group(1),
            command: message(1),
            members: vec![user(2)],
            name: "islands".to_owned(),
            begun,
        }
    };
    world.ask(0, 1, begin(2)).unwrap();
    // Region 0 is cut off; the others close region 2, and the creator's device has moved.
    let without = world.next_epoch(1, &actives(&[0, 1]));
    world.tell_epoch(1, &without);
    for missing in [4, u64::MAX] {
        assert_eq!(world.ask(1, 1, begin(missing)).unwrap_err().code(), "epoch_missing");
    }
    world.ask(1, 1, begin(2)).unwrap();
    let add = |number: u128, who: u64| Command::ChangeMembers {
        conversation: group(1),
        command: message(number),
        wish: MembersWish::Add(user(who)),
    };
    world.ask(0, 1, add(2, 3)).unwrap();
    world.ask(1, 1, add(3, 4)).unwrap();
    world.tell_epoch(0, &without);
    exchange(&mut world, &[(0, 1)]);
    for at in [0, 1] {
        let members = region::export::members(&world.regions[at].store, group(1)).unwrap();
        let present: Vec<_> = members.members().collect();
        assert_eq!(present, [user(1), user(2), user(3), user(4)], "what either has added stands");
    }
}
