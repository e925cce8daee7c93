//! When a peer has been sent all that a region's logs and feeds held when their connection opened: it is told so, once a connection and placement.
//!
//! A region that an epoch has admitted lacks everything at first. That it has caught up it cannot see by itself: a partition of which it has heard nothing may be one that nobody
//! has written to, or one that is still to come. So each side says it, behind the last of what it means, and what is received is told to the shard
//! only once it has been passed there. From version 2 on.
//!
//! What must always hold: it is said only when all of that has been sent, and told to the shard only behind everything that it stands behind; a partition whose stream has stopped
//! keeps it from being said, or told.

use crate::bridge::{Bridge, Stop, Turn};
use crate::delivery::Delivery;
use crate::log::{ChangeNumber, PeerCursor, Position};
use crate::output::Output;
use crate::partition::{Flow, Outgoing, Partition};
use crate::proto;
use crate::reason::Reason;
use crdt::{PartitionId, PlacementId};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the protocol that has it.
pub(crate) const VERSION: u32 = 2;

/// What of the beginning of a connection is not over, by placement. Bounded: the partitions of each shared placement, twice, for as long as that takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct CatchUp {
    /// What the peer is to be sent before it is told.
    sending: BTreeMap<PlacementId, Sending>,
    /// Of what the peer has said it, those that are not passed yet.
    passing: BTreeMap<PlacementId, BTreeMap<PartitionId, Position>>,
    /// Placements of which it is to be said.
    to_say: Vec<proto::CaughtUp>,
    /// Placements of which the peer has said it.
    heard: BTreeSet<PlacementId>,
}

/// One placement's part.
#[derive(Debug, Clone, Default)]
struct Sending {
    /// Where the logs ended of which the peer lacked something.
    ends: BTreeMap<PartitionId, Position>,
    /// What of logs and feeds is not sent up to where they ended.
    unsent: BTreeMap<PartitionId, (Position, ChangeNumber)>,
}

impl Bridge {
    /// The connection has opened: what is to be sent before the peer is told.
    pub(crate) fn begin_catch_up(&mut self) {
        if self.version < VERSION {
            return;
        }
        let mut all: BTreeMap<PlacementId, Sending> =
            self.shared.iter().map(|shared| (shared.id, Sending::default())).collect();
        for (id, known) in &self.partitions {
            let Some(sending) = all.get_mut(&id.placement) else { continue };
            let outgoing = &known.outgoing;
            if outgoing.sent < outgoing.end {
                sending.ends.insert(*id, outgoing.end);
            }
            let ends = (outgoing.end, outgoing.feed_end);
            if !outgoing.has_sent(ends) {
                sending.unsent.insert(*id, ends);
            }
        }
        self.catch_up.sending = all;
        self.say_what_is_sent();
    }

    /// Something of that partition was sent.
    pub(crate) fn note_sent(&mut self, id: PartitionId) {
        let Some(sending) = self.catch_up.sending.get_mut(&id.placement) else { return };
        let Some(ends) = sending.unsent.get(&id).copied() else { return };
        if self.partitions.get(&id).is_some_and(|known| known.outgoing.has_sent(ends)) {
            sending.unsent.remove(&id);
            self.say_what_is_sent();
        }
    }

    fn say_what_is_sent(&mut self) {
        let sent = self.catch_up.sending.extract_if(.., |_, sending| sending.unsent.is_empty());
        for (placement, Sending { ends, .. }) in sent {
            let number = |id: &PartitionId| self.shared.number_of(*id);
            // A placement with something to send is shared, and so has numbers.
            let Some(placement) = self.shared.index_of(placement) else { continue };
            let partitions = ends.keys().filter_map(number).collect();
            let ends = ends.values().map(|end| end.0).collect();
            self.catch_up.to_say.push(proto::CaughtUp { placement, partitions, ends });
        }
    }

    /// What is to be said, behind all that this frame holds.
    pub(crate) fn take_catch_up_to_say(&mut self) -> Vec<proto::CaughtUp> {
        std::mem::take(&mut self.catch_up.to_say)
    }

    /// The peer has sent all that its logs and feeds of a placement held when the connection opened.
    pub(crate) fn take_caught_up(&mut self, turn: &mut Turn<'_>, said: &proto::CaughtUp) -> Result<(), Stop> {
        if self.version < VERSION {
            return Err(Reason::OutOfTurn("a word that version 1 does not have").into());
        }
        let placement = self.shared.by_index(said.placement).ok_or(Reason::Malformed("placement"))?.id;
        if said.partitions.len() != said.ends.len() {
            return Err(Reason::Malformed("ends").into());
        }
        let (own, peer) = (self.config.own, self.config.peer);
        let mut passing = BTreeMap::new();
        for (number, end) in said.partitions.iter().zip(&said.ends) {
            let (id, _) = self.shared.receive(*number, &self.config.placements, peer, own)?;
            if id.placement != placement {
                return Err(Reason::Malformed("partition").into());
            }
            passing.insert(id, Position(*end));
        }
        if !self.catch_up.heard.insert(placement) {
            return Err(Reason::OutOfTurn("a second word that all was sent").into());
        }
        self.catch_up.passing.insert(placement, passing);
        self.tell_what_is_passed(turn, placement);
        Ok(())
    }

    /// A partition of that placement was passed further: all that is waited for may be.
    pub(crate) fn tell_what_is_passed(&mut self, turn: &mut Turn<'_>, placement: PlacementId) {
        let Some(passing) = self.catch_up.passing.get_mut(&placement) else { return };
        passing.retain(|id, end| self.partitions.get(id).is_none_or(|known| known.incoming.cursor < *end));
        if !passing.is_empty() {
            crate::sometimes::CAUGHT_UP_WAITS.reach();
            return;
        }
        let mut had = BTreeMap::new();
        for (id, known) in self.partitions.iter().filter(|(id, _)| id.placement == placement) {
            if known.has_stopped() {
                return;
            }
            had.insert(*id, PeerCursor { log: known.incoming.cursor, feed: known.incoming.feed });
        }
        self.catch_up.passing.remove(&placement);
        if let Some(peer) = self.shared.get(placement).map(|shared| shared.peer) {
            turn.out.push(Output::Deliver(Delivery::PeerCaughtUp { placement, peer, had }));
        }
    }
}

impl Outgoing {
    fn has_sent(&self, (log, feed): (Position, ChangeNumber)) -> bool {
        !self.forked && self.sent >= log && self.feed_sent >= feed
    }
}

impl Partition {
    /// Whether something of the peer's is not taken on this connection.
    fn has_stopped(&self) -> bool {
        self.outgoing.forked || self.incoming.feed_stopped || self.incoming.flow == Flow::Stopped
    }
}
