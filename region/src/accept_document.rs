//! Accepts a change of a conversation's document: an edit that a command asks for, which becomes a change here, or a change that a device has made with an
//! Automerge of its own.
//!
//! What must always hold:
//! - What is issued stands, here and in every region that applies it: it is tried on the document first.
//! - Limits of what a document shows bind here and nowhere else: beyond one, only what shrinks is taken.
//! - A device's own change names this region and that device as its actor; another would be kept out everywhere.
//!
//! What happens when it is sent twice: the second is answered with the first one's dot, as every command; a change that stands already, under whatever command,
//! needs nothing.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::command::{Done, NotChanged, Refusal};
use crate::document;
use crate::features::Feature;
use crate::issue_operation::Author;
use crate::pending::Pending;
use bytes::Bytes;
use crdt::operation::Body;
use crdt::{ConversationId, DeviceId, Kind, Timestamp, UserId};
use documents::{Actor, Change, Document, Edit, NotEdited, NotTaken, Schema, Taken};
use rand_core::RngCore;

/// How a document is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentWish {
    /// So that it says this.
    Edit(Vec<Edit>),
    /// By this Automerge change.
    Change(Bytes),
}

/// Accepts it or refuses it.
pub(crate) fn accept(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    device: DeviceId,
    wish: DocumentWish,
) -> Result<Done, NotDone> {
    if let Some(done) = accept_command::done_before(pending, author)? {
        return Ok(done);
    }
    let conversation = author.conversation;
    accept_command::membership(pending, conversation, author.sender)?;
    let held = document::load(pending.tables.view(), conversation)?;
    let made = match wish {
        DocumentWish::Edit(edits) => edit(pending, &held, &edits),
        DocumentWish::Change(bytes) => own_change(pending, &held, bytes, (author.sender, device)),
    };
    let bytes = match made.and_then(|bytes| try_on(pending, &held, author.sender, bytes)) {
        Ok(bytes) => bytes,
        Err(None) => return Ok(Done::Exists { conversation }),
        Err(Some(why)) => return Err(refused(conversation, why)),
    };
    pending.features().allows(Feature::Documents)?;
    accept_command::known_everywhere(pending, conversation, Kind::Document)?;
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, Body::Document(bytes))
}

fn refused(conversation: ConversationId, why: NotChanged) -> NotDone {
    crate::sometimes::DOCUMENT_NOT_CHANGED.reach();
    Refusal::NotChanged { conversation, why }.into()
}

/// The bytes of the change; the error is none if nothing has to be done.
type Made = Result<Bytes, Option<NotChanged>>;

fn edit(pending: &Pending<'_>, held: &Document, edits: &[Edit]) -> Made {
    let actor = Actor::of_region(pending.config.replica);
    let seconds = i64::try_from(pending.now.ms() / 1_000).unwrap_or(i64::MAX);
    match held.edit(&actor, seconds, edits) {
        Ok(change) => Ok(change.write().0.into()),
        Err(NotEdited::Unchanged) => Err(None),
        Err(NotEdited::Malformed(why)) => Err(Some(NotTaken::Malformed(why).into())),
        Err(NotEdited::Stuck) => Err(Some(NotTaken::Full.into())),
    }
}

fn own_change(
    pending: &Pending<'_>,
    held: &Document,
    bytes: Bytes,
    (user, device): (UserId, DeviceId),
) -> Made {
    let (change, hash) =
        Change::read(&bytes, held.schema()).map_err(|why| Some(NotTaken::Malformed(why).into()))?;
    if *change.actor() != Actor::of_device(pending.config.replica, user, device) {
        return Err(Some(NotTaken::ForeignActor.into()));
    }
    if held.stands(&hash) { Err(None) } else { Ok(bytes) }
}

/// Whether the document, with the change, is one that it may become.
fn try_on(pending: &Pending<'_>, held: &Document, user: UserId, bytes: Bytes) -> Made {
    let mut after = held.clone();
    match after.take(pending.config.replica, user, &bytes) {
        Taken::Stands => {}
        Taken::Waits => return Err(Some(NotTaken::Unfounded.into())),
        Taken::Refused(why) => return Err(Some(why.into())),
    }
    held.may_become(&after).map_err(|why| Some(why.into()))?;
    names_nobody_pinned_elsewhere(pending, held, &after).map_err(Some)?;
    Ok(bytes)
}

/// Whether an account comes to name only users and conversations of which something may be kept in this placement. What names neither is nobody's affair.
fn names_nobody_pinned_elsewhere(
    pending: &Pending<'_>,
    held: &Document,
    after: &Document,
) -> Result<(), NotChanged> {
    if held.schema() != Schema::Account {
        return Ok(());
    }
    let (before, after) = (document::named(&held.account()), document::named(&after.account()));
    let users = after.0.difference(&before.0).map(|user| user.placement());
    let labels = after.1.difference(&before.1).map(|conversation| conversation.placement());
    if users.chain(labels).all(|of| pending.config.allowed_pins.contains(&of)) {
        return Ok(());
    }
    crate::sometimes::PIN_FORBIDS.reach();
    Err(NotChanged::PinnedElsewhere)
}
