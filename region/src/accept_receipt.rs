//! Accepts a receipt of a device: joins its cuts into the device's register.
//!
//! What must always hold: a receipt only grows, and an effect leaves only when it did. A cut may cover operations that have not
//! arrived here yet, because a device that roamed was given them elsewhere; its cursor is authenticated, so it is kept. The
//! registers of one member in one conversation are bounded.
//!
//! A receipt of an added member counts from where it covers the adding. What stands before it, and is not hidden from them, they are
//! shown first, and may confirm first; but such a receipt would outrun the adding on its way to other regions, and be taken there for one
//! of somebody who was always there, who had been shown all that the cut covers.
//!
//! A user may read without telling anybody. What they read is noted in the same register and goes to the placement's regions with it, so that their
//! devices count the same messages as unread wherever they are; no effect names it and no read of another user gives it. A region of an
//! older release could not read such a register: until every region can, what is read quietly counts as delivered and no more.

use crate::accept_command::{self, NotDone};
use crate::command::Done;
use crate::forms;
use crate::join_registers;
use crate::keys::{Key, KeyRange};
use crate::partition;
use crate::pending::Pending;
use crate::read;
use crate::record::RegisterRecord;
use crate::register_key::RegisterKey;
use crdt::{ConversationId, Cut, DeviceId, Receipt, UserId};

/// Joins a receipt or refuses it.
pub(crate) fn accept(
    pending: &mut Pending<'_>,
    (conversation, user, device): (ConversationId, UserId, DeviceId),
    receipt: Receipt,
) -> Result<Done, NotDone> {
    accept_command::here(pending, conversation)?;
    let row = accept_command::membership(pending, conversation, user)?;
    // It covers all that is read.
    accept_command::possible(pending, conversation, receipt.delivered())?;
    let (mut device, mut standing) = (device, standing(pending, conversation, user, device)?);
    if standing.is_none() {
        let was_added = !row.since.is_empty();
        if was_added && !covers_adding(pending, conversation, user, receipt.delivered())? {
            crate::sometimes::RECEIPT_BEFORE_ADDING.reach();
            return Ok(Done::Receipt);
        }
        if let Some(other) = shared_by_the_rest(pending, conversation, user)? {
            (device, standing) = (other, self::standing(pending, conversation, user, other)?);
        }
    }
    let register = (conversation, user, device);
    join_registers::join_receipt(pending, register, standing, &receipt, None)?;
    Ok(Done::Receipt)
}

/// Joins what was read without telling anybody, or refuses it.
pub(crate) fn accept_quiet(
    pending: &mut Pending<'_>,
    register: (ConversationId, UserId, DeviceId),
    read: Cut,
) -> Result<Done, NotDone> {
    let is_known = accept_command::not_known_in(pending, forms::QUIET_RECEIPT)?.is_none();
    let receipt = if is_known {
        Receipt::quiet(read)
    } else {
        crate::sometimes::QUIET_RECEIPT_NOT_KNOWN.reach();
        Receipt::new(read, Cut::new())
    };
    accept(pending, register, receipt)
}

/// A device's register as it stands; none before its first receipt.
fn standing(
    pending: &Pending<'_>,
    conversation: ConversationId,
    user: UserId,
    device: DeviceId,
) -> Result<Option<RegisterRecord>, NotDone> {
    let register = RegisterKey::Receipt(conversation, user, device);
    Ok(pending.tables.load(&Key::Register(conversation.partition().bucket, register))?)
}

/// Whether a cut covers what made the user a member.
fn covers_adding(
    pending: &Pending<'_>,
    conversation: ConversationId,
    user: UserId,
    cut: &Cut,
) -> Result<bool, NotDone> {
    let members = partition::members(pending.tables.view(), conversation)?;
    Ok(members.added_by(user).is_some_and(|dot| cut.covers(dot)))
}

/// The device under which the receipt of one more device is kept, if the member has too many already.
fn shared_by_the_rest(
    pending: &Pending<'_>,
    conversation: ConversationId,
    user: UserId,
) -> Result<Option<DeviceId>, NotDone> {
    let of_member = KeyRange::receipts_of(conversation, user);
    let standing = read::receipts_in(pending.tables.view(), &of_member)?;
    let full = standing.len() >= pending.config.limits.receipt_devices_max;
    if full {
        crate::sometimes::RECEIPTS_JOINED.reach();
    }
    Ok(standing.first().filter(|_| full).map(|((_, first), _)| *first))
}
