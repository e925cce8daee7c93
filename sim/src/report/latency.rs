//! How long things took, in microseconds, over all samples of a run, faults included.
//!
//! - `acknowledge`: from posting to the first tick.
//! - `show_same_region`: from posting to being shown on another device that is connected to the same region.
//! - `show_across_less_link`: the same over regions, less the delay of the link from the one to the other.
//!
//! What is shown from a backlog (after a cut, a restart or a reconnection) counts too: it is what people waited.

use crate::evidence::{ConversationEvidence, DeviceNumber, Evidence, RegionNumber, What};
use std::collections::BTreeMap;

/// The three things that are timed; none without a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latencies {
    /// From posting to one tick.
    pub acknowledge: Option<Latency>,
    /// From posting to being shown in the same region.
    pub show_same_region: Option<Latency>,
    /// From posting to being shown in another region, less the link's delay.
    pub show_across_less_link: Option<Latency>,
}

/// A distribution, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Half of all samples are at most so long.
    pub p50_us: u64,
    /// 99 of 100 are.
    pub p99_us: u64,
    /// All are.
    pub max_us: u64,
    /// How many there are.
    pub samples: u64,
}

#[derive(Default)]
struct Samples {
    acknowledge: Vec<u64>,
    same_region: Vec<u64>,
    across_less_link: Vec<u64>,
}

impl Latencies {
    pub(super) fn of(evidence: &Evidence, delay_us: &BTreeMap<(RegionNumber, RegionNumber), u64>) -> Self {
        let mut samples = Samples::default();
        for conversation in evidence.conversations.values() {
            samples.take(evidence, conversation, delay_us);
        }
        Self {
            acknowledge: Latency::of(&mut samples.acknowledge),
            show_same_region: Latency::of(&mut samples.same_region),
            show_across_less_link: Latency::of(&mut samples.across_less_link),
        }
    }
}

impl Samples {
    fn take(
        &mut self,
        evidence: &Evidence,
        conversation: &ConversationEvidence,
        delay_us: &BTreeMap<(RegionNumber, RegionNumber), u64>,
    ) {
        let mut origins: Vec<Option<(DeviceNumber, u64, RegionNumber)>> = vec![];
        for message in &conversation.messages {
            let origin =
                message.posted.zip(message.acknowledged).and_then(|((device, at_us), (tick_us, place))| {
                    self.acknowledge.push(tick_us.saturating_sub(at_us));
                    evidence.region_of(place.dot).map(|region| (device, at_us, region))
                });
            origins.push(origin);
        }
        for (device, track) in &conversation.tracks {
            for moment in track.moments.iter().filter(|moment| matches!(moment.what, What::Shown { .. })) {
                let origin = origins.get(moment.message as usize).copied().flatten();
                let (Some((author, at_us, from)), Some(to)) = (origin, moment.region) else { continue };
                let took_us = moment.at_us.saturating_sub(at_us);
                if author == *device {
                    continue;
                }
                if from == to {
                    self.same_region.push(took_us);
                } else if let Some(link_us) = delay_us.get(&(from, to)) {
                    self.across_less_link.push(took_us.saturating_sub(*link_us));
                }
            }
        }
    }
}

impl Latency {
    fn of(samples: &mut [u64]) -> Option<Self> {
        samples.sort_unstable();
        let at = |per_cent: usize| {
            // The smallest sample that at least so many per cent of all do not exceed.
            let rank = (samples.len() * per_cent).div_ceil(100).max(1);
            samples.get(rank - 1).copied()
        };
        Some(Self { p50_us: at(50)?, p99_us: at(99)?, max_us: at(100)?, samples: samples.len() as u64 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn percentiles_are_of_the_samples_themselves() {
        assert_eq!(Latency::of(&mut []), None);
        let one = Latency::of(&mut [5]).unwrap();
        assert_eq!((one.p50_us, one.p99_us, one.max_us), (5, 5, 5));
        let hundred = Latency::of(&mut (1..=100).rev().collect::<Vec<_>>()).unwrap();
        assert_eq!((hundred.p50_us, hundred.p99_us, hundred.max_us, hundred.samples), (50, 99, 100, 100));
    }
}
