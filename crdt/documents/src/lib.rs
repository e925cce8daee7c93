//! What people edit together, a conversation's name and description, a user's contacts, as Automerge documents under a fixed schema: pure.
//!
//! A document is changed by changes, which travel as the payloads of operations. Each region merges them by itself, and devices may load and change
//! the same documents with any Automerge. The naive way hands whatever comes to a general Automerge: it inflates without a limit, keeps
//! whatever anybody makes of the document, and panics on histories that it does not like. So changes are read here, under limits, and kept out
//! unless they do what the schema has; what stands is merged here too, by Automerge's rules, which the tests hold against Automerge itself.
//!
//! What must always hold: equal sets of operations give equal documents, byte for byte ([`Document::encode`]), and what any of them reads as is the same.
//!
//! ```
//! use crdt::{Incarnation, RegionId, ReplicaId, UserId};
//! use documents::{Actor, Document, Edit, Part, Schema, Taken};
//!
//! let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(7) };
//! let mut here = Document::new(Schema::Conversation);
//! let name = Edit::Text { part: Part::Root, key: "name".into(), text: "Sailing".into() };
//! let change = here.edit(&Actor::of_region(replica), 1_700_000_000, &[name])?;
//! let (bytes, _) = change.write();
//! assert_eq!(here.take(replica, UserId(1), &bytes), Taken::Stands);
//! assert_eq!(here.conversation().name.as_deref(), Some("Sailing"));
//! # Ok::<(), documents::NotEdited>(())
//! ```

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

mod change;
mod columns;
mod document;
mod edit;
pub mod limits;
mod numbers;
mod past;
mod read_change;
mod schema;
mod snapshot;
mod text;
mod view;
mod write_change;

pub use change::{Actor, Change, ChangeHash, Malformed, OperationId};
pub use document::{Document, NotTaken, Taken};
pub use edit::{Edit, NotEdited, TooLong};
pub use schema::{Part, Schema};
pub use snapshot::{Damaged, for_automerge};
pub use view::{AccountView, ConversationView};
