//! What a change is: the unit in which documents are changed, hashed and carried. One Automerge change, of the few shapes that our schema has.
//!
//! What must always hold:
//! - A change is named by the hash of its uncompressed bytes, and there is one encoding of it: [`Change::read`] refuses every other, since an
//!   Automerge that saves and loads it encodes it again and would get another hash.
//! - An actor says who may write under it: the region whose log carries the change, and the device on whose behalf, if it made the change
//!   itself. So all changes of an actor come down one log, in one order, and a second change under one number is told from the first everywhere alike.

use crdt::{DeviceId, ReplicaId, UserId};
use std::fmt;
use std::sync::Arc;

/// Who makes changes, in an order of their own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(Arc<[u8]>);

/// Names a change: SHA-256 of its bytes, as Automerge has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeHash(pub [u8; 32]);

/// Names an operation within a document. The order is Automerge's: of two concurrent values the one with the higher id is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId {
    pub(crate) counter: u64,
    pub(crate) actor: Actor,
}

/// A part of a document: its root, or what the first change made, by the number of its operation there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Object {
    Root,
    Child(u8),
}

/// A scalar as Automerge stores it: the number of its type and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) kind: u8,
    pub(crate) bytes: Vec<u8>,
}

/// What one operation of a change does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    Put { object: Object, key: String, value: Value, replaces: Vec<OperationId> },
    Remove { object: Object, key: String, replaces: Vec<OperationId> },
    Insert { object: Object, after: Option<OperationId>, text: String },
    Erase { object: Object, element: OperationId },
}

/// A change, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub(crate) actor: Actor,
    /// Its number among those of its actor, from 1.
    pub(crate) sequence: u64,
    /// The counter of its first operation.
    pub(crate) start: u64,
    /// Seconds since 1970, by whoever made it: for display alone.
    pub(crate) time_s: i64,
    pub(crate) message: String,
    /// Ascending.
    pub(crate) dependencies: Vec<ChangeHash>,
    pub(crate) operations: Vec<Operation>,
    /// What an Automerge of a later version put behind the operations.
    pub(crate) extra: Vec<u8>,
}

/// Why bytes are no change of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("the change is cut short")]
    Short,
    /// A number is out of range.
    #[error("the change holds a number out of range")]
    Number,
    /// A string is no UTF-8.
    #[error("the change holds text that is not UTF-8")]
    Text,
    /// It, or something in it, is larger than it may be.
    #[error("the change is larger than a change may be")]
    TooLarge,
    /// Not one Automerge change with its right checksum.
    #[error("this is not one Automerge change")]
    NotAChange,
    /// Encoded as no Automerge encodes it.
    #[error("the change is not in the one form that Automerge writes")]
    NotCanonical,
    /// It does what no document of ours has: an object, a list, a mark or a counter is made, or a part is changed that the schema has not.
    #[error("the change would break the document's schema: only values of its maps and its text may change")]
    Schema,
}

impl Actor {
    /// The region itself, for what it is told to do by commands.
    #[must_use]
    pub fn of_region(replica: ReplicaId) -> Self {
        let mut bytes = replica.region.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&replica.incarnation.0.to_be_bytes());
        Self(bytes.into())
    }

    /// A device that makes changes itself and hands them to that region. In another region it is another actor.
    #[must_use]
    pub fn of_device(replica: ReplicaId, user: UserId, device: DeviceId) -> Self {
        let mut bytes = Self::of_region(replica).0.to_vec();
        bytes.extend_from_slice(&user.0.to_be_bytes());
        bytes.extend_from_slice(&device.0.to_be_bytes());
        Self(bytes.into())
    }

    /// Whether a change under this name may come from that region in that user's name.
    #[must_use]
    pub fn may_write(&self, replica: ReplicaId, user: UserId) -> bool {
        let region = Self::of_region(replica);
        match self.0.strip_prefix(&*region.0) {
            Some([]) => true,
            Some(of_device) => of_device.len() == 16 && of_device.starts_with(&user.0.to_be_bytes()),
            None => false,
        }
    }

    /// Its bytes, as Automerge has them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl Change {
    /// Who made it.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The counter of its last operation.
    pub(crate) fn end(&self) -> u64 {
        self.start + (self.operations.len() as u64).saturating_sub(1)
    }

    /// Each operation with its id.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (OperationId, &Operation)> {
        let id = |counter| OperationId { counter, actor: self.actor.clone() };
        (self.start..).map(id).zip(&self.operations)
    }
}

impl Value {
    /// The numbers of Automerge's types that are used here.
    pub(crate) const FALSE: u8 = 1;
    pub(crate) const TRUE: u8 = 2;
    pub(crate) const TEXT: u8 = 6;

    pub(crate) fn text(text: &str) -> Self {
        Self { kind: Self::TEXT, bytes: text.as_bytes().to_vec() }
    }

    pub(crate) fn boolean(is: bool) -> Self {
        Self { kind: if is { Self::TRUE } else { Self::FALSE }, bytes: Vec::new() }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        if self.kind == Self::TEXT { std::str::from_utf8(&self.bytes).ok() } else { None }
    }
}

impl Operation {
    /// The operations that it replaces or erases.
    pub(crate) fn replaces(&self) -> &[OperationId] {
        match self {
            Self::Put { replaces, .. } | Self::Remove { replaces, .. } => replaces,
            Self::Insert { .. } => &[],
            Self::Erase { element, .. } => std::slice::from_ref(element),
        }
    }
}

fn hexadecimal(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Display for ChangeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

impl fmt::Debug for ChangeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}
