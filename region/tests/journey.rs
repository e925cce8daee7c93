//! The journey of messages through three shards: taken, carried, shown, received, stable.
//!
//! Read this first: it shows how a shard is driven, and what each region holds when all is quiet.
use crate::rig::{World, create, group, post, user};
use crdt::Cut;
use region::command::{Command, Done, MembersWish};
use region::item::Content;
use region::read::{self, PageFrom, Standing};
use region::shard::Effect;

#[test]
fn a_message_is_taken_carried_shown_and_stable_everywhere() {
    let mut world = World::new(3);
    let islands = group(1);
    world.ask(0, 1, create(islands, 1, &[1, 2])).unwrap();
    let Done::Operation { dot, .. } = world.ask(0, 1, post(islands, 2, "hello")).unwrap() else {
        panic!("a post is done by an operation");
    };
    world.calm();
    for region in &world.regions {
        let page = read::page(&region.store, islands, user(2), PageFrom::Newest, 50).unwrap().unwrap();
        assert_eq!(page.len(), 1);
        assert!(matches!(&page[0].content, Content::Post { body, .. } if &body[..] == b"hello"));
        let stable = read::stable(&region.store, islands.partition()).unwrap();
        assert!(stable.covers(dot), "what all three hold and said so is stable: {stable}");
        let list = read::conversations(&region.store, crate::rig::WORLD, user(2), 10).unwrap();
        assert_eq!((list.len(), list[0].unread, list[0].members.len()), (1, 1, 2));
    }
}

#[test]
fn a_receipt_travels_and_lowers_the_unread_count_everywhere() {
    let mut world = World::new(3);
    let islands = group(1);
    world.ask(0, 1, create(islands, 1, &[1, 2])).unwrap();
    for number in 2..7 {
        world.ask(0, 1, post(islands, number, "hello")).unwrap();
    }
    world.calm();
    let given = read::changes(&world.regions[1].store, islands, user(2), &Standing::default(), 4);
    let given = given.unwrap().unwrap();
    assert_eq!((given.items.len(), given.through.0, given.end.0), (4, 4, 6));
    let receipt = Command::Receipt { conversation: islands, delivered: None, read: Some(given.cut.clone()) };
    assert_eq!(world.ask(1, 2, receipt.clone()), Ok(Done::Receipt));
    assert!(world.effects.iter().any(|effect| matches!(effect, Effect::Receipt { .. })));
    assert_eq!(world.ask(1, 2, receipt), Ok(Done::Receipt));
    assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Receipt { .. })), "it did not grow");
    world.calm();
    for region in &world.regions {
        let list = read::conversations(&region.store, crate::rig::WORLD, user(2), 10).unwrap();
        assert_eq!(list[0].unread, 2);
        let receipts = read::receipts(&region.store, islands, user(1)).unwrap().unwrap();
        assert_eq!((receipts.len(), &receipts[0].read), (1, &given.cut));
        assert_eq!(&receipts[0].delivered, &given.cut, "what was read was delivered");
    }
    let all = Standing { cut: Cut::new(), ..Standing::default() };
    assert_eq!(read::changes(&world.regions[0].store, islands, user(3), &all, 9).unwrap(), None);
}

