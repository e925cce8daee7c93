//! The users whose home is a region that an epoch closes: the region of its heir gives them away at once, and nobody else does (decision 0041).
//!
//! What must always hold: which region that is follows from the row of epochs alone; nothing is written for it, so a region that returns is its users' home again, but for those who were given
//! another one meanwhile.

use crate::following_epochs::actives;
use crate::heirs::exchange;
use crate::operators::{entry, home, operate};
use crate::restored::Told;
use crate::rig::{World, key, operators, replica, user};
use crdt::{DirectoryEntry, HomeEpoch, Incarnation, PlacementId, RegionId, ReplicaId};
use ed25519_dalek::VerifyingKey;
use proptest::prelude::*;
use region::follow_epochs;
use region::operate::{NotOperated, Operated};
use region::shard::Input;
use region::store::{MemoryStore, Store as _};
use replication::epoch::EpochStatement;
use replication::placement::Placement;
use std::collections::{BTreeMap, BTreeSet};

const A: RegionId = RegionId(1);
const B: RegionId = RegionId(2);
const C: RegionId = RegionId(3);

/// The answer of a region that is not the home of user 1: ask there.
fn ask(home: RegionId) -> Result<Operated, NotOperated> {
    Err(NotOperated::NotTheHome { user: user(1), home })
}

/// Three regions, of which the first is the home of users 1 and 2.
fn world() -> World {
    let mut world = World::new(3);
    world.greet();
    for number in [1, 2] {
        assert_eq!(operate(&mut world, 0, home(user(number), A)), Ok(Operated::Done));
    }
    world.calm();
    world
}

fn tell(world: &mut World, statement: &EpochStatement) {
    for at in [1, 2] {
        world.tell_epoch(at, statement);
    }
}

#[test]
fn the_heir_of_a_closed_home_gives_its_users_away_at_once_and_nobody_else_does() {
    let mut world = world();
    assert_eq!(operate(&mut world, 1, home(user(1), B)), ask(A));
    let without = world.next_epoch(1, &actives(&[1, 2]));
    tell(&mut world, &without);
    assert_eq!(operate(&mut world, 2, home(user(1), C)), ask(B));
    assert_eq!(operate(&mut world, 1, home(user(1), A)), Err(NotOperated::UnknownRegion(A)), "it is closed");
    assert_eq!(operate(&mut world, 1, home(user(1), C)), Ok(Operated::Done));
    assert_eq!(operate(&mut world, 1, home(user(1), C)), Ok(Operated::Unchanged));
    exchange(&mut world, &[(1, 2)]);
    let given = DirectoryEntry::Home { epoch: HomeEpoch::first(A).next(B).unwrap(), region: C };
    assert_eq!([1, 2].map(|at| entry(&world, at, user(1))), [given; 2]);
    assert_eq!(operate(&mut world, 1, home(user(1), B)), ask(C), "whose it is now");
}

#[test]
fn the_epoch_may_name_who_gives_them_away_and_an_heir_that_is_closed_has_one() {
    let mut world = world();
    let active = actives(&[1, 2]).into_iter().map(|(replica, key)| (replica, key.verifying_key())).collect();
    let heirs = BTreeMap::from([(replica(0), replica(2))]);
    let placement = &world.regions[1].config.placement;
    let without = EpochStatement::sign_with_heirs(placement, active, heirs, &operators());
    tell(&mut world, &without);
    assert_eq!(operate(&mut world, 1, home(user(1), B)), ask(C));
    let last = world.next_epoch(1, &actives(&[1]));
    world.tell_epoch(1, &last);
    assert_eq!(operate(&mut world, 1, home(user(1), B)), Ok(Operated::Done));
}

/// Each gives the user away as what it may: one as the home that it does not know to be closed, the other in its place. It is as with any two at once.
#[test]
fn a_closed_home_that_does_not_know_it_and_its_heir_are_as_any_two_at_once() {
    let mut world = world();
    let without = world.next_epoch(1, &actives(&[1, 2]));
    operate(&mut world, 0, home(user(1), B)).unwrap();
    world.carry(0, 2);
    tell(&mut world, &without);
    operate(&mut world, 1, home(user(1), C)).unwrap();
    exchange(&mut world, &[(1, 2)]);
    let given = DirectoryEntry::Home { epoch: HomeEpoch::first(A).next(B).unwrap(), region: C };
    assert_eq!([1, 2].map(|at| entry(&world, at, user(1))), [given; 2], "B's word is the higher one");
}

