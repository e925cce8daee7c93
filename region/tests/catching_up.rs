//! A replica that an epoch has admitted: behind until each active peer has said that all it held has been sent, and that is here.
//!
//! What must always hold: a peer's word counts only for what was taken; once caught up is for good; until then nothing is decided for operators either.

use crate::following_epochs::{actives, admit};
use crate::operators::operate;
use crate::restored::Told;
use crate::rig::{World, create, group, post, replica, user};
use crdt::{Flag, PartitionId, RegionId, ReplicaId};
use region::features::Feature;
use region::operate::{Act, NotOperated, Operated};
use region::salvage::{self, Salvage, Salvaged};
use region::shard::{Effect, Input};
use region::store::{MemoryStore, Store as _};
use region::{export, follow_epochs};
use replication::log::{LogView as _, PeerCursor, Position};
use std::collections::BTreeMap;

/// Where region 2 stands in what that peer holds of the group's partition.
fn had(world: &World, peer: ReplicaId) -> BTreeMap<PartitionId, PeerCursor> {
    let partition = group(1).partition();
    [(partition, world.log(2).cursor(peer, partition).unwrap())].into()
}

/// The word of a peer, or of one that says it has sent so many positions more; whether region 2 has caught up with it.
fn hears(world: &mut World, peer: usize, more: u64) -> bool {
    let peer = world.regions[peer].config.replica;
    let mut had = had(world, peer);
    had.values_mut().for_each(|cursor| cursor.log = Position(cursor.log.0 + more));
    let outcome = world.step(2, vec![Input::PeerCaughtUp { peer, had }]);
    outcome.effects.contains(&Effect::CaughtUp)
}

fn is_behind(world: &World) -> bool {
    world.regions[2].shard.is_behind()
}

/// Two regions with a group, and a third that is admitted and has been sent all.
fn world() -> World {
    let mut world = World::new(2);
    world.greet();
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(0, 1, post(group(1), 2, "before it came")).unwrap();
    world.calm();
    admit(&mut world, 2);
    world.calm();
    world
}

#[test]
fn who_is_admitted_is_behind_until_every_peer_has_said_that_all_was_sent() {
    let mut world = world();
    assert!(is_behind(&world) && (0..2).all(|at| !world.regions[at].shard.is_behind()));
    assert!(!hears(&mut world, 0, 0) && is_behind(&world));
    world.reopen(2);
    assert!(is_behind(&world));
    assert!(hears(&mut world, 1, 0), "what 0 has said is kept");
    assert!(!is_behind(&world));
    world.reopen(2);
    assert!(!is_behind(&world));
    // Said again, on a later connection: nothing follows.
    assert!(!hears(&mut world, 1, 0));
}

#[test]
fn a_word_about_more_than_was_taken_counts_for_nothing() {
    let mut world = world();
    assert!(!hears(&mut world, 0, 0) && !hears(&mut world, 1, 1));
    world.reopen(2);
    assert!(is_behind(&world));
    assert!(hears(&mut world, 1, 0));
}

#[test]
fn nobody_waits_for_a_peer_that_an_epoch_closes() {
    let mut world = world();
    assert!(!hears(&mut world, 0, 0));
    let mut without = actives(&[0]);
    without.push((world.regions[2].config.replica, world.regions[2].config.signing_key.clone()));
    let without = world.next_epoch(2, &without);
    let outcome = world.tell_epoch(2, &without);
    assert!(outcome.effects.contains(&Effect::CaughtUp) && !is_behind(&world));
    assert!(!world.regions[2].config.placement.active.contains_key(&replica(1)));
}

/// The first region loses its disk, and comes back on an empty one. What its operators had said before has a higher version than what they would say now; a user who has a home would be given
/// a first one; and of a group that the others have folded it would issue what had not seen that.
#[test]
fn what_operators_ask_of_a_region_that_is_behind_waits() {
    let mut told = Told::new();
    let off = Act::SetFlag { feature: Feature::Posts, flag: Some(Flag::Off) };
    let on = Act::SetFlag { feature: Feature::Posts, flag: None };
    let home = |home| Act::SetHome { user: user(1), home: RegionId(home) };
    for act in [&off, &on, &home(2)] {
        assert_eq!(operate(&mut told.world, 0, act.clone()), Ok(Operated::Done));
    }
    told.world.calm();
    let partition = group(1).partition();
    let (commits, _) = salvage::part(&told.world.regions[0].store, partition, Position(0)).unwrap();
    let issued = commits.iter().map(|chained| chained.commit.operations.len() as u64).sum::<u64>();
    let disk = Act::Salvage(Salvage { of: replica(0), partition, commits, left: BTreeMap::new() });
    told.close_and_admit(1);
    let mut empty = MemoryStore::new();
    empty.commit(&follow_epochs::to_keep(&empty, &told.epochs).unwrap()).unwrap();
    told.begin_with(empty, 1);
    let before = told.world.regions[0].store.clone();
    for act in [off.clone(), home(1), Act::Erase { user: user(1) }, disk.clone()] {
        assert_eq!(operate(&mut told.world, 0, act), Err(NotOperated::PlacementBehind));
        assert!(told.world.regions[0].store == before, "nothing has changed");
    }
    told.settle();
    for peer in [replica(1), replica(2)] {
        told.world.step(0, vec![Input::PeerCaughtUp { peer, had: BTreeMap::new() }]);
    }
    assert!(!told.is_behind());
    assert_eq!(operate(&mut told.world, 0, off), Ok(Operated::Done));
    let not_here = NotOperated::NotTheHome { user: user(1), home: RegionId(2) };
    assert_eq!(operate(&mut told.world, 0, home(1)), Err(not_here));
    let Operated::Salvaged(salvaged) = operate(&mut told.world, 0, disk).unwrap() else { panic!() };
    assert_eq!(salvaged, Salvaged { had: issued, stable: issued, ..Salvaged::default() });
    told.settle();
    for at in 0..3 {
        let region = &told.world.regions[at];
        let holds = export::features(&region.store, &region.config.placement).unwrap();
        assert_eq!(holds.get(&Feature::Posts), Some(&Flag::Off), "region {at}");
    }
}
