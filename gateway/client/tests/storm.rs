//! Random storms: messages are sent while connections fail, regions lag behind each other, refuse for the moment or lose what they alone had, and users move.
//!
//! Whatever happens: each own message is acknowledged exactly once, one sender's order is kept, everything is shown once and after
//! its causes or marked until they come, and in the end all devices show the same in the same order and every outbox is empty.

use crate::world::World;
use proptest::prelude::*;

const DEVICES: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Happening {
    Send,
    Read,
    ToClient,
    ToRegion,
    Fail,
    Move(usize),
    Busy(usize),
    PutBack(usize, usize),
    Replicate(usize, usize, usize),
    Time,
}

fn happening() -> impl Strategy<Value = (usize, Happening)> {
    let kind = prop_oneof![
        6 => Just(Happening::Send),
        1 => Just(Happening::Read),
        20 => Just(Happening::ToClient),
        20 => Just(Happening::ToRegion),
        2 => Just(Happening::Fail),
        2 => (0..3usize).prop_map(Happening::Move),
        2 => (0..3usize).prop_map(Happening::Busy),
        1 => (0..3usize, 1..6usize).prop_map(|(region, count)| Happening::PutBack(region, count)),
        4 => (0..3usize, 0..3usize, 1..4usize).prop_map(|(from, to, count)| Happening::Replicate(from, to, count)),
        3 => Just(Happening::Time),
    ];
    (0..DEVICES, kind)
}

fn happen(world: &mut World, device: usize, happening: Happening) {
    match happening {
        Happening::Send => world.send(device),
        Happening::Read => world.mark_read(device),
        Happening::ToClient => drop(world.reach_client(device)),
        Happening::ToRegion => drop(world.reach_region(device)),
        Happening::Fail => world.fail(device),
        Happening::Move(region) => world.move_to(device, region),
        Happening::Busy(region) => world.be_busy(region),
        Happening::PutBack(region, count) => world.put_back(region, count),
        Happening::Replicate(from, to, count) => drop(world.replicate(from, to, count)),
        Happening::Time => world.pass_time(device),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_storm_loses_nothing_shows_nothing_twice_and_keeps_every_order(
        happenings in prop::collection::vec(happening(), 1..400)
    ) {
        let mut world = World::new(DEVICES as u64, 3);
        for (device, what) in happenings {
            happen(&mut world, device, what);
        }
        world.settle();
        world.settled();
    }
}

#[test]
fn messages_written_without_any_connection_go_out_in_order_once_there_is_one() {
    let mut world = World::new(2, 1);
    for _ in 0..200 {
        world.send(0);
    }
    world.settle();
    world.settled();
}
