//! Notes what a peer said of itself in its Hello: its start number, so that a store of it that was rolled back is fenced at its next one, and the
//! operation kinds that it knows, since one is issued only once every region of the placement knows it.
//!
//! What must always hold: the number only grows; of the kinds the latest word counts, and it is kept, so that a region that is alone goes on with what
//! it may.

use crate::keys::Key;
use crate::pending::Pending;
use crate::record::PeerRecord;
use crate::store::StoreError;
use crdt::ReplicaId;
use std::collections::BTreeSet;

/// Notes a start number and kinds.
pub(crate) fn note(
    pending: &mut Pending<'_>,
    peer: ReplicaId,
    start_number: u64,
    kinds: BTreeSet<u32>,
) -> Result<(), StoreError> {
    let key = Key::PeerStart(peer);
    let known: PeerRecord = pending.tables.load(&key)?.unwrap_or_default();
    let said = PeerRecord { start_number: known.start_number.max(start_number), kinds };
    if said != known {
        pending.tables.put(&key, &said);
    }
    Ok(())
}
