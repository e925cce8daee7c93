//! The documents of conversations through the doors and logs of regions: edited apart, read alike, refused by name, kept out where a peer did not refuse.
//!
//! What must always hold: regions that applied the same operations export the same digests, documents included, and what they read of a document is
//! the same, whatever a peer brought; a verification that replays the log finds the very same records.

use crate::rig::{START, WORLD, World, create, group, key, kinds, message, post, replica, start, user};
use bytes::Bytes;
use crdt::operation::{Body, Draft};
use crdt::{ChainHead, DeviceId, RegionId, Sequence, Timestamp};
use documents::{Actor, Document, Edit, NotTaken, Part, Schema, Taken};
use region::command::{Command, DocumentWish, Done, MembersWish, Refusal};
use region::item::Content;
use region::read::{self, DocumentRead};
use region::shard::{Effect, Input};
use region::{export, verify};
use replication::commit::{Commit, OperationBytes};
use replication::signature::{Ed25519, Signatures};

const ANN: u64 = 1;
const BEN: u64 = 2;

fn world(regions: usize) -> World {
    let mut world = World::new(regions);
    world.greet();
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN])).unwrap();
    world.calm();
    world
}

fn wish(command: u128, wish: DocumentWish) -> Command {
    Command::ChangeDocument { conversation: group(1), command: message(command), wish }
}

fn edit(command: u128, edit: Edit) -> Command {
    wish(command, DocumentWish::Edit(vec![edit]))
}

fn name(command: u128, of: &str) -> Command {
    edit(command, Edit::Text { part: Part::Root, key: "name".to_owned(), text: of.to_owned() })
}

fn describe(command: u128, of: &str) -> Command {
    edit(command, Edit::Describe(of.to_owned()))
}

fn read(world: &World, at: usize) -> DocumentRead {
    read::document(&world.regions[at].store, group(1), user(BEN)).unwrap().unwrap()
}

/// All regions export and read the same, and what each has is what its log says.
fn agree(world: &World) {
    let exported = |at: usize| export::partitions(&world.regions[at].store, WORLD).unwrap();
    for (at, region) in world.regions.iter().enumerate() {
        assert_eq!(exported(at), exported(0), "region {at}");
        assert_eq!(read(world, at), read(world, 0), "region {at}");
        assert_eq!(verify::verify(&region.store, WORLD, 9).unwrap().damaged, [], "region {at}");
    }
}

