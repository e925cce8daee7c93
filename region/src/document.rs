//! The document of a conversation in the tables: its state as one record, and where in the log the changes stand that made it.
//!
//! What must always hold:
//! - The record is the canonical state, so stores that applied the same operations hold the same bytes of it.
//! - A change that its origin's own sequence admits has a row, whether it stands or not, so all that stand can be read back.
//! - A change that is kept out changes nothing but a count, here as everywhere, and is told to operators.
//!
//! Cost: a change reads and writes the whole record, some 60 bytes a change that ever stood and 20 an operation in it, up to what `documents::limits` says;
//! a conversation whose document nobody changed has neither record nor row.

use crate::keys::Key;
use crate::partition;
use crate::record::{self, OpaqueRecord};
use crate::shard::Effect;
use crate::store::{StoreError, View};
use crate::tables::Tables;
use bytes::Bytes;
use crdt::operation::{Body, Envelope};
use crdt::{ConversationId, Dot, StateDigest, UserId};
use documents::{
    AccountView, Change, ChangeHash, ConversationView, Document, NotTaken, Schema, Taken, for_automerge,
};
use replication::log::Position;
use std::collections::BTreeSet;

/// The document of a conversation: that of the first change alone if nobody changed it.
pub(crate) fn load(view: &dyn View, conversation: ConversationId) -> Result<Document, StoreError> {
    let key = Key::Document(conversation);
    match record::load(view, &key)? {
        None => Ok(Document::new(schema(conversation))),
        Some(OpaqueRecord(bytes)) => read(&key.encode(), &bytes),
    }
}

/// Reads one that stands under that key.
pub(crate) fn read(key: &[u8], bytes: &Bytes) -> Result<Document, StoreError> {
    Document::decode(bytes).map_err(|error| record::damaged(key, &error.to_string()))
}

/// Of a conversation, or of an account: the id says which.
const fn schema(conversation: ConversationId) -> Schema {
    if conversation.account_of().is_some() { Schema::Account } else { Schema::Conversation }
}

/// What it says, if anybody ever changed it.
pub(crate) fn view(
    view: &dyn View,
    conversation: ConversationId,
) -> Result<Option<ConversationView>, StoreError> {
    let is_there = view.get(&Key::Document(conversation).encode())?.is_some();
    Ok(if is_there { Some(load(view, conversation)?.conversation()) } else { None })
}

/// The users and conversations that an account names: as contacts, as blocked, and by labels.
pub(crate) fn named(account: &AccountView) -> (BTreeSet<UserId>, BTreeSet<ConversationId>) {
    let users = account.contacts.keys().chain(&account.blocked);
    let users = users.filter_map(|key| key.parse().ok());
    (users.collect(), account.labels.keys().filter_map(|key| key.parse().ok()).collect())
}

/// Takes the change that an operation at that position of the log carries.
pub(crate) fn change(
    tables: &mut Tables<'_>,
    position: Position,
    (dot, envelope): (Dot, &Envelope),
    bytes: &[u8],
) -> Result<(), StoreError> {
    let conversation = envelope.conversation;
    let mut document = load(tables.view(), conversation)?;
    let known: Option<OpaqueRecord> = tables.load(&Key::Document(conversation))?;
    let digest = |bytes: &[u8]| StateDigest::of_document(conversation, bytes);
    let gone = known.map(|OpaqueRecord(bytes)| digest(&bytes)).unwrap_or_default();
    let taken = document.take(dot.replica, envelope.sender, bytes);
    let is_admitted = matches!(taken, Taken::Stands | Taken::Waits | Taken::Refused(NotTaken::Unfounded));
    if is_admitted && let Ok((_, hash)) = Change::read(bytes, document.schema()) {
        tables.put(&row(conversation, hash), &position);
    }
    let bytes = document.encode();
    tables.change_digest(conversation, gone, digest(&bytes))?;
    tables.put_bytes(&Key::Document(conversation), bytes);
    let why = match taken {
        Taken::Stands => return Ok(()),
        Taken::Waits => None,
        Taken::Refused(why) => Some(why),
    };
    crate::sometimes::DOCUMENT_CHANGE_KEPT_OUT.reach();
    tables.effects.push(Effect::DocumentChangeKeptOut { dot, conversation, why });
    Ok(())
}

/// Where a change of a document is written down.
fn row(conversation: ConversationId, hash: ChangeHash) -> Key {
    let mut first = [0; 24];
    first.copy_from_slice(&hash.0[..24]);
    Key::DocumentChange(conversation, first)
}

/// The document as any Automerge loads it.
pub(crate) fn export(
    view: &dyn View,
    conversation: ConversationId,
    document: &Document,
) -> Result<Vec<u8>, StoreError> {
    let bucket = conversation.partition().bucket;
    let mut changes = Vec::new();
    for hash in document.order() {
        let key = row(conversation, hash);
        let position: Position = record::load_named(view, &key, "the document")?;
        let entry = partition::entry(view, bucket, position, "a change of the document")?;
        match partition::decode(bucket, position, &entry)? {
            (_, Some(Body::Document(bytes))) => changes.push(bytes),
            _ => return Err(record::damaged(&key.encode(), "it names an operation of another kind")),
        }
    }
    Ok(for_automerge(document.schema(), changes.iter().map(|bytes| &bytes[..])))
}
