//! The bridge: moves log entries between two regions, in order, and does not know what a message is.
//!
//! What must always hold:
//! - A region issues an operation at the end of its log, on top of all it has applied; a peer takes a region's log in order
//!   and goes past an entry only when it has applied it or already had it. So every log is a linear extension of
//!   happened-before (the prefix property of Bayou's anti-entropy, Petersen et al., SOSP 1997), and a version vector
//!   says exactly what a region has.
//! - Entries of a partition go only to regions of its placement: sending needs a [`placement::MaySend`], which only the placements give.
//! - A slow peer holds no memory: what it lacks stays in the log until its pipe asks for the next frame.

pub mod commit;
pub mod log;
pub mod placement;
pub mod register;
pub mod stability;
