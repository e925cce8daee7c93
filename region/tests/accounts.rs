//! A user's account: the conversation of a user with themselves, which has a document and no messages (decision 0022).
//!
//! What must always hold: the account is one whichever region it was opened in, its document merges field by field, and nobody but its user reads or changes it; of whom nothing may be
//! kept in a placement, nothing is written into an account of it.

use crate::rig::{ELSEWHERE, WORLD, World, create, message, post, replica, start, user};
use crdt::{ConversationId, PlacementId, UserId};
use documents::{Actor, Document, Edit, Part, Schema};
use region::command::{Command, DocumentWish, Done, MembersWish};
use region::read::{self, DocumentRead};
use region::shard::Input;
use region::{export, forms};

const ANN: u64 = 1;

fn account() -> ConversationId {
    ConversationId::account(WORLD, user(ANN))
}

fn open(command: u128) -> Command {
    Command::OpenDirect { placement: WORLD, command: message(command), peer: user(ANN) }
}

fn edit(command: u128, edits: Vec<Edit>) -> Command {
    let wish = DocumentWish::Edit(edits);
    Command::ChangeDocument { conversation: account(), command: message(command), wish }
}

fn text(part: Part, key: impl ToString, text: &str) -> Edit {
    Edit::Text { part, key: key.to_string(), text: text.to_owned() }
}

fn mark(user: UserId) -> Edit {
    Edit::Mark { part: Part::Blocked, key: user.to_string() }
}

fn world() -> World {
    let mut world = World::new(2);
    world.greet();
    world
}

fn read(world: &World, at: usize) -> DocumentRead {
    read::document(&world.regions[at].store, account(), user(ANN)).unwrap().unwrap()
}

fn code(world: &mut World, by: u64, command: Command) -> &'static str {
    world.ask(0, by, command).unwrap_err().code()
}

#[test]
fn an_account_that_two_regions_open_is_one_and_merges_field_by_field() {
    let mut world = world();
    for at in [0, 1] {
        world.ask(at, ANN, open(1 + at as u128)).unwrap();
    }
    assert_eq!(world.ask(0, ANN, open(3)), Ok(Done::Exists { conversation: account() }));
    let ben = user(2);
    world.ask(0, ANN, edit(4, vec![text(Part::Profile, "display_name", "Ann"), mark(ben)])).unwrap();
    world.ask(1, ANN, edit(5, vec![text(Part::Profile, "status", "sailing")])).unwrap();
    world.ask(1, ANN, edit(6, vec![text(Part::Contacts, ben, "Benny")])).unwrap();
    world.ask(1, ANN, edit(7, vec![text(Part::Labels, account(), "me")])).unwrap();
    world.calm();
    for at in [0, 1] {
        let said = read(&world, at).account.unwrap();
        assert_eq!((said.display_name.as_deref(), said.status.as_deref()), (Some("Ann"), Some("sailing")));
        assert_eq!(said.contacts, [(ben.to_string(), "Benny".to_owned())].into());
        assert_eq!(said.labels, [(account().to_string(), "me".to_owned())].into());
        assert_eq!(said.blocked, [ben.to_string()].into());
    }
    let exported = |at: usize| export::partitions(&world.regions[at].store, WORLD).unwrap();
    assert_eq!(exported(0), exported(1));
    for region in &world.regions {
        assert_eq!(region::verify::verify(&region.store, WORLD, 9).unwrap().damaged, []);
    }
    let listed = read::conversations(&world.regions[0].store, WORLD, user(ANN), 9).unwrap();
    assert_eq!((listed.len(), &listed[0].members), (1, &vec![user(ANN)]));
}

#[test]
fn an_account_is_nobody_elses_and_has_no_messages() {
    let mut world = world();
    assert_eq!(code(&mut world, ANN, edit(1, vec![mark(user(2))])), "unknown_conversation", "not opened yet");
    world.ask(0, ANN, open(2)).unwrap();
    assert_eq!(code(&mut world, 2, edit(3, vec![mark(user(2))])), "unknown_conversation");
    assert_eq!(read::document(&world.regions[0].store, account(), user(2)).unwrap(), None);
    assert_eq!(code(&mut world, ANN, post(account(), 4, "to myself")), "account_conversation");
    let wish = MembersWish::Add(user(2));
    let add = Command::ChangeMembers { conversation: account(), command: message(5), wish };
    assert_eq!(code(&mut world, ANN, add), "direct_conversation");
    let other = ConversationId::account(WORLD, user(3));
    assert_eq!(code(&mut world, ANN, create(other, 6, &[ANN, 3])), "conversation_exists", "it is reserved");
    // What only conversations have is no part of it, and the other way round.
    assert_eq!(code(&mut world, ANN, edit(7, vec![text(Part::Root, "name", "x")])), "document_schema");
    let long = vec![text(Part::Profile, "display_name", &"x".repeat(101))];
    assert_eq!(code(&mut world, ANN, edit(8, long)), "document_too_long");
}

#[test]
fn nothing_of_whom_it_may_not_be_kept_here_is_written_into_an_account() {
    let mut world = world();
    world.ask(0, ANN, open(1)).unwrap();
    let stranger = UserId::new(ELSEWHERE, 5);
    let chat = ConversationId::group(ELSEWHERE, 5);
    let refused =
        [text(Part::Contacts, stranger, "somebody"), mark(stranger), text(Part::Labels, chat, "theirs")];
    for (number, wish) in (10..).zip(refused) {
        assert_eq!(code(&mut world, ANN, edit(number, vec![wish])), "placement_fixed");
    }
    // A device's own change likewise.
    let held = Document::new(Schema::Account);
    let actor = Actor::of_device(replica(0), user(ANN), crdt::DeviceId(user(ANN).0));
    let change = held.edit(&actor, 0, &[mark(stranger)]).unwrap().write().0;
    let wish = DocumentWish::Change(change.into());
    let own = Command::ChangeDocument { conversation: account(), command: message(20), wish };
    assert_eq!(code(&mut world, ANN, own), "placement_fixed");
    let key = "no id at all".to_owned();
    world.ask(0, ANN, edit(21, vec![text(Part::Contacts, key, "whatever")])).unwrap();
    assert_eq!(
        code(
            &mut world,
            ANN,
            Command::OpenDirect { placement: PlacementId(9), command: message(22), peer: user(ANN) }
        ),
        "wrong_placement"
    );
}

#[test]
fn an_account_is_opened_only_once_every_region_knows_what_it_is() {
    let mut world = World::new(2);
    assert_eq!(code(&mut world, ANN, open(1)), "not_known_everywhere");
    let older = forms::known().into_iter().filter(|form| *form != forms::ACCOUNT).collect();
    world.step(0, vec![Input::PeerStarted { peer: replica(1), start: start(1), kinds: older }]);
    assert_eq!(code(&mut world, ANN, open(2)), "not_known_everywhere");
    world.greet();
    world.ask(0, ANN, open(3)).unwrap();
}
