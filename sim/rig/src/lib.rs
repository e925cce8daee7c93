//! Plays conversations against real region processes and collects what their clients saw.
//!
//! ```text
//!   plan ──▶ people (a client each) ──WebSocket──▶ regions (a process each) ──QUIC──▶ relay ──▶ regions
//!              │ histories                          │ exports, disks              ▲ cuts
//!              ▼                                    ▼                             │
//!            evidence ──▶ checks ──▶ report       faults: kill -9, restart, cut, mend
//! ```
//! What must always hold: it decides nothing about right or wrong. It plays the plan, writes down what clients are told, and hands over; a
//! report is made for every run whose regions were started, whatever went wrong after.

mod bench;
mod calm;
mod clock;
mod collect;
mod crowd;
mod faults;
mod limits;
mod logs;
mod options;
mod people;
mod processes;
mod recorder;
mod replay;
mod scan_disks;

pub use bench::{
    BenchFigures, BenchSettings, CatchUpFigures, CatchUpSettings, JoinFigures, JoinSettings, Line, bench,
    catch_up, join,
};
pub use logs::{LogFileError, read_log};
pub use options::{
    Distances, Progress, ReplayError, ReplayOptions, Signer, WORLD_PLACEMENT, pinned_placement,
};
pub use replay::{Outcome, Running, replay};
