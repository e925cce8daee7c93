//! Tests of what becomes of a message: the table of cases, laws over random histories with a slow twin, bytes, and what an emoji is.
//!
//! What must always hold: the twin reads the rules over the whole set of operations and shares no code with what it judges.

mod concurrent_cases;
mod content;
mod emoji;
pub(crate) mod laws;
