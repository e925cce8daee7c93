//! Promise 11: every queue, buffer, window and table that input can grow keeps its limit, at every step.
//!
//! Cores say after each step what they hold beside what they may; the world's drivers say it of what stands between cores: mailboxes, changes that wait for a session,
//! what is on its way on links and lines. What this does not see: tables of one conversation within a core (identities, marks, receipts), which would have
//! to be counted one by one, and memory that is not counted anywhere.

use super::{Checker, Oracle};
use crate::world::Moment;
use crdt::held::Held;
use std::fmt::Display;

impl Oracle {
    /// Somebody holds all this.
    pub(crate) fn hold(&mut self, at: Moment, who: impl Display, held: &[Held]) {
        if self.is_off {
            return;
        }
        self.look_at(Checker::Bounded);
        if let Some(Held { what, held, limit }) = held.iter().find(|held| held.held > held.limit) {
            self.violate(at, Checker::Bounded, format!("{who} holds {held} of {what}, at most {limit}"));
        }
    }
}
