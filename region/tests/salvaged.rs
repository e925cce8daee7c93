//! What the store of a closed replica alone held comes back under other dots: with its author, its id and its time, once, whoever brings it back and however often.
//!
//! What must always hold: regions that exchanged everything hold the same afterwards and every store is sound; nothing that another region has is issued again; no right is given twice.

use crate::following_epochs::actives;
use crate::rig::{WORLD, World, create, group, message, post, replica, user};
use bytes::Bytes;
use crdt::{Cut, Identity, PartitionId, ReplicaId};
use documents::Edit;
use region::command::{Command, DocumentWish, Done, MembersWish, Wish};
use region::item::Content;
use region::operate::{Act, NotOperated, Operated};
use region::read::{self, PageFrom};
use region::salvage::{Chained, Salvage, Salvaged, WhyLeft};
use region::shard::{Effect, Input, Ticket};
use region::store::MemoryStore;
use region::{export, verify};
use replication::log::Position;
use std::collections::BTreeMap;

const O: u64 = 1;
const X: u64 = 2;
const Y: u64 = 3;

/// Three regions and a group that O began with X, known everywhere.
fn world() -> World {
    let mut world = World::new(3);
    world.greet();
    world.ask(0, O, create(group(1), 1, &[O, X])).unwrap();
    world.ask(0, O, post(group(1), 2, "known to all")).unwrap();
    world.calm();
    world
}

/// The first region is lost, and the others follow the epoch that closes it.
fn lose_the_first(world: &mut World) -> MemoryStore {
    let disk = world.regions[0].store.clone();
    let without = world.next_epoch(1, &actives(&[1, 2]));
    world.tell_epoch(1, &without);
    world.tell_epoch(2, &without);
    exchange(world);
    disk
}

/// The two that are left exchange everything, and time passes, until they are at rest.
fn exchange(world: &mut World) {
    for _ in 0..6 {
        world.carry(1, 2);
        world.carry(2, 1);
        world.now = world.now.plus_ms(1_100);
        world.step(1, vec![Input::Tick]);
        world.step(2, vec![Input::Tick]);
    }
}

/// Everything that a store's log holds, in its order.
fn log_of(disk: &MemoryStore) -> Vec<(PartitionId, Vec<Chained>)> {
    let mut all = Vec::new();
    for partition in region::salvage::partitions(disk, WORLD).unwrap() {
        let mut at = Position(0);
        loop {
            let (commits, end) = region::salvage::part(disk, partition, at).unwrap();
            if commits.is_empty() {
                break;
            }
            all.push((partition, commits));
            at = end;
        }
    }
    all
}

fn ask(world: &mut World, at: usize, act: Salvage) -> Result<Salvaged, NotOperated> {
    world.step(at, vec![Input::Operate { ticket: Ticket(1_000), act: Act::Salvage(act) }]);
    let result = world.effects.iter().find_map(|effect| match effect {
        Effect::Operated { result, .. } => Some(result.clone()),
        _ => None,
    });
    match result.expect("an operator is answered in the step") {
        Ok(Operated::Salvaged(salvaged)) => Ok(salvaged),
        Ok(other) => panic!("{other:?}"),
        Err(refused) => Err(refused),
    }
}

/// Gives all of that disk to a region.
fn salvage(world: &mut World, at: usize, disk: &MemoryStore) -> Salvaged {
    let mut all = Salvaged::default();
    for (partition, commits) in log_of(disk) {
        all.add(
            ask(world, at, Salvage { of: replica(0), partition, commits, left: BTreeMap::new() }).unwrap(),
        );
    }
    all
}

/// What the two that are left show O, from the oldest message on: the same in both, and both are sound.
fn shown(world: &mut World) -> Vec<String> {
    exchange(world);
    let partitions = |at: usize| export::partitions(&world.regions[at].store, WORLD).unwrap();
    assert_eq!(partitions(1), partitions(2));
    for at in 1..3 {
        let verified = verify::verify(&world.regions[at].store, WORLD, 10).unwrap();
        assert_eq!(verified.damaged, [], "region {at}");
    }
    let page =
        read::page(&world.regions[1].store, group(1), user(O), PageFrom::Newest, 100).unwrap().unwrap();
    let posts = page.into_iter().filter_map(|item| match item.content {
        Content::Post { body, became, .. } => {
            let reactions: Vec<String> = became
                .reactions
                .iter()
                .map(|reaction| format!(" {}{}", reaction.emoji, reaction.count))
                .collect();
            let body = String::from_utf8(body.to_vec()).unwrap();
            Some(if became.deleted { "(deleted)".to_owned() } else { body + &reactions.concat() })
        }
        _ => None,
    });
    posts.collect()
}

