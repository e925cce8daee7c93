//! The limit of a group over regions: rights to a place are spent, moved and returned, and there are never more members than the limit.
//!
//! What must always hold, and is asserted after every step of the random histories below: no region ever has more members than the limit; once all is
//! calm every right is a member's or held by somebody, at every region alike.
use crate::rig::{START, WORLD, World, create, group, key, message, replica, user};
use crdt::escrow::Count;
use crdt::group::{RightsAct, RightsChange};
use crdt::operation::{Body, Draft};
use crdt::roster::{Action, Change};
use crdt::{ChainHead, Cut, Dot, MessageId, RegionId, Sequence, Timestamp, UserId};
use proptest::prelude::*;
use region::command::{Begun, Command, Done, MembersWish, Refusal};
use region::limits::RIGHTS_PATIENCE_MS;
use region::shard::{Effect, Input};
use region::{export, verify};
use replication::commit::{Commit, OperationBytes};
use replication::log::LogView as _;
use replication::signature::Ed25519;

const O: u64 = 1;
const X: u64 = 2;
const Y: u64 = 3;
const M: u64 = 4;
const N: u64 = 5;

/// So many regions that know each other, whose groups have that limit, and a group of these members, begun in the first by O.
fn world(regions: usize, limit: usize, members: &[u64]) -> World {
    let mut world = World::new(regions);
    for at in 0..regions {
        world.regions[at].config.limits.members_max = limit;
        world.reopen(at);
    }
    world.greet();
    world.ask(0, O, create(group(1), 1, members)).unwrap();
    world.calm();
    world
}

fn change(world: &mut World, at: usize, by: u64, number: u128, wish: MembersWish) -> Result<Done, Refusal> {
    world.ask(at, by, Command::ChangeMembers { conversation: group(1), command: message(number), wish })
}

fn code(world: &mut World, at: usize, by: u64, number: u128, wish: MembersWish) -> &'static str {
    change(world, at, by, number, wish).unwrap_err().code()
}

fn members(world: &World, at: usize) -> Vec<u64> {
    let members = export::members(&world.regions[at].store, group(1)).unwrap();
    members.members().map(|user| user.0 & 0xff).collect()
}

fn held(world: &World, at: usize) -> Vec<u64> {
    let members = export::members(&world.regions[at].store, group(1)).unwrap();
    (0..world.regions.len()).map(|of| members.group().held(replica(of)).0).collect()
}

/// The members once all is calm, and the rights that each region holds: the same at every region, and together the limit.
fn settled(world: &mut World, limit: usize) -> (Vec<u64>, Vec<u64>) {
    world.calm();
    let first = export::partitions(&world.regions[0].store, WORLD).unwrap();
    for (at, region) in world.regions.iter().enumerate() {
        assert_eq!(export::partitions(&region.store, WORLD).unwrap(), first, "region {at}");
        assert_eq!(verify::verify(&region.store, WORLD, 10).unwrap().damaged, [], "region {at}");
        assert_eq!(held(world, at), held(world, 0), "region {at}");
        let group = export::members(&region.store, group(1)).unwrap();
        assert!(group.is_settled(), "region {at}: what is spent holds a place");
    }
    let (members, held) = (members(world, 0), held(world, 0));
    assert_eq!(members.len() + usize::try_from(held.iter().sum::<u64>()).unwrap(), limit);
    (members, held)
}

#[test]
fn a_creation_shares_the_rights_out_and_half_are_its_regions() {
    let mut world = world(3, 1_024, &[O, X]);
    assert_eq!(held(&world, 0), [511, 256, 255]);
    change(&mut world, 1, O, 10, MembersWish::Add(user(M))).unwrap();
    assert_eq!(settled(&mut world, 1_024), (vec![O, X, M], vec![511, 255, 255]));
}

