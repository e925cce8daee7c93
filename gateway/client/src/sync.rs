//! Asking a region for what this device lacks, from its newest cursors.
//!
//! What must always hold:
//! - After each welcome everything that the line leads to is asked for, and what begins later comes by itself.
//! - A sync fits a frame. A region leaves alone what it is delivering already, so when the cursors do not fit one, parts that name
//!   their conversations go first and the one that asks for everything goes last.
//! - A region that says twice within a second that this device is behind is asked after a while, not at once: it may be the region
//!   that cannot read.

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
        let held: Vec<(ConversationId, Bytes)> =
            led.filter_map(|(id, conversation)| Some((*id, conversation.cursor.clone()?))).collect();
        let mut parts = fit_frames(held);
        let last = parts.pop().unwrap_or_default();
        if !parts.is_empty() {
            crate::sometimes::SYNC_IN_PARTS.reach();
        }
        for part in parts {
            let (ids, cursors): (Vec<ConversationId>, Vec<Bytes>) = part.into_iter().unzip();
            self.sync(step, key, cursors, &ids);
        }
        let cursors = last.into_iter().map(|(_, cursor)| cursor).collect();
        self.sync(step, key, cursors, &[]);
    }

    fn sync_some(&mut self, step: &mut Step<'_>, key: LineKey, ids: &[ConversationId]) {
        let cursor = |id| self.conversations.get(id).and_then(|conversation| conversation.cursor.clone());
        let held: Vec<(ConversationId, Bytes)> =
            ids.iter().map(|id| (*id, cursor(id).unwrap_or_default())).collect();
        for part in fit_frames(held) {
            let (ids, cursors): (Vec<ConversationId>, Vec<Bytes>) = part.into_iter().unzip();
            let cursors = cursors.into_iter().filter(|cursor| !cursor.is_empty()).collect();
            self.sync(step, key, cursors, &ids);
        }
    }

    fn sync(&mut self, step: &mut Step<'_>, key: LineKey, cursors: Vec<Bytes>, ids: &[ConversationId]) {
        let placement = key.placement().map(|placement| placement.to_string()).unwrap_or_default();
        let conversations = ids.iter().map(ToString::to_string).collect();
        let request = self.send(step, key, Frame::Sync(v1::Sync { cursors, conversations, placement }));
        if let Some(line) = self.lines.get_mut(&key) {
            line.syncs.extend(request);
            line.synced_at = Some(step.now);
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
        for id in ids {
            crate::sometimes::BEHIND.reach();
            self.sync_again(step, key, id);
        }
        Ok(())
    }

    /// The region does not take the cursor of that conversation: it is synced from nothing. What was shown stays shown, once.
    pub(crate) fn start_over(&mut self, step: &Step<'_>, key: LineKey, id: ConversationId) {
        crate::sometimes::STARTED_OVER.reach();
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.cursor = None;
        }
        self.sync_again(step, key, id);
    }

    fn sync_again(&mut self, step: &Step<'_>, key: LineKey, id: ConversationId) {
        if !self.routes.leads(key, id) {
            return;
        }
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.live = false;
        }
        let Some(line) = self.lines.get_mut(&key) else { return };
        line.unsynced.insert(id);
        let calm = line.synced_at.map_or(step.now, |at| at.plus_ms(limits::SYNC_APART_MS));
        self.timers.set_if_idle(Timer::Sync(key), calm.max(step.now));
    }

    /// A sync was refused for the moment: all of it is asked again.
    pub(crate) fn sync_held(&mut self, step: &Step<'_>, key: LineKey, retry_ms: u64) {
        if let Some(line) = self.lines.get_mut(&key) {
            crate::sometimes::SYNC_REFUSED.reach();
            line.sync_refused = true;
        }
        self.timers.set(Timer::Sync(key), step.now.plus_ms(retry_ms));
    }

    /// The time to sync again has come.
    pub(crate) fn sync_due(&mut self, step: &mut Step<'_>, key: LineKey) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        let unsynced: Vec<ConversationId> = std::mem::take(&mut line.unsynced).into_iter().collect();
        if std::mem::take(&mut line.sync_refused) {
            self.sync_all(step, key);
        } else {
            self.sync_some(step, key, &unsynced);
        }
        self.ask_waiting(step, key);
    }
}

/// Cuts cursors into parts, each of which fits a frame in either encoding.
fn fit_frames(held: Vec<(ConversationId, Bytes)>) -> Vec<Vec<(ConversationId, Bytes)>> {
    let mut parts: Vec<Vec<(ConversationId, Bytes)>> = Vec::new();
    let mut bytes = 0;
    for (id, cursor) in held {
        // In JSON: base64, an id of 33 characters, quotes and commas.
        let more = cursor.len() * 4 / 3 + 50;
        match parts.last_mut().filter(|_| bytes + more <= limits::SYNC_BYTES_MAX) {
            Some(part) => {
                part.push((id, cursor));
                bytes += more;
            }
            None => {
                parts.push(vec![(id, cursor)]);
                bytes = more;
            }
        }
    }
    parts
}
