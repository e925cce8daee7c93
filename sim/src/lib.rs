//! What plays real and generated conversations against Archipelago, and what judges the outcome. Pure.
//!
//! ```text
//!   logs ──▶ schedule ──▶ plan ──(the rig plays it)──▶ histories, exports, scans ──▶ checks ──▶ report
//! ```
//! What must always hold: the checks judge by what clients were told and shown, and by what lies in exports and on disks, never by
//! what servers say of themselves; workload and checks know nothing of each other but the documented formats.

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

pub mod checks;
pub mod conversation_log;
pub mod evidence;
pub mod faults;
pub mod figures;
pub mod generated;
pub mod history;
pub mod limits;
pub mod note_event;
pub mod outcome;
pub mod page;
pub mod plan;
pub mod replay_plan;
pub mod report;
pub mod run;
pub mod scan;
pub mod scenario;
pub mod schedule;
pub mod script;
pub mod shrink;
pub mod sometimes;
pub mod world;
