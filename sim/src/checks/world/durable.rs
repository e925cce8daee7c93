//! Promise 2: nothing becomes visible before it is durable: no acknowledgement, no delivery, no byte on a bridge.
//!
//! Durable is what the world's disk has synced, by the record. Looked at: every answer of a shard, every item and every answer in a frame to a device, every frame
//! on a bridge, every receipt that a batch tells of, and again what a device is told. On a bridge the frame's bytes are looked through for the ids of what its region is still writing: an
//! id's last eight bytes are random and stand in every envelope. What this does not see: bytes that were compressed or hashed.

use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId, Dot, MessageId, RegionId, ReplicaId};
use gateway_client::Place;
use gateway_protocol::v1::ServerFrame;
use gateway_protocol::v1::server_frame::Frame;
use region::export;
use region::item::Change;
use region::shard::Effect;
use region::store::{StoreError, View};

impl Oracle {
    /// A region answers that it has done a command.
    pub(crate) fn acknowledges(
        &mut self,
        at: Moment,
        region: RegionId,
        conversation: ConversationId,
        dot: Dot,
    ) {
        if !self.is_off {
            self.must_hold(at, region, conversation, dot, "answers with");
        }
        self.must_be_elsewhere(at, conversation, dot, || format!("{region} tells"));
    }

    /// A session sends to its device: nothing that is not durable in its region.
    pub(super) fn sends_only_what_is_durable(&mut self, at: Moment, region: RegionId, frame: &ServerFrame) {
        match &frame.frame {
            Some(Frame::Deliver(deliver)) => {
                let dots = deliver.items.iter().map(|item| item.dot.as_str());
                self.must_hold_all(at, region, &deliver.conversation, dots);
            }
            Some(Frame::Done(done)) if !done.dot.is_empty() => {
                self.must_hold_all(at, region, &done.conversation, [done.dot.as_str()].into_iter());
            }
            _ => {}
        }
    }

    fn must_hold_all<'a>(
        &mut self,
        at: Moment,
        region: RegionId,
        conversation: &str,
        dots: impl Iterator<Item = &'a str>,
    ) {
        let Ok(conversation) = conversation.parse::<ConversationId>() else { return };
        for dot in dots.filter_map(|dot| dot.parse::<Dot>().ok()) {
            self.must_hold(at, region, conversation, dot, "sends");
        }
    }

    fn must_hold(
        &mut self,
        at: Moment,
        region: RegionId,
        conversation: ConversationId,
        dot: Dot,
        does: &str,
    ) {
        if self.is_muted(region) {
            return;
        }
        self.look_at(Checker::Durable);
        if !self.record.holds(region, conversation, dot) {
            let text = format!("{region} {does} {dot} of {conversation}, which it does not hold durably");
            self.violate(at, Checker::Durable, text);
        }
    }

    /// A device is told that its command is durable.
    pub(super) fn is_acknowledged(
        &mut self,
        at: Moment,
        id: DeviceId,
        conversation: ConversationId,
        command: MessageId,
        place: Option<Place>,
    ) -> Fault {
        if let Some(place) = place {
            self.must_be_elsewhere(at, conversation, place.dot, || format!("{id} is told"));
        }
        self.look_at(Checker::Durable);
        let facts = self.record.conversations.get(&conversation);
        let Some(device) = self.record.devices.get_mut(&id) else { return Ok(()) };
        let is_durable = match place {
            Some(place) => facts.is_some_and(|facts| facts.by_dot.contains_key(&place.dot)),
            // Nothing had to be done: that is never so of a message.
            None => !facts.is_some_and(|facts| facts.sent.contains_key(&(device.user, command))),
        };
        let is_durable = is_durable || self.is_off;
        let is_first = device.is_acknowledged(conversation, command, place);
        if !is_durable {
            return Err((Checker::Durable, format!("{command} is acknowledged at {place:?}")));
        }
        if is_first { Ok(()) } else { Err((Checker::ShownOnce, format!("{command} is acknowledged again"))) }
    }

    /// A client is told of another copy of a message: it must be one, at that place.
    pub(super) fn is_repeated(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        place: Place,
    ) -> Fault {
        self.look_at(Checker::Durable);
        let facts = self.record.conversations.get(&conversation);
        // Numbers are those of the conversation.
        let copy = facts.and_then(|facts| Some(&facts.operations[*facts.by_dot.get(&place.dot)?]));
        if self.is_off || copy.is_some_and(|copy| copy.message == message && copy.place == place) {
            return Ok(());
        }
        Err((Checker::Durable, format!("{message} is said to be at {place} too")))
    }

    /// A replica begins to write a batch.
    pub(crate) fn writes(&mut self, replica: ReplicaId, effects: &[Effect]) {
        let region = replica.region;
        if self.is_off || self.is_muted(region) {
            return;
        }
        // What another replica of this region issued, on disks that are gone, comes to it from the others, and its id may have been here before: in a register of who has hidden it.
        let is_own = |dot: Dot| dot.replica == replica && !self.lies.doubt(dot.replica);
        let own = effects.iter().filter_map(|effect| match effect {
            Effect::Changed(Change { conversation, item, .. }) if is_own(item.dot) => {
                let [.., a, b, c, d, e, f, g, h] = item.message.0.to_be_bytes();
                Some(([a, b, c, d, e, f, g, h], *conversation, item.dot))
            }
            _ => None,
        });
        self.record.unsynced.entry(region).or_default().extend(own);
    }

    /// The receipts that a batch tells of are in the store that holds it.
    pub(super) fn tells_only_of_what_it_holds(
        &mut self,
        at: Moment,
        region: RegionId,
        store: &dyn View,
        effects: &[Effect],
    ) -> Result<(), StoreError> {
        for effect in effects {
            let Effect::Receipt { conversation, user, device, delivered, read } = effect else { continue };
            self.look_at(Checker::Durable);
            self.marks.receipts += 1;
            let held = export::receipt(store, (*conversation, *user, *device))?.unwrap_or_default();
            if !held.delivered().covers_all(delivered) || !held.read().covers_all(read) {
                let text = format!(
                    "{region} tells of a receipt of {device} in {conversation} that it does not hold durably"
                );
                self.violate(at, Checker::Durable, text);
            }
        }
        Ok(())
    }

    /// A region's process is gone, and what it was writing with it, unless the record has heard otherwise.
    pub(crate) fn process_lost(&mut self, region: RegionId) {
        self.record.unsynced.remove(&region);
    }

    /// What a region wrote is durable.
    pub(crate) fn written(&mut self, region: RegionId) {
        if let Some(unsynced) = self.record.unsynced.get_mut(&region) {
            let conversations = &self.record.conversations;
            unsynced.retain(|(_, conversation, dot)| {
                let facts = conversations.get(conversation);
                !facts.is_some_and(|facts| facts.by_dot.contains_key(dot))
            });
        }
    }

    /// A frame leaves a region for another.
    pub(super) fn bridges_only_what_is_durable(&mut self, at: Moment, from: RegionId, frame: &[u8]) {
        self.look_at(Checker::Durable);
        let Some(unsynced) = self.record.unsynced.get(&from).filter(|unsynced| !unsynced.is_empty()) else {
            return;
        };
        let found = unsynced.iter().find(|(id, ..)| frame.windows(8).any(|window| window == id));
        if let Some((_, conversation, dot)) = found.copied() {
            let text = format!("{from} sends {dot} of {conversation} on a bridge while it is being written");
            self.violate(at, Checker::Durable, text);
        }
    }
}
