//! What users may read: only what their membership shows, in limited parts that follow on each other.
//!
//! Each test reads as a device would, and states what must never be shown beside what must.
use crate::rig::{WORLD, World, create, group, message, post, replica, user};
use bytes::Bytes;
use crdt::{Cut, Dot, Sequence};
use region::command::{Command, Done, MembersWish};
use region::item::{ArrivalNumber, Content, Item};
use region::limits::UNREAD_LOOKED_AT_MAX;
use region::read::{self, PageFrom, READ_BYTES_MAX, Standing};
use region::shard::Effect;

fn add(number: u128, added: u64) -> Command {
    Command::ChangeMembers {
        conversation: group(1),
        command: message(number),
        wish: MembersWish::Add(user(added)),
    }
}

fn bodies<'a>(items: impl IntoIterator<Item = &'a Item>) -> Vec<String> {
    let body = |item: &Item| match &item.content {
        Content::Post { body, .. } => String::from_utf8_lossy(body).into_owned(),
        Content::Created { .. } => "(created)".to_owned(),
        Content::Added { user, .. } => format!("(added {})", user.0 & 0xff),
        Content::Left => "(left)".to_owned(),
        _ => "(amended)".to_owned(),
    };
    items.into_iter().map(body).collect()
}

fn page(world: &World, who: u64, from: PageFrom, limit: usize) -> Vec<Item> {
    read::page(&world.regions[0].store, group(1), user(who), from, limit).unwrap().unwrap()
}

fn changes(world: &World, at: usize, who: u64, standing: &Standing, limit: usize) -> read::Changes {
    read::changes(&world.regions[at].store, group(1), user(who), standing, limit).unwrap().unwrap()
}

/// One region, a group of users 1 and 2, and ten messages "1" to "10" by user 1.
fn ten() -> World {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 100, &[1, 2])).unwrap();
    for number in 1..=10 {
        world.ask(0, 1, post(group(1), number, &number.to_string())).unwrap();
    }
    world
}

#[test]
fn pages_follow_on_each_other_both_ways_in_the_display_order() {
    let world = ten();
    let newest = page(&world, 2, PageFrom::Newest, 4);
    assert_eq!(bodies(&newest), ["7", "8", "9", "10"]);
    let before = page(&world, 2, PageFrom::Before(newest[0].hlc, newest[0].dot), 4);
    assert_eq!(bodies(&before), ["3", "4", "5", "6"]);
    let oldest = page(&world, 2, PageFrom::Before(before[0].hlc, before[0].dot), 4);
    assert_eq!(bodies(&oldest), ["1", "2"]);
    let after = page(&world, 2, PageFrom::After(oldest[1].hlc, oldest[1].dot), 5);
    assert_eq!(bodies(&after), ["3", "4", "5", "6", "7"]);
    assert!(page(&world, 2, PageFrom::After(newest[3].hlc, newest[3].dot), 5).is_empty());
}

#[test]
fn who_is_no_member_reads_nothing_and_is_not_told_apart_from_nobody() {
    let mut world = ten();
    let store = |world: &World| world.regions[0].store.clone();
    for (conversation, who) in [(group(1), 3), (group(9), 1)] {
        let view = &store(&world);
        assert_eq!(read::page(view, conversation, user(who), PageFrom::Newest, 5).unwrap(), None);
        assert_eq!(read::changes(view, conversation, user(who), &Standing::default(), 5).unwrap(), None);
        assert_eq!(read::receipts(view, conversation, user(who)).unwrap(), None);
    }
    world
        .ask(
            0,
            2,
            Command::ChangeMembers { conversation: group(1), command: message(50), wish: MembersWish::Leave },
        )
        .unwrap();
    let left = |effect: &Effect| matches!(effect, Effect::Membership { member: false, user, .. } if *user == crate::rig::user(2));
    assert!(world.effects.iter().any(left));
    assert_eq!(read::page(&store(&world), group(1), user(2), PageFrom::Newest, 5).unwrap(), None);
    assert!(read::conversations(&store(&world), WORLD, user(2), 9).unwrap().is_empty());
    assert!(read::memberships(&store(&world), WORLD, user(2), 9).unwrap().is_empty());
}

