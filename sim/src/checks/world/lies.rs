//! What is excused where hardware lied, and for whom: exactly that region and whoever it misled.
//!
//! A store that was damaged at rest, or put back to an old state, is a breach of what every promise rests on. What must still hold, and stays judged as strictly as
//! ever: no other region is harmed; a message is lost only if no other region and no living sender's outbox holds it. So:
//! - a region in a *second life* (an old copy or nothing in the place of its store) is not listened to: it does not count among the regions of its placements, and what
//!   it applies and says is not recorded. What it spreads is judged where it arrives, as an operation whose causes are not known;
//! - a region that *took a branch*, an operation of a second life under a dot that stands for another one in a region that counts (or the other way round), holds what
//!   no other may ever take: it is as one in a second life from then on. Nobody can tell it sooner: whoever met the second life first knew nothing of the dot;
//! - a *lost* region (found out, and down) does not count among the regions of its placements. What only its disk held need not come to anybody, except through
//!   the outboxes of its authors: whatever was acknowledged must stand in all that are left;
//! - *misled* devices, those that spoke with a second life, or were shown what nobody else held when it began, may show what they were shown. What they are
//!   told to be stable must be so, since they let it go; what they send is judged, as something that follows from nothing; so is what not every region that counts holds of what they had sent
//!   before: they send it again, and the cursor that it was written on names what a second life has not got, so that it goes on without;
//! - somebody *may have left by* what a second life issued, and whom it added may be kept from anything: what that followed from is not known. And what a lost
//!   region or a second life alone took from somebody who has left, or was removed, stays in their outbox: the regions that count refuse it, rightly; so does a change of
//!   members that such a one alone took, of somebody who is not what they were there, or for whom no right is left; so does what somebody wrote whom it let in;
//! - a lost region that is *given new disks* is another replica: it is judged as one that was never there, and what its old replica issued as before;
//! - with a region lost for good nothing more becomes stable in its placements until an epoch closes it. Then what stands in the regions that are left does; nobody waits for the rest, for
//!   ticks, or for a mark to go. What is told to be stable must still be so.

use super::Oracle;
use super::record::{DeviceFacts, Facts, IdentityNumber, Number};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, RegionId, ReplicaId, UserId};
use gateway_client::Event;
use region::shard::Effect;
use region::store::View;
use std::collections::BTreeSet;

/// Who lied, and to whom.
#[derive(Debug, Default)]
pub(super) struct Lies {
    /// Regions that do not count any more.
    regions: BTreeSet<RegionId>,
    placements: BTreeSet<PlacementId>,
    /// Regions in a second life.
    second_lives: BTreeSet<RegionId>,
    misled: BTreeSet<DeviceId>,
    /// Regions that took a branch, and are not in a second life yet.
    branched: BTreeSet<RegionId>,
    /// Replicas in a second life whose regions have been given new disks, and are others now.
    replaced: BTreeSet<ReplicaId>,
}

impl Lies {
    /// Whether all regions of that placement count.
    pub(super) fn spare(&self, placement: PlacementId) -> bool {
        !self.placements.contains(&placement)
    }

    /// Whether any hardware lied.
    pub(super) fn were_told(&self) -> bool {
        !self.regions.is_empty() || !self.placements.is_empty() || !self.misled.is_empty()
    }

    pub(super) fn do_not_count(&self, region: RegionId) -> bool {
        self.regions.contains(&region)
    }

    pub(super) fn have_misled(&self, device: DeviceId) -> bool {
        self.misled.contains(&device)
    }

    /// Whether that region is not listened to.
    pub(super) fn mute(&self, region: RegionId) -> bool {
        self.second_lives.contains(&region) || self.branched.contains(&region)
    }

    /// Whether what a replica has issued is of a second life.
    pub(super) fn doubt(&self, replica: ReplicaId) -> bool {
        self.mute(replica.region) || self.replaced.contains(&replica)
    }
}

