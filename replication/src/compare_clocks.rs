//! Comparing the clocks of two regions: a probe and its answer, as in NTP (RFC 5905, section 8), with the trip's uncertainty allowed for.
//!
//! Clocks decide nothing here; a difference misplaces messages, so an operator is told once when it begins. A slow link is never
//! taken for a wrong clock: half the round trip is given away.

use crate::bridge::{Bridge, Stop, Turn};
use crate::limits::{DRIFT_MS_MAX, PROBE_MS};
use crate::output::{Alarm, Output};
use crate::proto;
use crate::reason::Reason;
use crate::timers::Timer;

/// How far the peer's clock is ahead of ours, as the last probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// Microseconds; below zero if it is behind.
    pub ahead_us: i64,
    /// By how much that may be wrong: half the probe's round trip.
    pub uncertain_us: u64,
}

/// What is known of the peer's clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clocks {
    /// The reading in the probe that is not answered yet.
    asked_us: Option<u64>,
    /// The difference is above the limit, and has been reported.
    pub(crate) apart: bool,
    /// What the last probe on this connection found.
    offset: Option<ClockOffset>,
}

impl Clocks {
    pub(crate) fn forget_connection(&mut self) {
        (self.asked_us, self.offset) = (None, None);
    }
}

impl Bridge {
    /// How far the peer's clock is ahead; none before the first answer on a connection.
    #[must_use]
    pub const fn clock_offset(&self) -> Option<ClockOffset> {
        self.clocks.offset
    }

    /// Asks for the peer's clock, and again later.
    pub(crate) fn probe(&mut self, turn: &mut Turn<'_>) {
        if self.phase < crate::bridge::Phase::Resuming {
            return;
        }
        if self.clocks.asked_us.is_none() {
            self.outbox.probe = true;
        }
        turn.out.push(Output::SetTimer { timer: Timer::Probe, at: turn.now.plus_ms(PROBE_MS) });
    }

    /// The probe as it is sent.
    pub(crate) fn take_probe_to_send(&mut self, turn: &Turn<'_>) -> Option<proto::Probe> {
        if !std::mem::take(&mut self.outbox.probe) {
            return None;
        }
        self.clocks.asked_us = Some(turn.now.0);
        Some(proto::Probe { sent_us: turn.now.0 })
    }

    /// Compares the clocks.
    pub(crate) fn take_probe_answer(
        &mut self,
        turn: &mut Turn<'_>,
        answer: &proto::ProbeAnswer,
    ) -> Result<(), Stop> {
        let asked = self.clocks.asked_us.take().filter(|asked| *asked == answer.sent_us);
        let Some(asked) = asked else {
            return Err(Reason::OutOfTurn("an answer to a probe that was not sent").into());
        };
        let trip = turn.now.0.saturating_sub(asked);
        let ahead_us = i64::try_from(i128::from(answer.clock_us) - i128::from(asked + trip / 2));
        // What does not fit is an age of the world away, and told by the alarm.
        let offset = ahead_us.map(|ahead_us| ClockOffset { ahead_us, uncertain_us: trip / 2 });
        self.clocks.offset = offset.ok();
        self.judge_clock(turn, answer.clock_us, asked + trip / 2, trip / 2);
        Ok(())
    }

    /// Reports a difference that begins to be above the limit. `uncertain_us` is given away.
    pub(crate) fn judge_clock(
        &mut self,
        turn: &mut Turn<'_>,
        theirs_us: u64,
        ours_us: u64,
        uncertain_us: u64,
    ) {
        let apart_us = theirs_us.abs_diff(ours_us).saturating_sub(uncertain_us);
        let apart = apart_us > DRIFT_MS_MAX * 1_000;
        if apart && !self.clocks.apart {
            crate::sometimes::CLOCKS_APART.reach();
            let magnitude = i64::try_from(theirs_us.abs_diff(ours_us) / 1_000).unwrap_or(i64::MAX);
            turn.out.push(Output::Alarm(Alarm::ClockDrift {
                own: self.config.own,
                peer: self.config.peer,
                drift_ms: if theirs_us >= ours_us { magnitude } else { -magnitude },
                limit_ms: DRIFT_MS_MAX,
            }));
        }
        self.clocks.apart = apart;
    }
}
