//! Every refusal of a command: named by its code to the device that sent it.
//!
//! What must always hold: a refusal changes nothing. After each the store is compared, record by record, with what it was before. What a peer is refused is in
//! `refused_peers.rs`.

use crate::rig::{ELSEWHERE, START, WORLD, World, create, group, key, message, post, replica, user};
use bytes::Bytes;
use crdt::{Cut, Dot, Identity, MessageId, Sequence, Timestamp, UserId};
use documents::{Edit, Part};
use expect_test::{Expect, expect};
use region::command::{Command, DocumentWish, Done, MembersWish, Refusal, Seen, Wish};
use region::shard::{Effect, OpenError, Shard};
use region::store::MemoryStore;

/// A world of two regions in which users 1 and 2 are in group 1, 1 and 2 talk directly, and both regions hold all of it.
pub(crate) fn world() -> World {
    let mut world = World::new(2);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    let direct = Command::OpenDirect { placement: WORLD, command: message(3), peer: user(2) };
    world.ask(0, 1, direct).unwrap();
    world.calm();
    world
}

fn check(by: u64, command: Command, expected: Expect) {
    let mut world = world();
    let before = world.regions[0].store.clone();
    let input = world.command(by, command);
    let outcome = world.step(0, vec![input]);
    let refusal = crate::rig::reply(&outcome.effects).unwrap_err();
    expected.assert_eq(&format!("{}: {refusal}", refusal.code()));
    assert!(outcome.batch.is_empty(), "a refusal writes nothing");
    assert_eq!(outcome.effects.len(), 1, "a refusal says nothing but itself");
    assert!(world.regions[0].store == before, "a refusal changes nothing");
}

fn direct() -> crdt::ConversationId {
    crdt::ConversationId::direct(WORLD, user(1), user(2))
}

#[test]
fn commands_are_refused_by_name_and_change_nothing() {
    let (islands, new) = (group(1), message(9));
    let elsewhere = crdt::ConversationId::group(ELSEWHERE, 1);
    let pinned = UserId::new(ELSEWHERE, 1);
    check(
        1,
        post(elsewhere, 9, "x"),
        expect![
            "wrong_placement: conversation c00020000000000000000000000000001 lives in a placement that this region has no part in: connect to a region of that placement"
        ],
    );
    check(
        3,
        post(islands, 9, "x"),
        expect![
            "unknown_conversation: there is no conversation c00010000000000000000000000000001 for you here: check the id, or wait until this region has heard of it"
        ],
    );
    check(
        1,
        post(group(77), 9, "x"),
        expect![
            "unknown_conversation: there is no conversation c0001000000000000000000000000004d for you here: check the id, or wait until this region has heard of it"
        ],
    );
    check(
        1,
        post(islands, 9, &"x".repeat(65_537)),
        expect![
            "body_too_large: the body has 65537 bytes, the limit is 65536: shorten it, or send it in parts"
        ],
    );
    check(
        1,
        Command::ChangeMembers { conversation: islands, command: new, wish: MembersWish::Add(pinned) },
        expect![
            "placement_fixed: u0002000000000001 cannot take part in conversation c00010000000000000000000000000001, because placements are fixed: begin a new one in a placement that all members allow"
        ],
    );
    check(
        2,
        Command::ChangeMembers { conversation: islands, command: new, wish: MembersWish::Add(user(3)) },
        expect!["not_an_admin: only admins may do that: ask one of them"],
    );
    check(
        1,
        Command::ChangeMembers { conversation: direct(), command: new, wish: MembersWish::Add(user(3)) },
        expect![
            "direct_conversation: conversation c0001c5a1e1c23db41737f9b162e9e22e has the users that it has for good: begin a group"
        ],
    );
    check(
        1,
        Command::ChangeMembers { conversation: direct(), command: new, wish: MembersWish::Leave },
        expect![
            "direct_conversation: conversation c0001c5a1e1c23db41737f9b162e9e22e has the users that it has for good: begin a group"
        ],
    );
    check(
        3,
        Command::ChangeMembers { conversation: islands, command: new, wish: MembersWish::Leave },
        expect![
            "unknown_conversation: there is no conversation c00010000000000000000000000000001 for you here: check the id, or wait until this region has heard of it"
        ],
    );
    check(
        2,
        create(islands, 9, &[2, 3]),
        expect![
            "conversation_exists: conversation c00010000000000000000000000000001 exists already: draw another id"
        ],
    );
    check(
        1,
        create(group(2), 9, &(1..=1_025).collect::<Vec<_>>()),
        expect![
            "too_many_members: 1025 members are more than the limit of 1024: begin with fewer, or remove somebody first"
        ],
    );
    let name = "ü".repeat(257);
    let long =
        Command::CreateGroup { conversation: group(2), command: new, members: vec![], name, begun: None };
    check(1, long, expect!["name_too_long: the name has 257 characters, the limit is 256: shorten it"]);
    let members = vec![pinned];
    let of_another = Command::CreateGroup {
        conversation: group(2),
        command: new,
        members,
        name: String::new(),
        begun: None,
    };
    check(
        1,
        of_another,
        expect![
            "placement_fixed: u0002000000000001 cannot take part in conversation c00010000000000000000000000000002, because placements are fixed: begin a new one in a placement that all members allow"
        ],
    );
}

