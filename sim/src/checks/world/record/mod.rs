//! The record: everything that happened in a world, in the order in which it happened, kept apart from the product.
//!
//! ```text
//!   what people do, what becomes durable where, what devices are told ──▶ Record ──▶ the checkers, one file a promise
//! ```
//! An operation's causes are all that its region had applied to the conversation when it took it: a beginning of that region's own order. What an author had
//! seen is a beginning of their device's screen. So both are kept as a length, not as a set, and whether something has come after all of it is asked
//! by how much of that order is there without a gap, which only grows: constant time for each operation and each item shown, in all.
//!
//! What must always hold: no vector, cut or digest of the product is taken for true; a number that stands in one list here is one of the other.

mod amendments;
mod operations;
mod rights;
mod roster;
mod screens;
mod sequence;

pub(crate) use amendments::Look;
pub(crate) use operations::{Facts, IdentityNumber, Kind, Number, Sent};
pub(crate) use roster::Members;
pub(crate) use screens::{DeviceFacts, Screen};

use crdt::{ConversationId, Cut, DeviceId, Dot, PartitionId, PlacementId, RegionId, UserId, VersionVector};
use region::item::Item;
use std::collections::BTreeMap;

/// Everything that happened.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Which regions may hold what.
    pub(crate) placements: BTreeMap<PlacementId, Vec<RegionId>>,
    pub(crate) conversations: BTreeMap<ConversationId, Facts>,
    pub(crate) devices: BTreeMap<DeviceId, DeviceFacts>,
    pub(crate) devices_of: BTreeMap<UserId, Vec<DeviceId>>,
    /// Every operation of a partition.
    pub(crate) dots: BTreeMap<PartitionId, BTreeMap<Dot, (ConversationId, Number)>>,
    /// What some region has told to be stable.
    pub(crate) stable: BTreeMap<PartitionId, VersionVector>,
    /// What each region has told to be stable.
    pub(crate) stable_at: BTreeMap<(RegionId, PartitionId), VersionVector>,
    /// What each region is writing: of its own operations the end of the command's id, and what they are.
    pub(crate) unsynced: BTreeMap<RegionId, Vec<([u8; 8], ConversationId, Dot)>>,
    /// How far each device's receipts have been held against its screen: delivered, read.
    claimed: BTreeMap<(ConversationId, UserId, DeviceId), [Cut; 2]>,
    /// How much there is of everything; grows as long as anything is stored.
    pub(crate) applied: u64,
}

impl Record {
    /// The regions of a conversation's placement.
    pub(crate) fn regions_of(&self, placement: PlacementId) -> &[RegionId] {
        self.placements.get(&placement).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn device_exists(&mut self, id: DeviceId, user: UserId) {
        if self.devices.insert(id, DeviceFacts::new(user)).is_none() {
            self.devices_of.entry(user).or_default().push(id);
        }
    }

    /// The devices of a conversation's members, past and present.
    pub(crate) fn devices_in<'a>(
        &'a self,
        facts: &'a Facts,
    ) -> impl Iterator<Item = (DeviceId, &'a DeviceFacts)> {
        let of = |user| self.devices_of.get(user).into_iter().flatten();
        let ids = facts.joins.keys().flat_map(of);
        ids.filter_map(|id| Some((*id, self.devices.get(id)?)))
    }

    /// An operation of a store's second life has a dot that its first life gave to another, which nobody else holds: that one is no more.
    pub(crate) fn forget_if_alone(&mut self, id: ConversationId, item: &Item) {
        let rest = self.placements.get(&id.placement()).map_or(&[][..], Vec::as_slice);
        let Some(facts) = self.conversations.get_mut(&id) else { return };
        let Some(number) = facts.by_dot.get(&item.dot).copied() else { return };
        let is_held = rest.iter().any(|region| facts.is_applied(*region, number));
        let is_it =
            |known: &operations::OperationFacts| known.message == item.message && known.place.hlc == item.hlc;
        let is_another = !facts.operations.get(number).is_some_and(is_it);
        if is_another && !is_held {
            facts.forget(number);
        }
    }

    /// The operation of that dot, which a region has just made durable; whether it was heard of for the first time.
    pub(crate) fn take(&mut self, region: RegionId, id: ConversationId, item: &Item) -> (Number, bool) {
        let facts = self.conversations.entry(id).or_default();
        if let Some(number) = facts.by_dot.get(&item.dot) {
            let known = facts.operations.get_mut(*number);
            known.into_iter().for_each(|known| known.was_in_two |= known.first_in != region);
            return (*number, false);
        }
        let number = facts.add(region, item);
        self.dots.entry(id.partition()).or_default().insert(item.dot, (id, number));
        (number, true)
    }

    /// The dots of a receipt that have not been looked at yet: from where, up to where.
    pub(crate) fn newly_claimed(
        &mut self,
        of: (ConversationId, UserId, DeviceId),
        cut: &Cut,
        is_read: bool,
    ) -> Vec<(Dot, Dot)> {
        let known = &mut self.claimed.entry(of).or_default()[usize::from(is_read)];
        let from = |dot: Dot| Dot { sequence: known.get(dot.replica).next(), ..dot };
        let new: Vec<(Dot, Dot)> =
            cut.iter().map(|dot| (from(dot), dot)).filter(|(from, to)| from <= to).collect();
        known.join(cut);
        new
    }

    /// A region's store is another one, which holds nothing.
    pub(crate) fn forget_store(&mut self, region: RegionId) {
        self.stable_at.retain(|(of, _), _| *of != region);
        self.unsynced.remove(&region);
        self.conversations.values_mut().for_each(|facts| facts.forget_store(region));
    }

    /// Whether an operation is durable in a region.
    pub(crate) fn holds(&self, region: RegionId, conversation: ConversationId, dot: Dot) -> bool {
        self.conversations.get(&conversation).is_some_and(|facts| {
            facts.by_dot.get(&dot).is_some_and(|number| facts.is_applied(region, *number))
        })
    }
}
