//! Accepts a receipt of a device: joins its cuts into the device's register.
//!
//! What must always hold: a receipt only grows, and an effect leaves only when it did. A cut may cover operations that have not
//! arrived here yet, because a device that roamed was given them elsewhere; its cursor is authenticated, so it is kept.

use crate::accept_command::{self, NotDone};
use crate::command::Done;
use crate::join_registers;
use crate::pending::Pending;
use crdt::{ConversationId, Cut, DeviceId, Receipt, UserId};

/// Joins a receipt or refuses it.
pub(crate) fn accept(
    pending: &mut Pending<'_>,
    (conversation, user, device): (ConversationId, UserId, DeviceId),
    delivered: Cut,
    read: Cut,
) -> Result<Done, NotDone> {
    accept_command::here(pending, conversation)?;
    accept_command::membership(pending, conversation, user)?;
    accept_command::possible(pending, conversation, &delivered)?;
    accept_command::possible(pending, conversation, &read)?;
    join_registers::join_receipt(pending, (conversation, user, device), &Receipt::new(delivered, read))?;
    Ok(Done::Receipt)
}
