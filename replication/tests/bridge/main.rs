//! Tests of the bridge over plain in-memory regions: scenarios, the random model, bad input, bounds, and what it costs.
//!
//! One program, so that it is linked once. `world` is the only thing that drives bridges by the clock; `store` is a region's store as plain as can be;
//! `played` is one bridge whose peer the test plays; everything else is tests.
#![allow(clippy::unwrap_used)]
// Scenario files are read from disk; the core under test is not.
#![allow(clippy::disallowed_methods)]

mod bad_input;
mod bases;
mod bounded;
mod clocks;
mod describe;
mod epochs;
mod errors_page;
mod filling;
mod model;
mod overhead;
mod passing;
mod played;
mod redialling;
mod registers;
mod scenario;
mod stopped;
mod store;
mod world;
