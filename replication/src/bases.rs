//! Bases: who has applied all that a log holds up to a position may go on behind it, instead of being sent the references to what it has.
//!
//! A region that began with a snapshot holds the sender's whole log as the head of its own, and its peers stand at the beginning of that (decision 0034). So at Resume, if the peer's
//! cursor lies before the base of a log, it is told the base, once, before the first section of the partition. A peer that covers it answers with a Rewind forward to it. One that does not
//! says nothing, and is sent what it lacks from its cursor, as without a base: nobody waits for an answer, only references wait as long as they may anyway. Told at Resume alone: who comes
//! to cover it later is told on the next connection. From version 4 on.
//!
//! What must always hold:
//! - A base is covered only by what is *durably* applied, with the same chain heads: so the cursor that moves to it stands for no more than any other, whatever was delivered on an earlier
//!   connection and is still in flight, and whenever this region dies. The log that skips those entries has all of them, so it stays a linear extension of happened-before.
//! - A head that differs is a fork, as with a reference: nothing of the partition is exchanged any more. Of a partition that has stopped no base is taken.
//! - A base comes before any section, so a Rewind to it never crosses one for what waits too long; what was sent meanwhile is dropped on its way. A Rewind forward to anywhere else is refused.
//! - A peer that lies harms what it says itself: who believes that its log holds less than it does lacks causes of its operations, which it could as well have logged in a wrong order. What others
//!   say comes in their logs with its causes, and counts as stable only for who has all of a pair.
//!
//! Bounded: a partition's number each until it is told, at most [`BASES_MAX`] bases in a frame, in each as many chains as the placement had replicas.

use crate::bridge::{Bridge, Stop, Turn};
use crate::commit::CommitRefused;
use crate::delivery::Delivery::Entries;
use crate::limits::BASES_MAX;
use crate::log::{Base, Position};
use crate::output::Output;
use crate::partition::Flow;
use crate::proto;
use crate::reason::Reason;
use crate::send_frame::Filling;
use crate::shared::SharedPlacement;
use crdt::{PartitionId, ReplicaId, Sequence};
use prost::Message as _;
use std::collections::BTreeSet;

/// The version of the protocol that has them.
const VERSION: u32 = 4;

/// What is to be told of bases, and how often one was gone on at.
#[derive(Debug, Default)]
pub(crate) struct Bases {
    /// Partitions of whose bases the peer is to be told.
    to_tell: BTreeSet<PartitionId>,
    covered: u64,
}

/// A chain as a base names it: whose, up to where, and the check of its head there.
type Named = (ReplicaId, Sequence, u32);

/// What a base is to this region.
enum Judged {
    /// All of it is here.
    Covered,
    /// Some of it is not, or its head cannot be told.
    NotCovered,
    /// One of its chains is another one here.
    Forked(CommitRefused),
}

impl Bases {
    pub(crate) fn forget_connection(&mut self) {
        self.to_tell.clear();
    }
}

impl Bridge {
    /// How often this region has gone on in the peer's logs at a base.
    #[must_use]
    pub const fn bases_covered(&self) -> u64 {
        self.bases.covered
    }

    /// The peer has said where it stands: it is told the base of each log in which it stands before that.
    pub(crate) fn begin_bases(&mut self, turn: &Turn<'_>) -> Result<(), Stop> {
        if self.version < VERSION {
            return Ok(());
        }
        for (id, known) in &mut self.partitions {
            let outgoing = &mut known.outgoing;
            if outgoing.unsent_entries()
                && turn.log.base(*id)?.is_some_and(|base| base.position > outgoing.sent)
            {
                // References wait for company, as they always may: mostly the peer says meanwhile that it has what they refer to.
                outgoing.flush = false;
                self.bases.to_tell.insert(*id);
            }
        }
        Ok(())
    }

    /// Puts bases into a frame, as many as there is room for. Returns whether some are left, before which no section may go.
    pub(crate) fn fill_bases(&mut self, turn: &Turn<'_>, filling: &mut Filling) -> Result<bool, Stop> {
        while filling.room() > 0
            && filling.frame.bases.len() < BASES_MAX
            && let Some(id) = self.bases.to_tell.pop_first()
        {
            let may_send = self.may_send(id)?;
            let (Some(partition), Some(shared), Some(known), Some(base)) = (
                self.shared.number_of(id),
                self.shared.get(id.placement),
                self.partitions.get_mut(&id),
                turn.log.base(may_send.partition())?,
            ) else {
                continue;
            };
            let Some(base) = to_wire(partition, &base, shared).filter(|_| !known.outgoing.forked) else {
                continue;
            };
            known.outgoing.base = Some(Position(base.position));
            filling.bytes += 4 + base.encoded_len();
            filling.frame.bases.push(base);
        }
        if !self.bases.to_tell.is_empty() {
            crate::sometimes::BASES_IN_PARTS.reach();
        }
        Ok(!self.bases.to_tell.is_empty())
    }

