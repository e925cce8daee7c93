//! All tests of `crdt` that need no more than what it makes public, in one program: linked once, so that a change is judged in seconds.
//!
//! What must always hold: a file is one subject; `histories` is what several of them draw from, and tests nothing itself.

#![allow(clippy::unwrap_used)]

mod amendments;
mod chain;
mod concurrent_cases;
mod convergence;
mod decoder_checks;
mod decoders;
mod disciplined_clock;
mod examples;
mod golden;
mod group;
mod histories;
mod hybrid_clock;
mod identifiers;
mod laws;
mod registers;
mod roster;
mod semantics_tables;
mod timeline;