fn amend(number: u128, of: (u64, u128), wish: Wish) -> Command {
    let target = Identity { sender: user(of.0), message: message(of.1) };
    Command::Amend { conversation: group(1), command: message(number), target, wish, seen: None }
}

fn edit(body: &'static str) -> Wish {
    Wish::Edit(Bytes::from_static(body.as_bytes()))
}

fn members(number: u128, wish: MembersWish) -> Command {
    Command::ChangeMembers { conversation: group(1), command: message(number), wish }
}

fn named(salvaged: &Salvaged) -> Vec<(u128, &'static str)> {
    let random = |number: u128| number & ((1 << 62) - 1);
    salvaged.left.iter().map(|left| (random(left.identity.message.0), left.why.code())).collect()
}

#[test]
fn what_only_the_lost_disk_held_comes_back_where_it_stood_and_once() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "alone")).unwrap();
    world.ask(0, O, amend(11, (O, 2), edit("overtaken"))).unwrap();
    world.ask(0, X, amend(12, (O, 2), Wish::React("👍".parse().unwrap()))).unwrap();
    world.ask(0, O, amend(13, (X, 10), Wish::React("🌊".parse().unwrap()))).unwrap();
    world.ask(0, X, post(group(1), 14, "regretted")).unwrap();
    world.ask(0, X, amend(15, (X, 14), Wish::Delete)).unwrap();
    let disk = lose_the_first(&mut world);
    world.now = world.now.plus_ms(60_000);
    world.ask(1, O, post(group(1), 20, "later")).unwrap();
    world.ask(2, O, amend(21, (O, 2), edit("newest"))).unwrap();
    assert_eq!(shown(&mut world), ["newest", "later"]);

    let salvaged = salvage(&mut world, 1, &disk);
    assert_eq!((salvaged.had, salvaged.brought_back, salvaged.asked_again), (2, 6, 0), "{salvaged:?}");
    assert_eq!(salvaged.left, []);
    assert_eq!(shown(&mut world), ["newest 👍1", "alone 🌊1", "(deleted)", "later"]);

    for at in [1, 2] {
        let again = salvage(&mut world, at, &disk);
        assert_eq!((again.had, again.stable, again.brought_back), (8, 8, 0), "the disk may go");
    }
    assert_eq!(shown(&mut world).len(), 4);
}

#[test]
fn what_two_regions_bring_back_at_once_is_one_message() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "alone")).unwrap();
    world.ask(0, X, amend(11, (O, 2), Wish::React("👍".parse().unwrap()))).unwrap();
    let disk = lose_the_first(&mut world);
    // The author's outbox lived, and sent it again to one of them.
    world.ask(2, X, post(group(1), 10, "alone")).unwrap();
    assert_eq!(salvage(&mut world, 1, &disk).brought_back, 2);
    let other = salvage(&mut world, 2, &disk);
    // What the outbox had sent stands there where it stood, too.
    assert_eq!((other.had, other.brought_back), (2, 2));
    assert_eq!(shown(&mut world), ["known to all 👍1", "alone"]);
    assert_eq!(salvage(&mut world, 1, &disk).stable, 4);
}

/// One of an author's messages was sent again by their outbox, the other one came back from the disk alone: they stand in the order in which they were said.
#[test]
fn what_was_sent_again_stands_before_what_its_author_said_behind_it() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "first")).unwrap();
    world.ask(0, X, post(group(1), 11, "second")).unwrap();
    world.ask(0, X, amend(12, (X, 10), edit("the first edit"))).unwrap();
    world.ask(0, X, amend(13, (X, 10), edit("the last edit"))).unwrap();
    let disk = lose_the_first(&mut world);
    world.now = world.now.plus_ms(60_000);
    world.ask(1, X, post(group(1), 10, "first")).unwrap();
    world.ask(1, X, amend(12, (X, 10), edit("the first edit"))).unwrap();
    // Its author's device is gone with the rest.
    assert_eq!(salvage(&mut world, 1, &disk).brought_back, 4);
    assert_eq!(shown(&mut world), ["known to all", "the last edit", "second"]);
    assert_eq!(salvage(&mut world, 2, &disk).brought_back, 0, "the disk may go");
}

