//! What operators set, and feeds carry: homes, the mark of erased users, features turned off (decision 0019).
//!
//! What must always hold: all regions come to hold the same, whatever was concurrent; each act is refused by its code; what a peer should not have sent is kept out everywhere
//! alike; a kind of register that is not known stops its feed, and nothing of it is lost.

use crate::rig::{ELSEWHERE, WORLD, World, create, group, kinds, message, post, replica, start, user};
use crdt::{
    Bucket, DirectoryEntry, Flag, FlagName, Flags, HomeEpoch, Identity, PartitionId, RegionId, UserId,
};
use documents::{Edit, Part};
use region::command::{Command, DocumentWish, Wish};
use region::export;
use region::features::{Feature, NotAFeature};
use region::operate::{Act, NotOperated, Operated};
use region::shard::{Effect, Input, Ticket};
use replication::commit::CommitRefused;
use replication::log::{ChangeNumber, LogView as _};
use replication::register::Register;
use std::collections::BTreeMap;

const A: RegionId = RegionId(1);
const B: RegionId = RegionId(2);
const C: RegionId = RegionId(3);

fn world(regions: usize) -> World {
    let mut world = World::new(regions);
    world.greet();
    world
}

pub(crate) fn operate(world: &mut World, at: usize, act: Act) -> Result<Operated, NotOperated> {
    world.step(at, vec![Input::Operate { ticket: Ticket(7), act }]);
    let answers = world.effects.iter().filter_map(|effect| match effect {
        Effect::Operated { ticket: Ticket(7), result } => Some(result.clone()),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    let [answer] = &answers[..] else { panic!("one answer: {answers:?}") };
    answer.clone()
}

fn code(answer: Result<Operated, NotOperated>) -> &'static str {
    answer.unwrap_err().code()
}

pub(crate) const fn home(user: UserId, home: RegionId) -> Act {
    Act::SetHome { user, home }
}

const fn flag(feature: Feature, flag: Option<Flag>) -> Act {
    Act::SetFlag { feature, flag }
}

pub(crate) fn entry(world: &World, at: usize, user: UserId) -> DirectoryEntry {
    export::entry(&world.regions[at].store, user).unwrap()
}

fn holds(world: &World, at: usize) -> BTreeMap<Feature, Flag> {
    let region = &world.regions[at];
    export::features(&region.store, &region.config.placement).unwrap()
}

/// Every region holds this entry of a user.
fn is_everywhere(world: &World, user: UserId, wanted: DirectoryEntry) {
    for at in 0..world.regions.len() {
        assert_eq!(entry(world, at, user), wanted, "region {at}");
    }
}

#[test]
fn a_home_is_given_first_by_any_region_and_then_by_the_home_alone() {
    let mut world = world(3);
    let ann = user(1);
    assert_eq!(operate(&mut world, 1, home(ann, A)), Ok(Operated::Done), "registered in B, at home in A");
    assert_eq!(operate(&mut world, 1, home(ann, A)), Ok(Operated::Unchanged));
    assert!(world.step(1, vec![]).batch.is_empty());
    assert_eq!(operate(&mut world, 1, home(ann, C)), Err(NotOperated::NotTheHome { user: ann, home: A }));
    assert_eq!(code(operate(&mut world, 1, home(ann, C))), "not_the_home");
    world.calm();
    assert_eq!(operate(&mut world, 0, home(ann, C)), Ok(Operated::Done));
    world.calm();
    let (first, region) = (HomeEpoch::first(B), C);
    is_everywhere(&world, ann, DirectoryEntry::Home { epoch: first.next(A).unwrap(), region });
    assert_eq!(code(operate(&mut world, 0, home(ann, B))), "not_the_home");

    assert_eq!(code(operate(&mut world, 0, home(user(2), RegionId(9)))), "unknown_region");
    assert_eq!(code(operate(&mut world, 0, home(UserId::new(ELSEWHERE, 1), A))), "other_placement");
    assert_eq!(
        code(operate(&mut world, 0, Act::Erase { user: UserId::new(ELSEWHERE, 1) })),
        "other_placement"
    );
}

#[test]
fn of_two_first_homes_one_is_taken_everywhere_and_an_erased_user_has_none_again() {
    let mut world = world(3);
    let (ann, bob) = (user(1), user(2));
    operate(&mut world, 0, home(ann, A)).unwrap();
    operate(&mut world, 1, home(ann, B)).unwrap();
    world.calm();
    is_everywhere(&world, ann, DirectoryEntry::Home { epoch: HomeEpoch::first(B), region: B });

    // One region erases while the home gives the user away.
    operate(&mut world, 0, home(bob, A)).unwrap();
    world.calm();
    assert_eq!(operate(&mut world, 2, Act::Erase { user: bob }), Ok(Operated::Done));
    assert_eq!(operate(&mut world, 2, Act::Erase { user: bob }), Ok(Operated::Unchanged));
    operate(&mut world, 0, home(bob, B)).unwrap();
    world.calm();
    is_everywhere(&world, bob, DirectoryEntry::Erased);
    for at in 0..3 {
        assert_eq!(code(operate(&mut world, at, home(bob, A))), "user_erased");
    }
    let directory = export::directory(&world.regions[2].store).unwrap();
    let ids: Vec<UserId> = directory.iter().map(|(user, _)| *user).collect();
    assert!(ids.len() == 2 && ids.contains(&ann) && ids.contains(&bob), "{directory:?}");
}

/// One of each command that a feature stands for, and one that none does.
fn commands(number: u128) -> [(Option<Feature>, Command); 7] {
    let target = Identity { sender: user(1), message: message(2) };
    let amend = |number, wish| Command::Amend {
        conversation: group(1),
        command: message(number),
        target,
        wish,
        seen: None,
    };
    let face = char::from_u32(0x1f600 + (number / 100 % 64) as u32).unwrap();
    let (key, text) = ("name".to_owned(), format!("name {number}"));
    let name = Edit::Text { part: Part::Root, key, text };
    let wish = DocumentWish::Edit(vec![name]);
    [
        (Some(Feature::Posts), post(group(1), number, "hello")),
        (Some(Feature::Groups), create(group(number), number + 1, &[1, 2])),
        (Some(Feature::Edits), amend(number + 2, Wish::Edit("again".into()))),
        (Some(Feature::Reactions), amend(number + 3, Wish::React(face.to_string().parse().unwrap()))),
        (Some(Feature::Reactions), amend(number + 4, Wish::Withdraw("🎉".parse().unwrap()))),
        (
            Some(Feature::Documents),
            Command::ChangeDocument { conversation: group(1), command: message(number + 5), wish },
        ),
        (None, Command::OpenDirect { placement: WORLD, command: message(number + 6), peer: user(40) }),
    ]
}

#[test]
fn a_feature_that_one_region_turns_off_goes_off_in_all_until_each_has_turned_it_on() {
    let mut world = world(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    world.calm();
    for (nth, feature) in (1..).zip(Feature::ALL) {
        let target = Identity { sender: user(1), message: message(2) };
        let (conversation, wish) = (group(1), Wish::React("🎉".parse().unwrap()));
        let command = message(nth * 1_000 + 1);
        world.ask(0, 1, Command::Amend { conversation, command, target, wish, seen: None }).unwrap();
        world.calm();
        operate(&mut world, 0, flag(feature, Some(Flag::Off))).unwrap();
        world.ask(1, 1, post(group(1), nth * 1_000, "not heard of yet")).unwrap();
        operate(&mut world, 1, flag(feature, Some(Flag::Off))).unwrap();
        world.calm();
        operate(&mut world, 0, flag(feature, None)).unwrap();
        world.calm();
        for at in [0, 1] {
            let asked = commands(nth * 1_000 + 100 * (at as u128 + 1));
            for (of, command) in asked {
                let answer = world.ask(at, 1, command);
                let is_off = answer.as_ref().is_err_and(|refusal| refusal.code() == "feature_off");
                assert_eq!(is_off, of == Some(feature), "{feature} is off: {of:?}: {answer:?}");
            }
        }
        operate(&mut world, 1, flag(feature, None)).unwrap();
        world.calm();
        assert_eq!((holds(&world, 0), holds(&world, 1)), (BTreeMap::new(), BTreeMap::new()));
    }
    // What was done before is answered as it was then, and what must always be possible is.
    operate(&mut world, 1, flag(Feature::Posts, Some(Flag::Off))).unwrap();
    operate(&mut world, 1, flag(Feature::Edits, Some(Flag::Off))).unwrap();
    assert!(world.ask(1, 1, post(group(1), 2, "hello")).is_ok());
    let target = Identity { sender: user(1), message: message(2) };
    let (conversation, wish) = (group(1), Wish::Delete);
    let delete = Command::Amend { conversation, command: message(9_000), target, wish, seen: None };
    assert!(world.ask(1, 1, delete).is_ok());
    assert_eq!(world.ask(1, 5, post(group(1), 9_001, "x")).unwrap_err().code(), "unknown_conversation");
}

#[test]
fn limits_of_features_are_the_lowest_of_all_regions_and_survive_a_restart() {
    let mut world = world(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    operate(&mut world, 0, flag(Feature::Posts, Some(Flag::AtMost(5)))).unwrap();
    operate(&mut world, 1, flag(Feature::Posts, Some(Flag::AtMost(3)))).unwrap();
    operate(&mut world, 1, flag(Feature::Groups, Some(Flag::AtMost(2)))).unwrap();
    assert_eq!(operate(&mut world, 1, flag(Feature::Groups, Some(Flag::AtMost(2)))), Ok(Operated::Unchanged));
    assert_eq!(
        code(operate(&mut world, 1, flag(Feature::Edits, Some(Flag::AtMost(1))))),
        "feature_without_limit"
    );
    world.calm();
    for at in [0, 1] {
        world.reopen(at);
        let number = 10 * (at as u128 + 1);
        assert_eq!(world.ask(at, 1, post(group(1), number, "four")).unwrap_err().code(), "body_too_large");
        world.ask(at, 1, post(group(1), number + 1, "two")).unwrap();
        let three = create(group(number), number + 2, &[1, 2, 3]);
        assert_eq!(world.ask(at, 1, three).unwrap_err().code(), "too_many_members");
        world.ask(at, 1, create(group(number), number + 3, &[1, 2])).unwrap();
    }
    assert_eq!("post".parse::<Feature>(), Err(NotAFeature));
    assert_eq!("posts".parse(), Ok(Feature::Posts));
}

#[test]
fn registers_of_a_kind_are_written_only_once_every_region_knows_it() {
    let mut world = World::new(2);
    let acts = [home(user(1), A), Act::Erase { user: user(1) }, flag(Feature::Edits, Some(Flag::Off))];
    for act in acts.clone() {
        assert_eq!(code(operate(&mut world, 0, act)), "not_known_everywhere");
    }
    let older = kinds().into_iter().filter(|kind| *kind < region::forms::DIRECTORY).collect();
    world.step(0, vec![Input::PeerStarted { peer: replica(1), start: start(1), kinds: older }]);
    for act in acts.clone() {
        assert_eq!(operate(&mut world, 0, act), Err(NotOperated::NotKnownEverywhere(B)));
    }
    world.greet();
    for act in acts {
        operate(&mut world, 0, act).unwrap();
    }
}

fn feed(peer: usize, partition: PartitionId, named: Vec<(Vec<u8>, Vec<u8>)>, from: u64) -> Input {
    let cursor = ChangeNumber(from + named.len() as u64);
    let registers = named.into_iter().map(|(key, value)| Register { key: key.into(), value: value.into() });
    let (peer, registers, after) = (replica(peer), registers.collect(), ChangeNumber(from));
    Input::Registers { peer, partition, registers, after, cursor }
}

fn directory_key(user: UserId) -> Vec<u8> {
    [&[3][..], &user.0.to_be_bytes()].concat()
}

fn flags_key(region: u16) -> Vec<u8> {
    [&[4][..], &region.to_be_bytes()].concat()
}

#[test]
fn what_is_no_value_is_kept_out_alone_and_what_came_with_it_is_joined() {
    let (ann, first) = (user(1), PartitionId { placement: WORLD, bucket: Bucket::FIRST });
    let here = ann.partition(WORLD);
    let elsewhere = (2..).map(user).find(|other| other.partition(WORLD) != here).unwrap();
    let foreign =
        (1..).map(|number| UserId::new(ELSEWHERE, number)).find(|user| user.partition(WORLD) == here);
    let good = DirectoryEntry::Home { epoch: HomeEpoch::first(B), region: B };
    let kept_out = [
        (here, directory_key(ann), vec![9]),
        (here, directory_key(ann), vec![]),
        (here, directory_key(elsewhere), good.encode()),
        (here, directory_key(foreign.unwrap()), good.encode()),
        (first, flags_key(2), vec![255]),
        (here, flags_key(2), Flags::default().encode()),
    ];
    assert_ne!(here, first);
    for (partition, key, value) in kept_out {
        let mut world = world(2);
        let with_it = if partition == here {
            (directory_key(ann), good.encode())
        } else {
            let mut flags = Flags::default();
            flags.set("edits".parse::<FlagName>().unwrap(), Some(Flag::Off)).unwrap();
            (flags_key(2), flags.encode())
        };
        world.step(0, vec![feed(1, partition, vec![(key.clone(), value), with_it], 0)]);
        let told = Effect::RegisterKeptOut { peer: replica(1), partition };
        assert_eq!(world.effects.iter().filter(|effect| **effect == told).count(), 1, "{key:?}");
        assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Refused { .. })));
        if partition == here {
            assert_eq!(export::directory(&world.regions[0].store).unwrap(), [(ann, good)]);
        } else {
            assert_eq!(holds(&world, 0), [(Feature::Edits, Flag::Off)].into());
        }
        assert_eq!(world.log(0).cursor(replica(1), partition).unwrap().feed, ChangeNumber(2));
    }
}

