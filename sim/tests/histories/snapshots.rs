//! Regions that begin with a snapshot of another one's store.
//!
//! What must always hold: what a joiner has stands in its own log, so whoever reads that is given the causes of what it says (history 5); and it is waited for from before its snapshot was made, so
//! nothing that it lacks is forgotten meanwhile (history 6).

use super::faults::strike;
use super::islands::{A, B, C, calm, device, islands, shows};
use gateway_client::{Act, Amend};
use sim::world::{Fault, World};

/// A is lost, and begins again with snapshots that are carried for so long at most.
fn lost(world: &mut World, within_us: u64) {
    world.replace_lost_after(2_000_000);
    world.take_snapshots_within(within_us);
    strike(world, Fault::Emptied { region: A, remembered: true }, 1_000_000);
    assert!(world.wait_until(20_000_000, |world| world.lost().eq([A])), "it is found out");
}

/// History 5: C and B do not see each other. What was said at B is in the snapshot that A begins with; C hears of it from A alone, before the answer that is given there.
#[test]
fn what_a_joiner_answers_comes_with_what_it_answers() {
    let (mut world, group) = islands();
    world.cut_pair(B, C);
    lost(&mut world, 1_000_000);
    let question = world.post(device(2), group, "who is there?");
    assert!(world.wait_until(60_000_000, |world| world.marks().joined == 2));
    assert!(!shows(&world, 3, group, question), "nobody has told C");
    assert!(world.wait_until(60_000_000, |world| world.marks().caught_up == 2), "its people come home");
    world.pass(3_000_000);
    let answer = world.post(device(1), group, "I am");
    assert!(world.wait_until(20_000_000, |world| shows(world, 3, group, answer)));
    assert!(shows(&world, 3, group, question), "an answer never comes before what it answers");
    assert!(world.shown(device(3), group, answer).is_some_and(|place| place.dot.replica.region == A));
    world.mend_pair(B, C);
    calm(world);
}

/// History 15: the others stand at the beginning of A's log, which is B's up to the snapshot. Both have all of that, and go on behind it: no reference to what they have is sent to them.
#[test]
fn who_has_what_a_joiner_began_with_is_not_sent_it() {
    let (mut world, group) = islands();
    let last = (0..20).map(|number| world.post(device(2 + number % 2), group, "from before")).last().unwrap();
    assert!(world.wait_until(10_000_000, |world| (1..=3).all(|number| shows(world, number, group, last))));
    world.pass(5_000_000);
    lost(&mut world, 1_000_000);
    assert!(world.wait_until(60_000_000, |world| world.marks().joined == 2));
    assert!(world.wait_until(60_000_000, |world| world.marks().at_base == 2), "B and C, of the one log");
    assert_eq!([B, C].map(|peer| world.sent_to(A, peer).reference_bytes), [0; 2]);
    assert!(world.wait_until(60_000_000, |world| world.marks().caught_up == 2), "though nothing was sent");
    let answer = world.post(device(1), group, "I am back");
    assert!(world.wait_until(20_000_000, |world| (2..=3).all(|number| shows(world, number, group, answer))));
    calm(world);
}

/// History 6: while the snapshot is carried, others go on, and delete what is in it; nothing that A lacks is stable before it is there and has it.
#[test]
fn what_happens_while_a_snapshot_is_carried_waits_for_the_joiner() {
    let (mut world, group) = islands();
    let kept = world.post(device(2), group, "from before");
    assert!(world.wait_until(10_000_000, |world| shows(world, 3, group, kept)));
    lost(&mut world, 0);
    // Nobody hears of the epoch from C but through B, and the snapshot is B's.
    assert!(world.wait_until(60_000_000, |world| world.marks().joined == 2));
    world.cut_pair(A, B);
    world.cut_pair(A, C);
    let meanwhile = world.post(device(2), group, "while it was on its way");
    world.pass(20_000_000);
    assert!(shows(&world, 3, group, meanwhile) && !world.is_stable(device(2), meanwhile));
    world.mend_pair(A, B);
    world.mend_pair(A, C);
    assert!(world.wait_until(60_000_000, |world| world.is_stable(device(2), meanwhile)));
    assert!(world.wait_until(60_000_000, |world| shows(world, 1, group, meanwhile)));
    calm(world);
}

/// Whoever has not heard of the epoch gives nothing; where nobody gives anything, the region begins empty and takes the others' logs.
#[test]
fn a_region_that_is_given_nothing_begins_empty() {
    let (mut world, group) = islands();
    let kept = world.post(device(2), group, "from before");
    assert!(world.wait_until(10_000_000, |world| shows(world, 3, group, kept)));
    for region in [B, C] {
        strike(&mut world, Fault::Pause { region }, 25_000_000);
    }
    lost(&mut world, 1_000_000);
    world.pass(30_000_000);
    assert_eq!(world.marks().joined, 0);
    assert!(world.wait_until(90_000_000, |world| shows(world, 1, group, kept)));
    calm(world);
}

/// History 24: a text is deleted while a snapshot that holds it is on its way. It is cut nowhere before the joiner has heard of it, and in the joiner's files too.
#[test]
fn a_text_that_is_deleted_while_a_snapshot_is_carried_is_cut_there_too() {
    let (mut world, group) = islands();
    let regretted = world.post(device(2), group, "regretted");
    assert!(world.wait_until(10_000_000, |world| shows(world, 3, group, regretted)));
    lost(&mut world, 30_000_000);
    // It has been made and is carried, and A does not run.
    world.pass(6_000_000);
    assert_eq!((world.lost().count(), world.marks().joined), (0, 0));
    let delete = Act::Amend {
        conversation: group,
        command: None,
        target: (World::user(2, false), regretted),
        what: Amend::Delete,
    };
    world.act(device(2), delete);
    world.pass(3_000_000);
    assert_eq!(world.marks().joined, 0, "it is still on its way");
    assert!(world.wait_until(90_000_000, |world| world.marks().caught_up == 2));
    assert_eq!(world.marks().joined, 2);
    // That no store and no file of any region has the text then, is looked at in the end.
    calm(world);
}
