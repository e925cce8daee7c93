//! When files are rewritten after texts were cut: once a wait, over what was cut, until it is done.
//!
//! What must always hold: a text that was cut is named in a compaction that begins after it and within the wait, whatever crashes and fails meanwhile.

use crate::rig::{START, WORLD, World, create, group, message, post, replica, user};
use crdt::{ConversationId, Identity};
use region::command::{Command, Wish};
use region::compact_files::KeySpan;
use region::limits::{COMPACT_AGAIN_AFTER_MS, Limits};
use region::meta;
use region::shard::{Effect, Input, Outcome};
use region::store::Store as _;
use replication::StoreId;

const ANN: u64 = 1;
const DAY_MS: u64 = 86_400_000;

/// A region in which Ann has begun group 1.
fn world() -> World {
    let mut world = World::new(1);
    world.ask(0, ANN, create(group(1), 1, &[ANN, 2])).unwrap();
    world
}

/// Ann posts that message and deletes it, and once that is stable it is cut.
fn cut(world: &mut World, number: u128) {
    world.ask(0, ANN, post(group(1), number, "gone soon")).unwrap();
    delete(world, number);
}

fn delete(world: &mut World, number: u128) {
    let target = Identity { sender: user(ANN), message: message(number) };
    let command = message(number + 1_000);
    let delete = Command::Amend { conversation: group(1), command, target, wish: Wish::Delete, seen: None };
    world.ask(0, ANN, delete).unwrap();
    world.now = world.now.plus_ms(1_100);
    tick(world);
}

fn tick(world: &mut World) -> Outcome {
    world.step(0, vec![Input::Tick])
}

/// What a step asks to be compacted.
fn asked(outcome: &Outcome) -> Vec<KeySpan> {
    let mut asked = outcome.effects.iter().filter_map(|effect| match effect {
        Effect::Compact(spans) => Some(spans.clone()),
        _ => None,
    });
    let spans = asked.next().unwrap_or_default();
    assert_eq!(asked.next(), None, "one at a time");
    spans
}

/// Whether these stretches have the key of that position of the group's log.
fn are_over(spans: &[KeySpan], conversation: ConversationId, position: u64) -> bool {
    let mut key = conversation.partition().bucket.number().to_be_bytes().to_vec();
    key.push(1);
    key.extend(position.to_be_bytes());
    spans.iter().any(|span| span.from[..] <= key[..] && key[..] < span.to[..])
}

/// A tick a day after the first cut.
fn a_day_later(world: &mut World) -> Outcome {
    world.now = tick(world).next_tick.unwrap();
    tick(world)
}

#[test]
fn what_was_cut_is_compacted_a_day_later_and_then_no_more() {
    let mut world = world();
    world.ask(0, ANN, post(group(1), 2, "it stays")).unwrap();
    cut(&mut world, 3);
    let since = world.regions[0].shard.leftovers_since().unwrap();
    cut(&mut world, 4);
    assert_eq!(world.regions[0].shard.leftovers_since(), Some(since), "the first one's");
    let outcome = tick(&mut world);
    assert_eq!(outcome.next_tick, Some(since.plus_ms(DAY_MS)));
    world.now = since.plus_ms(DAY_MS - 2);
    assert_eq!(asked(&tick(&mut world)), []);
    let spans = asked(&tick(&mut world));
    // The creation, a post that stays, a post, its deletion, another post, its deletion.
    assert_eq!(
        [1, 2, 3, 4, 5, 6].map(|at| are_over(&spans, group(1), at)),
        [false, false, true, true, true, false]
    );
    world.now = world.now.plus_ms(DAY_MS);
    assert_eq!(asked(&tick(&mut world)), [], "it is under way");
    world.step(0, vec![Input::Compacted { is_done: true }]);
    assert_eq!(world.regions[0].shard.leftovers_since(), None);
    world.reopen(0);
    assert_eq!(world.regions[0].shard.leftovers_since(), None, "and the store says so");
    assert_eq!(tick(&mut world).next_tick, None);
}

#[test]
fn what_is_cut_meanwhile_waits_for_the_next_one() {
    let mut world = world();
    cut(&mut world, 3);
    assert_ne!(asked(&a_day_later(&mut world)), []);
    cut(&mut world, 5);
    let since = world.regions[0].shard.leftovers_since();
    world.step(0, vec![Input::Compacted { is_done: true }]);
    let then = world.regions[0].shard.leftovers_since();
    assert!(then > since, "reckoned from its own cut");
    world.reopen(0);
    assert_eq!(world.regions[0].shard.leftovers_since(), then);
    let spans = asked(&a_day_later(&mut world));
    assert_eq!([2, 4].map(|at| are_over(&spans, group(1), at)), [false, true]);
}

#[test]
fn one_that_came_to_nothing_or_was_cut_short_is_asked_for_again() {
    let mut world = world();
    cut(&mut world, 3);
    let spans = asked(&a_day_later(&mut world));
    world.reopen(0);
    assert_eq!(asked(&tick(&mut world)), spans, "after a crash, at once");
    cut(&mut world, 5);
    let outcome = world.step(0, vec![Input::Compacted { is_done: false }]);
    assert_eq!(outcome.next_tick, Some(world.now.plus_ms(COMPACT_AGAIN_AFTER_MS)));
    world.now = world.now.plus_ms(COMPACT_AGAIN_AFTER_MS - 2);
    assert_eq!(asked(&tick(&mut world)), []);
    let again = asked(&tick(&mut world));
    assert_eq!([2, 4].map(|at| are_over(&again, group(1), at)), [true, true]);
}

#[test]
fn a_message_that_nobody_may_cut_yet_or_that_stays_is_no_reason_to_compact() {
    let mut world = World::new(2);
    world.greet();
    world.ask(0, ANN, create(group(1), 1, &[ANN, 2])).unwrap();
    world.calm();
    world.ask(0, ANN, post(group(1), 3, "gone soon")).unwrap();
    delete(&mut world, 3);
    assert_eq!(world.regions[0].shard.leftovers_since(), None, "the other region has not heard of it");
    world.calm();
    assert!(world.regions.iter().all(|region| region.shard.leftovers_since().is_some()));
}

/// A store of before noted nothing: whatever it cut may lie anywhere.
#[test]
fn a_store_from_before_it_was_noted_is_compacted_whole_within_a_day() {
    let mut world = world();
    let expected = meta::Expected {
        replica: replica(0),
        region_name: "eu-central".to_owned(),
        placement: WORLD,
        placement_name: "global".to_owned(),
    };
    let (mut made, _) = meta::create(&expected, StoreId(7));
    let advance = |world: &mut World, meta| {
        let (meta, batch) = meta::advance(meta);
        world.regions[0].store.commit(&batch).unwrap();
        world.reopen(0);
        meta
    };
    let made_now = advance(&mut world, made.clone());
    assert_eq!(world.regions[0].shard.leftovers_since(), None);
    made.format = 6;
    assert_eq!(advance(&mut world, made).format, made_now.format);
    tick(&mut world);
    let since = world.regions[0].shard.leftovers_since().unwrap();
    assert!(since >= START, "reckoned from its first step under this format");
    let spans = asked(&a_day_later(&mut world));
    assert_eq!(spans.len(), usize::from(crdt::id::BUCKETS));
    assert!(are_over(&spans, group(1), 0) && are_over(&spans, group(1), u64::MAX));
    world.step(0, vec![Input::Compacted { is_done: true }]);
    assert_eq!(world.regions[0].shard.leftovers_since(), None);
    assert_eq!(Limits::default().compact_after_ms, DAY_MS);
}
