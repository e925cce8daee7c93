//! What must be true, one file a property: of a replay over real processes, and of a world of the simulator.
//!
//! ```text
//!   histories, exports, scans ──▶ history/ ──▶ a count of breaches for each verdict       (`archipelago demo`, and the world's own histories)
//!   the world, as it runs     ──▶ world/   ──▶ violations, each with its promise          (`archipelago sim`)
//! ```
//! `history/` sees what clients wrote down and what lies on disks; `world/` sees everything the simulated world did, in the order in which it
//! happened. Neither asks the product's vectors, cuts or digests what should be there.
//!
//! What must always hold: whatever looks says how often it looked, so that a checker that saw nothing is not mistaken for a good verdict; and for
//! each property a test plants that very fault and sees it reported by name.

pub mod history;
#[cfg(test)]
pub(crate) mod planted;
#[cfg(test)]
mod planted_sessions;
pub mod world;
