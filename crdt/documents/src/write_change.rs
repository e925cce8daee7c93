//! Writes a change as Automerge does: a chunk with its checksum, the change's head, and its operations column by column.
//!
//! What must always hold: the bytes are those that every Automerge writes for the same change, which the tests compare with two of them.
//!
//! Source: the Automerge binary format specification, "Change chunks".

use crate::change::{Actor, Change, ChangeHash, Object, Operation, OperationId};
use crate::columns::{write, write_booleans, write_differences};
use crate::numbers::{put_bytes, put_signed, put_unsigned};
use crate::schema;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// How every chunk begins.
pub(crate) const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// A chunk that holds a change, and one that holds it compressed.
pub(crate) const CHANGE: u8 = 1;
pub(crate) const COMPRESSED: u8 = 2;

/// The columns of a change's operations: specification numbers, of which the low three bits are the type.
pub(crate) const OBJECT_ACTOR: u64 = 0x01;
pub(crate) const OBJECT_COUNTER: u64 = 0x02;
pub(crate) const KEY_ACTOR: u64 = 0x11;
pub(crate) const KEY_COUNTER: u64 = 0x13;
pub(crate) const KEY_TEXT: u64 = 0x15;
pub(crate) const INSERT: u64 = 0x34;
pub(crate) const ACTION: u64 = 0x42;
pub(crate) const VALUE_META: u64 = 0x56;
pub(crate) const VALUE: u64 = 0x57;
pub(crate) const REPLACES_COUNT: u64 = 0x70;
pub(crate) const REPLACES_ACTOR: u64 = 0x71;
pub(crate) const REPLACES_COUNTER: u64 = 0x73;

/// Actions: what an operation does.
pub(crate) const PUT: u64 = 1;
pub(crate) const REMOVE: u64 = 3;

impl Change {
    /// Its bytes, uncompressed, and the hash that names it.
    #[must_use]
    pub fn write(&self) -> (Vec<u8>, ChangeHash) {
        let others = self.other_actors();
        let mut body = Vec::new();
        put_unsigned(self.dependencies.len() as u64, &mut body);
        self.dependencies.iter().for_each(|hash| body.extend_from_slice(&hash.0));
        put_bytes(self.actor.as_bytes(), &mut body);
        put_unsigned(self.sequence, &mut body);
        put_unsigned(self.start, &mut body);
        put_signed(self.time_s, &mut body);
        put_bytes(self.message.as_bytes(), &mut body);
        put_unsigned(others.len() as u64, &mut body);
        others.iter().for_each(|actor| put_bytes(actor.as_bytes(), &mut body));
        let columns = self.columns(&others);
        put_unsigned(columns.len() as u64, &mut body);
        for (specification, bytes) in &columns {
            put_unsigned(*specification, &mut body);
            put_unsigned(bytes.len() as u64, &mut body);
        }
        columns.iter().for_each(|(_, bytes)| body.extend_from_slice(bytes));
        body.extend_from_slice(&self.extra);
        chunk(&body)
    }

    /// Everybody else whose operations it names, ascending.
    fn other_actors(&self) -> Vec<Actor> {
        let mut actors = BTreeSet::new();
        for operation in &self.operations {
            actors.extend(operation.replaces().iter().map(|id| id.actor.clone()));
            actors.extend(key_element(operation).flatten().map(|id| id.actor.clone()));
            if let Object::Child(_) = object(operation) {
                actors.insert(schema::first_actor());
            }
        }
        actors.remove(&self.actor);
        actors.into_iter().collect()
    }

