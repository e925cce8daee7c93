//! A set of small numbers, as bits.
//!
//! The oracle keeps one for every device and message of a storm; as ordered sets they would take most of its time.

/// The set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Set(Vec<u64>);

impl Set {
    /// Adds a number; whether it was new.
    pub(crate) fn insert(&mut self, number: usize) -> bool {
        let (word, bit) = (number / 64, 1_u64 << (number % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        // It was made long enough just above.
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1_u64 << (number % 64)) != 0)
    }

    /// The numbers that are in this set and not in that one.
    pub(crate) fn beyond<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        self.0.iter().enumerate().flat_map(move |(at, word)| {
            let rest = word & !other.0.get(at).copied().unwrap_or(0);
            (0..64).filter(move |bit| rest & (1 << bit) != 0).map(move |bit| at * 64 + bit)
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit)
        })
    }
}
