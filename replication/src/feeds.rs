//! Registers: the latest value of each that changed since the peer's feed cursor, coalesced by the flush timer.
//!
//! What must always hold: after an hour's cut the cost is what changed, not how often; a register is joined where it arrives, so one
//! sent twice or out of order with entries does no harm; keys and values are bounded, and refused above that.

use crate::bridge::{Bridge, Stop, Turn};
use crate::limits::{REGISTER_KEY_BYTES_MAX, REGISTER_VALUE_BYTES_MAX, TURN_BYTES_MAX};
use crate::log::ChangeNumber;
use crate::output::Output;
use crate::partition::Partition;
use crate::placement::MaySend;
use crate::proto;
use crate::reason::Reason;
use crate::register::Register;
use crate::send_frame::Filling;

/// Counted for each register on top of its bytes.
const REGISTER_BYTES: usize = 64;

impl Partition {
    /// The next registers for the peer, if they may go now and there is room.
    pub(crate) fn feed(
        &mut self,
        turn: &Turn<'_>,
        may_send: MaySend,
        number: u32,
        filling: &Filling,
    ) -> Result<Option<proto::Feed>, Stop> {
        let outgoing = &mut self.outgoing;
        if !outgoing.flush_feed || !outgoing.unsent_registers() || filling.room() == 0 {
            return Ok(None);
        }
        let budget = TURN_BYTES_MAX.min(filling.room());
        let changed = turn.log.registers(may_send.partition(), outgoing.feed_sent, budget)?;
        let Some((through, _)) = changed.last() else {
            // What changed last has changed again since: the next `Advanced` tells.
            outgoing.feed_sent = outgoing.feed_end;
            return Ok(None);
        };
        outgoing.feed_sent = *through;
        let (keys, values) =
            changed.iter().map(|(_, register)| (register.key.clone(), register.value.clone())).unzip();
        Ok(Some(proto::Feed { partition: number, through: through.0, keys, values }))
    }
}

impl Bridge {
    /// Hands the peer's registers to the shard.
    pub(crate) fn take_feed(&mut self, turn: &mut Turn<'_>, feed: proto::Feed) -> Result<(), Stop> {
        let (own, peer) = (self.config.own, self.config.peer);
        let (partition, shared) = self.shared.receive(feed.partition, &self.config.placements, peer, own)?;
        let replica = shared.peer;
        if feed.keys.is_empty() || feed.keys.len() != feed.values.len() {
            return Err(Reason::Malformed("feed").into());
        }
        let known = self.partitions.entry(partition).or_default();
        let cursor = ChangeNumber(feed.through);
        if cursor <= known.incoming.feed {
            return Err(Reason::EntriesOutOfOrder(partition).into());
        }
        let mut bytes = 0;
        let mut registers = Vec::with_capacity(feed.keys.len());
        for (key, value) in feed.keys.into_iter().zip(feed.values) {
            if key.is_empty() || key.len() > REGISTER_KEY_BYTES_MAX || value.len() > REGISTER_VALUE_BYTES_MAX
            {
                return Err(Reason::Malformed("register").into());
            }
            bytes += key.len() + value.len() + REGISTER_BYTES;
            registers.push(Register { key, value });
        }
        known.incoming.feed = cursor;
        turn.out.push(Output::Registers { peer: replica, partition, registers, cursor, bytes });
        self.sent_to_shard(turn, bytes);
        Ok(())
    }
}
