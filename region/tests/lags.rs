//! What a peer lacks is counted from what it has acknowledged, and the oldest of it is named by its time.
//!
//! What must always hold: nothing is lacking once all is acknowledged, and who was never heard of lacks everything.

use crate::rig::{World, create, group, post, replica};
use region::lag::{Lag, Standing, standing};

fn of(world: &World, at: usize) -> Standing {
    let region = &world.regions[at];
    standing(&region.store, &region.config.placement, replica(at)).unwrap()
}

#[test]
fn a_peer_lacks_what_it_has_not_acknowledged_and_the_oldest_tells_since_when() {
    let mut world = World::new(3);
    assert_eq!(of(&world, 0).peers.values().copied().collect::<Vec<_>>(), [Lag::default(); 2]);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.calm();
    let whole = of(&world, 0);
    assert_eq!((whole.operations, whole.stable), (1, 1));
    assert!(whole.peers.values().all(|lag| *lag == Lag::default()), "{whole:?}");
    let before_ms = world.now.ms();
    for (number, bucket) in [(2, 1), (3, 2)] {
        world.ask(0, 1, create(group(bucket + 10), number, &[1])).unwrap();
    }
    world.ask(0, 1, post(group(1), 4, "alone")).unwrap();
    let alone = of(&world, 0);
    assert_eq!((alone.operations, alone.stable), (4, 1));
    for lag in alone.peers.values() {
        assert_eq!(lag.operations, 3);
        assert!((before_ms..=before_ms + 2).contains(&lag.oldest_ms.unwrap()), "{lag:?} since {before_ms}");
    }
    assert_eq!(
        of(&world, 1).peers.values().map(|lag| lag.operations).sum::<u64>(),
        0,
        "it has issued nothing"
    );
    world.calm();
    assert_eq!(of(&world, 0).stable, 4);
}
