//! Tests of the bridge over plain in-memory regions: scenarios, the random model, bad input, and what it costs.
//!
//! The region on each side is a map in memory; frames are passed by hand, so every order and every cut can be tried.
#![allow(clippy::unwrap_used)]
// Scenario files are read from disk; the core under test is not.
#![allow(clippy::disallowed_methods)]

mod bad_input;
mod bounded;
mod describe;
mod model;
mod overhead;
mod scenario;
mod store;
mod world;
