//! How much a connection may have under way: what its link was seen to carry in a round trip and a fifth, and never more than cubic says.
//!
//! Cubic alone grows until a router's queue is full, and where the peer's window is the narrower one it goes on growing into what nobody has tried: as soon as the peer tells of room, all of it
//! leaves at many times the link's rate. What is lost then is repaired by a window that takes many seconds to grow again over a long way. So what is under way follows what was carried, in the manner
//! of BBR (Cardwell et al., ACM Queue 2016): the best rate of late, times the shortest round trip of late. Cubic is left for links that others fill, and may stand higher, so that one loss changes nothing.
//!
//! What must always hold: cubic is told of every loss, and of nothing that was not used (RFC 9002, section 7.8); a round trip in which there was nothing to send says nothing against the link.

use crate::limits::{BEGINS_WITH_BYTES, GROWS_FREELY_BYTES, QUEUE};
use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Round trips of which the best counts.
const ROUNDS: usize = 8;
/// What may be under way, in hundredths of what was carried: a queue of a fifth of the way is filled and no more, and a link that carries more is found by a fifth a round trip.
const AHEAD_PERCENT: u64 = 120;
/// The same as long as each few round trips carry a quarter more than those before.
const STARTING_PERCENT: u64 = 150;
/// Round trips without that after which the link counts as full.
const FLAT_ROUNDS: u32 = 3;
/// What part of a round trip more says that what is sent waits somewhere, and so that the link is full.
const WAITS_FROM: u32 = 16;
/// How far cubic grows: what is left of it after a loss is what may be under way.
const CUBIC_PERCENT: u64 = 175;
const _: () =
    assert!(CUBIC_PERCENT * 7 / 10 >= AHEAD_PERCENT, "cubic keeps seven tenths after a loss (RFC 9438)");
/// For how long a round trip counts as the shortest: routes change.
const SHORTEST_FOR: Duration = Duration::from_secs(10);

/// Makes the windows of connections.
#[derive(Debug, Default)]
pub(crate) struct CarriedConfig;

