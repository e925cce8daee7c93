//! What a scenario does by hand in a world, and what it may ask of it afterwards.
//!
//! Answers come from the oracle's record of what devices were told, never from a core's own state.

use crate::checks::world::CANARY;
use crate::world::World;
use crate::world::layout::{PINNED, WORLD};
use crate::world::queue::Moment;
use crate::world::wire::Conditions;
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, MessageId, RegionId, UserId};
use gateway_client::{Act, Place};

impl World {
    /// The user of that number, pinned to the first two regions or not.
    #[must_use]
    pub const fn user(number: u64, pinned: bool) -> UserId {
        UserId::new(if pinned { PINNED } else { WORLD }, number)
    }

    /// Writes a message on a device.
    pub fn post(&mut self, id: DeviceId, conversation: ConversationId, text: &str) -> MessageId {
        let message = MessageId::new(self.device_wall(id).ms(), self.draw_message_salt(id));
        let canary = if conversation.placement() == PINNED { CANARY } else { "" };
        let body = Bytes::from(format!("{canary}{text}"));
        self.act(id, Act::Send { conversation, message: Some(message), body, reply_to: None });
        message
    }

    /// Sets the delay of a way, in microseconds.
    pub fn set_delay(&mut self, from: RegionId, to: RegionId, delay_us: u64) {
        if let Some(way) = self.links.way_mut(from, to) {
            way.set_usual(Conditions { delay_us, ..*way.usual() });
        }
    }

    /// Sets how long a region's syncs take, in microseconds.
    pub fn set_sync_us(&mut self, region: RegionId, sync_us: u64) {
        if let Some(region) = self.regions.get_mut(&region) {
            region.sync_us = (sync_us, sync_us);
        }
    }

    /// Where a device shows that message, if it does.
    #[must_use]
    pub fn shown(&self, id: DeviceId, conversation: ConversationId, message: MessageId) -> Option<Place> {
        self.oracle.shown_at(id, conversation, message)
    }

    /// How many items of a conversation a device shows.
    #[must_use]
    pub fn count_shown(&self, id: DeviceId, conversation: ConversationId) -> usize {
        self.oracle.count_shown(id, conversation)
    }

    /// Whether a device was told that its command is durable.
    #[must_use]
    pub fn is_acknowledged(&self, id: DeviceId, command: MessageId) -> bool {
        self.oracle.was_acknowledged(id, command)
    }

    /// Whether a device was told that its command is stable.
    #[must_use]
    pub fn is_stable(&self, id: DeviceId, command: MessageId) -> bool {
        self.oracle.was_told_stable(id, command)
    }

    /// Whether a device was told that its message was read on that one.
    #[must_use]
    pub fn is_read(&self, id: DeviceId, message: MessageId, reader: DeviceId) -> bool {
        self.oracle.was_read(id, message, reader)
    }

    /// Whether a device shows any mark of promise 4 in a conversation.
    #[must_use]
    pub fn is_marked(&self, id: DeviceId, conversation: ConversationId) -> bool {
        self.oracle.is_marked(id, conversation)
    }

    /// Lets time pass until that is so; false if it is not within so many microseconds.
    pub fn wait_until(&mut self, within_us: Moment, is_so: impl Fn(&Self) -> bool) -> bool {
        let until = self.now() + within_us;
        while self.now() < until {
            if is_so(self) {
                return true;
            }
            self.pass(5_000);
        }
        is_so(self)
    }
}
