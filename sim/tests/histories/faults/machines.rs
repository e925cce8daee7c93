//! Faults of machines: disks, clocks, processes.
//!
//! What must always hold: a store that fails ends its own region and no other, and a region that starts again has what it had acknowledged.

use super::super::islands::{A, B, calm, device, islands, shows};
use super::{strike, takes_us};
use sim::world::{Call, Fault, WORLD, World};

/// Whether the second region serves: its own device's message is acknowledged within a second.
fn serves(world: &mut World, group: crdt::ConversationId) -> bool {
    let message = world.post(device(2), group, "is anybody there");
    world.wait_until(1_000_000, |world| world.is_acknowledged(device(2), message))
}

#[test]
fn while_syncs_stall_nothing_is_acknowledged_and_others_go_on() {
    let (mut world, group) = islands();
    strike(&mut world, Fault::StalledDisk { region: B }, 5_000_000);
    assert!(!serves(&mut world, group));
    let (took_us, message) = takes_us(&mut world, group, 3);
    assert!(took_us < 100_000 && !shows(&world, 2, group, message));
    world.pass(5_000_000);
    assert!(serves(&mut world, group) && shows(&world, 2, group, message));
    assert_eq!(world.marks().ended, 0, "a disk that is slow ends nobody");
    calm(world);
}

#[test]
fn a_region_whose_disk_is_full_ends_and_starts_once_there_is_room() {
    let (mut world, group) = islands();
    strike(&mut world, Fault::FullDisk { region: B }, 6_000_000);
    assert!(!serves(&mut world, group));
    assert!(takes_us(&mut world, group, 3).0 < 100_000, "the others go on");
    world.pass(3_000_000);
    let marks = world.marks();
    assert!(marks.ended == 1 && marks.refused_starts > 0, "{marks:?}");
    world.pass(6_000_000);
    assert!(world.wait_until(60_000_000, |world| world.count_shown(device(2), group) == 3));
    calm(world);
}

#[test]
fn a_call_that_fails_at_any_point_ends_the_region_which_comes_back_whole() {
    for call in [Call::Read, Call::Write, Call::Sync, Call::SyncKept] {
        for after in [0, 1, 2, 5] {
            let (mut world, group) = islands();
            let fault = Fault::FailingDisk { region: B, placement: WORLD, call, after, again: false };
            strike(&mut world, fault, 20_000_000);
            let messages: Vec<_> = (0..6)
                .map(|_| {
                    world.pass(50_000);
                    world.post(device(2), group, "durable or not")
                })
                .collect();
            world.pass(1_000_000);
            assert!(world.marks().ended <= 1);
            if call != Call::Read {
                assert_eq!(world.marks().ended, 1, "{call:?} after {after}");
            }
            assert!(
                world.wait_until(90_000_000, |world| messages.iter().all(|m| shows(world, 3, group, *m)))
            );
            calm(world);
        }
    }
}

#[test]
fn a_disk_that_fails_every_call_keeps_its_region_down_and_no_other() {
    let (mut world, group) = islands();
    for call in [Call::Read, Call::Write] {
        let fault = Fault::FailingDisk { region: B, placement: WORLD, call, after: 0, again: true };
        strike(&mut world, fault, 10_000_000);
    }
    assert!(!serves(&mut world, group));
    world.pass(4_000_000);
    assert!(world.marks().refused_starts > 1);
    assert!(takes_us(&mut world, group, 3).0 < 100_000);
    world.pass(10_000_000);
    calm(world);
}

#[test]
fn a_torn_last_write_is_cut_and_what_was_acknowledged_is_there() {
    let (mut world, group) = islands();
    assert!(serves(&mut world, group));
    world.set_sync_us(B, 50_000);
    let torn = world.post(device(2), group, "torn");
    world.pass(30_000);
    strike(&mut world, Fault::Crash { region: B, keeps_tail: false, torn: true }, 500_000);
    world.set_sync_us(B, 200);
    assert!(!world.is_acknowledged(device(2), torn));
    world.pass(1_000_000);
    assert_eq!(world.marks().torn_tails, 1);
    assert!(world.wait_until(90_000_000, |world| (1..=3).all(|n| shows(world, n, group, torn))));
    calm(world);
}

#[test]
fn a_process_that_stands_still_for_a_second_is_late_and_for_five_is_met_anew() {
    for (for_us, met_anew) in [(1_000_000, false), (5_000_000, true)] {
        let (mut world, group) = islands();
        let before = world.links_made();
        strike(&mut world, Fault::Pause { region: B }, for_us);
        let (took_us, message) = takes_us(&mut world, group, 3);
        assert!(took_us < 100_000 && !shows(&world, 2, group, message));
        let from = world.now();
        assert!(world.wait_until(90_000_000, |world| shows(world, 2, group, message)));
        assert!(world.now() - from > for_us - 100_000, "nobody hears of it before it goes on");
        assert!(world.wait_until(90_000_000, |world| world.is_stable(device(1), message)));
        assert_eq!(world.links_made() > before, met_anew, "{for_us} us");
        assert_eq!(world.marks().crashes, 0);
        calm(world);
    }
}

