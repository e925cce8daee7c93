//! Marks on rare branches: what a test run reached, and what it never did.
//!
//! A soak of a million seeds says nothing about a branch that none of them took. So each rare branch of a core is named by a mark, one line in the
//! branch, and whoever runs the cores lists the marks that were never reached. The idea is FoundationDB's `TEST` macro and Antithesis's "sometimes" assertions.
//!
//! What must always hold: a mark decides nothing and is read by no core, so a run is the same with and without it. Its count is of the whole process,
//! however many threads run cores: a relaxed increment, some nanoseconds on a branch that is rare.

use std::sync::atomic::{AtomicU64, Ordering};

/// A rare branch.
#[derive(Debug)]
pub struct Mark {
    /// Its name: core and branch.
    pub name: &'static str,
    /// When it is reached, in a sentence.
    pub says: &'static str,
    reached: AtomicU64,
}

impl Mark {
    /// A mark that was not reached yet. [`marks!`](crate::marks) makes them.
    #[must_use]
    pub const fn new(name: &'static str, says: &'static str) -> Self {
        Self { name, says, reached: AtomicU64::new(0) }
    }

    /// This branch is taken.
    pub fn reach(&self) {
        self.reached.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was taken in this process.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.reached.load(Ordering::Relaxed)
    }
}

/// Names a core's rare branches: `marks! { FORK_FOUND = "a peer's chain differs"; … }`. They are the statics of the module, and `ALL` is the list.
#[macro_export]
macro_rules! marks {
    ($($name:ident = $says:literal;)*) => {
        $(#[doc = $says] pub(crate) static $name: $crate::sometimes::Mark =
            $crate::sometimes::Mark::new(concat!(env!("CARGO_PKG_NAME"), "::", stringify!($name)), $says);)*

        /// All marks of this core.
        pub static ALL: &[&$crate::sometimes::Mark] = &[$(&$name),*];
    };
}

marks! {
    CLOCK_BEHIND_CONVERSATION = "a timestamp is issued above the clock, since the conversation or its author is ahead of it";
    ROSTER_CONCURRENT = "a change of a roster is concurrent with another one that is not folded yet";
    ROSTER_UNDONE = "what a change of a roster had done is void by one that was concurrent with it";
    ROSTER_FOLDED = "changes of a roster are folded";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_how_often_its_branch_is_taken_and_names_its_core() {
        static BRANCH: Mark = Mark::new("crdt::BRANCH", "a test");
        assert_eq!(BRANCH.count(), 0);
        BRANCH.reach();
        BRANCH.reach();
        assert_eq!(BRANCH.count(), 2);
        assert!(ALL.iter().all(|mark| mark.name.starts_with("crdt::") && !mark.says.is_empty()));
    }
}
