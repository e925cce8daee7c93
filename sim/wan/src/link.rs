//! One direction between two regions: what becomes of each packet. Pure: the time and the dice are arguments.
//!
//! What must always hold:
//! - A packet either is dropped for exactly one counted reason, or passes once, or twice if it was duplicated.
//! - Without reordering, packets leave in the order they entered, whatever the jitter: a later packet never overtakes.
//! - A packet that passes is never early: it takes at least the delay, after its turn on the wire.
//!
//! A full queue drops what comes last (drop-tail), as most routers do.

use crate::limits::{MILLION, QUEUE_MS};
use rand_core::RngCore;

/// How a link behaves. Times in microseconds, probabilities in parts of a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSettings {
    /// The least time a packet takes.
    pub delay_us: u64,
    /// Up to so much more, evenly spread.
    pub jitter_us: u64,
    /// Lost packets of a million.
    pub loss: u32,
    /// Duplicated packets of a million.
    pub duplication: u32,
    /// Packets of a million that are held back so that later ones overtake them.
    pub reordering: u32,
    /// How long those are held back.
    pub reordering_us: u64,
    /// Bytes a second; zero means no limit.
    pub bytes_per_second: u64,
    /// Bytes that wait for their turn at most; only with a limit on bytes a second.
    pub queue_bytes: u64,
}

/// What a link has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounts {
    /// Packets that entered and passed, duplicates not counted.
    pub passed: u64,
    /// Bytes of those (UDP payload).
    pub passed_bytes: u64,
    /// Extra copies sent.
    pub duplicated: u64,
    /// Packets held back for reordering.
    pub reordered: u64,
    /// Packets lost by chance.
    pub dropped_loss: u64,
    /// Packets dropped because the queue was full.
    pub dropped_queue: u64,
    /// Packets dropped because the link was cut.
    pub dropped_cut: u64,
}

/// When a packet leaves, and its copy if it was duplicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// When it leaves.
    pub at_us: u64,
    /// When its copy leaves.
    pub copy_at_us: Option<u64>,
}

/// A directed link with its state.
#[derive(Debug)]
pub struct Link {
    settings: LinkSettings,
    cut: bool,
    counts: LinkCounts,
    wire_free_at_us: u64,
    last_leaves_at_us: u64,
}

impl LinkSettings {
    /// A link that only delays.
    #[must_use]
    pub const fn delay_only(delay_us: u64) -> Self {
        Self {
            delay_us,
            jitter_us: 0,
            loss: 0,
            duplication: 0,
            reordering: 0,
            reordering_us: 0,
            bytes_per_second: 0,
            queue_bytes: 0,
        }
    }

    /// A link that delays, and carries so many bytes a second if that is said. As many as come in [`QUEUE_MS`] wait for their turn, as in
    /// a router that was set up for people who talk: what waits longer than that is of no more use to anybody.
    #[must_use]
    pub const fn limited(delay_us: u64, bytes_per_second: Option<u64>) -> Self {
        match bytes_per_second {
            None => Self::delay_only(delay_us),
            Some(bytes_per_second) => Self {
                bytes_per_second,
                queue_bytes: bytes_per_second / 1_000 * QUEUE_MS,
                ..Self::delay_only(delay_us)
            },
        }
    }

    /// A link over half that round trip as the open internet has it: 2 ms of jitter, one packet in a thousand lost, one in
    /// two thousand duplicated, one in a thousand overtaken, 25 MB a second with 4 MB of queue.
    #[must_use]
    pub const fn wide_area(round_trip_ms: u32) -> Self {
        Self {
            delay_us: round_trip_ms as u64 * 500,
            jitter_us: 2_000,
            loss: 1_000,
            duplication: 500,
            reordering: 1_000,
            reordering_us: 5_000,
            bytes_per_second: 25_000_000,
            queue_bytes: 4_000_000,
        }
    }
}

impl LinkCounts {
    /// Packets dropped for whatever reason.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped_loss + self.dropped_queue + self.dropped_cut
    }
}

impl Link {
    /// A whole link.
    #[must_use]
    pub const fn new(settings: LinkSettings) -> Self {
        Self {
            settings,
            cut: false,
            counts: LinkCounts {
                passed: 0,
                passed_bytes: 0,
                duplicated: 0,
                reordered: 0,
                dropped_loss: 0,
                dropped_queue: 0,
                dropped_cut: 0,
            },
            wire_free_at_us: 0,
            last_leaves_at_us: 0,
        }
    }

    /// Cuts it, or makes it whole.
    pub const fn set_cut(&mut self, cut: bool) {
        self.cut = cut;
    }

    /// Gives it other settings from the next packet on.
    pub const fn set_settings(&mut self, settings: LinkSettings) {
        self.settings = settings;
    }

    /// What it has done.
    #[must_use]
    pub const fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// Notes that a packet this link let pass could not be carried, because the relay is full.
    pub const fn relay_was_full(&mut self) {
        self.counts.dropped_queue += 1;
    }

