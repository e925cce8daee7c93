//! Dialling: the region with the lower number dials, and after a connection ended it does so again, later and later.
//!
//! Full jitter (a random time up to a doubling limit), so that regions that lost each other together do not come back together. A bridge never
//! gives up, also after a refusal (later then): what was refused may be mended. A fenced region dials nobody.

use crate::bridge::{Bridge, Phase, Turn};
use crate::limits::{REDIAL_MS_MAX, REDIAL_MS_MIN, REDIAL_REFUSED_MS};
use crate::output::Output;
use crate::timers::Timer;
use rand_core::RngCore;

impl Bridge {
    fn dials(&self) -> bool {
        self.config.own < self.config.peer && !self.fenced
    }

    /// Dials, if that is this side's part and there is no connection.
    pub(crate) fn dial(&self, turn: &mut Turn<'_>) {
        if self.dials() && self.phase == Phase::Down {
            turn.out.push(Output::Dial);
        }
    }

    /// Dials again after a while.
    pub(crate) fn redial_later(&mut self, turn: &mut Turn<'_>, entropy: &mut dyn RngCore, refused: bool) {
        if !self.dials() {
            return;
        }
        if self.opened_at.is_some_and(|opened| turn.now > opened.plus_ms(REDIAL_MS_MAX)) {
            self.failures = 0;
        }
        let wait = if refused {
            REDIAL_REFUSED_MS / 2 + entropy.next_u64() % (REDIAL_REFUSED_MS / 2)
        } else {
            let longest = REDIAL_MS_MIN.saturating_mul(1 << self.failures.min(16)).min(REDIAL_MS_MAX);
            1 + entropy.next_u64() % longest
        };
        self.failures = self.failures.saturating_add(1);
        if self.failures > 5 {
            crate::sometimes::REDIALS_SELDOM.reach();
        }
        turn.out.push(Output::SetTimer { timer: Timer::Redial, at: turn.now.plus_ms(wait) });
    }
}
