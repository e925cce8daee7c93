//! What a region says of itself in gossip, put together from what its parts know.
//!
//! What must always hold: it is of the region alone, never of a user, device or conversation ([`region::membership`]); it takes no lock for longer than a few numbers take to copy.

use crate::handle::{Behind, DeviceSink};
use crate::mailbox::LETTERS_MAX;
use crate::port::Port;
use crdt::Now;
use region::cluster::ClusterRegion;
use region::membership::{Facts, Load, stands};
use region_gossip::GossipingRegion;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where they come from.
pub(crate) struct OwnFacts {
    pub(crate) own: ClusterRegion,
    pub(crate) port: Arc<Port>,
    pub(crate) behind: Behind,
    pub(crate) devices: DeviceSink,
    pub(crate) draining: Arc<AtomicBool>,
}

impl GossipingRegion for OwnFacts {
    fn now(&self) -> Now {
        self.port.clock.now()
    }

    fn facts(&self) -> Facts {
        let Self { own, port, behind, devices, draining } = self;
        let waiting = port.placements.values().map(|(_, mailbox)| mailbox.waiting()).max().unwrap_or(0);
        Facts {
            client: own.client.to_string(),
            bridge: own.bridge,
            draining: draining.load(Ordering::Relaxed),
            load: Load::rounded(devices.connected(), waiting, LETTERS_MAX),
            placements: stands(own.id, &port.hub.placements().borrow(), &behind.now()),
        }
    }
}