    /// A packet of `bytes` enters at `now_us`. None if it is dropped.
    pub fn enter(&mut self, now_us: u64, bytes: usize, entropy: &mut dyn RngCore) -> Option<Passage> {
        if self.cut {
            self.counts.dropped_cut += 1;
            return None;
        }
        if happens(self.settings.loss, entropy) {
            self.counts.dropped_loss += 1;
            return None;
        }
        let Some(sent_at_us) = self.take_turn(now_us, bytes as u64) else {
            self.counts.dropped_queue += 1;
            return None;
        };
        let jitter_us = below(self.settings.jitter_us + 1, entropy);
        let mut at_us = (sent_at_us + self.settings.delay_us + jitter_us).max(self.last_leaves_at_us);
        if happens(self.settings.reordering, entropy) {
            self.counts.reordered += 1;
            at_us += self.settings.reordering_us;
        } else {
            self.last_leaves_at_us = at_us;
        }
        let copy_at_us = happens(self.settings.duplication, entropy).then_some(at_us);
        self.counts.duplicated += u64::from(copy_at_us.is_some());
        self.counts.passed += 1;
        self.counts.passed_bytes += bytes as u64;
        Some(Passage { at_us, copy_at_us })
    }

    /// When the packet's last byte is on the wire; none if the queue is full.
    fn take_turn(&mut self, now_us: u64, bytes: u64) -> Option<u64> {
        let rate = self.settings.bytes_per_second;
        if rate == 0 {
            return Some(now_us);
        }
        let begins_us = self.wire_free_at_us.max(now_us);
        let waiting_bytes = (begins_us - now_us).saturating_mul(rate) / 1_000_000;
        if waiting_bytes + bytes > self.settings.queue_bytes.max(bytes) {
            return None;
        }
        self.wire_free_at_us = begins_us + bytes * 1_000_000 / rate;
        Some(self.wire_free_at_us)
    }
}

fn happens(of_a_million: u32, entropy: &mut dyn RngCore) -> bool {
    // Nothing is drawn for what cannot happen, so that switching a fault off leaves the other dice alone.
    of_a_million > 0 && below(u64::from(MILLION), entropy) < u64::from(of_a_million)
}

/// A number below `limit` (at least 1). The bias of the multiplication is below one in 2^40 for our limits.
fn below(limit: u64, entropy: &mut dyn RngCore) -> u64 {
    if limit <= 1 {
        return 0;
    }
    ((u128::from(entropy.next_u64()) * u128::from(limit)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn dice() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(7)
    }

    #[test]
    fn a_plain_link_only_delays() {
        let mut link = Link::new(LinkSettings::delay_only(46_000));
        let passage = link.enter(1_000, 1_200, &mut dice());
        assert_eq!(passage, Some(Passage { at_us: 47_000, copy_at_us: None }));
        assert_eq!(link.counts(), LinkCounts { passed: 1, passed_bytes: 1_200, ..LinkCounts::default() });
    }

    #[test]
    fn jitter_never_lets_a_later_packet_overtake() {
        let mut link = Link::new(LinkSettings { jitter_us: 20_000, ..LinkSettings::delay_only(10_000) });
        let mut dice = dice();
        let mut last = 0;
        for now_us in (0..1_000_000).step_by(500) {
            let at_us = link.enter(now_us, 100, &mut dice).map(|passage| passage.at_us).unwrap_or(0);
            assert!(at_us >= last && at_us >= now_us + 10_000);
            last = at_us;
        }
    }

    #[test]
    fn reordering_lets_later_packets_overtake() {
        let mut link = Link::new(LinkSettings {
            reordering: 100_000,
            reordering_us: 5_000,
            ..LinkSettings::delay_only(10_000)
        });
        let mut dice = dice();
        let times: Vec<u64> = (0..1_000)
            .filter_map(|n| link.enter(n * 500, 100, &mut dice))
            .map(|passage| passage.at_us)
            .collect();
        let overtaken = times.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
        assert!(overtaken > 0 && overtaken <= link.counts().reordered);
    }

    #[test]
    fn losses_and_duplicates_come_at_the_stated_rate_and_the_same_seed_repeats_them() {
        let run = || {
            let settings = LinkSettings { loss: 100_000, duplication: 50_000, ..LinkSettings::delay_only(1) };
            let (mut link, mut dice) = (Link::new(settings), dice());
            let fates: Vec<_> = (0..20_000).map(|n| link.enter(n, 100, &mut dice)).collect();
            (link.counts(), fates)
        };
        let (counts, fates) = run();
        assert_eq!(run(), (counts, fates));
        assert!((1_800..2_200).contains(&counts.dropped_loss), "{counts:?}");
        assert!((800..1_000).contains(&counts.duplicated), "{counts:?}");
        assert_eq!(counts.passed + counts.dropped_loss, 20_000);
    }

    #[test]
    fn a_cut_link_lets_nothing_in_and_counts_it() {
        let mut link = Link::new(LinkSettings::delay_only(5));
        let mut dice = dice();
        link.set_cut(true);
        assert_eq!(link.enter(0, 10, &mut dice), None);
        assert_eq!(link.counts().dropped_cut, 1);
        link.set_cut(false);
        assert!(link.enter(1, 10, &mut dice).is_some());
        assert_eq!(link.counts().dropped(), 1);
    }

    #[test]
    fn a_narrow_link_makes_packets_wait_and_a_full_queue_drops() {
        let settings =
            LinkSettings { bytes_per_second: 1_000_000, queue_bytes: 3_000, ..LinkSettings::delay_only(0) };
        let (mut link, mut dice) = (Link::new(settings), dice());
        let times: Vec<Option<u64>> =
            (0..5).map(|_| link.enter(0, 1_000, &mut dice).map(|passage| passage.at_us)).collect();
        assert_eq!(times, [Some(1_000), Some(2_000), Some(3_000), None, None]);
        assert_eq!(link.counts().dropped_queue, 2);
        assert_eq!(link.enter(3_000, 1_000, &mut dice).map(|passage| passage.at_us), Some(4_000));
    }
}
