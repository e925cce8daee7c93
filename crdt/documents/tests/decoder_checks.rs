//! What must hold of any bytes that are taken for a change or for the state of a document, whoever wrote them.
//!
//! The fuzz targets of `crdt/fuzz` call these with the bytes that they find, and `decoders.rs` with the corpus that was kept. What must always hold: a change that is
//! read is written as the very same bytes, and a document that has taken it, or kept it out, is whole.

use crdt::{Incarnation, RegionId, ReplicaId, UserId};
use documents::{Actor, Change, Document, Edit, Part, Schema};
use sha2::{Digest, Sha256};

const REPLICA: ReplicaId = ReplicaId { region: RegionId(1), incarnation: Incarnation(1) };
const USER: UserId = UserId(9);

/// A document that has something of everything.
pub(crate) fn rich() -> Document {
    let mut document = Document::new(Schema::Conversation);
    for edit in [
        Edit::Text { part: Part::Root, key: "name".into(), text: "Sailing".into() },
        Edit::Describe("to the islands".into()),
        Edit::Describe("to é islands".into()),
        Edit::Mark { part: Part::Pinned, key: "m".into() },
    ] {
        let change = document.edit(&Actor::of_region(REPLICA), 1, &[edit]).unwrap();
        document.take(REPLICA, USER, &change.write().0);
    }
    document
}

/// That body behind a head that says it is whole.
pub(crate) fn whole(body: &[u8]) -> Vec<u8> {
    let mut head = vec![1];
    let mut length = body.len();
    while length >= 0x80 {
        head.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    head.push(length as u8);
    let hash = Sha256::new().chain_update(&head).chain_update(body).finalize();
    [&[0x85, 0x6f, 0x4a, 0x83], &hash[..4], &head, body].concat()
}

/// The body of a change.
pub(crate) fn change(body: &[u8]) {
    let bytes = whole(body);
    for schema in [Schema::Conversation, Schema::Account] {
        if let Ok((change, _)) = Change::read(&bytes, schema) {
            assert_eq!(change.write().0, bytes);
        }
    }
    let mut document = rich();
    document.take(REPLICA, USER, &bytes);
    assert_eq!(Document::decode(&document.encode()).as_ref(), Ok(&document));
}

/// A change as it comes, compressed or not.
pub(crate) fn chunk(bytes: &[u8]) {
    let mut document = rich();
    document.take(REPLICA, USER, bytes);
    assert_eq!(Document::decode(&document.encode()).as_ref(), Ok(&document));
}

/// The state of a document.
pub(crate) fn document(bytes: &[u8]) {
    if let Ok(mut document) = Document::decode(bytes) {
        let _ = (document.conversation(), document.account(), document.order());
        if let Ok(change) = document.edit(&Actor::of_region(REPLICA), 1, &[Edit::Describe("x".into())]) {
            document.take(REPLICA, USER, &change.write().0);
        }
        let _ = document.encode();
    }
}
