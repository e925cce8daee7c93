//! What goes wrong with links, clocks, disks, memory and crowds, and a region that joins, over real processes: each test makes the event of a runbook in `docs/operations`, runs each command that the runbook shows, and looks at the
//! figures and sentences by which it tells the operator what to do.
//!
//! What must always hold: what is looked at stands in the runbook (`runbook/mod.rs`), so that it cannot go stale; figures come from regions, never from the test's own knowledge of what it did.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod clocks;
mod control_group;
mod cut;
mod herd;
mod join;
mod latency;
mod leave;
mod memory;
mod memory_limit;
mod messages;
mod metrics;
#[path = "../runbook/mod.rs"]
mod runbook;
mod stand;
mod store;
#[path = "../through_relay/mod.rs"]
mod through_relay;
mod told;
#[path = "../two_regions/mod.rs"]
mod two_regions;
