//! What may be removed from a bucket: backups that are too old, then the chunks that none of the others names.
//!
//! What must always hold: the newest backup stays, however old; what is removed is older than was asked for; a chunk that a remaining manifest names stays, and every other one goes. So a
//! text that was deleted is in no backup any more once the last one that was begun before has expired.

use crate::names::{BackupId, ChunkName};
use std::collections::BTreeSet;

const DAY_MS: i64 = 86_400_000;

/// Those of the backups that are more than so many days old now. Never the newest.
pub(crate) fn expired(backups: &BTreeSet<BackupId>, now_ms: i64, keep_days: u32) -> BTreeSet<BackupId> {
    let oldest_ms = now_ms.saturating_sub(i64::from(keep_days).saturating_mul(DAY_MS));
    let newest = backups.last();
    backups.iter().filter(|id| id.taken_at_ms() < oldest_ms && Some(*id) != newest).cloned().collect()
}

/// Those of the chunks that are there and are not among the named ones.
pub(crate) fn unnamed<'a>(
    present: impl IntoIterator<Item = &'a ChunkName>,
    named: &BTreeSet<ChunkName>,
) -> Vec<ChunkName> {
    present.into_iter().filter(|name| !named.contains(*name)).copied().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn chunk(number: u8) -> ChunkName {
        ChunkName([number; 32])
    }

    proptest! {
        #[test]
        fn the_newest_and_what_is_young_stay_and_all_else_goes(
            ages_days in proptest::collection::btree_set(0_i64..100, 0..10), keep_days in 0_u32..100,
        ) {
            let now_ms = 1_796_010_239_123;
            let id = |age: &i64| BackupId::new(now_ms - age * DAY_MS, &chunk(1)).unwrap();
            let backups: BTreeSet<BackupId> = ages_days.iter().map(id).collect();
            let gone = expired(&backups, now_ms, keep_days);
            let youngest = ages_days.first();
            for age in &ages_days {
                let goes = *age > i64::from(keep_days) && Some(age) != youngest;
                prop_assert_eq!(gone.contains(&id(age)), goes, "{} days old, kept for {}", age, keep_days);
            }
        }

        #[test]
        fn a_named_chunk_stays_and_every_other_one_goes(
            present in proptest::collection::btree_set(any::<u8>(), 0..30),
            named in proptest::collection::btree_set(any::<u8>(), 0..30),
        ) {
            let of = |numbers: &BTreeSet<u8>| -> BTreeSet<ChunkName> { numbers.iter().map(|n| chunk(*n)).collect() };
            let gone: BTreeSet<ChunkName> = unnamed(&of(&present), &of(&named)).into_iter().collect();
            let expected: BTreeSet<u8> = present.difference(&named).copied().collect();
            prop_assert_eq!(gone, of(&expected));
        }
    }
}
