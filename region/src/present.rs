//! The present that a store remembers, so that a wall clock set back while the region was down does not take `now` back (history 21).
//!
//! What must always hold:
//! - It is written with what a batch writes anyway, at most once a second: nothing is written for its sake alone. A region that
//!   crashed goes on at most a second before where it was, or from its wall clock if that is later.
//! - It is a floor, nothing more: causes never depend on it (a conversation's own clock keeps them), windows on ids do.
//!
//! A store that once ran under a clock far ahead would hold the region there for ever; the operator says by a start with the wall
//! clock trusted that it is right now.

use crate::keys::Key;
use crate::limits::PRESENT_EVERY_MS;
use crate::record;
use crate::store::{Batch, StoreError, View};
use crdt::Now;

/// When the present was last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Present {
    written: Option<Now>,
}

impl Present {
    /// Adds the present to a batch that writes something, if it was not written within the last second.
    pub fn note(&mut self, now: Now, batch: &mut Batch) {
        let due = self.written.is_none_or(|written| written.plus_ms(PRESENT_EVERY_MS) <= now);
        if due && !batch.is_empty() {
            let key = Key::Present.encode();
            let value = record::seal(&key, &now.0);
            batch.put(key, value);
            self.written = Some(now);
        }
    }
}

/// The present that the store remembers: the region's clock starts no earlier. Zero if none was written.
///
/// # Errors
/// [`StoreError`] when it is damaged or cannot be read.
pub fn floor(view: &dyn View) -> Result<Now, StoreError> {
    Ok(Now(record::load(view, &Key::Present)?.unwrap_or_default()))
}

/// Forgets it: the next batch notes the present anew, be it earlier.
pub fn forget(batch: &mut Batch) {
    batch.delete(Key::Present.encode());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Store as _};

    #[test]
    fn it_is_written_once_a_second_and_never_for_its_own_sake() {
        let (mut present, mut store) = (Present::default(), MemoryStore::new());
        let mut step = |now_ms: u64, writes: bool| {
            let mut batch = Batch::default();
            if writes {
                batch.put(&b"a key"[..], "a value".into());
            }
            present.note(Now(now_ms * 1_000), &mut batch);
            store.commit(&batch).unwrap();
            floor(&store).unwrap().ms()
        };
        assert_eq!(step(10, false), 0, "nothing else to write");
        assert_eq!(step(20, true), 20);
        assert_eq!(step(1_019, true), 20, "within the second");
        assert_eq!(step(1_020, true), 1_020);
    }
}
