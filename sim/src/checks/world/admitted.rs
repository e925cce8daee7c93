//! Promise 1: a region that was admitted answers nobody before it holds what the others held then.
//!
//! A device that is answered by an empty region learns that it is in no conversation, and gives it again what everybody has. When operators admit a region it is noted what the regions of its
//! placements hold; when it says that it has caught up, all of that must be in it which any region that still counts holds. Until then no device of the placement may be welcomed. What this does not see:
//! registers (receipts, homes, what is hidden), which the comparison of stores looks at in the end.

use super::{Checker, Oracle};
use crate::world::{Moment, region_named};
use crdt::{ConversationId, DeviceId, Dot, PlacementId, RegionId};
use std::collections::BTreeMap;

/// The regions that were admitted and have not caught up, each with what it lacked.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    behind: BTreeMap<(PlacementId, RegionId), Vec<(ConversationId, Dot)>>,
    /// Whether any ever was.
    any: bool,
}

impl Admitted {
    /// Whether a region has been admitted to that placement and has not said that it has caught up.
    pub(super) fn is_behind(&self, placement: PlacementId, region: RegionId) -> bool {
        self.behind.contains_key(&(placement, region))
    }

    /// Whether a device may be told that its region is behind: the word may come after that has ended.
    pub(super) const fn were_any(&self) -> bool {
        self.any
    }
}

impl Oracle {
    /// Operators have admitted a region to those placements: it may hold what is in them.
    pub(crate) fn is_admitted(&mut self, placements: &[PlacementId], region: RegionId) {
        self.residency.is_admitted(placements, region);
        self.admitted.any = true;
        for placement in placements {
            let regions = self.record.regions_of(*placement);
            let of_it = self.record.dots.iter().filter(|(partition, _)| partition.placement == *placement);
            let held = of_it.flat_map(|(_, dots)| dots).filter(|(_, (conversation, number))| {
                let facts = self.record.conversations.get(conversation);
                facts.is_some_and(|facts| regions.iter().any(|at| facts.is_applied(*at, *number)))
            });
            let lacks = held.map(|(dot, (conversation, _))| (*conversation, *dot)).collect();
            self.admitted.behind.insert((*placement, region), lacks);
        }
    }

    /// A region says that it holds all that the others did when it was admitted: from now on it counts among them.
    pub(crate) fn has_caught_up(&mut self, at: Moment, placement: PlacementId, region: RegionId) {
        self.marks.caught_up += 1;
        if self.lies.do_not_count(region) {
            return;
        }
        self.look_at(Checker::Admitted);
        let lacked = self.admitted.behind.remove(&(placement, region)).unwrap_or_default();
        let regions = self.record.placements.entry(placement).or_default();
        let missing = lacked.iter().find(|(conversation, dot)| {
            let facts = self.record.conversations.get(conversation);
            let number = facts.and_then(|facts| facts.by_dot.get(dot));
            facts.zip(number).is_some_and(|(facts, number)| {
                let is_held = regions.iter().any(|other| facts.is_applied(*other, *number));
                is_held && !facts.is_applied(region, *number)
            })
        });
        let missing = missing
            .map(|(conversation, dot)| format!("{region} has caught up without {dot} of {conversation}"));
        if !regions.contains(&region) {
            regions.push(region);
        }
        if let Some(text) = missing {
            self.violate(at, Checker::Admitted, text);
        }
    }

    /// A region has welcomed a device, for that placement.
    pub(super) fn may_welcome(
        &mut self,
        at: Moment,
        device: DeviceId,
        placement: Option<PlacementId>,
        region: &str,
    ) {
        let Some(user) = self.record.devices.get(&device).map(|known| known.user) else { return };
        let (Some(region), placement) = (region_named(region), placement.unwrap_or(user.placement())) else {
            return;
        };
        if self.admitted.is_behind(placement, region) && !self.lies.do_not_count(region) {
            let text = format!("{device} is welcomed by {region}, which has not caught up in {placement}");
            self.violate(at, Checker::Admitted, text);
        }
    }
}
