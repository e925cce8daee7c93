//! Documents against the table of their concurrent cases, against Automerge itself, in Rust and in JavaScript, and against whoever means them ill.
//!
//! What must always hold of each: where regions have taken the same operations their documents are equal, byte for byte, and what Automerge makes of the
//! changes that stand is what they read as (`Region::agrees`).
#![allow(clippy::unwrap_used)]

mod automerge_twin;
mod concurrent_cases;
mod decoder_checks;
mod decoders;
mod golden;
mod hostile;
mod javascript;
mod limits;
mod world;
