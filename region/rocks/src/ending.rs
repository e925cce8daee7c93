//! How a region ends when it must not go on: its store failed, or peers know more of it than it does.
//!
//! What must always hold: once a region has said that it ends, it tells peers and devices nothing more. A process of its own ends at
//! once, without destructors: nothing may write, and no other thread may go on telling.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

/// What is done when a region must end.
#[derive(Clone)]
pub struct Ending(Arc<dyn Fn(&str) + Send + Sync>);

impl Ending {
    /// Ends the process by SIGABRT, with the reason on standard error and in the log. What a region process uses.
    #[must_use]
    pub fn abort() -> Self {
        Self::new(|why| {
            tracing::error!(why, "this region ends");
            // Standard error may be a file on the very disk that is full; the end must not depend on it.
            let _ = writeln!(std::io::stderr(), "archipelago: this region ends: {why}");
            std::process::abort()
        })
    }

    /// Calls `end` with the reason. For many regions in one process: `end` must see to it that this one is asked nothing more.
    #[must_use]
    pub fn new(end: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(end))
    }

    pub(crate) fn end(&self, why: &str) {
        (self.0)(why);
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ending")
    }
}
