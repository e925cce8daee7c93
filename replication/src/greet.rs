//! Hello: who the two regions are, and whether they may speak.
//!
//! What must always hold: nothing is sent or taken before the peer's Hello was accepted; a refusal names its reason; a store that was
//! rolled back behind its owner's back, or made anew in another's place, is fenced here, before any other region sees its second life. Either side notices it:
//! the peer by the start that it remembers (`store_start.rs`), the store itself by being told that.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::delivery::Delivery;
use crate::output::Output;
use crate::proto;
use crate::reason::{CODE_OTHER_STORE, CODE_ROLLED_BACK, Reason};
use crate::shared::SharedPlacement;
use crate::store_start::{NotLater, StoreId, StoreStart};
use bytes::Bytes;
use crdt::{Incarnation, PlacementId, RegionId, ReplicaId};

/// The lowest version of the bridge protocol that this program speaks.
pub(crate) const VERSION_MIN: u32 = 1;
/// The highest.
pub(crate) const VERSION_MAX: u32 = 4;

/// Characters of a cluster's name; a longer one in a Hello is malformed.
const CLUSTER_NAME_MAX: usize = 256;
/// Operation kinds in a Hello; more are malformed.
const KINDS_MAX: usize = 1_024;

impl Bridge {
    /// Our Hello.
    pub(crate) fn hello(&self, turn: &Turn<'_>) -> Result<proto::Hello, Stop> {
        let mut placements = Vec::new();
        for common in self.common() {
            let store = self.config.stores.get(&common.id);
            let peer = common.replica_of(self.config.peer);
            let seen = peer.map(|peer| turn.log.seen_start(common.id, peer)).transpose()?.flatten();
            placements.push(proto::SharedPlacement {
                placement: common.id.0.into(),
                incarnation: store.map_or(0, |store| store.replica.incarnation.0),
                epoch: common.epoch.0,
                fingerprint: common.fingerprint().to_vec().into(),
                start_number: store.map_or(0, |store| store.start.number),
                remembered_start: seen.map_or(0, |seen| seen.number),
                store: store.map_or(Bytes::new(), |store| store.start.id.to_wire()),
                remembered_store: seen.map_or(Bytes::new(), |seen| seen.id.to_wire()),
            });
        }
        Ok(proto::Hello {
            cluster: self.config.cluster.clone(),
            region: self.config.own.0.into(),
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            kinds: self.config.kinds.clone(),
            clock_us: turn.now.0,
            placements,
        })
    }

    /// Judges the peer's Hello.
    pub(crate) fn take_hello(&mut self, turn: &mut Turn<'_>, hello: &proto::Hello) -> Result<(), Stop> {
        if self.phase != Phase::Greeting {
            return Err(Reason::OutOfTurn("a second Hello").into());
        }
        self.judge_names(hello)?;
        for theirs in &hello.placements {
            if !self.common().any(|common| u32::from(common.id.0) == theirs.placement) {
                let (placement, peer) = (theirs.placement, self.config.peer);
                return Err(Reason::UnknownPlacement { placement, peer }.into());
            }
            // Whoever has none is no replica there.
            if theirs.store.is_empty() && theirs.incarnation != 0 {
                return Err(Reason::Malformed("hello").into());
            }
        }
        if !self.compare_epochs(turn, hello)? {
            self.phase = Phase::Learning;
            return Ok(());
        }
        for theirs in &hello.placements {
            let id = self.common().map(|ours| ours.id).find(|id| u32::from(id.0) == theirs.placement);
            if let Some(id) = id.filter(|id| !self.both_hold(*id, theirs)) {
                self.shared.leave_out(id);
            }
        }
        let said = |shared: &SharedPlacement| {
            hello.placements.iter().find(|theirs| theirs.placement == u32::from(shared.id.0))
        };
        for (shared, theirs) in self.shared.iter().filter_map(|shared| Some((shared, said(shared)?))) {
            self.judge_placement(turn, shared, theirs)?;
        }
        self.phase = Phase::Resuming;
        for (shared, theirs) in self.shared.iter().filter_map(|shared| Some((shared, said(shared)?))) {
            let (placement, peer) = (shared.id, shared.peer);
            let (start, kinds) = (start_of(theirs)?, hello.kinds.iter().copied().collect());
            turn.out.push(Output::Deliver(Delivery::PeerStarted { placement, peer, start, kinds }));
        }
        self.version = VERSION_MAX.min(hello.version_max);
        self.agreed = Some((self.version, hello.kinds.clone()));
        // A reading that was on its way can only look slow, so only a fast one says anything yet.
        self.judge_clock(turn, hello.clock_us.max(turn.now.0), turn.now.0, 0);
        self.probe(turn);
        self.stand(turn)
    }

