//! All tests of `gateway-client` that need no more than what it makes public, in one program: linked once, so that a change is judged in seconds.
//!
//! What must always hold: a file is one subject; `story` and `world` are what a client meets there, and test nothing themselves.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod amending;
mod hidden;
mod keeping_connected;
mod protocol_page;
mod sending;
mod sent_again;
mod showing;
mod storm;
mod story;
mod world;