    /// The peer tells the base of its log of a partition.
    pub(crate) fn take_base(&mut self, turn: &mut Turn<'_>, base: &proto::Base) -> Result<(), Stop> {
        if self.version < VERSION {
            return Err(Reason::OutOfTurn("a word that version 3 does not have").into());
        }
        let (own, peer) = (self.config.own, self.config.peer);
        let (id, shared) = self.shared.receive(base.partition, &self.config.placements, peer, own)?;
        let (own, peer) = (shared.own, shared.peer);
        let chains = from_wire(base, shared).ok_or(Reason::Malformed("base"))?;
        let position = Position(base.position);
        let incoming = &mut self.partitions.entry(id).or_default().incoming;
        if std::mem::replace(&mut incoming.has_begun, true) {
            return Err(Reason::OutOfTurn("a base behind another or behind entries").into());
        }
        if position <= incoming.cursor {
            return Err(Reason::OutOfTurn("a base that lies behind the cursor").into());
        }
        if incoming.flow == Flow::Stopped {
            return Ok(());
        }
        match self.judge_base(turn, (id, own), &chains)? {
            Judged::Forked(refused) => return Ok(self.stop_partition(turn, refused)?),
            Judged::NotCovered => {
                crate::sometimes::BASE_NOT_COVERED.reach();
                return Ok(());
            }
            Judged::Covered => crate::sometimes::BASE_COVERED.reach(),
        }
        let incoming = &mut self.partitions.entry(id).or_default().incoming;
        (incoming.cursor, incoming.flow) = (position, Flow::Rewinding);
        self.bases.covered += 1;
        self.outbox.rewinds.push(proto::Rewind { partition: base.partition, to: position.0 + 1 });
        let (commits, cursor, bytes) = (Vec::new(), Some(position), 0);
        turn.out.push(Output::Deliver(Entries { peer, partition: id, commits, cursor, bytes }));
        Ok(())
    }

    /// Compares a base with what is durable here.
    fn judge_base(
        &mut self,
        turn: &mut Turn<'_>,
        (id, own): (PartitionId, ReplicaId),
        chains: &[Named],
    ) -> Result<Judged, Stop> {
        let applied = turn.log.state(id)?.applied;
        let mut judged = Judged::Covered;
        for (origin, sequence, check) in chains.iter().copied() {
            let ours = applied.get(origin);
            if ours < sequence {
                if origin == own {
                    crate::sometimes::FENCED_BY_REFERENCE.reach();
                    let (peer, theirs, ours) = (self.config.peer, sequence.0, ours.0);
                    return Err(Stop::Fence(Reason::PeerKnowsMore {
                        peer,
                        partition: id,
                        origin,
                        theirs,
                        ours,
                    }));
                }
                judged = Judged::NotCovered;
                continue;
            }
            match turn.log.head(id, origin, sequence)? {
                Some(head) if head.check() == check => {
                    let incoming = &mut self.partitions.entry(id).or_default().incoming;
                    incoming.agreed.insert(origin, sequence);
                }
                Some(_) => {
                    crate::sometimes::FORK_AT_BASE.reach();
                    return Ok(Judged::Forked(self.found_fork(turn, id, origin, sequence)?));
                }
                None => judged = Judged::NotCovered,
            }
        }
        Ok(judged)
    }
}

/// A base as it is told; none if it names an origin that no epoch has admitted.
fn to_wire(partition: u32, base: &Base, shared: &SharedPlacement) -> Option<proto::Base> {
    let chains = base.chains.iter().map(|(origin, (sequence, head))| {
        let origin = shared.origin_index(*origin)?;
        Some(proto::BaseChain { origin, sequence: sequence.0, head: head.check() })
    });
    Some(proto::Base { partition, position: base.position.0, chains: chains.collect::<Option<_>>()? })
}

/// The chains of a base that was told; none if it is none.
fn from_wire(base: &proto::Base, shared: &SharedPlacement) -> Option<Vec<Named>> {
    let is_sound = base.chains.is_sorted_by(|one, next| one.origin < next.origin)
        && base.chains.iter().all(|chain| chain.sequence > 0);
    let operations = base.chains.iter().try_fold(0_u64, |sum, chain| sum.checked_add(chain.sequence));
    if !is_sound || operations != Some(base.position) || base.position == 0 {
        return None;
    }
    let named = |chain: &proto::BaseChain| {
        Some((shared.origin(chain.origin.into())?, Sequence(chain.sequence), chain.head))
    };
    base.chains.iter().map(named).collect()
}