/// An upgrade by steps. A release that shares no version with its peers is refused by them and says so; its people go on, and what they wrote is everywhere
/// once a release is back that is understood.
#[test]
fn a_region_of_another_release_is_understood_or_refused_by_name_and_loses_nothing() {
    for (speaks_from, speaks_to, understood) in
        [(0, 0, false), (0, 1, true), (1, 2, true), (3, 4, true), (4, 5, true), (5, 6, false)]
    {
        let what = format!("speaking {speaks_from}-{speaks_to}");
        let (mut world, group) = islands();
        strike(
            &mut world,
            Fault::OtherRelease { region: B, speaks_from, speaks_to, lacks_kinds: Vec::new() },
            30_000_000,
        );
        world.pass(1_500_000);
        let message = world.post(device(2), group, "from another release");
        assert!(world.wait_until(10_000_000, |world| world.is_acknowledged(device(2), message)), "{what}");
        let shown = |world: &World| shows(world, 1, group, message) && shows(world, 3, group, message);
        assert_eq!(world.wait_until(12_000_000, shown), understood, "{what}");
        assert!(takes_us(&mut world, group, 3).0 < 100_000, "the others go on");
        assert_eq!(world.marks().versions_refused > 0, !understood, "{what}");
        assert!(world.wait_until(90_000_000, shown), "{what}: it is taken back");
        calm(world);
    }
}

#[test]
fn a_process_that_crawls_is_slow_and_does_everything() {
    let (mut world, group) = islands();
    let usual_us = takes_us(&mut world, group, 2).0;
    strike(&mut world, Fault::SlowProcess { region: B, step_us: 10_000 }, 30_000_000);
    let slow_us = takes_us(&mut world, group, 2).0;
    assert!(slow_us > usual_us + 30_000, "{usual_us} us, crawling {slow_us} us");
    calm(world);
}

#[test]
fn clocks_that_jump_drift_or_stand_reorder_nothing_and_are_told_of() {
    let day_us = 86_400_000_000;
    let faults = [
        Fault::ClockJump { region: A, by_us: -day_us },
        Fault::ClockJump { region: A, by_us: day_us },
        Fault::ClockDrift { region: A, per_million: -900 },
        Fault::ClockDrift { region: A, per_million: 900 },
        Fault::ClockStuck { region: A },
    ];
    for fault in faults {
        let (mut world, group) = islands();
        strike(&mut world, fault.clone(), 20_000_000);
        let (_, before) = takes_us(&mut world, group, 2);
        world.pass(2_000_000);
        let answer = world.post(device(2), group, "answer");
        assert!(world.wait_until(5_000_000, |world| shows(world, 1, group, answer)));
        let (_, after) = takes_us(&mut world, group, 2);
        let place = |message| world.shown(device(3), group, message).unwrap();
        assert!(place(before) < place(answer) && place(answer) < place(after), "{fault:?}");
        assert!(place(after).hlc.ms() < place(before).hlc.ms() + 60_000, "no jump enters: {fault:?}");
        calm(world);
    }
}

#[test]
fn a_device_whose_clock_jumps_writes_in_the_order_in_which_it_writes() {
    let hours_us = 20 * 3_600_000_000;
    for by_us in [hours_us, -hours_us] {
        let (mut world, group) = islands();
        let (_, before) = takes_us(&mut world, group, 3);
        strike(&mut world, Fault::DeviceClockJump { device: device(1), by_us }, 5_000_000);
        let (_, during) = takes_us(&mut world, group, 3);
        assert!(during.created_ms().abs_diff(before.created_ms()) > 70_000_000, "its id shows it");
        world.pass(5_000_000);
        let (_, after) = takes_us(&mut world, group, 3);
        let place = |message| world.shown(device(3), group, message).unwrap();
        assert!(place(before) < place(during) && place(during) < place(after));
        calm(world);
    }
}

/// History 21, on: the wall clock is set back while the region is down, and the present goes on from what its stores remember.
#[test]
fn a_clock_set_back_while_the_region_is_down_does_not_take_the_present_back() {
    let (mut world, group) = islands();
    let (_, before) = takes_us(&mut world, group, 2);
    world.crash(A, true);
    world.set_wall_offset(A, -3_600_000_000);
    world.start(A);
    world.pass(10_000_000);
    let (_, after) = takes_us(&mut world, group, 2);
    let place = |message| world.shown(device(3), group, message).unwrap();
    assert!(place(before) < place(after));
    let apart = place(after).hlc.ms().abs_diff(place(before).hlc.ms());
    assert!(apart < 60_000, "an hour would show: {apart} ms");
    calm(world);
}
