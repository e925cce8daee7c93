//! Begins a conversation: a group with its first members, or the one conversation of two users.
//!
//! What must always hold: every first member's pin allows the placement that the conversation's id names, for ever; a group's id is used once;
//! the conversation of two users begins once, whoever opens it; a group's first members and the rights to add others are together its limit.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::command::{Begun, Done, Epoch, Refusal};
use crate::features::Feature;
use crate::follow_epochs;
use crate::forms;
use crate::issue_operation::Author;
use crate::partition;
use crate::pending::Pending;
use crate::store::StoreError;
use crdt::escrow::{self, Count};
use crdt::limits::MEMBERS_MAX;
use crdt::operation::Body;
use crdt::{ConversationId, ReplicaId, Timestamp, UserId};
use rand_core::RngCore;
use std::collections::{BTreeMap, BTreeSet};

/// Begins a group or refuses to.
pub(crate) fn group(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    mut members: Vec<UserId>,
    name: String,
    begun: Option<Begun>,
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
    // The operators' word is on groups that begin, for as long as they say so; a group's own limit is for good.
    let places = limits.members_max.min(MEMBERS_MAX);
    let limit = pending.features().limit(Feature::Groups, places);
    if members.len() > limit {
        crate::sometimes::GROUP_FULL.reach();
        return Err(Refusal::TooManyMembers { members: members.len(), limit }.into());
    }
    let rights = places - members.len();
    accept_command::placement_allows(pending, author.conversation, &members)?;
    let is_reserved = author.conversation.account_of().is_some();
    if is_reserved || partition::members(pending.tables.view(), author.conversation)?.exists() {
        crate::sometimes::GROUP_EXISTS.reach();
        return Err(Refusal::ConversationExists(author.conversation).into());
    }
    pending.features().allows(Feature::Groups)?;
    let shares = shares(pending, author.conversation, rights as u64, begun)?;
    let body = Body::Create { members, name, direct: false, shares };
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, body)
}

/// The first shares of a group's rights: half to the region that the user began it in, and half to the others that were active then, whichever takes the command in the
/// end and under whichever epoch. So a command that is sent again elsewhere issues the very same rights, and both are one creation.
fn shares(
    pending: &Pending<'_>,
    conversation: ConversationId,
    rights: u64,
    begun: Option<Begun>,
) -> Result<BTreeMap<ReplicaId, u64>, NotDone> {
    let placement = &pending.config.placement;
    let epoch = begun.and_then(|begun| begun.epoch).unwrap_or(placement.epoch);
    let active = if epoch == placement.epoch {
        placement.active.keys().copied().collect()
    } else {
        crate::sometimes::BEGUN_UNDER_ANOTHER_EPOCH.reach();
        active_in(pending, epoch)?.ok_or_else(|| {
            crate::sometimes::EPOCH_MISSING.reach();
            Refusal::EpochMissing { conversation, epoch }
        })?
    };
    let first = match begun {
        None => pending.config.replica,
        // Who names a region that was not active gets what every region gives.
        Some(begun) => *active
            .iter()
            .find(|replica| replica.region == begun.region)
            .or(active.first())
            .unwrap_or(&pending.config.replica),
    };
    let shares = escrow::shares(rights, first, &active);
    Ok(shares.into_iter().map(|(replica, Count(share))| (replica, share)).collect())
}

/// The replicas that were active in an earlier epoch; none if this store has not kept it.
fn active_in(pending: &Pending<'_>, epoch: Epoch) -> Result<Option<BTreeSet<ReplicaId>>, StoreError> {
    let before = Epoch(epoch.0.saturating_sub(1));
    let statement = follow_epochs::kept(pending.tables.view(), before, 1)?.pop();
    Ok(statement.map(|statement| statement.active.into_keys().collect()))
}

/// Opens the conversation of two users, or a user's account.
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
    let mut members = vec![author.sender, peer];
    members.sort_unstable();
    members.dedup();
    accept_command::placement_allows(pending, conversation, &members)?;
    if partition::members(pending.tables.view(), conversation)?.direct() {
        crate::sometimes::DIRECT_EXISTS.reach();
        return Ok(Done::Exists { conversation });
    }
    if conversation.account_of().is_some()
        && let Some(region) = accept_command::not_known_in(pending, forms::ACCOUNT)?
    {
        crate::sometimes::NOT_KNOWN_EVERYWHERE.reach();
        return Err(Refusal::NotKnownEverywhere { conversation, region }.into());
    }
    let body = Body::Create { members, name: String::new(), direct: true, shares: BTreeMap::new() };
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, body)
}
