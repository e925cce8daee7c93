//! Regions of another release: their bridges speak other versions of the protocol, and are understood or refused by name; an older one does not know all kinds of operations.
//!
//! A release is replaced as in production: the process ends in order, with what it took committed, and another one starts after a second. Of another
//! release the world has what a peer sees of it, the versions and kinds that its Hello names, and that its shards refuse what they do not know; all else is this release's. So
//! one that shares a version with its peers is spoken to in that, and one that shares none is refused by them, until it is taken back; and what of a partition follows
//! an operation of a kind that it does not know comes to it once it is upgraded.
//!
//! What must always hold: a bridge is refused for its versions only if its region spoke none that its peers speak, a partition stops only at what its region does not know;
//! nothing is lost by either.

use crate::world::World;
use crate::world::disk::Tail;
use crate::world::processes::RESTART_US;
use crate::world::queue::Event;
use bytes::Bytes;
use crdt::operation::Envelope;
use crdt::{PartitionId, RegionId};
use prost::Message as _;
use region::forms::{DIRECTORY, FLAGS, HIDDEN};
use replication::Reason;
use replication::commit::{Commit, CommitRefused};
use replication::output::Alarm;
use replication::proto;
use replication::register::Register;
use std::collections::{BTreeMap, BTreeSet};

/// The first byte of a directory entry's name in feeds, of the name of a region's flags, and of what users have hidden from themselves.
const REGISTERS: [(u8, u32); 3] = [(3, DIRECTORY), (4, FLAGS), (5, HIDDEN)];

/// What of another release its peers notice.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// The lowest and the highest version of the bridge protocol that it speaks.
    pub(crate) versions: (u32, u32),
    /// Kinds of operations, and forms of registers, that it does not know.
    pub(crate) lacks_kinds: Vec<u32>,
}

/// Who is, or was, of another release.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    /// By region and fault, what it is.
    others: BTreeMap<(RegionId, usize), Release>,
    /// Those that ever spoke no version of this release: word of it may still be on its way.
    strange: BTreeSet<RegionId>,
    /// Those that ever lacked kinds.
    older: BTreeSet<RegionId>,
}

impl World {
    /// A region's process is replaced by one of another release, or, without one, by one of this.
    pub(crate) fn replace_release(&mut self, fault: usize, region: RegionId, release: Option<Release>) {
        match release {
            Some(release) => {
                if !release.lacks_kinds.is_empty() {
                    self.releases.older.insert(region);
                }
                self.releases.others.insert((region, fault), release);
            }
            None => _ = self.releases.others.remove(&(region, fault)),
        }
        if self.life_of(region).is_some() {
            self.fall(region, Some(Tail::Kept));
            self.queue.put(self.now + RESTART_US, Event::Supervised(region));
        }
    }

    /// A frame of a bridge, as its region's release says it.
    pub(crate) fn said_by_its_release(&mut self, region: RegionId, frame: Bytes) -> Bytes {
        let Some(Release { versions: (from, to), lacks_kinds }) = self.releases.of(region).cloned() else {
            return frame;
        };
        let Ok(mut said) = proto::Frame::decode(frame.clone()) else { return frame };
        let Some(hello) = &mut said.hello else { return frame };
        if hello.version_max < from || to < hello.version_min {
            self.releases.strange.insert(region);
        }
        (hello.version_min, hello.version_max) = (from, to);
        hello.kinds.retain(|kind| !lacks_kinds.contains(kind));
        said.encode_to_vec().into()
    }

    /// A frame of a peer, as its release understands it: the core that plays another one must not take the peer to agree on a version that it would not speak, nor find one where
    /// the two releases share none.
    pub(crate) fn heard_by_its_release(&mut self, region: RegionId, frame: Bytes) -> Bytes {
        let Some(&Release { versions: (from, to), .. }) = self.releases.of(region) else { return frame };
        let Ok(mut heard) = proto::Frame::decode(frame.clone()) else { return frame };
        let Some(hello) = &mut heard.hello else { return frame };
        if hello.version_max < from || to < hello.version_min {
            self.releases.strange.insert(region);
            (hello.version_min, hello.version_max) = (u32::MAX, u32::MAX);
        } else if to < hello.version_max {
            hello.version_max = to;
        } else {
            return frame;
        }
        heard.encode_to_vec().into()
    }

    /// Why a region's release refuses these commits for a kind that it does not know; none if it knows all.
    pub(crate) fn is_later_to(
        &self,
        region: RegionId,
        partition: PartitionId,
        commits: &[Commit],
    ) -> Option<CommitRefused> {
        let lacks = &self.releases.of(region).filter(|release| !release.lacks_kinds.is_empty())?.lacks_kinds;
        let operations = commits.iter().flat_map(|commit| commit.dots().zip(&commit.operations));
        let mut kinds = operations.filter_map(|(dot, operation)| {
            let kind = Envelope::decode(&operation.envelope).ok()?.kind.code();
            lacks.contains(&u32::from(kind)).then_some((dot, kind))
        });
        let (dot, kind) = kinds.next()?;
        Some(CommitRefused::LaterKind { partition, dot, kind: kind.into() })
    }

    /// Why a region's release refuses these registers for a kind that it does not know; none if it knows all.
    pub(crate) fn is_later_register(
        &self,
        region: RegionId,
        partition: PartitionId,
        registers: &[Register],
    ) -> Option<CommitRefused> {
        let lacks = &self.releases.of(region).filter(|release| !release.lacks_kinds.is_empty())?.lacks_kinds;
        let named = registers.iter().filter_map(|register| register.key.first().copied());
        let is_lacking =
            |named: &u8| REGISTERS.iter().any(|(kind, form)| kind == named && lacks.contains(form));
        let mut later = named.filter(is_lacking);
        later.next().map(|kind| CommitRefused::LaterRegister { partition, kind })
    }

    /// Whether a region was ever of a release that lacked kinds: what follows one in its stream is refused there.
    pub(crate) fn is_older(&self, region: RegionId) -> bool {
        self.releases.older.contains(&region)
    }

    /// Whether that alarm of a region about another is what another release must raise.
    pub(crate) fn is_of_another_release(&self, one: RegionId, other: RegionId, alarm: &Alarm) -> bool {
        if matches!(alarm, Alarm::PartitionStopped { .. }) {
            return self.is_older(one);
        }
        let of_versions = match alarm {
            Alarm::RefusedPeer { reason, .. } => matches!(reason, Reason::NoCommonVersion { .. }),
            Alarm::RefusedByPeer { name, .. } => *name == "no_common_version",
            Alarm::Fork { .. }
            | Alarm::ClockDrift { .. }
            | Alarm::StatesDiffer { .. }
            | Alarm::PartitionStopped { .. } => false,
        };
        of_versions && [one, other].iter().any(|region| self.releases.strange.contains(region))
    }
}

impl Releases {
    /// What a region is of; none if it is of this release. Of several the last one counts.
    fn of(&self, region: RegionId) -> Option<&Release> {
        self.others.range((region, 0)..=(region, usize::MAX)).next_back().map(|(_, release)| release)
    }
}
