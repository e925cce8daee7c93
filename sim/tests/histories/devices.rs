//! Histories of devices: cursors, and what is live while they catch up.
//!
//! What must always hold: wherever a device signs in, with whatever cursor, it is given everything that it lacks, once, and after its causes.

use super::islands::{A, B, C, calm, device, islands};
use gateway_client::Act;
use sim::world::address;

/// History 28, the part of cursors from elsewhere: a cursor's arrival number is of the replica that gave it. A device that comes from a region which
/// has more is given what its new region has in another order, all of it.
#[test]
fn a_cursor_from_another_region_counts_by_what_it_covers() {
    let (mut world, group) = islands();
    for other in [B, C] {
        world.cut_pair(A, other);
    }
    world.pass(4_000_000);
    for _ in 0..6 {
        world.post(device(1), group, "at A alone");
        world.post(device(2), group, "beyond the cut");
        world.pass(100_000);
    }
    world.act(device(1), Act::Move { region: address(B) });
    let all_of_both = |world: &sim::world::World| world.count_shown(device(1), group) == 13;
    assert!(world.wait_until(10_000_000, all_of_both), "{}", world.count_shown(device(1), group));
    for other in [B, C] {
        world.mend_pair(A, other);
    }
    calm(world);
}
