//! The rows of the table in `src/document.rs`, each a test of its name.
//!
//! What must always hold: both regions end with the same bytes, and Automerge with the same values. A row that changes changes what people see of
//! documents that exist, so it needs a new schema.

use crate::world::{Region, USER, name, text};
use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use crdt::UserId;
use documents::{Actor, Document, Edit, NotTaken, Part, Schema, Taken};

/// Two regions that have exchanged this much, and then each do theirs apart.
fn apart(before: &[Edit], here: &[Edit], there: &[Edit]) -> (Region, Region) {
    let (mut one, mut two) = (Region::new(1, Schema::Conversation), Region::new(2, Schema::Conversation));
    one.edit(before);
    two.sync(&one);
    one.edit(here);
    two.edit(there);
    let (was_one, was_two) = (one.clone(), two.clone());
    one.sync(&was_two);
    two.sync(&was_one);
    assert_eq!(one.document, two.document);
    assert_eq!(one.document.encode(), two.document.encode());
    one.agrees();
    two.agrees();
    (one, two)
}

fn pin() -> Edit {
    Edit::Mark { part: Part::Pinned, key: "m".into() }
}

fn unpin() -> Edit {
    Edit::Clear { part: Part::Pinned, key: "m".into() }
}

#[test]
fn of_two_puts_of_one_key_the_higher_is_shown_and_both_are_replaced_by_the_next() {
    let (mut one, _) = apart(&[], &[name("here")], &[name("there")]);
    assert_eq!(one.document.conversation().name.as_deref(), Some("there"));
    one.edit(&[Edit::Clear { part: Part::Root, key: "name".into() }]);
    assert_eq!(one.document.conversation().name, None, "not the one that was beside it");
    one.agrees();
}

#[test]
fn a_put_beside_a_removal_stays() {
    let (one, _) =
        apart(&[name("old")], &[Edit::Clear { part: Part::Root, key: "name".into() }], &[name("new")]);
    assert_eq!(one.document.conversation().name.as_deref(), Some("new"));
    let (one, _) = apart(&[pin()], &[unpin()], &[unpin()]);
    assert!(one.document.conversation().pinned.is_empty());
    let (one, _) = apart(&[pin()], &[unpin()], &[text(Part::Settings, "a", "b")]);
    assert!(one.document.conversation().pinned.is_empty(), "nobody has put it again");
}

#[test]
fn insertions_at_one_place_both_stay_whole() {
    let before = [Edit::Describe("ab".into())];
    let (one, _) = apart(&before, &[Edit::Describe("aXXb".into())], &[Edit::Describe("aYYb".into())]);
    assert_eq!(one.document.conversation().description, "aYYXXb");
}

#[test]
fn an_insertion_beside_an_erased_character_stays_where_it_is() {
    let before = [Edit::Describe("abc".into())];
    let (one, _) = apart(&before, &[Edit::Describe("ac".into())], &[Edit::Describe("abXc".into())]);
    assert_eq!(one.document.conversation().description, "aXc");
}

#[test]
fn what_two_erase_is_erased_once() {
    let before = [Edit::Describe("abc".into())];
    let (one, _) = apart(&before, &[Edit::Describe("c".into())], &[Edit::Describe("a".into())]);
    assert_eq!(one.document.conversation().description, "");
}

/// A change of a device of region 1, made in Automerge.
fn device(region: &Region, of: &str) -> Vec<u8> {
    let mut automerge = region.automerge(1);
    automerge.put(ROOT, "name", of).unwrap();
    automerge.commit();
    automerge.get_last_local_change().unwrap().bytes().into_owned()
}