#[test]
fn a_group_is_full_at_its_limit_and_whoever_has_no_right_is_told_who_has() {
    let mut world = world(3, 3, &[O]);
    assert_eq!(held(&world, 0), [1, 1, 0]);
    let refused = change(&mut world, 2, O, 10, MembersWish::Add(user(X))).unwrap_err();
    assert_eq!(refused.code(), "no_rights_left");
    assert!(refused.to_string().contains("r1.000000000000000a has"), "{refused}");
    change(&mut world, 0, O, 11, MembersWish::Add(user(X))).unwrap();
    // Here nobody is known to have one, though the group is not full.
    change(&mut world, 1, O, 12, MembersWish::Add(user(Y))).unwrap();
    assert_eq!(code(&mut world, 0, O, 13, MembersWish::Add(user(Y))), "no_rights_left");
    world.calm();
    for at in 0..3 {
        assert_eq!(code(&mut world, at, O, 14, MembersWish::Add(user(N))), "too_many_members");
    }
    assert_eq!(settled(&mut world, 3), (vec![O, X, Y], vec![0, 0, 0]));
}

/// The sum of the limits of two regions that each count for themselves would be four.
#[test]
fn two_regions_that_add_at_once_do_not_exceed_the_limit() {
    let mut world = world(2, 2, &[O]);
    change(&mut world, 0, O, 10, MembersWish::Add(user(X))).unwrap();
    assert_eq!(code(&mut world, 1, O, 11, MembersWish::Add(user(Y))), "no_rights_left");
    assert_eq!(settled(&mut world, 2), (vec![O, X], vec![0, 0]));
}

/// History 30, over regions.
#[test]
fn a_full_group_of_limit_3_a_removal_at_b_the_right_used_at_a_and_the_remover_demoted_concurrently_at_d() {
    let (a, b, d) = (0, 1, 3);
    let mut world = world(4, 3, &[O, Y]);
    change(&mut world, a, O, 10, MembersWish::Promote(user(Y))).unwrap();
    change(&mut world, a, O, 11, MembersWish::Add(user(X))).unwrap();
    world.calm();
    change(&mut world, b, Y, 12, MembersWish::Remove(user(X))).unwrap();
    change(&mut world, d, O, 13, MembersWish::Demote(user(Y))).unwrap();
    for _ in 0..9 {
        for (from, to) in [(a, b), (b, a), (2, a), (a, 2), (2, b), (b, 2)] {
            world.carry(from, to);
            world.now = world.now.plus_ms(1_100);
        }
    }
    for at in [a, b] {
        assert_eq!(members(&world, at), [O, Y]);
        assert_eq!(code(&mut world, at, O, 14, MembersWish::Add(user(M))), "no_rights_left", "region {at}");
    }
    assert_eq!(settled(&mut world, 3), (vec![O, X, Y], vec![0, 0, 0, 0]), "the removal was void");
    assert_eq!(code(&mut world, a, O, 15, MembersWish::Add(user(M))), "too_many_members");
    // And once nothing is concurrent with it, a removal makes a place, for whoever spent the right.
    change(&mut world, b, O, 16, MembersWish::Remove(user(X))).unwrap();
    assert_eq!(settled(&mut world, 3), (vec![O, Y], vec![1, 0, 0, 0]));
    change(&mut world, a, O, 17, MembersWish::Add(user(M))).unwrap();
    assert_eq!(settled(&mut world, 3), (vec![O, Y, M], vec![0, 0, 0, 0]));
}

#[test]
fn an_admin_promoted_at_a_and_demoted_at_b_by_one_whom_the_creator_demotes_at_c_with_adds_by_each() {
    let mut world = world(3, 12, &[O, X, Y]);
    change(&mut world, 0, O, 10, MembersWish::Promote(user(X))).unwrap();
    world.calm();
    // At A, X makes Y an admin; everybody hears of it.
    change(&mut world, 0, X, 11, MembersWish::Promote(user(Y))).unwrap();
    world.calm();
    change(&mut world, 1, X, 12, MembersWish::Demote(user(Y))).unwrap();
    change(&mut world, 1, X, 13, MembersWish::Add(user(M))).unwrap();
    change(&mut world, 2, O, 14, MembersWish::Demote(user(X))).unwrap();
    change(&mut world, 2, O, 15, MembersWish::Add(user(N))).unwrap();
    change(&mut world, 0, Y, 16, MembersWish::Add(user(6))).unwrap();
    let (members, _) = settled(&mut world, 12);
    assert_eq!(
        members,
        [O, X, Y, N, 6],
        "X's add is void, and its right is back; Y's stands, as Y is an admin"
    );
}

