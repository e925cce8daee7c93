//! Tests of the bridge over plain in-memory regions: scenarios, the random model, bad input, and what it costs.
#![allow(clippy::unwrap_used)]

mod model;
mod overhead;
mod store;
mod world;
