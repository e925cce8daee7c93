//! Tests of the bridge over plain in-memory regions: scenarios, the random model, bad input, and what it costs.
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
