//! The bridge: moves log entries between two regions, in order, and does not know what a message is.
//!
//! What must always hold:
//! - A region issues an operation at the end of its log, on top of all it has applied; a peer takes a region's log in order
//!   and goes past an entry only when it has applied it or already had it. So every log is a linear extension of
//!   happened-before (the prefix property of Bayou's anti-entropy, Petersen et al., SOSP 1997), and a version vector
//!   says exactly what a region has.
//! - Entries of a partition go only to regions of its placement: sending needs a [`placement::MaySend`], which only the placements give.
//! - A slow peer holds no memory: what it lacks stays in the log until its pipe asks for the next frame.

#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]

mod bases;
pub mod bridge;
mod catch_up;
pub mod commit;
mod compare_clocks;
mod compare_states;
pub mod delivery;
mod entry_codec;
mod envelope_window;
pub mod epoch;
mod feeds;
mod fetch_missing;
mod frame;
mod greet;
pub mod input;
mod learn_epochs;
pub mod limits;
pub mod log;
pub mod output;
mod partition;
pub mod placement;
mod print_state;
pub mod reason;
mod receive_entries;
mod redial;
pub mod register;
mod resume;
mod send_entries;
mod send_frame;
mod sent;
mod shared;
pub mod signature;
pub mod snapshot;
pub mod sometimes;
pub mod stability;
mod stop_partition;
mod store_start;
pub mod timers;

/// Generated from `proto/bridge.proto`.
#[allow(missing_debug_implementations, unreachable_pub, clippy::doc_markdown)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/archipelago.bridge.rs"));
}

pub use bridge::{Bridge, Config, Fatal, OwnStore};
pub use compare_clocks::ClockOffset;
pub use compare_states::Compared;
pub use delivery::Delivery;
pub use input::Input;
pub use output::{Alarm, Output};
pub use reason::Reason;
pub use sent::Sent;
pub use store_start::{StoreId, StoreStart};
pub use timers::Timer;
