//! Limits: what merges beyond them is read by one rule, only less can be made of it, and an origin issues no more than a document holds.
//!
//! What must always hold: limits of what is shown refuse no change that comes from elsewhere, so an oversized merge ends in the same state everywhere; limits of
//! what a change or an origin may hold are judged on that alone.

use crate::world::{Region, name, text};
use automerge::legacy::{Key, ObjectId, Op, OpId, OpType};
use automerge::transaction::Transactable;
use automerge::{ActorId, ROOT, ReadDoc, ScalarValue};
use documents::limits::{
    CHANGES_PER_ORIGIN_MAX, DESCRIPTION_CHARACTERS_MAX, OPERATIONS_PER_ORIGIN_MAX, PINNED_MAX,
};
use documents::{Actor, Document, Edit, Malformed, NotTaken, Part, Schema, Taken};

fn after(region: &Region, edits: &[Edit]) -> Document {
    let mut after = region.document.clone();
    let change = after.edit(&Actor::of_region(region.replica), 0, edits).unwrap();
    assert_eq!(after.take(region.replica, crate::world::USER, &change.write().0), Taken::Stands);
    after
}

#[test]
fn an_oversized_merge_is_read_as_its_beginning_and_can_only_shrink() {
    let (mut one, mut two) = (Region::new(1, Schema::Conversation), Region::new(2, Schema::Conversation));
    let long = |letter: &str| Edit::Describe(letter.repeat(DESCRIPTION_CHARACTERS_MAX - 1));
    one.edit(&[long("é")]);
    two.edit(&[long("x")]);
    let (was_one, was_two) = (one.clone(), two.clone());
    one.sync(&was_two);
    two.sync(&was_one);
    assert_eq!(one.document.encode(), two.document.encode());
    let read = one.document.conversation().description;
    assert_eq!(read.chars().count(), DESCRIPTION_CHARACTERS_MAX);
    assert_eq!(read, two.document.conversation().description);
    one.agrees();
    // 1,022 characters stand: neither more of them nor as many, but less.
    let whole = "x".repeat(511) + &"é".repeat(511);
    let grown = after(&one, &[Edit::Describe(whole.clone() + "!")]);
    let refused = one.document.may_become(&grown).unwrap_err();
    assert_eq!((refused.what, refused.length, refused.limit), ("description (characters)", 1_023, 512));
    let as_long = after(&one, &[Edit::Describe(whole[1..].to_owned() + "!")]);
    assert!(one.document.may_become(&as_long).is_err());
    let shrunk = after(&one, &[Edit::Describe(whole[1..].to_owned())]);
    assert_eq!(one.document.may_become(&shrunk), Ok(()));
    // What is about something else is not held up.
    assert!(one.document.may_become(&after(&one, &[name("a")])).is_err());
    assert_eq!(one.document.may_become(&after(&one, &[Edit::Describe("short".into()), name("a")])), Ok(()));
}

#[test]
fn of_too_many_pins_the_first_by_key_are_read() {
    let (mut one, mut two) = (Region::new(1, Schema::Conversation), Region::new(2, Schema::Conversation));
    for key in 0..PINNED_MAX {
        one.edit(&[Edit::Mark { part: Part::Pinned, key: format!("b{key:02}") }]);
        two.edit(&[Edit::Mark { part: Part::Pinned, key: format!("a{key:02}") }]);
    }
    let was_one = one.clone();
    one.sync(&two);
    two.sync(&was_one);
    let read = one.document.conversation().pinned;
    assert_eq!(read, two.document.conversation().pinned);
    assert!(read.len() == PINNED_MAX && read.iter().all(|key| key.starts_with('a')));
    let more = after(&one, &[Edit::Mark { part: Part::Pinned, key: "c".into() }]);
    assert_eq!(one.document.may_become(&more).unwrap_err().what, "pinned messages");
    let fewer = after(&one, &[Edit::Clear { part: Part::Pinned, key: "b07".into() }]);
    assert_eq!(one.document.may_become(&fewer), Ok(()));
}

