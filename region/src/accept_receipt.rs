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
//!
//! People change phones, and a row of each would stay for a conversation's whole life. A device is dead that has confirmed nothing for 30 days by this region's clock,
//! though another one of its user's is given more; that is looked at when the other one confirms, at its first receipt and then once a day. That a device is dead is
//! itself a value of its register, above every receipt: so it is told and joined as any other, and regions agree whoever says so first and whatever the device says meanwhile
//! ([`DeviceReceipt`]). What it had confirmed, and confirms if it comes back, counts for the rest of its user's devices.

use crate::accept_command::{self, NotDone};
use crate::command::Done;
use crate::forms;
use crate::join_registers;
use crate::keys::{Key, KeyRange};
use crate::partition;
use crate::pending::Pending;
use crate::record::{self, RegisterRecord};
use crate::register_key::RegisterKey;
use crate::store::Direction;
use crdt::{ConversationId, Cut, DeviceId, DeviceReceipt, Receipt, UserId};
use std::ops::ControlFlow;

/// How often a device's receipts look at its user's other devices in the time after which one of those is dead.
const LOOKS_AT_DEVICES: u64 = 30;

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
    let was_added = !row.since.is_empty();
    if standing.is_none() && was_added && !covers_adding(pending, conversation, user, receipt.delivered())? {
        crate::sometimes::RECEIPT_BEFORE_ADDING.reach();
        return Ok(Done::Receipt);
    }
    let look_after_ms = pending.config.limits.device_dead_after_ms / LOOKS_AT_DEVICES;
    if standing
        .as_ref()
        .is_none_or(|record| record.since_ms.saturating_add(look_after_ms) <= pending.now.ms())
    {
        let others = others(pending, conversation, user, device)?;
        take_for_dead(pending, (conversation, user), &others, &receipt)?;
        if standing.is_none() && others.len() >= pending.config.limits.receipt_devices_max {
            crate::sometimes::RECEIPTS_JOINED.reach();
            device = DeviceId::REST;
            standing = self::standing(pending, conversation, user, device)?;
        }
    }
    let register = (conversation, user, device);
    join_registers::join_receipt(pending, register, standing, &DeviceReceipt::Kept(receipt), None)?;
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

/// The registers of the user's other devices, without that of the rest.
fn others(
    pending: &Pending<'_>,
    conversation: ConversationId,
    user: UserId,
    device: DeviceId,
) -> Result<Vec<(DeviceId, RegisterRecord)>, NotDone> {
    let (mut others, range) = (Vec::new(), KeyRange::receipts_of(conversation, user));
    record::scan(pending.tables.view(), &range, Direction::Ascending, |key, register: RegisterRecord| {
        if let Key::Register(_, RegisterKey::Receipt(_, _, other)) = key
            && ![device, DeviceId::REST].contains(&other)
        {
            others.push((other, register));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(others)
}

/// Takes those of a user's devices for dead that have confirmed nothing for long, though this one is given more.
fn take_for_dead(
    pending: &mut Pending<'_>,
    (conversation, user): (ConversationId, UserId),
    others: &[(DeviceId, RegisterRecord)],
    given: &Receipt,
) -> Result<(), NotDone> {
    let before_ms = pending.now.ms().saturating_sub(pending.config.limits.device_dead_after_ms);
    for (device, record) in others.iter().filter(|(_, record)| (1..=before_ms).contains(&record.since_ms)) {
        let key =
            Key::Register(conversation.partition().bucket, RegisterKey::Receipt(conversation, user, *device));
        let is_behind = join_registers::held(&key, record)?
            .kept()
            .is_some_and(|kept| !kept.delivered().covers_all(given.delivered()));
        if is_behind && accept_command::not_known_in(pending, forms::DEAD_DEVICE)?.is_none() {
            crate::sometimes::DEVICE_DEAD.reach();
            let (register, standing) = ((conversation, user, *device), Some(record.clone()));
            join_registers::join_receipt(pending, register, standing, &DeviceReceipt::Dead, None)?;
        }
    }
    Ok(())
}
