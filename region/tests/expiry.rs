//! How long messages are kept: for thirty days in each region, from when they came there, and nothing of them that anybody may still ask for goes before.
//!
//! What must always hold: regions hold the same state whichever of them has let texts go; what has gone is given to nobody, counts as unread for nobody, and is not shown when it is sent again.

use crate::damage::with;
use crate::following_epochs::admit;
use crate::rig::{WORLD, World, create, group, message, post, replica, user};
use crdt::{Identity, MessageId, Sequence};
use region::command::{Command, Done, Wish};
use region::export;
use region::item::{ArrivalNumber, Content, Item};
use region::limits::{CHANGES_LOOKED_AT_MAX, EXPIRED_A_STEP_MAX};
use region::read::{self, PageFrom, Standing};
use region::shard::{Effect, Input};
use region::store::{Batch, Store as _, View};
use replication::log::{LogView as _, Position};
use std::ops::ControlFlow;

const ANN: u64 = 1;
const BEN: u64 = 2;
const DAY_MS: u64 = 86_400_000;
const KEPT_MS: u64 = 30 * DAY_MS;

fn world(regions: usize) -> World {
    let mut world = World::new(regions);
    world.keep(KEPT_MS);
    world.greet();
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN])).unwrap();
    world.calm();
    world
}

/// Time passes in all regions but those, which do nothing meanwhile.
fn days_pass(world: &mut World, days: u64, except: &[usize]) {
    for _ in 0..days {
        world.now = world.now.plus_ms(DAY_MS);
        for at in (0..world.regions.len()).filter(|at| !except.contains(at)) {
            while world.step(at, vec![Input::Tick]).next_tick.is_some_and(|due| due <= world.now) {}
        }
    }
}

fn given(world: &World, at: usize, standing: &Standing) -> Vec<Item> {
    let view = &world.regions[at].store;
    let changes = read::changes(view, group(1), user(BEN), standing, 100).unwrap().unwrap();
    assert_eq!(changes.through, changes.end, "all of it was read");
    changes.items.into_iter().map(|(_, item)| item).collect()
}

/// The texts that a new device of Ben's is given there, and those on his newest page.
fn texts(world: &World, at: usize) -> (Vec<String>, Vec<String>) {
    let page =
        read::page(&world.regions[at].store, group(1), user(BEN), PageFrom::Newest, 100).unwrap().unwrap();
    (shown(given(world, at, &Standing::default())), shown(page))
}

fn shown(items: Vec<Item>) -> Vec<String> {
    let text = |item: Item| match item.content {
        Content::Post { became, .. } if became.deleted => Some("deleted".to_owned()),
        Content::Post { body, .. } => Some(String::from_utf8(body.to_vec()).unwrap()),
        Content::Edited { body, .. } => {
            Some(format!("edited: {}", String::from_utf8(body.to_vec()).unwrap()))
        }
        Content::Deleted { .. } => Some("deletes".to_owned()),
        _ => None,
    };
    items.into_iter().filter_map(text).collect()
}

fn both(texts: &[&str]) -> (Vec<String>, Vec<String>) {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    (texts.clone(), texts)
}

/// A message that is written now.
fn new(world: &World, body: &str) -> Command {
    let mut command = post(group(1), 0, body);
    if let Command::Post { message, .. } = &mut command {
        *message = MessageId::new(world.now.ms(), 9);
    }
    command
}

/// Ann changes her message of that number.
fn amend(number: u128, of: u128, wish: Wish) -> Command {
    let target = Identity { sender: user(ANN), message: message(of) };
    Command::Amend { conversation: group(1), command: message(number), target, wish, seen: None }
}

/// How many texts the log there still holds.
fn kept(world: &World, at: usize) -> usize {
    let logged = world.log(at).read(group(1).partition(), Position(0), usize::MAX).unwrap();
    let operations = logged.into_iter().flat_map(|logged| logged.commit.operations);
    let is_text = |kind| matches!(kind, crdt::Kind::Post | crdt::Kind::Edit);
    operations
        .filter(|of| is_text(crdt::operation::Envelope::decode(&of.envelope).unwrap().kind))
        .filter(|operation| operation.payload.is_some())
        .count()
}

