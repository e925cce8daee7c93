//! Hardware that lies: nothing of it is served or spread, the region it befell is found out, and no other is harmed.
//!
//! What must always hold: whatever was acknowledged, by whoever lied too, stands in all regions that are left, as long as its author's outbox lives.

use super::super::islands::{A, B, C, calm, device, islands, shows};
use super::{strike, takes_us};
use crdt::{ConversationId, MessageId, Sequence};
use sim::world::{Fault, WORLD, World};

/// Heals, and lets everybody come to rest.
fn healed(mut world: World) {
    world.heal();
    calm(world);
}

/// Messages from each, and what they are.
fn talk(world: &mut World, group: ConversationId) {
    for number in 1..=3 {
        world.post(device(number), group, "said");
        world.pass(100_000);
    }
    world.pass(2_000_000);
}

#[test]
fn a_flipped_bit_is_found_or_written_over_and_never_served() {
    /// As many as the store holds then.
    const RECORDS: u32 = 52;
    let mut lost = 0;
    for nth in 0..RECORDS {
        let (mut world, group) = islands();
        talk(&mut world, group);
        let salt = nth + RECORDS * 4_096 * (nth % 7);
        strike(&mut world, Fault::FlippedBit { region: B, placement: WORLD, salt }, 1_000_000);
        talk(&mut world, group);
        world.heal();
        let is_lost = world.lost().eq([B]);
        lost += u32::from(is_lost);
        calm(world);
    }
    // That none is left as it is, the check at the end of each sees: the rest are written over.
    assert!(lost >= RECORDS * 2 / 3, "{lost} of {RECORDS} were found: not most records are read");
}

#[test]
fn a_misdirected_write_is_found() {
    for salt in [3, 77_777, 1_234_567, 99_999_999] {
        let (mut world, group) = islands();
        talk(&mut world, group);
        strike(&mut world, Fault::Misdirected { region: C, placement: WORLD, salt }, 1_000_000);
        talk(&mut world, group);
        healed(world);
    }
}

#[test]
fn an_old_copy_is_fenced_by_its_peers_and_nothing_that_was_acknowledged_is_lost() {
    let (mut world, group) = islands();
    strike(&mut world, Fault::Restored { region: A }, 3_000_000);
    let (_, after) = takes_us(&mut world, group, 3);
    world.pass(4_000_000);
    assert!(world.lost().eq([A]), "it has issued what it does not know of");
    let marks = world.marks();
    assert!(marks.second_lives == 1 && marks.fenced == 1, "{marks:?}");
    assert!(shows(&world, 2, group, after));
    // Who lived there is called elsewhere, and is heard.
    let (_, elsewhere) = takes_us(&mut world, group, 3);
    assert!(world.is_acknowledged(device(1), elsewhere));
    healed(world);
}

#[test]
fn what_a_second_life_acknowledges_alone_is_sent_again_elsewhere() {
    let (mut world, group) = islands();
    strike(&mut world, Fault::Restored { region: A }, 3_000_000);
    takes_us(&mut world, group, 3);
    strike(&mut world, Fault::Island { region: A }, 20_000_000);
    world.pass(8_000_000);
    assert_eq!(world.lost().count(), 0, "nobody can tell it");
    let alone = world.post(device(1), group, "to a second life");
    assert!(world.wait_until(10_000_000, |world| world.is_acknowledged(device(1), alone)));
    assert!(!shows(&world, 2, group, alone));
    world.pass(20_000_000);
    assert!(world.lost().eq([A]) && world.marks().fenced == 1);
    assert!(
        world.wait_until(60_000_000, |world| shows(world, 2, group, alone) && shows(world, 3, group, alone))
    );
    healed(world);
}

#[test]
fn a_store_that_is_gone_is_refused_by_who_remembers_it_and_fenced_by_others() {
    for remembered in [true, false] {
        let (mut world, group) = islands();
        talk(&mut world, group);
        strike(&mut world, Fault::Emptied { region: B, remembered }, 1_000_000);
        world.pass(10_000_000);
        assert!(world.lost().eq([B]));
        let marks = world.marks();
        assert_eq!((marks.refused_starts, marks.fenced), if remembered { (1, 0) } else { (0, 1) });
        let (took_us, _) = takes_us(&mut world, group, 3);
        assert!(took_us < 100_000, "the others go on");
        healed(world);
    }
}

/// A is cut off, takes something that nobody else hears of, and loses its disks; then the links are whole again.
fn lost_with_what_it_alone_knows(
    world: &mut World,
    group: ConversationId,
    before: impl FnOnce(&mut World),
) -> MessageId {
    world.cut_pair(A, B);
    world.cut_pair(A, C);
    world.pass(1_000_000);
    let alone = world.post(device(1), group, "known to one region");
    world.pass(2_000_000);
    assert!(shows(world, 1, group, alone) && !shows(world, 2, group, alone));
    before(world);
    strike(world, Fault::Emptied { region: A, remembered: true }, 1_000_000);
    assert!(world.wait_until(10_000_000, |world| world.lost().eq([A])));
    world.mend_pair(A, B);
    world.mend_pair(A, C);
    alone
}

