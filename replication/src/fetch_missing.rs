//! References whose bodies are not here: wait for their origin's own stream, or fetch them from whoever refers to them.
//!
//! While the origin's bridge is up, its stream usually brings them a little later: the wait is one and a half times the usual difference, at most
//! [`PATIENCE_MS_MAX`]. Then one fetch asks for all that what waits refers to. An origin that keeps coming late, or whose bridge is down, is
//! asked for inline, until its own stream is first again (of several peers that could relay an origin whose bridge is down, the lowest is asked at once,
//! the others once a fetch shows that they are needed); without that, one slow bridge between two fast ones stalls the fast ones
//! for seconds a second (history 16).
//!
//! What must always hold: waits cannot form a cycle, since each goes back in happened-before; what is asked for was referred to by this
//! peer, so it has it; one fetch a partition and origin is under way.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::limits::{LATE_FETCHES_TO_INLINE, OVERTAKES_TO_REFERENCE, PATIENCE_MS_MAX, PATIENCE_MS_MIN};
use crate::output::Output;
use crate::partition::Blocked;
use crate::proto;
use crate::timers::Timer;
use crdt::{Now, PartitionId, RegionId, ReplicaId};

/// How many waiting steps one fetch looks ahead.
const LOOK_AHEAD_STEPS: usize = 256;

/// How late an origin's own stream is, compared with this peer's references to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tardiness {
    /// The usual difference, in microseconds; none before the first wait.
    pub(crate) usual_us: Option<u64>,
    /// Fetches in a row while its bridge was up.
    pub(crate) late: u32,
    /// The peer was asked for it inline.
    pub(crate) inline: bool,
    /// Inline bodies in a row that its own stream had brought before.
    pub(crate) overtakes: u32,
}

impl Tardiness {
    pub(crate) fn forget_connection(&mut self) {
        (self.late, self.inline, self.overtakes) = (0, false, 0);
    }

    fn patience_ms(&self) -> u64 {
        let usual = self.usual_us.map_or(PATIENCE_MS_MAX, |usual| usual.saturating_mul(3) / 2_000);
        usual.clamp(PATIENCE_MS_MIN, PATIENCE_MS_MAX)
    }

    /// A body came by its own stream, that much after the reference.
    fn arrived(&mut self, after_us: u64) {
        self.usual_us = Some(match self.usual_us {
            None => after_us,
            Some(usual) => (usual.saturating_mul(7).saturating_add(after_us)) / 8,
        });
    }
}

impl Bridge {
    /// Whether an origin's own stream is up: that of a replica which an epoch has closed never is, whatever its region has now.
    fn comes_by_itself(&self, id: PartitionId, origin: ReplicaId) -> bool {
        let placement = self.config.placements.get(id.placement);
        self.reachable.contains(&origin.region)
            && placement.is_some_and(|placement| placement.active.contains_key(&origin))
    }

    /// When the wait for a reference ends.
    fn patience_ends(&self, id: PartitionId, blocked: &Blocked) -> Now {
        let tardiness = self.tardiness.get(&blocked.origin);
        if self.comes_by_itself(id, blocked.origin) {
            let patience = tardiness.map_or(PATIENCE_MS_MAX, Tardiness::patience_ms);
            blocked.since.plus_ms(patience)
        } else {
            blocked.since
        }
    }

    /// Asks for what a partition is blocked by, if its patience has ended and it has not been asked for.
    pub(crate) fn fetch_if_due(&mut self, turn: &Turn<'_>, id: PartitionId) -> Result<(), Stop> {
        let (Some(known), Some(shared)) = (self.partitions.get(&id), self.shared.get(id.placement)) else {
            return Ok(());
        };
        let Some(blocked) = known.incoming.blocked else { return Ok(()) };
        let origin = blocked.origin;
        let asked = known.incoming.asked.get(&origin).is_some_and(|asked| *asked >= blocked.last);
        if asked || turn.now < self.patience_ends(id, &blocked) {
            return Ok(());
        }
        let (Some(number), Some(index), Some(placement)) =
            (self.shared.number_of(id), shared.origin_index(origin), self.shared.index_of(id.placement))
        else {
            return Ok(());
        };
        let fetched = known.incoming.fetched.get(&origin).and_then(|fetched| fetched.back());
        let reached = known.incoming.asked.get(&origin).copied().unwrap_or_default();
        let reached =
            reached.max(known.had(origin)).max(fetched.map_or(reached, crate::commit::Commit::last));
        let first = reached.next();
        let last = self.needed(id, origin, LOOK_AHEAD_STEPS).max(blocked.last);
        if first > last {
            return Ok(());
        }
        crate::sometimes::FETCH.reach();
        self.outbox.fetches.push(proto::Fetch {
            partition: number,
            origin: index,
            first: first.0,
            last: last.0,
        });
        if let Some(known) = self.partitions.get_mut(&id) {
            known.incoming.asked.insert(origin, last);
        }
        let down = !self.comes_by_itself(id, origin);
        let tardiness = self.tardiness.entry(origin).or_default();
        tardiness.late = tardiness.late.saturating_add(1);
        if down || tardiness.late >= LATE_FETCHES_TO_INLINE {
            self.ask_inline(origin, placement, index);
        }
        Ok(())
    }

