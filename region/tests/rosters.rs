//! Groups with admins: who may change what, what crosses, and what whoever is removed is given from then on.
//!
//! What must always hold: regions that have heard the same agree on who is in a group, whatever they have folded; whoever is removed neither reads nor
//! posts where the removal has been applied.
use crate::rig::{WORLD, World, create, group, message, post, replica, start, user};
use crdt::{Kind, UserId};
use region::command::{Command, Done, MembersWish, Refusal};
use region::read::{self, Standing};
use region::shard::{Effect, Input};
use region::{export, verify};

const O: u64 = 1;
const X: u64 = 2;
const Y: u64 = 3;
const M: u64 = 4;
const N: u64 = 5;

/// So many regions that know each other, and a group of O, X, Y and M, of whom O is the admin.
fn world(regions: usize) -> World {
    let mut world = World::new(regions);
    world.greet();
    world.ask(0, O, create(group(1), 1, &[O, X, Y, M])).unwrap();
    world.calm();
    world
}

fn change(world: &mut World, at: usize, by: u64, number: u128, wish: MembersWish) -> Result<Done, Refusal> {
    world.ask(at, by, Command::ChangeMembers { conversation: group(1), command: message(number), wish })
}

fn members(world: &World, at: usize) -> (Vec<u64>, Vec<u64>) {
    let members = export::members(&world.regions[at].store, group(1)).unwrap();
    let numbers = |users: Vec<UserId>| users.into_iter().map(|user| user.0 & 0xff).collect();
    (numbers(members.members().collect()), numbers(members.admins().collect()))
}

/// What every region says once all is calm: the same, as their logs have it.
fn settled(world: &mut World) -> (Vec<u64>, Vec<u64>) {
    world.calm();
    let first = export::partitions(&world.regions[0].store, WORLD).unwrap();
    for (at, region) in world.regions.iter().enumerate() {
        assert_eq!(export::partitions(&region.store, WORLD).unwrap(), first, "region {at}");
        assert_eq!(verify::verify(&region.store, WORLD, 10).unwrap().damaged, [], "region {at}");
        assert_eq!(members(world, at), members(world, 0), "region {at}");
    }
    members(world, 0)
}

#[test]
fn admins_add_remove_promote_and_demote_and_the_others_are_refused_by_name() {
    let mut world = world(1);
    let mut code = |by, wish| change(&mut world, 0, by, 10, wish).unwrap_err().code();
    assert_eq!(code(X, MembersWish::Add(user(N))), "not_an_admin");
    assert_eq!(code(X, MembersWish::Remove(user(M))), "not_an_admin");
    assert_eq!(code(X, MembersWish::Claim), "admins_remain");
    assert_eq!(code(O, MembersWish::Remove(user(N))), "unknown_member");
    assert_eq!(code(N, MembersWish::Add(user(N))), "unknown_conversation");
    let mut done = |number, by, wish| change(&mut world, 0, by, number, wish).unwrap();
    done(11, O, MembersWish::Promote(user(X)));
    done(12, X, MembersWish::Add(user(N)));
    done(13, X, MembersWish::Promote(user(Y)));
    assert!(matches!(done(14, O, MembersWish::Add(user(N))), Done::Exists { .. }));
    assert!(matches!(done(15, O, MembersWish::Demote(user(M))), Done::Exists { .. }));
    done(16, X, MembersWish::Remove(user(M)));
    assert_eq!(change(&mut world, 0, Y, 17, MembersWish::Remove(user(X))).unwrap_err().code(), "not_above");
    assert_eq!(change(&mut world, 0, Y, 17, MembersWish::Demote(user(O))).unwrap_err().code(), "not_above");
    assert_eq!(settled(&mut world), (vec![O, X, Y, N], vec![O, X, Y]));
    change(&mut world, 0, O, 18, MembersWish::Demote(user(X))).unwrap();
    assert_eq!(settled(&mut world), (vec![O, X, Y, N], vec![O, Y]), "whom X promoted before stays");
}

