//! Promise 9: a group never has more members than its limit, whatever is concurrent with whatever; and no right to a place is spent twice, or lost.
//!
//! Whenever a region has applied a change of members or of rights, its store is asked how many members there are and how many rights each region holds, and that is held against
//! the limit of the world and the sums of `record/rights.rs`. A region that adds, gives or has something back is judged by what it had applied when it did: it held
//! that, and what came back holds nobody's place, by the rules over all that was done anywhere, heard of there or not. Who is refused for want of a
//! right is refused where there was none. Once all is calm, members and free rights are together the limit, and no
//! region has few while another has many; whom an epoch has closed has an heir. What this does not see: who holds what where hardware lied (that none is lost, nor the limit exceeded, is judged
//! there too), and what becomes of them where two regions never meet and so do not learn which kinds of operations the other knows; a return in a group of more changes than are read each time, until the end.

use super::record::Number;
use super::roster::READ_EACH_TIME_MAX;
use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::escrow::NoneLeft;
use crdt::group::RightsAct;
use crdt::{ConversationId, Membership, RegionId, ReplicaId};
use region::command::Refusal;
use region::item::{Content, Item};

impl Oracle {
    /// Groups of this world have at most so many members.
    pub(crate) const fn limits_members(&mut self, members_max: usize) {
        self.members_max = Some(members_max);
    }

    /// Whether every two regions of the placement that is compared next have a way to each other, and whom its epochs have closed.
    pub(crate) fn all_meet(&mut self, all_meet: bool, closed: Vec<ReplicaId>) {
        (self.all_meet, self.closed) = (all_meet, closed);
    }

    /// A region issues that operation, which it has not counted as applied yet: it spends and gives only what it holds.
    pub(super) fn spends_what_it_holds(
        &mut self,
        region: RegionId,
        id: ConversationId,
        number: Number,
        item: &Item,
    ) -> Fault {
        let Some(facts) = self.record.conversations.get(&id) else { return Ok(()) };
        match &item.content {
            Content::Added { .. } | Content::Rights(_) => {}
            Content::Created { direct: false, .. } => {
                let limit = self.members_max.map(|limit| limit as u64);
                let issued = facts.rights_issued();
                self.look_at(Checker::Rights);
                if limit.is_some() && issued != limit {
                    let text = format!("it issues {issued:?} places where the limit is {limit:?}");
                    return Err((Checker::Rights, text));
                }
                return Ok(());
            }
            _ => return Ok(()),
        }
        let is_in = |of| of == number || facts.is_applied(region, of);
        let held = facts.rights_held(is_in).get(&item.dot.replica).copied().unwrap_or(0);
        let is_return = matches!(item.content, Content::Rights(RightsAct::Return(_)));
        let read = is_return && facts.roster.len() <= READ_EACH_TIME_MAX;
        // What only a region held that is lost, and closed, counts for nobody: who was added by it alone holds no place.
        let regions = self.record.regions_of(id.placement());
        let counts = |of: Number| of == number || regions.iter().any(|at| facts.is_applied(*at, of));
        let wrong = facts.returns_wrongly(number, counts);
        let members = if read { facts.members_after(counts) } else { None };
        let spent = facts.rights_spent(counts);
        self.look_at(Checker::Rights);
        if held < 0 {
            return Err((Checker::Rights, format!("it spends what it does not hold, and holds {held} then")));
        }
        if let Some((dot, user)) = wrong {
            return Err((Checker::Rights, format!("the right of {user} by {dot} is not its own to return")));
        }
        match members.map(|members| i64::try_from(members.len()).unwrap_or(i64::MAX)) {
            Some(members) if members > spent => {
                let text =
                    format!("it returns what holds a place: {spent} are spent then, with {members} members");
                Err((Checker::Rights, text))
            }
            _ => Ok(()),
        }
    }

    /// A region refuses a command.
    pub(super) fn refuses_for_want_of_rights(&mut self, at: Moment, region: RegionId, refusal: &Refusal) {
        let Refusal::NoRightsLeft { conversation, why } = refusal else { return };
        let Some(facts) = self.record.conversations.get(conversation) else { return };
        if self.lies.were_told() {
            return;
        }
        let held = facts.rights_held(|of| facts.is_applied(region, of));
        let here = held.iter().find(|(replica, held)| replica.region == region && **held > 0);
        let wrong = match (here, why) {
            (Some((_, held)), _) => Some(format!("though it holds {held}")),
            (None, NoneLeft::Here(other)) if held.get(other).is_none_or(|held| *held < 1) => {
                Some(format!("and names {other}, which holds none"))
            }
            (None, _) => None,
        };
        self.look_at(Checker::Rights);
        if let Some(wrong) = wrong {
            let text = format!("{region} adds nobody to {conversation} for want of a right, {wrong}");
            self.violate(at, Checker::Rights, text);
        }
    }

