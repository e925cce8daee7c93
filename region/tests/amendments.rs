//! Edits, deletions for everyone and reactions through the doors and logs of regions: what is shown, what is refused, and when the text is gone.
//!
//! What must always hold: what a deleted message said is read out nowhere from the moment a region has the deletion, and stands in no value of its store
//! once that is stable. The store here is in memory; `region/rocks` has its own.

use crate::rig::{START, WORLD, World, create, group, key, kinds, message, post, replica, start, user};
use bytes::Bytes;
use crdt::amendments::AmendmentContent;
use crdt::operation::{Body, Draft};
use crdt::{ChainHead, Identity, RegionId, Sequence, Timestamp};
use region::command::{Command, Done, MembersWish, Refusal, Wish};
use region::item::{Content, Item};
use region::limits::CUT_A_STEP_MAX;
use region::read::{self, PageFrom, Standing};
use region::shard::{Effect, Input};
use region::store::{Direction, MemoryStore, View};
use region::{export, verify};
use replication::commit::{Commit, OperationBytes};
use replication::signature::{Ed25519, Signatures};
use std::ops::ControlFlow;

const ANN: u64 = 1;
const BEN: u64 = 2;

/// A group of three in as many regions, in which Ann has posted number 2 at the first; all have everything.
fn world(regions: usize) -> World {
    let mut world = World::new(regions);
    world.greet();
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN, 3])).unwrap();
    world.ask(0, ANN, post(group(1), 2, "the first text")).unwrap();
    world.calm();
    world
}

fn of(number: u128) -> Identity {
    Identity { sender: user(ANN), message: message(number) }
}

fn amend(command: u128, target: Identity, wish: Wish) -> Command {
    Command::Amend { conversation: group(1), command: message(command), target, wish, seen: None }
}

fn edit(command: u128, text: &str) -> Command {
    amend(command, of(2), Wish::Edit(Bytes::copy_from_slice(text.as_bytes())))
}

fn react(command: u128, emoji: &str) -> Command {
    amend(command, of(2), Wish::React(emoji.parse().unwrap()))
}

fn withdraw(command: u128, emoji: &str) -> Command {
    amend(command, of(2), Wish::Withdraw(emoji.parse().unwrap()))
}

fn delete(command: u128) -> Command {
    amend(command, of(2), Wish::Delete)
}

/// Every message of the group as a page shows it there.
fn page(world: &World, at: usize) -> Vec<String> {
    let store = &world.regions[at].store;
    let page = read::page(store, group(1), user(BEN), PageFrom::Newest, 50).unwrap().unwrap();
    page.iter().map(look).collect()
}

/// Every entry of the group as it arrived there.
fn changes(world: &World, at: usize) -> Vec<String> {
    let store = &world.regions[at].store;
    let changes = read::changes(store, group(1), user(BEN), &Standing::default(), 100).unwrap().unwrap();
    changes.items.iter().map(|(_, item)| look(item)).collect()
}

fn look(item: &Item) -> String {
    let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
    match &item.content {
        Content::Post { became, .. } if became.deleted => "deleted".to_owned(),
        Content::Post { body, became, .. } => {
            let edited = if became.edited.is_some() { " (edited)" } else { "" };
            let reactions = became.reactions.iter();
            let reactions: String = reactions.map(|it| format!(" {}{}", it.emoji, it.count)).collect();
            format!("{}{edited}{reactions}", text(body))
        }
        Content::Created { .. } => "created".to_owned(),
        Content::Edited { body, .. } => format!("edit: {}", text(body)),
        Content::Deleted { target } => format!("delete {}", target.message.0 & 0xff),
        Content::Reacted { emoji, .. } => format!("react {emoji}"),
        Content::Withdrawn { emoji, seen, .. } => format!("withdraw {emoji} of {}", seen.len()),
        Content::Withheld { target } => format!("withheld {}", target.message.0 & 0xff),
        Content::Added { .. }
        | Content::Left
        | Content::Removed { .. }
        | Content::Promoted { .. }
        | Content::Demoted { .. }
        | Content::Claimed
        | Content::Rights(_)
        | Content::DocumentChanged { .. } => "membership".to_owned(),
    }
}

