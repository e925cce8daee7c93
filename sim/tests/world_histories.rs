//! Histories that break a design like ours, told step by step in a world of whole regions and devices.
//!
//! Each ends in a healed world that must become whole and quiet, and is judged by the oracle, which holds every item, receipt, frame and store
//! against what happened; what a history adds of its own is asserted where it happens.

#![allow(clippy::unwrap_used)]

mod histories;

use crdt::ConversationId;
use gateway_client::{Act, MembersWish};
use histories::islands::{A, B, C, begin, calm, device, islands, join, shows};
use sim::world::{PINNED, WORLD, World, address};

/// History 1: what a region has acknowledged to another it holds durably, so it is there after a crash at any moment.
#[test]
fn what_a_region_acknowledged_to_another_is_there_after_it_crashed() {
    for after_ms in (20..48).step_by(3) {
        let (mut world, group) = islands();
        // C could give it to B again.
        world.cut_pair(B, C);
        world.pass(4_000_000);
        world.set_sync_us(B, 6_000);
        let message = world.post(device(1), group, "once");
        world.pass(after_ms * 1_000);
        world.crash(B, false);
        world.pass(2_000_000);
        assert!(world.is_acknowledged(device(1), message));
        world.start(B);
        assert!(world.wait_until(90_000_000, |world| world.is_stable(device(1), message)));
        world.mend_pair(B, C);
        calm(world);
    }
}

/// History 2 without epochs: two regions that see each other through a third alone take nothing for stable that the other lacks.
#[test]
fn regions_that_hear_of_each_other_through_a_third_take_nothing_for_stable_too_early() {
    let (mut world, group) = islands();
    world.cut_pair(A, B);
    world.pass(4_000_000);
    let (one, other) = (world.post(device(1), group, "c0"), world.post(device(2), group, "c3"));
    assert!(
        world.wait_until(5_000_000, |world| shows(world, 2, group, one) && shows(world, 1, group, other))
    );
    assert!(world.wait_until(5_000_000, |world| world.is_stable(device(2), other)));
    world.cut_pair(B, C);
    let lonely = world.post(device(2), group, "alone");
    world.pass(10_000_000);
    assert!(world.is_acknowledged(device(2), lonely) && !world.is_stable(device(2), lonely));
    world.mend_pair(A, B);
    world.mend_pair(B, C);
    calm(world);
}

/// History 16: one slow bridge between two fast ones does not hold up what depends on it for long.
#[test]
fn a_slow_bridge_between_two_fast_ones_holds_nothing_up_for_seconds() {
    let (mut world, group) = islands();
    world.set_delay(A, C, 2_000_000);
    world.set_delay(C, A, 2_000_000);
    for number in 0..20 {
        let cause = world.post(device(1), group, "cause");
        assert!(world.wait_until(1_000_000, |world| shows(world, 2, group, cause)));
        let effect = world.post(device(2), group, "effect");
        assert!(
            world.wait_until(700_000, |world| shows(world, 3, group, effect)),
            "the {number}. answer waits for the slow bridge"
        );
        assert!(shows(&world, 3, group, cause));
    }
    calm(world);
}

/// History 17: what was written and not synced when the region crashed has not left, and its resending is no second message.
#[test]
fn what_was_not_synced_has_not_left_and_comes_once() {
    for keeps_tail in [false, true] {
        let (mut world, group) = islands();
        let before = world.post(device(1), group, "before");
        assert!(world.wait_until(1_000_000, |world| world.is_acknowledged(device(1), before)));
        world.cut_pair(A, B);
        world.cut_pair(A, C);
        world.pass(4_000_000);
        world.set_sync_us(A, 400_000);
        let message = world.post(device(1), group, "unsynced");
        world.pass(100_000);
        world.mend_pair(A, B);
        world.mend_pair(A, C);
        world.pass(250_000);
        assert!(!world.is_acknowledged(device(1), message), "it is not durable");
        assert!(!shows(&world, 1, group, message) && !shows(&world, 2, group, message));
        world.crash(A, keeps_tail);
        world.set_sync_us(A, 200);
        world.start(A);
        assert!(world.wait_until(90_000_000, |world| (1..=3).all(|n| shows(world, n, group, message))));
        calm(world);
    }
}

