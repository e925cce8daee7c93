//! Promise 7: a region that is alone accepts, stores and delivers for its own without waiting for anybody else.
//!
//! Whoever is connected to a region that has no trouble of its own is acknowledged and given what it holds within a time that no bridge has a part in. Trouble is any fault but
//! that of a way between regions: crashes, disks, clocks, devices. While there is any, and for what was asked before it ended, the clock starts anew; so it does at each answer
//! of that conversation, since a few commands of it are under way at a time, and each reading gives as much as fits. What this does not see: delays that trouble explains, and
//! what is never answered at all, which liveness finds once all is healed. Where acknowledgements wait for a second region, they are not looked at: that was bought with waiting.

use super::{Checker, Oracle};
use crate::world::{Moment, region_named};
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, RegionId, UserId};
use gateway_client::Place;
use replication::placement::Durability;
use std::collections::BTreeMap;

/// Microseconds in which an author is answered: retries after a full mailbox, and a slow mobile network, included.
const ANSWERED_US: Moment = 10_000_000;
/// Microseconds in which a device is given what its region holds: what fell behind is asked for once a second, and much may be waiting.
const GIVEN_US: Moment = 30_000_000;

/// Who is served by whom, and since when.
#[derive(Debug, Default)]
pub(crate) struct Alone {
    /// Faults that are not of ways between regions.
    troubles: u32,
    /// Since when there has been none.
    well_since: Moment,
    /// Connections that stand, and what for: one placement, or all that the region serves.
    served: BTreeMap<(DeviceId, RegionId), (Moment, Option<PlacementId>)>,
    /// Messages that are not answered.
    posted: BTreeMap<(DeviceId, MessageId), Moment>,
    /// When a device was last acknowledged, and when given anything, by conversation.
    answered: BTreeMap<(DeviceId, ConversationId), Moment>,
    given: BTreeMap<(DeviceId, ConversationId), Moment>,
    /// When a region last took a user for a member: also of what a removal had hidden that turned out to be void.
    members: BTreeMap<(RegionId, UserId, ConversationId), Moment>,
}

impl Alone {
    /// A region's store is another one.
    pub(super) fn forget_members(&mut self, region: RegionId) {
        self.members.retain(|(of, ..), _| *of != region);
    }
}

impl Oracle {
    /// A fault begins or ends that is not of a way between regions.
    pub(crate) const fn is_troubled(&mut self, at: Moment, begins: bool) {
        let troubles = self.alone.troubles;
        self.alone.troubles = if begins { troubles + 1 } else { troubles.saturating_sub(1) };
        self.alone.well_since = at;
    }

    /// A region welcomes a device, for one placement alone or for all it serves.
    pub(super) fn is_served(
        &mut self,
        at: Moment,
        device: DeviceId,
        placement: Option<PlacementId>,
        region: &str,
    ) {
        if let Some(region) = region_named(region) {
            self.alone.served.insert((device, region), (at, placement));
        }
    }

    /// A device's connection to a region does not stand any more.
    pub(crate) fn is_not_served(&mut self, device: DeviceId, region: RegionId) {
        self.alone.served.remove(&(device, region));
    }

    /// A region takes a user for a member from now on.
    pub(super) fn becomes_a_member(
        &mut self,
        at: Moment,
        region: RegionId,
        user: UserId,
        conversation: ConversationId,
    ) {
        self.alone.members.insert((region, user, conversation), at);
    }

    fn member_since(&self, region: RegionId, user: UserId, conversation: ConversationId) -> Option<Moment> {
        let joined = self.record.conversations.get(&conversation)?.joined_at(region, user)?;
        let last = self.alone.members.get(&(region, user, conversation)).copied();
        Some(joined.max(last.unwrap_or_default()))
    }

    /// A device's user posts.
    pub(super) fn waits_for_an_answer(&mut self, at: Moment, device: DeviceId, message: MessageId) {
        self.alone.posted.insert((device, message), at);
    }

    /// A region acknowledges a device's message.
    pub(super) fn is_answered_in_time(
        &mut self,
        at: Moment,
        device: DeviceId,
        conversation: ConversationId,
        message: MessageId,
        place: Option<Place>,
    ) {
        if self.durability == Durability::Geo {
            return;
        }
        let before = self.alone.answered.insert((device, conversation), at).unwrap_or(0);
        let Some(posted) = self.alone.posted.remove(&(device, message)) else { return };
        let Some(region) = place.map(|place| place.dot.replica.region) else { return };
        let Some(user) = self.record.devices.get(&device).map(|known| known.user) else { return };
        // A region that had not heard that the user is in it could not take it.
        let Some(joined) = self.member_since(region, user, conversation) else { return };
        let since = posted.max(before).max(joined);
        self.must_be_within(at, (device, region), since, ANSWERED_US, || {
            format!("{device} is acknowledged its {message} by {region}")
        });
    }

    /// A device is given an operation.
    pub(super) fn is_given_in_time(
        &mut self,
        at: Moment,
        device: DeviceId,
        conversation: ConversationId,
        place: Place,
    ) {
        let before = self.alone.given.insert((device, conversation), at).unwrap_or(0);
        let regions: Vec<(RegionId, Moment)> = self
            .alone
            .served
            .range((device, RegionId(0))..=(device, RegionId(u16::MAX)))
            .filter(|(_, (_, only))| only.is_none_or(|only| only == conversation.placement()))
            .map(|((_, region), (since, _))| (*region, *since))
            .collect();
        let Some(facts) = self.record.conversations.get(&conversation) else { return };
        let Some(user) = self.record.devices.get(&device).map(|known| known.user) else { return };
        let has_had = regions.into_iter().filter_map(|(region, since)| {
            let member = self.member_since(region, user, conversation)?;
            let held = facts.applied_at(region, place.dot)?.max(member);
            Some((held.max(since), region))
        });
        // Of several that could have given it, the last.
        let Some((held, region)) = has_had.max() else { return };
        self.must_be_within(at, (device, region), held.max(before), GIVEN_US, || {
            format!("{device} is given {place} of {conversation} by {region}")
        });
    }

    fn must_be_within(
        &mut self,
        at: Moment,
        served: (DeviceId, RegionId),
        since: Moment,
        within_us: Moment,
        what: impl FnOnce() -> String,
    ) {
        let Some((stands, _)) = self.alone.served.get(&served).copied() else { return };
        if self.alone.troubles > 0 {
            return;
        }
        self.look_at(Checker::Alone);
        let waited_us = at - since.max(stands).max(self.alone.well_since);
        if waited_us > within_us {
            let text = format!("{} after {} ms, with nothing in the way", what(), waited_us / 1_000);
            self.violate(at, Checker::Alone, text);
        }
    }
}
