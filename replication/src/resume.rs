//! Resume: where each side stands in the other's logs and feeds, and what it has of the other's own operations.
//!
//! What must always hold: nothing flows before both sides know where to go on. A peer that knows more of this replica than this replica itself, or that
//! has read beyond the end of this region's log or feed, proves that this store lost data: it is fenced. The same sequence with
//! another head is a fork. Positions are of one incarnation, which Hello has compared, so they cannot be of an earlier life.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::limits::RESUME_PARTITIONS_MAX;
use crate::log::{ChangeNumber, Position};
use crate::output::{Alarm, Output};
use crate::partition::{Incoming, Outgoing, Partition};
use crate::proto;
use crate::reason::Reason;
use crdt::{PartitionId, Sequence};

impl Bridge {
    /// Finds out where this region stands, and prepares to say so.
    pub(crate) fn stand(&mut self, turn: &Turn<'_>) -> Result<(), Stop> {
        let mut named = Vec::new();
        for (id, state) in turn.log.partitions()? {
            let (Some(number), Some(shared)) =
                (self.shared.number_of(id), self.shared.get(id.placement).cloned())
            else {
                continue;
            };
            let cursor = turn.log.cursor(shared.peer, id)?;
            let sequence = state.applied.get(shared.peer);
            let head = turn.log.head(id, shared.peer, sequence)?;
            // A store that lost what it once acknowledged is found by that too: no feed brings the peer's own acknowledgement back to it.
            let acknowledged = turn.log.acknowledged(id, shared.peer)?;
            let acknowledged = if acknowledged > sequence { acknowledged.0 } else { 0 };
            // What was delivered before and is not durable yet comes again: the shard skips what it has.
            if cursor.log.0 > 0 || cursor.feed.0 > 0 || sequence > Sequence::NONE || acknowledged > 0 {
                named.push(proto::PartitionResume {
                    partition: number,
                    log: cursor.log.0,
                    feed: cursor.feed.0,
                    sequence: sequence.0,
                    head: head.map_or(0, crdt::ChainHead::check),
                    acknowledged,
                });
            }
            let outgoing = Outgoing {
                end: state.log_end,
                feed_end: state.feed_end,
                feed_own: state.feed_own,
                flush: true,
                flush_feed: true,
                ..Default::default()
            };
            let incoming = Incoming::resumed(cursor);
            let (applied, digest) = (state.applied, state.digest);
            self.partitions
                .insert(id, Partition { applied, digest, outgoing, incoming, ..Partition::default() });
        }
        let frames = named.len().div_ceil(RESUME_PARTITIONS_MAX).max(1);
        if frames > 1 {
            crate::sometimes::RESUME_IN_PARTS.reach();
        }
        for at in 0..frames {
            let partitions =
                named.iter().skip(at * RESUME_PARTITIONS_MAX).take(RESUME_PARTITIONS_MAX).copied();
            let last = at + 1 == frames;
            self.outbox.resumes.push_back(proto::Resume { partitions: partitions.collect(), last });
        }
        Ok(())
    }

    /// Learns where the peer stands.
    pub(crate) fn take_resume(&mut self, turn: &mut Turn<'_>, resume: &proto::Resume) -> Result<(), Stop> {
        if self.phase != Phase::Resuming {
            return Err(Reason::OutOfTurn("a Resume after the last").into());
        }
        for theirs in &resume.partitions {
            self.take_partition_resume(turn, theirs)?;
        }
        if resume.last {
            self.phase = Phase::Open;
            self.opened_at = Some(turn.now);

            if let Some((version, kinds)) = self.agreed.take() {
                turn.out.push(Output::Opened { version, kinds });
            }
            self.begin_bases(turn)?;
            for id in self.partitions.keys().copied().collect::<Vec<_>>() {
                self.note_unsent(turn, id);
                self.note_state(turn, id);
            }
            self.begin_catch_up();
        }
        Ok(())
    }

    fn take_partition_resume(
        &mut self,
        turn: &mut Turn<'_>,
        theirs: &proto::PartitionResume,
    ) -> Result<(), Stop> {
        let (own, peer) = (self.config.own, self.config.peer);
        let (id, shared) = self.shared.receive(theirs.partition, &self.config.placements, peer, own)?;
        let origin = shared.own;
        // The durable view, not what the last `Advanced` told: nothing leaves before it is durable, so a peer never knows more than this.
        let state = turn.log.state(id)?;
        let ours = state.applied.get(origin).0;
        let knows = theirs.sequence.max(theirs.acknowledged);
        if knows > ours {
            crate::sometimes::FENCED_AT_RESUME.reach();
            let theirs = knows;
            return Err(Stop::Fence(Reason::PeerKnowsMore { peer, partition: id, origin, theirs, ours }));
        }
        let beyond = |what, theirs, ours| {
            crate::sometimes::CURSOR_BEYOND_END.reach();
            Err(Stop::Fence(Reason::CursorBeyondEnd { peer, partition: id, what, theirs, ours }))
        };
        if theirs.log > state.log_end.0 {
            return beyond("log", theirs.log, state.log_end.0);
        }
        if theirs.feed > state.feed_end.0 {
            return beyond("feed", theirs.feed, state.feed_end.0);
        }
        if theirs.sequence > 0 {
            let head = turn.log.head(id, origin, Sequence(theirs.sequence))?;
            // Another head there: the peer has operations of another life of this store.
            if head.is_none_or(|head| head.check() != theirs.head) {
                crate::sometimes::FORK_AT_RESUME.reach();
                let differs = theirs.sequence;
                turn.out.push(fork(id, origin, Sequence::NONE, Sequence(differs)));
                return Err(Stop::Fence(Reason::Fork { partition: id, origin, sequence: differs }));
            }
        }
        let known = self.partitions.entry(id).or_default();
        let log = Position(theirs.log);
        (known.outgoing.sent, known.outgoing.read) = (log, log);
        known.outgoing.feed_sent = ChangeNumber(theirs.feed);
        Ok(())
    }
}

/// The alarm for a fork.
pub(crate) fn fork(
    partition: PartitionId,
    origin: crdt::ReplicaId,
    agreed: Sequence,
    differs: Sequence,
) -> Output {
    Output::Alarm(Alarm::Fork { partition, origin, agreed: agreed.0, differs: differs.0 })
}
