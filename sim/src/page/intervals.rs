//! Figures over time, for a run of any length: equal intervals that become twice as long whenever there would be too many.
//!
//! What must always hold: bounded (`limits.rs`): at most so many intervals, whatever the run's length.

use super::recording::{Intervals, Lane, Spread};
use crate::figures::Distribution;
use crate::limits::INTERVALS_MAX;
use std::collections::BTreeMap;

/// How long intervals are at first.
const SHORTEST_US: u64 = 1_000_000;

/// What was counted so far.
#[derive(Debug)]
pub(crate) struct Counted {
    every_us: u64,
    inside: Vec<Distribution>,
    across: Vec<Distribution>,
    bytes: BTreeMap<(Lane, Lane), Vec<u64>>,
}

impl Default for Counted {
    fn default() -> Self {
        Self { every_us: SHORTEST_US, inside: Vec::new(), across: Vec::new(), bytes: BTreeMap::new() }
    }
}

impl Counted {
    /// A showing took so long.
    pub(crate) fn shown(&mut self, at: u64, inside: bool, took_us: u64) {
        let index = self.index(at);
        let list = if inside { &mut self.inside } else { &mut self.across };
        of(list, index).add(took_us);
    }

    /// So many bytes left on a way.
    pub(crate) fn carried(&mut self, at: u64, way: (Lane, Lane), bytes: u64) {
        let index = self.index(at);
        *of(self.bytes.entry(way).or_default(), index) += bytes;
    }

    fn index(&mut self, at: u64) -> usize {
        loop {
            let index = usize::try_from(at / self.every_us).unwrap_or(usize::MAX);
            if index < INTERVALS_MAX {
                return index;
            }
            self.every_us *= 2;
            for list in [&mut self.inside, &mut self.across] {
                *list = list.chunks(2).map(merged).collect();
            }
            for list in self.bytes.values_mut() {
                *list = list.chunks(2).map(|pair| pair.iter().sum()).collect();
            }
        }
    }

    /// What was counted, in figures.
    pub(crate) fn intervals(&self) -> Intervals {
        let all = self.bytes.values().map(Vec::len).chain([self.inside.len(), self.across.len()]);
        let count = all.max().unwrap_or(0);
        if count == 0 {
            return Intervals::default();
        }
        let spreads = |list: &[Distribution]| {
            let mut spreads: Vec<Spread> = list.iter().map(spread).collect();
            spreads.resize(count, Spread::default());
            spreads
        };
        let of_way = |(way, list): (&(Lane, Lane), &Vec<u64>)| {
            let mut list = list.clone();
            list.resize(count, 0);
            (*way, list)
        };
        Intervals {
            every_us: self.every_us,
            inside: spreads(&self.inside),
            across: spreads(&self.across),
            bytes: self.bytes.iter().map(of_way).collect(),
        }
    }
}

fn merged(pair: &[Distribution]) -> Distribution {
    let mut sum = Distribution::default();
    for one in pair {
        sum.merge(one);
    }
    sum
}

fn spread(list: &Distribution) -> Spread {
    let (p50_us, p99_us) = (list.per_mille(500).unwrap_or(0), list.per_mille(990).unwrap_or(0));
    Spread { samples: list.samples(), p50_us, p99_us }
}

/// That place of a list, which grows to it.
fn of<T: Default + Clone>(list: &mut Vec<T>, index: usize) -> &mut T {
    if list.len() <= index {
        list.resize(index + 1, T::default());
    }
    // It is as long as that now.
    &mut list[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_has_no_more_intervals_than_a_short_one_and_loses_nothing() {
        let mut counted = Counted::default();
        let hours = 50;
        for minute in 0..hours * 60 {
            counted.shown(minute * 60_000_000, minute % 2 == 0, 1_000 + minute);
            counted.carried(minute * 60_000_000, (0, 1), 10);
        }
        let intervals = counted.intervals();
        assert!(intervals.inside.len() <= INTERVALS_MAX && intervals.inside.len() > INTERVALS_MAX / 3);
        let samples = |list: &[Spread]| list.iter().map(|spread| spread.samples).sum::<u64>();
        assert_eq!(samples(&intervals.inside) + samples(&intervals.across), hours * 60);
        assert_eq!(intervals.bytes[&(0, 1)].iter().sum::<u64>(), hours * 600);
        assert!(intervals.inside[0].p50_us >= 1_000 && intervals.inside[0].p99_us < 1_100);
    }
}
