//! How much a peer may have sent that this side has not read: as much as keeps the pipe full, and hardly more.
//!
//! A window as large as the longest and fastest link could need is, on any other, a queue: a live message waits behind all that a catch-up has put into it, for as long as
//! this side needs to read that. So the window follows what comes: the best rate of late, for one round trip and [`QUEUE`]. As long as the link or the peer
//! has more to give, each round brings a little more than the one before it, and the window grows with it; once nothing more comes, what waits on the way is what comes in [`QUEUE`] and an eighth of the way.
//! At first it grows by half each round, until a round brings no more or something waits: a sender that doubles overshoots by what a router has no room for, and at a long way what is lost then
//! costs seconds. What counts is what came, in whatever order: after a loss nothing can be read for a round trip, and then all of it at once.
//! A sender is thereby held back before it fills the queues of routers, and loses less.
//!
//! What must always hold: the window stays within its limits; a peer that sends less than it may tells nothing, and changes nothing, unless bytes wait on the way or here; a way that has become longer is noticed within
//! two [`SPAN`]s, or each round would bring less than the one before it.

use crate::limits::{QUEUE, RECEIVE_WINDOW_BYTES, RECEIVE_WINDOW_BYTES_MIN, SPAN};
use std::time::{Duration, Instant};

/// Rounds of which the best counts: a thread that was not scheduled for one of them costs no window.
const ROUNDS: usize = 8;

/// Rounds that may bring no more while the window grows by half: one says little.
const LEAPS: u8 = 3;

/// The window of one connection.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    bytes: u64,
    round_began: Instant,
    /// What the connection had brought when the round began.
    received: u64,
    /// For how long nobody took what was read.
    held_up: Duration,
    /// Bytes a second, of the last rounds.
    rates: [u64; ROUNDS],
    rounds: usize,
    /// Rounds left that may bring no more before the window grows by half no longer.
    leaps: u8,
    span_began: Instant,
    /// The shortest round trip of this span and of the one before it.
    shortest: Duration,
    shortest_before: Option<Duration>,
}

impl ReceiveWindow {
    /// At first the least, on a connection that has brought so many bytes.
    pub(crate) const fn new(now: Instant, received: u64) -> Self {
        Self {
            bytes: RECEIVE_WINDOW_BYTES_MIN as u64,
            round_began: now,
            received,
            held_up: Duration::ZERO,
            rates: [0; ROUNDS],
            rounds: 0,
            leaps: LEAPS,
            span_began: now,
            shortest: Duration::MAX,
            shortest_before: None,
        }
    }

    /// Whether a round is over: then [`Self::renew`] is to be called.
    pub(crate) fn is_due(&self, now: Instant, round_trip: Duration) -> bool {
        now.duration_since(self.round_began) >= round_trip.max(QUEUE)
    }

    /// Notes that for so long nobody took what was read.
    pub(crate) fn note_held_up(&mut self, held_up: Duration) {
        self.held_up += held_up;
    }

    /// The window from now on, if it changes. `received` is what the connection has brought in all, `round_trip` the one of late, `least` the shortest ever seen.
    pub(crate) fn renew(
        &mut self,
        now: Instant,
        received: u64,
        round_trip: Duration,
        least: Duration,
    ) -> Option<u32> {
        self.shortest = self.shortest.min(round_trip);
        let into_span = now.duration_since(self.span_began);
        if into_span >= SPAN {
            (self.span_began, self.shortest_before) = (now, Some(self.shortest));
            self.shortest = round_trip;
        }
        let least = match self.shortest_before {
            Some(shortest) if shortest > pipe(least) => shortest,
            Some(_) | None => least,
        };
        let elapsed = now.duration_since(self.round_began);
        let elapsed_us = micros(elapsed).max(1);
        let rate = received.saturating_sub(self.received).saturating_mul(1_000_000) / elapsed_us;
        (self.round_began, self.received) = (now, received);
        let pipe_us = micros(pipe(least));
        let is_slow = std::mem::take(&mut self.held_up) > elapsed / 2 || round_trip > pipe(least);
        // It was given four times as much room as it took, and neither the way nor this side was why.
        if rate.saturating_mul(pipe_us) / 1_000_000 < self.bytes / 4 && !is_slow {
            return None;
        }
        let before = self.rates.iter().copied().max().unwrap_or(0);
        self.rates[self.rounds % ROUNDS] = rate;
        self.rounds += 1;
        let best = self.rates.iter().copied().max().unwrap_or(rate);
        let mut bytes = best.saturating_mul(pipe_us) / 1_000_000;
        if is_slow {
            self.leaps = 0;
        } else if rate < before.saturating_add(before / 8) {
            self.leaps = self.leaps.saturating_sub(1);
        }
        if self.leaps > 0 {
            bytes = bytes.saturating_add(bytes / 2);
        } else if into_span < least * 2 || into_span >= SPAN {
            // Each span begins with a little less, so that what waits on the way drains and its true length shows.
            bytes = bytes / 4 * 3;
        }
        let bytes = bytes.clamp(RECEIVE_WINDOW_BYTES_MIN.into(), RECEIVE_WINDOW_BYTES.into());
        let before = std::mem::replace(&mut self.bytes, bytes);
        u32::try_from(bytes).ok().filter(|_| bytes != before)
    }
}