#[test]
fn what_is_as_large_as_it_may_be_is_taken() {
    let mut world = world();
    world.ask(0, 1, post(group(1), 9, &"x".repeat(65_536))).unwrap();
    let members = (1..=1_024).map(user).collect();
    let name = "ü".repeat(256);
    let largest =
        Command::CreateGroup { conversation: group(2), command: message(10), members, name, begun: None };
    world.ask(0, 1, largest).unwrap();
}

#[test]
fn who_left_is_told_so_and_who_was_never_in_it_learns_nothing() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world
        .ask(
            0,
            2,
            Command::ChangeMembers { conversation: group(1), command: message(2), wish: MembersWish::Leave },
        )
        .unwrap();
    let mut code = |user| world.ask(0, user, post(group(1), 3, "x")).unwrap_err().code();
    assert_eq!((code(2), code(3)), ("not_a_member", "unknown_conversation"));
}

#[test]
fn a_message_that_is_to_stand_after_another_is_not_taken_before_it() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    let mut later = post(group(1), 3, "later");
    if let Command::Post { after, .. } = &mut later {
        *after = Some(message(2));
    }
    let refused = world.ask(0, 2, later.clone()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("message {} is to stand before this one and is not here: send that one first", message(2))
    );
    // Somebody else's message under that id is another one.
    world.ask(0, 1, post(group(1), 2, "another")).unwrap();
    assert_eq!(world.ask(0, 2, later.clone()).unwrap_err().code(), "predecessor_missing");
    world.ask(0, 2, post(group(1), 2, "earlier")).unwrap();
    world.ask(0, 2, later).unwrap();
}

/// What a device sends again goes last, and its new messages name the last command of it, of whatever kind (decision 0036).
#[test]
fn a_message_can_stand_after_a_command_of_any_kind() {
    let mut world = World::new(1);
    world.greet();
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    world.ask(0, 1, post(group(1), 2, "hello")).unwrap();
    let (conversation, target) = (group(1), Identity { sender: user(1), message: message(2) });
    let amend =
        |command, wish| Command::Amend { conversation, command: message(command), target, wish, seen: None };
    let wish = MembersWish::Add(user(3));
    let name = Edit::Text { part: Part::Root, key: "name".to_owned(), text: "sailing".to_owned() };
    let wish_of_name = DocumentWish::Edit(vec![name]);
    for command in [
        amend(3, Wish::React("👍".parse().unwrap())),
        amend(4, Wish::Edit("hello!".into())),
        Command::ChangeMembers { conversation, command: message(5), wish },
        Command::ChangeDocument { conversation, command: message(6), wish: wish_of_name },
    ] {
        world.ask(0, 1, command).unwrap();
    }
    for (number, before) in (10..).zip(1..=7) {
        let mut later = post(group(1), number, "later");
        if let Command::Post { after, .. } = &mut later {
            *after = Some(message(before));
        }
        let answer = world.ask(0, 1, later).map(drop).map_err(|refusal| refusal.code());
        assert_eq!(answer, if before == 7 { Err("predecessor_missing") } else { Ok(()) }, "after {before}");
    }
}

#[test]
fn another_message_under_the_id_of_one_is_refused() {
    let mut world = World::new(1);
    world.ask(0, 1, create(group(1), 1, &[1, 2])).unwrap();
    // In the very step, and later.
    let inputs = [post(group(1), 2, "one"), post(group(1), 2, "another"), post(group(1), 2, "one")];
    let inputs = inputs.map(|command| world.command(1, command));
    let outcome = world.step(0, inputs.into());
    let answers: Vec<_> = outcome
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Reply { result, .. } => Some(result.as_ref().map(drop).map_err(Refusal::code)),
            _ => None,
        })
        .collect();
    assert_eq!(answers, [Ok(()), Err("id_in_use"), Ok(())]);
    assert_eq!(world.ask(0, 1, post(group(1), 2, "another")).unwrap_err().code(), "id_in_use");
    let mut reply = post(group(1), 2, "one");
    if let Command::Post { reply_to, .. } = &mut reply {
        *reply_to = Some((user(2), message(1)));
    }
    assert_eq!(world.ask(0, 1, reply).unwrap_err().code(), "id_in_use");
    world.ask(0, 1, post(group(1), 2, "one")).unwrap();
    world.ask(0, 2, post(group(1), 2, "of somebody else")).unwrap();
    // The creation's id is used by a command that is no message.
    assert_eq!(world.ask(0, 1, post(group(1), 1, "one")).unwrap_err().code(), "id_in_use");
}

