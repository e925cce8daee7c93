//! Changes who is in a group by the plain rule: its creator adds, anyone leaves.
//!
//! What must always hold: an added member is not shown what the conversation held where they were added (`since`), and a leave undoes
//! exactly what its region had applied (`seen`); both cuts are this region's own, so they are causally closed.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::command::{Done, Refusal};
use crate::issue_operation::Author;
use crate::partition;
use crate::pending::Pending;
use crdt::operation::Body;
use crdt::{Timestamp, UserId};
use rand_core::RngCore;

/// Adds a member or refuses to.
pub(crate) fn add(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    user: UserId,
) -> Result<Done, NotDone> {
    if let Some(done) = accept_command::done_before(pending, author)? {
        return Ok(done);
    }
    let conversation = author.conversation;
    accept_command::membership(pending, conversation, author.sender)?;
    let members = partition::members(pending.tables.view(), conversation)?;
    if members.direct() {
        return Err(Refusal::Direct(conversation).into());
    }
    if members.creator() != Some(author.sender) {
        crate::sometimes::NOT_THE_CREATOR.reach();
        return Err(Refusal::NotCreator(conversation).into());
    }
    accept_command::placement_allows(pending, conversation, &[user])?;
    if members.member(user).is_some() {
        crate::sometimes::ALREADY_A_MEMBER.reach();
        return Ok(Done::Exists { conversation });
    }
    let (count, limit) = (members.members().count() + 1, pending.config.limits.members_max);
    if count > limit {
        crate::sometimes::GROUP_FULL.reach();
        return Err(Refusal::TooManyMembers { members: count, limit }.into());
    }
    let since = pending.tables.conversation(conversation)?.cut.clone();
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, Body::Add { user, since })
}

/// Lets a member leave or refuses to.
pub(crate) fn leave(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
) -> Result<Done, NotDone> {
    if let Some(done) = accept_command::done_before(pending, author)? {
        return Ok(done);
    }
    let conversation = author.conversation;
    accept_command::membership(pending, conversation, author.sender)?;
    if partition::members(pending.tables.view(), conversation)?.direct() {
        return Err(Refusal::Direct(conversation).into());
    }
    let seen = pending.tables.conversation(conversation)?.cut.clone();
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, Body::Leave { seen })
}