    /// A region's store says who is in a conversation, and who holds how many rights: after a change of it, or once all is calm.
    pub(super) fn compare_rights(
        &mut self,
        at: Moment,
        region: RegionId,
        id: ConversationId,
        held: &Membership,
        is_end: bool,
    ) {
        let Some(facts) = self.record.conversations.get(&id).filter(|_| !held.direct()) else { return };
        let members = held.members().count();
        let limit = self.members_max.unwrap_or(usize::MAX);
        let sums = facts.rights_held(|of| facts.is_applied(region, of));
        let spent = facts.rights_spent(|of| facts.is_applied(region, of));
        self.look_at(Checker::Limit);
        if members > limit {
            let text = format!("{region} has {members} members in {id}, where the limit is {limit}");
            self.violate(at, Checker::Limit, text);
        }
        if !held.exists() {
            return;
        }
        self.look_at(Checker::Rights);
        if is_end && self.all_meet && self.is_whole() {
            self.are_inherited(at, region, id, held);
        }
        if self.lies.were_told() {
            return;
        }
        let differs = |(replica, sum): (&ReplicaId, &i64)| {
            (i64::try_from(held.group().held(*replica).0) != Ok(*sum)).then_some((*replica, *sum))
        };
        if let Some((replica, sum)) = sums.iter().find_map(differs) {
            let has = held.group().held(replica).0;
            let text =
                format!("{region} has {has} rights of {replica} in {id}, by what was done they are {sum}");
            self.violate(at, Checker::Rights, text);
        }
        if i64::try_from(held.group().spent()) != Ok(spent) {
            let has = held.group().spent();
            let text = format!("{region} has {has} rights spent in {id}, by what was done they are {spent}");
            self.violate(at, Checker::Rights, text);
        }
        if is_end && self.all_meet && self.is_whole() {
            let all = sums.values().sum::<i64>() + i64::try_from(members).unwrap_or(i64::MAX);
            let regions = self.record.regions_of(id.placement());
            let times =
                i64::try_from(2 * regions.len().saturating_sub(1)).map_or(i64::MAX, |times| times.max(4));
            let of = |region: &RegionId| {
                sums.iter().find(|(replica, _)| replica.region == *region).map_or(0, |(_, held)| *held)
            };
            let most = regions.iter().map(of).max().unwrap_or(0);
            let least = regions.iter().map(of).min().unwrap_or(0);
            if i64::try_from(limit).is_ok_and(|limit| all != limit) {
                let text = format!(
                    "members of {id} and free rights are {all} once all is calm, the limit is {limit}"
                );
                self.violate(at, Checker::Rights, text);
            }
            if least.saturating_mul(times) < most && most - least > 1 {
                let text =
                    format!("one region holds {most} rights of {id} once all is calm, another {least}");
                self.violate(at, Checker::Rights, text);
            }
        }
    }

    /// Once all is calm: whom an epoch has closed holds nothing that its heir should have taken over, and none of it is lost, whatever hardware did.
    fn are_inherited(&mut self, at: Moment, region: RegionId, id: ConversationId, held: &Membership) {
        let of_closed = self.closed.iter().find(|closed| held.group().held(**closed).0 > 0);
        let limit = self.members_max.map(|limit| limit as u64);
        let all = held.group().held_by_all().0 + held.group().spent();
        if let Some(closed) = of_closed {
            let text = format!("{closed}, which is closed, still holds rights of {id} in {region}");
            self.violate(at, Checker::Rights, text);
        } else if limit.is_some_and(|limit| limit != all) {
            let text =
                format!("{region} has {all} rights of {id}, spent and free, where the limit is {limit:?}");
            self.violate(at, Checker::Rights, text);
        } else if held.group().inheritance_due(self.closed.iter().copied()).is_some() {
            let text =
                format!("what was spent of {id} by one that is closed can come back to nobody in {region}");
            self.violate(at, Checker::Rights, text);
        }
    }
}
