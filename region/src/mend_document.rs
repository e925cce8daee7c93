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
//! - What others wrote in the midst of the words stays, as does what the edit erased.
//!
//! A region that has both before the origin's change has come shows the words twice for as long as that takes. An origin that never learns of the lower one, because it is gone for good, takes
//! nothing back.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::document;
use crate::issue_operation::Author;
use crate::keys::Key;
use crate::partition;
use crate::pending::Pending;
use crate::record::{IdentityRecord, LoggedPlace};
use crate::store::StoreError;
use bytes::Bytes;
use crdt::operation::Body;
use crdt::{ConversationId, Identity, Kind, MessageId, Timestamp};
use documents::{Actor, Change, Document};
use rand_core::RngCore;

/// Takes back what this region put there for commands of which this step has brought another region's change.
pub(crate) fn mend(pending: &mut Pending<'_>, entropy: &mut dyn RngCore) -> Result<(), StoreError> {
    for (conversation, command) in std::mem::take(&mut pending.tables.made_twice) {
        let key = Key::Identity(conversation, command.sender, command.message);
        let identity: IdentityRecord = pending.tables.load(&key)?.unwrap_or_default();
        let Some((first, later)) = identity.places.split_first() else { continue };
        let own = pending.config.replica;
        for place in later.iter().filter(|place| place.place.dot.replica == own) {
            take_back(pending, entropy, (conversation, command), (first, place))?;
        }
    }
    Ok(())
}

fn take_back(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    (conversation, command): (ConversationId, Identity),
    (first, later): (&LoggedPlace, &LoggedPlace),
) -> Result<(), StoreError> {
    let held = document::load(pending.tables.view(), conversation)?;
    let Some(_) = standing(pending, conversation, &held, first)? else { return Ok(()) };
    let Some(made) = standing(pending, conversation, &held, later)? else { return Ok(()) };
    let actor = Actor::of_region(pending.config.replica);
    let seconds = i64::try_from(pending.now.ms() / 1_000).unwrap_or(i64::MAX);
    // It has put nothing into the description, or none of it is left.
    let Ok(change) = held.take_back(&actor, seconds, &made) else { return Ok(()) };
    let mut id = [0; 16];
    entropy.fill_bytes(&mut id);
    let message = MessageId(u128::from_be_bytes(id));
    let author = Author { conversation, sender: command.sender, message };
    let body = Body::Document(change.write().0.into());
    let issued = accept_command::known_everywhere(pending, conversation, Kind::Document)
        .and_then(|()| accept_post::issue(pending, entropy, author, Timestamp::ZERO, body));
    match issued {
        Ok(_) => crate::sometimes::EDIT_TAKEN_BACK.reach(),
        // Some region does not know the kind any more, or the conversation's clock is at its end: the words stay twice.
        Err(NotDone::Refused(_)) => {}
        Err(NotDone::Store(error)) => return Err(error),
    }
    Ok(())
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

fn body(
    pending: &Pending<'_>,
    bucket: crdt::Bucket,
    logged: &LoggedPlace,
) -> Result<Option<Bytes>, StoreError> {
    let view = pending.tables.view();
    let entry = partition::entry(view, bucket, logged.position, "a change of a document")?;
    match partition::decode(bucket, logged.position, &entry)? {
        (_, Some(Body::Document(bytes))) => Ok(Some(bytes)),
        // Something else under the same id, by a client's mistake.
        _ => Ok(None),
    }
}
