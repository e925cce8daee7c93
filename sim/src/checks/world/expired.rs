//! Promise 1, for as long as it holds: no region lets a text go that has not been there for as long as messages are kept, nor one that some region of its placement lacks (histories 24 and 25).
//!
//! What has gone somewhere need be given to nobody any more, so the other checkers excuse it from then on. A region that began with another one's store counts from when any had it, since that store did.
//! What this does not see: that a text goes at all. That is for tests of one region, since the time that a region is down does not count.

use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::{Dot, PartitionId, RegionId};

/// Clocks may gain one part in so many on true time: what they slew by, and what a crystal may be off.
const GAINS_ONE_IN: u64 = 200;

impl Oracle {
    /// Regions keep messages for so long.
    pub(crate) const fn keep_for(&mut self, us: u64) {
        self.kept_us = us;
    }

    /// A region has let texts go.
    pub(super) fn expires(&mut self, at: Moment, region: RegionId, partition: PartitionId, dots: &[Dot]) {
        for dot in dots {
            self.look_at(Checker::Expired);
            self.marks.expired += 1;
            let fault = self.may_expire(at, region, partition, *dot);
            self.found(at, || format!("{region} lets the text of {dot} in {partition} go"), fault);
        }
    }

    fn may_expire(&mut self, at: Moment, region: RegionId, partition: PartitionId, dot: Dot) -> Fault {
        let known = self.record.dots.get(&partition).and_then(|dots| dots.get(&dot)).copied();
        let Some((conversation, number)) = known else {
            return Err((Checker::Expired, "nobody has that".to_owned()));
        };
        let regions = self.record.regions_of(partition.placement).to_vec();
        let began_with_another = self.began_with_another.contains(&region);
        let facts = self.record.conversations.entry(conversation).or_default();
        facts.expired.insert(number);
        let since =
            if began_with_another { facts.first_applied_at(dot) } else { facts.applied_at(region, dot) };
        let kept_us = self.kept_us - self.kept_us / GAINS_ONE_IN;
        match since {
            Some(since) if since + kept_us <= at => {}
            _ => return Err((Checker::Expired, format!("which it has since {since:?}"))),
        }
        match regions.iter().find(|of| !facts.is_applied(**of, number)) {
            Some(lacking) => Err((Checker::Expired, format!("which {lacking} lacks"))),
            None => Ok(()),
        }
    }
}