#[test]
fn whoever_is_removed_is_given_nothing_and_posts_nothing_there_until_they_are_added_again() {
    let mut world = world(2);
    world.ask(1, M, post(group(1), 9, "before")).unwrap();
    world.calm();
    let given = read::changes(&world.regions[1].store, group(1), user(M), &Standing::default(), 9);
    let before = Standing { cut: given.unwrap().unwrap().cut, ..Standing::default() };
    change(&mut world, 0, O, 10, MembersWish::Remove(user(M))).unwrap();
    world.ask(0, O, post(group(1), 11, "behind their back")).unwrap();
    // Where it was not heard of yet, they go on: what they post was acknowledged and stays.
    let meanwhile = world.ask(1, M, post(group(1), 12, "meanwhile"));
    let Ok(Done::Operation { dot, .. }) = meanwhile else { panic!("{meanwhile:?}") };
    assert!(world.carry(0, 1));
    let told = |effect: &Effect| matches!(effect, Effect::Membership { member: false, user, .. } if *user == crate::rig::user(M));
    assert!(world.effects.iter().any(told), "their devices are told");
    let later = Standing { cut: [dot].into_iter().collect(), ..Standing::default() };
    for at in 0..2 {
        let store = world.regions[at].store.clone();
        assert_eq!(read::changes(&store, group(1), user(M), &Standing::default(), 9).unwrap(), None);
        let knows_all_given = |standing: &Standing| read::has_all_given(&store, group(1), standing).unwrap();
        assert!(knows_all_given(&before), "they were in, as what they were given shows");
        assert!(!knows_all_given(&Standing::default()), "a stranger was given nothing");
        assert_eq!(
            knows_all_given(&later),
            at == 1,
            "who was given more elsewhere may be in by what is not here yet"
        );
        assert_eq!(read::page(&store, group(1), user(M), read::PageFrom::Newest, 9).unwrap(), None);
        assert_eq!(world.ask(at, M, post(group(1), 13, "too late")).unwrap_err().code(), "not_a_member");
        assert!(world.regions[at].store == store, "a refusal changes nothing");
    }
    assert_eq!(settled(&mut world), (vec![O, X, Y], vec![O]));
    change(&mut world, 1, O, 14, MembersWish::Add(user(M))).unwrap();
    world.ask(1, O, post(group(1), 15, "welcome back")).unwrap();
    world.calm();
    for at in 0..2 {
        let page = read::page(&world.regions[at].store, group(1), user(M), read::PageFrom::Newest, 9);
        assert_eq!(page.unwrap().unwrap().len(), 1, "what was said while they were away stays hidden");
    }
    world.ask(0, M, post(group(1), 16, "thanks")).unwrap();
}

#[test]
fn what_a_demoted_admin_did_at_the_same_time_does_not_survive_and_what_came_before_does() {
    let mut world = world(2);
    change(&mut world, 0, O, 10, MembersWish::Promote(user(X))).unwrap();
    world.calm();
    change(&mut world, 1, X, 11, MembersWish::Add(user(N))).unwrap();
    world.calm();
    change(&mut world, 0, O, 12, MembersWish::Demote(user(X))).unwrap();
    change(&mut world, 1, X, 13, MembersWish::Remove(user(M))).unwrap();
    change(&mut world, 1, X, 14, MembersWish::Add(user(7))).unwrap();
    world.ask(1, X, post(group(1), 15, "I was here")).unwrap();
    assert_eq!(members(&world, 1), (vec![O, X, Y, N, 7], vec![O, X]), "where it was done it stood");
    assert!(world.ask(1, M, post(group(1), 16, "x")).is_err());
    assert!(world.carry(0, 1));
    let came_back = |effect: &Effect| matches!(effect, Effect::Membership { member: true, user, .. } if *user == crate::rig::user(M));
    assert!(world.effects.iter().any(came_back));
    world.ask(1, M, post(group(1), 16, "still here")).unwrap();
    assert_eq!(settled(&mut world), (vec![O, X, Y, M, N], vec![O]));
    let standing = Standing::default();
    let given = read::changes(&world.regions[0].store, group(1), user(Y), &standing, 99).unwrap().unwrap();
    let posts = given.items.iter().filter(|(_, item)| {
        item.sender == user(X) && matches!(item.content, region::item::Content::Post { .. })
    });
    assert_eq!(posts.count(), 1, "what they posted was acknowledged and stays");
}

