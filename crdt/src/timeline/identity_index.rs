//! Finds a message's slot by the fingerprint of its identity: a sorted list in chunks.
//!
//! Fingerprints begin with the time in the client's id, so messages come nearly in order, and each replica's in order: where the last one was put is a good place to
//! begin to look. A tree with a dozen keys a node takes 22 to 26 bytes a message and a step to memory for each of its seven levels at a million; this takes 12 to 17, and its upper
//! level fits a processor's cache.
//!
//! What must always hold:
//! - Keys ascend within a chunk and from chunk to chunk; no chunk is empty; `firsts` has the first key of each.
//! - No choice of keys makes it slow: a put moves 3 KiB at most, and once in 128 times the list of chunks.

use super::gallop::gallop;

/// Keys in a chunk at most.
const CHUNK: usize = 256;

/// Slots' numbers by fingerprint.
#[derive(Debug, Clone, Default)]
pub(super) struct IdentityIndex {
    firsts: Vec<u64>,
    chunks: Vec<Chunk>,
    /// The chunk in which the last one was put, and where in it. A place to begin to look, and nothing else.
    last_put: (usize, usize),
}

/// Neighbours: the number at a place is that of the key there.
#[derive(Debug, Clone, Default)]
struct Chunk {
    keys: Vec<u64>,
    numbers: Vec<u32>,
}

impl IdentityIndex {
    /// The number under that key.
    pub(super) fn get(&self, key: u64) -> Option<u32> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        chunk.keys.binary_search(&key).ok().map(|at| chunk.numbers[at])
    }

    /// The number under that key, which is `new` if there was none.
    pub(super) fn get_or_put(&mut self, key: u64, new: u32) -> u32 {
        let (at, within) = self.near(key).unwrap_or_else(|| {
            let at = self.chunk_of(key);
            (at, self.chunks.get(at).map_or(Err(0), |chunk| chunk.keys.binary_search(&key)))
        });
        match within {
            // It was found there.
            Ok(within) => self.chunks[at].numbers[within],
            Err(within) => {
                self.put(at, within, key, new);
                new
            }
        }
    }

    /// The chunk in which a key stands or would stand.
    fn chunk_of(&self, key: u64) -> usize {
        self.firsts.partition_point(|first| *first <= key).saturating_sub(1)
    }

    /// The chunk in which a key stands and where in it, or would stand, if that is behind the last one put in its chunk.
    fn near(&self, key: u64) -> Option<(usize, Result<usize, usize>)> {
        let (at, last) = self.last_put;
        let keys = &self.chunks.get(at)?.keys;
        if *keys.get(last)? >= key || self.firsts.get(at + 1).is_some_and(|next| *next <= key) {
            return None;
        }
        let within = gallop(keys, last + 1, |known| *known < key);
        Some((at, if keys.get(within) == Some(&key) { Ok(within) } else { Err(within) }))
    }

    fn put(&mut self, at: usize, within: usize, key: u64, number: u32) {
        let is_last = at + 1 >= self.chunks.len();
        match self.chunks.get_mut(at) {
            Some(chunk) if chunk.keys.len() < CHUNK => {
                chunk.keys.insert(within, key);
                chunk.numbers.insert(within, number);
                self.firsts[at] = chunk.keys[0];
                self.last_put = (at, within);
            }
            Some(chunk) if !(is_last && within == CHUNK) => {
                let (keys, numbers) = (chunk.keys.split_off(CHUNK / 2), chunk.numbers.split_off(CHUNK / 2));
                self.firsts.insert(at + 1, keys[0]);
                self.chunks.insert(at + 1, Chunk { keys, numbers });
                // Both halves have room.
                let right = within > CHUNK / 2;
                self.put(at + usize::from(right), within - usize::from(right) * (CHUNK / 2), key, number);
            }
            // What comes in order leaves full chunks behind.
            Some(_) | None => {
                self.firsts.push(key);
                self.chunks.push(Chunk { keys: vec![key], numbers: vec![number] });
                self.last_put = (self.chunks.len() - 1, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Keys in runs that ascend, as replicas' messages do, between keys that come anyhow.
    fn keys() -> impl Strategy<Value = Vec<u64>> {
        let run = (0..5_000_u64, 1..7_u64, 1..400_u64)
            .prop_map(|(from, step, count)| (0..count).map(|at| from + at * step).collect());
        let any = prop::collection::vec(prop_oneof![0..5_000_u64, any::<u64>()], 1..200);
        prop::collection::vec(prop_oneof![run, any], 1..12).prop_map(|parts| parts.concat())
    }

    #[test]
    fn what_comes_in_order_leaves_full_chunks_behind() {
        let mut index = IdentityIndex::default();
        (0..=4 * CHUNK as u32).for_each(|number| assert_eq!(index.get_or_put(number.into(), number), number));
        let lengths: Vec<usize> = index.chunks.iter().map(|chunk| chunk.keys.len()).collect();
        assert_eq!(lengths, [CHUNK, CHUNK, CHUNK, CHUNK, 1]);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_tree_finds(keys in keys(), strangers in prop::collection::vec(any::<u64>(), 20)) {
            let mut index = IdentityIndex::default();
            let mut tree = BTreeMap::new();
            for (number, key) in (0..).zip(&keys) {
                prop_assert_eq!(index.get_or_put(*key, number), *tree.entry(*key).or_insert(number));
            }
            for key in keys.iter().flat_map(|key| [*key, key.wrapping_add(1)]).chain(strangers) {
                prop_assert_eq!(index.get(key), tree.get(&key).copied());
            }
            let all: Vec<u64> = index.chunks.iter().flat_map(|chunk| chunk.keys.iter().copied()).collect();
            prop_assert!(all.iter().eq(tree.keys()));
            let firsts: Vec<u64> = index.chunks.iter().map(|chunk| chunk.keys[0]).collect();
            prop_assert_eq!(&firsts, &index.firsts);
            prop_assert!(index.chunks.iter().all(|chunk| chunk.keys.len() <= CHUNK && chunk.numbers.len() == chunk.keys.len()));
        }
    }
}