/// History 7: what is brought back of a replica's own alone arrives without its cause, which that had from another one whose disk is gone.
#[test]
fn what_the_lost_one_had_of_another_lost_one_comes_back_before_what_was_said_to_it() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "a question")).unwrap();
    world.carry(0, 2);
    world.ask(2, O, post(group(1), 11, "its answer")).unwrap();
    let disk = world.regions[2].store.clone();
    let alone = world.next_epoch(1, &actives(&[1]));
    world.tell_epoch(1, &alone);
    world.now = world.now.plus_ms(1_100);
    world.step(1, vec![Input::Tick]);
    for (partition, commits) in log_of(&disk) {
        ask(&mut world, 1, Salvage { of: replica(2), partition, commits, left: BTreeMap::new() }).unwrap();
    }
    let given = read::changes(&world.regions[1].store, group(1), user(O), &read::Standing::default(), 9);
    let said = given.unwrap().unwrap().items.into_iter().map(|(_, item)| item.message);
    let said: Vec<_> = said.filter(|said| [message(10), message(11)].contains(said)).collect();
    assert_eq!(said, [message(10), message(11)]);
}

/// History 8: the region that brought it back is closed before anybody has heard of it. The disk was kept, so another one brings it back; and what both issued is one message.
#[test]
fn a_disk_is_given_to_another_region_when_the_first_is_lost_with_what_it_brought_back() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "alone")).unwrap();
    let disk = lose_the_first(&mut world);
    assert_eq!(salvage(&mut world, 1, &disk).brought_back, 1);
    let second = world.regions[1].store.clone();
    let alone = world.next_epoch(2, &actives(&[2]));
    world.tell_epoch(2, &alone);
    world.now = world.now.plus_ms(1_100);
    world.step(2, vec![Input::Tick]);
    assert_eq!(salvage(&mut world, 2, &disk).brought_back, 1);
    for (partition, commits) in log_of(&second) {
        let act = Salvage { of: replica(1), partition, commits, left: BTreeMap::new() };
        assert_eq!(ask(&mut world, 2, act).unwrap().brought_back, 0);
    }
    world.now = world.now.plus_ms(1_100);
    world.step(2, vec![Input::Tick]);
    let again = salvage(&mut world, 2, &disk);
    assert_eq!((again.had, again.stable), (3, 3), "the disk may go");
}

#[test]
fn who_is_in_a_group_is_asked_again_and_what_is_not_allowed_any_more_is_named() {
    let mut world = world();
    world.ask(0, O, members(10, MembersWish::Add(user(Y)))).unwrap();
    world.ask(0, Y, post(group(1), 11, "hello")).unwrap();
    world.ask(0, X, members(12, MembersWish::Leave)).unwrap();
    world.ask(0, O, create(group(9), 13, &[O, Y])).unwrap();
    world.ask(0, Y, post(group(9), 14, "a group that nobody else has heard of")).unwrap();
    world.ask(0, O, members(15, MembersWish::Promote(user(Y)))).unwrap();
    let disk = lose_the_first(&mut world);
    // Meanwhile, and long after any outbox would have been refused.
    world.now = world.now.plus_ms(40 * 86_400_000);
    let salvaged = salvage(&mut world, 1, &disk);
    assert_eq!((salvaged.brought_back, salvaged.asked_again), (2, 4), "{salvaged:?}");
    assert_eq!(named(&salvaged), []);
    assert_eq!(shown(&mut world), ["known to all", "hello"]);
    let of = |world: &World, at: usize| {
        let members = export::members(&world.regions[at].store, group(1)).unwrap();
        let users: Vec<u64> = members.members().map(|user| user.0 & 0xff).collect();
        users
    };
    assert_eq!((of(&world, 1), of(&world, 2)), (vec![O, Y], vec![O, Y]));
    let page = read::page(&world.regions[2].store, group(9), user(Y), PageFrom::Newest, 9).unwrap().unwrap();
    assert!(page.iter().any(|item| item.message == message(14)), "{page:?}");
    assert_eq!(salvage(&mut world, 2, &disk).left, []);
}

#[test]
fn what_the_roster_does_not_allow_any_more_is_named_and_the_rest_comes_back() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "before")).unwrap();
    world.ask(0, O, members(11, MembersWish::Promote(user(X)))).unwrap();
    world.ask(0, X, members(12, MembersWish::Add(user(Y)))).unwrap();
    let disk = lose_the_first(&mut world);
    world.ask(1, O, members(20, MembersWish::Remove(user(X)))).unwrap();
    let salvaged = salvage(&mut world, 1, &disk);
    assert_eq!(salvaged.brought_back, 1, "they were in when they said it");
    assert_eq!(named(&salvaged), [(11, "unknown_member"), (12, "not_a_member")]);
    assert_eq!(shown(&mut world), ["known to all", "before"]);
}

