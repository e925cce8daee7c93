//! Three islands, the people on them, and how a history ends: what all histories share.
//!
//! What must always hold: a history ends in a healed world that is whole and quiet, and no checker has found anything.

use crdt::{ConversationId, DeviceId, MessageId, RegionId};
use gateway_client::Act;
use sim::world::{NewDevice, PINNED, WORLD, World};

pub(crate) const A: RegionId = RegionId(1);
pub(crate) const B: RegionId = RegionId(2);
pub(crate) const C: RegionId = RegionId(3);

pub(crate) const fn device(number: u64) -> DeviceId {
    DeviceId(number * 16)
}

pub(crate) fn join(world: &mut World, number: u64, region: RegionId) {
    let user = World::user(number, false);
    let new = NewDevice {
        user,
        region,
        placements: vec![PINNED],
        delay_us: 5_000,
        clock_offset_us: 0,
        json: number == 2,
    };
    world.add_device(device(number), new);
}

/// Three regions with a user each, in one group that all of them have heard of.
pub(crate) fn islands() -> (World, ConversationId) {
    let mut world = World::by_hand(1, 3, false);
    world.start_all();
    for (number, region) in [(1, A), (2, B), (3, C)] {
        join(&mut world, number, region);
    }
    world.pass(1_000_000);
    let group = begin(&mut world, ConversationId::group(WORLD, 7));
    (world, group)
}

pub(crate) fn begin(world: &mut World, group: ConversationId) -> ConversationId {
    let members = vec![World::user(2, false), World::user(3, false)];
    let name = if group.placement() == PINNED { "pinned-canary:islands" } else { "islands" };
    let act = Act::CreateGroup { conversation: group, command: None, members, name: name.to_owned() };
    world.act(device(1), act);
    assert!(world.wait_until(3_000_000, |world| (1..=3).all(|n| world.count_shown(device(n), group) == 1)));
    world.pass(1_000_000);
    group
}

pub(crate) fn calm(mut world: World) {
    world.become_calm(240_000_000);
    world.judge();
    let violations: Vec<String> = world.violations().iter().map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

pub(crate) fn shows(world: &World, number: u64, group: ConversationId, message: MessageId) -> bool {
    world.shown(device(number), group, message).is_some()
}