impl Oracle {
    /// A region's store is another one than it was, and does not know it.
    pub(crate) fn begins_second_life(&mut self, region: RegionId) {
        self.counts_no_more(region);
        self.lies.second_lives.insert(region);
        self.record.unsynced.remove(&region);
        let mut misled = BTreeSet::new();
        let placements = &self.record.placements;
        for (id, facts) in &self.record.conversations {
            let rest = placements.get(&id.placement()).map_or(&[][..], Vec::as_slice);
            for (device, known) in self.record.devices_in(facts) {
                let screen = known.conversations.get(id);
                let shown = screen.into_iter().flat_map(|screen| screen.places.values());
                let held = |number: &Number| rest.iter().any(|at| facts.is_applied(*at, *number));
                let mut alone = shown.filter(|place| !facts.by_dot.get(&place.dot).is_some_and(held));
                if alone.next().is_some() {
                    misled.insert(device);
                }
            }
        }
        for device in misled {
            self.misleads(device);
        }
    }

    /// A region applied another operation than the one that its dot stands for.
    pub(crate) fn takes_branch(&mut self, region: RegionId) {
        self.lies.branched.insert(region);
    }

    /// Whether a region took a branch since this was asked last.
    pub(crate) fn took_branch(&mut self, region: RegionId) -> bool {
        self.lies.branched.remove(&region)
    }

    /// A region was found out, and is down for good.
    pub(crate) fn is_lost(&mut self, region: RegionId) {
        self.counts_no_more(region);
    }

    /// A lost region has been given new disks, and is another replica than those: what its old ones held and said is past. It counts once it has caught up.
    pub(crate) fn is_replaced(&mut self, region: RegionId, before: Vec<ReplicaId>) {
        if self.lies.mute(region) {
            self.lies.replaced.extend(before);
        }
        self.lies.second_lives.remove(&region);
        self.lies.regions.remove(&region);
        self.record.forget_store(region);
        self.alone.forget_members(region);
        self.hidden.forget_store(region);
    }

    /// That region begins with a copy of what it had once: it has applied that, in that order.
    pub(crate) fn begins_with(
        &mut self,
        at: Moment,
        region: RegionId,
        store: &dyn View,
        durable: &[Vec<Effect>],
    ) {
        self.began_with_another.insert(region);
        for effects in durable {
            self.committed(at, region, effects);
            for effect in effects {
                if let Effect::Hidden { conversation, user, message } = effect {
                    let mark = (*conversation, *user, (message.sender, message.message));
                    self.hidden_stands(at, region, mark);
                }
            }
        }
        self.is_held(at, region, Some(store), &durable.concat());
    }

    fn counts_no_more(&mut self, region: RegionId) {
        self.lies.regions.insert(region);
        for (placement, regions) in &mut self.record.placements {
            let before = regions.len();
            regions.retain(|of| *of != region);
            if regions.len() < before {
                self.lies.placements.insert(*placement);
            }
        }
    }

    /// A device speaks with a region in its second life, or was shown what only its first one held.
    pub(crate) fn misleads(&mut self, device: DeviceId) {
        if self.lies.misled.insert(device) {
            for (id, facts) in &mut self.record.conversations {
                let rest = self.record.placements.get(&id.placement()).map_or(&[][..], Vec::as_slice);
                facts.forget_what_was_seen(device, rest);
            }
        }
    }

    /// Whether what a region says of itself is not listened to.
    pub(crate) fn is_muted(&self, region: RegionId) -> bool {
        self.lies.mute(region)
    }

    /// A misled device tells its user: what matters is what it knows of its own commands, and what its user can answer.
    pub(super) fn told_in_error(&mut self, id: DeviceId, event: &Event) {
        let Some(device) = self.record.devices.get_mut(&id) else { return };
        match event {
            Event::Shown { conversation, item, .. } => {
                let facts = self.record.conversations.entry(*conversation).or_default();
                let identity = facts.identity(item.sender, item.message);
                device.conversations.entry(*conversation).or_default().show(identity, item.place);
            }
            Event::Acknowledged { conversation, command, place } => {
                device.is_acknowledged(*conversation, *command, *place);
            }
            Event::Refused { command: Some(command), .. } => _ = device.refused.insert(*command),
            Event::Refused { command: None, .. }
            | Event::Stable { .. }
            | Event::Moved { .. }
            | Event::Repeated { .. }
            | Event::AddedAgain { .. }
            | Event::MarkCleared { .. }
            | Event::Amended { .. }
            | Event::Hidden { .. }
            | Event::Delivered { .. }
            | Event::Read { .. }
            | Event::SignedIn { .. }
            | Event::SignedOut { .. }
            | Event::ServedAtHome { .. }
            | Event::Redirected { .. }
            | Event::CaughtUp { .. }
            | Event::Membership { .. }
            | Event::Paged { .. }
            | Event::Documented { .. }
            | Event::Listed { .. } => {}
        }
    }

