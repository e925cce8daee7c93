//! Notes what a peer said of itself in its Hello: which start of which store it is at, so that a store of it that was rolled back or made anew is fenced at its
//! next one, and the operation kinds that it knows, since one is issued only once every region of the placement knows it.
//!
//! What must always hold: the store that was seen first stays the one that is known, and the number of its start only grows; of the kinds the latest word counts,
//! and it is kept, so that a region that is alone goes on with what it may.

use crate::keys::Key;
use crate::pending::Pending;
use crate::record::PeerRecord;
use crate::store::StoreError;
use crdt::ReplicaId;
use replication::StoreStart;
use std::collections::BTreeSet;

/// Notes a start and kinds.
pub(crate) fn note(
    pending: &mut Pending<'_>,
    peer: ReplicaId,
    start: StoreStart,
    kinds: BTreeSet<u32>,
) -> Result<(), StoreError> {
    let key = Key::PeerStart(peer);
    let known: Option<PeerRecord> = pending.tables.load(&key)?;
    let start = known.as_ref().map_or(start, |known| StoreStart {
        id: known.start.id,
        number: known.start.number.max(start.number),
    });
    let said = PeerRecord { start, kinds };
    if known.as_ref() != Some(&said) {
        pending.tables.put(&key, &said);
    }
    Ok(())
}