/// The disks of a region are gone, and what it alone had taken with them. On new ones it is another replica, which has what the others have before it answers; what was acknowledged to its people and
/// told to nobody comes from their outboxes, and then they are at home again.
#[test]
fn a_lost_region_comes_back_on_new_disks_and_its_people_find_all_of_it() {
    let (mut world, group) = islands();
    world.replace_lost_after(20_000_000);
    let everywhere = world.post(device(3), group, "known everywhere");
    assert!(
        world.wait_until(5_000_000, |world| (1..=3).all(|number| shows(world, number, group, everywhere)))
    );
    let alone = lost_with_what_it_alone_knows(&mut world, group, |_| {});
    assert!(world.wait_until(30_000_000, |world| world.lost().count() == 0), "it is given new disks");
    // In each of the placements that it holds.
    assert!(world.wait_until(30_000_000, |world| world.marks().caught_up == 2));
    let at_home = world.post(device(1), group, "from home");
    assert!(world.wait_until(10_000_000, |world| shows(world, 3, group, at_home)));
    let place = world.shown(device(3), group, at_home);
    assert!(place.is_some_and(|place| place.dot.replica.region == A && place.dot.sequence == Sequence(1)));
    assert!(shows(&world, 3, group, alone), "it had stood in its author's outbox");
    healed(world);
}

/// A region begins a second life on empty disks, is found out and given new ones, twice over. No number is given twice: each time it is another replica.
#[test]
fn a_region_is_lost_twice_and_comes_back_twice() {
    let (mut world, group) = islands();
    world.replace_lost_after(5_000_000);
    for life in 1..=2 {
        talk(&mut world, group);
        strike(&mut world, Fault::Emptied { region: A, remembered: false }, 1_000_000);
        assert!(world.wait_until(60_000_000, |world| world.marks().lost == life), "it is found out");
        assert!(world.wait_until(60_000_000, |world| world.marks().caught_up == 2 * life));
    }
    talk(&mut world, group);
    healed(world);
}

/// What A alone held is on a copy of its disk, under the epoch that closes it and admits it anew: it stands again where it stood.
#[test]
fn what_a_lost_disk_alone_held_comes_back_with_a_copy_of_it() {
    let (mut world, group) = islands();
    world.replace_lost_after(3_000_000);
    talk(&mut world, group);
    let alone = lost_with_what_it_alone_knows(&mut world, group, |world| world.copy(A));
    // Where its author was shown it; they have taken it elsewhere since.
    let place = world.shown(device(1), group, alone);
    assert!(world.wait_until(30_000_000, |world| world.marks().caught_up == 2));
    assert_eq!((world.marks().restored, world.marks().copies_refused), (2, 0));
    assert!(place.is_some_and(|place| place.dot.replica.region == A));
    assert!(world.wait_until(10_000_000, |world| world.shown(device(3), group, alone) == place));
    talk(&mut world, group);
    healed(world);
}

#[test]
fn one_copy_is_restored_twice_and_its_region_is_another_replica_each_time() {
    let (mut world, group) = islands();
    world.replace_lost_after(3_000_000);
    talk(&mut world, group);
    world.copy(A);
    for life in 1..=2 {
        talk(&mut world, group);
        strike(&mut world, Fault::Emptied { region: A, remembered: true }, 1_000_000);
        assert!(world.wait_until(60_000_000, |world| world.marks().lost == life), "it is found out");
        assert!(world.wait_until(60_000_000, |world| world.marks().caught_up == 2 * life));
        assert_eq!((world.marks().restored, world.marks().copies_refused), (2 * life, 0));
    }
    talk(&mut world, group);
    healed(world);
}

/// It was closed for good before the copy came: what the heir has taken over does not count with what the copy has.
#[test]
fn a_copy_that_comes_too_late_with_more_than_others_have_is_not_taken() {
    let (mut world, group) = islands();
    world.replace_lost_after(20_000_000);
    talk(&mut world, group);
    let alone = lost_with_what_it_alone_knows(&mut world, group, |world| world.copy(A));
    assert!(world.wait_until(60_000_000, |world| world.marks().caught_up == 2));
    assert_eq!(
        (world.marks().restored, world.marks().copies_refused),
        (1, 1),
        "of the other placement it holds nothing more"
    );
    assert!(
        world.wait_until(10_000_000, |world| shows(world, 3, group, alone)),
        "it had stood in its author's outbox"
    );
    healed(world);
}

/// Its author's device is away, and nobody else has heard of it: another region issues it again, where it stood. The author, back, finds it done.
#[test]
fn what_a_closed_region_alone_held_comes_back_from_its_disk() {
    let (mut world, group) = islands();
    world.salvage_after(2_000_000);
    talk(&mut world, group);
    let alone = lost_with_what_it_alone_knows(&mut world, group, |world| world.set_online(device(1), false));
    let later = world.post(device(2), group, "said before it came back");
    assert!(world.wait_until(5_000_000, |world| shows(world, 3, group, later)));
    assert!(!shows(&world, 3, group, alone));
    assert!(world.wait_until(60_000_000, |world| shows(world, 3, group, alone)));
    let place = |message| world.shown(device(3), group, message).map(|place| place.hlc);
    assert!(place(alone) < place(later), "it stands where it was said");
    // Of the other placement nothing was to be brought back.
    assert!(world.wait_until(20_000_000, |world| world.marks().salvaged == 2));
    assert_eq!((world.marks().brought_back, world.marks().asked_again), (1, 0));
    world.set_online(device(1), true);
    assert!(world.wait_until(60_000_000, |world| world.is_stable(device(1), alone)));
    healed(world);
}

/// A copy that is refused holds what a disk holds: the region begins empty, and what only the disk has is issued again by one that runs, once, whoever sends it too.
#[test]
fn a_disk_is_salvaged_beside_the_outbox_that_holds_the_same() {
    let (mut world, group) = islands();
    world.replace_lost_after(20_000_000);
    world.salvage_after(3_000_000);
    talk(&mut world, group);
    let alone = lost_with_what_it_alone_knows(&mut world, group, |world| world.copy(A));
    assert!(world.wait_until(60_000_000, |world| world.marks().salvaged == 2));
    assert!(shows(&world, 3, group, alone));
    talk(&mut world, group);
    healed(world);
}