fn assert_equal(world: &World) {
    let state = |at: usize| {
        let view: &dyn View = &world.regions[at].store;
        let mut posts = Vec::new();
        export::posts(view, |post| {
            posts.push(post);
            ControlFlow::Continue(())
        })
        .unwrap();
        (export::partitions(view, WORLD).unwrap(), posts)
    };
    for at in 0..world.regions.len() {
        let verified = region::verify::verify(&world.regions[at].store, WORLD, 3).unwrap();
        assert_eq!(verified.damaged, []);
        assert_eq!(state(at), state(0));
    }
}

#[test]
fn a_text_goes_after_thirty_days_and_within_one_more_and_the_message_stays_known() {
    let mut world = world(1);
    world.ask(0, ANN, post(group(1), 2, "first")).unwrap();
    days_pass(&mut world, 10, &[]);
    world.ask(0, ANN, post(group(1), 3, "ten days later")).unwrap();
    days_pass(&mut world, 19, &[]);
    assert_eq!(texts(&world, 0), both(&["first", "ten days later"]));
    days_pass(&mut world, 2, &[]);
    assert_eq!(texts(&world, 0), both(&["ten days later"]));
    assert_eq!(kept(&world, 0), 1);
    assert!(world.regions[0].shard.leftovers_since().is_some(), "nor do files keep it");
    let summary = read::conversations(&world.regions[0].store, WORLD, user(BEN), 1).unwrap().pop().unwrap();
    assert_eq!((summary.unread, summary.arrival), (1, ArrivalNumber(3)));
    days_pass(&mut world, 10, &[]);
    assert_eq!(texts(&world, 0), both(&[]));
    let summary = read::conversations(&world.regions[0].store, WORLD, user(BEN), 1).unwrap().pop().unwrap();
    assert_eq!((summary.unread, summary.last), (0, None));
    assert_equal(&world);
    // What comes now finds its place behind what has gone.
    let new = new(&world, "new");
    world.ask(0, ANN, new).unwrap();
    assert_eq!(texts(&world, 0), both(&["new"]));
}

#[test]
fn what_was_written_down_goes_on_after_every_restart() {
    let mut world = world(1);
    for number in 2..2 + EXPIRED_A_STEP_MAX as u128 + 10 {
        world.ask(0, ANN, post(group(1), number, "old")).unwrap();
    }
    // A region that never runs for a whole day, and is down for one in between.
    let run_half_a_day = |world: &mut World| {
        world.now = world.now.plus_ms(DAY_MS);
        world.reopen(0);
        world.step(0, vec![Input::Tick]);
        world.now = world.now.plus_ms(DAY_MS / 2);
        world.step(0, vec![Input::Tick]);
    };
    for _ in 0..61 {
        run_half_a_day(&mut world);
    }
    assert_eq!(kept(&world, 0), EXPIRED_A_STEP_MAX + 10);
    run_half_a_day(&mut world);
    let left = kept(&world, 0);
    assert!(left > 0, "{left}: a step looks at so many, and no more");
    world.reopen(0);
    world.step(0, vec![Input::Tick]);
    assert_eq!(kept(&world, 0), 0);
    let told = world.effects.iter().find_map(|effect| match effect {
        Effect::Expired { dots, .. } => Some(dots.len()),
        _ => None,
    });
    assert_eq!(told, Some(left), "what goes is told as it does");
    assert_equal(&world);
    // All that is left to be waited for is that files are rewritten.
    days_pass(&mut world, 1, &[]);
    world.step(0, vec![Input::Compacted { is_done: true }]);
    world.reopen(0);
    assert_eq!(world.step(0, vec![Input::Tick]).next_tick, None);
}

/// As a repair leaves it that could not read for how long the store has been run: its notes say for how long at least.
#[test]
fn a_store_that_has_forgotten_how_long_it_was_run_keeps_texts_no_longer_for_that() {
    const RAN: [u8; 3] = [0xff, 0xff, 33];
    let mut world = world(1);
    days_pass(&mut world, 400, &[]);
    let before = new(&world, "before");
    world.ask(0, ANN, before).unwrap();
    days_pass(&mut world, 5, &[]);
    let mut batch = Batch::default();
    batch.delete(&RAN[..]);
    assert!(world.regions[0].store.get(&RAN).unwrap().is_some());
    world.regions[0].store.commit(&batch).unwrap();
    world.reopen(0);
    let after = new(&world, "after");
    world.ask(0, ANN, after).unwrap();
    days_pass(&mut world, 32, &[]);
    assert_eq!(texts(&world, 0), both(&[]));
}

