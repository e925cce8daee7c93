//! The timers of a bridge: a closed set, each with what happens when it fires.
//!
//! A timer is set by [`Output::SetTimer`](crate::output::Output::SetTimer), which replaces an earlier one of the same name. It may fire late.
//! Firing one that no longer matters changes nothing, so drivers need not cancel.
//!
//! | timer | set when | fires |
//! | --- | --- | --- |
//! | redial | a connection ended or could not be made, and this side dials | dial again |
//! | registers | registers began to wait for company | they go |
//! | references | references began to wait for a commit | they go alone |
//! | patience | a reference's body is not here | it is fetched from the peer |
//! | probe | the bridge opened, and after each probe | the clocks are compared, and what has changed is stated |

/// Which timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Dials the peer again.
    Redial,
    /// Sends the registers that were held back.
    Registers,
    /// Sends the references that were held back.
    References,
    /// Fetches what has not come by itself.
    Patience,
    /// Asks for the peer's clock.
    Probe,
}