#[test]
fn a_region_that_returns_is_its_users_home_again_but_for_those_who_were_given_another() {
    let mut told = Told::new();
    for number in [1, 2] {
        operate(&mut told.world, 0, home(user(number), A)).unwrap();
    }
    told.world.calm();
    told.epoch(&actives(&[1, 2]), &[1, 2]);
    assert_eq!(operate(&mut told.world, 1, home(user(1), C)), Ok(Operated::Done));
    told.close_and_admit(1);
    assert_eq!(operate(&mut told.world, 1, home(user(2), B)).unwrap_err().code(), "not_the_home");
    let mut empty = MemoryStore::new();
    empty.commit(&follow_epochs::to_keep(&empty, &told.epochs).unwrap()).unwrap();
    told.begin_with(empty, 1);
    told.settle();
    for peer in [replica(1), replica(2)] {
        told.world.step(0, vec![Input::PeerCaughtUp { peer, had: BTreeMap::new() }]);
    }
    assert_eq!(operate(&mut told.world, 0, home(user(1), B)), ask(C));
    assert_eq!(operate(&mut told.world, 0, home(user(2), B)), Ok(Operated::Done));
}

/// A region of five, one of its lives, and whom an epoch names as the heir of those whom it closes: the active one of that place, or nobody.
type Step = (BTreeSet<u16>, BTreeSet<u16>, Option<usize>);

/// The active replicas after each of these steps, which say who is active and who of them begins another life, and the statements.
fn row(steps: &[Step]) -> (Placement, Vec<EpochStatement>) {
    let life = |region: u16, number: usize| {
        let id = ReplicaId { region: RegionId(region), incarnation: Incarnation(number as u64) };
        (id, key(usize::from(region)).verifying_key())
    };
    let regions = (1..=5).map(RegionId).collect();
    let mut placement = Placement::new(PlacementId(1), regions, operators().verifying_key());
    let mut statements = Vec::new();
    for (number, (regions, renewed, heir)) in steps.iter().enumerate() {
        let active: BTreeMap<ReplicaId, VerifyingKey> = regions
            .iter()
            .map(|region| match placement.replica_of(RegionId(*region)) {
                Some(replica) if !renewed.contains(region) => (replica, placement.active[&replica]),
                _ => life(*region, number),
            })
            .collect();
        let closed = placement.active.keys().filter(|replica| !active.contains_key(replica));
        let heir = heir.and_then(|place| active.keys().nth(place % active.len()).copied());
        let heirs = closed.filter_map(|closed| Some((*closed, heir?))).collect();
        let statement = EpochStatement::sign_with_heirs(&placement, active, heirs, &operators());
        placement = placement.follow(&statement).unwrap();
        statements.push(statement);
    }
    (placement, statements)
}

/// The slow way: the last epoch in which the region was active says by the next one who follows it, and so on.
fn who(region: RegionId, row: &[EpochStatement]) -> RegionId {
    let is_in = |statement: &EpochStatement| {
        statement.active.keys().find(|replica| replica.region == region).copied()
    };
    let Some(last) = row.iter().rposition(|statement| is_in(statement).is_some()) else { return region };
    let (Some(replica), Some(next)) = (is_in(&row[last]), row.get(last + 1)) else { return region };
    let stays = next.active.keys().find(|replica| row[last].active.contains_key(replica));
    let first = stays.or_else(|| next.active.keys().next()).unwrap();
    who(next.heirs.get(&replica).unwrap_or(first).region, row)
}

proptest! {
    #[test]
    fn who_stands_in_for_whom_follows_from_the_row_and_is_active(
        steps in prop::collection::vec(
            (
                prop::collection::btree_set(1..=5_u16, 1..=5),
                prop::collection::btree_set(1..=5_u16, 0..=2),
                prop::option::of(0..5_usize),
            ),
            1..12,
        ),
    ) {
        let (placement, row) = row(&steps);
        let ever: BTreeSet<RegionId> =
            row.iter().flat_map(|statement| statement.active.keys()).map(|replica| replica.region).collect();
        for region in (1..=5).map(RegionId) {
            let stands_in = placement.stand_in_for(region);
            prop_assert_eq!(stands_in, who(region, &row));
            prop_assert_eq!(placement.replica_of(stands_in).is_some(), ever.contains(&region));
        }
    }
}
