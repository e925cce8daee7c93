//! Telling a region what this device holds: acknowledging what was delivered, marking as read.
//!
//! What must always hold:
//! - A batch that catches up is acknowledged at once, since the region sends only a few before; live items are acknowledged
//!   together, after 1 s or 100 of them, whichever comes first.
//! - A cursor told is a cursor taken: everything before it has been shown.
//! - Few are in flight at a time; what waits is told with the newest cursor of its conversation, so waiting costs nothing.
//! - What a region has not confirmed is told again on the next connection: receipts only grow, so once more does no harm.
//! - Who tells nobody that they read is not shown who read what they wrote either. What was read meanwhile is said quietly, and stays quiet however
//!   often it is said again; it is told with the next thing that is read once they tell again, since a cut covers what is before it.

use crate::client::{Client, Step};
use crate::conversation::{Conversation, Told};
use crate::limits;
use crate::line::{LineKey, Receipt};
use crate::timers::Timer;
use crdt::ConversationId;
use gateway_protocol::v1::{self, client_frame::Frame};

impl Client {
    /// So many items were given.
    pub(crate) fn given(&mut self, step: &Step<'_>, id: ConversationId, count: usize) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.unacknowledged += count;
        if !conversation.live || conversation.unacknowledged >= limits::ACKNOWLEDGE_AFTER_ITEMS {
            self.acknowledge(id);
        } else {
            let at = step.now.plus_ms(limits::ACKNOWLEDGE_AFTER_MS);
            self.timers.set_if_idle(Timer::Acknowledge(id), at);
        }
    }

    /// Tells what of a conversation is not confirmed: given, and read.
    pub(crate) fn acknowledge(&mut self, id: ConversationId) {
        self.timers.cancel(Timer::Acknowledge(id));
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.unacknowledged = 0;
        if let Some(cursor) = conversation.cursor.clone() {
            conversation.delivered.raise(cursor, false);
        }
        let read = conversation.read.is_due().then_some(Receipt::Read);
        // What was read was delivered, and makes room for the next batch as an acknowledgement does.
        let said = read.is_some() && conversation.read.cursor == conversation.cursor;
        let delivered = (conversation.delivered.is_due() && !said).then_some(Receipt::Delivered);
        let key = self.routes.line_of(id.placement());
        if let Some(line) = key.and_then(|key| self.lines.get_mut(&key)) {
            line.untold.extend([delivered, read].into_iter().flatten().map(|receipt| (id, receipt)));
        }
    }

    /// The user has read what was shown so far. Where nothing was shown, nothing was read.
    pub(crate) fn mark_read(&mut self, id: ConversationId) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if let Some(cursor) = conversation.cursor.clone() {
            conversation.read.raise(cursor, !self.tells_reads);
            self.acknowledge(id);
        }
    }

    /// Whether others are told from now on what the user reads.
    pub(crate) fn tell_reads(&mut self, told: bool) {
        self.tells_reads = told;
    }

    /// A new connection is told again what was not confirmed on the last one.
    pub(crate) fn tell_again(&mut self, key: LineKey) {
        let led = self.conversations.keys().filter(|id| self.routes.leads(key, **id));
        for id in led.copied().collect::<Vec<_>>() {
            self.acknowledge(id);
        }
    }

    /// Tells what can be told, on all live lines.
    pub(crate) fn tell_ready(&mut self, step: &mut Step<'_>) {
        for key in self.live_lines() {
            while let Some((id, receipt)) = self.lines.get_mut(&key).and_then(|line| line.take_untold()) {
                let Some(conversation) = self.conversations.get(&id) else { continue };
                let Told { cursor: Some(cursor), quiet, .. } = told(conversation, receipt).clone() else {
                    continue;
                };
                let frame = match receipt {
                    Receipt::Delivered => Frame::Acknowledge(v1::Acknowledge { cursor }),
                    Receipt::Read => Frame::Read(v1::Read { cursor, quiet }),
                };
                let Some(request) = self.send(step, key, frame) else { break };
                if let Some(line) = self.lines.get_mut(&key) {
                    line.receipts.insert(request, (id, receipt));
                }
                if let Some(conversation) = self.conversations.get_mut(&id) {
                    told_mut(conversation, receipt).request = Some(request);
                }
            }
        }
    }

    /// The connection that carried a receipt is gone: it is to be told again.
    pub(crate) fn receipt_unanswered(&mut self, request: u64, (id, receipt): (ConversationId, Receipt)) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let told = told_mut(conversation, receipt);
        if told.request == Some(request) {
            crate::sometimes::RECEIPT_UNANSWERED.reach();
            told.request = None;
        }
    }

    /// The region has answered a receipt: it is noted, or refused for good, so that telling it again would be in vain.
    pub(crate) fn receipt_answered(&mut self, request: u64, (id, receipt): (ConversationId, Receipt)) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let told = told_mut(conversation, receipt);
        if told.request == Some(request) {
            told.request = None;
            told.confirmed = true;
        }
        let read = &conversation.read;
        if read.confirmed && read.cursor == conversation.delivered.cursor {
            conversation.delivered.confirmed = true;
        }
    }

    /// The region refused a receipt for the moment.
    pub(crate) fn receipt_held(
        &mut self,
        step: &Step<'_>,
        (id, receipt): (ConversationId, Receipt),
        retry_ms: u64,
    ) {
        crate::sometimes::RECEIPT_HELD.reach();
        if let Some(conversation) = self.conversations.get_mut(&id) {
            told_mut(conversation, receipt).request = None;
        }
        self.timers.set_if_idle(Timer::Acknowledge(id), step.now.plus_ms(retry_ms));
    }
}

fn told(conversation: &Conversation, receipt: Receipt) -> &Told {
    match receipt {
        Receipt::Delivered => &conversation.delivered,
        Receipt::Read => &conversation.read,
    }
}

fn told_mut(conversation: &mut Conversation, receipt: Receipt) -> &mut Told {
    match receipt {
        Receipt::Delivered => &mut conversation.delivered,
        Receipt::Read => &mut conversation.read,
    }
}
