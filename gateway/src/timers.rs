//! The timers of a session: a closed table, of which the driver sees only the earliest.
//!
//! What must always hold: the driver's one timer is never later than the earliest here. It may be earlier (a heartbeat moves with every frame,
//! and telling the driver each time would cost more than one idle wake-up).

use crdt::Now;
use std::collections::BTreeMap;

/// What a session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// No hello came: closes with `hello_timeout`.
    Hello,
    /// Nothing was heard: closes with `heartbeat_missed`.
    Silence,
    /// The token expires: closes with `token_expired`.
    Token,
    /// Gathered ticks are sent.
    Ticks,
    /// This device's turn to be sent away by a draining region.
    Drain,
}

/// Which are running.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<Timer, Now>,
    announced: Option<Now>,
}

impl Timers {
    /// Starts it, or moves it.
    pub(crate) fn set(&mut self, timer: Timer, at: Now) {
        self.due.insert(timer, at);
    }

    /// Starts it unless it runs.
    pub(crate) fn set_unless_running(&mut self, timer: Timer, at: Now) {
        self.due.entry(timer).or_insert(at);
    }

    /// Stops it.
    pub(crate) fn clear(&mut self, timer: Timer) {
        self.due.remove(&timer);
    }

    /// Stops and gives those whose time has come. The driver's timer has fired.
    pub(crate) fn take_due(&mut self, now: Now) -> Vec<Timer> {
        self.announced = None;
        let due: Vec<Timer> =
            self.due.iter().filter(|(_, at)| **at <= now).map(|(timer, _)| *timer).collect();
        self.due.retain(|_, at| *at > now);
        due
    }

    /// The time to tell the driver, if it must be told a new one.
    pub(crate) fn announce(&mut self) -> Option<Now> {
        let earliest = self.due.values().min().copied()?;
        if self.announced.is_some_and(|announced| announced <= earliest) {
            return None;
        }
        self.announced = Some(earliest);
        Some(earliest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_moves_later_is_not_announced_again_until_the_driver_wakes() {
        let mut timers = Timers::default();
        timers.set(Timer::Silence, Now(90));
        assert_eq!(timers.announce(), Some(Now(90)));
        timers.set(Timer::Silence, Now(100));
        assert_eq!(timers.announce(), None);
        assert_eq!(timers.take_due(Now(90)), []);
        assert_eq!(timers.announce(), Some(Now(100)));
        timers.set(Timer::Ticks, Now(95));
        assert_eq!(timers.announce(), Some(Now(95)));
    }
}