/// Flags of a region that the epoch does not have are kept, and have no say; a name that no feature has neither.
#[test]
fn flags_count_only_of_the_regions_there_are_and_of_features_there_are() {
    let mut world = world(2);
    let partition = PartitionId { placement: WORLD, bucket: Bucket::FIRST };
    let mut flags = Flags::default();
    for name in ["edits", "teleportation"] {
        flags.set(name.parse::<FlagName>().unwrap(), Some(Flag::Off)).unwrap();
    }
    world.step(0, vec![feed(1, partition, vec![(flags_key(9), flags.encode())], 0)]);
    assert_eq!(holds(&world, 0), BTreeMap::new());
    world.step(0, vec![feed(1, partition, vec![(flags_key(2), flags.encode())], 1)]);
    assert_eq!(holds(&world, 0), [(Feature::Edits, Flag::Off)].into());
    assert_eq!(export::flags(&world.regions[0].store).unwrap().len(), 2, "both are passed on");
}

#[test]
fn a_later_kind_of_register_stops_the_feed_and_nothing_behind_it_moves_the_cursor() {
    let mut world = world(2);
    let ann = user(1);
    let partition = ann.partition(WORLD);
    let good = DirectoryEntry::Home { epoch: HomeEpoch::first(B), region: B };
    let later = (vec![99, 1, 2], vec![7]);
    let before = world.regions[0].store.clone();
    let behind = feed(1, partition, vec![(directory_key(ann), good.encode())], 1);
    world.step(0, vec![feed(1, partition, vec![later.clone()], 0), behind.clone()]);
    let reason = CommitRefused::LaterRegister { partition, kind: 99 };
    assert_eq!(world.effects, [Effect::Refused { peer: replica(1), reason }]);
    assert!(world.regions[0].store == before, "what was on its way behind it is not joined either");
    world.step(0, vec![behind]);
    assert!(world.regions[0].store == before && world.effects.is_empty(), "nor later");
    // After the upgrade the peer is asked again from where it stopped.
    let all = vec![(directory_key(user(1)), good.encode())];
    world.step(0, vec![feed(1, partition, all, 0)]);
    assert_eq!(entry(&world, 0, ann), good);
}

#[test]
fn what_another_region_has_taken_is_taken_whatever_operators_allow_now_and_the_regions_own_limit_stays() {
    let mut world = world(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    let taken = |number: u128, bytes: usize, before: bool| {
        let mut command = post(group(1), number, &"x".repeat(bytes));
        if let Command::Post { taken_before, .. } = &mut command {
            *taken_before = before;
        }
        command
    };
    operate(&mut world, 0, flag(Feature::Posts, Some(Flag::AtMost(4)))).unwrap();
    assert_eq!(world.ask(0, 1, taken(2, 5, false)).unwrap_err().code(), "body_too_large");
    world.ask(0, 1, taken(2, 5, true)).unwrap();
    assert_eq!(world.ask(0, 1, taken(3, 65_537, true)).unwrap_err().code(), "body_too_large");
    operate(&mut world, 0, flag(Feature::Posts, Some(Flag::Off))).unwrap();
    assert_eq!(world.ask(0, 1, taken(4, 1, false)).unwrap_err().code(), "feature_off");
    world.ask(0, 1, taken(4, 1, true)).unwrap();
}
