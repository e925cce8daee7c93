//! Faults of the network, between regions and to devices.
//!
//! What must always hold: what happens to packets is seen as time and bytes; no message is lost, doubled or swapped.

use super::super::islands::{A, B, C, begin, calm, device, islands, join, shows};
use super::{strike, takes_us};
use crdt::{ConversationId, RegionId};
use sim::world::{Carried, Conditions, Fault, Profile, WORLD, World};

fn carried(world: &World, from: RegionId, to: RegionId) -> Carried {
    world.carried().find(|(one, other, _)| (*one, *other) == (from, to)).map(|(.., carried)| carried).unwrap()
}

/// The longest of so many messages from the first to the second, in microseconds.
fn longest_us(world: &mut World, group: ConversationId, messages: usize) -> u64 {
    (0..messages).map(|_| takes_us(world, group, 2).0).max().unwrap()
}

#[test]
fn a_way_that_loses_packets_shows_it_as_time_and_loses_no_message() {
    let (mut world, group) = islands();
    world.cut_pair(A, C);
    world.pass(4_000_000);
    let usual_us = longest_us(&mut world, group, 20);
    let by = Conditions { lost_per_million: 200_000, ..Conditions::default() };
    strike(&mut world, Fault::WorseWay { from: A, to: B, by }, 60_000_000);
    let lossy_us = longest_us(&mut world, group, 20);
    assert!(lossy_us > usual_us + 40_000, "{usual_us} us, with loss {lossy_us} us");
    let carried = carried(&world, A, B);
    assert!(carried.lost_packets > 0 && carried.wire_bytes > carried.written_bytes);
    world.mend_pair(A, C);
    calm(world);
}

#[test]
fn packets_that_come_twice_cost_bytes_and_nobody_sees_a_message_twice() {
    let (mut world, group) = islands();
    let by = Conditions { doubled_per_million: 1_000_000, ..Conditions::default() };
    strike(&mut world, Fault::WorseWay { from: A, to: B, by }, 10_000_000);
    let before = carried(&world, A, B);
    assert!(longest_us(&mut world, group, 10) < 100_000);
    let after = carried(&world, A, B);
    assert!(after.wire_bytes - before.wire_bytes > after.written_bytes - before.written_bytes);
    calm(world);
}

#[test]
fn overtaken_and_late_packets_hold_up_what_comes_behind_them_and_swap_nothing() {
    let (mut world, group) = islands();
    world.cut_pair(A, C);
    world.pass(4_000_000);
    let by = Conditions {
        overtaken_per_million: 300_000,
        late_per_million: 300_000,
        late_us: 400_000,
        ..Conditions::default()
    };
    strike(&mut world, Fault::WorseWay { from: A, to: B, by }, 30_000_000);
    let messages: Vec<_> = (0..20).map(|_| world.post(device(1), group, "in order")).collect();
    assert!(world.wait_until(10_000_000, |world| messages.iter().all(|m| shows(world, 2, group, *m))));
    assert!(longest_us(&mut world, group, 20) > 150_000);
    world.mend_pair(A, C);
    calm(world);
}

#[test]
fn a_narrow_way_with_a_short_queue_overflows_and_everything_comes() {
    let (mut world, group) = islands();
    let by = Conditions { kib_us: 20_000, queue_bytes: 8 << 10, ..Conditions::default() };
    strike(&mut world, Fault::WorseWay { from: A, to: B, by }, 60_000_000);
    let long = "x".repeat(20_000);
    let messages: Vec<_> = (0..8).map(|_| world.post(device(1), group, &long)).collect();
    world.pass(500_000);
    assert!(!messages.iter().all(|m| shows(&world, 2, group, *m)), "160 KB take more than three seconds");
    assert!(world.wait_until(60_000_000, |world| messages.iter().all(|m| shows(world, 2, group, *m))));
    assert!(carried(&world, A, B).overflows > 0);
    calm(world);
}

#[test]
fn a_flapping_link_carries_everything_in_the_end() {
    let (mut world, group) = islands();
    world.cut_pair(A, C);
    let flap = Fault::Flap { one: A, other: B, cut_us: 700_000, whole_us: 400_000 };
    strike(&mut world, flap, 20_000_000);
    assert!(longest_us(&mut world, group, 12) > 300_000);
    world.mend_pair(A, C);
    world.pass(20_000_000);
    let after_us = longest_us(&mut world, group, 5);
    assert!(after_us < 100_000, "once it has ended it is whole: {after_us} us");
    calm(world);
}

#[test]
fn two_regions_without_a_way_between_them_hear_of_each_other_through_a_third() {
    let mut world = World::by_hand(1, 3, false);
    world.remove_way(A, B);
    world.remove_way(B, A);
    world.start_all();
    for (number, region) in [(1, A), (2, B), (3, C)] {
        join(&mut world, number, region);
    }
    world.pass(1_000_000);
    let group = begin(&mut world, ConversationId::group(WORLD, 7));
    let (_, message) = takes_us(&mut world, group, 2);
    assert_eq!(world.carried().filter(|(one, other, _)| (*one, *other) == (A, B)).count(), 0);
    assert!(world.wait_until(10_000_000, |world| world.is_stable(device(1), message)));
    calm(world);
}

#[test]
fn a_phone_on_2g_waits_for_its_round_trips_and_misses_nothing() {
    let (mut world, group) = islands();
    let usual_us = takes_us(&mut world, group, 2).0;
    let device = device(2);
    strike(&mut world, Fault::WeakLine { device, profile: Profile::TwoG }, 30_000_000);
    let weak_us = takes_us(&mut world, group, 2).0;
    assert!(usual_us < 100_000 && (400_000..800_000).contains(&weak_us), "{usual_us} us, on 2G {weak_us} us");
    world.pass(30_000_000);
    assert!(takes_us(&mut world, group, 2).0 < 100_000);
    calm(world);
}
