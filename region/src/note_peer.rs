//! Notes the start number of a peer that introduced itself, so that a store of it that was rolled back is fenced at its next Hello.
//!
//! What must always hold: the number only grows.

use crate::keys::Key;
use crate::pending::Pending;
use crate::store::StoreError;
use crdt::ReplicaId;

/// Notes a start number.
pub(crate) fn note(pending: &mut Pending<'_>, peer: ReplicaId, start_number: u64) -> Result<(), StoreError> {
    let key = Key::PeerStart(peer);
    let known: Option<u64> = pending.tables.load(&key)?;
    if known.is_none_or(|known| known < start_number) {
        pending.tables.put(&key, &start_number);
    }
    Ok(())
}
