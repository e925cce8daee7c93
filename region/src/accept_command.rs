//! Accepts or refuses a device's command: what all commands have in common, and one call into the file of each.
//!
//! What must always hold:
//! - A command that was done before, here or in another region whose operation has arrived, gets the original's answer, also when
//!   both are in one step.
//! - A refusal changes nothing that anybody is shown: every check comes before the first write. What a device was shown elsewhere is noted whatever becomes of its command (`closed.rs`).
//! - Windows on ids are judged here, at the door, on `now`, and never again.

use crate::accept_amendment;
use crate::accept_document;
use crate::accept_post::{self, About};
use crate::accept_receipt;
use crate::change_membership;
use crate::closed;
use crate::command::{Command, Done, Refusal};
use crate::create_conversation;
use crate::hide_message;
use crate::issue_operation::Author;
use crate::keys::Key;
use crate::limits::DAY_MS;
use crate::partition;
use crate::pending::Pending;
use crate::record::{IdentityRecord, MembershipRecord, PeerRecord};
use crate::shard::{Effect, Ticket};
use crate::store::StoreError;
use crdt::{ConversationId, Cut, DeviceId, Dot, Kind, MessageId, Receipt, RegionId, UserId};
use rand_core::RngCore;

/// Why a command was not done: the user's affair, or the store's.
#[derive(Debug)]
pub(crate) enum NotDone {
    Refused(Refusal),
    Store(StoreError),
}

