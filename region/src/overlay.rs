//! A view with a pending batch on top: what a store will read as, once the batch is durable.
//!
//! What must always hold: everything a step reads, it reads through this, so what it has written itself it sees too.

use crate::store::{Batch, Direction, StoreError, View, Visit};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The durable view and what is to be written over it.
pub(crate) struct Overlay<'a> {
    view: &'a dyn View,
    pub(crate) batch: Batch,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(view: &'a dyn View) -> Self {
        Self { view, batch: Batch::default() }
    }

    /// The durable view.
    pub(crate) fn before(&self) -> &'a dyn View {
        self.view
    }
}

impl View for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.batch.get(key) {
            Some(written) => Ok(written.cloned()),
            None => self.view.get(key),
        }
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let mut written: BTreeMap<&[u8], Option<&Bytes>> = self.batch.range(from, to).collect();
        let before = |one: &[u8], other: &[u8]| match direction {
            Direction::Ascending => one < other,
            Direction::Descending => one > other,
        };
        let mut stopped = false;
        self.view.scan(from, to, direction, &mut |key, value| {
            while let Some(own) = next(&written, direction).filter(|own| before(own, key)) {
                if let Some(value) = written.remove(own).flatten()
                    && visit(own, value).is_break()
                {
                    stopped = true;
                    return std::ops::ControlFlow::Break(());
                }
            }
            let flow = match written.remove(key) {
                Some(Some(value)) => visit(key, value),
                Some(None) => std::ops::ControlFlow::Continue(()),
                None => visit(key, value),
            };
            stopped = flow.is_break();
            flow
        })?;
        while !stopped && let Some(own) = next(&written, direction) {
            if let Some(value) = written.remove(own).flatten() {
                stopped = visit(own, value).is_break();
            }
        }
        Ok(())
    }
}

/// The key that comes next in that direction.
fn next<'k>(written: &BTreeMap<&'k [u8], Option<&Bytes>>, direction: Direction) -> Option<&'k [u8]> {
    match direction {
        Direction::Ascending => written.first_key_value().map(|(key, _)| *key),
        Direction::Descending => written.last_key_value().map(|(key, _)| *key),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Store as _};
    use proptest::prelude::*;
    use std::ops::ControlFlow;

    type Writes = Vec<(Vec<u8>, Option<u8>)>;

    fn batch(writes: &Writes) -> Batch {
        let mut batch = Batch::default();
        for (key, value) in writes {
            let key = Bytes::from(key.clone());
            match value {
                Some(value) => batch.put(key, Bytes::from(vec![*value])),
                None => batch.delete(key),
            }
        }
        batch
    }

    fn read(view: &dyn View, direction: Direction, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut read = Vec::new();
        let visit = &mut |key: &[u8], value: &[u8]| {
            read.push((key.to_vec(), value.to_vec()));
            if read.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        view.scan(&[1], &[3, 1], direction, visit).unwrap();
        read
    }

    fn writes() -> impl Strategy<Value = Writes> {
        let key = proptest::collection::vec(0_u8..4, 1..3);
        proptest::collection::vec((key, proptest::option::of(any::<u8>())), 0..12)
    }

    proptest! {
        #[test]
        fn an_overlay_reads_as_the_store_will_once_the_batch_is_durable(
            old in writes(), new in writes(), limit in 0_usize..6
        ) {
            let mut store = MemoryStore::new();
            store.commit(&batch(&old)).unwrap();
            let overlay = Overlay { view: &store, batch: batch(&new) };
            let mut after = store.clone();
            after.commit(&batch(&new)).unwrap();
            for direction in [Direction::Ascending, Direction::Descending] {
                prop_assert_eq!(read(&overlay, direction, limit), read(&after, direction, limit));
            }
            for (key, _) in old.iter().chain(&new) {
                prop_assert_eq!(overlay.get(key).unwrap(), after.get(key).unwrap());
            }
        }
    }
}