/// History 25.
#[test]
fn who_was_cut_off_for_a_month_brings_messages_that_stay_for_a_month() {
    let mut world = world(2);
    world.ask(1, BEN, post(group(1), 2, "written alone")).unwrap();
    days_pass(&mut world, 31, &[]);
    assert_eq!(kept(&world, 1), 1, "not everybody has it");
    world.calm();
    days_pass(&mut world, 2, &[]);
    assert_eq!(texts(&world, 0), both(&["written alone"]), "it came two days ago");
    assert_eq!(texts(&world, 1), both(&[]), "and has been there for a month");
    assert_equal(&world);
    days_pass(&mut world, 30, &[]);
    assert_eq!(texts(&world, 0), both(&[]));
    assert_equal(&world);
}

/// History 22, the second half.
#[test]
fn what_has_gone_is_not_shown_when_it_is_sent_again() {
    let mut world = world(2);
    let told = world.ask(0, ANN, post(group(1), 2, "once")).unwrap();
    world.calm();
    days_pass(&mut world, 32, &[1]);
    assert_eq!((kept(&world, 0), kept(&world, 1)), (0, 1), "at different times");
    // As a device whose clock is behind, for which the door is still open, sends it.
    world.now = crate::rig::START.plus_ms(DAY_MS);
    for at in [0, 1] {
        assert_eq!(world.ask(at, ANN, post(group(1), 2, "once")).unwrap(), told);
        assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Changed(_))), "it is known");
    }
    assert_eq!(texts(&world, 0), both(&[]));
    assert_eq!(texts(&world, 1), both(&["once"]));
    assert_equal(&world);
}

#[test]
fn an_edit_goes_with_its_message_and_a_deletion_is_told_after_it() {
    let mut world = world(1);
    world.ask(0, ANN, post(group(1), 2, "plain")).unwrap();
    world.ask(0, ANN, post(group(1), 3, "to be deleted")).unwrap();
    world.ask(0, ANN, amend(4, 2, Wish::Edit("better".into()))).unwrap();
    let done = world.ask(0, ANN, amend(5, 3, Wish::Delete)).unwrap();
    assert!(matches!(done, Done::Operation { .. }));
    world.calm();
    days_pass(&mut world, 32, &[]);
    let (given, page) = texts(&world, 0);
    assert_eq!(given, ["deletes"], "of who has the message, it is to go");
    assert_eq!(page, Vec::<String>::new());
    assert_equal(&world);
}

/// A message without its text is not one that was deleted, nor an edit without its text a deletion.
#[test]
fn what_had_gone_where_a_new_region_has_it_from_is_given_to_nobody_there() {
    let mut world = world(1);
    world.ask(0, ANN, post(group(1), 2, "plain")).unwrap();
    world.ask(0, ANN, amend(3, 2, Wish::Edit("better".into()))).unwrap();
    world.ask(0, ANN, post(group(1), 4, "never edited")).unwrap();
    days_pass(&mut world, 32, &[]);
    assert_eq!(kept(&world, 0), 0);
    admit(&mut world, 1);
    let new = new(&world, "new");
    world.ask(0, ANN, new).unwrap();
    world.calm();
    assert_eq!(texts(&world, 1), both(&["new"]));
    assert_equal(&world);
}

/// What carries the message came later than its edit here: its text stands, and that of the edit has gone.
#[test]
fn a_message_whose_edit_has_gone_is_not_shown_as_it_was_before_that() {
    let mut world = world(2);
    for at in [1, 0] {
        world.ask(at, ANN, post(group(1), 2, "plain")).unwrap();
    }
    world.ask(0, ANN, amend(3, 2, Wish::Edit("better".into()))).unwrap();
    days_pass(&mut world, 20, &[]);
    world.calm();
    assert_eq!(texts(&world, 0).1, ["better"]);
    days_pass(&mut world, 12, &[]);
    assert_eq!(kept(&world, 0), 1);
    assert_eq!(texts(&world, 0), both(&[]));
    assert_equal(&world);
}

