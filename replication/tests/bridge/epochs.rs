//! Epochs over bridges: a statement that one region is told reaches all; what a closed replica issued goes on through the others' logs; a replaced store catches up.
//!
//! The world checks throughout that what is stable anywhere has nothing concurrent still to come (histories 2 to 4 of the random model).

use crate::store::{Store, epoch_after, key, placement, replica};
use crate::world::{World, operation, partition, region};
use crdt::{Incarnation, PlacementId, ReplicaId, Sequence};
use ed25519_dalek::SigningKey;
use replication::Input;
use replication::epoch::EpochStatement;
use replication::placement::{Epoch, Placement, Placements};

const BUCKET: u16 = 3;

fn world(seed: u64) -> (World, Placement) {
    let first = placement(1, &[1, 2, 3]);
    (World::new(seed, &[1, 2, 3], &Placements::new([first.clone()])), first)
}

fn issue(world: &mut World, at: u16, text: &str) {
    world.issue(region(at), partition(1, BUCKET), vec![operation(text)]);
}

fn applied(world: &World, at: u16, of: ReplicaId) -> Sequence {
    world.regions[&region(at)].store.log(partition(1, BUCKET)).applied.get(of)
}

fn epoch(world: &World, at: u16) -> Epoch {
    world.regions[&region(at)].store.placements.get(PlacementId(1)).unwrap().epoch
}

/// What a region's store becomes when its disk is lost and an epoch admits the next.
fn successor(of: u16) -> ReplicaId {
    ReplicaId { incarnation: Incarnation(9_000 + u64::from(of)), ..replica(of) }
}

#[test]
fn an_epoch_that_one_region_is_told_reaches_all_and_entries_flow_under_it() {
    let (mut world, first) = world(1);
    world.start_all();
    world.run_ms(500);
    let statement = epoch_after(&first, &[replica(1), replica(2), replica(3)]);
    world.tell_epoch(region(2), statement);
    // By then the first connections under the new epoch stand.
    world.run_ms(3_000);
    assert_eq!([1, 2, 3].map(|at| epoch(&world, at)), [Epoch(2); 3]);
    (1..=3).for_each(|at| issue(&mut world, at, "after"));
    world.run_ms(1_000);
    assert!(world.converged());
    assert_eq!([1, 2, 3].map(|of| applied(&world, 1, replica(of))), [Sequence(1); 3]);
}

#[test]
fn who_was_down_learns_all_epochs_that_it_missed() {
    let (mut world, first) = world(2);
    world.start(region(1));
    world.start(region(2));
    world.run_ms(500);
    let all = [replica(1), replica(2), replica(3)];
    let mut current = first;
    // More than are sent on one connection.
    for _ in 0..20 {
        let statement = epoch_after(&current, &all);
        current = current.follow(&statement).unwrap();
        world.tell_epoch(region(1), statement);
    }
    world.start(region(3));
    world.run_ms(20_000);
    assert_eq!([1, 2, 3].map(|at| epoch(&world, at)), [Epoch(21); 3]);
    issue(&mut world, 3, "late");
    world.run_ms(1_000);
    assert_eq!(applied(&world, 1, replica(3)), Sequence(1));
}

/// History 4: only 2 has the last words of 3 when the epoch closes it, and 1 has given its first pair already.
#[test]
fn the_last_words_of_a_closed_replica_come_through_an_active_log() {
    let (mut world, first) = world(3);
    world.start_all();
    world.run_ms(500);
    world.set_link(region(1), region(3), false);
    world.set_link(region(1), region(2), false);
    issue(&mut world, 3, "last words");
    world.run_ms(1_000);
    assert_eq!((applied(&world, 2, replica(3)), applied(&world, 1, replica(3))), (Sequence(1), Sequence(0)));
    let statement = epoch_after(&first, &[replica(1), replica(2)]);
    world.tell_epoch(region(1), statement.clone());
    world.tell_epoch(region(2), statement);
    world.run_ms(100);
    world.acknowledge(region(1), partition(1, BUCKET));
    // It goes on speaking, and nobody takes it: neither from itself nor, later, from anybody.
    issue(&mut world, 3, "after it was closed");
    world.set_link(region(1), region(3), true);
    world.set_link(region(1), region(2), true);
    world.run_ms(5_000);
    for at in [1, 2] {
        assert_eq!(applied(&world, at, replica(3)), Sequence(1), "at {at}");
    }
    assert!(world.regions[&region(3)].fenced, "it has been told that it is closed");
}

