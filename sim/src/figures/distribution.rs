//! How long things took: a distribution of durations that takes the same memory for ten samples and for ten million.
//!
//! Samples are counted in buckets that grow with the value: 32 of them for each doubling, so a percentile is told at most 3.2 % too high and
//! never too low; the longest is exact. Keeping every sample would be exact, and a long run would spend its memory on it.
//!
//! What must always hold: integers alone, so every build tells the same; a percentile is never below the true one, and never above the longest.

use std::collections::BTreeMap;

/// Buckets for each doubling are 2 to this power.
const FINE_BITS: u32 = 5;

/// The samples so far, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    /// Upper ends of buckets, and how many samples lie in each.
    buckets: BTreeMap<u64, u64>,
    samples: u64,
    max_us: u64,
}

impl Distribution {
    /// Counts one.
    pub fn add(&mut self, us: u64) {
        *self.buckets.entry(upper_end(us)).or_default() += 1;
        self.samples += 1;
        self.max_us = self.max_us.max(us);
    }

    /// Counts all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (end, count) in &other.buckets {
            *self.buckets.entry(*end).or_default() += count;
        }
        self.samples += other.samples;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// How many there are.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// The longest, exactly; none without a sample.
    #[must_use]
    pub fn max_us(&self) -> Option<u64> {
        (self.samples > 0).then_some(self.max_us)
    }

    /// What so many of a thousand do not exceed, in microseconds; none without a sample.
    #[must_use]
    pub fn per_mille(&self, per_mille: u64) -> Option<u64> {
        let rank = (self.samples * per_mille).div_ceil(1_000).max(1);
        let mut counted = 0;
        for (end, count) in &self.buckets {
            counted += count;
            if counted >= rank {
                return Some((*end).min(self.max_us));
            }
        }
        None
    }

    /// How many took longer than so long, in whole buckets: one that ends beyond it counts.
    #[must_use]
    pub fn longer_than(&self, us: u64) -> u64 {
        self.buckets.range(us.saturating_add(1)..).map(|(_, count)| count).sum()
    }
}

/// The upper end of the bucket of a value: the value with all but its highest bits set.
const fn upper_end(us: u64) -> u64 {
    let bits = u64::BITS - us.leading_zeros();
    us | ((1 << bits.saturating_sub(FINE_BITS + 1)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_a_bucket_too_high_and_the_longest_is_exact() {
        let mut all = Distribution::default();
        assert_eq!((all.per_mille(500), all.max_us()), (None, None));
        for us in 1..=100_000 {
            all.add(us);
        }
        for (per_mille, exact) in [(500, 50_000), (990, 99_000), (999, 99_900)] {
            let told = all.per_mille(per_mille).unwrap_or(0);
            assert!(told >= exact && told <= exact + exact / 31, "{per_mille}: {told}");
        }
        assert_eq!(
            (all.per_mille(1_000), all.max_us(), all.samples()),
            (Some(100_000), Some(100_000), 100_000)
        );
        assert!(all.buckets.len() < 500, "memory does not grow with the samples");
    }

    #[test]
    fn small_values_are_told_exactly() {
        for us in [0, 1, 31, 63] {
            let mut one = Distribution::default();
            one.add(us);
            assert_eq!(
                (one.per_mille(1), one.longer_than(us), us == 0 || one.longer_than(us - 1) == 1),
                (Some(us), 0, true)
            );
        }
        assert_eq!((upper_end(64), upper_end(65), upper_end(u64::MAX)), (65, 65, u64::MAX));
    }
}
