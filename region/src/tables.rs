//! A store's tables while a step changes them: what was read and written so far, and the effects that wait for the batch.
//!
//! What must always hold: everything is read through what was written, and a conversation's record is loaded once and
//! written once, at the end, however many operations change it. Dropping this leaves nothing behind.

use crate::keys::Key;
use crate::overlay::Overlay;
use crate::record::{self, ConversationRecord, OpaqueRecord, Record};
use crate::shard::Effect;
use crate::store::{Batch, StoreError, View};
use bytes::Bytes;
use crdt::ConversationId;
use std::collections::BTreeMap;

/// The tables of a store and what is to be written to them.
pub(crate) struct Tables<'a> {
    overlay: Overlay<'a>,
    conversations: BTreeMap<ConversationId, ConversationRecord>,
    pub(crate) effects: Vec<Effect>,
}

impl<'a> Tables<'a> {
    pub(crate) fn over(view: &'a dyn View) -> Self {
        Self { overlay: Overlay::new(view), conversations: BTreeMap::new(), effects: Vec::new() }
    }

    /// The state as of now within the step, except for conversations' records: those are read by
    /// [`Self::conversation`].
    pub(crate) fn view(&self) -> &dyn View {
        &self.overlay
    }

    pub(crate) fn load<R: Record>(&self, key: &Key) -> Result<Option<R>, StoreError> {
        record::load(&self.overlay, key)
    }

    pub(crate) fn put(&mut self, key: &Key, record: &impl Record) {
        let key = key.encode();
        let value = record::seal(&key, record);
        self.overlay.batch.put(key, value);
    }

    /// Writes bytes that their own table understands.
    pub(crate) fn put_bytes(&mut self, key: &Key, bytes: impl Into<Bytes>) {
        self.put(key, &OpaqueRecord(bytes.into()));
    }

    pub(crate) fn delete(&mut self, key: &Key) {
        self.overlay.batch.delete(key.encode());
    }

    /// A conversation's counters, clock and cut: those of an empty one if it is not known.
    pub(crate) fn conversation(&self, id: ConversationId) -> Result<ConversationRecord, StoreError> {
        match self.conversations.get(&id) {
            Some(changed) => Ok(changed.clone()),
            None => Ok(self.load(&Key::Conversation(id))?.unwrap_or_default()),
        }
    }

    /// The same, to be changed.
    pub(crate) fn change_conversation(
        &mut self,
        id: ConversationId,
    ) -> Result<&mut ConversationRecord, StoreError> {
        let held = self.conversation(id)?;
        Ok(self.conversations.entry(id).or_insert(held))
    }

    /// Everything to be written, and the effects.
    pub(crate) fn finish(mut self) -> (Batch, Vec<Effect>) {
        for (id, record) in std::mem::take(&mut self.conversations) {
            self.put(&Key::Conversation(id), &record);
        }
        (self.overlay.batch, self.effects)
    }
}
