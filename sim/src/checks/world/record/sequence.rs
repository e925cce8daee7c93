//! An order of numbers that only grows at its end, and how much of other such orders it holds without a gap.
//!
//! Asked again and again whether all of a growing order is here, a set would be compared from its beginning each time; here what was found whole is remembered, so all
//! questions together cost what there is. What must always hold: what is here, or excused, stays so.

use std::collections::BTreeMap;

const ABSENT: u32 = u32::MAX;

/// Numbers in the order in which they came, each once. `K` names other orders.
#[derive(Debug, Clone)]
pub(crate) struct Sequence<K> {
    order: Vec<usize>,
    /// By number, where it stands.
    places: Vec<u32>,
    /// Of other orders, how many from their beginning on are here.
    whole: BTreeMap<K, usize>,
}

impl<K> Default for Sequence<K> {
    fn default() -> Self {
        Self { order: Vec::new(), places: Vec::new(), whole: BTreeMap::new() }
    }
}

impl<K: Ord> Sequence<K> {
    /// Adds a number at the end; whether it was new.
    pub(crate) fn push(&mut self, number: usize) -> bool {
        if self.contains(number) {
            return false;
        }
        if self.places.len() <= number {
            self.places.resize(number + 1, ABSENT);
        }
        // It was made long enough just above, and no run has four thousand million of anything.
        self.places[number] = self.order.len() as u32;
        self.order.push(number);
        true
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        self.place(number).is_some()
    }

    /// Where a number stands, from 0.
    pub(crate) fn place(&self, number: usize) -> Option<usize> {
        self.places.get(number).filter(|place| **place != ABSENT).map(|place| *place as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// All of them, the first first.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    /// The first of the first `len` of another order that is neither here nor excused, if there is one. What is here or excused once must stay so.
    pub(crate) fn gap(
        &mut self,
        name: K,
        other: &[usize],
        len: usize,
        is_here: impl Fn(&Self, usize) -> bool,
    ) -> Option<usize> {
        let known = self.whole.get(&name).copied().unwrap_or(0);
        if known >= len {
            return None;
        }
        let missing = other.iter().take(len).skip(known).position(|number| !is_here(self, *number));
        let whole = missing.map_or(len, |missing| known + missing);
        if whole > known {
            self.whole.insert(name, whole);
        }
        missing.and_then(|_| other.get(whole).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_found_until_it_is_filled_and_excuses_count() {
        let mut here: Sequence<u8> = Sequence::default();
        let other = [3, 1, 2, 0];
        assert!(here.push(3) && here.push(2) && !here.push(3));
        let gap = |here: &mut Sequence<u8>, len| here.gap(7, &other, len, |here, n| here.contains(n));
        assert_eq!(gap(&mut here, 1), None);
        assert_eq!(gap(&mut here, 3), Some(1));
        assert!(here.push(1));
        assert_eq!(gap(&mut here, 3), None);
        assert_eq!(here.gap(7, &other, 4, |_, n| n == 0), None, "excused");
        assert_eq!(here.order(), [3, 2, 1]);
        assert_eq!((here.place(3), here.place(0), here.len()), (Some(0), None, 3));
    }
}
