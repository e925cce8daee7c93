//! One direction of a network path under a reliable, ordered stream: when what is written leaves, and when it can be read at the other end.
//!
//! The naive way, to drop or swap frames, is what no user of QUIC or TCP ever sees. Packets are lost, late and doubled; the stream above shows
//! them as time. So a write is cut into packets here, and each packet's fate is drawn and turned into the time that its repair takes:
//! - *Bandwidth and queue.* The narrowest place sends one byte after the other; what comes meanwhile waits. A write that finds more than the queue holds
//!   loses its tail and repairs it.
//! - *Loss.* A lost packet is sent again when its loss is noticed: by the packets behind it after 9/8 of a round trip (QUIC, RFC 9002 section 6.1) or 5/4 (TCP
//!   with RACK, RFC 8985), or, with none behind it, by a probe: a round trip, the jitter and 25 ms (RFC 9002 6.2), or two round trips (RFC 8985 7.2), then 200 ms
//!   and a round trip (Linux); doubling each time. All that was written later waits for it: the stream is in order.
//! - *Throughput falls with loss* as Mathis et al. 1997 have it: at most 1.22 / sqrt(loss) packets a round trip, which is also the least that CUBIC takes
//!   (RFC 9438 section 4.3). A burst of one round trip's worth goes at once, as a congestion window lets it.
//! - *Late and overtaken packets* delay the stream as far as they are late; *doubled* ones cost bytes and nothing else.
//!
//! Faithful enough, since cores see a stream's times and nothing below it. Left out: slow start, and that a path which loses nearly everything lets a
//! connection die; losses are bounded by [`LOST_PER_MILLION_MAX`], beyond it a way is cut.

use crate::world::dice::Dice;
use crate::world::queue::Moment;
use serde::{Deserialize, Serialize};

/// The most that is lost on a path that counts as working.
pub(crate) const LOST_PER_MILLION_MAX: u32 = 300_000;
/// What a packet carries: the least that QUIC may rely on (RFC 9000 section 14).
const PACKET_BYTES: u64 = 1_200;
/// How long a receiver may hold back its word, in microseconds (RFC 9000 section 18.2).
const ACK_DELAY_US: u64 = 25_000;
/// The least that Linux waits for before it repeats, in microseconds.
const TCP_RETRANSMIT_US: u64 = 200_000;
/// A probe's wait doubles at most so often.
const DOUBLINGS_MAX: u32 = 6;

/// What a path does to packets. Of two that lie on each other the numbers add up, and the smaller queue counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Microseconds from one end to the other, at least.
    pub delay_us: u64,
    /// Up to so many more, any of them as likely.
    pub jitter_us: u64,
    /// Of a million packets, so many are late beyond that: the tail of the distribution, others' bursts in shared queues.
    pub late_per_million: u32,
    /// By up to so many microseconds.
    pub late_us: u64,
    /// Of a million packets, so many are overtaken by those behind them.
    pub overtaken_per_million: u32,
    /// Of a million packets, so many are lost.
    pub lost_per_million: u32,
    /// Of a million packets, so many come twice.
    pub doubled_per_million: u32,
    /// Microseconds that a KiB takes at the narrowest place: 8 Mbit/s are 1,024.
    pub kib_us: u64,
    /// Bytes that wait before the narrowest place; zero for as many as come.
    pub queue_bytes: u64,
}

/// Who repairs what is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Quic,
    Tcp,
}

/// One direction of a path.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    conditions: Conditions,
    transport: Transport,
    /// When the narrowest place is free.
    free_at: Moment,
    /// Until when the congestion window is spent.
    spent_until: Moment,
    /// What becomes of each packet.
    pub(crate) dice: Dice,
    /// What went over it.
    pub(crate) carried: Carried,
}

/// What went over a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Carried {
    /// Bytes of what was written.
    pub written_bytes: u64,
    /// Bytes with what was sent again or came twice.
    pub wire_bytes: u64,
    /// Packets that were lost.
    pub lost_packets: u64,
    /// Writes that found the queue full.
    pub overflows: u64,
}

/// How a write passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Its last byte has passed the narrowest place.
    pub(crate) leaves: Moment,
    /// All of it is at the other end; what was written before may still be missing there.
    pub(crate) arrives: Moment,
}