#[test]
fn rights_move_to_where_they_are_few_before_there_are_none() {
    let mut world = world(3, 41, &[O]);
    assert_eq!(held(&world, 0), [20, 10, 10]);
    for number in 0..30 {
        change(&mut world, 1, O, 10 + number, MembersWish::Add(user(100 + number as u64))).unwrap();
        world.calm();
    }
    let (members, held) = settled(&mut world, 41);
    assert_eq!(members.len(), 31);
    assert!(held.iter().all(|held| *held > 0), "{held:?}");
}

#[test]
fn when_the_richest_is_cut_off_the_next_one_gives_after_a_while() {
    let mut world = world(3, 41, &[O]);
    let both = |world: &mut World| {
        for (from, to) in [(1, 2), (2, 1)] {
            world.carry(from, to);
        }
    };
    for number in 0..9 {
        change(&mut world, 1, O, 10 + number, MembersWish::Add(user(100 + number as u64))).unwrap();
        both(&mut world);
    }
    assert_eq!(held(&world, 2), [20, 1, 10], "the first is richer, and would give");
    let tick = world.step(2, vec![Input::Tick]).next_tick.expect("its turn comes");
    world.now = tick;
    world.step(2, vec![Input::Tick]);
    both(&mut world);
    let due = world.step(2, vec![Input::Tick]).next_tick.expect("its turn comes");
    assert!(due <= world.now.plus_ms(RIGHTS_PATIENCE_MS), "{due:?}");
    // A crash does not make it wait anew.
    world.reopen(2);
    world.now = due;
    world.step(2, vec![Input::Tick]);
    both(&mut world);
    assert_eq!(held(&world, 1), [20, 5, 6]);
    settled(&mut world, 41);
}

#[test]
fn a_place_comes_back_though_its_region_crashed_and_nothing_else_happened() {
    let mut world = world(2, 3, &[O]);
    change(&mut world, 0, O, 10, MembersWish::Add(user(X))).unwrap();
    world.calm();
    change(&mut world, 1, O, 11, MembersWish::Remove(user(X))).unwrap();
    world.carry(1, 0);
    world.reopen(0);
    world.reopen(1);
    let (members, held) = settled(&mut world, 3);
    assert_eq!(members, [O]);
    assert_eq!(held.iter().sum::<u64>(), 2);
}

#[test]
fn a_creation_sent_again_to_another_region_is_one_creation_and_what_either_added_stands() {
    let mut world = World::new(2);
    world.greet();
    let begin = || {
        let (members, name) = (vec![user(X)], "islands".to_owned());
        let begun = Some(Begun { region: RegionId(1), epoch: None });
        Command::CreateGroup { conversation: group(1), command: message(1), members, name, begun }
    };
    world.ask(0, O, begin()).unwrap();
    world.ask(1, O, begin()).unwrap();
    change(&mut world, 0, O, 10, MembersWish::Add(user(M))).unwrap();
    change(&mut world, 1, O, 11, MembersWish::Add(user(N))).unwrap();
    assert_eq!(settled(&mut world, 1_024), (vec![O, X, M, N], vec![510, 510]));
}

/// What the region of that number would issue if it lied: an operation on the group, as the next of its chain.
fn forged(world: &World, body: Body, sender: UserId) -> Input {
    let partition = group(1).partition();
    let state = world.log(1).state(partition).unwrap();
    let sequence = state.applied.get(replica(1)).next();
    let hlc = Timestamp::from_ms(START.ms() + 1_000_000);
    let draft = Draft { conversation: group(1), hlc, sender, message: MessageId(7), body };
    let (envelope, payload) = draft.seal([1; 16]);
    let operations = vec![OperationBytes { envelope, payload: Some(payload) }];
    let before = ChainHead::genesis(partition, replica(1));
    assert_eq!(sequence, Sequence(1), "it has issued nothing");
    let commit = Commit::sign(partition, replica(1), sequence, operations, before, (&Ed25519, &key(1)));
    Input::Entries { peer: replica(1), partition, commits: vec![commit], cursor: None }
}