fn digests(world: &World, at: usize) -> Vec<export::PartitionExport> {
    export::partitions(&world.regions[at].store, WORLD).unwrap()
}

/// Whether a text stands in any value of a region's store.
fn holds(view: &dyn View, text: &str) -> bool {
    let mut found = false;
    let whole: [&[u8]; 2] = [&[], &[0xff; 64]];
    view.scan(whole[0], whole[1], Direction::Ascending, &mut |_, value| {
        found |= value.windows(text.len()).any(|window| window == text.as_bytes());
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn code(result: Result<Done, Refusal>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn a_message_is_shown_as_it_stands_and_its_history_as_it_came() {
    let mut world = world(2);
    world.ask(0, ANN, edit(3, "the second text")).unwrap();
    world.ask(1, BEN, react(4, "👍")).unwrap();
    world.ask(1, 3, react(5, "👍")).unwrap();
    world.ask(0, ANN, react(6, "❤")).unwrap();
    world.calm();
    world.ask(0, BEN, withdraw(7, "👍")).unwrap();
    world.calm();
    for at in [0, 1] {
        assert_eq!(page(&world, at), ["the second text (edited) 👍1 ❤1"]);
        let store = &world.regions[at].store;
        let list = read::conversations(store, WORLD, user(BEN), 9).unwrap();
        assert_eq!(look(list[0].last.as_ref().unwrap()), "the second text (edited) 👍1 ❤1");
        assert_eq!(list[0].unread, 1, "what was done to a message is not unread");
    }
    let came = ["created", "the first text", "edit: the second text", "react ❤", "react 👍", "react 👍"];
    assert_eq!(changes(&world, 0)[..6], came, "history 27: each entry says what its own operation did");
    assert_eq!(changes(&world, 0)[6..], ["withdraw 👍 of 1"]);
    assert_eq!(digests(&world, 0), digests(&world, 1));
}

#[test]
fn the_door_refuses_by_code_and_nothing_is_changed() {
    let mut world = world(2);
    world.ask(1, BEN, post(group(1), 9, "ben's")).unwrap();
    let before = world.regions[1].store.clone();
    let bens = Identity { sender: user(BEN), message: message(9) };
    let text = |length: usize| Wish::Edit(Bytes::from(vec![b'a'; length]));
    let missing = of(77);
    let creation = of(1);
    let asked = [
        (ANN, amend(20, bens, text(1)), "not_the_sender"),
        (ANN, amend(21, bens, Wish::Delete), "not_the_sender"),
        (ANN, amend(22, missing, text(1)), "unknown_message"),
        (ANN, amend(23, creation, text(1)), "unknown_message"),
        (BEN, amend(24, bens, text(65_537)), "body_too_large"),
        (BEN, withdraw(25, "👍"), "unknown_reaction"),
        (8, react(26, "👍"), "unknown_conversation"),
    ];
    for (who, command, expected) in asked {
        assert_eq!(code(world.ask(1, who, command)), expected);
    }
    assert!(world.regions[1].store == before, "a refusal changes nothing");
    world.now = world.now.plus_ms(15 * 60_000);
    assert_eq!(code(world.ask(0, ANN, edit(27, "late"))), "too_late");
    world.now = world.now.plus_ms(48 * 3_600_000);
    assert_eq!(code(world.ask(0, ANN, delete(28))), "too_late");
    assert!(world.ask(0, BEN, react(29, "👍")).is_ok(), "reactions have no window");
}

#[test]
fn what_stands_already_needs_nothing_and_a_command_sent_again_is_done_once() {
    let mut world = world(2);
    let first = world.ask(0, BEN, react(3, "👍")).unwrap();
    let nothing = Ok(Done::Exists { conversation: group(1) });
    assert_eq!(world.ask(0, BEN, react(4, "👍")), nothing);
    assert_eq!(world.ask(0, BEN, react(3, "👍")), Ok(first));
    let deleted = world.ask(0, ANN, delete(5)).unwrap();
    assert_eq!(world.ask(0, ANN, delete(6)), nothing);
    assert_eq!(world.ask(0, ANN, delete(5)), Ok(deleted));
    assert_eq!(code(world.ask(0, BEN, react(7, "👍"))), "message_deleted");
    assert_eq!(code(world.ask(0, ANN, edit(8, "again"))), "message_deleted");
    assert_eq!(code(world.ask(0, BEN, delete(9))), "message_deleted");
}

#[test]
fn too_many_edits_are_refused() {
    let mut world = world(1);
    for number in 0..crdt::limits::EDITS_MAX as u128 {
        world.ask(0, ANN, edit(100 + number, "again")).unwrap();
    }
    assert_eq!(code(world.ask(0, ANN, edit(99, "once more"))), "too_many_edits");
}

#[test]
fn a_kind_is_issued_only_once_every_region_has_said_that_it_knows_it() {
    let mut world = World::new(3);
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN])).unwrap();
    world.ask(0, ANN, post(group(1), 2, "text")).unwrap();
    let hello = |from: usize, known: std::collections::BTreeSet<u32>| {
        vec![Input::PeerStarted { peer: replica(from), start: start(1), kinds: known }]
    };
    let older = || (0..4).collect();
    let refused =
        |region: u16| Err(Refusal::NotKnownEverywhere { conversation: group(1), region: RegionId(region) });
    assert_eq!(world.ask(0, ANN, edit(3, "new")), refused(2), "nobody has said anything yet");
    world.step(0, hello(1, kinds()));
    world.step(0, hello(2, older()));
    assert_eq!(world.ask(0, ANN, edit(3, "new")), refused(3));
    world.step(0, hello(2, kinds()));
    assert!(world.ask(0, ANN, edit(3, "new")).is_ok());
    world.reopen(0);
    assert!(
        world.ask(0, ANN, edit(4, "newer")).is_ok(),
        "it is remembered, so a region that is alone goes on"
    );
    world.step(0, hello(1, older()));
    assert_eq!(world.ask(0, ANN, edit(5, "newest")), refused(2), "the latest word counts");
}

#[test]
fn a_message_that_is_hidden_from_a_member_is_none_to_them() {
    let mut world = world(1);
    world
        .ask(
            0,
            ANN,
            Command::ChangeMembers {
                conversation: group(1),
                command: message(3),
                wish: MembersWish::Add(user(4)),
            },
        )
        .unwrap();
    assert_eq!(code(world.ask(0, 4, react(4, "👍"))), "unknown_message");
    world.ask(0, ANN, post(group(1), 5, "for all")).unwrap();
    assert!(world.ask(0, 4, amend(6, of(5), Wish::React("👍".parse().unwrap()))).is_ok());
}

/// An edit at A, a deletion at B, neither knowing of the other.
#[test]
fn a_deletion_beats_an_edit_whatever_comes_first_and_hides_at_once() {
    let mut world = world(2);
    world.ask(0, ANN, edit(3, "the second text")).unwrap();
    world.ask(1, ANN, delete(4)).unwrap();
    assert_eq!(page(&world, 1), ["deleted"]);
    assert_eq!(changes(&world, 1), ["created", "deleted", "delete 2"], "the text is not read out any more");
    world.carry(0, 1);
    let told = world.effects.iter().find_map(|effect| match effect {
        Effect::Changed(change) => Some(look(&change.item)),
        _ => None,
    });
    assert_eq!(
        told.as_deref(),
        Some("delete 2"),
        "an edit that comes later is told as the deletion it meets"
    );
    world.carry(1, 0);
    for at in [0, 1] {
        assert_eq!(page(&world, at), ["deleted"]);
        assert!(!changes(&world, at).iter().any(|entry| entry.contains("text")), "{:?}", changes(&world, at));
        let store = &world.regions[at].store;
        let list = read::conversations(store, WORLD, user(BEN), 9).unwrap();
        assert_eq!((look(list[0].last.as_ref().unwrap()).as_str(), list[0].unread), ("deleted", 0));
    }
}

/// Show 6 of its issue, in memory: in every region's store before, in none once the deletion is stable.
#[test]
fn the_text_is_cut_everywhere_once_the_deletion_is_stable_and_not_before() {
    let mut world = world(3);
    world.ask(0, ANN, edit(3, "the second text")).unwrap();
    world.calm();
    let texts = ["the first text", "the second text"];
    for at in 0..3 {
        assert!(texts.iter().all(|text| holds(&world.regions[at].store, text)), "{at}");
    }
    let before = digests(&world, 0);
    world.ask(1, ANN, delete(4)).unwrap();
    for at in 0..3 {
        assert!(texts.iter().all(|text| holds(&world.regions[at].store, text)), "not stable yet at {at}");
    }
    world.calm();
    for at in 0..3 {
        let store = &world.regions[at].store;
        assert!(!texts.iter().any(|text| holds(store, text)), "{at} still holds it");
        let verified = verify::verify(store, WORLD, 9).unwrap();
        assert_eq!(verified.damaged, []);
        assert_eq!(digests(&world, at), digests(&world, 0));
        assert_eq!(page(&world, at), ["deleted"]);
        assert_eq!(changes(&world, at), ["created", "deleted", "delete 2", "delete 2"]);
        world.reopen(at);
    }
    assert_ne!(digests(&world, 0), before);
}

/// History 22: C has nothing and gets the bare envelopes; a resend from an outbox there shows nothing.
#[test]
fn a_region_that_gets_the_bare_envelope_knows_the_message_and_a_resend_does_not_bring_it_back() {
    let mut world = world(2);
    world.ask(0, ANN, edit(3, "the second text")).unwrap();
    world.ask(0, ANN, delete(4)).unwrap();
    world.calm();
    world.regions[1].store = MemoryStore::new();
    world.reopen(1);
    world.carry(0, 1);
    assert_eq!(digests(&world, 1)[0].conversations, digests(&world, 0)[0].conversations);
    assert_eq!(page(&world, 1), ["deleted"]);
    let again = world.ask(1, ANN, post(group(1), 2, "the first text")).unwrap();
    assert!(
        matches!(again, Done::Operation { dot, .. } if dot.replica == replica(0)),
        "the original's answer"
    );
    assert!(!holds(&world.regions[1].store, "the first text"));
    assert_eq!(verify::verify(&world.regions[1].store, WORLD, 9).unwrap().damaged, []);
}

/// A message is taken at A and, sent again, at B; it is deleted at A before B's copy comes.
#[test]
fn a_copy_that_comes_after_the_deletion_is_not_shown_and_is_cut_too() {
    let mut world = World::new(2);
    world.greet();
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN])).unwrap();
    world.calm();
    world.ask(0, ANN, post(group(1), 2, "sent twice")).unwrap();
    world.ask(1, ANN, post(group(1), 2, "sent twice")).unwrap();
    world.ask(0, ANN, delete(3)).unwrap();
    world.carry(1, 0);
    let told: Vec<String> = world
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Changed(change) => Some(look(&change.item)),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["deleted"]);
    world.calm();
    for at in [0, 1] {
        assert!(!holds(&world.regions[at].store, "sent twice"), "{at}");
        assert_eq!(page(&world, at), ["deleted"]);
    }
    assert_eq!(digests(&world, 0), digests(&world, 1));
}