impl Conditions {
    /// What two that lie on each other do.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let queue_bytes = match (self.queue_bytes, other.queue_bytes) {
            (0, any) | (any, 0) => any,
            (one, other) => one.min(other),
        };
        Self {
            delay_us: self.delay_us + other.delay_us,
            jitter_us: self.jitter_us + other.jitter_us,
            late_per_million: self.late_per_million.saturating_add(other.late_per_million),
            late_us: self.late_us.max(other.late_us),
            overtaken_per_million: self.overtaken_per_million.saturating_add(other.overtaken_per_million),
            lost_per_million: self
                .lost_per_million
                .saturating_add(other.lost_per_million)
                .min(LOST_PER_MILLION_MAX),
            doubled_per_million: self.doubled_per_million.saturating_add(other.doubled_per_million),
            kib_us: self.kib_us + other.kib_us,
            queue_bytes,
        }
    }

    /// Microseconds that a KiB takes at most for the loss there is, by Mathis: 1,024 bytes x round trip x sqrt(loss) / (1,200 bytes x 1.22).
    fn kib_by_loss_us(&self, round_trip_us: u64) -> u64 {
        // The root of the share is this by 100,000.
        let root = (u64::from(self.lost_per_million) * 10_000).isqrt();
        round_trip_us.saturating_mul(root) / 100_000 * 1_024 / 1_464
    }
}

impl Transport {
    /// How long it takes until the packet that was lost for the nth time is sent again.
    fn repair_us(self, round_trip_us: u64, jitter_us: u64, others_follow: bool, nth: u32) -> u64 {
        match (self, nth, others_follow) {
            (Self::Quic, 0, true) => round_trip_us * 9 / 8,
            (Self::Quic, ..) => {
                (round_trip_us + jitter_us.max(1_000) + ACK_DELAY_US) << nth.min(DOUBLINGS_MAX)
            }
            (Self::Tcp, 0, true) => round_trip_us * 5 / 4,
            (Self::Tcp, 0, false) => round_trip_us * 2 + 2_000,
            (Self::Tcp, ..) => (round_trip_us + TCP_RETRANSMIT_US) << (nth - 1).min(DOUBLINGS_MAX),
        }
    }
}

impl Wire {
    pub(crate) fn new(conditions: Conditions, transport: Transport, dice: Dice) -> Self {
        Self { conditions, transport, free_at: 0, spent_until: 0, dice, carried: Carried::default() }
    }

