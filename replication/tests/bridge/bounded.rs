//! What is bounded stays bounded: what waits for a cause, what the shard has not taken, what a slow peer has not read.
//!
//! Each test drives a bridge against one limit of `limits.rs`, sees that the stated thing happens there, and that all is whole and equal afterwards:
//! a bound that loses something is not kept.

use crate::store::placement;
use crate::world::{World, partition, region};
use bytes::Bytes;
use replication::commit::OperationBytes;
use replication::limits::{FRAME_BYTES_MAX, IN_FLIGHT_BYTES_MAX, PENDING_BYTES_MAX};
use replication::placement::Placements;
use std::collections::BTreeSet;

fn large(text: u64) -> OperationBytes {
    let payload = vec![text as u8; 60_000];
    OperationBytes { envelope: Bytes::from(text.to_be_bytes().to_vec()), payload: Some(payload.into()) }
}

fn world() -> World {
    World::new(3, &[1, 2, 3], &Placements::new([placement(1, &[1, 2, 3])]))
}

/// Numbers in the first line of a bridge's printed state.
fn printed(world: &World, at: u16, peer: u16, name: &str) -> usize {
    let state = world.regions[&region(at)].bridges[&region(peer)].to_string();
    let words = state.split_whitespace();
    let found = words.filter_map(|word| word.strip_prefix(name)).next();
    found.and_then(|number| number.parse().ok()).unwrap()
}

#[test]
fn a_blocked_partition_is_dropped_at_the_limit_and_sent_again() {
    let mut world = world();
    world.start_all();
    world.run_ms(2_500);
    // Something passes first: what it weighed is gone with it.
    world.issue(region(1), partition(1, 7), vec![large(0)]);
    world.run_ms(1_000);
    assert_eq!(printed(&world, 2, 1, "pending="), 0);
    // Region 2 gets region 3's operation late, directly or fetched: everything to it is slow but region 1's stream.
    world.links.get_mut(&(region(2), region(3))).unwrap().delay_ms = 3_000;
    world.issue(region(3), partition(1, 7), vec![large(1)]);
    world.run_ms(12);
    world.frames_traced = true;
    let mut most = 0;
    let mut told_of: BTreeSet<&str> = BTreeSet::new();
    for n in 0..4_000 {
        if n < 300 {
            world.issue(region(1), partition(1, 7), vec![large(n)]);
        }
        world.run_ms(1);
        most = most.max(printed(&world, 2, 1, "pending="));
        for (at, peer, words) in [(1, 2, ["stopped", "stopped"]), (2, 1, ["dropped", "rewinding"])] {
            let state = world.regions[&region(at)].bridges[&region(peer)].to_string();
            told_of.extend(words.iter().filter(|word| state.contains(*word)));
        }
    }
    assert_eq!(told_of.into_iter().collect::<Vec<_>>(), ["dropped", "rewinding", "stopped"], "states told");
    assert!(most <= PENDING_BYTES_MAX + FRAME_BYTES_MAX, "{most} bytes were pending");
    let told = |word: &str| world.trace.iter().any(|line| line.starts_with("r2>r1") && line.contains(word));
    assert!(told("stop 7") && told("rewind 7"), "nothing was dropped");
    world.run_ms(4_000);
    assert!(world.converged());
}

#[test]
fn reading_pauses_while_the_shard_is_behind() {
    let mut world = world();
    world.start_all();
    world.run_ms(2_500);
    world.commit_ms = 100;
    for n in 0..300 {
        world.issue(region(1), partition(1, (n % 9) as u16), vec![large(n)]);
    }
    let mut most = 0;
    for _ in 0..12_000 {
        world.run_ms(1);
        most = most.max(printed(&world, 2, 1, "in_flight="));
    }
    assert!(world.trace.iter().any(|line| line == "r2<r1 pauses"), "nothing paused");
    assert!(most <= IN_FLIGHT_BYTES_MAX + FRAME_BYTES_MAX, "{most} bytes were in flight");
    assert!(world.converged());
}