    fn judge_names(&self, hello: &proto::Hello) -> Result<(), Reason> {
        if hello.cluster.len() > CLUSTER_NAME_MAX || hello.kinds.len() > KINDS_MAX {
            return Err(Reason::Malformed("hello"));
        }
        if !hello.placements.is_sorted_by(|one, next| one.placement < next.placement) {
            return Err(Reason::Malformed("hello"));
        }
        if hello.cluster != self.config.cluster {
            let (theirs, ours) = (hello.cluster.clone(), self.config.cluster.clone());
            return Err(Reason::WrongCluster { theirs, ours });
        }
        if hello.region != u32::from(self.config.peer.0) {
            let named = u16::try_from(hello.region).ok().map(RegionId);
            let known = named.is_some_and(|region| {
                self.config.placements.iter().any(|placement| placement.regions.contains(&region))
            });
            return Err(match named.filter(|_| known) {
                Some(expected) => Reason::WrongCertificate { certified: self.config.peer, expected },
                None => Reason::UnknownRegion { theirs: hello.region, expected: self.config.peer },
            });
        }
        if hello.version_max < VERSION_MIN || hello.version_min > VERSION_MAX {
            crate::sometimes::NO_COMMON_VERSION.reach();
            return Err(Reason::NoCommonVersion {
                theirs_min: hello.version_min,
                theirs_max: hello.version_max,
                ours_min: VERSION_MIN,
                ours_max: VERSION_MAX,
            });
        }
        Ok(())
    }

    fn judge_placement(
        &self,
        turn: &Turn<'_>,
        shared: &SharedPlacement,
        theirs: &proto::SharedPlacement,
    ) -> Result<(), Stop> {
        let placement = shared.id;
        let replica = ReplicaId { region: self.config.peer, incarnation: Incarnation(theirs.incarnation) };
        if replica != shared.peer {
            crate::sometimes::UNKNOWN_INCARNATION.reach();
            return Err(Reason::UnknownIncarnation { placement, replica }.into());
        }
        let start = start_of(theirs)?;
        let seen = turn.log.seen_start(placement, replica)?;
        if let Some((seen, not_later)) = seen.and_then(|seen| Some((seen, start.comes_after(seen).err()?))) {
            crate::sometimes::PEER_ROLLED_BACK.reach();
            return Err(not_later.as_reason(placement, replica, (start, seen)).into());
        }
        let Some(start) = self.config.stores.get(&placement).map(|store| store.start) else { return Ok(()) };
        let remembered = remembered_by(theirs)?;
        if let Some((seen, not_later)) =
            remembered.and_then(|seen| Some((seen, start.comes_after(seen).err()?)))
        {
            crate::sometimes::FENCED_AT_HELLO.reach();
            return Err(Stop::Fence(not_later.as_reason(placement, shared.own, (start, seen))));
        }
        Ok(())
    }

    /// A peer closed the connection with that code: whether because it has found out that this region's store is not the one that it was.
    pub(crate) fn fence_if_found_out(&self, code: u32) -> Result<(), Stop> {
        // The peer names no placement in a code; the first shared one stands for all, since the region stops whole.
        let Some(shared) = self.shared.iter().next() else { return Ok(()) };
        let start = self.config.stores.get(&shared.id).map_or(0, |store| store.start.number);
        let (placement, replica) = (shared.id, shared.own);
        match code {
            CODE_ROLLED_BACK => {
                Err(Stop::Fence(Reason::RolledBack { placement, replica, start, seen: start + 1 }))
            }
            CODE_OTHER_STORE => Err(Stop::Fence(Reason::OtherStore { placement, replica })),
            _ => Ok(()),
        }
    }
}

impl NotLater {
    const fn as_reason(
        self,
        placement: PlacementId,
        replica: ReplicaId,
        (start, seen): (StoreStart, StoreStart),
    ) -> Reason {
        match self {
            Self::OtherStore => Reason::OtherStore { placement, replica },
            Self::RolledBack => {
                Reason::RolledBack { placement, replica, start: start.number, seen: seen.number }
            }
        }
    }
}

/// At which start the sender's store is.
fn start_of(theirs: &proto::SharedPlacement) -> Result<StoreStart, Reason> {
    let id = StoreId::from_wire(&theirs.store).ok_or(Reason::Malformed("hello"))?;
    Ok(StoreStart { id, number: theirs.start_number })
}

/// At which start the sender has last seen the receiver's store; none if it never has.
fn remembered_by(theirs: &proto::SharedPlacement) -> Result<Option<StoreStart>, Reason> {
    if theirs.remembered_store.is_empty() {
        return Ok(None);
    }
    let id = StoreId::from_wire(&theirs.remembered_store).ok_or(Reason::Malformed("hello"))?;
    Ok(Some(StoreStart { id, number: theirs.remembered_start }))
}
