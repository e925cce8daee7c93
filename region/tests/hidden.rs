//! Delete for me: marks of users, as regions take them, carry them and read by them.
//!
//! What must always hold: what a user hides is gone for them in every region, whatever comes when, and for nobody else.
use crate::rig::{WORLD, World, create, group, kinds, message, post, replica, start, user};
use crdt::Identity;
use region::command::{Command, Done, Refusal, Wish};
use region::export::{self, ExportedHidden};
use region::item::Content;
use region::read::{self, PageFrom, Standing};
use region::shard::{Effect, Input};
use region::{forms, verify};

const ANN: u64 = 1;
const BEN: u64 = 2;
const CAT: u64 = 3;

/// Ann has said four things to Ben and Cat, who live in the second and the third region, and all have come.
fn islands() -> World {
    let mut world = World::new(3);
    world.greet();
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN, CAT])).unwrap();
    for number in 2..6 {
        world.ask(0, ANN, post(group(1), number, "hello")).unwrap();
    }
    world.calm();
    world
}

fn of_ann(number: u128) -> Identity {
    Identity { sender: user(ANN), message: message(number) }
}

fn hide(number: u128) -> Command {
    Command::Hide { conversation: group(1), message: of_ann(number) }
}

/// The numbers of the messages that a page shows a user, and those that a sync withholds from them.
fn seen(world: &World, at: usize, by: u64) -> (Vec<u128>, Vec<u128>) {
    let store = &world.regions[at].store;
    let number = |message: crdt::MessageId| message.0 & 0xff;
    let page = read::page(store, group(1), user(by), PageFrom::Newest, 50).unwrap().unwrap();
    let changes = read::changes(store, group(1), user(by), &Standing::default(), 50).unwrap().unwrap();
    let withheld = changes.items.iter().filter_map(|(_, item)| match item.content {
        Content::Withheld { target } => Some(number(target.message)),
        _ => None,
    });
    (page.iter().map(|item| number(item.message)).collect(), withheld.collect())
}

fn told(world: &World) -> Vec<(u64, u128)> {
    let hidden = |effect: &Effect| match effect {
        Effect::Hidden { user, message, .. } => Some((user.0 & 0xff, message.message.0 & 0xff)),
        _ => None,
    };
    world.effects.iter().filter_map(hidden).collect()
}

fn amend(number: u128, target: u128, wish: Wish) -> Command {
    let (conversation, command) = (group(1), message(number));
    Command::Amend { conversation, command, target: of_ann(target), wish, seen: None }
}

/// From whom each change of the last step is to be withheld.
fn withheld(world: &World) -> Vec<Vec<u64>> {
    let hidden = |effect: &Effect| match effect {
        Effect::Changed(change) => Some(change.hidden_from.iter().map(|user| user.0 & 0xff).collect()),
        _ => None,
    };
    world.effects.iter().filter_map(hidden).collect()
}

#[test]
fn what_a_user_hides_is_gone_for_them_in_every_region_and_for_nobody_else() {
    let mut world = islands();
    let before = export::partitions(&world.regions[1].store, WORLD).unwrap();
    assert_eq!(world.ask(1, BEN, hide(5)), Ok(Done::Hidden { conversation: group(1) }));
    assert_eq!(told(&world), [(BEN, 5)]);
    assert_eq!(world.ask(1, BEN, hide(5)), Ok(Done::Exists { conversation: group(1) }));
    assert_eq!(told(&world), [], "once");
    assert_eq!(seen(&world, 1, BEN), (vec![2, 3, 4], vec![5]));
    assert_eq!(seen(&world, 0, BEN), (vec![2, 3, 4, 5], vec![]), "another region has not heard");
    world.carry(1, 0);
    assert_eq!(told(&world), [(BEN, 5)], "the user's devices there are told");
    world.calm();
    for at in 0..3 {
        assert_eq!(seen(&world, at, BEN), (vec![2, 3, 4], vec![5]));
        for by in [ANN, CAT] {
            assert_eq!(seen(&world, at, by), (vec![2, 3, 4, 5], vec![]));
        }
        let list = |by| read::conversations(&world.regions[at].store, WORLD, user(by), 9).unwrap().remove(0);
        assert_eq!((list(BEN).unread, list(CAT).unread), (3, 4));
        assert_eq!(list(BEN).last.map(|item| item.message), Some(message(4)));
        assert_eq!(list(CAT).last.map(|item| item.message), Some(message(5)));
        let now = export::partitions(&world.regions[at].store, WORLD).unwrap();
        assert_eq!(now, before, "the conversation is what it was");
        assert_eq!(verify::verify(&world.regions[at].store, WORLD, 9).unwrap().damaged, []);
    }
}

