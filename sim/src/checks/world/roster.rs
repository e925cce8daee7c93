//! Promise 10: what a removed member or demoted admin did to a group at the same time does not survive their removal, in any region, at any time; and whoever is removed is
//! given nothing that came after, and does nothing there.
//!
//! Whenever a region has applied a change of members, and of every conversation at the end, who its store says is in it, and how high each stands, is held against the rules
//! as `record/roster.rs` reads them. By the same reading nobody who is out of a group in a region issues anything in it there, and no session there sends their
//! devices what was applied since, or says that they are out where it was not heard that they are in. What this does not see: groups of more changes than the reading takes, until the end; what was on its way to a device.

use super::record::Members;
use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, DeviceId, Dot, Membership, RegionId, UserId};
use gateway_protocol::v1;

/// Changes of a group that are read anew at each one; at the end all are.
pub(super) const READ_EACH_TIME_MAX: usize = 48;

impl Oracle {
    /// A region's store says who is in a conversation: after a change of it, or at the end.
    pub(super) fn compare_roster(
        &mut self,
        at: Moment,
        region: RegionId,
        id: ConversationId,
        held: &Membership,
        is_end: bool,
    ) {
        let Some(facts) = self.record.conversations.get_mut(&id) else { return };
        if !is_end && facts.roster.len() > READ_EACH_TIME_MAX {
            return;
        }
        let members = facts.members_after(|number| facts.is_applied(region, number));
        facts.note_members(region, members.as_ref());
        let Some(members) = members else { return };
        self.look_at(Checker::Roster);
        let rank = |user: UserId| {
            let member = held.roster().member(user).filter(|_| !held.direct());
            member.and_then(|member| member.rank).map(|rank| (rank.generation(), rank.depth()))
        };
        let held: Members = held.members().map(|user| (user, rank(user))).collect();
        if held != members {
            let text = format!("{region} has {held:?} in {id}, by the rules it is {members:?}");
            self.violate(at, Checker::Roster, text);
        }
    }

    /// Whoever does something in a conversation is in it, where they do it.
    pub(super) fn is_in_it(&mut self, region: RegionId, id: ConversationId, user: UserId) -> Fault {
        self.look_at(Checker::Removed);
        let facts = self.record.conversations.get(&id);
        if facts.is_none_or(|facts| facts.may_act(region, user)) {
            Ok(())
        } else {
            Err((Checker::Removed, format!("{user} is not in it there")))
        }
    }

    /// A session sends these to a device: nothing that was applied since its user was removed.
    pub(super) fn sends_nothing_to_the_removed(
        &mut self,
        at: Moment,
        region: RegionId,
        device: DeviceId,
        deliver: &v1::Deliver,
    ) {
        let Ok(id) = deliver.conversation.parse::<ConversationId>() else { return };
        let Some(user) = self.record.devices.get(&device).map(|known| known.user) else { return };
        let Some(facts) = self.record.conversations.get(&id).filter(|_| !self.is_muted(region)) else {
            return;
        };
        let dots = deliver.items.iter().filter_map(|item| item.dot.parse::<Dot>().ok());
        let later = dots.into_iter().find(|dot| facts.came_after_removal(region, user, *dot));
        self.look_at(Checker::Removed);
        if let Some(dot) = later {
            let text =
                format!("{region} sends {device} of {user} {dot} of {id}, which came after their removal");
            self.violate(at, Checker::Removed, text);
        }
    }

    /// A session tells a device that its user is no member (any more): the region has heard of their being one, or it is to wait until it has.
    pub(super) fn ends_what_had_begun(
        &mut self,
        at: Moment,
        region: RegionId,
        device: DeviceId,
        change: &v1::Membership,
    ) {
        let Ok(id) = change.conversation.parse::<ConversationId>() else { return };
        let Some(user) = self.record.devices.get(&device).map(|known| known.user) else { return };
        let facts = self.record.conversations.get(&id).filter(|_| !self.is_muted(region));
        let Some(facts) = facts.filter(|_| !change.member) else { return };
        let has_begun =
            facts.joins.get(&user).into_iter().flatten().any(|number| facts.is_applied(region, *number));
        self.look_at(Checker::Removed);
        if !has_begun {
            let text = format!(
                "{region} tells {device} that {user} is out of {id}, and never heard that they are in"
            );
            self.violate(at, Checker::Removed, text);
        }
    }
}
