//! Regions of another release: their bridges speak other versions of the protocol, and are understood or refused by name.
//!
//! A release is replaced as in production: the process ends in order, with what it took committed, and another one starts after a second. Of another
//! release the world has what a peer sees of it, the versions that its Hello names; all else is this release's. So one that shares a version with
//! its peers is spoken to in that, and one that shares none is refused by them, until it is taken back.
//!
//! What must always hold: a bridge is refused for its versions only if its region spoke none that its peers speak; nothing is lost by it.

use crate::world::World;
use crate::world::disk::Tail;
use crate::world::processes::RESTART_US;
use crate::world::queue::Event;
use bytes::Bytes;
use crdt::RegionId;
use prost::Message as _;
use replication::Reason;
use replication::output::Alarm;
use replication::proto;
use std::collections::{BTreeMap, BTreeSet};

/// The lowest and the highest version of the bridge protocol that a release speaks.
pub(crate) type Versions = (u32, u32);

/// Who is, or was, of another release.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    /// By region and fault, what its bridges speak.
    speaking: BTreeMap<(RegionId, usize), Versions>,
    /// Those that ever spoke no version of this release: word of it may still be on its way.
    strange: BTreeSet<RegionId>,
}

impl World {
    /// A region's process is replaced by one of another release, or, without versions, by one of this.
    pub(crate) fn replace_release(&mut self, fault: usize, region: RegionId, versions: Option<Versions>) {
        match versions {
            Some(versions) => _ = self.releases.speaking.insert((region, fault), versions),
            None => _ = self.releases.speaking.remove(&(region, fault)),
        }
        if self.life_of(region).is_some() {
            self.fall(region, Some(Tail::Kept));
            self.queue.put(self.now + RESTART_US, Event::Supervised(region));
        }
    }

    /// A frame of a bridge, as its region's release says it.
    pub(crate) fn said_by_its_release(&mut self, region: RegionId, frame: Bytes) -> Bytes {
        let Releases { speaking, strange } = &mut self.releases;
        if speaking.is_empty() {
            return frame;
        }
        // Of several the last one counts.
        let versions = speaking.range((region, 0)..=(region, usize::MAX)).next_back();
        let (Some((_, (from, to))), Ok(mut said)) = (versions, proto::Frame::decode(frame.clone())) else {
            return frame;
        };
        let Some(hello) = &mut said.hello else { return frame };
        if hello.version_max < *from || *to < hello.version_min {
            strange.insert(region);
        }
        (hello.version_min, hello.version_max) = (*from, *to);
        said.encode_to_vec().into()
    }

    /// Whether that alarm between two regions is what a release without a common version must raise.
    pub(crate) fn is_of_another_release(&self, one: RegionId, other: RegionId, alarm: &Alarm) -> bool {
        let of_versions = match alarm {
            Alarm::RefusedPeer { reason, .. } => matches!(reason, Reason::NoCommonVersion { .. }),
            Alarm::RefusedByPeer { name, .. } => *name == "no_common_version",
            Alarm::Fork { .. } | Alarm::ClockDrift { .. } => false,
        };
        of_versions && [one, other].iter().any(|region| self.releases.strange.contains(region))
    }
}