/// History 21: a wall clock in 2038 for one second never enters a region that runs.
#[test]
fn a_clock_in_2038_for_one_second_moves_nothing() {
    let (mut world, group) = islands();
    let before = world.post(device(1), group, "before");
    assert!(world.wait_until(3_000_000, |world| world.is_stable(device(1), before)));
    world.set_wall_offset(A, 13 * 365 * 86_400_000_000);
    let during = world.post(device(1), group, "during");
    world.pass(1_000_000);
    world.set_wall_offset(A, 0);
    let after = world.post(device(2), group, "after");
    assert!(world.wait_until(3_000_000, |world| shows(world, 3, group, after)));
    let place = |message| world.shown(device(3), group, message).unwrap();
    assert!(place(before) < place(during) && place(during) < place(after));
    assert!(place(after).hlc.ms() < place(before).hlc.ms() + 10_000, "nothing is dated in 2038");
    calm(world);
}

/// History 21, on: replies across two regions whose clocks are 50 s apart sort after what they answer.
#[test]
fn replies_sort_after_what_they_answer_though_clocks_are_50_s_apart() {
    let mut world = World::by_hand(1, 3, false);
    world.set_wall_offset(A, 50_000_000);
    world.start_all();
    for (number, region) in [(1, A), (2, B), (3, C)] {
        join(&mut world, number, region);
    }
    world.pass(1_000_000);
    let group = begin(&mut world, ConversationId::group(WORLD, 7));
    let question = world.post(device(1), group, "question");
    assert!(world.wait_until(2_000_000, |world| shows(world, 2, group, question)));
    let answer = world.post(device(2), group, "answer");
    assert!(world.wait_until(2_000_000, |world| shows(world, 3, group, answer)));
    assert!(world.shown(device(3), group, question) < world.shown(device(3), group, answer));
    calm(world);
}

/// History 23, without edits: m at A, A is cut, resent at B, A heals: m moves to its earlier place, and what was read stays read.
#[test]
fn a_message_resent_elsewhere_moves_to_its_earlier_place_and_stays_read() {
    let (mut world, group) = islands();
    world.cut_pair(A, B);
    world.cut_pair(A, C);
    world.pass(4_000_000);
    let message = world.post(device(1), group, "m");
    assert!(world.wait_until(1_000_000, |world| world.is_acknowledged(device(1), message)));
    let first = world.shown(device(1), group, message).unwrap();
    world.pass(10_000_000);
    world.act(device(1), Act::Move { region: address(B) });
    assert!(world.wait_until(10_000_000, |world| shows(world, 3, group, message)));
    assert!(world.shown(device(3), group, message).unwrap() > first, "only the later one is there");
    world.act(device(3), Act::MarkRead { conversation: group });
    assert!(world.wait_until(5_000_000, |world| world.is_read(device(1), message, device(3))));
    world.mend_pair(A, B);
    world.mend_pair(A, C);
    assert!(world.wait_until(10_000_000, |world| world.shown(device(3), group, message) == Some(first)));
    assert!(world.is_read(device(1), message, device(3)));
    calm(world);
}

/// Promise 4, roaming: what a device writes in a region that lacks what it had seen is marked, until the rest arrives.
#[test]
fn an_answer_to_what_the_new_region_lacks_is_marked_until_it_arrives() {
    let (mut world, group) = islands();
    world.cut_pair(A, B);
    world.cut_pair(A, C);
    world.pass(4_000_000);
    join(&mut world, 4, A);
    world.act(
        device(1),
        Act::ChangeMembers { conversation: group, wish: MembersWish::Add(World::user(4, false)) },
    );
    world.pass(1_000_000);
    let seen = world.post(device(4), group, "seen at A alone");
    assert!(world.wait_until(2_000_000, |world| shows(world, 1, group, seen)));
    world.act(device(1), Act::Move { region: address(B) });
    world.pass(3_000_000);
    let answer = world.post(device(1), group, "answer");
    assert!(world.wait_until(3_000_000, |world| shows(world, 3, group, answer)));
    assert!(world.is_marked(device(3), group) && !shows(&world, 3, group, seen));
    world.mend_pair(A, B);
    world.mend_pair(A, C);
    assert!(world.wait_until(10_000_000, |world| !world.is_marked(device(3), group)));
    assert!(shows(&world, 3, group, seen));
    calm(world);
}