#[test]
fn an_added_member_is_shown_what_came_after_and_nothing_before() {
    let mut world = ten();
    world.ask(0, 1, add(50, 3)).unwrap();
    assert!(matches!(world.ask(0, 1, add(51, 3)), Ok(Done::Exists { .. })), "nothing is to be done twice");
    world.ask(0, 2, post(group(1), 52, "welcome")).unwrap();
    let given = changes(&world, 0, 3, &Standing::default(), 100);
    assert_eq!(bodies(given.items.iter().map(|(_, item)| item)), ["(added 3)", "welcome"]);
    assert_eq!((given.through, given.end), (ArrivalNumber(13), ArrivalNumber(13)));
    assert_eq!(bodies(&page(&world, 3, PageFrom::Newest, 100)), ["welcome"]);
    let list = read::conversations(&world.regions[0].store, WORLD, user(3), 9).unwrap();
    assert_eq!((list[0].unread, list[0].members.len()), (1, 3), "nothing before the member was added counts");
    // Left and added again: what was said in between stays hidden.
    world
        .ask(
            0,
            3,
            Command::ChangeMembers { conversation: group(1), command: message(53), wish: MembersWish::Leave },
        )
        .unwrap();
    world.ask(0, 1, post(group(1), 54, "behind their back")).unwrap();
    world.ask(0, 1, add(55, 3)).unwrap();
    world.ask(0, 1, post(group(1), 56, "welcome back")).unwrap();
    assert_eq!(bodies(&page(&world, 3, PageFrom::Newest, 100)), ["welcome back"]);
}

#[test]
fn changes_come_in_limited_parts_that_follow_on_each_other() {
    let world = ten();
    let (mut standing, mut given) = (Standing::default(), Vec::new());
    loop {
        let part = changes(&world, 0, 2, &standing, 4);
        assert!(part.items.len() <= 4);
        given.extend(bodies(part.items.iter().map(|(_, item)| item)));
        standing = Standing { after: part.through, cut: part.cut, highest: part.highest };
        if part.through == part.end {
            break;
        }
    }
    assert_eq!(given, ["(created)", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    assert_eq!(standing.cut, Cut::from_iter([Dot { replica: replica(0), sequence: Sequence(11) }]));
    assert!(changes(&world, 0, 2, &standing, 4).items.is_empty());
}

#[test]
fn a_read_ends_after_the_item_that_brings_it_past_its_bytes() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 100, &[1, 2])).unwrap();
    for number in 1..=5 {
        world.ask(0, 1, post(group(1), number, &"x".repeat(65_536))).unwrap();
    }
    let bytes = |items: &[Item]| -> usize { bodies(items).iter().map(String::len).sum() };
    let page = page(&world, 2, PageFrom::Newest, 100);
    assert_eq!((page.len(), bytes(&page)), (2, READ_BYTES_MAX));
    assert_eq!(changes(&world, 0, 2, &Standing::default(), 100).items.len(), 3, "the creation weighs little");
}

#[test]
fn a_creation_weighs_what_its_members_and_its_name_do() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 100, &[1, 2])).unwrap();
    let creation = 2 * 8 + "islands".len();
    for (number, bytes) in [(1, READ_BYTES_MAX / 2), (2, READ_BYTES_MAX / 2 - creation), (3, 1)] {
        world.ask(0, 1, post(group(1), number, &"x".repeat(bytes))).unwrap();
    }
    // These three are as many bytes as are read, to the byte.
    assert_eq!(changes(&world, 0, 2, &Standing::default(), 100).items.len(), 3);
}

/// A message was sent again at another region. Its first copy stands before the reader was added, its second behind.
#[test]
fn a_message_whose_second_copy_is_shown_stands_on_the_page_once() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 100, &[1, 2])).unwrap();
    world.calm();
    world.ask(0, 1, post(group(1), 1, "sent twice")).unwrap();
    world.ask(0, 1, post(group(1), 2, "sent once")).unwrap();
    world.ask(0, 1, add(50, 3)).unwrap();
    world.ask(1, 1, post(group(1), 1, "sent twice")).unwrap();
    world.calm();
    assert_eq!(bodies(&page(&world, 3, PageFrom::Newest, 100)), ["sent twice"]);
    assert_eq!(bodies(&page(&world, 2, PageFrom::Newest, 100)), ["sent twice", "sent once"]);
}

