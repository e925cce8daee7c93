//! How long messages took until they were shown, taken from histories: the same for real clients and for simulated ones.
//!
//! What must always hold: a showing is timed by the two clients' own words, on the one clock that all histories of a run share; the
//! author's own device does not count; only conversations of all regions do, since whoever is not at home in a pinned one's regions connects to them.

use crate::REGIONS;
use crdt::{DeviceId, MessageId};
use sim::history::{Event, Line};
use std::collections::BTreeMap;
use std::fmt;

/// From one region to another, by their places in [`REGIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Direction {
    pub from: usize,
    pub to: usize,
}

/// Times from posting to showing, in microseconds.
#[derive(Debug, Default)]
pub struct Times {
    pub same_region: Vec<u64>,
    pub across: BTreeMap<Direction, Vec<u64>>,
}

impl Direction {
    /// One way of the link.
    pub fn delay_us(self) -> u64 {
        u64::from(sim_wan::distances::round_trip_ms(REGIONS[self.from], REGIONS[self.to])) * 500
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", REGIONS[self.from], REGIONS[self.to])
    }
}

impl Times {
    /// The times of all showings in these histories, whose homes are found by `region`.
    pub fn of(histories: &BTreeMap<DeviceId, Vec<Line>>, region: impl Fn(&str) -> usize) -> Self {
        let mut homes = BTreeMap::new();
        let mut posted: BTreeMap<MessageId, (DeviceId, u64)> = BTreeMap::new();
        for (device, lines) in histories {
            for line in lines {
                match &line.event {
                    Event::Began { home, .. } => _ = homes.insert(*device, region(home)),
                    Event::Posted(own) => _ = posted.insert(own.message, (*device, line.at_us)),
                    _ => {}
                }
            }
        }
        let mut times = Self::default();
        for (device, lines) in histories {
            for line in lines {
                let Event::Shown { message, conversation, .. } = &line.event else { continue };
                let Some((author, at_us)) = posted.get(message).filter(|(author, _)| author != device) else {
                    continue;
                };
                if conversation.placement() != crdt::PlacementId(1) {
                    continue;
                }
                let took_us = line.at_us.saturating_sub(*at_us);
                let direction = Direction { from: homes[author], to: homes[device] };
                if direction.from == direction.to {
                    times.same_region.push(took_us);
                } else {
                    times.across.entry(direction).or_default().push(took_us);
                }
            }
        }
        times
    }
}

/// Half of them are at most so long.
pub fn median(times: &[u64]) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
