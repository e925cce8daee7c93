//! Histories of clocks that are wrong.
//!
//! What must always hold: a wrong clock misplaces messages of its own conversations and nothing else; it never holds, loses or uncauses anything.

use super::islands::{A, B, C, begin, calm, device, islands, join, shows};
use crdt::ConversationId;
use gateway_client::{Act, MembersWish};
use sim::world::{NewDevice, START_US, WORLD, World, address};

/// History 21, on: a region and a device whose clocks stand in 1970 begin a conversation. Nothing of it is lost or uncaused: an answer from a region whose
/// clock is right sorts after what it answers, and so does the answer to that from 1970.
#[test]
fn clocks_in_1970_misplace_what_they_begin_and_uncause_nothing() {
    let mut world = World::by_hand(1, 3, false);
    let to_1970 = 10_000_000 - i64::try_from(START_US).unwrap();
    world.set_wall_offset(A, to_1970);
    world.start_all();
    let of_1970 = NewDevice {
        user: World::user(1, false),
        region: A,
        placements: Vec::new(),
        delay_us: 5_000,
        clock_offset_us: to_1970,
        json: false,
    };
    world.add_device(device(1), of_1970);
    join(&mut world, 2, B);
    join(&mut world, 3, C);
    world.pass(1_000_000);
    let group = begin(&mut world, ConversationId::group(WORLD, 7));
    let first = world.post(device(1), group, "a question of 1970");
    assert!(world.wait_until(2_000_000, |world| shows(world, 2, group, first)));
    let second = world.post(device(2), group, "an answer of today");
    assert!(world.wait_until(2_000_000, |world| shows(world, 1, group, second)));
    let third = world.post(device(1), group, "thanks, from 1970");
    assert!(world.wait_until(2_000_000, |world| shows(world, 3, group, third)));
    let place = |message| world.shown(device(3), group, message).unwrap();
    assert!(place(first).hlc.ms() < 86_400_000, "the first is of 1970");
    assert!(place(first) < place(second) && place(second) < place(third));
    calm(world);
}

/// History 21, last part: a device that has seen a question in a region whose clock is 50 s ahead, and which is then cut off, answers it elsewhere. The
/// answer sorts after the question, though its region lacks the question and its clock is behind.
#[test]
fn what_a_roaming_device_answers_sorts_after_what_its_new_region_lacks() {
    let mut world = World::by_hand(1, 3, false);
    world.set_wall_offset(A, 50_000_000);
    world.start_all();
    for (number, region) in [(1, A), (2, B), (3, C), (4, A)] {
        join(&mut world, number, region);
    }
    world.pass(1_000_000);
    let group = begin(&mut world, ConversationId::group(WORLD, 7));
    world.act(
        device(1),
        Act::ChangeMembers { conversation: group, wish: MembersWish::Add(World::user(4, false)) },
    );
    world.pass(1_000_000);
    world.cut_pair(A, B);
    world.cut_pair(A, C);
    world.pass(4_000_000);
    let question = world.post(device(4), group, "question");
    assert!(world.wait_until(2_000_000, |world| shows(world, 1, group, question)));
    world.act(device(1), Act::Move { region: address(B) });
    world.pass(3_000_000);
    let answer = world.post(device(1), group, "answer");
    assert!(world.wait_until(3_000_000, |world| shows(world, 3, group, answer)));
    world.mend_pair(A, B);
    world.mend_pair(A, C);
    assert!(world.wait_until(20_000_000, |world| shows(world, 3, group, question)));
    assert!(world.shown(device(3), group, question) < world.shown(device(3), group, answer));
    calm(world);
}
/// History 21, a part of it: a wall clock set back by two days while the region is down. The present goes on where its store remembers it, so nothing that people
/// write seems to be of the future, and what was issued before is still before what is issued after.
#[test]
fn a_clock_set_back_while_its_region_is_down_takes_nothing_back() {
    let (mut world, group) = islands();
    let before = world.post(device(1), group, "before");
    assert!(world.wait_until(1_000_000, |world| shows(world, 2, group, before)));
    world.crash(A, false);
    world.set_wall_offset(A, -2 * 86_400_000_000);
    world.start(A);
    world.pass(5_000_000);
    let after = world.post(device(1), group, "after");
    assert!(world.wait_until(90_000_000, |world| shows(world, 2, group, after)));
    assert!(world.shown(device(2), group, before) < world.shown(device(2), group, after));
    calm(world);
}
