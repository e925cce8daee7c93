//! How much a connection may have under way: what cubic says, which grows only while that is what holds it back.
//!
//! Where the peer's window is the narrower one, packets are acknowledged and none is lost, so that cubic goes on growing into what nobody has tried. QUIC paces by cubic's window: as soon as the peer
//! tells of room, all of it leaves at many times the link's rate, and a router's queue overflows. A window is to grow no further than it is used (RFC 9002, section 7.8), here by half (RFC 7661 has twice).
//!
//! What must always hold: what was lost counts as it always does; a connection that uses its window is held back by nothing but cubic.

use crate::limits::GROWS_FREELY_BYTES;
use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Round trips of which the best counts.
const ROUNDS: usize = 8;

/// Makes the windows of connections.
#[derive(Debug, Default)]
pub(crate) struct CarriedConfig;

impl ControllerFactory for CarriedConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let cubic = Arc::new(CubicConfig::default()).build(now, current_mtu);
        Box::new(Window { cubic, carried: Carried::new(now) })
    }
}

/// The window of one connection.
struct Window {
    cubic: Box<dyn Controller>,
    carried: Carried,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cubic, carried } = self;
        f.debug_struct("Window").field("bytes", &cubic.window()).field("carried", carried).finish()
    }
}

impl Controller for Window {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.carried.note(now, bytes, rtt.get());
        let is_unused = !self.carried.uses(self.cubic.window());
        self.cubic.on_ack(now, sent, bytes, app_limited || is_unused, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.cubic.on_congestion_event(now, sent, is_persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { cubic: self.cubic.clone_box(), carried: self.carried.clone() })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What was carried in a round trip of late.
#[derive(Debug, Clone)]
struct Carried {
    round_began: Instant,
    /// Acknowledged since then.
    bytes: u64,
    /// Of the last round trips.
    rounds: [u64; ROUNDS],
    count: usize,
}

impl Carried {
    const fn new(now: Instant) -> Self {
        Self { round_began: now, bytes: 0, rounds: [0; ROUNDS], count: 0 }
    }

    /// Notes what was acknowledged.
    fn note(&mut self, now: Instant, bytes: u64, round_trip: Duration) {
        self.bytes = self.bytes.saturating_add(bytes);
        let elapsed = now.duration_since(self.round_began);
        if elapsed < round_trip || elapsed.is_zero() {
            return;
        }
        let carried = u128::from(self.bytes) * round_trip.as_micros() / elapsed.as_micros().max(1);
        self.rounds[self.count % ROUNDS] = u64::try_from(carried).unwrap_or(u64::MAX);
        self.count += 1;
        (self.round_began, self.bytes) = (now, 0);
    }

    /// Whether a window of so many bytes is made use of, or is so small that it may grow for all that.
    fn uses(&self, window: u64) -> bool {
        let best = self.rounds.iter().copied().max().unwrap_or(0);
        window < best.saturating_add(best / 2).max(GROWS_FREELY_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(160);

    /// Ten acknowledgements a round trip, of so many bytes together.
    fn carry(carried: &mut Carried, now: &mut Instant, rounds: u32, bytes: u64) {
        for _ in 0..rounds * 10 {
            *now += ROUND_TRIP / 10;
            carried.note(*now, bytes / 10, ROUND_TRIP);
        }
    }

    #[test]
    fn a_window_grows_by_half_beyond_what_was_carried_and_no_further() {
        let mut now = Instant::now();
        let mut carried = Carried::new(now);
        carry(&mut carried, &mut now, 4, 4_000_000);
        assert!(carried.uses(5_900_000));
        assert!(!carried.uses(6_100_000));
    }

    #[test]
    fn a_small_window_grows_though_little_was_carried() {
        let carried = Carried::new(Instant::now());
        assert!(carried.uses(GROWS_FREELY_BYTES - 1));
        assert!(!carried.uses(GROWS_FREELY_BYTES));
    }

    #[test]
    fn a_round_in_which_nothing_came_through_is_not_what_the_link_carries_and_eight_are() {
        let mut now = Instant::now();
        let mut carried = Carried::new(now);
        carry(&mut carried, &mut now, 4, 4_000_000);
        carry(&mut carried, &mut now, 7, 0);
        assert!(carried.uses(5_000_000));
        carry(&mut carried, &mut now, 2, 0);
        assert!(!carried.uses(5_000_000));
    }

    #[test]
    fn what_is_acknowledged_late_counts_for_the_time_that_it_took() {
        let mut now = Instant::now();
        let mut carried = Carried::new(now);
        now += ROUND_TRIP * 4;
        carried.note(now, 8_000_000, ROUND_TRIP);
        assert!(carried.uses(2_900_000));
        assert!(!carried.uses(3_100_000));
    }
}
