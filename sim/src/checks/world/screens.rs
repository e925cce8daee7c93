//! What may be asked of the record: what people see on their screens, as a scenario asserts it.
//!
//! What must always hold: answers come from what devices were told, never from a core's own state; they are the same whether anything is judged or
//! not, so that a run does not depend on it.

use super::Oracle;
use super::record::Screen;
use crdt::{ConversationId, DeviceId, MessageId};
use gateway_client::Place;

impl Oracle {
    fn screen(&self, id: DeviceId, conversation: ConversationId) -> Option<&Screen> {
        self.record.devices.get(&id)?.conversations.get(&conversation).map(Box::as_ref)
    }

    /// Where a device shows that message, if it does.
    pub(crate) fn shown_at(
        &self,
        id: DeviceId,
        conversation: ConversationId,
        message: MessageId,
    ) -> Option<Place> {
        let facts = self.record.conversations.get(&conversation)?;
        let (_, identity) = facts.identities.iter().find(|((_, of), _)| *of == message)?;
        self.screen(id, conversation)?.places.get(identity).copied()
    }

    /// How many items of a conversation a device shows.
    pub(crate) fn count_shown(&self, id: DeviceId, conversation: ConversationId) -> usize {
        self.screen(id, conversation).map_or(0, |screen| screen.order().len())
    }

    /// Whether a device shows any mark of promise 4 in a conversation.
    pub(crate) fn is_marked(&self, id: DeviceId, conversation: ConversationId) -> bool {
        self.screen(id, conversation).is_some_and(|screen| !screen.marked.is_empty())
    }

    /// Whether a device was told that its command is durable.
    pub(crate) fn was_acknowledged(&self, id: DeviceId, command: MessageId) -> bool {
        self.record.devices.get(&id).is_some_and(|device| device.acknowledged.contains_key(&command))
    }

    /// Whether a device was told that its command is stable.
    pub(crate) fn was_told_stable(&self, id: DeviceId, command: MessageId) -> bool {
        self.record.devices.get(&id).is_some_and(|device| device.stable.contains(&command))
    }

    /// Whether a device was told that its message was read on that one.
    pub(crate) fn was_read(&self, id: DeviceId, message: MessageId, reader: DeviceId) -> bool {
        self.record.devices.get(&id).is_some_and(|device| {
            device.ticks.iter().any(|tick| (tick.0, tick.2, tick.3) == (message, reader, true))
        })
    }
}