impl From<Refusal> for NotDone {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for NotDone {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Does a command or refuses it, and answers.
pub(crate) fn accept(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    ticket: Ticket,
    (user, device): (UserId, DeviceId),
    command: Command,
) -> Result<(), StoreError> {
    let done = match command {
        Command::CreateGroup { conversation, command, members, name, begun } => {
            let author = Author { conversation, sender: user, message: command };
            create_conversation::group(pending, entropy, author, members, name, begun)
        }
        Command::OpenDirect { placement, command, peer } => {
            let conversation = ConversationId::direct(placement, user, peer);
            let author = Author { conversation, sender: user, message: command };
            create_conversation::direct(pending, entropy, author, peer)
        }
        Command::ChangeMembers { conversation, command, wish } => {
            let author = Author { conversation, sender: user, message: command };
            change_membership::accept(pending, entropy, author, wish)
        }
        Command::Post { conversation, message, body, reply_to, sent_at_ms, seen, after, taken_before } => {
            let author = Author { conversation, sender: user, message };
            let post = crdt::operation::Post { body, sent_at_ms, reply_to, seen: None };
            let about = About { seen: seen.unwrap_or_default(), after, taken_before };
            accept_post::accept(pending, entropy, author, post, about)
        }
        Command::Amend { conversation, command, target, wish, seen } => {
            let author = Author { conversation, sender: user, message: command };
            accept_amendment::accept(pending, entropy, author, (target, wish), seen.unwrap_or_default())
        }
        Command::ChangeDocument { conversation, command, wish } => {
            let author = Author { conversation, sender: user, message: command };
            accept_document::accept(pending, entropy, author, device, wish)
        }
        Command::Receipt { conversation, delivered, read } => {
            let register = (conversation, user, device);
            let receipt = Receipt::new(delivered.unwrap_or_default(), read.unwrap_or_default());
            accept_receipt::accept(pending, register, receipt)
        }
        Command::ReadQuietly { conversation, read } => {
            accept_receipt::accept_quiet(pending, (conversation, user, device), read)
        }
        Command::Hide { conversation, message } => hide_message::accept(pending, conversation, user, message),
    };
    let result = match done {
        Ok(done) => Ok(done),
        Err(NotDone::Refused(refusal)) => Err(refusal),
        Err(NotDone::Store(error)) => return Err(error),
    };
    pending.tables.effects.push(Effect::Reply { ticket, result });
    Ok(())
}

/// The answer of the operation that this command already was, if it was; otherwise whether its id may be used.
pub(crate) fn done_before(pending: &Pending<'_>, author: Author) -> Result<Option<Done>, NotDone> {
    let Author { conversation, sender, message } = author;
    here(pending, conversation)?;
    let known: Option<IdentityRecord> = pending.tables.load(&Key::Identity(conversation, sender, message))?;
    if let Some(original) = known.and_then(|identity| identity.places.first().copied()) {
        crate::sometimes::RESENT_COMMAND.reach();
        let (dot, hlc) = (original.place.dot, original.place.hlc);
        return Ok(Some(Done::Operation { conversation, command: message, dot, hlc }));
    }
    in_time(pending, message)?;
    Ok(None)
}

/// Whether this region holds that conversation's placement.
pub(crate) fn here(pending: &Pending<'_>, conversation: ConversationId) -> Result<(), Refusal> {
    if conversation.placement() == pending.config.placement.id {
        Ok(())
    } else {
        Err(Refusal::WrongPlacement(conversation))
    }
}

/// What is hidden from that member. One whose pin does not allow this placement is refused although a peer let them in.
pub(crate) fn membership(
    pending: &Pending<'_>,
    conversation: ConversationId,
    user: UserId,
) -> Result<MembershipRecord, NotDone> {
    let row: Option<MembershipRecord> = pending.tables.load(&Key::Membership(user, conversation))?;
    match row {
        Some(row) => {
            placement_allows(pending, conversation, &[user])?;
            Ok(row)
        }
        // Nobody else learns from this that the conversation exists: the user was in it.
        None if partition::members(pending.tables.view(), conversation)?.has_left(user) => {
            crate::sometimes::NOT_A_MEMBER.reach();
            Err(Refusal::NotMember(conversation).into())
        }
        None => {
            crate::sometimes::UNKNOWN_CONVERSATION.reach();
            Err(Refusal::UnknownConversation(conversation).into())
        }
    }
}

/// Whether all of these users' pins allow the placement of the conversation.
pub(crate) fn placement_allows(
    pending: &Pending<'_>,
    conversation: ConversationId,
    users: &[UserId],
) -> Result<(), Refusal> {
    let allowed = &pending.config.allowed_pins;
    match users.iter().copied().find(|user| !allowed.contains(&user.placement())) {
        None => Ok(()),
        Some(user) => {
            crate::sometimes::PIN_FORBIDS.reach();
            Err(Refusal::PlacementFixed { user, conversation })
        }
    }
}

/// Whether a cut is one that some device could have been given: it may cover what has not arrived here yet, but only operations
/// of replicas that an epoch has admitted, and no more of this region's own than it has issued in the conversation.
pub(crate) fn possible(
    pending: &mut Pending<'_>,
    conversation: ConversationId,
    cut: &Cut,
) -> Result<(), NotDone> {
    let (own, placement) = (pending.config.replica, &pending.config.placement);
    let foreign = cut.iter().any(|dot| placement.key_of(dot.replica).is_none());
    let held = &pending.tables.conversation(conversation)?.cut;
    let beyond: Vec<Dot> = cut.iter().filter(|dot| dot.sequence > held.get(dot.replica)).collect();
    if foreign || cut.get(own) > held.get(own) {
        crate::sometimes::CURSOR_AHEAD.reach();
        return Err(Refusal::CursorAhead(conversation).into());
    }
    closed::hear(pending, conversation.partition().bucket, &beyond)?;
    Ok(())
}

/// Whether every active replica of the placement has said that it knows this kind.
pub(crate) fn known_everywhere(
    pending: &Pending<'_>,
    conversation: ConversationId,
    kind: Kind,
) -> Result<(), NotDone> {
    match not_known_in(pending, u32::from(kind.code()))? {
        None => Ok(()),
        Some(region) => {
            crate::sometimes::NOT_KNOWN_EVERYWHERE.reach();
            Err(Refusal::NotKnownEverywhere { conversation, region }.into())
        }
    }
}

/// The first region of the placement that has not said that it knows this form.
pub(crate) fn not_known_in(pending: &Pending<'_>, form: u32) -> Result<Option<RegionId>, StoreError> {
    let others = pending.config.placement.active.keys().filter(|replica| **replica != pending.config.replica);
    for replica in others {
        let known: Option<PeerRecord> = pending.tables.load(&Key::PeerStart(*replica))?;
        if !known.is_some_and(|known| known.kinds.contains(&form)) {
            return Ok(Some(replica.region));
        }
    }
    Ok(None)
}

fn in_time(pending: &Pending<'_>, message: MessageId) -> Result<(), Refusal> {
    if pending.was_in_time {
        return Ok(());
    }
    let (now_ms, limits) = (pending.now.ms(), &pending.config.limits);
    let days = limits.outbox_days_max;
    if message.created_ms().saturating_add(days.saturating_mul(DAY_MS)) < now_ms {
        crate::sometimes::MESSAGE_TOO_OLD.reach();
        return Err(Refusal::MessageTooOld { message, limit_days: days });
    }
    if message.created_ms() > now_ms.saturating_add(limits.ahead_ms_max) {
        crate::sometimes::MESSAGE_FROM_FUTURE.reach();
        return Err(Refusal::MessageFromFuture(message));
    }
    Ok(())
}
