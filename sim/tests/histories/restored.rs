//! Histories of stores that are in a second life: restored from an old copy, once or twice, or rolled back behind their owner's back.
//!
//! What must always hold: whoever knows more of a store than it does itself finds it out before anything of its second life spreads further; where two lives of
//! one store have met different regions, nothing that depends on the one is applied where the other is held for it.

use super::faults::strike;
use super::islands::{A, B, C, calm, device, islands, shows};
use gateway_client::Act;
use sim::world::{Fault, World};

/// Heals, and lets everybody come to rest.
fn healed(mut world: World) {
    world.heal();
    calm(world);
}

/// History 9: one backup is restored twice. Its first return is not found out, since it had issued nothing that it does not know of; it issues ten numbers and dies.
/// The same backup comes back, alone, under the same start number, and issues those numbers again, and more. Peers that take them for known would lose them.
#[test]
fn a_backup_that_is_restored_twice_is_found_out_by_the_chain() {
    let (mut world, group) = islands();
    world.pass(3_000_000);
    // Both copies are of this moment.
    strike(&mut world, Fault::Restored { region: A }, 1_000_000);
    strike(&mut world, Fault::Restored { region: A }, 20_000_000);
    world.pass(3_000_000);
    assert_eq!(world.lost().count(), 0, "the first return knows all that it had issued");
    for _ in 0..4 {
        let post = world.post(device(1), group, "of the first life");
        assert!(
            world
                .wait_until(20_000_000, |world| shows(world, 2, group, post) && shows(world, 3, group, post))
        );
    }
    strike(&mut world, Fault::Island { region: A }, 80_000_000);
    world.pass(20_000_000);
    for _ in 0..40 {
        world.post(device(1), group, "of the second life");
        world.act(device(1), Act::MarkRead { conversation: group });
        world.pass(1_000_000);
    }
    assert_eq!(world.lost().count(), 0, "nobody can tell it");
    assert!(world.wait_until(60_000_000, |world| world.lost().eq([A])));
    assert_eq!(world.marks().fenced, 1, "its peers have found it out");
    healed(world);
}

/// History 11: a store is rolled back behind its owner's back, to before its last starts, and has issued nothing in between. Nothing in its logs or feeds can tell, but
/// peers remember how often it has started.
#[test]
fn a_store_rolled_back_alone_is_found_out_by_its_start_number() {
    let (mut world, _) = islands();
    world.pass(5_000_000);
    strike(&mut world, Fault::Restored { region: A }, 30_000_000);
    for _ in 0..3 {
        world.crash(A, true);
        world.start(A);
        world.pass(8_000_000);
    }
    world.pass(10_000_000);
    assert!(world.lost().eq([A]) && world.marks().fenced == 1, "{:?}", world.marks());
    healed(world);
}

/// Histories 12 and 14: two lives of C's store. The first wrote to A alone, and A answers it; the second, which nobody it meets can tell, writes to B under the same
/// number. What A says next depends on the operation that B has another one in place of.
#[test]
fn a_fork_behind_a_reference_is_seen_and_nothing_that_depends_on_it_is_applied() {
    let (mut world, group) = islands();
    world.pass(3_000_000);
    strike(&mut world, Fault::Restored { region: C }, 10_000_000);
    world.cut_pair(A, B);
    world.cut_pair(B, C);
    world.pass(4_000_000);
    let first = world.post(device(3), group, "of the first life, to A");
    assert!(world.wait_until(2_000_000, |world| shows(world, 1, group, first)));
    let answer = world.post(device(1), group, "an answer to it");
    world.pass(1_000_000);
    world.cut_pair(A, C);
    world.pass(10_000_000);
    world.mend_pair(B, C);
    let second = world.post(device(3), group, "of the second life, to B");
    assert!(world.wait_until(60_000_000, |world| shows(world, 2, group, second)));
    world.cut_pair(B, C);
    world.mend_pair(A, B);
    world.pass(10_000_000);
    assert!(!shows(&world, 2, group, answer), "its cause is not what B holds under that number");
    assert!(world.marks().alarms_about_lies > 0, "the bridge names the fork: {:?}", world.marks());
    world.pass(20_000_000);
    assert!(world.lost().any(|region| region == B), "B holds what nobody may take, and is taken out");
}

/// History 19: a feed comes back from an old copy. Only registers have changed since, so nothing in the log tells; its peers stand beyond the end of the feed, and
/// would skip what it tells next.
#[test]
fn a_feed_that_comes_back_from_an_old_copy_is_found_out_by_who_stands_beyond_its_end() {
    let (mut world, group) = islands();
    let message = world.post(device(2), group, "to be read at A");
    assert!(world.wait_until(3_000_000, |world| world.is_stable(device(2), message)));
    world.pass(5_000_000);
    strike(&mut world, Fault::Restored { region: A }, 10_000_000);
    world.pass(1_000_000);
    world.act(device(1), Act::MarkRead { conversation: group });
    assert!(world.wait_until(5_000_000, |world| world.is_read(device(2), message, device(1))));
    world.pass(15_000_000);
    assert!(world.lost().eq([A]) && world.marks().fenced == 1, "{:?}", world.marks());
    healed(world);
}