#[test]
fn a_connection_made_while_the_shard_is_behind_is_read_later_and_whole() {
    let mut world = world();
    world.start_all();
    world.run_ms(2_500);
    for n in 0..300 {
        world.issue(region(1), partition(1, (n % 9) as u16), vec![large(n)]);
    }
    world.run_ms(5);
    world.commit_ms = 3_000;
    while !world.trace.iter().any(|line| line == "r2<r1 pauses") {
        world.run_ms(1);
    }
    world.set_link(region(1), region(2), false);
    world.set_link(region(1), region(2), true);
    world.run_ms(2_500);
    assert!(world.trace.iter().filter(|line| *line == "r2<r1 pauses").count() > 1, "it was read at once");
    world.run_ms(9_000);
    world.commit_ms = 1;
    world.run_ms(9_000);
    assert!(world.converged());
}

/// Two regions that met, and see each other no more.
fn cut_off() -> World {
    let mut world = world();
    world.start(region(1));
    world.start(region(2));
    world.run_ms(2_500);
    world.set_link(region(1), region(2), false);
    world
}

/// How much of a partition region 2 has.
fn end(world: &World, bucket: u16) -> u64 {
    world.regions[&region(2)].store.partitions.get(&partition(1, bucket)).map_or(0, |log| log.end().0)
}

#[test]
fn a_small_backlog_does_not_wait_for_large_ones() {
    let mut world = cut_off();
    for n in 0..40 * 30 {
        world.issue(region(1), partition(1, (n % 40) as u16), vec![large(n)]);
    }
    world.run_ms(50);
    world.set_link(region(1), region(2), true);
    let arrived = |world: &World, bucket| end(world, bucket);
    while arrived(&world, 0) == 0 {
        world.run_ms(1);
    }
    for n in 1..=10 {
        world.issue(region(1), partition(1, 100), vec![large(n)]);
        // Two syncs, the link's delay, and at most a few frames before it.
        world.run_ms(1 + 10 + 1 + 6);
        assert_eq!(arrived(&world, 100), n, "live message {n} waited for the backlog");
    }
    assert!((1..40).any(|bucket| arrived(&world, bucket) < 30), "there was no backlog to wait for");
    world.run_ms(3_000);
    assert!((0..40).all(|bucket| arrived(&world, bucket) == 30));
}

#[test]
fn what_people_write_on_top_of_a_backlog_waits_for_that_one_alone() {
    let mut world = cut_off();
    // All backlogs are alike but that of partition 1, which is the largest, and would be whole the last.
    for n in 0..40 * 30 {
        world.issue(region(1), partition(1, (n % 40) as u16), vec![large(n)]);
    }
    for n in 0..10 {
        world.issue(region(1), partition(1, 1), vec![large(n)]);
    }
    world.run_ms(50);
    world.set_link(region(1), region(2), true);
    while end(&world, 0) == 0 {
        world.run_ms(1);
    }
    world.issue(region(1), partition(1, 1), vec![large(0)]);
    while end(&world, 1) < 41 {
        world.run_ms(1);
    }
    let whole = (0..40).filter(|bucket| end(&world, *bucket) >= 30).count();
    assert!(whole <= 4, "{whole} of 40 backlogs were whole before the one that people write in");
    let shares = (2..40).filter(|bucket| end(&world, *bucket) > 0).count();
    assert!(shares >= 4, "the others got nothing meanwhile");
}

#[test]
fn a_large_backlog_does_not_starve() {
    let mut world = cut_off();
    for n in 0..100 {
        world.issue(region(1), partition(1, 1), vec![large(n)]);
    }
    world.run_ms(50);
    world.set_link(region(1), region(2), true);
    while end(&world, 1) == 0 {
        world.run_ms(1);
    }
    // As much as the pipe takes, always somewhere else.
    for n in 0..300 {
        world.issue(region(1), partition(1, 2 + (n % 2) as u16), vec![large(n)]);
        world.run_ms(1);
    }
    let arrived = end(&world, 1);
    assert!(arrived >= 40, "only {arrived} of a large backlog came beside small ones");
}
