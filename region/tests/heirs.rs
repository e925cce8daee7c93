//! The rights of a replica that an epoch closes: its heir takes them over, and has back what it had spent; nobody else, and not before all that it ever did is known.
//!
//! What must always hold: no right is lost with a region and none is there twice, so members and free rights are together the limit; regions do not differ over whose heir somebody is.
use crate::following_epochs::actives;
use crate::rig::{START, WORLD, World, create, group, key, message, operators, replica, user};
use crdt::group::{RightsAct, RightsChange};
use crdt::operation::{Body, Draft};
use crdt::{ChainHead, Dot, MessageId, ReplicaId, Sequence, Timestamp, UserId};
use region::command::{Command, Done, MembersWish, Refusal};
use region::shard::{Effect, Input};
use region::{export, verify};
use replication::commit::{Commit, CommitRefused, OperationBytes};
use replication::epoch::EpochStatement;
use replication::log::LogView as _;
use replication::signature::Ed25519;
use std::collections::BTreeMap;

const O: u64 = 1;
const X: u64 = 2;
const Y: u64 = 3;
const M: u64 = 4;
const LIMIT: usize = 12;

/// Three regions, and a group that O began with X in the first one, which then added Y.
fn world() -> World {
    let mut world = World::new(3);
    for at in 0..3 {
        world.regions[at].config.limits.members_max = LIMIT;
        world.reopen(at);
    }
    world.greet();
    world.ask(0, O, create(group(1), 1, &[O, X])).unwrap();
    world.calm();
    change(&mut world, 0, O, 2, MembersWish::Add(user(Y))).unwrap();
    world
}

fn change(world: &mut World, at: usize, by: u64, number: u128, wish: MembersWish) -> Result<Done, Refusal> {
    world.ask(at, by, Command::ChangeMembers { conversation: group(1), command: message(number), wish })
}

/// Those exchange everything, and time passes, until they are at rest.
pub(crate) fn exchange(world: &mut World, between: &[(usize, usize)]) {
    for _ in 0..8 {
        for (one, other) in between {
            world.carry(*one, *other);
            world.carry(*other, *one);
        }
        world.now = world.now.plus_ms(1_100);
        for at in between.iter().flat_map(|(one, other)| [*one, *other]) {
            world.step(at, vec![Input::Tick]);
        }
    }
}

/// What each of the three regions holds, as one of them has it.
fn held(world: &World, at: usize) -> [u64; 3] {
    let members = export::members(&world.regions[at].store, group(1)).unwrap();
    [0, 1, 2].map(|of| members.group().held(replica(of)).0)
}

fn members(world: &World, at: usize) -> Vec<u64> {
    let members = export::members(&world.regions[at].store, group(1)).unwrap();
    members.members().map(|user| user.0 & 0xff).collect()
}

/// What they hold at rest: the same at each of those, and with the members the limit.
fn settled(world: &mut World, between: &[(usize, usize)]) -> [u64; 3] {
    exchange(world, between);
    let one = between[0].0;
    for at in between.iter().flat_map(|(one, other)| [*one, *other]) {
        let partitions = |at: usize| export::partitions(&world.regions[at].store, WORLD).unwrap();
        assert_eq!(partitions(at), partitions(one), "region {at}");
        assert_eq!(verify::verify(&world.regions[at].store, WORLD, 10).unwrap().damaged, [], "region {at}");
    }
    let all = held(world, one);
    assert_eq!(members(world, one).len() as u64 + all.iter().sum::<u64>(), LIMIT as u64, "{all:?}");
    all
}

fn without_the_first(world: &World) -> EpochStatement {
    world.next_epoch(1, &actives(&[1, 2]))
}

#[test]
fn the_heir_takes_over_what_a_lost_region_held_and_has_back_what_it_had_spent() {
    let mut world = world();
    world.calm();
    assert_eq!(held(&world, 1), [4, 3, 2]);
    let without = without_the_first(&world);
    world.tell_epoch(1, &without);
    world.tell_epoch(2, &without);
    assert_eq!(settled(&mut world, &[(1, 2)]), [0, 7, 2], "the first that stays is the heir");
    // Y's place was bought by the lost region.
    change(&mut world, 2, O, 3, MembersWish::Remove(user(Y))).unwrap();
    assert_eq!(settled(&mut world, &[(1, 2)]), [0, 8, 2]);
    // And X's was given out with the group.
    change(&mut world, 2, O, 4, MembersWish::Remove(user(X))).unwrap();
    assert_eq!(settled(&mut world, &[(1, 2)]).iter().sum::<u64>(), 11);
    assert_eq!(members(&world, 1), [O]);
}

#[test]
fn nothing_is_taken_over_before_all_that_stay_have_said_what_they_have_of_the_lost_one() {
    let mut world = world();
    // The last words of the first region reach the third alone.
    world.carry(0, 2);
    let without = without_the_first(&world);
    world.tell_epoch(1, &without);
    for _ in 0..3 {
        world.now = world.now.plus_ms(1_100);
        world.step(1, vec![Input::Tick]);
    }
    assert_eq!(held(&world, 1), [5, 3, 2], "the heir does not know yet of a place that was spent");
    world.reopen(1);
    world.tell_epoch(2, &without);
    assert_eq!(settled(&mut world, &[(1, 2)]), [0, 7, 2]);
    assert_eq!(members(&world, 1), [O, X, Y]);
}

