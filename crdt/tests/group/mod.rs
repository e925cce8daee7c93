//! Tests of the member limit: that no history exceeds it, that no right is lost, and the cases of the tables of `group.rs` and `escrow.rs`.
//!
//! What must always hold: `histories` makes what regions make that are cut off from each other at random, and now and then what no honest
//! region makes; the roster's laws play the same histories.

mod bytes;
mod concurrent_cases;
pub(crate) mod escrow_laws;
pub(crate) mod histories;
pub(crate) mod laws;
