//! Takes back what an edit put into a description twice, because its author's device sent it to two regions.
//!
//! A region makes a change of an edit, on top of what its own document says. A device that moved sends the edit again, and the next region, which has not heard of the first one's change,
//! makes another: two changes of one command, which merge as any two, and each has put the new words there. Of a name nothing is seen of that, a description holds them twice.
//!
//! The naive way is to keep one of the two changes out. But others may have been made on either, in regions and on devices, and would stand on nothing. So both stand, and what the
//! later one put there is erased, by a change like any other: any Automerge takes it.
//!
//! What must always hold:
//! - The change of the lowest place of the identity keeps its words, as its operation is the one that is shown; so whoever decides, decides alike.
//! - Only the region that made a change takes its words back, in the step that learns of a lower one: once, and before anybody is shown both there.
//! - If a region of the placement does not know documents then (an earlier release runs there), that words are to be taken back is written in the batch that learns of it, and goes in the
//!   batch that does it: a crash forgets nothing. It is looked at again when a peer says what it knows, when an epoch comes, and when the store is opened; until then both are shown.
//! - What others wrote in the midst of the words stays, as does what the edit erased.
//!
//! Bounded: a note of some 50 bytes an edit that was sent to two regions, and [`MENDED_A_STEP_MAX`] of them looked at in a step besides what the step itself brought.
//!
//! A region that has both before the origin's change has come shows the words twice for as long as that takes. An origin that never learns of the lower one, because it is gone for good, takes
//! nothing back.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::document;
use crate::issue_operation::Author;
use crate::keys::{Key, KeyRange};
use crate::limits::MENDED_A_STEP_MAX;
use crate::partition;
use crate::pending::Pending;
use crate::record::{IdentityRecord, LoggedPlace};
use crate::store::{StoreError, View};
use crate::sweep::{self, Sweeps};
use bytes::Bytes;
use crdt::operation::Body;
use crdt::{Bucket, ConversationId, Identity, Kind, MessageId, Timestamp};
use documents::{Actor, Change, Document};
use rand_core::RngCore;

/// The partitions that hold edits whose words are still to be taken back.
pub(crate) type MadeTwice = Sweeps<(ConversationId, Identity)>;

/// What a store holds: all of it is looked at once.
pub(crate) fn load(view: &dyn View) -> Result<MadeTwice, StoreError> {
    Sweeps::load(view, |bucket| {
        Ok(!sweep::noted(view, &KeyRange::made_twice_after(bucket, None), 1)?.is_empty())
    })
}

/// Takes back what this region put there for commands of which this step has brought another region's change, and for those that were noted and are to be looked at.
pub(crate) fn mend(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    waiting: &mut MadeTwice,
) -> Result<(), StoreError> {
    for (conversation, command) in std::mem::take(&mut pending.tables.made_twice) {
        if look_at(pending, entropy, (conversation, command))? {
            waiting.hold_looked_at(conversation.partition().bucket);
        }
    }
    let mut room = MENDED_A_STEP_MAX;
    while room > 0
        && let Some((bucket, mut sweep)) = waiting.take()
    {
        let range = KeyRange::made_twice_after(bucket, sweep.after);
        let found = sweep::noted(pending.tables.view(), &range, room)?;
        let is_whole = found.len() < room;
        room -= found.len();
        for edit in found {
            sweep.after = Some(edit);
            sweep.left |= look_at(pending, entropy, edit)?;
        }
        waiting.looked(bucket, sweep, is_whole);
    }
    Ok(())
}

/// Takes back what is to be of an edit, or notes that it is. Says whether a note stands.
fn look_at(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    (conversation, command): (ConversationId, Identity),
) -> Result<bool, StoreError> {
    let key = Key::Identity(conversation, command.sender, command.message);
    let identity: IdentityRecord = pending.tables.load(&key)?.unwrap_or_default();
    let own = pending.config.replica;
    let places = identity.places.split_first().into_iter();
    let made_here: Vec<(&LoggedPlace, &LoggedPlace)> = places
        .flat_map(|(first, later)| later.iter().map(move |place| (first, place)))
        .filter(|(_, place)| place.place.dot.replica == own)
        .collect();
    let waits = !made_here.is_empty()
        && accept_command::not_known_in(pending, u32::from(Kind::Document.code()))?.is_some();
    let note = Key::MadeTwice(conversation, command.sender, command.message);
    let waited = pending.tables.load::<()>(&note)?.is_some();
    if waits {
        if !waited {
            pending.tables.put(&note, &());
        }
        return Ok(true);
    }
    for places in made_here {
        let is_done = take_back(pending, entropy, (conversation, command), places)?;
        if is_done && waited {
            crate::sometimes::EDIT_TAKEN_BACK_LATER.reach();
        }
    }
    if waited {
        pending.tables.delete(&note);
    }
    Ok(false)
}

/// Says whether there was something to take back.
fn take_back(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    (conversation, command): (ConversationId, Identity),
    (first, later): (&LoggedPlace, &LoggedPlace),
) -> Result<bool, StoreError> {
    let held = document::load(pending.tables.view(), conversation)?;
    let Some(_) = standing(pending, conversation, &held, first)? else { return Ok(false) };
    let Some(made) = standing(pending, conversation, &held, later)? else { return Ok(false) };
    let actor = Actor::of_region(pending.config.replica);
    let seconds = i64::try_from(pending.now.ms() / 1_000).unwrap_or(i64::MAX);
    // It has put nothing into the description, or none of it is left.
    let Ok(change) = held.take_back(&actor, seconds, &made) else { return Ok(false) };
    let mut id = [0; 16];
    entropy.fill_bytes(&mut id);
    let message = MessageId(u128::from_be_bytes(id));
    let author = Author { conversation, sender: command.sender, message };
    let body = Body::Document(change.write().0.into());
    match accept_post::issue(pending, entropy, author, Timestamp::ZERO, body) {
        Ok(_) => {
            crate::sometimes::EDIT_TAKEN_BACK.reach();
            Ok(true)
        }
        // The conversation's clock is at its end: the words stay twice.
        Err(NotDone::Refused(_)) => Ok(false),
        Err(NotDone::Store(error)) => Err(error),
    }
}

/// The change that an operation carries, if it stands.
fn standing(
    pending: &Pending<'_>,
    conversation: ConversationId,
    held: &Document,
    logged: &LoggedPlace,
) -> Result<Option<Change>, StoreError> {
    let bucket = conversation.partition().bucket;
    let Some(bytes) = body(pending, bucket, logged)? else { return Ok(None) };
    let read = Change::read(&bytes, held.schema()).ok();
    Ok(read.and_then(|(change, hash)| held.stands(&hash).then_some(change)))
}

fn body(pending: &Pending<'_>, bucket: Bucket, logged: &LoggedPlace) -> Result<Option<Bytes>, StoreError> {
    let view = pending.tables.view();
    let entry = partition::entry(view, bucket, logged.position, "a change of a document")?;
    match partition::decode(bucket, logged.position, &entry)? {
        (_, Some(Body::Document(bytes))) => Ok(Some(bytes)),
        // Something else under the same id, by a client's mistake.
        _ => Ok(None),
    }
}
