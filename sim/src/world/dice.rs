//! The world's randomness: many streams, each for one purpose and one thing, all derived from the seed.
//!
//! With a single stream, taking one person out of a run would draw everything after it anew, and nothing could be made smaller: the failure would be
//! gone for the wrong reason. So each thing that draws (a way, a line, a session, a device, an act) has its own stream, named by what it is.
//! A stream is xoshiro256** (Blackman and Vigna 2021, <https://prng.di.unimi.it>), keyed with a hash: 32 bytes of state and a few additions a draw,
//! where a hundred thousand ciphers would cost 30 MB.
//!
//! What must always hold: everything that is drawn comes from here, cores' entropy too, so a seed decides all of it.

use rand_core::RngCore;

/// A stream.
#[derive(Debug, Clone)]
pub(crate) struct Dice([u64; 4]);

impl Dice {
    /// The stream of a seed for that purpose and thing.
    pub(crate) fn of(seed: u64, purpose: &str, thing: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("archipelago simulator stream");
        hasher.update(&seed.to_be_bytes()).update(purpose.as_bytes());
        for number in thing {
            hasher.update(&number.to_be_bytes());
        }
        let hash = hasher.finalize();
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            *word = u64::from_be_bytes(bytes.try_into().unwrap_or_default());
        }
        Self(state)
    }

    /// The stream of a seed that is for everything else.
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(seed, "world", &[])
    }

    /// A stream that begins with what this one draws next.
    pub(crate) fn split(&mut self) -> Self {
        Self([self.next(), self.next(), self.next(), self.next()])
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below that one; zero below one or none. The bias of the remainder is below one in a billion here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number from the first up to the second, both included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// Once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// So many times in a hundred.
    pub(crate) fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.below(100) < of_a_hundred
    }

    /// One of these.
    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let index = usize::try_from(self.below(from.len() as u64)).ok()?;
        from.get(index).cloned()
    }

    /// 128 bits.
    pub(crate) fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// What another stream can be told apart by.
    pub(crate) fn salt(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }

    /// For the cores.
    pub(crate) fn entropy(&mut self) -> &mut dyn RngCore {
        self
    }
}

impl RngCore for Dice {
    fn next_u32(&mut self) -> u32 {
        // The upper half: the better one of this generator.
        (self.next() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.next()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next().to_be_bytes();
            // Chunks are of eight bytes at most.
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_different_things_differ_and_each_is_the_same_again() {
        let drawn = |purpose, thing: &[u64]| {
            let mut dice = Dice::of(7, purpose, thing);
            (dice.wide(), dice.wide())
        };
        assert_eq!(drawn("way", &[1, 2]), drawn("way", &[1, 2]));
        assert_ne!(drawn("way", &[1, 2]), drawn("way", &[2, 1]));
        assert_ne!(drawn("way", &[1]), drawn("line", &[1]));
    }

    #[test]
    fn draws_are_spread_over_what_may_be_drawn() {
        let mut dice = Dice::of(1, "test", &[]);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            counts[usize::try_from(dice.below(10)).unwrap_or(0)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }
}
