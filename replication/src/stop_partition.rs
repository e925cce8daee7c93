//! One partition's stream stops, and no other does: the bridge closes only for what says that the peer itself is broken.
//!
//! - The shard refused *an operation of a kind that a later version issues*. Nothing more of that stream is taken; the rest goes on, the registers of that partition too. The
//!   cursor stays where the shard left it, so a later connection asks again from there: the first after this region's upgrade goes on, with nothing lost.
//! - The shard refused *a register of a kind that a later version writes*. Nothing more of that feed is taken; its operations go on, and the cursor stays likewise.
//! - *The chain of a third replica has forked*: this region holds one branch, the peer the other, and neither is to blame. What depends on a branch is sense only to who
//!   holds it, and so is an acknowledgement that counts it. So nothing of that partition goes either way any more, until an epoch closes that replica.
//!
//! A fork of this region's own chain is another matter: its store was put back, and it is fenced.
//!
//! The peer is told to send no more of a stream; of a feed it need not be, since registers that changed come once. An alarm names it, once a connection.
//!
//! What must always hold: of a stopped partition nothing is taken any more; every other partition goes on; what was under way to the shard when it refused, and is
//! refused for what it lacks now, says nothing new.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::commit::CommitRefused;
use crate::output::{Alarm, Output};
use crate::partition::Flow;
use crate::proto;
use crate::reason::Reason;

impl Bridge {
    /// Partitions of which nothing more is taken from the peer on this connection, be it operations or registers.
    #[must_use]
    pub fn stopped(&self) -> usize {
        self.stopped.len()
    }

    /// The shard refused a commit of the peer.
    pub(crate) fn refused_by_shard(
        &mut self,
        turn: &mut Turn<'_>,
        refused: CommitRefused,
    ) -> Result<(), Stop> {
        if self.phase == Phase::Down {
            return Ok(());
        }
        let known = self.partitions.entry(refused.partition()).or_default();
        let is_register = matches!(refused, CommitRefused::LaterRegister { .. });
        if known.incoming.flow == Flow::Stopped && !is_register {
            return Ok(());
        }
        let own = self.shared.get(refused.partition().placement).map(|shared| shared.own);
        match refused {
            // What this replica has said elsewhere its store does not hold: whoever tells, it was put back.
            CommitRefused::Fork { origin, .. } if Some(origin) == own => Err(Stop::Fence(refused.into())),
            CommitRefused::LaterKind { .. } | CommitRefused::Fork { .. } => {
                self.stop_partition(turn, refused).map_err(Stop::from)
            }
            CommitRefused::LaterRegister { .. } => {
                if !std::mem::replace(&mut known.incoming.feed_stopped, true) {
                    crate::sometimes::FEED_STOPPED.reach();
                    self.stopped.insert(refused.partition());
                    let peer = self.config.peer;
                    turn.out.push(Output::Alarm(Alarm::PartitionStopped { peer, reason: refused }));
                }
                Ok(())
            }
            CommitRefused::OutOfOrder { .. }
            | CommitRefused::Signature { .. }
            | CommitRefused::Malformed { .. }
            | CommitRefused::WrongPartition { .. }
            | CommitRefused::Register { .. }
            | CommitRefused::Empty { .. }
            | CommitRefused::NotTheHeir { .. }
            | CommitRefused::UnknownOrigin { .. } => Err(Stop::Close(refused.into())),
        }
    }

    /// Takes nothing more of a partition on this connection; of one with a fork nothing is sent either.
    pub(crate) fn stop_partition(
        &mut self,
        turn: &mut Turn<'_>,
        refused: CommitRefused,
    ) -> Result<(), Reason> {
        crate::sometimes::PARTITION_STOPPED.reach();
        let partition = refused.partition();
        let number = self.shared.number_of(partition).ok_or(Reason::Malformed("partition"))?;
        let known = self.partitions.entry(partition).or_default();
        // Whoever was told to stop before, when too much waited, may have been asked to go on since.
        self.outbox.rewinds.push(proto::Rewind { partition: number, to: 0 });
        self.pending_bytes -= known.incoming.bytes;
        known.incoming.stop();
        self.stopped.insert(partition);
        if matches!(refused, CommitRefused::Fork { .. }) {
            (known.outgoing.stopped, known.outgoing.forked) = (true, true);
        }
        self.waiting.remove(&partition);
        let peer = self.config.peer;
        turn.out.push(Output::Alarm(Alarm::PartitionStopped { peer, reason: refused }));
        Ok(())
    }
}
