//! Who tells whom of a register: each region of what it made itself, at once; of others' only whom they may not have reached.
//!
//! What must always hold: a register reaches every region for which a path is left, and crosses no bridge whose far end is known to have
//! it. Counted on the worlds of `world.rs`, by what each bridge has sent.

use crate::store::placement;
use crate::world::{World, operation, partition, region};
use replication::placement::Placements;
use replication::stability::register_key;

/// Three regions that hold one operation of the first, and nothing else to say.
fn quiet() -> World {
    let mut world = World::new(1, &[1, 2, 3], &Placements::new([placement(1, &[1, 2, 3])]));
    world.start_all();
    world.run_ms(1_000);
    world.issue(region(1), partition(1, 7), vec![operation("one")]);
    world.run_ms(2_000);
    world
}

fn sent(world: &World) -> u64 {
    world
        .regions
        .values()
        .flat_map(|region| region.bridges.values())
        .map(|bridge| bridge.sent().registers)
        .sum()
}

#[test]
fn a_register_crosses_each_bridge_at_most_once() {
    let mut world = quiet();
    world.acknowledge(region(1), partition(1, 7));
    world.run_ms(10_000);
    // To each of the two others from where it was made, and once between these: the one with the lower number told first.
    assert_eq!(sent(&world), 3);
    for at in [1, 2, 3] {
        let log = world.regions[&region(at)].store.log(partition(1, 7));
        assert!(log.register(&register_key(world.regions[&region(1)].store.replica)).is_some());
    }
}

#[test]
fn the_region_in_the_middle_tells_those_who_cannot_see_each_other() {
    let mut world = quiet();
    world.set_link(region(1), region(3), false);
    world.run_ms(100);
    world.acknowledge(region(3), partition(1, 7));
    world.run_ms(2_000);
    let log = world.regions[&region(1)].store.log(partition(1, 7));
    assert!(log.register(&register_key(world.regions[&region(3)].store.replica)).is_some());
    let before = sent(&world);
    world.set_link(region(1), region(3), true);
    world.run_ms(10_000);
    assert!(
        sent(&world) - before <= 2,
        "mended, each of the two may tell the other what it does not know to be there"
    );
}