#[test]
fn of_two_changes_under_one_number_the_one_issued_first_stands() {
    let mut one = Region::new(1, Schema::Conversation);
    let (first, second) = (device(&one, "first"), device(&one, "second"));
    let mut other = Region::new(2, Schema::Conversation);
    assert_eq!(one.take((one.replica, USER, first)), Taken::Stands);
    assert_eq!(one.take((one.replica, USER, second.clone())), Taken::Refused(NotTaken::Forks));
    other.sync(&one);
    assert_eq!(other.document, one.document);
    assert_eq!(one.document.conversation().name.as_deref(), Some("first"));
    assert_eq!(one.document.refused().collect::<Vec<_>>(), [(one.replica, 1)]);
    // What is built on the one that stands nowhere waits for it, for ever.
    let mut forked = Region::new(1, Schema::Conversation);
    forked.take((one.replica, USER, second));
    forked.edit(&[name("on the second")]);
    let built = forked.log[1].clone();
    assert_eq!(one.take(built), Taken::Waits);
    assert_eq!((one.document.waiting(), one.document.conversation().name.as_deref()), (1, Some("first")));
    one.agrees();
}

#[test]
fn a_change_waits_for_what_it_was_made_on() {
    // Region 2 builds on what region 1 did, and a third gets it the wrong way round: no log does that.
    let mut one = Region::new(1, Schema::Conversation);
    one.edit(&[name("first")]);
    let mut two = Region::new(2, Schema::Conversation);
    two.sync(&one);
    two.edit(&[name("second")]);
    two.edit(&[name("third")]);
    let mut three = Region::new(3, Schema::Conversation);
    assert_eq!(three.take(two.log[1].clone()), Taken::Waits);
    assert_eq!(three.take(two.log[2].clone()), Taken::Waits);
    assert_eq!(Document::decode(&three.document.encode()).unwrap(), three.document);
    assert_eq!(three.document.conversation().name, None);
    assert_eq!(three.take(two.log[0].clone()), Taken::Stands);
    assert_eq!(three.document, two.document);
    assert_eq!(three.document.conversation().name.as_deref(), Some("third"));
    three.agrees();
}

#[test]
fn only_the_actors_of_a_region_and_a_user_come_through_it() {
    let one = Region::new(1, Schema::Conversation);
    let change = device(&one, "mine");
    let mut two = Region::new(2, Schema::Conversation);
    let foreign = Taken::Refused(NotTaken::ForeignActor);
    assert_eq!(two.take((two.replica, USER, change.clone())), foreign, "the actor is of region 1");
    assert_eq!(two.take((one.replica, UserId(8), change.clone())), foreign, "it is another user's");
    assert_eq!(two.take((one.replica, USER, change)), Taken::Stands);
}

#[test]
fn an_edit_that_changes_nothing_is_no_change() {
    let mut one = Region::new(1, Schema::Conversation);
    let edits = [name("a"), Edit::Describe("b".into()), pin()];
    one.edit(&edits);
    let actor = Actor::of_region(one.replica);
    assert_eq!(one.document.edit(&actor, 0, &edits), Err(documents::NotEdited::Unchanged));
    assert_eq!(one.document.changes(), 1);
}

#[test]
fn an_account_has_its_own_parts() {
    let mut one = Region::new(1, Schema::Account);
    one.edit(&[
        text(Part::Profile, "display_name", "Ada"),
        text(Part::Contacts, "u2", "Bob"),
        text(Part::Labels, "c1", "work"),
        Edit::Mark { part: Part::Blocked, key: "u3".into() },
        text(Part::Settings, "theme", "dark"),
    ]);
    let view = one.document.account();
    assert_eq!(view.display_name.as_deref(), Some("Ada"));
    assert_eq!((view.contacts["u2"].as_str(), view.labels["c1"].as_str()), ("Bob", "work"));
    assert!(view.blocked.contains("u3") && view.settings["theme"] == "dark");
    let automerge = one.automerge(1);
    let (_, contacts) = automerge.get(ROOT, "contacts").unwrap().unwrap();
    assert_eq!(automerge.get(&contacts, "u2").unwrap().unwrap().0.as_str(), Some("Bob"));
    assert!(one.document.edit(&Actor::of_region(one.replica), 0, &[name("no")]).is_err());
    assert_eq!(Document::decode(&one.document.encode()).unwrap(), one.document);
}