    fn columns(&self, others: &[Actor]) -> Vec<(u64, Vec<u8>)> {
        let number = |actor: &Actor| others.binary_search(actor).map_or(0, |at| at as u64 + 1);
        let rows = |row: &dyn Fn(&Operation) -> Option<u64>| -> Vec<Option<u64>> {
            self.operations.iter().map(row).collect()
        };
        let first = number(&schema::first_actor());
        let child = |operation: &Operation| match object(operation) {
            Object::Root => None,
            Object::Child(child) => Some(u64::from(child)),
        };
        let keys: Vec<Option<&str>> = self.operations.iter().map(key_text).collect();
        let inserts: Vec<bool> =
            self.operations.iter().map(|operation| matches!(operation, Operation::Insert { .. })).collect();
        let replaces = || self.operations.iter().flat_map(Operation::replaces);
        let values: Vec<u8> =
            self.operations.iter().flat_map(|operation| value(operation).1).copied().collect();
        let numbers = |rows: &[Option<u64>]| write(rows, |number, out| put_unsigned(*number, out));
        let columns = [
            (OBJECT_ACTOR, numbers(&rows(&|operation| child(operation).map(|_| first)))),
            (OBJECT_COUNTER, numbers(&rows(&child))),
            (KEY_ACTOR, numbers(&rows(&|operation| key_element(operation)?.map(|id| number(&id.actor))))),
            (
                KEY_COUNTER,
                write_differences(&rows(&|operation| {
                    Some(key_element(operation)?.map_or(0, |id| id.counter))
                })),
            ),
            (KEY_TEXT, write(&keys, |key, out| put_bytes(key.as_bytes(), out))),
            (INSERT, write_booleans(&inserts)),
            (ACTION, numbers(&rows(&|operation| Some(action(operation))))),
            (
                VALUE_META,
                numbers(&rows(&|operation| {
                    let (kind, bytes) = value(operation);
                    Some((bytes.len() as u64) << 4 | u64::from(kind))
                })),
            ),
            (VALUE, values),
            (REPLACES_COUNT, numbers(&rows(&|operation| Some(operation.replaces().len() as u64)))),
            (REPLACES_ACTOR, numbers(&replaces().map(|id| Some(number(&id.actor))).collect::<Vec<_>>())),
            (REPLACES_COUNTER, write_differences(&replaces().map(|id| Some(id.counter)).collect::<Vec<_>>())),
        ];
        columns.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect()
    }
}

/// A change's chunk around its body, and its hash.
pub(crate) fn chunk(body: &[u8]) -> (Vec<u8>, ChangeHash) {
    let mut head = vec![CHANGE];
    put_unsigned(body.len() as u64, &mut head);
    let hash = ChangeHash(Sha256::new().chain_update(&head).chain_update(body).finalize().into());
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&hash.0[..4]);
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(body);
    (bytes, hash)
}

const fn object(operation: &Operation) -> Object {
    match operation {
        Operation::Put { object, .. }
        | Operation::Remove { object, .. }
        | Operation::Insert { object, .. }
        | Operation::Erase { object, .. } => *object,
    }
}

fn key_text(operation: &Operation) -> Option<&str> {
    match operation {
        Operation::Put { key, .. } | Operation::Remove { key, .. } => Some(key),
        Operation::Insert { .. } | Operation::Erase { .. } => None,
    }
}

/// The place in a text that it is about: none if it is not about one, none within if that is the beginning.
const fn key_element(operation: &Operation) -> Option<Option<&OperationId>> {
    match operation {
        Operation::Put { .. } | Operation::Remove { .. } => None,
        Operation::Insert { after, .. } => Some(after.as_ref()),
        Operation::Erase { element, .. } => Some(Some(element)),
    }
}

const fn action(operation: &Operation) -> u64 {
    match operation {
        Operation::Put { .. } | Operation::Insert { .. } => PUT,
        Operation::Remove { .. } | Operation::Erase { .. } => REMOVE,
    }
}

fn value(operation: &Operation) -> (u8, &[u8]) {
    match operation {
        Operation::Put { value, .. } => (value.kind, &value.bytes),
        Operation::Insert { text, .. } => (crate::change::Value::TEXT, text.as_bytes()),
        Operation::Remove { .. } | Operation::Erase { .. } => (0, &[]),
    }
}