#[test]
fn a_cut_from_another_region_gives_what_it_lacks_and_no_more() {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 100, &[1, 2])).unwrap();
    world.calm();
    for number in 1..=5 {
        world.ask(0, 1, post(group(1), number, &format!("a{number}"))).unwrap();
        world.ask(1, 2, post(group(1), 10 + number, &format!("b{number}"))).unwrap();
    }
    let given = changes(&world, 0, 2, &Standing::default(), 4);
    assert_eq!(bodies(given.items.iter().map(|(_, item)| item)), ["(created)", "a1", "a2", "a3"]);
    world.calm();
    let standing = Standing { after: ArrivalNumber(0), cut: given.cut, highest: given.highest };
    let lacking = changes(&world, 1, 2, &standing, 100);
    let expected = ["b1", "b2", "b3", "b4", "b5", "a4", "a5"];
    assert_eq!(bodies(lacking.items.iter().map(|(_, item)| item)), expected);
    let whole = Standing { after: ArrivalNumber(0), cut: lacking.cut, highest: lacking.highest };
    let nothing = changes(&world, 0, 2, &whole, 100);
    assert!(nothing.items.is_empty() && nothing.through == nothing.end, "{nothing:?}");
}

#[test]
fn conversations_are_listed_by_their_latest_activity_and_unread_counts_end_somewhere() {
    let mut world = World::new(1);
    for number in 1..=3 {
        world.ask(0, 1, create(group(number), 100 + number, &[1, 2])).unwrap();
    }
    let posts = (0..1_200).map(|number| world.command(1, post(group(2), 1_000 + number, "x"))).collect();
    world.step(0, posts);
    world.ask(0, 2, post(group(1), 9, "mine")).unwrap();
    let list = read::conversations(&world.regions[0].store, WORLD, user(2), 9).unwrap();
    let order: Vec<_> = list.iter().map(|summary| (summary.conversation, summary.unread)).collect();
    let most = UNREAD_LOOKED_AT_MAX as u64;
    assert_eq!(order, [(group(1), 0), (group(2), most), (group(3), 0)]);
    assert_eq!(bodies(&list[0].last), ["mine"]);
    assert_eq!(list[2].last, None);
    let short = read::memberships(&world.regions[0].store, WORLD, user(2), 2).unwrap();
    assert_eq!(short.iter().map(|one| one.conversation).collect::<Vec<_>>(), [group(1), group(2)]);
}

#[test]
fn a_direct_conversation_begins_once_whoever_opens_it() {
    let mut world = World::new(2);
    let open =
        |number, peer| Command::OpenDirect { placement: WORLD, command: message(number), peer: user(peer) };
    let begun = world.ask(0, 1, open(1, 2)).unwrap();
    assert!(matches!(begun, Done::Operation { .. }));
    assert_eq!(world.ask(0, 1, open(1, 2)), Ok(begun), "sent twice");
    let conversation = crdt::ConversationId::direct(WORLD, user(2), user(1));
    assert_eq!(world.ask(0, 2, open(2, 1)), Ok(Done::Exists { conversation }));
    world.ask(1, 2, open(3, 1)).unwrap();
    world.calm();
    for region in &world.regions {
        let list = read::conversations(&region.store, WORLD, user(2), 9).unwrap();
        assert_eq!((list.len(), list[0].direct, list[0].members.len()), (1, true, 2));
    }
    let body = Bytes::from_static(b"x");
    let reply_to = None;
    world
        .ask(
            1,
            1,
            Command::Post {
                conversation,
                message: message(9),
                body,
                reply_to,
                sent_at_ms: 0,
                seen: None,
                after: None,
                taken_before: false,
            },
        )
        .unwrap();
}

