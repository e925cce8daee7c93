//! How a region is called in gossip: chitchat knows nodes by a name, the number of a start, and a socket address.
//!
//! What must always hold: a name and an address say the same region, or it is none. The address is one to which nothing can be sent: it is the region's number
//! where the port stands, and the carrier finds the bridge by it.

use chitchat::ChitchatId;
use crdt::RegionId;
use std::net::{Ipv4Addr, SocketAddr};

/// The address that stands for that region.
pub(crate) fn address_of(region: RegionId) -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, region.0).into()
}

/// One start of a region.
pub(crate) fn id(region: RegionId, started_ms: u64) -> ChitchatId {
    ChitchatId::new(region.to_string(), started_ms, address_of(region))
}

/// The region that an id says, if it says one.
pub(crate) fn region_of(id: &ChitchatId) -> Option<RegionId> {
    let region: RegionId = id.node_id.parse().ok()?;
    (self::id(region, id.generation_id) == *id).then_some(region)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{ChitchatId, RegionId, id, region_of};

    #[test]
    fn an_id_whose_name_and_address_say_two_regions_is_of_none() {
        assert_eq!(region_of(&id(RegionId(7), 9)), Some(RegionId(7)));
        let other =
            |name: &str, address: &str| region_of(&ChitchatId::new(name, 9, address.parse().unwrap()));
        assert_eq!(other("r7", "0.0.0.0:8"), None);
        assert_eq!(other("r7", "192.0.2.1:7"), None);
        assert_eq!(other("r07", "0.0.0.0:7"), None);
        assert_eq!(other("west", "0.0.0.0:7"), None);
    }
}
