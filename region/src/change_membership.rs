//! Accepts a change of who is in a group, or of what they may do: judged here, at the door, on the roster as this region has it.
//!
//! What must always hold: a change carries the cut of all that this region had applied of the conversation, so an added member is not shown
//! what it held where they were added, and a removal or leave undoes exactly what was seen. What survives what is concurrent with it is the
//! roster's affair. An add spends a right to a place that this region holds, so a group never has more members than its limit; without one it is refused,
//! and told where there is one.
//!
//! What happens when it is sent twice: the second finds the identity and is answered with the first one's dot. Whoever is already what they were to be needs
//! nothing, and is answered so.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::acknowledge;
use crate::command::{Done, MembersWish, Refusal};
use crate::issue_operation::Author;
use crate::partition;
use crate::pending::Pending;
use crdt::escrow::NoneLeft;
use crdt::group::Refused;
use crdt::operation::Body;
use crdt::roster::{Action, Change, NotAllowed};
use crdt::{ConversationId, Membership, Timestamp};
use rand_core::RngCore;

/// Accepts a change of the members or refuses it.
pub(crate) fn accept(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    wish: MembersWish,
) -> Result<Done, NotDone> {
    if let Some(done) = accept_command::done_before(pending, author)? {
        return Ok(done);
    }
    let Author { conversation, sender, .. } = author;
    accept_command::membership(pending, conversation, sender)?;
    let mut members = partition::members(pending.tables.view(), conversation)?;
    if members.direct() {
        return Err(Refusal::Direct(conversation).into());
    }
    let judged = members.judge_wish(pending.config.replica, sender, wish);
    if let (MembersWish::Add(user), Ok(_) | Err(Refused::NoneLeft(_))) = (wish, &judged) {
        accept_command::placement_allows(pending, conversation, &[user])?;
    }
    let action = match judged {
        Ok(action) => action,
        Err(Refused::NoneLeft(why)) => return Err(no_room(&members, conversation, why).into()),
        Err(Refused::NotAllowed(
            NotAllowed::AlreadyAMember(_) | NotAllowed::AlreadyAnAdmin(_) | NotAllowed::NoSuchAdmin(_),
        )) => {
            crate::sometimes::MEMBER_ALREADY.reach();
            return Ok(Done::Exists { conversation });
        }
        Err(Refused::NotAllowed(why)) => {
            crate::sometimes::NOT_ALLOWED.reach();
            return Err(Refusal::NotAllowed { conversation, why }.into());
        }
    };
    if !matches!(action, Action::Leave) {
        has_room(pending, conversation, &mut members)?;
    }
    // Adds and leaves are as old as groups.
    if !matches!(action, Action::Add { .. } | Action::Leave) {
        accept_command::known_everywhere(pending, conversation, action.kind())?;
    }
    let cut = pending.tables.conversation(conversation)?.cut.clone();
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, Body::Change(Change { cut, action }))
}

/// Why nobody is added: the group is full, or this region has no right to add one.
fn no_room(members: &Membership, conversation: ConversationId, why: NoneLeft) -> Refusal {
    let limit = usize::try_from(members.group().limit()).unwrap_or(usize::MAX);
    let size = members.roster().size();
    if size >= limit {
        crate::sometimes::GROUP_FULL.reach();
        return Refusal::TooManyMembers { members: size + 1, limit };
    }
    crate::sometimes::NO_RIGHTS_LEFT.reach();
    Refusal::NoRightsLeft { conversation, why }
}

/// Whether another change may wait for the regions that have not acknowledged those before.
fn has_room(
    pending: &Pending<'_>,
    conversation: ConversationId,
    members: &mut Membership,
) -> Result<(), NotDone> {
    let limit = pending.config.limits.unfolded_changes_max;
    if members.roster().unfolded() < limit {
        return Ok(());
    }
    // As the record has it; more may have become stable since the last change.
    members.fold(&acknowledge::stable(pending.tables.view(), conversation.partition().bucket)?);
    let changes = members.roster().unfolded();
    if changes < limit {
        return Ok(());
    }
    crate::sometimes::TOO_MANY_CHANGES.reach();
    Err(Refusal::TooManyChanges { conversation, changes }.into())
}