/// However much has gone, a read ends; and says that there is more, which the next one goes on at.
#[test]
fn a_read_looks_at_so_many_entries_that_have_gone_and_the_next_one_goes_on_behind_them() {
    let mut world = world(1);
    let posts = (10..10 + CHANGES_LOOKED_AT_MAX as u128)
        .map(|number| world.command(ANN, post(group(1), number, "x")));
    let posts = posts.collect();
    world.step(0, posts);
    days_pass(&mut world, 32, &[]);
    let new = new(&world, "new");
    world.ask(0, ANN, new).unwrap();
    let read = |standing: &Standing| {
        read::changes(&world.regions[0].store, group(1), user(BEN), standing, 100).unwrap().unwrap()
    };
    let first = read(&Standing::default());
    // The creation, and what has gone behind it.
    assert_eq!((first.items.len(), first.through), (1, ArrivalNumber(CHANGES_LOOKED_AT_MAX as u64)));
    assert!(first.through < first.end, "there is more");
    assert_eq!(
        first.expired.iter().map(|dot| dot.sequence.0).collect::<Vec<_>>(),
        [CHANGES_LOOKED_AT_MAX as u64]
    );
    let second = read(&Standing { after: first.through, cut: first.cut, highest: first.highest });
    assert_eq!((second.through, second.end), (second.end, ArrivalNumber(CHANGES_LOOKED_AT_MAX as u64 + 2)));
    assert_eq!(shown(second.items.into_iter().map(|(_, item)| item).collect()), ["new"]);
}

#[test]
fn a_device_that_was_given_something_goes_on_behind_what_has_gone() {
    let mut world = world(1);
    world.ask(0, ANN, post(group(1), 2, "given")).unwrap();
    let view = &world.regions[0].store;
    let standing = read::changes(view, group(1), user(BEN), &Standing::default(), 100).unwrap().unwrap();
    let standing = Standing { after: standing.through, cut: standing.cut, highest: standing.highest };
    world.ask(0, ANN, post(group(1), 3, "missed")).unwrap();
    days_pass(&mut world, 32, &[]);
    let new = new(&world, "new");
    world.ask(0, ANN, new).unwrap();
    assert_eq!(shown(given(&world, 0, &standing)), ["new"]);
    let elsewhere = Standing { after: ArrivalNumber(0), ..standing };
    assert_eq!(shown(given(&world, 0, &elsewhere)), ["new"], "nor by a cursor of another replica");
    assert_eq!(world.log(0).state(group(1).partition()).unwrap().applied.get(replica(0)), Sequence(4));
}

/// Records of the same store at another time say what is not so.
#[test]
fn a_text_that_should_have_gone_and_notes_that_the_log_does_not_bear_out_are_found() {
    const LOG: u8 = 1;
    const AGES: u8 = 31;
    const EXPIRED: u8 = 32;
    let mut world = world(1);
    world.ask(0, ANN, post(group(1), 2, "first")).unwrap();
    let early = world.regions[0].store.clone();
    days_pass(&mut world, 10, &[]);
    world.ask(0, ANN, post(group(1), 3, "ten days later")).unwrap();
    days_pass(&mut world, 22, &[]);
    let middle = world.regions[0].store.clone();
    days_pass(&mut world, 10, &[]);
    let late = world.regions[0].store.clone();
    for (store, other, table, what) in [
        (&middle, &early, LOG, "its text should have gone by its age"),
        (&early, &middle, AGES, "the log did not reach as far then"),
        (&early, &late, EXPIRED, "the log does not reach as far"),
    ] {
        let harmed = with(store, |batch| {
            for (key, value) in other.records().filter(|(key, _)| key[2] == table) {
                batch.put(key.clone(), value.clone());
            }
        });
        let damaged = region::verify::verify(&harmed, WORLD, 3).unwrap().damaged;
        let told: Vec<String> = damaged.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(what), "{what}: {told:?}");
    }
}