/// History 20: the lost region is ended while a survivor is cut off that has built on what only the lost one had.
#[test]
fn what_a_survivor_who_was_cut_off_has_built_on_the_lost_ones_last_words_stands() {
    let mut world = world();
    world.carry(0, 2);
    change(&mut world, 2, O, 3, MembersWish::Promote(user(Y))).unwrap();
    change(&mut world, 2, Y, 4, MembersWish::Add(user(M))).unwrap();
    // The heir ends the lost region meanwhile, for itself, and knows of none of that.
    let without = without_the_first(&world);
    world.tell_epoch(1, &without);
    for _ in 0..3 {
        world.now = world.now.plus_ms(1_100);
        world.step(1, vec![Input::Tick]);
    }
    assert_eq!((members(&world, 1), held(&world, 1)), (vec![O, X], [5, 3, 2]));
    world.tell_epoch(2, &without);
    assert_eq!(settled(&mut world, &[(1, 2)]), [0, 4, 4], "taken over, and half of the difference given on");
    assert_eq!(members(&world, 1), [O, X, Y, M]);
}

#[test]
fn a_group_that_is_taken_over_can_grow_to_its_limit() {
    let mut world = world();
    world.calm();
    let without = without_the_first(&world);
    world.tell_epoch(1, &without);
    world.tell_epoch(2, &without);
    exchange(&mut world, &[(1, 2)]);
    for number in 0..9 {
        // The last right is wherever it is.
        let wish = MembersWish::Add(user(20 + number as u64));
        let at_the_third = change(&mut world, 2, O, 10 + number, wish);
        at_the_third.or_else(|_| change(&mut world, 1, O, 10 + number, wish)).unwrap();
        exchange(&mut world, &[(1, 2)]);
    }
    assert_eq!((members(&world, 1).len(), settled(&mut world, &[(1, 2)])), (LIMIT, [0, 0, 0]));
    let refused = change(&mut world, 2, O, 30, MembersWish::Add(user(M))).unwrap_err();
    assert_eq!(refused.code(), "too_many_members");
}

#[test]
fn the_epoch_may_name_another_heir() {
    let mut world = world();
    world.calm();
    let active = actives(&[1, 2]).into_iter().map(|(replica, key)| (replica, key.verifying_key())).collect();
    let heirs = BTreeMap::from([(replica(0), replica(2))]);
    let without =
        EpochStatement::sign_with_heirs(&world.regions[1].config.placement, active, heirs, &operators());
    world.tell_epoch(1, &without);
    world.tell_epoch(2, &without);
    assert_eq!(settled(&mut world, &[(1, 2)]), [0, 3, 6]);
}

/// The heir is lost too, before it has taken anything over: whoever follows it takes over both.
#[test]
fn whoever_follows_an_heir_follows_those_whom_it_would_have_followed() {
    let mut world = world();
    world.calm();
    let first = without_the_first(&world);
    world.tell_epoch(1, &first);
    world.tell_epoch(2, &first);
    let second = world.next_epoch(2, &actives(&[2]));
    world.tell_epoch(2, &second);
    for _ in 0..3 {
        world.now = world.now.plus_ms(1_100);
        world.step(2, vec![Input::Tick]);
    }
    assert_eq!(held(&world, 2), [0, 0, 9]);
}

/// What region 2 would issue if it lied.
fn taken_over_by_the_third(world: &World, of: ReplicaId) -> Input {
    let partition = group(1).partition();
    let applied = world.log(2).state(partition).unwrap().applied;
    let creation = Dot { replica: replica(0), sequence: Sequence(1) };
    let body = Body::Rights(RightsChange { cut: applied, creation, act: RightsAct::Inherit(of) });
    let hlc = Timestamp::from_ms(START.ms() + 1_000_000);
    let draft = Draft { conversation: group(1), hlc, sender: UserId(0), message: MessageId(7), body };
    let (envelope, payload) = draft.seal([1; 16]);
    let operations = vec![OperationBytes { envelope, payload: Some(payload) }];
    let before = ChainHead::genesis(partition, replica(2));
    let commit = Commit::sign(partition, replica(2), Sequence(1), operations, before, (&Ed25519, &key(2)));
    Input::Entries { peer: replica(2), partition, commits: vec![commit], cursor: None }
}

#[test]
fn whoever_takes_over_without_being_the_heir_is_refused_by_name_and_nothing_is_taken() {
    let mut world = world();
    world.calm();
    let refused = |world: &mut World, of: ReplicaId| {
        // A stream that was refused is begun anew.
        world.greet();
        let input = taken_over_by_the_third(world, of);
        world.step(1, vec![input]);
        let reason = world.effects.iter().find_map(|effect| match effect {
            Effect::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        assert!(
            matches!(&reason, Some(CommitRefused::NotTheHeir { of: found, .. }) if *found == of),
            "{reason:?}"
        );
    };
    let before = held(&world, 1);
    refused(&mut world, replica(0));
    refused(&mut world, replica(1));
    let without = without_the_first(&world);
    world.tell_epoch(1, &without);
    refused(&mut world, replica(0));
    assert_eq!(held(&world, 1), before);
}
