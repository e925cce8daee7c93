//! Cuts the payloads of messages that were deleted for everyone, once nobody needs them any more.
//!
//! A deletion hides a message at once; its text lies on until the deletion, every edit and every operation that carries the message are stable. Then
//! every region has applied all of them, so none will ask for a payload again. The envelope stays: a peer that comes later learns from it that there was a message, and nothing
//! of what it said, since the digest in it is salted.
//!
//! What must always hold:
//! - A body is stored once, in the log, so cutting it there cuts it everywhere. A storage engine's older files hold it until they are compacted, which `compact_files.rs` sees to.
//! - That there is something to be cut is written in the batch that makes it so, and goes in the batch that cuts it: a crash forgets nothing.
//!
//! Bounded: [`CUT_A_STEP_MAX`] messages are looked at in a step, whether they can be cut or not; while more are left to look at, the next step is due
//! at once and goes on behind them.

use crate::compact_files::Leftovers;
use crate::keys::{Key, KeyRange};
use crate::limits::CUT_A_STEP_MAX;
use crate::partition;
use crate::pending::Pending;
use crate::record::{self, IdentityRecord, LogRecord, OpaqueRecord};
use crate::store::{Direction, StoreError, View};
use crate::sweep::{self, Sweeps};
use crdt::amendments::Amendments;
use crdt::{Bucket, ConversationId, Cut, Identity};
use replication::log::Position;
use std::ops::ControlFlow;

/// The partitions that hold something to be cut.
pub(crate) type Uncut = Sweeps<(ConversationId, Identity)>;

/// What a store holds: all of it is looked at once.
pub(crate) fn load(view: &dyn View) -> Result<Uncut, StoreError> {
    Sweeps::load(view, |bucket| Ok(!sweep::noted(view, &KeyRange::uncut_after(bucket, None), 1)?.is_empty()))
}

/// Writes down what was deleted in this step, and cuts what may be cut by now.
pub(crate) fn cut(
    pending: &mut Pending<'_>,
    waiting: &mut Uncut,
    leftovers: &mut Leftovers,
) -> Result<(), StoreError> {
    for (conversation, message) in std::mem::take(&mut pending.tables.uncut) {
        pending.tables.put(&Key::Uncut(conversation, message.sender, message.message), &());
        waiting.hold(conversation.partition().bucket);
    }
    let mut room = CUT_A_STEP_MAX;
    while room > 0
        && let Some((bucket, mut sweep)) = waiting.take()
    {
        let range = KeyRange::uncut_after(bucket, sweep.after);
        let found = sweep::noted(pending.tables.view(), &range, room)?;
        let is_whole = found.len() < room;
        room -= found.len();
        let stable = pending.acknowledged(bucket)?.1.clone();
        for (conversation, message) in found {
            sweep.after = Some((conversation, message));
            let Some(positions) = positions(pending, (conversation, message), &stable)? else {
                sweep.left = true;
                continue;
            };
            for position in positions {
                if cut_at(pending, bucket, position, message)? {
                    leftovers.note(pending.now, bucket, position);
                }
            }
            pending.tables.delete(&Key::Uncut(conversation, message.sender, message.message));
        }
        if !is_whole {
            crate::sometimes::CUT_LATER.reach();
        }
        waiting.looked(bucket, sweep, is_whole);
    }
    Ok(())
}

/// Where in the log everything stands that carries the message or an edit of it; none while some of that is not stable.
fn positions(
    pending: &Pending<'_>,
    (conversation, message): (ConversationId, Identity),
    stable: &Cut,
) -> Result<Option<Vec<Position>>, StoreError> {
    let view = pending.tables.view();
    let Some(amendments) = partition::amendments(view, conversation, message)? else { return Ok(None) };
    let identity = identity(view, conversation, message)?;
    if !amendments.is_to_be_cut(&identity.aliases(), stable) {
        return Ok(None);
    }
    carriers(view, conversation, &identity, &amendments).map(Some)
}

fn identity(
    view: &dyn View,
    conversation: ConversationId,
    message: Identity,
) -> Result<IdentityRecord, StoreError> {
    let key = Key::Identity(conversation, message.sender, message.message);
    Ok(record::load(view, &key)?.unwrap_or_default())
}

fn carriers(
    view: &dyn View,
    conversation: ConversationId,
    identity: &IdentityRecord,
    amendments: &Amendments,
) -> Result<Vec<Position>, StoreError> {
    let mut positions: Vec<Position> = identity.places.iter().map(|logged| logged.position).collect();
    for edit in amendments.edits() {
        let key = Key::Dot(conversation.partition().bucket, edit.dot);
        positions.push(record::load_named(view, &key, "an amended message")?);
    }
    Ok(positions)
}

/// Whether that log entry carries the message or an edit of it, and not something that has the same id by a client's mistake, and whether its payload is
/// still there.
fn is_uncut(
    bucket: Bucket,
    position: Position,
    entry: &LogRecord,
    message: Identity,
) -> Result<bool, StoreError> {
    let (envelope, _) = partition::decode(bucket, position, entry)?;
    let carries = envelope.target.unwrap_or_else(|| envelope.identity()) == message;
    Ok(entry.payload.is_some() && carries && envelope.kind.may_be_cut())
}

/// Says whether there was something to cut.
fn cut_at(
    pending: &mut Pending<'_>,
    bucket: Bucket,
    position: Position,
    message: Identity,
) -> Result<bool, StoreError> {
    let entry = partition::entry(pending.tables.view(), bucket, position, "a deleted message")?;
    let is_uncut = is_uncut(bucket, position, &entry, message)?;
    if is_uncut {
        pending.tables.put(&Key::Log(bucket, position), &LogRecord { payload: None, ..entry });
    }
    Ok(is_uncut)
}

/// Checks that it is written down of every deleted message whether there is still something of it to be cut.
pub(crate) fn verify(view: &dyn View, conversation: ConversationId) -> Result<(), StoreError> {
    let bucket = conversation.partition().bucket;
    let range = KeyRange::amendments(conversation);
    record::scan(view, &range, Direction::Ascending, |key, _: OpaqueRecord| {
        let Key::Amendments(_, sender, id) = key else { return Ok(ControlFlow::Continue(())) };
        let message = Identity { sender, message: id };
        let amendments = partition::amendments(view, conversation, message)?.unwrap_or_default();
        if !amendments.is_deleted() {
            return Ok(ControlFlow::Continue(()));
        }
        for position in carriers(view, conversation, &identity(view, conversation, message)?, &amendments)? {
            let entry = partition::entry(view, bucket, position, "a deleted message")?;
            if is_uncut(bucket, position, &entry, message)? {
                let uncut = Key::Uncut(conversation, sender, id);
                record::load_named::<()>(view, &uncut, "a deleted message")?;
            }
        }
        Ok(ControlFlow::Continue(()))
    })
}
