//! Each fault of a world, alone: what it does shows, and all is whole after it.
//!
//! What must always hold: a fault is told from none by what people or regions see of it; a test that could not tell is worthless.

mod lies;
mod machines;
mod network;

use super::islands::device;
use crdt::{ConversationId, MessageId};
use sim::world::{Fault, World};

/// Begins a fault now, for so long.
pub(super) fn strike(world: &mut World, fault: Fault, for_us: u64) {
    let now = world.now();
    world.plan(fault, now, now + for_us);
    world.pass(1);
}

/// Microseconds until a message that the first writes is shown to the other one, and which it is.
fn takes_us(world: &mut World, group: ConversationId, other: u64) -> (u64, MessageId) {
    let from = world.now();
    let message = world.post(device(1), group, "how long");
    assert!(world.wait_until(90_000_000, |world| world.shown(device(other), group, message).is_some()));
    (world.now() - from, message)
}