/// Nobody is shown an answer as if there had been no question: what is not brought back is named by what was written behind it.
#[test]
fn what_was_written_behind_what_stays_on_the_disk_says_that_more_was_seen() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "before")).unwrap();
    let wish = DocumentWish::Edit(vec![Edit::Describe("atolls".to_owned())]);
    let change = Command::ChangeDocument { conversation: group(1), command: message(11), wish };
    let Ok(Done::Operation { dot, .. }) = world.ask(0, O, change) else { panic!("it is an operation") };
    world.ask(0, X, post(group(1), 12, "behind")).unwrap();
    let disk = lose_the_first(&mut world);
    let seen = |world: &World, number: u128| {
        let page =
            read::page(&world.regions[1].store, group(1), user(O), PageFrom::Newest, 9).unwrap().unwrap();
        let item = page.into_iter().find(|item| item.message == message(number)).unwrap();
        match item.content {
            Content::Post { seen, .. } => seen,
            _ => panic!("a post"),
        }
    };
    let mut left = BTreeMap::new();
    for (partition, commits) in log_of(&disk) {
        // One by one: what was left before is given along.
        for commit in commits {
            let act =
                Salvage { of: replica(0), partition, commits: vec![commit], left: std::mem::take(&mut left) };
            let given = act.left.clone();
            let salvaged = ask(&mut world, 1, act).unwrap();
            left = given;
            for of in salvaged.left {
                left.entry(of.conversation).or_insert_with(Cut::new).raise(of.dot);
            }
        }
    }
    assert_eq!(seen(&world, 10), None);
    assert_eq!(seen(&world, 12), Some([dot].into_iter().collect()));
}

#[test]
fn an_act_that_cannot_be_done_is_refused_by_name_and_changes_nothing() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "alone")).unwrap();
    let disk = world.regions[0].store.clone();
    let log = log_of(&disk);
    let (partition, commits) = log.iter().find(|(of, _)| *of == group(1).partition()).unwrap().clone();
    let act = |of: ReplicaId, commits: &[Chained]| Salvage {
        of,
        partition,
        commits: commits.to_vec(),
        left: BTreeMap::new(),
    };
    let refused = |world: &mut World, act: Salvage| {
        let held = |world: &World| export::partitions(&world.regions[1].store, WORLD).unwrap();
        let before = held(world);
        let code = ask(world, 1, act).unwrap_err().code();
        assert_eq!(held(world), before, "{code}: nothing changed");
        code
    };
    assert_eq!(refused(&mut world, act(replica(0), &commits)), "not_closed");
    let without = world.next_epoch(1, &actives(&[1, 2]));
    world.tell_epoch(1, &without);
    assert_eq!(refused(&mut world, act(replica(0), &commits)), "epoch_not_everywhere");
    world.tell_epoch(2, &without);
    exchange(&mut world);
    // What its origin did not sign: another author, another head, another place in the chain.
    let mut forged = commits.clone();
    let last = forged.last_mut().unwrap();
    last.commit.operations[0].envelope = commits[0].commit.operations[0].envelope.clone();
    assert_eq!(refused(&mut world, act(replica(0), &forged)), "not_signed");
    let mut forged = commits.clone();
    forged.last_mut().unwrap().before = commits[0].before;
    assert_eq!(refused(&mut world, act(replica(0), &forged)), "not_signed");
    let mut forged = commits.clone();
    forged.last_mut().unwrap().commit.first.0 += 1;
    assert_eq!(refused(&mut world, act(replica(0), &forged)), "not_signed");
    let mut other = commits.clone();
    let payload = commits[0].commit.operations[0].payload.clone();
    other.last_mut().unwrap().commit.operations[0].payload = payload;
    assert_eq!(refused(&mut world, act(replica(0), &other)), "malformed_operation");
    let many = vec![commits[0].clone(); region::limits::SALVAGED_A_STEP_MAX + 1];
    assert_eq!(refused(&mut world, act(replica(0), &many)), "too_many_at_once");
    let elsewhere = Salvage { partition: group(2).partition(), ..act(replica(0), &commits) };
    assert_eq!(refused(&mut world, elsewhere), "other_partition");
    assert_eq!(ask(&mut world, 1, act(replica(0), &commits)).unwrap().brought_back, 1);
}

#[test]
fn nothing_of_an_erased_user_and_no_document_change_is_brought_back() {
    let mut world = world();
    world.ask(0, X, post(group(1), 10, "alone")).unwrap();
    let wish = DocumentWish::Edit(vec![Edit::Describe("atolls".to_owned())]);
    world.ask(0, O, Command::ChangeDocument { conversation: group(1), command: message(11), wish }).unwrap();
    let disk = lose_the_first(&mut world);
    world.step(1, vec![Input::Operate { ticket: Ticket(7), act: Act::Erase { user: user(X) } }]);
    let salvaged = salvage(&mut world, 1, &disk);
    assert_eq!(named(&salvaged), [(10, "user_erased"), (11, "document_change")]);
    assert!(matches!(salvaged.left[0].why, WhyLeft::Erased(who) if who == user(X)));
    assert_eq!(shown(&mut world), ["known to all"]);
}