impl ControllerFactory for CarriedConfig {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(BEGINS_WITH_BYTES);
        let cubic = Arc::new(cubic).build(now, current_mtu);
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
        self.carried.note(now, bytes, app_limited, rtt.get());
        let is_unused = self.cubic.window() >= self.carried.share(CUBIC_PERCENT);
        self.cubic.on_ack(now, sent, bytes, app_limited || is_unused, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent: bool, lost_bytes: u64) {
        self.carried.has_filled_the_link();
        self.cubic.on_congestion_event(now, sent, is_persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window().min(self.carried.ahead())
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = self.cubic.metrics();
        metrics.congestion_window = self.window();
        metrics
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
    /// Whether there was nothing to send meanwhile, or no room for it at the peer.
    was_idle: bool,
    /// Bytes a second, of the last round trips that say something of the link.
    rates: [u64; ROUNDS],
    count: usize,
    shortest: Duration,
    shortest_at: Instant,
    /// The best rate when it last was a quarter above the one before, and round trips since; none once the link has been full.
    starting: Option<(u64, u32)>,
}

impl Carried {
    const fn new(now: Instant) -> Self {
        Self {
            round_began: now,
            bytes: 0,
            was_idle: false,
            rates: [0; ROUNDS],
            count: 0,
            shortest: Duration::MAX,
            shortest_at: now,
            starting: Some((0, 0)),
        }
    }

    /// Notes what was acknowledged.
    fn note(&mut self, now: Instant, bytes: u64, is_idle: bool, round_trip: Duration) {
        if round_trip <= self.shortest || now.duration_since(self.shortest_at) > SHORTEST_FOR {
            (self.shortest, self.shortest_at) = (round_trip, now);
        }
        if round_trip > self.shortest + self.shortest / WAITS_FROM {
            self.has_filled_the_link();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.was_idle |= is_idle;
        let elapsed = now.duration_since(self.round_began);
        if elapsed < round_trip || elapsed.is_zero() {
            return;
        }
        let rate = u128::from(self.bytes) * 1_000_000 / elapsed.as_micros().max(1);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        if !self.was_idle || rate > self.best() {
            self.rates[self.count % ROUNDS] = rate;
            self.count += 1;
            self.see_whether_it_grows();
        }
        (self.round_began, self.bytes, self.was_idle) = (now, 0, false);
    }

    fn see_whether_it_grows(&mut self) {
        let best = self.best();
        self.starting = match self.starting {
            Some((before, _)) if best > before.saturating_add(before / 4) => Some((best, 0)),
            Some((_, flat)) if flat + 1 >= FLAT_ROUNDS => None,
            Some((before, flat)) => Some((before, flat + 1)),
            None => None,
        };
    }

    /// Something was lost, or waits.
    fn has_filled_the_link(&mut self) {
        self.starting = None;
    }

    fn best(&self) -> u64 {
        self.rates.iter().copied().max().unwrap_or(0)
    }

    /// What may be under way.
    fn ahead(&self) -> u64 {
        self.share(if self.starting.is_some() { STARTING_PERCENT } else { AHEAD_PERCENT })
    }

    /// So many hundredths of what fills the link, or what a window may be for all that.
    fn share(&self, percent: u64) -> u64 {
        if self.count == 0 {
            return GROWS_FREELY_BYTES;
        }
        // Over a short way it is not the way that takes time, but a process that is not scheduled.
        let fills = u128::from(self.best()) * self.shortest.max(QUEUE).as_micros() / 1_000_000;
        let share = fills * u128::from(percent) / 100;
        u64::try_from(share).unwrap_or(u64::MAX).max(GROWS_FREELY_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(160);

    /// A connection over which rounds of ten acknowledgements come.
    struct Link {
        now: Instant,
        carried: Carried,
    }

    impl Link {
        fn new() -> Self {
            let now = Instant::now();
            Self { now, carried: Carried::new(now) }
        }

        /// So many rounds of so many bytes each.
        fn carry(&mut self, rounds: u32, bytes: u64, is_idle: bool, round_trip: Duration) {
            for _ in 0..rounds * 10 {
                self.now += round_trip / 10;
                self.carried.note(self.now, bytes / 10, is_idle, round_trip);
            }
        }

        fn busy(&mut self, rounds: u32, bytes: u64) {
            self.carry(rounds, bytes, false, ROUND_TRIP);
        }
    }

    #[test]
    fn what_is_under_way_is_half_more_than_was_carried_until_that_grows_no_more_and_then_a_fifth() {
        let mut link = Link::new();
        assert_eq!(link.carried.ahead(), GROWS_FREELY_BYTES);
        link.busy(1, 100_000);
        assert_eq!(link.carried.ahead(), GROWS_FREELY_BYTES);
        for bytes in [1_000_000, 1_500_000, 2_000_000, 4_000_000] {
            link.busy(1, bytes);
            assert_eq!(link.carried.ahead(), bytes * 3 / 2);
        }
        link.busy(2, 4_100_000);
        assert_eq!(link.carried.ahead(), 6_150_000);
        link.busy(1, 4_100_000);
        assert_eq!(link.carried.ahead(), 4_920_000);
        link.busy(4, 8_000_000);
        assert_eq!(link.carried.ahead(), 9_600_000, "a fifth each round for ever after");
    }

    #[test]
    fn what_is_lost_or_waits_ends_the_beginning() {
        for ends in [Carried::has_filled_the_link, |carried: &mut Carried| {
            let now = carried.round_began;
            carried.note(now, 0, false, ROUND_TRIP * 18 / 16);
        }] {
            let mut link = Link::new();
            link.busy(1, 1_000_000);
            link.carried.note(link.now, 0, false, ROUND_TRIP * 17 / 16);
            assert_eq!(link.carried.ahead(), 1_500_000);
            ends(&mut link.carried);
            assert_eq!(link.carried.ahead(), 1_200_000);
        }
    }

    #[test]
    fn a_round_with_nothing_to_send_says_nothing_and_eight_in_which_little_came_through_do() {
        let mut link = Link::new();
        link.carried.has_filled_the_link();
        link.busy(1, 4_000_000);
        link.carry(20, 1_000, true, ROUND_TRIP);
        assert_eq!(link.carried.ahead(), 4_800_000);
        link.carry(1, 5_000_000, true, ROUND_TRIP);
        assert_eq!(link.carried.ahead(), 6_000_000, "that much was carried, for all that");
        link.busy(7, 1_000_000);
        assert_eq!(link.carried.ahead(), 6_000_000);
        link.busy(1, 1_000_000);
        assert_eq!(link.carried.ahead(), 1_200_000);
    }

    #[test]
    fn what_waits_in_a_queue_fills_no_link_and_a_longer_way_is_believed_after_ten_seconds() {
        let mut link = Link::new();
        link.carried.has_filled_the_link();
        link.busy(1, 4_000_000);
        // At the same rate more is under way, since it waits.
        link.carry(4, 6_000_000, false, ROUND_TRIP * 3 / 2);
        assert_eq!(link.carried.ahead(), 4_800_000);
        link.carry(50, 6_000_000, false, ROUND_TRIP * 3 / 2);
        assert_eq!(link.carried.ahead(), 7_200_000);
    }

    #[test]
    fn over_a_short_way_as_much_may_be_under_way_as_a_thread_leaves_waiting_that_is_not_scheduled() {
        let mut link = Link::new();
        link.carried.has_filled_the_link();
        link.carry(1, 100_000, false, Duration::from_millis(1));
        assert_eq!(link.carried.ahead(), 1_200_000, "100 MB/s for ten milliseconds, and a fifth");
    }

    #[test]
    fn what_is_acknowledged_late_counts_for_the_time_that_it_took() {
        let mut link = Link::new();
        link.carried.has_filled_the_link();
        link.now += ROUND_TRIP * 4;
        link.carried.note(link.now, 8_000_000, false, ROUND_TRIP);
        assert_eq!(link.carried.ahead(), 2_400_000);
    }
}