    /// Whether the regions that count may rightly refuse for good what a user was told to be acknowledged: a region that lied took it, and the user is out by now, or
    /// it is a change of members, made on what that region alone had.
    pub(super) fn may_come_too_late(
        &self,
        id: ConversationId,
        facts: &Facts,
        (user, command): (UserId, MessageId),
    ) -> bool {
        if self.lies.spare(id.placement()) {
            return false;
        }
        let identity = facts.identities.get(&(user, command));
        let stands = |region: &RegionId| identity.is_some_and(|identity| facts.stands_in(*region, *identity));
        let is_out = (facts.leaves.contains_key(&user) && !facts.is_member(user))
            || self.members_left(id, facts).is_some_and(|left| !left.contains(&user));
        let is_change = !facts.sent.contains_key(&(user, command));
        is_out || (is_change && !self.record.regions_of(id.placement()).iter().any(stands))
    }

    /// How many of a conversation's operations are held by a region that counts: those must come to all that do.
    pub(super) fn count_held(&self, id: ConversationId, facts: &Facts) -> usize {
        if self.lies.spare(id.placement()) {
            return facts.operations.len();
        }
        let rest = self.record.regions_of(id.placement());
        let held = |number: &Number| rest.iter().any(|region| facts.is_applied(*region, *number));
        (0..facts.operations.len()).filter(held).count()
    }

    /// Whether each operation of that identity is held by a region that counts.
    pub(super) fn is_all_held(&self, id: ConversationId, facts: &Facts, identity: IdentityNumber) -> bool {
        if self.lies.spare(id.placement()) {
            return true;
        }
        let rest = self.record.regions_of(id.placement());
        let mut aliases = facts.aliases.get(identity).into_iter().flatten();
        aliases.all(|alias| rest.iter().any(|region| facts.is_applied(*region, *alias)))
    }

    /// The devices of a conversation's members that nobody has misled.
    pub(super) fn devices_to_judge<'a>(
        &'a self,
        id: ConversationId,
        facts: &'a Facts,
    ) -> impl Iterator<Item = (DeviceId, &'a DeviceFacts)> {
        let left = self.members_left(id, facts);
        self.record.devices_in(facts).filter(move |(device, known)| {
            !self.lies.have_misled(*device) && left.as_ref().is_none_or(|left| left.contains(&known.user))
        })
    }

    /// Where a region lied, who is a member by what those hold that count. An add that a lost region alone took is sent again by its author's device, but the right
    /// that it spent is lost as well, and the regions that are left may have none.
    fn members_left(&self, id: ConversationId, facts: &Facts) -> Option<BTreeSet<UserId>> {
        if self.lies.spare(id.placement()) {
            return None;
        }
        let rest = self.record.regions_of(id.placement());
        let held = |number: Number| rest.iter().any(|region| facts.is_applied(*region, number));
        Some(facts.members_after(held)?.into_keys().collect())
    }

    /// By placement, the regions that count.
    #[cfg(test)]
    pub(super) const fn regions_that_count(&self) -> &std::collections::BTreeMap<PlacementId, Vec<RegionId>> {
        &self.record.placements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PlacementId = PlacementId(1);
    const Q: PlacementId = PlacementId(2);

    #[test]
    fn a_region_that_lies_counts_no_more_and_only_its_placements_are_excused() {
        let mut oracle = Oracle::default();
        let regions = |of: &[u16]| of.iter().map(|id| RegionId(*id)).collect::<Vec<_>>();
        oracle.placements_are([(P, regions(&[1, 2, 3])), (Q, regions(&[1, 2]))].into());
        oracle.begins_second_life(RegionId(3));
        assert!(oracle.is_muted(RegionId(3)) && !oracle.is_muted(RegionId(1)));
        assert!(!oracle.lies.spare(P) && oracle.lies.spare(Q));
        assert_eq!(oracle.regions_that_count()[&P], regions(&[1, 2]));
        oracle.is_lost(RegionId(1));
        assert!(!oracle.is_muted(RegionId(1)), "what is down says nothing");
        assert_eq!(oracle.regions_that_count()[&Q], regions(&[2]));
    }
}
