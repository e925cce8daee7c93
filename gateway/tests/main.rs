//! All tests of `gateway` that need no more than what it makes public, in one program: linked once, so that a change is judged in seconds.
//!
//! What must always hold: a file is one subject; `island` is a region of plain lists on the other side, and tests nothing itself.

#![allow(clippy::unwrap_used)]

mod catching_up;
mod commands;
mod documents;
mod island;
mod no_gap_no_overlap;
mod questions;
mod signing_in;