#[test]
fn values_of_other_types_read_as_none() {
    let mut one = Region::new(1, Schema::Conversation);
    one.edit(&[name("good"), text(Part::Settings, "kept", "yes")]);
    let mut automerge = one.automerge(1);
    let (_, settings) = automerge.get(ROOT, "settings").unwrap().unwrap();
    let (_, pinned) = automerge.get(ROOT, "pinned").unwrap().unwrap();
    automerge.put(ROOT, "name", 7).unwrap();
    automerge.put(&settings, "bytes", vec![1_u8, 2]).unwrap();
    automerge.put(&pinned, "no", false).unwrap();
    automerge.put(&pinned, "text", "true").unwrap();
    automerge.commit();
    one.take_from(&mut automerge);
    let view = one.document.conversation();
    assert_eq!((view.name, view.pinned.len(), view.settings.len()), (None, 0, 1));
    let mut other = Region::new(2, Schema::Conversation);
    other.sync(&one);
    assert_eq!(other.document.encode(), one.document.encode());
}

#[test]
fn an_origin_issues_no_more_changes_than_a_document_holds() {
    let mut one = Region::new(1, Schema::Conversation);
    let actor = Actor::of_region(one.replica);
    // The state after so many, as if each had come: the last few are made one by one.
    for number in 0..CHANGES_PER_ORIGIN_MAX {
        let change = one.document.edit(&actor, 0, &[name(if number % 2 == 0 { "a" } else { "b" })]).unwrap();
        assert_eq!(one.document.take(one.replica, crate::world::USER, &change.write().0), Taken::Stands);
    }
    let change = one.document.edit(&actor, 0, &[name("one more")]).unwrap();
    let full = Taken::Refused(NotTaken::Full);
    assert_eq!(one.document.take(one.replica, crate::world::USER, &change.write().0), full);
    // It loads in what it costs to read so many, and another region can still write.
    let bytes = one.document.encode();
    assert!(bytes.len() < 80 * CHANGES_PER_ORIGIN_MAX as usize, "{} bytes", bytes.len());
    let mut loaded = Document::decode(&bytes).unwrap();
    assert_eq!(loaded, one.document);
    let other = crate::world::replica(2);
    let change = loaded.edit(&Actor::of_region(other), 0, &[name("from elsewhere")]).unwrap();
    assert_eq!(loaded.take(other, crate::world::USER, &change.write().0), Taken::Stands);
}

#[test]
fn an_origin_issues_no_more_operations_than_a_document_holds() {
    let mut one = Region::new(1, Schema::Conversation);
    let actor = Actor::of_region(one.replica);
    let mut operations = 0;
    let mut letter = 'a';
    loop {
        let described = Edit::Describe(letter.to_string().repeat(1_000));
        let change = one.document.edit(&actor, 0, &[described]).unwrap();
        match one.document.take(one.replica, crate::world::USER, &change.write().0) {
            Taken::Stands => operations += if letter == 'a' { 1_000 } else { 2_000 },
            Taken::Refused(NotTaken::Full) => break,
            other => panic!("{other:?}"),
        }
        letter = if letter == 'b' { 'c' } else { 'b' };
    }
    assert!(operations <= OPERATIONS_PER_ORIGIN_MAX && operations + 2_000 > OPERATIONS_PER_ORIGIN_MAX);
    assert!(one.document.encode().len() < 10 * operations as usize);
}

/// A change that an Automerge writes, but that the region's own hand did not.
fn with_operations(region: &Region, operations: Vec<Op>) -> Vec<u8> {
    let change = region.document.edit(&Actor::of_region(region.replica), 0, &[name("a")]).unwrap();
    let mut change = automerge::Change::from_bytes(change.write().0).unwrap().decode();
    change.operations = operations;
    automerge::Change::from(change).bytes().into_owned()
}

#[test]
fn a_description_of_ten_megabytes_or_a_hundred_thousand_elements_comes_in_no_change() {
    let mut one = Region::new(1, Schema::Conversation);
    let insert = |value: ScalarValue| Op {
        action: OpType::Put(value),
        obj: ObjectId::Id(OpId(1, ActorId::from(&[0_u8; 16][..]))),
        key: Key::head(),
        pred: Vec::new().into(),
        insert: true,
    };
    let large = with_operations(&one, vec![insert(ScalarValue::Str("x".repeat(10_000_000).into()))]);
    let many = with_operations(&one, vec![insert(ScalarValue::Str("x".into())); 100_000]);
    for (bytes, why) in [(large, Malformed::NotAChange), (many, Malformed::NotAChange)] {
        assert!(bytes.len() < 64 * 1_024, "it is small on the wire: {}", bytes.len());
        let taken = one.take((one.replica, crate::world::USER, bytes));
        assert_eq!(taken, Taken::Refused(NotTaken::Malformed(why)));
    }
    assert_eq!(one.document.changes(), 0);
}
