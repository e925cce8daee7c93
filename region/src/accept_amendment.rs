//! Accepts an edit, a deletion for everyone, a reaction or its withdrawal: judged here, at the door, on what this region has of the message.
//!
//! What must always hold:
//! - Windows are judged on `now`, here and never again: an operation in a log was in time.
//! - Nobody amends a message that is hidden from them, nor learns that it exists.
//! - A kind of operation is issued only once every region of the placement has said that it knows it: one that does not would have to stop the
//!   partition's stream there.
//!
//! What happens when it is sent twice: the second finds the identity and is answered with the first one's dot. What stands already (the message is
//! deleted, the reaction is there) needs nothing, and is answered so.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::command::{Done, Refusal, Seen, Wish};
use crate::features::Feature;
use crate::issue_operation::Author;
use crate::keys::Key;
use crate::partition;
use crate::pending::Pending;
use crate::record::{IdentityRecord, TimelineRecord};
use crdt::amendments::{AmendmentContent, AmendmentWish, Amendments, NotAmended};
use crdt::operation::Body;
use crdt::{Aliases, ConversationId, Identity, Kind, UserId};
use rand_core::RngCore;

/// Accepts an amendment or refuses it.
pub(crate) fn accept(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    (target, wish): (Identity, Wish),
    seen: Seen,
) -> Result<Done, NotDone> {
    if let Some(done) = accept_command::done_before(pending, author)? {
        return Ok(done);
    }
    let Author { conversation, sender, .. } = author;
    if let Wish::Edit(body) = &wish {
        accept_post::fits(pending, body)?;
    }
    let aliases = visible(pending, conversation, sender, target)?;
    accept_command::possible(pending, conversation, &seen.cut)?;
    let amendments = partition::amendments(pending.tables.view(), conversation, target)?.unwrap_or_default();
    match judge(pending, &amendments, (target, &aliases), sender, &wish) {
        Ok(()) => {}
        Err(NotAmended::AlreadyReacted) => return Ok(Done::Exists { conversation }),
        Err(NotAmended::Deleted) if matches!(wish, Wish::Delete) && sender == target.sender => {
            return Ok(Done::Exists { conversation });
        }
        Err(why) => {
            crate::sometimes::NOT_AMENDED.reach();
            return Err(Refusal::NotAmended { conversation, why }.into());
        }
    }
    match &wish {
        Wish::Edit(_) => pending.features().allows(Feature::Edits)?,
        Wish::React(_) | Wish::Withdraw(_) => pending.features().allows(Feature::Reactions)?,
        Wish::Delete => {}
    }
    let content = match wish {
        Wish::Edit(body) => {
            let held = pending.tables.conversation(conversation)?;
            let seen = (!held.cut.covers_all(&seen.cut)).then_some(seen.cut);
            AmendmentContent::Edit { body, seen }
        }
        Wish::Delete => AmendmentContent::Delete,
        Wish::React(emoji) => AmendmentContent::React(emoji),
        Wish::Withdraw(emoji) => {
            let seen = amendments.seen(&emoji, sender);
            AmendmentContent::Withdraw { emoji, seen }
        }
    };
    accept_command::known_everywhere(pending, conversation, content.kind())?;
    accept_post::issue(pending, entropy, author, seen.highest, Body::Amend { target, content })
}

fn judge(
    pending: &Pending<'_>,
    amendments: &Amendments,
    message: (Identity, &Aliases),
    sender: UserId,
    wish: &Wish,
) -> Result<(), NotAmended> {
    let wish = match wish {
        Wish::Edit(_) => AmendmentWish::Edit,
        Wish::Delete => AmendmentWish::Delete,
        Wish::React(emoji) => AmendmentWish::React(emoji.clone()),
        Wish::Withdraw(emoji) => AmendmentWish::Withdraw(emoji.clone()),
    };
    amendments.check(message, sender, &wish, pending.now, pending.config.limits.windows)
}

/// Every operation that carries the message; none if there is no such message, or all of them are hidden from that member.
fn visible(
    pending: &Pending<'_>,
    conversation: ConversationId,
    member: UserId,
    message: Identity,
) -> Result<Aliases, NotDone> {
    let since = accept_command::membership(pending, conversation, member)?.since;
    let key = Key::Identity(conversation, message.sender, message.message);
    let identity: IdentityRecord = pending.tables.load(&key)?.unwrap_or_default();
    let aliases = identity.aliases();
    let Some(place) = aliases.canonical() else { return Ok(Aliases::default()) };
    let shown: Option<TimelineRecord> =
        pending.tables.load(&Key::Timeline(conversation, place.hlc, place.dot))?;
    let is_message = shown.is_some_and(|shown| shown.kind == Kind::Post);
    let is_hidden = aliases.iter().all(|place| since.covers(place.dot));
    Ok(if is_message && !is_hidden { aliases } else { Aliases::default() })
}