/// Promise of the setting: nobody is told, and the user's own devices count the same as unread in every region.
#[test]
fn what_is_read_quietly_is_read_in_every_region_for_its_user_and_in_none_for_others() {
    let mut world = World::new(3);
    let islands = group(1);
    world.ask(0, 1, create(islands, 1, &[1, 2])).unwrap();
    for number in 2..7 {
        world.ask(0, 1, post(islands, number, "hello")).unwrap();
    }
    world.calm();
    let standing = Standing::default();
    let some = read::changes(&world.regions[1].store, islands, user(2), &standing, 3).unwrap().unwrap().cut;
    let all = read::changes(&world.regions[1].store, islands, user(2), &standing, 9).unwrap().unwrap().cut;
    let told = Command::Receipt { conversation: islands, delivered: None, read: Some(some.clone()) };
    let quiet = Command::ReadQuietly { conversation: islands, read: all.clone() };
    let noted = |world: &World, at: usize| {
        region::export::receipts(&world.regions[at].store).unwrap()[0].noted.clone()
    };
    let unread = |world: &World, at: usize| {
        read::conversations(&world.regions[at].store, crate::rig::WORLD, user(2), 10).unwrap()[0].unread
    };
    assert_eq!(world.ask(1, 2, told), Ok(Done::Receipt));
    // One region has not said that it can read such a receipt: nothing but the delivery is kept.
    world.step(1, vec![started(0, region::forms::known())]);
    world.step(1, vec![started(2, vec![1, 2, 3])]);
    assert_eq!(world.ask(1, 2, quiet.clone()), Ok(Done::Receipt));
    assert_eq!((unread(&world, 1), noted(&world, 1)), (3, some.clone()));
    world.step(1, vec![started(2, region::forms::known())]);
    assert_eq!(world.ask(1, 2, quiet), Ok(Done::Receipt));
    world.calm();
    for (at, region) in world.regions.iter().enumerate() {
        assert_eq!(unread(&world, at), 0);
        let receipts = read::receipts(&region.store, islands, user(1)).unwrap().unwrap();
        assert_eq!((&receipts[0].delivered, &receipts[0].read), (&all, &some), "delivered, but not read");
        assert_eq!(noted(&world, at), all);
    }
    let claims = |effect: &Effect| matches!(effect, Effect::Receipt { read, .. } if *read != some);
    assert!(!world.effects.iter().any(claims), "no gateway is told of more");
}

fn started(from: usize, kinds: Vec<u32>) -> region::shard::Input {
    let (peer, start) = (crate::rig::replica(from), crate::rig::start(1));
    region::shard::Input::PeerStarted { peer, start, kinds: kinds.into_iter().collect() }
}

/// Two regions without a bridge between them hold the same through a third, and what they hold becomes stable.
#[test]
fn what_one_region_relays_is_verified_and_stable_at_the_far_end() {
    let mut world = World::new(3);
    let islands = group(1);
    world.ask(0, 1, create(islands, 1, &[1, 2])).unwrap();
    let along = |world: &mut World| {
        for (from, to) in [(0, 1), (1, 2), (2, 1), (1, 0)] {
            world.carry(from, to);
        }
        world.now = world.now.plus_ms(1_100);
        for at in 0..3 {
            world.step(at, vec![region::shard::Input::Tick]);
        }
    };
    along(&mut world);
    for number in 2..6 {
        world.ask(0, 1, post(islands, number, "from one end")).unwrap();
        world.ask(2, 2, post(islands, number, "from the other")).unwrap();
        along(&mut world);
    }
    for _ in 0..3 {
        along(&mut world);
    }
    let exported = region::export::partitions(&world.regions[0].store, crate::rig::WORLD).unwrap();
    assert_eq!(exported[0].applied, exported[0].stable);
    for region in &world.regions[1..] {
        assert_eq!(region::export::partitions(&region.store, crate::rig::WORLD).unwrap(), exported);
    }
}

#[test]
fn a_receipt_of_an_added_member_counts_from_where_it_covers_the_adding() {
    let mut world = World::new(2);
    let islands = group(1);
    world.ask(0, 1, create(islands, 1, &[1, 2])).unwrap();
    world.calm();
    // Concurrent with the adding, and applied before it where user 3 is.
    world.ask(1, 2, post(islands, 2, "not hidden from the newcomer")).unwrap();
    world
        .ask(
            0,
            1,
            Command::ChangeMembers {
                conversation: islands,
                command: crate::rig::message(3),
                wish: MembersWish::Add(user(3)),
            },
        )
        .unwrap();
    world.calm();
    let given = |limit| {
        let given = read::changes(&world.regions[1].store, islands, user(3), &Standing::default(), limit);
        given.unwrap().unwrap()
    };
    let receipt =
        |cut: &Cut| Command::Receipt { conversation: islands, delivered: Some(cut.clone()), read: None };
    let (post_alone, all) = (given(1), given(9));
    assert_eq!((post_alone.items.len(), all.items.len()), (1, 2));
    let standing =
        |world: &World| read::receipts(&world.regions[1].store, islands, user(2)).unwrap().unwrap();
    assert_eq!(world.ask(1, 3, receipt(&post_alone.cut)), Ok(Done::Receipt));
    assert_eq!(standing(&world), [], "it would outrun the adding");
    assert_eq!(world.ask(1, 3, receipt(&all.cut)), Ok(Done::Receipt));
    assert_eq!(standing(&world)[0].delivered, all.cut);
}
