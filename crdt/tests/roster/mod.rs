//! Tests of the roster: its table of cases, its laws over random histories, its slow twin, its bytes.
//!
//! What must always hold: `model` reads the rules word for word and shares no code with the roster. The histories are the group's: `crdt/tests/group/histories.rs`.

mod bytes;
mod concurrent_cases;
pub(crate) mod laws;
pub(crate) mod model;