fn code(result: Result<Done, Refusal>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn what_two_regions_edit_apart_they_read_alike() {
    let mut world = world(3);
    world.ask(0, ANN, describe(2, "to the isles")).unwrap();
    world.calm();
    world.ask(0, ANN, describe(3, "sailing to the isles")).unwrap();
    world.ask(1, BEN, describe(4, "to the islands")).unwrap();
    world.ask(1, BEN, name(5, "Sailing")).unwrap();
    world.ask(2, ANN, name(6, "Rowing")).unwrap();
    world.calm();
    agree(&world);
    let DocumentRead { view, heads, automerge, .. } = read(&world, 0);
    assert_eq!(view.description, "sailing to the islands");
    assert_eq!(heads.len(), 3);
    // The list shows the name that the document gives.
    let list = read::conversations(&world.regions[1].store, WORLD, user(BEN), 9).unwrap();
    assert_eq!(Some(list[0].name.as_str()), view.name.as_deref());
    // Devices are given the changes as they are.
    let standing = read::Standing::default();
    let changes =
        read::changes(&world.regions[2].store, group(1), user(BEN), &standing, 100).unwrap().unwrap();
    let mut document = Document::new(Schema::Conversation);
    for (_, item) in &changes.items {
        if let Content::DocumentChanged { change } = &item.content {
            assert_eq!(document.take(item.dot.replica, item.sender, change), Taken::Stands);
            assert!(
                automerge.windows(change.len()).any(|bytes| bytes == change),
                "an export has every change"
            );
        }
    }
    assert_eq!(*document.heads(), heads);
}

#[test]
fn an_edit_sent_again_is_done_once_and_one_that_changes_nothing_not_at_all() {
    let mut world = world(1);
    let done = world.ask(0, ANN, name(2, "Sailing")).unwrap();
    assert_eq!(world.ask(0, ANN, name(2, "Sailing")).unwrap(), done);
    assert_eq!(world.ask(0, BEN, name(3, "Sailing")).unwrap(), Done::Exists { conversation: group(1) });
    assert_eq!(
        world.ask(0, BEN, edit(4, Edit::Clear { part: Part::Pinned, key: "m".into() })),
        Ok(Done::Exists { conversation: group(1) })
    );
}

/// An edit whose answer is lost is sent again to another region, which has not heard of it.
#[test]
fn a_description_that_is_sent_again_elsewhere_has_its_words_once() {
    for later in [0, 60_000] {
        let mut world = world(3);
        world.ask(0, ANN, describe(2, "the isles")).unwrap();
        world.calm();
        world.ask(0, ANN, describe(3, "to the isles, all of them")).unwrap();
        world.now = world.now.plus_ms(later);
        world.ask(1, ANN, describe(3, "to the isles, all of them")).unwrap();
        world.ask(2, BEN, describe(4, "the isles and us")).unwrap();
        world.carry(0, 1);
        assert_eq!(
            read(&world, 1).view.description,
            "to the isles, all of them",
            "{later}: nobody is shown it twice"
        );
        world.calm();
        agree(&world);
        let description = read(&world, 0).view.description;
        assert!(
            ["to the isles, all of them and us", "to the isles and us, all of them"].contains(&&*description),
            "{later}: {description}"
        );
    }
}

/// Both regions have what was sent again before either has the other's; somebody writes on in one of them, and the command is sent to a third one too.
#[test]
fn what_was_written_on_stays_when_words_are_taken_back() {
    let mut world = world(3);
    for at in [0, 1, 2] {
        world.ask(at, ANN, describe(3, "sailing")).unwrap();
    }
    world.ask(0, BEN, describe(4, "sailing!")).unwrap();
    world.calm();
    agree(&world);
    assert_eq!(read(&world, 0).view.description, "sailing!");
    world.ask(1, BEN, describe(5, "")).unwrap();
    world.calm();
    assert_eq!(read(&world, 2).view.description, "");
    let heads = read(&world, 2).heads;
    world.reopen(1);
    world.calm();
    assert_eq!(read(&world, 2).heads, heads, "nothing is taken back twice");
}

/// What the third region says of itself: that it runs an older release, or this one.
fn third_runs(number: u64, is_older: bool) -> Input {
    let document = u32::from(crdt::Kind::Document.code());
    let kinds = kinds().into_iter().filter(|kind| !is_older || *kind < document).collect();
    Input::PeerStarted { peer: replica(2), start: start(number), kinds }
}

/// Six edits are made in two regions, and the one that is to take its words back hears of the other's while the third region runs an older release.
fn made_twice_while_a_release_is_older() -> World {
    let mut world = world(3);
    for at in [0, 1] {
        world.now = world.now.plus_ms(60_000);
        for (command, words) in (11..).zip(["1", "12", "123", "1234", "12345", "123456"]) {
            world.ask(at, ANN, describe(command, words)).unwrap();
        }
    }
    world.step(1, vec![third_runs(2, true)]);
    world.calm();
    agree(&world);
    assert_eq!(read(&world, 1).view.description.len(), 12, "nobody issues what a region does not know");
    world
}

#[test]
fn words_that_cannot_be_taken_back_yet_are_taken_back_once_every_region_knows_documents() {
    for is_reopened in [false, true] {
        let mut world = made_twice_while_a_release_is_older();
        if is_reopened {
            world.reopen(1);
            world.calm();
            assert_eq!(read(&world, 1).view.description.len(), 12, "nor after a crash");
        }
        // As many as a step looks at, and the others in the next one.
        let outcome = world.step(1, vec![third_runs(3, false)]);
        assert_eq!((outcome.next_tick, read(&world, 1).view.description.len()), (Some(world.now), 8));
        let outcome = world.step(1, vec![Input::Tick]);
        assert_ne!(outcome.next_tick, Some(world.now));
        assert_eq!(read(&world, 1).view.description, "123456");
        world.calm();
        agree(&world);
        let heads = read(&world, 1).heads;
        world.reopen(1);
        world.step(1, vec![third_runs(4, false)]);
        world.calm();
        assert_eq!(read(&world, 1).heads, heads, "the notes are gone");
    }
}

#[test]
fn words_are_taken_back_once_an_epoch_has_closed_the_region_that_does_not_know_documents() {
    let mut world = made_twice_while_a_release_is_older();
    let statement = world.next_epoch(1, &[(replica(0), key(0)), (replica(1), key(1))]);
    world.tell_epoch(1, &statement);
    world.step(1, vec![Input::Tick]);
    assert_eq!(read(&world, 1).view.description, "123456");
}

/// A change that a device makes in its own Automerge, over what the region gives it.
fn of_device(world: &World, at: usize, who: u64, of: &str) -> Vec<u8> {
    let held = device(world, at);
    let actor = Actor::of_device(world.regions[at].config.replica, user(who), DeviceId(user(who).0));
    held.edit(&actor, 7, &[Edit::Text { part: Part::Root, key: "name".into(), text: of.into() }])
        .unwrap()
        .write()
        .0
}

/// The document as a device holds it that was given all entries.
fn device(world: &World, at: usize) -> Document {
    let standing = read::Standing::default();
    let changes =
        read::changes(&world.regions[at].store, group(1), user(BEN), &standing, 100).unwrap().unwrap();
    let mut document = Document::new(Schema::Conversation);
    for (_, item) in changes.items {
        if let Content::DocumentChanged { change } = item.content {
            document.take(item.dot.replica, item.sender, &change);
        }
    }
    document
}

#[test]
fn a_device_hands_in_its_own_changes_and_the_door_refuses_by_code_what_would_not_stand() {
    let mut world = world(2);
    let own = |command, bytes: Vec<u8>| wish(command, DocumentWish::Change(bytes.into()));
    let (first, fork) = (of_device(&world, 0, ANN, "first"), of_device(&world, 0, ANN, "fork"));
    world.ask(0, ANN, own(2, first.clone())).unwrap();
    assert_eq!(world.ask(0, ANN, own(3, first.clone())), Ok(Done::Exists { conversation: group(1) }));
    assert_eq!(code(world.ask(0, ANN, own(4, fork))), "document_forked");
    assert_eq!(code(world.ask(1, ANN, own(5, first.clone()))), "document_foreign_actor");
    assert_eq!(code(world.ask(0, BEN, own(6, first[1..].to_vec()))), "document_malformed");
    assert_eq!(code(world.ask(0, BEN, own(7, first))), "document_foreign_actor");
    assert_eq!(code(world.ask(0, ANN, describe(8, &"x".repeat(513)))), "document_too_long");
    let nowhere = Edit::Text { part: Part::Root, key: "topic".into(), text: "x".into() };
    assert_eq!(code(world.ask(0, ANN, edit(9, nowhere))), "document_schema");
    // One that was made on what this region has not heard of.
    let second = of_device(&world, 0, ANN, "second");
    let mut ahead = device(&world, 0);
    ahead.take(replica(0), user(ANN), &second);
    let actor = Actor::of_device(replica(0), user(ANN), DeviceId(user(ANN).0));
    let third = ahead.edit(&actor, 7, &[Edit::Describe("third".into())]).unwrap().write().0;
    assert_eq!(code(world.ask(0, ANN, own(10, third))), "document_forked");
    let elsewhere = Actor::of_region(replica(1));
    let change = ahead.edit(&elsewhere, 7, &[Edit::Describe("there".into())]).unwrap().write().0;
    ahead.take(replica(1), user(ANN), &change);
    let other_device = Actor::of_device(replica(0), user(BEN), DeviceId(user(BEN).0));
    let built = ahead.edit(&other_device, 7, &[Edit::Describe("on it".into())]).unwrap().write().0;
    assert_eq!(code(world.ask(0, BEN, own(11, built))), "document_unfounded");
    assert_eq!(code(world.ask(0, 3, name(12, "x"))), "unknown_conversation");
    assert_eq!(read(&world, 0).view.name.as_deref(), Some("first"));
    world.calm();
    agree(&world);
}

#[test]
fn a_document_changes_only_once_every_region_has_said_that_it_knows_the_kind() {
    let mut world = World::new(2);
    world.ask(0, ANN, create(group(1), 1, &[ANN, BEN])).unwrap();
    let refused = Refusal::NotKnownEverywhere { conversation: group(1), region: RegionId(2) };
    assert_eq!(world.ask(0, ANN, name(2, "x")), Err(refused));
    let old = kinds().into_iter().filter(|kind| *kind < u32::from(crdt::Kind::Document.code())).collect();
    world.step(0, vec![Input::PeerStarted { peer: replica(1), start: start(1), kinds: old }]);
    assert_eq!(code(world.ask(0, ANN, name(2, "x"))), "not_known_everywhere");
    world.step(0, vec![Input::PeerStarted { peer: replica(1), start: start(2), kinds: kinds() }]);
    world.ask(0, ANN, name(2, "x")).unwrap();
}

#[test]
fn whoever_was_removed_reads_and_changes_nothing() {
    let mut world = world(2);
    world.ask(0, ANN, name(2, "before")).unwrap();
    let remove = MembersWish::Remove(user(BEN));
    world
        .ask(0, ANN, Command::ChangeMembers { conversation: group(1), command: message(3), wish: remove })
        .unwrap();
    assert_eq!(code(world.ask(0, BEN, name(4, "after"))), "not_a_member");
    assert_eq!(read::document(&world.regions[0].store, group(1), user(BEN)), Ok(None));
}

/// Region 2 issues this by itself, past its own door.
fn issue(world: &mut World, sequence: u64, before: ChainHead, change: Vec<u8>) -> ChainHead {
    let partition = world.partition(group(1));
    let draft = Draft {
        conversation: group(1),
        hlc: Timestamp((START.ms() + 5_000 + sequence) << 16),
        sender: user(BEN),
        message: message(100 + u128::from(sequence)),
        body: Body::Document(change.into()),
    };
    let (envelope, payload) = draft.seal([9; 16]);
    let operations = vec![OperationBytes { envelope, payload: Some(payload) }];
    let ed25519 = Ed25519;
    let signer: (&dyn Signatures, _) = (&ed25519, &key(2));
    let commit = Commit::sign(partition, replica(2), Sequence(sequence), operations, before, signer);
    let head = commit.head_after(before);
    for at in 0..2 {
        let entries =
            Input::Entries { peer: replica(2), partition, commits: vec![commit.clone()], cursor: None };
        world.step(at, vec![entries]);
        let refused = |effect: &&Effect| matches!(effect, Effect::Refused { .. });
        assert_eq!(
            world.effects.iter().find(refused),
            None,
            "an operation is never refused for its document"
        );
    }
    head
}

/// What operators are told of the last step.
fn kept_out(world: &World) -> Option<Option<NotTaken>> {
    world.effects.iter().find_map(|effect| match effect {
        Effect::DocumentChangeKeptOut { why, .. } => Some(*why),
        _ => None,
    })
}

#[test]
fn what_a_peer_should_not_have_issued_is_kept_out_everywhere_and_told() {
    let mut world = world(3);
    world.ask(0, ANN, name(2, "Sailing")).unwrap();
    world.ask(0, ANN, describe(3, "to the islands")).unwrap();
    // Regions 0 and 1 hear of each other only at the end, and of what region 2 issues at different moments.
    let mut head = ChainHead::genesis(world.partition(group(1)), replica(2));
    let garbage = vec![1, 2, 3];
    head = issue(&mut world, 1, head, garbage);
    assert!(matches!(kept_out(&world), Some(Some(NotTaken::Malformed(_)))));
    let foreign =
        device(&world, 0).edit(&Actor::of_region(replica(0)), 1, &[Edit::Describe("x".into())]).unwrap();
    head = issue(&mut world, 2, head, foreign.write().0);
    assert_eq!(kept_out(&world), Some(Some(NotTaken::ForeignActor)));
    // Made on what region 1 has not got yet: there it waits, here it stands.
    let built = device(&world, 0)
        .edit(&Actor::of_region(replica(2)), 1, &[Edit::Describe("built on it".into())])
        .unwrap();
    head = issue(&mut world, 3, head, built.write().0);
    assert_eq!(kept_out(&world), Some(None), "region 1 waits");
    let fork = device(&world, 1).edit(&Actor::of_region(replica(2)), 1, &[Edit::Describe("fork".into())]);
    let fork = fork.map_or_else(|_| built.write().0, |change| change.write().0);
    issue(&mut world, 4, head, fork);
    assert_eq!(kept_out(&world), Some(Some(NotTaken::Forks)));
    while world.carry(0, 1) || world.carry(1, 0) {}
    let read = [read(&world, 0), read(&world, 1)];
    assert_eq!(read[0], read[1]);
    assert_eq!(read[0].view.description, "built on it");
    let exported = [0, 1].map(|at| export::partitions(&world.regions[at].store, WORLD).unwrap());
    assert_eq!(exported[0][0].conversations, exported[1][0].conversations);
    for at in 0..2 {
        assert_eq!(verify::verify(&world.regions[at].store, WORLD, 9).unwrap().damaged, []);
    }
}

#[test]
fn an_oversized_merge_reads_alike_everywhere_and_may_only_shrink() {
    let mut world = world(2);
    world.ask(0, ANN, describe(2, &"a".repeat(512))).unwrap();
    world.ask(1, BEN, describe(3, &"b".repeat(512))).unwrap();
    world.calm();
    agree(&world);
    assert_eq!(read(&world, 0).view.description, "b".repeat(512));
    assert_eq!(code(world.ask(0, ANN, name(4, "x"))), "document_too_long");
    world.ask(0, ANN, describe(5, "short")).unwrap();
    world.ask(0, ANN, name(6, "x")).unwrap();
    world.calm();
    agree(&world);
}

#[test]
fn a_damaged_document_is_found() {
    let mut world = world(1);
    world.ask(0, ANN, name(2, "Sailing")).unwrap();
    world.ask(0, ANN, post(group(1), 3, "hello")).unwrap();
    assert_eq!(verify::verify(&world.regions[0].store, WORLD, 9).unwrap().damaged, []);
    let mut batch = region::store::Batch::default();
    let mut documents = Vec::new();
    region::store::View::scan(
        &world.regions[0].store,
        &[],
        &[0xff; 64],
        region::store::Direction::Ascending,
        &mut |key, _| {
            if key.get(2) == Some(&22) {
                documents.push(Bytes::copy_from_slice(key));
            }
            std::ops::ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(documents.len(), 1);
    batch.delete(documents[0].clone());
    region::store::Store::commit(&mut world.regions[0].store, &batch).unwrap();
    assert_eq!(verify::verify(&world.regions[0].store, WORLD, 9).unwrap().damaged.len(), 1);
}