/// History 23: m at A; A is cut off; resent at B 10 minutes later, edited there 12 minutes after that; A heals and m becomes the earlier one.
#[test]
fn an_edit_of_a_resend_stays_when_the_original_arrives_after_its_window() {
    let mut world = World::new(2);
    world.greet();
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN])).unwrap();
    world.calm();
    world.ask(0, ANN, post(group(1), 2, "first")).unwrap();
    world.now = world.now.plus_ms(10 * 60_000);
    world.ask(1, ANN, post(group(1), 2, "first")).unwrap();
    world.now = world.now.plus_ms(12 * 60_000);
    assert!(world.ask(1, ANN, edit(3, "second")).is_ok(), "in time, by what this region has of it");
    world.calm();
    for at in [0, 1] {
        assert_eq!(page(&world, at), ["second (edited)"]);
    }
    assert_eq!(code(world.ask(0, ANN, edit(4, "third"))), "too_late", "by the original, which is here now");
}

#[test]
fn more_deletions_than_a_step_cuts_are_cut_in_the_next_ones_at_once() {
    let mut world = World::new(1);
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN])).unwrap();
    let many = CUT_A_STEP_MAX as u128 + 1;
    let mut inputs = Vec::new();
    for number in 0..many {
        inputs.push(world.command(ANN, post(group(1), 1_000 + number, "gone soon")));
        inputs.push(world.command(ANN, amend(5_000 + number, of(1_000 + number), Wish::Delete)));
    }
    world.step(0, inputs);
    world.now = world.now.plus_ms(1_100);
    let outcome = world.step(0, vec![Input::Tick]);
    assert_eq!(outcome.next_tick, Some(world.now));
    assert!(holds(&world.regions[0].store, "gone soon"));
    world.reopen(0);
    let outcome = world.step(0, vec![Input::Tick]);
    assert_ne!(outcome.next_tick, Some(world.now));
    assert!(!holds(&world.regions[0].store, "gone soon"));
}

