//! Begins a conversation: a group with its first members, or the one conversation of two users.
//!
//! What must always hold: every first member's pin allows the placement that the conversation's id names, for ever; a group's id is used once;
//! the conversation of two users begins once, whoever opens it.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::command::{Done, Refusal};
use crate::issue_operation::Author;
use crate::partition;
use crate::pending::Pending;
use crdt::operation::Body;
use crdt::{Timestamp, UserId};
use rand_core::RngCore;

/// Begins a group or refuses to.
pub(crate) fn group(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    mut members: Vec<UserId>,
    name: String,
) -> Result<Done, NotDone> {
    if let Some(done) = accept_command::done_before(pending, author)? {
        return Ok(done);
    }
    let limits = &pending.config.limits;
    let (characters, limit) = (name.chars().count(), limits.name_characters_max);
    if characters > limit {
        return Err(Refusal::NameTooLong { characters, limit }.into());
    }
    members.push(author.sender);
    members.sort_unstable();
    members.dedup();
    if members.len() > limits.members_max {
        crate::sometimes::GROUP_FULL.reach();
        return Err(Refusal::TooManyMembers { members: members.len(), limit: limits.members_max }.into());
    }
    accept_command::placement_allows(pending, author.conversation, &members)?;
    if partition::members(pending.tables.view(), author.conversation)?.exists() {
        crate::sometimes::GROUP_EXISTS.reach();
        return Err(Refusal::ConversationExists(author.conversation).into());
    }
    let body = Body::Create { members, name, direct: false };
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, body)
}

/// Opens the conversation of two users.
pub(crate) fn direct(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    peer: UserId,
) -> Result<Done, NotDone> {
    if let Some(done) = accept_command::done_before(pending, author)? {
        return Ok(done);
    }
    let conversation = author.conversation;
    if peer == author.sender {
        return Err(Refusal::Direct(conversation).into());
    }
    let mut members = vec![author.sender, peer];
    members.sort_unstable();
    accept_command::placement_allows(pending, conversation, &members)?;
    if partition::members(pending.tables.view(), conversation)?.direct() {
        crate::sometimes::DIRECT_EXISTS.reach();
        return Ok(Done::Exists { conversation });
    }
    let body = Body::Create { members, name: String::new(), direct: true };
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, body)
}
