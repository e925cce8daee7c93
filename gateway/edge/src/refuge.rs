//! Where a region that drains sends its devices.
//!
//! A device that is only cut off goes on trying the region that it knows; told where to go, it is served again at once, and comes back by itself when
//! it is sent on or the other region ends. What must always hold: the core chooses ([`gateway::refuge`]), by the epochs and by what is heard of the others.

use gateway::input::Redirect;
use gateway::refuge;
use region_rocks::handle::RegionHandle;

/// A region that serves all placements that this one does, one that is live before one that is not; none if there is none.
#[must_use]
pub fn refuge(region: &RegionHandle) -> Option<Redirect> {
    let other = refuge::refuge(region.region(), &region.epochs(), &region.view())?;
    let other = region.cluster().regions.get(&other)?;
    Some(Redirect { region: other.name.clone(), url: other.client.to_string() })
}