    pub(crate) const fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    pub(crate) fn set(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// So many bytes are written, on a path whose both directions take that long without waiting.
    pub(crate) fn send(&mut self, now: Moment, bytes: usize, round_trip_us: u64) -> Passage {
        let (conditions, bytes) = (self.conditions, bytes as u64);
        let window = self.spent_until.saturating_sub(round_trip_us).max(now);
        self.spent_until =
            self.spent_until.max(now) + conditions.kib_by_loss_us(round_trip_us) * bytes / 1_024;
        let begins = window.max(self.free_at);
        let leaves = begins + conditions.kib_us * bytes / 1_024;
        let waiting_bytes = (begins - now) * 1_024 / conditions.kib_us.max(1);
        let overflows = conditions.queue_bytes > 0 && waiting_bytes > conditions.queue_bytes;
        self.free_at = leaves;
        self.carried.written_bytes += bytes;
        self.carried.wire_bytes += bytes;
        let mut arrives = leaves;
        if overflows {
            self.carried.overflows += 1;
            self.carried.wire_bytes += bytes;
            let jitter_us = conditions.jitter_us;
            arrives += self.transport.repair_us(round_trip_us, jitter_us, true, 0);
        }
        arrives = arrives.max(self.packets_arrive(begins, leaves, bytes, round_trip_us));
        Passage { leaves, arrives: arrives + conditions.delay_us + self.dice.below(conditions.jitter_us + 1) }
    }

    /// When the last packet is there, but for the way that all of them go.
    fn packets_arrive(&mut self, begins: Moment, leaves: Moment, bytes: u64, round_trip_us: u64) -> Moment {
        let (conditions, dice) = (self.conditions, &mut self.dice);
        let strikes = |per_million: u32, dice: &mut Dice| {
            per_million > 0 && dice.below(1_000_000) < u64::from(per_million)
        };
        let packets = bytes.div_ceil(PACKET_BYTES).max(1);
        let mut last = leaves;
        for packet in 1..=packets {
            let mut at = begins + (leaves - begins) * packet / packets;
            let mut losses = 0;
            while losses <= DOUBLINGS_MAX && strikes(conditions.lost_per_million, dice) {
                let follow = packet + 3 <= packets;
                at += self.transport.repair_us(round_trip_us, conditions.jitter_us, follow, losses);
                losses += 1;
            }
            if strikes(conditions.late_per_million, dice) {
                at += dice.below(conditions.late_us + 1);
            }
            if strikes(conditions.overtaken_per_million, dice) {
                at += 1 + dice.below(conditions.jitter_us + conditions.delay_us / 4);
            }
            let doubles = u64::from(losses) + u64::from(strikes(conditions.doubled_per_million, dice));
            self.carried.wire_bytes += doubles * PACKET_BYTES.min(bytes);
            self.carried.lost_packets += u64::from(losses);
            last = last.max(at);
        }
        last
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TRIP_US: u64 = 40_000;

    fn quic(conditions: Conditions) -> Wire {
        Wire::new(conditions, Transport::Quic, Dice::new(1))
    }

    fn clean() -> Conditions {
        Conditions { delay_us: 20_000, ..Conditions::default() }
    }

    /// The mean of so many single packets, far apart, in microseconds.
    fn mean_us(conditions: Conditions, transport: Transport) -> u64 {
        let mut wire = Wire::new(conditions, transport, Dice::new(3));
        let took = (1..=2_000_u64).map(|number| {
            let now = number * 10_000_000;
            wire.send(now, 500, TRIP_US).arrives - now
        });
        took.sum::<u64>() / 2_000
    }

    /// Microseconds that a MiB takes, written all at once in frames of 64 KiB.
    fn mib_us(conditions: Conditions) -> u64 {
        let mut wire = quic(conditions);
        (0..16).map(|_| wire.send(0, 64 << 10, TRIP_US).arrives).max().unwrap()
    }

    #[test]
    fn a_write_on_a_clean_path_takes_its_delay_and_what_its_bytes_take() {
        let mut wire = quic(Conditions { kib_us: 1_000, ..clean() });
        let passage = wire.send(5, 10 << 10, TRIP_US);
        assert_eq!(passage, Passage { leaves: 10_005, arrives: 30_005 });
        let second = wire.send(5, 1 << 10, TRIP_US);
        assert_eq!(second.leaves, 11_005, "it waits for the first one's bytes");
    }

    #[test]
    fn a_lost_packet_costs_the_stream_the_time_of_its_repair() {
        let lossy = Conditions { lost_per_million: 100_000, ..clean() };
        assert_eq!(mean_us(clean(), Transport::Quic), 20_000);
        // A tenth waits 66 ms, a hundredth 132 ms more, and so on: some 8 ms in the mean.
        assert!((27_000..30_000).contains(&mean_us(lossy, Transport::Quic)));
        // A tenth waits two round trips, a hundredth 240 ms more.
        assert!((29_000..33_000).contains(&mean_us(lossy, Transport::Tcp)));
    }

    #[test]
    fn throughput_falls_with_loss_as_mathis_has_it() {
        let lossy = |lost_per_million| mib_us(Conditions { lost_per_million, kib_us: 10, ..clean() });
        // At 1 %, 12.2 packets of 1,200 bytes a round trip of 40 ms: 366 kB/s. One round trip's worth goes at once.
        assert!(mib_us(Conditions { kib_us: 10, ..clean() }) < 35_000);
        assert!((2_600_000..3_300_000).contains(&lossy(10_000)), "{}", lossy(10_000));
        let (little, much) = (lossy(2_500), lossy(40_000));
        assert!((3..6).contains(&(much / little)), "a root of 16 between {little} and {much}");
    }

    #[test]
    fn a_full_queue_costs_a_repair_and_the_bytes_again() {
        let narrow = Conditions { kib_us: 1_000, queue_bytes: 32 << 10, ..clean() };
        let mut wire = quic(narrow);
        let first = wire.send(0, 64 << 10, TRIP_US);
        let second = wire.send(0, 1 << 10, TRIP_US);
        assert_eq!(wire.carried.overflows, 1);
        assert_eq!(second.arrives, first.arrives + 1_000 + TRIP_US * 9 / 8);
        assert_eq!(wire.carried.wire_bytes, wire.carried.written_bytes + 1_024);
    }

    #[test]
    fn late_and_overtaken_packets_are_late_and_doubled_ones_cost_bytes_alone() {
        let late = Conditions { late_per_million: 500_000, late_us: 100_000, ..clean() };
        assert!((43_000..47_000).contains(&mean_us(late, Transport::Quic)));
        let overtaken = Conditions { overtaken_per_million: 500_000, ..clean() };
        assert!((21_100..21_400).contains(&mean_us(overtaken, Transport::Quic)));
        let doubled = Conditions { doubled_per_million: 1_000_000, ..clean() };
        assert_eq!(mean_us(doubled, Transport::Quic), 20_000);
        let mut wire = quic(doubled);
        wire.send(0, 1_200, TRIP_US);
        assert_eq!(wire.carried.wire_bytes, 2_400);
    }
}
