//! How long a store has been run in all: what ages are reckoned in.
//!
//! A region believes its wall clock at each start. Were the age of a message the difference of two presents, one start under a clock that is years ahead would make all messages old at once, and no clock may
//! lose anything. While a region runs its present advances as the monotonic clock does, give or take 1 in 1,000 ([`crdt::disciplined_clock`]): those stretches are added up, and the time between them counts for
//! nothing.
//!
//! What must always hold: it is never more than the time that has truly passed, but for the slew; a crash makes it less by an interval between two notes at the most. Those are short with what a step writes
//! anyway, and long where nothing else is written.

use crate::keys::Key;
use crate::record;
use crate::store::{StoreError, View};
use crate::tables::Tables;
use crdt::Now;

/// Microseconds for which a store has been run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Ran(pub(crate) u64);

/// What a shard keeps of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RunningTime {
    /// At the beginning of this run.
    before: Ran,
    began: Option<Now>,
    noted: Ran,
}

impl Ran {
    /// So much later.
    pub(crate) const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000)))
    }
}

impl RunningTime {
    /// What a store remembers.
    pub(crate) fn load(view: &dyn View) -> Result<Self, StoreError> {
        let before = Ran(record::load(view, &Key::Ran)?.unwrap_or_default());
        Ok(Self { before, began: None, noted: before })
    }

    /// The store was run for at least as long: something was written in it then.
    pub(crate) fn at_least(&mut self, ran: Ran) {
        self.before = self.before.max(ran);
    }

    /// As it is at present.
    pub(crate) fn at(&mut self, now: Now) -> Ran {
        let began = *self.began.get_or_insert(now);
        Ran(self.before.0.saturating_add(now.0.saturating_sub(began.0)))
    }

    /// The present at which it will be that; none if never.
    pub(crate) fn when(&self, ran: Ran) -> Option<Now> {
        let began = self.began.filter(|_| ran.0 < u64::MAX)?;
        Some(Now(began.0.saturating_add(ran.0.saturating_sub(self.before.0))))
    }

    /// Writes it, if it was not for so long.
    pub(crate) fn note(&mut self, ran: Ran, every_ms: u64, tables: &mut Tables<'_>) {
        if ran >= self.noted.plus_ms(every_ms) {
            tables.put(&Key::Ran, &ran.0);
            self.noted = ran;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Store as _};

    #[test]
    fn a_clock_that_is_years_ahead_at_a_start_adds_nothing() {
        let mut store = MemoryStore::new();
        let mut run = |presents: &[u64]| {
            let mut running = RunningTime::load(&store).unwrap();
            let mut last = Ran::default();
            let mut tables = Tables::over(&store);
            for now_ms in presents {
                last = running.at(Now(now_ms * 1_000));
                running.note(last, 60_000, &mut tables);
                assert_eq!(running.when(last), Some(Now(now_ms * 1_000)));
            }
            let (batch, _) = tables.finish();
            store.commit(&batch).unwrap();
            last.0 / 1_000
        };
        assert_eq!(run(&[1_000_000, 1_100_000]), 100_000);
        assert_eq!(run(&[900_000_000_000, 900_000_060_000, 900_000_119_000]), 219_000);
        assert_eq!(run(&[2_000_000]), 160_000, "what was not written is lost");
    }
}