#[test]
fn what_is_hidden_before_it_comes_is_withheld_when_it_comes_and_so_is_what_is_done_to_it() {
    let mut world = islands();
    world.ask(0, ANN, post(group(1), 6, "not yet")).unwrap();
    // Ben was shown it in the first region and has moved to the second, which has not heard of it.
    assert_eq!(world.ask(1, BEN, hide(6)), Ok(Done::Hidden { conversation: group(1) }));
    let registers = world.lacking(1, 2, usize::MAX);
    world.step(2, registers);
    assert_eq!(told(&world), [(BEN, 6)]);
    for (from, to) in [(0, 1), (0, 2)] {
        world.carry(from, to);
        assert_eq!(withheld(&world), [[BEN]], "the message");
    }
    world.ask(0, ANN, amend(20, 6, Wish::Edit("edited".into()))).unwrap();
    world.carry(0, 2);
    assert_eq!(withheld(&world), [[BEN]], "an edit");
    world.ask(2, CAT, amend(21, 6, Wish::React("👍".parse().unwrap()))).unwrap();
    assert_eq!(withheld(&world), [[BEN]], "a reaction of somebody else");
    world.ask(2, CAT, amend(22, 5, Wish::React("👍".parse().unwrap()))).unwrap();
    assert_eq!(withheld(&world), [Vec::<u64>::new()], "another message");
    world.calm();
    for at in 0..3 {
        assert_eq!(seen(&world, at, BEN), (vec![2, 3, 4, 5], vec![6, 6, 6]), "at {at}");
    }
}

#[test]
fn a_mark_holds_for_whatever_carries_the_message() {
    let mut world = islands();
    // The message is sent to two regions, and hidden in a third that has it from one of them.
    world.ask(0, ANN, post(group(1), 6, "twice")).unwrap();
    world.ask(1, ANN, post(group(1), 6, "twice")).unwrap();
    world.carry(0, 2);
    world.ask(2, BEN, hide(6)).unwrap();
    world.carry(1, 2);
    assert_eq!(withheld(&world), [[BEN]], "the other one");
    world.calm();
    for at in 0..3 {
        assert_eq!(seen(&world, at, BEN), (vec![2, 3, 4, 5], vec![6, 6]));
        assert_eq!(seen(&world, at, CAT), (vec![2, 3, 4, 5, 6], vec![]));
    }
    world.ask(0, ANN, amend(20, 6, Wish::Delete)).unwrap();
    world.calm();
    assert_eq!(seen(&world, 2, BEN), (vec![2, 3, 4, 5], vec![6, 6, 6]), "deleted for the others");
}

#[test]
fn a_message_hidden_on_two_devices_in_two_regions_is_hidden_once() {
    let mut world = islands();
    world.ask(0, BEN, hide(3)).unwrap();
    world.ask(2, BEN, hide(3)).unwrap();
    world.ask(2, CAT, hide(3)).unwrap();
    world.calm();
    let marks =
        [BEN, CAT].map(|by| ExportedHidden { conversation: group(1), user: user(by), message: of_ann(3) });
    for region in &world.regions {
        assert_eq!(export::hidden(&region.store).unwrap(), marks);
    }
}

/// Each region counts for itself; what both let in at the same time is kept.
#[test]
fn beyond_the_limit_a_user_hides_no_more_and_what_peers_bring_is_taken() {
    let mut world = islands();
    for at in 0..2 {
        world.regions[at].config.limits.hidden_max = 2;
        world.reopen(at);
    }
    let refused = Err(Refusal::TooManyHidden { conversation: group(1), limit: 2 });
    for (at, numbers) in [(0, [2, 3]), (1, [4, 5])] {
        for number in numbers {
            world.ask(at, BEN, hide(number)).unwrap();
        }
        assert_eq!(world.ask(at, BEN, hide(9)), refused);
        assert_eq!(world.ask(at, CAT, hide(9)), Ok(Done::Hidden { conversation: group(1) }), "another user");
    }
    world.calm();
    assert_eq!(seen(&world, 2, BEN), (vec![], vec![2, 3, 4, 5]));
    assert_eq!(
        world.ask(1, BEN, hide(4)),
        Ok(Done::Exists { conversation: group(1) }),
        "it is hidden already"
    );
}

/// Decision 0013: the form is issued once every region knows it; a region of before stops that partition's feed and loses nothing.
#[test]
fn nothing_is_hidden_until_every_region_of_the_placement_can_read_it() {
    let mut world = islands();
    let older: Vec<u32> = forms::known().into_iter().filter(|form| *form != forms::HIDDEN).collect();
    let said = |kinds: Vec<u32>| Input::PeerStarted {
        peer: replica(2),
        start: start(1),
        kinds: kinds.into_iter().collect(),
    };
    world.step(1, vec![said(older)]);
    let refused = Refusal::NotKnownEverywhere { conversation: group(1), region: replica(2).region };
    assert_eq!(world.ask(1, BEN, hide(3)), Err(refused));
    world.step(1, vec![said(kinds().into_iter().collect())]);
    assert_eq!(world.ask(1, BEN, hide(3)), Ok(Done::Hidden { conversation: group(1) }));
}

#[test]
fn who_is_not_in_a_conversation_hides_nothing_there() {
    let mut world = islands();
    assert_eq!(world.ask(0, 4, hide(3)), Err(Refusal::UnknownConversation(group(1))));
    let leave = region::command::MembersWish::Leave;
    let left = Command::ChangeMembers { conversation: group(1), command: message(30), wish: leave };
    world.ask(0, BEN, left).unwrap();
    assert_eq!(world.ask(0, BEN, hide(3)), Err(Refusal::NotMember(group(1))));
}
