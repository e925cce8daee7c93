//! A store's tables while a step changes them: what was read and written so far, and the effects that wait for the batch.
//!
//! What must always hold: everything is read through what was written, and a conversation's record is loaded once, however often it is
//! asked for, and written once, at the end, however many operations change it. Dropping this leaves nothing behind.

use crate::digest;
use crate::encoding::Writer;
use crate::keys::Key;
use crate::overlay::Overlay;
use crate::record::{self, ConversationRecord, OpaqueRecord, Record};
use crate::shard::Effect;
use crate::store::{Batch, StoreError, View};
use bytes::Bytes;
use crdt::{Bucket, ConversationId, Identity, StateDigest};
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
    /// The digest when it was loaded, and now.
    before: StateDigest,
    digest: StateDigest,
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
                let known: Option<ConversationRecord> = record::load(&self.overlay, &Key::Conversation(id))?;
                let before = match &known {
                    None => StateDigest::default(),
                    Some(ConversationRecord { digest: Some(digest), .. }) => *digest,
                    // From what is durable: all that this step changes is counted from here on, also what it has written already.
                    Some(_) => digest::of_conversation(self.overlay.before(), id)?,
                };
                let record = known.unwrap_or_default();
                Ok(vacant.insert(Conversation { record, before, digest: before, is_changed: false }))
            }
        }
    }

    /// What is held of a conversation lost one item and got another.
    pub(crate) fn change_digest(
        &mut self,
        id: ConversationId,
        gone: StateDigest,
        come: StateDigest,
    ) -> Result<(), StoreError> {
        let held = self.loaded(id)?;
        held.is_changed = true;
        held.digest -= gone;
        held.digest += come;
        Ok(())
    }

    /// By how much the digests of partitions have grown.
    pub(crate) fn digest_growth(&self) -> BTreeMap<Bucket, StateDigest> {
        let mut growth: BTreeMap<Bucket, StateDigest> = BTreeMap::new();
        for (id, held) in self.conversations.iter().filter(|(_, held)| held.is_changed) {
            let partition = growth.entry(id.partition().bucket).or_default();
            *partition += held.digest;
            *partition -= held.before;
        }
        growth
    }

    /// The durable view, without what this step has written.
    pub(crate) fn before(&self) -> &dyn View {
        self.overlay.before()
    }

    /// Everything to be written, and the effects.
    pub(crate) fn finish(mut self) -> (Batch, Vec<Effect>) {
        for (id, held) in std::mem::take(&mut self.conversations) {
            if held.is_changed {
                self.put(
                    &Key::Conversation(id),
                    &ConversationRecord { digest: Some(held.digest), ..held.record },
                );
            }
        }
        (self.overlay.batch, self.effects)
    }
}
