//! A store's tables while a step changes them: what was read and written so far, and the effects that wait for the batch.
//!
//! What must always hold: everything is read through what was written, and a conversation's record is loaded once, however often it is
//! asked for, and written once, at the end, however many operations change it. Dropping this leaves nothing behind.

use crate::encoding::Writer;
use crate::keys::Key;
use crate::overlay::Overlay;
use crate::record::{self, ConversationRecord, OpaqueRecord, Record};
use crate::shard::Effect;
use crate::store::{Batch, StoreError, View};
use bytes::Bytes;
use crdt::{ConversationId, Identity};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// The tables of a store and what is to be written to them.
pub(crate) struct Tables<'a> {
    overlay: Overlay<'a>,
    conversations: BTreeMap<ConversationId, Conversation>,
    pub(crate) effects: Vec<Effect>,
    /// Deleted messages of which an operation with a payload was applied.
    pub(crate) uncut: BTreeSet<(ConversationId, Identity)>,
    /// Commands that more than one operation has changed a document for.
    pub(crate) made_twice: BTreeSet<(ConversationId, Identity)>,
    /// Groups whose members or rights changed.
    pub(crate) unsettled: BTreeSet<ConversationId>,
    writer: Writer,
}

/// A conversation's record as it stands within the step.
#[derive(Debug, Default)]
struct Conversation {
    record: ConversationRecord,
    is_changed: bool,
}

impl<'a> Tables<'a> {
    pub(crate) fn over(view: &'a dyn View) -> Self {
        Self {
            overlay: Overlay::new(view),
            conversations: BTreeMap::new(),
            effects: Vec::new(),
            uncut: BTreeSet::new(),
            made_twice: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            writer: Writer::default(),
        }
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
        let value = record::seal_with(&mut self.writer, &key, record);
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
    pub(crate) fn conversation(&mut self, id: ConversationId) -> Result<&ConversationRecord, StoreError> {
        Ok(&self.loaded(id)?.record)
    }

    /// The same, to be changed.
    pub(crate) fn change_conversation(
        &mut self,
        id: ConversationId,
    ) -> Result<&mut ConversationRecord, StoreError> {
        let held = self.loaded(id)?;
        held.is_changed = true;
        Ok(&mut held.record)
    }

    fn loaded(&mut self, id: ConversationId) -> Result<&mut Conversation, StoreError> {
        match self.conversations.entry(id) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(vacant) => {
                let record = record::load(&self.overlay, &Key::Conversation(id))?.unwrap_or_default();
                Ok(vacant.insert(Conversation { record, is_changed: false }))
            }
        }
    }

    /// Everything to be written, and the effects.
    pub(crate) fn finish(mut self) -> (Batch, Vec<Effect>) {
        for (id, Conversation { record, is_changed }) in std::mem::take(&mut self.conversations) {
            if is_changed {
                self.put(&Key::Conversation(id), &record);
            }
        }
        (self.overlay.batch, self.effects)
    }
}