#[test]
fn admins_who_remove_each_other_are_settled_from_the_top() {
    let mut world = world(3);
    change(&mut world, 0, O, 10, MembersWish::Promote(user(X))).unwrap();
    change(&mut world, 0, X, 11, MembersWish::Promote(user(Y))).unwrap();
    world.calm();
    change(&mut world, 0, O, 12, MembersWish::Demote(user(X))).unwrap();
    change(&mut world, 1, X, 13, MembersWish::Demote(user(Y))).unwrap();
    change(&mut world, 2, Y, 14, MembersWish::Remove(user(M))).unwrap();
    assert_eq!(settled(&mut world), (vec![O, X, Y], vec![O, Y]), "X's is void, so Y's stands");
}

#[test]
fn when_the_last_admin_has_left_the_most_senior_member_claims_the_place() {
    let mut world = world(2);
    change(&mut world, 0, O, 10, MembersWish::Leave).unwrap();
    world.calm();
    assert_eq!(change(&mut world, 1, Y, 11, MembersWish::Claim).unwrap_err().code(), "not_most_senior");
    change(&mut world, 1, X, 12, MembersWish::Claim).unwrap();
    change(&mut world, 1, X, 13, MembersWish::Add(user(N))).unwrap();
    assert_eq!(settled(&mut world), (vec![X, Y, M, N], vec![X]));
}

#[test]
fn a_kind_is_issued_only_once_every_region_has_said_that_it_knows_it() {
    let mut world = World::new(2);
    world.ask(0, O, create(group(1), 1, &[O, X])).unwrap();
    for (at, number) in [(10, MembersWish::Remove(user(X))), (11, MembersWish::Promote(user(X)))] {
        let refused = change(&mut world, 0, O, at, number).unwrap_err();
        assert_eq!(refused.code(), "not_known_everywhere");
    }
    let some =
        crate::rig::kinds().into_iter().filter(|kind| *kind != u32::from(Kind::Remove.code())).collect();
    world.step(0, vec![Input::PeerStarted { peer: replica(1), start: start(1), kinds: some }]);
    assert_eq!(
        change(&mut world, 0, O, 12, MembersWish::Remove(user(X))).unwrap_err().code(),
        "not_known_everywhere"
    );
    change(&mut world, 0, O, 13, MembersWish::Promote(user(X))).unwrap();
    change(&mut world, 0, O, 14, MembersWish::Add(user(Y))).unwrap();
    world.greet();
    change(&mut world, 0, O, 15, MembersWish::Remove(user(Y))).unwrap();
    assert_eq!(settled(&mut world), (vec![O, X], vec![O, X]));
}

#[test]
fn a_group_that_changes_all_the_time_is_folded_and_its_record_stays_small() {
    let mut world = world(3);
    let mut bytes = Vec::new();
    for number in 0..60_u128 {
        let at = (number % 3) as usize;
        let wish = if number % 2 == 0 { MembersWish::Add(user(N)) } else { MembersWish::Remove(user(N)) };
        change(&mut world, at, O, 100 + number, wish).unwrap();
        world.calm();
        bytes.push(export::members(&world.regions[0].store, group(1)).unwrap().encode().len());
    }
    let (early, late) = (bytes[10].max(bytes[11]), bytes[58].max(bytes[59]));
    assert!(late <= early + 8, "{early} and {late}");
    assert_eq!(settled(&mut world), (vec![O, X, Y, M], vec![O]));
}

#[test]
fn a_group_that_changes_while_a_region_is_away_is_refused_at_a_limit_and_may_be_left() {
    let mut world = world(2);
    world.regions[0].config.limits.unfolded_changes_max = 4;
    world.reopen(0);
    for number in 0..4 {
        let wish = if number % 2 == 0 { MembersWish::Add(user(N)) } else { MembersWish::Remove(user(N)) };
        change(&mut world, 0, O, 10 + number, wish).unwrap();
    }
    let refused = change(&mut world, 0, O, 20, MembersWish::Add(user(N))).unwrap_err();
    assert_eq!(refused.code(), "too_many_changes");
    change(&mut world, 0, M, 21, MembersWish::Leave).unwrap();
    world.calm();
    change(&mut world, 0, O, 22, MembersWish::Add(user(N))).unwrap();
    assert_eq!(settled(&mut world), (vec![O, X, Y, N], vec![O]));
}
