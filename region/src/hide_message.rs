//! Delete for me: a user takes a message out of their own view, on all their devices and in all regions (decision 0018).
//!
//! What must always hold:
//! - A mark names a message by its identity, and needs nothing of it to be here: the user may have been shown it elsewhere, or it may still come.
//! - Nobody but the user's own sessions is told, and nothing that others are shown changes.
//! - Beside the registers stands, by message, from whom it is hidden: so a change of a message costs one look-up, whoever its members are. It is written with the
//!   register and says no more and no less.
//! - The form is issued only once every region of the placement has said that it knows it.
//!
//! At the limit of a user's marks in a conversation one more is refused here; what peers bring is taken.

use crate::accept_command::{self, NotDone};
use crate::command::{Done, Refusal};
use crate::forms;
use crate::join_registers::{self, Source};
use crate::keys::{Key, KeyRange};
use crate::pending::Pending;
use crate::record::{self, HiddenFromRecord, RegisterRecord, damaged};
use crate::register_key::RegisterKey;
use crate::shard::Effect;
use crate::store::{Direction, StoreError, View};
use crdt::{ConversationId, Identity, ReplicaId, UserId, Visibility};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Hides a message from its user, or refuses to.
pub(crate) fn accept(
    pending: &mut Pending<'_>,
    conversation: ConversationId,
    user: UserId,
    message: Identity,
) -> Result<Done, NotDone> {
    accept_command::here(pending, conversation)?;
    accept_command::membership(pending, conversation, user)?;
    let hidden = hidden_from(pending.tables.view(), conversation, user)?;
    if hidden.contains(&message) {
        return Ok(Done::Exists { conversation });
    }
    if let Some(region) = accept_command::not_known_in(pending, forms::HIDDEN)? {
        crate::sometimes::NOT_KNOWN_EVERYWHERE.reach();
        return Err(Refusal::NotKnownEverywhere { conversation, region }.into());
    }
    let limit = pending.config.limits.hidden_max;
    if hidden.len() >= limit {
        crate::sometimes::TOO_MANY_HIDDEN.reach();
        return Err(Refusal::TooManyHidden { conversation, limit }.into());
    }
    join(pending, (conversation, user, message), Visibility::Hidden, None)?;
    Ok(Done::Hidden { conversation })
}

/// Joins whether a user sees a message into its register, and tells the user's sessions if that turned; `from` is the peer whose feed brought it.
pub(crate) fn join(
    pending: &mut Pending<'_>,
    (conversation, user, message): (ConversationId, UserId, Identity),
    visibility: Visibility,
    from: Option<ReplicaId>,
) -> Result<(), StoreError> {
    let bucket = conversation.partition().bucket;
    let register = RegisterKey::Hidden(conversation, user, message);
    let key = Key::Register(bucket, register);
    let standing: Option<RegisterRecord> = pending.tables.load(&key)?;
    let mut joined = standing.as_ref().map(|record| held(&key, record)).transpose()?.unwrap_or_default();
    let grew = joined.join(&visibility);
    let had_by = from.filter(|_| joined == visibility);
    if !grew {
        crate::sometimes::REGISTER_STANDS.reach();
        return join_registers::note_had(pending, bucket, register, standing, had_by);
    }
    let value = (joined.encode().into(), Source { from, had_by });
    join_registers::rewrite(pending, bucket, register, standing.map(|record| record.change), value)?;
    let key = Key::HiddenFrom(conversation, message.sender, message.message);
    let mut users: HiddenFromRecord = pending.tables.load(&key)?.unwrap_or_default();
    users.0.insert(user);
    pending.tables.put(&key, &users);
    pending.tables.effects.push(Effect::Hidden { conversation, user, message });
    Ok(())
}

/// Whether a register says that its user does not see its message.
pub(crate) fn held(key: &Key, record: &RegisterRecord) -> Result<Visibility, StoreError> {
    Visibility::decode(&record.value).map_err(|error| damaged(&key.encode(), &error.to_string()))
}

/// All that a user has hidden of a conversation.
pub(crate) fn hidden_from(
    view: &dyn View,
    conversation: ConversationId,
    user: UserId,
) -> Result<BTreeSet<Identity>, StoreError> {
    let mut hidden = BTreeSet::new();
    let range = KeyRange::hidden_from(conversation, user);
    record::scan(view, &range, Direction::Ascending, |key, register: RegisterRecord| {
        if let Key::Register(_, RegisterKey::Hidden(.., message)) = key
            && held(&key, &register)? == Visibility::Hidden
        {
            hidden.insert(message);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(hidden)
}