/// A phone is replaced: its receipt goes once the new one has been given more for 30 days, in every region, also in one where the old phone was in use
/// meanwhile; what it had read stays read, and so does what it reads when it is found in a drawer.
#[test]
fn the_receipt_of_a_dead_device_goes_everywhere_and_what_was_read_on_it_stays_read() {
    const DAY_MS: u64 = 86_400_000;
    let mut world = World::new(2);
    world.greet();
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    for number in 2..12 {
        world.ask(0, 1, post(group(1), number, "hello")).unwrap();
    }
    world.calm();
    let old = changes(&world, 0, 2, &Standing::default(), 4).cut;
    let all = changes(&world, 0, 2, &Standing::default(), 20).cut;
    let confirm = |world: &mut World, region: usize, device: u64, delivered: &Cut, read: &Cut| {
        let (delivered, read) = (Some(delivered.clone()), Some(read.clone()));
        let command = Command::Receipt { conversation: group(1), delivered, read };
        let (ticket, user) = (region::shard::Ticket(2_000 + device), user(2));
        let device = crdt::DeviceId(device);
        world.step(region, vec![region::shard::Input::Command { ticket, user, device, command }]);
    };
    let devices = |world: &World, region: usize| -> Vec<(u64, bool)> {
        let receipts = region::export::receipts(&world.regions[region].store).unwrap().into_iter();
        receipts.filter(|one| one.user == user(2)).map(|one| (one.device.0, one.dead)).collect()
    };
    let unread = |world: &World, region: usize| {
        read::conversations(&world.regions[region].store, WORLD, user(2), 9).unwrap()[0].unread
    };
    let before = unread(&world, 0);
    confirm(&mut world, 0, 1, &old, &old);
    let left = unread(&world, 0);
    assert!(left < before);
    world.calm();
    confirm(&mut world, 0, 2, &all, &Cut::new());
    world.now = world.now.plus_ms(29 * DAY_MS);
    confirm(&mut world, 0, 2, &all, &Cut::new());
    assert_eq!(devices(&world, 0), [(1, false), (2, false)], "it may come back yet");
    world.now = world.now.plus_ms(2 * DAY_MS);
    // Cut off from the others, somebody still uses the old one.
    confirm(&mut world, 1, 1, &all, &old);
    confirm(&mut world, 0, 2, &all, &Cut::new());
    assert_eq!(devices(&world, 0), [(0, false), (1, true), (2, false)]);
    assert_eq!(unread(&world, 0), left, "it stays read");
    world.calm();
    let receipts = region::export::receipts(&world.regions[0].store).unwrap();
    assert_eq!(region::export::receipts(&world.regions[1].store).unwrap(), receipts);
    let told = read::receipts(&world.regions[1].store, group(1), user(1)).unwrap().unwrap();
    let told: Vec<_> = told.iter().filter(|one| one.user == user(2)).map(|one| one.device.0).collect();
    assert_eq!(told, [0, 2], "nobody is told of it any more");
    confirm(&mut world, 1, 1, &all, &all);
    world.calm();
    for region in 0..world.regions.len() {
        assert_eq!((devices(&world, region).len(), unread(&world, region)), (3, 0), "out of a drawer");
    }
}

#[test]
fn a_members_devices_beyond_the_limit_share_a_receipt_and_nothing_read_is_lost() {
    let mut world = ten();
    let given = changes(&world, 0, 2, &Standing::default(), 6);
    for device in 1..=40 {
        let read = (device == 40).then(|| given.cut.clone());
        let command = Command::Receipt { conversation: group(1), delivered: Some(given.cut.clone()), read };
        let (ticket, user) = (region::shard::Ticket(1_000 + device), user(2));
        let device = crdt::DeviceId(device);
        world.step(0, vec![region::shard::Input::Command { ticket, user, device, command }]);
    }
    let receipts = read::receipts(&world.regions[0].store, group(1), user(1)).unwrap().unwrap();
    assert_eq!(receipts.len(), 33);
    assert_eq!((receipts[0].device, &receipts[0].read), (crdt::DeviceId::REST, &given.cut));
    let list = read::conversations(&world.regions[0].store, WORLD, user(2), 9).unwrap();
    assert_eq!(list[0].unread, 5);
}