#[test]
fn ids_outside_their_window_are_refused_and_the_window_is_judged_on_now() {
    let day = 86_400_000;
    let post = |created_ms| Command::Post {
        conversation: group(1),
        message: MessageId::new(created_ms, 9),
        body: Bytes::from_static(b"x"),
        reply_to: None,
        sent_at_ms: 0,
        seen: None,
        after: None,
        taken_before: false,
    };
    check(
        1,
        post(START.ms() - 30 * day - 1_000),
        expect![
            "message_too_old: message id 0192c68d-4118-7000-8000-000000000009 was made more than 30 days ago: send the message again under a new id"
        ],
    );
    check(
        1,
        post(START.ms() + day + 60_000),
        expect![
            "message_from_future: message id 01936633-5360-7000-8000-000000000009 is dated more than a day ahead: correct the device's clock and send again under a new id"
        ],
    );
    let mut world = world();
    for created_ms in [world.now.ms() - 30 * day + 1_000, world.now.ms() + day] {
        world.ask(0, 1, post(created_ms)).unwrap();
    }
}

#[test]
fn cuts_that_nobody_was_given_are_refused() {
    let seen = |replica, sequence| {
        let dot = Dot { replica, sequence: Sequence(sequence) };
        let seen = Seen { cut: Cut::from_iter([dot]), highest: Timestamp::from_ms(1) };
        let (conversation, body) = (group(1), Bytes::from_static(b"x"));
        Command::Post {
            conversation,
            message: message(9),
            body,
            reply_to: None,
            sent_at_ms: 0,
            seen: Some(seen),
            after: None,
            taken_before: false,
        }
    };
    check(
        1,
        seen(replica(0), 999),
        expect![
            "cursor_ahead: the cursor claims more than this conversation holds: sync again from your last cursor"
        ],
    );
    check(
        1,
        seen(replica(7), 1),
        expect![
            "cursor_ahead: the cursor claims more than this conversation holds: sync again from your last cursor"
        ],
    );
    let read = Some(Cut::from_iter([Dot { replica: replica(0), sequence: Sequence(999) }]));
    check(
        1,
        Command::Receipt { conversation: group(1), delivered: None, read },
        expect![
            "cursor_ahead: the cursor claims more than this conversation holds: sync again from your last cursor"
        ],
    );
    check(
        3,
        Command::Receipt { conversation: group(1), delivered: None, read: None },
        expect![
            "unknown_conversation: there is no conversation c00010000000000000000000000000001 for you here: check the id, or wait until this region has heard of it"
        ],
    );
}

#[test]
fn a_conversation_whose_clock_is_at_the_top_of_its_range_takes_nothing_more() {
    let highest = Timestamp(Timestamp::REFUSED_FROM.0 - 1);
    let seen = Some(Seen { cut: Cut::new(), highest });
    let (conversation, body) = (group(1), Bytes::from_static(b"x"));
    let post = Command::Post {
        conversation,
        message: message(9),
        body,
        reply_to: None,
        sent_at_ms: 0,
        seen,
        after: None,
        taken_before: false,
    };
    check(
        1,
        post,
        expect![
            "clock_exhausted: conversation c00010000000000000000000000000001 can take no more messages: begin a new one"
        ],
    );
}

#[test]
fn a_shard_opens_only_under_the_key_its_epoch_knows() {
    let mut config = crate::rig::config(0, 2);
    config.signing_key = key(1);
    let refused = Shard::open(config, &MemoryStore::new()).unwrap_err();
    assert_eq!(refused, OpenError::NotActive { placement: WORLD, replica: replica(0) });
    assert!(refused.to_string().contains("check the region's key"));
}

#[test]
fn a_resent_command_gets_the_originals_answer_whatever_came_between() {
    let mut world = world();
    let first = world.ask(0, 1, post(group(1), 70, "once")).unwrap();
    assert_eq!(world.ask(0, 1, post(group(1), 70, "once")).unwrap(), first);
    assert_eq!(world.effects.len(), 1, "nothing is shown again");
    let pair = vec![
        world.command(2, post(group(1), 71, "twice in one step")),
        world.command(2, post(group(1), 71, "twice in one step")),
    ];
    world.step(0, pair);
    let answers: Vec<Result<Done, Refusal>> = crate::rig::replies(&world.effects).into_values().collect();
    assert!(answers[0].is_ok() && answers[0] == answers[1]);
    world.carry(0, 1);
    assert_eq!(world.ask(1, 1, post(group(1), 70, "once")).unwrap(), first, "also in another region");
    world.now = world.now.plus_ms(40 * 86_400_000);
    assert_eq!(world.ask(1, 1, post(group(1), 70, "once")).unwrap(), first, "also after its window");
    assert_eq!(
        world.ask(
            0,
            1,
            Command::ChangeMembers { conversation: group(1), command: message(70), wish: MembersWish::Leave }
        ),
        Ok(first)
    );
}
