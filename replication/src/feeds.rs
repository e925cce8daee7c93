//! Registers: the latest value of each that changed since the peer's feed cursor, coalesced by the flush timer.
//!
//! Whoever sees a register grow passes it on, so that it arrives wherever a path is left. That would carry every value over every bridge, twice;
//! so a value is not sent to a peer that is known to have that very one, and what was not made here waits longer, in which time the peer
//! mostly gets it from where it was made. Where devices wait for another region's acknowledgement ([`Placement::is_geo`]), what was made here waits for nothing. The region with the higher number waits longest, so of two that could tell each other only one does.
//!
//! What must always hold: after an hour's cut the cost is what changed, not how often; what grew goes to every peer that is not known to have it, within
//! twice [`PASSED_ON_FLUSH_MS`]; a register is joined where it arrives, so one sent twice or out of order with entries does no harm; keys and values are
//! bounded, and refused above that.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::delivery::Delivery;
use crate::limits::{
    PASSED_ON_FLUSH_MS, REGISTER_KEY_BYTES_MAX, REGISTER_VALUE_BYTES_MAX, REGISTERS_FLUSH_MS, TURN_BYTES_MAX,
};
use crate::log::ChangeNumber;
use crate::output::Output;
use crate::partition::Partition;
use crate::placement::{MaySend, Placement};
use crate::proto;
use crate::reason::Reason;
use crate::register::Register;
use crate::send_frame::Filling;
use crate::timers::Timer;
use crdt::{Now, PartitionId, ReplicaId};

/// Counted for each register on top of its bytes.
const REGISTER_BYTES: usize = 64;

impl Partition {
    /// The next registers for the peer, if they may go now and there is room.
    pub(crate) fn feed(
        &mut self,
        turn: &Turn<'_>,
        (may_send, peer): (MaySend, ReplicaId),
        number: u32,
        filling: &Filling,
    ) -> Result<Option<proto::Feed>, Stop> {
        let outgoing = &mut self.outgoing;
        if !outgoing.flush_feed || !outgoing.unsent_registers() || filling.room() == 0 {
            return Ok(None);
        }
        let budget = TURN_BYTES_MAX.min(filling.room());
        let (changed, read) = turn.log.registers(may_send.partition(), outgoing.feed_sent, peer, budget)?;
        let Some((through, _)) = changed.last() else {
            // The peer has it all, or what changed last has changed again since, and the next `Advanced` tells.
            outgoing.feed_sent = outgoing.feed_end;
            return Ok(None);
        };
        // Past what the peer has already, or the timer would be set for that alone, and it read again.
        outgoing.feed_sent = read;
        let (keys, values) =
            changed.iter().map(|(_, register)| (register.key.clone(), register.value.clone())).unzip();
        Ok(Some(proto::Feed { partition: number, through: through.0, keys, values }))
    }
}

impl Bridge {
    /// Registers of that partition wait for company: for a while if something of them was made here, else longer.
    pub(crate) fn let_registers_wait(&mut self, turn: &mut Turn<'_>, id: PartitionId) {
        let passed_on_ms =
            if self.config.own < self.config.peer { PASSED_ON_FLUSH_MS } else { 2 * PASSED_ON_FLUSH_MS };
        let Some(Partition { outgoing, .. }) = self.partitions.get_mut(&id) else { return };
        let own = outgoing.feed_own > outgoing.feed_sent;
        let at = turn.now.plus_ms(match own {
            // Devices wait for what this region acknowledges.
            true if self.config.placements.get(id.placement).is_some_and(Placement::is_geo) => 0,
            true => REGISTERS_FLUSH_MS,
            false => passed_on_ms,
        });
        let before = outgoing.feed_due;
        let due = before.map_or(at, |due| due.min(at));
        if let Some(later) = before.filter(|before| *before > due) {
            self.feeding.remove(&(later, id));
        }
        outgoing.feed_due = Some(due);
        self.feeding.insert((due, id));
        self.set_registers_timer(turn, due);
    }

    fn set_registers_timer(&mut self, turn: &mut Turn<'_>, at: Now) {
        if self.registers_set.is_none_or(|set| at < set) {
            self.registers_set = Some(at);
            turn.out.push(Output::SetTimer { timer: Timer::Registers, at });
        }
    }

    /// Registers that have waited long enough go now, and with them those that would go within the shortest wait: they share a frame.
    pub(crate) fn flush_registers(&mut self, turn: &mut Turn<'_>) {
        self.registers_set = None;
        if self.phase < Phase::Open {
            return;
        }
        while let Some((due, id)) = self.feeding.first().copied() {
            let known = self.partitions.get_mut(&id).map(|known| &mut known.outgoing);
            if let Some(outgoing) =
                known.filter(|outgoing| outgoing.feed_due == Some(due) && outgoing.unsent_registers())
            {
                if due > turn.now.plus_ms(REGISTERS_FLUSH_MS) {
                    self.set_registers_timer(turn, due);
                    break;
                }
                outgoing.flush_feed = true;
                self.ready.insert(id);
            }
            self.feeding.pop_first();
        }
    }

    /// Hands the peer's registers to the shard.
    pub(crate) fn take_feed(&mut self, turn: &mut Turn<'_>, feed: proto::Feed) -> Result<(), Stop> {
        let (own, peer) = (self.config.own, self.config.peer);
        let (partition, shared) = self.shared.receive(feed.partition, &self.config.placements, peer, own)?;
        let replica = shared.peer;
        if feed.keys.is_empty() || feed.keys.len() != feed.values.len() {
            return Err(Reason::Malformed("feed").into());
        }
        let known = self.partitions.entry(partition).or_default();
        if known.outgoing.forked {
            // On its way before the peer met the fork as well.
            crate::sometimes::DROPPED_ON_ITS_WAY.reach();
            return Ok(());
        }
        if known.incoming.feed_stopped {
            crate::sometimes::DROPPED_ON_ITS_WAY.reach();
            return Ok(());
        }
        let (after, cursor) = (known.incoming.feed, ChangeNumber(feed.through));
        if cursor <= after {
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
        turn.out.push(Output::Deliver(Delivery::Registers {
            peer: replica,
            partition,
            registers,
            after,
            cursor,
            bytes,
        }));
        self.sent_to_shard(turn, bytes);
        Ok(())
    }
}
