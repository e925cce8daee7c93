//! What the machines of a run did: bytes on links, what went to disks, and which bounds of memory were reached.
//!
//! Bytes on a link are those of the bridges' frames as they leave, before QUIC's own; a frame that is lost in a cut counts, as the line had to take it.
//!
//! What must always hold: only sums and highest values, so the memory is that of the regions and links.

use crdt::RegionId;
use std::collections::BTreeMap;

/// What the machines did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machines {
    /// Per link, from and to.
    pub links: BTreeMap<(RegionId, RegionId), LinkUse>,
    /// Per region.
    pub regions: BTreeMap<RegionId, RegionUse>,
    /// How often each bound was reached; those never reached are not there.
    pub bounds: BTreeMap<Bound, u64>,
}

/// One direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkUse {
    /// Frames that left on it.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// One region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RegionUse {
    /// Operations that became durable in it, its own and others': what its logs grew by.
    pub operations: u64,
    /// Batches that were synced.
    pub batches: u64,
    /// Bytes of keys and values in them.
    pub written_bytes: u64,
    /// The most letters that ever waited for one shard.
    pub mailbox_letters_max: u64,
}

/// A bound of memory; what happens at each is the product's behaviour, not a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// A shard's mailbox was full: a command was refused as busy, and the client tries again.
    Mailbox,
    /// Changes for a session were full: some were left out, and it reads them from the store.
    Changes,
    /// A device read too slowly: its session was closed, and it catches up when it is back.
    SlowDevice,
    /// A bridge had handed over as much as may wait for the shards: it stopped reading for a while.
    BridgeReading,
    /// As much was on its way to a peer as a connection takes: the sender waited.
    Window,
}

impl Bound {
    /// In a name for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mailbox => "mailbox",
            Self::Changes => "changes",
            Self::SlowDevice => "slow_device",
            Self::BridgeReading => "bridge_reading",
            Self::Window => "window",
        }
    }

    /// In words for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Mailbox => "a shard's mailbox was full, a command was asked to come again",
            Self::Changes => "changes for a session were full, it read them from the store",
            Self::SlowDevice => "a device read too slowly, its session was closed",
            Self::BridgeReading => "a bridge stopped reading until shards had caught up",
            Self::Window => "a bridge waited until a link took more",
        }
    }
}

impl Machines {
    pub(super) fn carried(&mut self, from: RegionId, to: RegionId, bytes: usize) {
        let link = self.links.entry((from, to)).or_default();
        link.frames += 1;
        link.bytes += bytes as u64;
    }

    pub(super) fn stored(&mut self, region: RegionId, bytes: usize) {
        let region = self.regions.entry(region).or_default();
        region.batches += 1;
        region.written_bytes += bytes as u64;
    }

    pub(super) fn grew(&mut self, region: RegionId, operations: usize) {
        self.regions.entry(region).or_default().operations += operations as u64;
    }

    pub(super) fn waits(&mut self, region: RegionId, letters: usize) {
        let region = self.regions.entry(region).or_default();
        region.mailbox_letters_max = region.mailbox_letters_max.max(letters as u64);
    }

    pub(super) fn reached(&mut self, bound: Bound) {
        *self.bounds.entry(bound).or_default() += 1;
    }
}
