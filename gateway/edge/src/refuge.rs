//! Where a region that drains sends its devices.
//!
//! A device that is only cut off goes on trying the region that it knows; told where to go, it is served again at once, and comes back by itself when
//! it is sent on or the other region ends. What must always hold: nobody is sent to a region that has no part in a placement that is served here,
//! where a conversation of theirs may be, nor to one that an epoch has closed or that does not answer this one.

use crdt::RegionId;
use gateway::input::Redirect;
use region_rocks::handle::RegionHandle;

/// A region that serves all placements that this one does, and whose bridge is open; none if there is none.
#[must_use]
pub fn refuge(region: &RegionHandle) -> Option<Redirect> {
    let (own, epochs) = (region.region(), region.epochs());
    let serves = |other: &RegionId| {
        let mut served = epochs.iter().filter(|placement| placement.replica_of(own).is_some());
        served.all(|placement| placement.replica_of(*other).is_some())
    };
    let other = region.open_bridges().into_iter().find(serves)?;
    let other = region.cluster().regions.get(&other)?;
    Some(Redirect { region: other.name.clone(), url: other.client.to_string() })
}