#[test]
fn a_store_that_was_lost_returns_as_another_incarnation_and_has_everything() {
    let (mut world, first) = world(4);
    world.start_all();
    for number in 0..40 {
        (1..=3).for_each(|at| issue(&mut world, at, &format!("{number} before")));
        world.run_ms(50);
    }
    world.run_ms(1_000);
    world.kill(region(3));
    let statement = epoch_after(&first, &[replica(1), replica(2), successor(3)]);
    world.tell_epoch(region(1), statement.clone());
    for number in 0..40 {
        (1..=2).for_each(|at| issue(&mut world, at, &format!("{number} meanwhile")));
        world.run_ms(50);
    }
    let mut store = Store::new(3, Placements::new([first]));
    store.replica = successor(3);
    store.start.id = replication::StoreId(0xfeed);
    store.follow(statement);
    world.regions.get_mut(&region(3)).unwrap().store = store;
    world.start(region(3));
    world.run_ms(20_000);
    assert!(world.converged());
    assert_eq!(
        applied(&world, 3, replica(3)),
        Sequence(40),
        "what its former incarnation issued comes from the others"
    );
    issue(&mut world, 3, "again");
    world.run_ms(1_000);
    assert_eq!(applied(&world, 1, successor(3)), Sequence(1));
}

/// An epoch has taken the third region out of one of two placements, and it was started again without a store of that.
#[test]
fn who_has_left_one_placement_goes_on_in_the_other_whatever_epochs_are_known_of_the_first() {
    let (kept, left) = (placement(1, &[1, 2, 3]), placement(2, &[1, 2, 3]));
    let without = epoch_after(&left, &[replica(1), replica(2)]);
    let after = left.follow(&without).unwrap();
    let again = epoch_after(&after, &[replica(1), replica(2), successor(3)]);
    // The others have not heard of it yet; they have; and they have already been told that it is to come back.
    for known in [vec![], vec![without.clone()], vec![without.clone(), again]] {
        let mut world = World::new(6, &[1, 2, 3], &Placements::new([kept.clone(), left.clone()]));
        for at in [1, 2] {
            let store = &mut world.regions.get_mut(&region(at)).unwrap().store;
            known.iter().for_each(|statement| store.follow(statement.clone()));
        }
        let store = &mut world.regions.get_mut(&region(3)).unwrap().store;
        store.follow(without.clone());
        store.not_held.insert(PlacementId(2));
        world.start_all();
        world.run_ms(500);
        let of_left = partition(2, BUCKET);
        for at in 1..=3 {
            issue(&mut world, at, "kept");
        }
        world.issue(region(1), of_left, vec![operation("left")]);
        world.run_ms(2_000);
        for at in 1..=3 {
            assert_eq!([1, 2, 3].map(|of| applied(&world, at, replica(of))), [Sequence(1); 3], "{known:?}");
        }
        assert_eq!(world.regions[&region(2)].store.log(of_left).applied.get(replica(1)), Sequence(1));
        let holds =
            world.regions[&region(3)].store.partitions.keys().any(|id| id.placement == PlacementId(2));
        assert!(!holds, "not a byte of what it has left");
        let current = world.regions[&region(1)].store.placements.get(PlacementId(2)).unwrap();
        let next = epoch_after(current, &[replica(1), replica(2)]);
        world.tell_epoch(region(1), next);
        world.run_ms(3_000);
        issue(&mut world, 3, "still");
        world.run_ms(1_000);
        assert_eq!(applied(&world, 2, replica(3)), Sequence(2), "a later one is none of its business");
    }
}

