//! What a core holds at the moment beside what it may hold at most: for metrics, and for whoever holds cores to their limits.
//!
//! What must always hold: `held` is at most `limit` after every step, whatever was put in. Saying so costs a few comparisons, so it may be asked after
//! each.

/// One queue, buffer, window or table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub what: &'static str,
    /// How much is in it, in bytes or entries.
    pub held: usize,
    /// How much may be, in the same.
    pub limit: usize,
}

impl Held {
    /// So much of that, of at most so much.
    #[must_use]
    pub const fn new(what: &'static str, held: usize, limit: usize) -> Self {
        Self { what, held, limit }
    }
}
