//! What a device lacks of a conversation, in the order in which it arrived here.
//!
//! What must always hold: every entry after the standing is either given, or covered by what was given elsewhere, or hidden from
//! the member; the cut given with them covers exactly the entries read and what the standing covered, so it is causally closed.
//! What has gone by its age (`expire_messages.rs`) is passed over, and counts as read: nobody will ever be given it.
//! A standing of another replica has a cut and no arrival number: the first entry it lacks is found by going back from the newest.

use super::origins::Origins;
use super::{Changes, READ_BYTES_MAX, Standing, body_bytes, held, item_at};
use crate::expire_messages;
use crate::item::ArrivalNumber;
use crate::keys::{Key, KeyRange};
use crate::limits::CHANGES_LOOKED_AT_MAX;
use crate::record::{self, ChangeRecord};
use crate::store::{Direction, StoreError, View};
use crdt::{ConversationId, Cut, Identity};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Up to `limit` entries that the standing lacks and `since` does not hide; those about messages in `hidden` are withheld.
pub(super) fn changes(
    view: &dyn View,
    conversation: ConversationId,
    (since, hidden): (&Cut, BTreeSet<Identity>),
    standing: &Standing,
    limit: usize,
) -> Result<Changes, StoreError> {
    let held = held(view, conversation)?;
    let (mut cut, mut through, mut highest) = (standing.cut.clone(), standing.after, standing.highest);
    if through == ArrivalNumber(0) {
        // What is hidden counts as held: nothing of it will ever be given.
        cut.join(since);
        through = last_covered(view, conversation, &held.cut, &cut)?;
    }
    let expired = expire_messages::expired(view, conversation.partition().bucket)?;
    let mut items = Vec::new();
    let (mut bytes, mut looked_at, mut passed) = (0, 0, Cut::new());
    let range = KeyRange::changes_after(conversation, through);
    record::scan(view, &range, Direction::Ascending, |key, entry: ChangeRecord| {
        let Key::Change(_, arrival) = key else { return Ok(ControlFlow::Continue(())) };
        if items.len() >= limit || bytes >= READ_BYTES_MAX || looked_at >= CHANGES_LOOKED_AT_MAX {
            return Ok(ControlFlow::Break(()));
        }
        looked_at += 1;
        let is_held = standing.cut.covers(entry.dot) || since.covers(entry.dot);
        let has_gone = is_held || (entry.position <= expired && entry.kind.may_be_cut());
        let item = if has_gone { None } else { item_at(view, &held, conversation, entry.position)? };
        if item.is_none() && !is_held {
            crate::sometimes::EXPIRED_NOT_GIVEN.reach();
            passed.raise(entry.dot);
        }
        if let Some(item) = item {
            let is_hidden = item.message_of().is_some_and(|message| hidden.contains(&message));
            let item = if is_hidden { item.withheld() } else { item };
            bytes += body_bytes(&item);
            highest = highest.max(item.hlc);
            items.push((arrival, item));
        }
        cut.raise(entry.dot);
        through = arrival;
        Ok(ControlFlow::Continue(()))
    })?;
    if through == held.arrival {
        highest = highest.max(held.highest);
    }
    Ok(Changes { items, through, cut, expired: passed, highest, end: held.arrival, hidden })
}

/// The arrival number up to which every entry is covered.
fn last_covered(
    view: &dyn View,
    conversation: ConversationId,
    held: &Cut,
    cut: &Cut,
) -> Result<ArrivalNumber, StoreError> {
    if cut.is_empty() {
        return Ok(ArrivalNumber(0));
    }
    let mut origins = Origins::of(held);
    let mut first_lacking = None;
    let mut newest = ArrivalNumber(0);
    let range = KeyRange::changes_after(conversation, ArrivalNumber(0));
    record::scan(view, &range, Direction::Descending, |key, entry: ChangeRecord| {
        let Key::Change(_, arrival) = key else { return Ok(ControlFlow::Continue(())) };
        newest = newest.max(arrival);
        if cut.covers(entry.dot) {
            origins.met_covered(entry.dot);
        } else {
            first_lacking = Some(arrival);
        }
        Ok(if origins.is_done() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(first_lacking.map_or(newest, |arrival| ArrivalNumber(arrival.0.saturating_sub(1))))
}
