//! Accepts a post: checks it, gives it a place above all that its author's region and device had seen, and issues it.
//!
//! What must always hold:
//! - A post sorts after everything its conversation holds here and everything its author's device was given.
//! - When the device was given more than this region has applied (it roamed from a region that is cut off), the post carries that
//!   cut, so that readers show the mark of promise 4 until they have it.
//! - It is not taken before the command that its author's device says it follows: that one was refused here while its author was out, or sent just before and
//!   not answered yet (decision 0024), or acknowledged by a store that was put back since (decision 0036), and readers would be shown it after this one.
//! - What operators allow is judged once: a post that another region has taken is taken here too, before its author's later ones. Refused, it would be
//!   shown after those, or hold them up for as long as the other region is cut off.
//!
//! What happens when it is sent twice: the second finds the identity and is answered with the first one's dot. Another message under its id is refused.

use crate::accept_command::{self, NotDone};
use crate::command::{Done, Refusal, Seen};
use crate::features::Feature;
use crate::issue_operation::{self, Author};
use crate::keys::Key;
use crate::pending::Pending;
use crate::record::IdentityRecord;
use bytes::Bytes;
use crdt::operation::{Body, Post};
use crdt::{MessageId, Timestamp};
use rand_core::RngCore;

/// What the device says of a post beside what is in it.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// What the device had been shown.
    pub(crate) seen: Seen,
    /// Its sender's message that it is not to be taken before.
    pub(crate) after: Option<MessageId>,
    /// Another region has taken it, and proved so.
    pub(crate) taken_before: bool,
}

/// Accepts a post or refuses it.
pub(crate) fn accept(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    mut post: Post,
    About { seen, after, taken_before }: About,
) -> Result<Done, NotDone> {
    if let Some(done) = accept_command::done_before(pending, author)? {
        is_the_same(pending, author, &post)?;
        return Ok(done);
    }
    let conversation = author.conversation;
    if taken_before {
        fits_in(&post.body, pending.config.limits.body_bytes_max)?;
    } else {
        fits(pending, &post.body)?;
    }
    accept_command::membership(pending, conversation, author.sender)?;
    if conversation.account_of().is_some() {
        crate::sometimes::POST_IN_AN_ACCOUNT.reach();
        return Err(Refusal::Account(conversation).into());
    }
    follows(pending, author, after)?;
    accept_command::possible(pending, conversation, &seen.cut)?;
    match pending.features().allows(Feature::Posts) {
        Err(_) if taken_before => crate::sometimes::TAKEN_BEFORE.reach(),
        allowed => allowed?,
    }
    let held = pending.tables.conversation(conversation)?;
    if !held.cut.covers_all(&seen.cut) {
        crate::sometimes::WRITTEN_ON_MORE.reach();
        post.seen = Some(seen.cut);
    }
    issue(pending, entropy, author, seen.highest, Body::Post(post))
}

/// Whether what stands under that id says the same. Otherwise the answer would prove to other regions that this content was taken.
fn is_the_same(pending: &Pending<'_>, author: Author, post: &Post) -> Result<(), NotDone> {
    let Author { conversation, sender, message } = author;
    let known: Option<IdentityRecord> = pending.tables.load(&Key::Identity(conversation, sender, message))?;
    let Some(first) = known.and_then(|known| known.places.first().copied()) else { return Ok(()) };
    match pending.body_at(conversation.partition().bucket, first.position)? {
        // It is deleted, in every region.
        None => Ok(()),
        Some(Body::Post(stands)) if (&stands.body, stands.reply_to) == (&post.body, post.reply_to) => Ok(()),
        Some(_) => {
            crate::sometimes::ID_IN_USE.reach();
            Err(Refusal::IdInUse { conversation, message }.into())
        }
    }
}

/// Whether the one that it is to stand after is here, under whichever dot.
fn follows(pending: &Pending<'_>, author: Author, after: Option<MessageId>) -> Result<(), NotDone> {
    let Author { conversation, sender, .. } = author;
    let Some(after) = after else { return Ok(()) };
    let known: Option<IdentityRecord> = pending.tables.load(&Key::Identity(conversation, sender, after))?;
    if known.is_none() {
        crate::sometimes::PREDECESSOR_MISSING.reach();
        return Err(Refusal::PredecessorMissing { conversation, after }.into());
    }
    Ok(())
}

/// Whether a body is within the limit.
pub(crate) fn fits(pending: &Pending<'_>, body: &Bytes) -> Result<(), Refusal> {
    fits_in(body, pending.features().limit(Feature::Posts, pending.config.limits.body_bytes_max))
}

fn fits_in(body: &Bytes, limit: usize) -> Result<(), Refusal> {
    if body.len() > limit { Err(Refusal::BodyTooLarge { bytes: body.len(), limit }) } else { Ok(()) }
}

/// Issues an operation at the next place of its conversation.
pub(crate) fn issue(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    seen: Timestamp,
    body: Body,
) -> Result<Done, NotDone> {
    let Author { conversation, message, .. } = author;
    let now_ms = pending.now.ms();
    let highest = pending.tables.conversation(conversation)?.highest;
    let hlc = Timestamp::issue(now_ms, highest, seen).map_err(|_| {
        crate::sometimes::CLOCK_EXHAUSTED.reach();
        Refusal::ClockExhausted(conversation)
    })?;
    let dot = issue_operation::issue(pending, entropy, author, hlc, body)?;
    Ok(Done::Operation { conversation, command: message, dot, hlc })
}
