//! Telling a region what this device holds: syncing from cursors, acknowledging what was delivered, marking as read.
//!
//! What must always hold:
//! - A batch that catches up is acknowledged at once, since the region sends no further one before; live items are acknowledged
//!   together, after 1 s or 100 of them, whichever comes first.
//! - A cursor told is a cursor taken: everything before it has been shown.
//! - What a region has not confirmed is told again on the next connection: receipts only grow, so once more does no harm.

use crate::client::{Client, Step};
use crate::item::{MalformedFrame, read_id};
use crate::limits;
use crate::line::LineKey;
use crate::timers::Timer;
use bytes::Bytes;
use crdt::ConversationId;
use gateway_protocol::v1::{self, client_frame::Frame};

impl Client {
    /// Asks for everything that this line leads to, from the newest cursors.
    pub(crate) fn sync_all(&mut self, step: &mut Step<'_>, key: LineKey) {
        let led = self.conversations.iter().filter(|(id, _)| self.routes.leads(key, **id));
        let cursors = led.filter_map(|(_, conversation)| conversation.cursor.clone()).collect();
        self.sync(step, key, cursors, Vec::new());
    }

    /// Asks for these conversations alone, from the newest cursors.
    pub(crate) fn sync_some(&mut self, step: &mut Step<'_>, key: LineKey, ids: &[ConversationId]) {
        let cursor = |id| self.conversations.get(id).and_then(|conversation| conversation.cursor.clone());
        let cursors = ids.iter().filter_map(cursor).collect();
        self.sync(step, key, cursors, ids.iter().map(ToString::to_string).collect());
    }

    fn sync(&mut self, step: &mut Step<'_>, key: LineKey, cursors: Vec<Bytes>, conversations: Vec<String>) {
        let placement = key.placement().map(|placement| placement.to_string()).unwrap_or_default();
        let request = self.send(step, key, Frame::Sync(v1::Sync { cursors, conversations, placement }));
        if let Some(line) = self.lines.get_mut(&key) {
            line.sync = request;
        }
    }

    /// The region stopped sending these live, since this device was too slow: they are synced again.
    pub(crate) fn behind(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        behind: &v1::Behind,
    ) -> Result<(), MalformedFrame> {
        let read = |text: &String| read_id("conversations", text);
        let ids: Vec<ConversationId> = behind.conversations.iter().map(read).collect::<Result<_, _>>()?;
        let ids: Vec<ConversationId> = ids.into_iter().filter(|id| self.routes.leads(key, *id)).collect();
        for id in &ids {
            if let Some(conversation) = self.conversations.get_mut(id) {
                conversation.live = false;
            }
        }
        if !ids.is_empty() {
            self.sync_some(step, key, &ids);
        }
        Ok(())
    }

    /// So many items were given.
    pub(crate) fn given(&mut self, step: &mut Step<'_>, id: ConversationId, count: usize) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.unacknowledged += count;
        if !conversation.live || conversation.unacknowledged >= limits::ACKNOWLEDGE_AFTER_ITEMS {
            self.acknowledge(step, id);
        } else {
            let at = step.now.plus_ms(limits::ACKNOWLEDGE_AFTER_MS);
            self.timers.set_if_idle(Timer::Acknowledge(id), at);
        }
    }

    /// Acknowledges what was given of a conversation.
    pub(crate) fn acknowledge(&mut self, step: &mut Step<'_>, id: ConversationId) {
        self.timers.cancel(Timer::Acknowledge(id));
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.unacknowledged = 0;
        let Some(cursor) = conversation.cursor.clone() else { return };
        self.tell(step, id, Receipt::Delivered, cursor);
    }

    /// The user has read what was shown so far. Where nothing was shown, nothing was read.
    pub(crate) fn mark_read(&mut self, step: &mut Step<'_>, id: ConversationId) {
        let cursor = self.conversations.get(&id).and_then(|conversation| conversation.cursor.clone());
        if let Some(cursor) = cursor {
            self.tell(step, id, Receipt::Read, cursor);
        }
    }

    /// Tells again, on a new connection, what was not confirmed on the last one.
    pub(crate) fn tell_again(&mut self, step: &mut Step<'_>, key: LineKey) {
        let mut again = Vec::new();
        for (id, conversation) in &self.conversations {
            if self.routes.leads(key, *id) {
                // What was given but not acknowledged goes along: the cursor is the newest in any case.
                let newest = conversation.cursor.clone();
                let delivered = newest.filter(|cursor| !conversation.delivered.is_confirmed(cursor));
                again.extend(delivered.map(|cursor| (*id, Receipt::Delivered, cursor)));
                again.extend(conversation.read.unconfirmed().map(|cursor| (*id, Receipt::Read, cursor)));
            }
        }
        for (id, receipt, cursor) in again {
            self.tell(step, id, receipt, cursor);
        }
    }

    /// The region has noted a receipt.
    pub(crate) fn receipt_answered(&mut self, key: LineKey, request: u64) {
        let Some(id) = self.lines.get_mut(&key).and_then(|line| line.receipts.remove(&request)) else {
            return;
        };
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.delivered.answered(request);
            conversation.read.answered(request);
        }
    }

    fn tell(&mut self, step: &mut Step<'_>, id: ConversationId, receipt: Receipt, cursor: Bytes) {
        let key = self.routes.line_of(id.placement());
        let frame = match receipt {
            Receipt::Delivered => Frame::Acknowledge(v1::Acknowledge { cursor: cursor.clone() }),
            Receipt::Read => Frame::Read(v1::Read { cursor: cursor.clone() }),
        };
        let request = key.and_then(|key| self.send(step, key, frame));
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let told = match receipt {
            Receipt::Delivered => &mut conversation.delivered,
            Receipt::Read => &mut conversation.read,
        };
        let replaced = told.tell(cursor, request);
        if let Some(line) = key.and_then(|key| self.lines.get_mut(&key)) {
            replaced.and_then(|request| line.receipts.remove(&request));
            if let Some(request) = request {
                line.receipts.insert(request, id);
            }
        }
    }
}

/// Which of the two receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receipt {
    Delivered,
    Read,
}
