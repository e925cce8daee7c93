//! Bytes that must never change: the first changes, a change, an actor, the state of a document.
//!
//! The first changes are what every document begins with, in every device too: other bytes would be other documents. An actor's bytes stand in changes for ever. A
//! document's state is on disks, so another form needs another version.

use crate::world::{Region, USER, name};
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, AutoCommit, ObjType, ROOT};
use documents::{Actor, ChangeHash, Edit, Part, Schema};
use expect_test::{Expect, expect};
use std::fmt::Write as _;

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(40) {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

fn check(bytes: &[u8], expected: Expect) {
    expected.assert_eq(&hexadecimal(bytes));
}

#[test]
fn the_first_changes_are_those_that_automerge_makes_of_the_schema() {
    use ObjType::{Map, Text};
    let conversation = &[("description", Text), ("pinned", Map), ("settings", Map)][..];
    let account =
        &[("blocked", Map), ("contacts", Map), ("labels", Map), ("profile", Map), ("settings", Map)][..];
    for (schema, parts) in [(Schema::Conversation, conversation), (Schema::Account, account)] {
        let mut automerge = AutoCommit::new().with_actor(ActorId::from(&[0_u8; 16][..]));
        for (key, kind) in parts {
            automerge.put_object(ROOT, *key, *kind).unwrap();
        }
        automerge.commit_with(CommitOptions::default().with_time(0));
        let change = automerge.get_last_local_change().unwrap();
        assert_eq!(change.raw_bytes(), schema.first_change());
        assert_eq!(ChangeHash(change.hash().0), schema.first_hash());
    }
}

fn region() -> Region {
    let mut one = Region::new(1, Schema::Conversation);
    one.edit(&[name("Sailing"), Edit::Describe("to the isles".into())]);
    one.edit(&[Edit::Describe("to the islands".into()), Edit::Mark { part: Part::Pinned, key: "m".into() }]);
    one.edit(&[Edit::Clear { part: Part::Pinned, key: "m".into() }]);
    one
}

#[test]
fn a_change_has_these_bytes() {
    check(
        &region().log[1].2,
        expect![[r#"
        856f4a83879f2a13018d01010eb0ea0cbdd8f5d26ef97b27c2375249b893c08a79c8d6618de978b9
        a37171b20a000100000000000003e8021180e2cfaa06000110000000000000000000000000000000
        000c010202041104130715053403420456065703700471027302050104017f02040000017c0f7f04
        01000100047f016d0103017f0304017f0003167f02616e647f0104007f007f0f
    "#]],
    );
}

#[test]
fn a_document_has_these_bytes() {
    check(
        &region().document.encode(),
        expect![[r#"
        01000210000000000000000000000000000000000a000100000000000003e8010001000000000000
        03e8031300010103030eb0ea0cbdd8f5d26ef97b27c2375249b893c08a79c8d6618de978b9a37171
        b201040c0100879f2a1341d977913be1efbf2cc5eb9db246e3290fbea30f1244dc49d2c9e67e0111
        040101f1e8515c2c35d43869b6b1774a70a0129bad88b7ffa89857565b670cc580b0040116000102
        000200046e616d650104010106075361696c696e6702016d011501000f050101740601016f070101
        2008010174090101680a0101650b0101200c0101690d0101730e01016c120101611301016e140101
        640f010010010173
    "#]],
    );
}

#[test]
fn an_actor_has_these_bytes() {
    let replica = crate::world::replica(1);
    check(
        Actor::of_region(replica).as_bytes(),
        expect![[r#"
        000100000000000003e8
    "#]],
    );
    check(
        Actor::of_device(replica, USER, crdt::DeviceId(5)).as_bytes(),
        expect![[r#"
        000100000000000003e800000000000000090000000000000005
    "#]],
    );
}