    fn ask_inline(&mut self, origin: ReplicaId, placement: u32, index: u32) {
        let tardiness = self.tardiness.entry(origin).or_default();
        if !tardiness.inline {
            crate::sometimes::ASKED_INLINE.reach();
            (tardiness.inline, tardiness.overtakes) = (true, 0);
            self.outbox.inlines.push(proto::Inline { placement, origin: index, on: true });
        }
    }

    /// Asks for the bodies of a region whose own bridge ended, if this peer is the one to relay them.
    fn ask_for_unreachable(&mut self, region: RegionId) {
        if self.phase < Phase::Open || self.reachable.iter().any(|other| *other < self.config.peer) {
            return;
        }
        let mut unreachable = Vec::new();
        for (placement, shared) in (0..).zip(self.shared.iter()) {
            for (index, origin) in (0..).zip(&shared.origins) {
                if origin.region == region {
                    unreachable.push((*origin, placement, index));
                }
            }
        }
        for (origin, placement, index) in unreachable {
            crate::sometimes::ASKED_INLINE_UNREACHABLE.reach();
            self.ask_inline(origin, placement, index);
        }
    }

    /// A reference that was waited for is here.
    pub(crate) fn note_arrival(&mut self, turn: &Turn<'_>, id: PartitionId, blocked: Blocked) {
        let Some(known) = self.partitions.get_mut(&id) else { return };
        let by_itself = known.applied.get(blocked.origin) >= blocked.last;
        if by_itself {
            let asked = known.incoming.asked.contains_key(&blocked.origin);
            let tardiness = self.tardiness.entry(blocked.origin).or_default();
            tardiness.arrived(turn.now.0.saturating_sub(blocked.since.0));
            if !asked {
                tardiness.late = 0;
            }
        }
    }

    /// A commit passed: if it was sent inline, its own stream was first or was not.
    pub(crate) fn note_inline(&mut self, id: PartitionId, origin: ReplicaId, new: bool) {
        let (Some(shared), Some(placement)) =
            (self.shared.get(id.placement), self.shared.index_of(id.placement))
        else {
            return;
        };
        let Some(index) = shared.origin_index(origin).filter(|_| origin != shared.peer) else { return };
        let tardiness = self.tardiness.entry(origin).or_default();
        tardiness.overtakes = if new { 0 } else { tardiness.overtakes.saturating_add(1) };
        if tardiness.inline && tardiness.overtakes >= OVERTAKES_TO_REFERENCE {
            (tardiness.inline, tardiness.late, tardiness.overtakes) = (false, 0, 0);
            crate::sometimes::INLINE_ENDED.reach();
            self.outbox.inlines.push(proto::Inline { placement, origin: index, on: false });
        }
    }

    /// Another bridge of this region opened or ended.
    pub(crate) fn peer_bridge(
        &mut self,
        turn: &mut Turn<'_>,
        region: RegionId,
        up: bool,
    ) -> Result<(), Stop> {
        if up {
            self.reachable.insert(region);
        } else if self.reachable.remove(&region) {
            self.ask_for_unreachable(region);
        }
        self.lose_patience(turn)
    }

    /// Fetches everything whose wait has ended.
    pub(crate) fn lose_patience(&mut self, turn: &mut Turn<'_>) -> Result<(), Stop> {
        self.patience_set = None;
        for id in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.fetch_if_due(turn, id)?;
        }
        self.set_patience(turn);
        Ok(())
    }

    /// Sets the patience timer to the first wait that ends.
    pub(crate) fn set_patience(&mut self, turn: &mut Turn<'_>) {
        let blocked = self.waiting.iter().filter_map(|id| {
            let incoming = &self.partitions.get(id)?.incoming;
            let blocked = incoming.blocked?;
            let asked = incoming.asked.get(&blocked.origin).is_some_and(|asked| *asked >= blocked.last);
            (!asked).then(|| self.patience_ends(*id, &blocked))
        });
        let first = blocked.min().filter(|first| *first > turn.now);
        if let Some(first) = first.filter(|first| self.patience_set.is_none_or(|set| *first < set)) {
            self.patience_set = Some(first);
            turn.out.push(Output::SetTimer { timer: Timer::Patience, at: first });
        }
    }
}
