//! Live delivery: a change goes to every device that stands right before it, in one shared encoding.
//!
//! What must always hold:
//! - Only the next arrival number is delivered. An earlier one was read already; a later one means that something was missed, and the
//!   stream goes back to reading (promise 4 per device).
//! - A device that does not read costs nothing: above [`UNSENT_BYTES_MAX`](limits::UNSENT_BYTES_MAX) the conversation falls behind, and the device syncs it again.
//! - Whoever has hidden the message that a change is about is given it withheld, in a frame of their own.
//! - A device that has been given more elsewhere than this region has gets cursors of its own that say so, until the region has caught up:
//!   the shared cursor would make it forget, and its next message would lack the mark of promise 4.

use crate::catch_up::deliver;
use crate::error::SessionError;
use crate::forward_ticks::Ticks;
use crate::limits;
use crate::output::Output;
use crate::shared_delivery::SharedDelivery;
use crate::stream::{Around, Begun, Delivery, Progress};
use crate::write_frame;
use crdt::{ConversationId, Identity, PlacementId};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame;
use region::item::ArrivalNumber;
use std::sync::Arc;

impl Delivery {
    /// A subscribed conversation changed.
    pub(crate) fn changed(
        &mut self,
        delivery: &Arc<SharedDelivery>,
        ticks: &mut Ticks,
        around: &mut Around<'_>,
    ) -> Result<(), SessionError> {
        let change = delivery.change();
        let Some(stream) = self.streams.get_mut(&change.conversation) else { return Ok(()) };
        if stream.progress != Progress::Live {
            crate::sometimes::NEWER_WHILE_READING.reach();
            stream.newest = stream.newest.max(change.arrival);
            return Ok(());
        }
        if change.arrival <= stream.after {
            crate::sometimes::READ_BEFORE.reach();
            return Ok(());
        }
        if change.arrival > ArrivalNumber(stream.after.0.saturating_add(1)) {
            crate::sometimes::GAP.reach();
            stream.newest = change.arrival;
            self.read_again(change.conversation);
            self.advance(around);
            return Ok(());
        }
        if around.unsent_bytes > limits::UNSENT_BYTES_MAX {
            crate::sometimes::FELL_BEHIND.reach();
            self.fall_behind(&[change.conversation], around);
            return Ok(());
        }
        let had_already = stream.cut.covers(change.item.dot);
        stream.after = change.arrival;
        let ahead = !change.cut.covers_all(&stream.cut) || stream.highest > change.highest;
        if ahead {
            crate::sometimes::AHEAD_OF_REGION.reach();
            let mut cut = (*stream.cut).clone();
            cut.join(&change.cut);
            stream.cut = Arc::new(cut);
            stream.highest = stream.highest.max(change.highest);
        } else {
            stream.cut = Arc::clone(&change.cut);
            stream.highest = change.highest;
        }
        ticks.note_item(around.identity.user, change.conversation, &change.item, around.out);
        if had_already {
            crate::sometimes::GIVEN_ELSEWHERE.reach();
            return Ok(());
        }
        let withheld = change.hidden_from.contains(&around.identity.user).then(|| change.item.withheld());
        let frame = if ahead || withheld.is_some() {
            let placement = around.here.held(change.conversation)?;
            let items = vec![write_frame::item(withheld.as_ref().unwrap_or(&change.item))];
            Output::Send(write_frame::unasked(Frame::Deliver(deliver(
                change.conversation,
                placement,
                stream,
                items,
            ))))
        } else {
            Output::Deliver(Arc::clone(delivery))
        };
        around.out.push(frame);
        Ok(())
    }

    /// The user became, or ceased to be, a member.
    pub(crate) fn membership(&mut self, conversation: ConversationId, member: bool, around: &mut Around<'_>) {
        let user = around.identity.user.to_string();
        around.send(Frame::Membership(v1::Membership {
            conversation: conversation.to_string(),
            user,
            member,
        }));
        if !member {
            crate::sometimes::LEFT.reach();
            self.behind.remove(&conversation);
            self.end(conversation, around.out);
        } else if self.wanted.contains(&conversation.placement()) && !self.behind.contains(&conversation) {
            let standing = self.presented.remove(&conversation).unwrap_or_default();
            crate::sometimes::BEGAN.reach();
            self.begin(conversation, standing, Begun::Joined);
            self.distrust_read(conversation);
        }
        self.advance(around);
    }

    /// The user no longer sees a message.
    pub(crate) fn hidden(
        &mut self,
        conversation: ConversationId,
        message: Identity,
        around: &mut Around<'_>,
    ) {
        for frame in write_frame::hidden(conversation, &[message].into()) {
            around.send(frame);
        }
        if self.reading.is_some()
            && self.current == Some(conversation)
            && let Some(stream) = self.streams.get_mut(&conversation)
        {
            stream.spoilt = true;
        }
    }

    /// Changes and memberships may have been missed: everything live is read again from where it stands, and the list too.
    pub(crate) fn missed(&mut self, around: &mut Around<'_>) {
        crate::sometimes::MISSED.reach();
        let live: Vec<ConversationId> = self
            .streams
            .iter()
            .filter(|(_, stream)| stream.progress == Progress::Live)
            .map(|(conversation, _)| *conversation)
            .collect();
        for conversation in live {
            self.read_again(conversation);
        }
        if let Some(current) = self.current {
            self.distrust_read(current);
        }
        if let Some(listing) = &mut self.listing {
            listing.again = listing.missing.clone();
        }
        if !self.wanted.is_empty() {
            let wanted: Vec<PlacementId> = self.wanted.iter().copied().collect();
            self.list(None, &wanted, around);
        }
        self.advance(around);
    }
}
