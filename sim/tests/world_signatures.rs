//! Worlds sign with a hash, regions with Ed25519: but for the bytes of the signatures a run is the same.
//!
//! What must always hold: the scheme is all that differs, so what the simulator finds of one is true of the other. It would not see a fault of
//! Ed25519 itself; `replication/src/signature.rs` and the tests over real processes do.

#![allow(clippy::unwrap_used)]

use crdt::{ConversationId, DeviceId, RegionId};
use gateway_client::Act;
use replication::signature::Ed25519;
use sim::world::{NewDevice, WORLD, World};
use std::sync::Arc;

fn run(with_ed25519: bool) -> World {
    let mut world = World::by_hand(11, 3, false);
    if with_ed25519 {
        world.sign_with(Arc::new(Ed25519));
    }
    world.start_all();
    for number in 1..=6 {
        let region = RegionId(u16::try_from(number % 3).unwrap() + 1);
        let (user, delay_us) = (World::user(number, false), 20_000);
        let new =
            NewDevice { user, region, placements: vec![], delay_us, clock_offset_us: 0, json: number == 1 };
        world.add_device(DeviceId(number), new);
    }
    world.pass(1_000_000);
    let conversation = ConversationId::group(WORLD, 1);
    let members = (2..=6).map(|number| World::user(number, false)).collect();
    world.act(DeviceId(1), Act::CreateGroup { conversation, command: None, members, name: "all".to_owned() });
    world.pass(1_000_000);
    for number in 0..30 {
        world.post(DeviceId(number % 6 + 1), conversation, "said");
        world.pass(50_000);
    }
    world.become_calm(60_000_000);
    world.judge();
    assert_eq!(world.violations(), []);
    world
}

#[test]
fn a_world_that_signs_with_a_hash_runs_as_one_that_signs_with_ed25519() {
    let (hash, curve) = (run(false), run(true));
    assert_ne!(hash.trace_hash(), curve.trace_hash(), "the signatures are in it");
    let of = |world: &World| (world.now(), world.events(), world.marks());
    assert_eq!(of(&hash), of(&curve));
    assert!(hash.marks().shown >= 180, "{:?}", hash.marks());
}