/// A region that was away leaves thousands that wait for it; no step looks at all of them.
#[test]
fn deletions_that_are_not_stable_yet_are_looked_at_a_few_a_step() {
    let mut world = world(2);
    let many = 3 * CUT_A_STEP_MAX as u128 + 1;
    let posts =
        (0..many).map(|number| world.command(ANN, post(group(1), 1_000 + number, "gone soon"))).collect();
    world.step(0, posts);
    world.calm();
    let deletions = (0..many)
        .map(|number| world.command(ANN, amend(5_000 + number, of(1_000 + number), Wish::Delete)))
        .collect();
    let mut steps = 1;
    let mut outcome = world.step(0, deletions);
    while outcome.next_tick == Some(world.now) {
        steps += 1;
        outcome = world.step(0, vec![Input::Tick]);
    }
    assert_eq!(steps, 4, "each looks at {CUT_A_STEP_MAX} of {many}");
    assert!(holds(&world.regions[0].store, "gone soon"), "the other region has not heard of the deletions");
    world.calm();
    for at in 0..2 {
        assert!(!holds(&world.regions[at].store, "gone soon"), "{at} still holds it");
    }
}

/// What only a broken region lets in: everywhere void, and nothing of it is shown.
#[test]
fn an_edit_by_another_in_a_peers_log_is_void() {
    let mut world = world(2);
    let content = AmendmentContent::Edit { body: Bytes::from_static(b"not mine"), seen: None };
    let draft = Draft {
        conversation: group(1),
        hlc: Timestamp::from_ms(START.ms() + 10_000),
        sender: user(BEN),
        message: message(3),
        body: Body::Amend { target: of(2), content },
    };
    let (envelope, payload) = draft.seal([1; 16]);
    let partition = group(1).partition();
    let operations = vec![OperationBytes { envelope, payload: Some(payload) }];
    let before = ChainHead::genesis(partition, replica(1));
    let signer: (&dyn Signatures, _) = (&Ed25519, &key(1));
    let commit = Commit::sign(partition, replica(1), Sequence(1), operations, before, signer);
    let input = Input::Entries { peer: replica(1), partition, commits: vec![commit], cursor: None };
    world.step(0, vec![input]);
    assert_eq!(page(&world, 0), ["the first text"]);
    assert_eq!(verify::verify(&world.regions[0].store, WORLD, 9).unwrap().damaged, []);
    assert!(world.ask(0, ANN, edit(4, "the second text")).is_ok());
    assert_eq!(page(&world, 0), ["the second text (edited)"]);
}
