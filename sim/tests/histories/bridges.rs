//! Histories of what goes from region to region: commits, references, acknowledgements.
//!
//! What must always hold: what a region says that it has, it has whole, in order, and durably; and no slow bridge holds the fast ones up. Each test
//! names the history of `docs/broken-histories.md` that it tells, and fails under a patch in `sim/breakages/` that takes its clause out.

use super::islands::{A, B, C, calm, device, islands, shows};

/// Five KB: so long that a few dozen fill several turns of a bridge.
fn long(text: &str) -> String {
    format!("{text} {}", "-".repeat(5_000))
}

/// History 2: a pair believed too early. B hears nobody for a while. A and C write much that B lacks, and acknowledge it together with what B
/// wrote meanwhile; when B hears again, registers come with the first of what it lacks, and the rest comes after them.
#[test]
fn an_acknowledgement_counts_only_for_who_has_all_that_it_covers() {
    let (mut world, group) = islands();
    for other in [A, C] {
        world.cut(other, B);
    }
    for number in 0..30 {
        world.post(device(1 + 2 * (number % 2)), group, &long("concurrent"));
    }
    let early = world.post(device(2), group, "believed too early");
    assert!(
        world.wait_until(2_000_000, |world| shows(world, 1, group, early) && shows(world, 3, group, early))
    );
    world.pass(8_000_000);
    for other in [A, C] {
        world.mend(other, B);
    }
    assert!(world.wait_until(20_000_000, |world| world.is_stable(device(2), early)));
    calm(world);
}

/// History 13: what A wrote while it was cut off goes out in commits of many operations, joined under one signature each. B has them and C has not
/// when A dies. B passes them on whole, so C can verify them, though nobody can be asked any more.
#[test]
fn a_commit_is_passed_on_whole_though_its_origin_is_gone() {
    let (mut world, group) = islands();
    world.cut_pair(A, B);
    world.cut_pair(A, C);
    world.pass(4_000_000);
    let all: Vec<_> = (0..40).map(|_| world.post(device(1), group, "of a few commits")).collect();
    world.pass(3_000_000);
    world.mend_pair(A, B);
    let last = *all.last().unwrap();
    assert!(world.wait_until(25_000_000, |world| shows(world, 2, group, last)));
    world.cut_pair(B, C);
    world.crash(A, false);
    world.mend_pair(B, C);
    assert!(world.wait_until(20_000_000, |world| shows(world, 3, group, last)), "C has them from B");
    assert!(all.iter().all(|message| shows(&world, 3, group, *message)));
    world.mend_pair(A, C);
    world.start(A);
    calm(world);
}

/// History 16: one slow bridge between two fast ones. A stream of causes and effects runs over the fast ones; what they refer to comes two
/// seconds late by the slow one, again and again. Without looking ahead and asking for bodies the stream falls behind further and further.
#[test]
fn a_stream_over_two_fast_bridges_does_not_fall_behind_the_slow_third() {
    let (mut world, group) = islands();
    world.set_delay(A, C, 2_000_000);
    world.set_delay(C, A, 2_000_000);
    let mut effects = Vec::new();
    for _ in 0..250 {
        world.post(device(1), group, "cause");
        world.pass(6_000);
        effects.push(world.post(device(2), group, "effect"));
        world.pass(6_000);
    }
    let last = *effects.last().unwrap();
    assert!(world.wait_until(700_000, |world| shows(world, 3, group, last)), "the stream has fallen behind");
    calm(world);
}