/// How long a byte is on its way at most: a round trip, an eighth of it, and the queue. A peer is told of room in eighths of the window, so with less it would never grow; with more, what waits
/// on a long way is more than routers keep.
fn pipe(round_trip: Duration) -> Duration {
    round_trip + round_trip / 8 + QUEUE
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(160);

    /// Rounds over a link that carries so many bytes a second at most, when the way is that long. Returns the window after each.
    fn play(
        window: &mut ReceiveWindow,
        now: &mut Instant,
        rounds: usize,
        rate: u64,
        way: Duration,
    ) -> Vec<u64> {
        let windows = (0..rounds).map(|_| {
            let queued_us = (window.bytes.saturating_mul(1_000_000) / rate).saturating_sub(micros(way));
            let round_trip = way + Duration::from_micros(queued_us);
            let round = round_trip.max(QUEUE);
            *now += round;
            let most = rate.saturating_mul(micros(round)) / 1_000_000;
            let room = window.bytes.saturating_mul(micros(round)) / micros(round_trip);
            assert!(window.is_due(*now, round_trip));
            let received = window.received + most.min(room);
            window.renew(*now, received, round_trip, ROUND_TRIP.min(way));
            window.bytes
        });
        windows.collect()
    }

    #[test]
    fn it_settles_at_what_the_link_carries_and_a_little_more() {
        let mut now = Instant::now();
        let mut window = ReceiveWindow::new(now, 0);
        let rate = 25_000_000;
        let windows = play(&mut window, &mut now, 40, rate, ROUND_TRIP);
        let product = rate * 160 / 1_000;
        assert!(
            windows.iter().position(|bytes| *bytes > product).is_some_and(|rounds| rounds < 10),
            "{windows:?}"
        );
        let settled = &windows[20..];
        assert!(settled.iter().all(|bytes| *bytes <= rate * 202 / 1_000), "{settled:?}");
        assert!(settled.iter().filter(|bytes| **bytes > product).count() >= 16, "{settled:?}");
    }

    #[test]
    fn a_slow_reader_is_given_little_and_a_faster_one_more_again() {
        let mut now = Instant::now();
        let mut window = ReceiveWindow::new(now, 0);
        let way = Duration::from_millis(10);
        let slow = play(&mut window, &mut now, 30, 30_000_000, way);
        assert!(slow[20..].iter().all(|bytes| *bytes < 700_000), "{slow:?}");
        let fast = play(&mut window, &mut now, 60, 200_000_000, way);
        assert!(fast[50..].iter().all(|bytes| *bytes > 2_000_000), "{fast:?}");
    }

    #[test]
    fn who_does_not_take_what_is_read_is_sent_less() {
        let mut now = Instant::now();
        let mut window = ReceiveWindow::new(now, 0);
        let way = Duration::from_millis(1);
        let fast = play(&mut window, &mut now, 20, 200_000_000, way);
        assert!(fast[10..].iter().all(|bytes| *bytes > 1_000_000), "{fast:?}");
        for _ in 0..10 {
            now += Duration::from_millis(20);
            window.note_held_up(Duration::from_millis(15));
            assert!(window.is_due(now, way));
            window.renew(now, window.received + 400_000, way, way);
        }
        assert_eq!(window.bytes, u64::from(RECEIVE_WINDOW_BYTES_MIN));
    }

    #[test]
    fn silence_changes_nothing() {
        let mut now = Instant::now();
        let mut window = ReceiveWindow::new(now, 0);
        for _ in 0..100 {
            now += Duration::from_secs(1);
            assert!(window.is_due(now, ROUND_TRIP));
            assert_eq!(window.renew(now, window.received + 1_000, ROUND_TRIP, ROUND_TRIP), None);
        }
        assert_eq!(window.bytes, u64::from(RECEIVE_WINDOW_BYTES_MIN));
    }

    #[test]
    fn a_way_that_has_become_longer_is_noticed() {
        let mut now = Instant::now();
        let mut window = ReceiveWindow::new(now, 0);
        play(&mut window, &mut now, 40, 25_000_000, ROUND_TRIP);
        let longer = play(&mut window, &mut now, 200, 25_000_000, ROUND_TRIP * 3 / 2);
        let product = 25_000_000 * 240 / 1_000;
        assert!(longer[190..].iter().filter(|bytes| **bytes > product).count() >= 7, "{:?}", &longer[190..]);
    }
}
