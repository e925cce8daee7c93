//! Promise 4, where it bears what later issues build on it: what a region holds for stable comes before everything that still reaches it.
//!
//! Folding, purging and the return of a right are done below what is stable, on the ground that nothing concurrent with it can arrive any more. So an operation that reaches a
//! region must have among its causes everything of its conversation that this region has said to be stable. What this does not see: a region that holds
//! something for stable and says so to nobody.

use super::{Checker, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, Dot, PartitionId, RegionId, VersionVector};

impl Oracle {
    /// A region says that so much of a partition is stable: from now on nothing concurrent with it may reach that region.
    pub(crate) fn stable_is_final(&mut self, region: RegionId, partition: PartitionId, cut: &VersionVector) {
        if self.is_off {
            return;
        }
        let known = self.record.stable_at.entry((region, partition)).or_default();
        let from = |dot: Dot| Dot { sequence: known.get(dot.replica).next(), ..dot };
        let new: Vec<(Dot, Dot)> =
            cut.iter().map(|dot| (from(dot), dot)).filter(|(from, to)| from <= to).collect();
        known.join(cut);
        let Some(dots) = self.record.dots.get(&partition) else { return };
        for (conversation, number) in
            new.iter().flat_map(|(from, to)| dots.range(*from..=*to)).map(|(_, of)| of)
        {
            if let Some(facts) = self.record.conversations.get_mut(conversation) {
                facts.note_stable(region, *number);
            }
        }
    }

    /// An operation has reached a region.
    pub(super) fn comes_after_what_is_stable(
        &mut self,
        at: Moment,
        region: RegionId,
        id: ConversationId,
        dot: Dot,
    ) {
        if self.lies.doubt(dot.replica) {
            return;
        }
        self.look_at(Checker::StableFirst);
        let Some(facts) = self.record.conversations.get(&id) else { return };
        let Some(number) = facts.by_dot.get(&dot) else { return };
        if !facts.comes_after_stable(region, *number) {
            let text = format!(
                "{} reaches {region}, which holds something of {id} for stable that is not among its causes",
                facts.describe(*number)
            );
            self.violate(at, Checker::StableFirst, text);
        }
    }
}
