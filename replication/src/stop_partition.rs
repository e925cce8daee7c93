//! What the shard refused: the bridge closes with it, but for an operation of a kind that a later version issues.
//!
//! That one stops the stream of its partition alone: what waits of it is dropped, the peer is told to send no more of it, and an alarm names it. The cursor stays where the
//! shard left it, so a later connection asks again from there: the first after this region's upgrade goes on, with nothing lost.
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
    /// The shard refused a commit of the peer.
    pub(crate) fn refused_by_shard(
        &mut self,
        turn: &mut Turn<'_>,
        refused: CommitRefused,
    ) -> Result<(), Stop> {
        if self.phase == Phase::Down {
            return Ok(());
        }
        let partition = refused.partition();
        let known = self.partitions.entry(partition).or_default();
        if known.incoming.flow == Flow::Stopped {
            return Ok(());
        }
        if !matches!(refused, CommitRefused::LaterKind { .. }) {
            return Err(Stop::Close(refused.into()));
        }
        crate::sometimes::PARTITION_STOPPED.reach();
        let number = self.shared.number_of(partition).ok_or(Reason::Malformed("partition"))?;
        // Whoever was told to stop before, when too much waited, may have been asked to go on since.
        self.outbox.rewinds.push(proto::Rewind { partition: number, to: 0 });
        self.pending_bytes -= known.incoming.bytes;
        known.incoming.stop();
        self.waiting.remove(&partition);
        let peer = self.config.peer;
        turn.out.push(Output::Alarm(Alarm::PartitionStopped { peer, reason: refused }));
        Ok(())
    }
}
