//! Users whose pin does not allow a placement, let in by a peer whose door was wrong.
//!
//! What must always hold: regions do not differ over it, whatever each one's cluster file says; no partition stops; the region that knows
//! better says so, and takes nothing from that user.
use crate::rig::{ELSEWHERE, WORLD, World, create, group, message, post, reply, user};
use crdt::{DeviceId, UserId};
use region::command::{Command, Done, MembersWish, Refusal};
use region::export;
use region::shard::{Effect, Input, Ticket};

const PINNED: UserId = UserId::new(ELSEWHERE, 9);

/// Region 1's door lets users of `ELSEWHERE` in; region 0's does not.
fn world() -> World {
    let mut world = World::new(2);
    world.regions[1].config.allowed_pins.insert(ELSEWHERE);
    world.reopen(1);
    world
}

fn by_pinned(world: &mut World, at: usize, command: Command) -> Result<Done, Refusal> {
    let input = Input::Command { ticket: Ticket(1_000), user: PINNED, device: DeviceId(9), command };
    world.step(at, vec![input]);
    reply(&world.effects)
}

fn broken(effects: &[Effect]) -> Vec<UserId> {
    let user = |effect: &Effect| match effect {
        Effect::PinBroken { user, conversation, .. } => {
            assert_eq!(*conversation, group(1));
            Some(*user)
        }
        _ => None,
    };
    effects.iter().filter_map(user).collect()
}

#[test]
fn a_pinned_user_whom_a_peer_let_in_makes_no_difference_between_regions_and_is_told_of() {
    let mut world = world();
    let add = Command::ChangeMembers {
        conversation: group(1),
        command: message(3),
        wish: MembersWish::Add(PINNED),
    };
    world.ask(1, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(1, 1, add).unwrap();
    by_pinned(&mut world, 1, post(group(1), 4, "from elsewhere")).unwrap();
    assert!(world.carry(1, 0));
    assert_eq!(broken(&world.effects), [PINNED, PINNED], "the adding and the post, each once");
    world.ask(0, 2, post(group(1), 5, "the conversation goes on")).unwrap();
    world.calm();
    let exported = |at: usize| export::partitions(&world.regions[at].store, WORLD).unwrap();
    assert_eq!(exported(0), exported(1), "both hold the same");
}

#[test]
fn a_first_member_who_is_pinned_elsewhere_is_told_of() {
    let mut world = world();
    let members = vec![user(1), PINNED];
    let command = Command::CreateGroup {
        conversation: group(1),
        command: message(1),
        members,
        name: "islands".into(),
        begun: None,
    };
    world.ask(1, 1, command).unwrap();
    world.carry(1, 0);
    assert_eq!(broken(&world.effects), [PINNED]);
}

#[test]
fn nothing_is_taken_from_a_pinned_user_whom_a_peer_let_in() {
    let mut world = world();
    world.ask(1, 1, create(group(1), 1, &[1, 2])).unwrap();
    let add = Command::ChangeMembers {
        conversation: group(1),
        command: message(3),
        wish: MembersWish::Add(PINNED),
    };
    world.ask(1, 1, add).unwrap();
    world.calm();
    let before = world.regions[0].store.clone();
    let receipt = Command::Receipt { conversation: group(1), delivered: None, read: None };
    let leave =
        Command::ChangeMembers { conversation: group(1), command: message(6), wish: MembersWish::Leave };
    let add = Command::ChangeMembers {
        conversation: group(1),
        command: message(7),
        wish: MembersWish::Add(user(3)),
    };
    for command in [post(group(1), 5, "from elsewhere"), receipt, leave, add] {
        let refused = by_pinned(&mut world, 0, command).unwrap_err();
        assert_eq!(refused.code(), "placement_fixed");
        assert!(world.regions[0].store == before, "a refusal changes nothing");
    }
}
