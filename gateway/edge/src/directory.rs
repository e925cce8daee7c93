//! What a welcome tells of the cluster: all placements, in which epochs this region stands, and where devices find their regions.
//!
//! What must always hold: of a placement whose epoch is known here, the regions are those that are active in it, so no device is led to one that is closed; of any other, those of the
//! cluster file.

use crdt::RegionId;
use gateway_protocol::v1;
use region_rocks::handle::RegionHandle;

pub(crate) fn directory(region: &RegionHandle) -> Vec<v1::Placement> {
    let (cluster, epochs) = (region.cluster(), region.epochs());
    let of_the_file = cluster.placements.values().map(|placement| {
        let stands = epochs.get(placement.id).filter(|stands| stands.statement.is_some());
        let serves = |region: &&RegionId| stands.is_none_or(|stands| stands.replica_of(**region).is_some());
        let regions = placement.regions.iter().filter(serves).filter_map(|id| cluster.regions.get(id));
        let told = |region: &region::cluster::ClusterRegion| v1::Region {
            name: region.name.clone(),
            url: region.client.to_string(),
        };
        v1::Placement {
            id: placement.id.to_string(),
            name: placement.name.clone(),
            regions: regions.map(told).collect(),
            epoch: stands.map_or(0, |stands| stands.epoch.0),
        }
    });
    of_the_file.collect()
}