/// History 26: a device that is far behind is given what is new only after what it lacks. The oracle holds each item against its causes.
#[test]
fn a_device_far_behind_is_given_new_messages_after_what_it_lacks() {
    let (mut world, group) = islands();
    world.set_online(device(3), false);
    for number in 0..600 {
        world.post(device(1 + number % 2), group, "missed");
        world.pass(5_000);
    }
    world.act(device(2), Act::Move { region: address(C) });
    world.pass(3_000_000);
    world.set_online(device(3), true);
    let before = world.count_shown(device(3), group);
    while world.count_shown(device(3), group) == before {
        world.pass(1_000);
        assert!(world.now() < 120_000_000, "it never came back");
    }
    assert!(world.count_shown(device(3), group) < 601, "it has been given a part of what it lacks");
    for _ in 0..150 {
        world.post(device(2), group, "new, in its own region");
        world.pass(500);
    }
    assert!(world.wait_until(90_000_000, |world| world.count_shown(device(3), group) == 751));
    calm(world);
}

/// History 29: a crash with the delivery in the socket's buffer, which is lost: it is given again, and shown once.
#[test]
fn a_delivery_lost_with_its_connection_is_given_again() {
    for after_ms in [22, 26, 30, 34] {
        let (mut world, group) = islands();
        world.set_delay(A, B, 1_000);
        let message = world.post(device(1), group, "in the buffer");
        world.pass(after_ms * 1_000);
        world.crash(B, false);
        world.pass(500_000);
        world.start(B);
        assert!(world.wait_until(90_000_000, |world| shows(world, 2, group, message)));
        calm(world);
    }
}

/// History 35, on: a receipt's cut names operations of its own conversation alone, though others share its partition: a cut of theirs would tell their
/// traffic to whoever asks for receipts.
#[test]
fn receipts_name_their_own_conversation_though_others_share_its_partition() {
    let (mut world, group) = islands();
    let shares = |id: &ConversationId| *id != group && id.partition() == group.partition();
    let other = (8..).map(|number| ConversationId::group(WORLD, number)).find(shares).unwrap();
    let other = begin(&mut world, other);
    for number in 1..=3 {
        world.post(device(number), group, "here");
        world.post(device(number), other, "and there");
        world.pass(300_000);
    }
    let message = world.post(device(1), other, "read");
    assert!(world.wait_until(3_000_000, |world| shows(world, 3, other, message)));
    world.act(device(3), Act::MarkRead { conversation: other });
    assert!(world.wait_until(5_000_000, |world| world.is_read(device(1), message, device(3))));
    calm(world);
}

/// History 35: the receipts of a member from outside name their own conversation alone, and nothing of it enters their home region. The oracle looks at
/// every frame, store and receipt.
#[test]
fn an_outsiders_receipts_name_their_own_conversation_and_stay_in_its_placement() {
    let (mut world, group) = islands();
    let pinned = begin(&mut world, ConversationId::group(PINNED, 9));
    for number in 1..=3 {
        world.post(device(number), pinned, "inside");
        world.post(device(number), group, "everywhere");
        world.pass(500_000);
        world.act(device(number), Act::MarkRead { conversation: pinned });
    }
    let message = world.post(device(1), pinned, "read by the outsider");
    assert!(world.wait_until(3_000_000, |world| shows(world, 3, pinned, message)));
    world.act(device(3), Act::MarkRead { conversation: pinned });
    assert!(world.wait_until(5_000_000, |world| world.is_read(device(1), message, device(3))));
    world.act(device(1), Act::Move { region: address(C) });
    world.act(device(1), Act::MarkRead { conversation: pinned });
    world.pass(3_000_000);
    world.post(device(1), pinned, "from outside");
    calm(world);
}