fn seen(world: &World) -> (Cut, Dot) {
    let creation = Dot { replica: replica(0), sequence: Sequence(1) };
    (world.log(1).state(group(1).partition()).unwrap().applied, creation)
}

#[test]
fn an_add_and_a_transfer_that_a_peer_has_no_right_for_do_nothing_and_are_told() {
    let world = world(2, 3, &[O, X]);
    assert_eq!(held(&world, 0), [1, 0]);
    let (cut, creation) = seen(&world);
    let add =
        Body::Change(Change { cut: cut.clone(), action: Action::Add { user: user(N), under: creation } });
    let act = RightsAct::Transfer { to: replica(1), rights: Count(1) };
    let give = Body::Rights(RightsChange { cut, creation, act });
    for (body, sender) in [(add, user(O)), (give, UserId(0))] {
        let mut world = self::world(2, 3, &[O, X]);
        let input = forged(&world, body, sender);
        world.step(0, vec![input]);
        let told = |effect: &Effect| matches!(effect, Effect::NoRight { .. });
        assert_eq!(world.effects.iter().filter(|effect| told(effect)).count(), 1);
        let pin = |effect: &Effect| matches!(effect, Effect::PinBroken { .. });
        assert!(!world.effects.iter().any(pin), "nobody has no pin");
        assert_eq!((members(&world, 0), held(&world, 0)), (vec![O, X], vec![1, 0]));
        assert_eq!(verify::verify(&world.regions[0].store, WORLD, 10).unwrap().damaged, []);
    }
}

/// One thing that happens in a random history.
#[derive(Debug, Clone)]
enum Step {
    Ask { at: usize, by: u64, wish: u8, user: u64 },
    Carry { from: usize, to: usize },
    Later { ms: u64 },
    Crash { at: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3_usize, 1..7_u64, 0..6_u8, 1..7_u64).prop_map(|(at, by, wish, user)| Step::Ask { at, by, wish, user }),
        5 => (0..3_usize, 0..3_usize).prop_map(|(from, to)| Step::Carry { from, to }),
        2 => (1..8_000_u64).prop_map(|ms| Step::Later { ms }),
        1 => (0..3_usize).prop_map(|at| Step::Crash { at }),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn whatever_is_concurrent_with_whatever_no_region_has_more_members_than_the_limit(steps in steps(), limit in 3..6_usize) {
        let mut world = world(3, limit, &[O, X]);
        for (number, step) in (100..).zip(steps) {
            match step {
                Step::Ask { at, by, wish, user } => {
                    let user = crate::rig::user(user);
                    let wish = match wish {
                        0..3 => MembersWish::Add(user),
                        3 => MembersWish::Remove(user),
                        4 => MembersWish::Promote(user),
                        _ => MembersWish::Demote(user),
                    };
                    let before = members(&world, at).len();
                    if let Err(refusal) = change(&mut world, at, by, number, wish) {
                        let full = refusal.code() == "too_many_members";
                        prop_assert!(!full || before == limit, "{refusal}");
                    }
                }
                Step::Carry { from, to } if from != to => drop(world.carry(from, to)),
                Step::Carry { .. } => {}
                Step::Later { ms } => {
                    world.now = world.now.plus_ms(ms);
                    (0..3).for_each(|at| drop(world.step(at, vec![Input::Tick])));
                }
                Step::Crash { at } => world.reopen(at),
            }
            for at in 0..3 {
                prop_assert!(members(&world, at).len() <= limit, "{:?} at {at}", members(&world, at));
            }
        }
        settled(&mut world, limit);
    }
}