/// One was admitted while it ran, so it has no store of the placement before its next start; the others' bridges are the same throughout.
#[test]
fn who_comes_to_have_a_store_is_sent_what_it_holds_nothing_of() {
    let both = [placement(1, &[1, 2, 3]), placement(2, &[1, 2, 3])];
    let mut world = World::new(7, &[1, 2, 3], &Placements::new(both));
    let of_second = partition(2, BUCKET);
    let has = |world: &World| world.regions[&region(3)].store.log(of_second).applied.get(replica(1));
    world.regions.get_mut(&region(3)).unwrap().store.not_held.insert(PlacementId(2));
    world.start_all();
    world.issue(region(1), of_second, vec![operation("before it came")]);
    world.run_ms(2_000);
    assert_eq!(has(&world), Sequence(0));
    world.kill(region(3));
    world.regions.get_mut(&region(3)).unwrap().store.not_held.clear();
    world.start(region(3));
    world.run_ms(10_000);
    assert_eq!(has(&world), Sequence(1));
}

#[test]
fn statements_that_do_not_follow_close_the_connection_and_change_nothing() {
    let (mut world, first) = world(5);
    let all = [replica(1), replica(2), replica(3)];
    let forged = EpochStatement::sign(
        &first,
        all.map(|replica| (replica, key(replica).verifying_key())).into(),
        &SigningKey::from_bytes(&[5; 32]),
    );
    // A region that has gone over to somebody else's statement.
    let gone = &mut world.regions.get_mut(&region(3)).unwrap().store;
    let forged_after = Placement { key: SigningKey::from_bytes(&[5; 32]).verifying_key(), ..first.clone() };
    gone.placements = Placements::new([forged_after.follow(&forged).unwrap()]);
    gone.epochs = vec![forged];
    world.start_all();
    world.run_ms(5_000);
    assert_eq!([1, 2].map(|at| epoch(&world, at)), [Epoch(1); 2]);
    let refusals: Vec<&String> = world.trace.iter().filter(|line| line.contains("closes 10")).collect();
    assert!(
        !refusals.is_empty()
            && refusals.iter().all(|line| line.contains("is not signed with the placement's key"))
    );
    issue(&mut world, 1, "undisturbed");
    world.run_ms(1_000);
    assert_eq!(applied(&world, 2, replica(1)), Sequence(1));
    // Two statements of one number, both rightly signed (history 18): neither side moves, and both say so.
    let (mut world, first) = world_apart();
    world.start_all();
    world.run_ms(5_000);
    assert_eq!([1, 2].map(|at| epoch(&world, at)), [Epoch(2); 2]);
    assert!(world.trace.iter().any(|line| line.contains("closes 4")), "{:?}", first.epoch);
}

/// Two regions that an operator has told of different second epochs.
fn world_apart() -> (World, Placement) {
    let (mut world, first) = world(6);
    let with = epoch_after(&first, &[replica(1), replica(2), replica(3)]);
    let without = epoch_after(&first, &[replica(1), replica(2)]);
    for (at, statement) in [(1, with), (2, without)] {
        world.regions.get_mut(&region(at)).unwrap().store.follow(statement);
    }
    (world, first)
}

#[test]
fn a_connection_under_the_former_epoch_ends_without_an_alarm() {
    let (mut world, first) = world(7);
    world.start_all();
    world.run_ms(500);
    let next = first.follow(&epoch_after(&first, &[replica(1), replica(2), replica(3)])).unwrap();
    world.trace.clear();
    world.step(region(1), region(2), Input::Placements(Placements::new([next])));
    world.run_ms(50);
    assert_eq!(world.trace.iter().filter(|line| line.contains("alarm")).count(), 0, "{:?}", world.trace);
    assert!(world.trace.iter().any(|line| line.contains("closes 11")));
}
