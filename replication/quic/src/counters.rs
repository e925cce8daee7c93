//! What a bridge has carried, for metrics and for the counted costs.
//!
//! What must always hold: nobody waits for a lock here longer than it takes to copy a few numbers, and numbers only grow while the process lives.

use quinn::Connection;
use replication::{Bridge, ClockOffset, Compared, Sent};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The counters of one bridge.
#[derive(Debug, Default)]
pub struct BridgeCounters {
    /// Frames received.
    pub frames_in: AtomicU64,
    /// Frames given to the connection.
    pub frames_out: AtomicU64,
    /// Bytes of frames received, length prefixes included, QUIC and below not.
    pub bytes_in: AtomicU64,
    /// Bytes of frames given to the connection, length prefixes included, QUIC and below not.
    pub bytes_out: AtomicU64,
    /// Operations handed to shards.
    pub operations_in: AtomicU64,
    /// Connections that stood.
    pub connections: AtomicU64,
    /// Alarms raised.
    pub alarms: AtomicU64,
    /// Messages of gossip received and taken.
    pub gossip_in: AtomicU64,
    /// Messages of gossip given to the connection.
    pub gossip_out: AtomicU64,
    /// Messages of gossip received and not taken: nobody had room for them, or they were too long or broken off.
    pub gossip_dropped: AtomicU64,
    /// Messages of gossip that were to be sent and were not: no connection stood, or there was no room.
    pub gossip_unsent: AtomicU64,
    /// Datagrams received that are of no known kind.
    pub datagrams_unknown: AtomicU64,
    sent: Mutex<Sent>,
    found: Mutex<Found>,
    datagrams: Mutex<Datagrams>,
}

/// What a bridge's core last found out about its peer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Found {
    /// How often states were compared, and of how many partitions they differ.
    pub compared: Compared,
    /// How far the peer's clock is ahead; none while no connection has told.
    pub clock: Option<ClockOffset>,
    /// Partitions of which this connection takes nothing more from the peer.
    pub stopped: usize,
    /// How often this region has gone on in the peer's logs at a base.
    pub bases: u64,
}

/// UDP payload bytes, both ways, and packets that were taken for lost and sent again.
#[derive(Debug, Default)]
struct Datagrams {
    ended_in: u64,
    ended_out: u64,
    ended_lost: u64,
    live: Option<Connection>,
}

impl Datagrams {
    fn end_live(&mut self) {
        if let Some(connection) = self.live.take() {
            let stats = connection.stats();
            self.ended_in += stats.udp_rx.bytes;
            self.ended_out += stats.udp_tx.bytes;
            self.ended_lost += stats.path.lost_packets;
        }
    }
}

impl BridgeCounters {
    /// Bytes of UDP payload received and sent by this bridge's connections: everything that QUIC adds is in it.
    pub fn datagram_bytes(&self) -> (u64, u64) {
        let datagrams = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        let live = datagrams.live.as_ref().map(Connection::stats).unwrap_or_default();
        (datagrams.ended_in + live.udp_rx.bytes, datagrams.ended_out + live.udp_tx.bytes)
    }

    /// Packets that this bridge's connections took for lost on the way to the peer, and sent again.
    pub fn lost_packets(&self) -> u64 {
        let datagrams = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        let live = datagrams.live.as_ref().map_or(0, |live| live.stats().path.lost_packets);
        datagrams.ended_lost + live
    }

    /// The way to the peer and back, as QUIC estimates it, with what packets wait for on the way; none without a connection.
    pub fn round_trip(&self) -> Option<Duration> {
        let datagrams = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        datagrams.live.as_ref().map(Connection::rtt)
    }

    /// What was put into frames, by kind.
    pub fn sent(&self) -> Sent {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The core has put so much into frames.
    pub(crate) fn note_sent(&self, sent: Sent) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    /// What the core last found out about the peer.
    pub fn found(&self) -> Found {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The core stands like that now.
    pub(crate) fn note_found(&self, bridge: &Bridge) {
        let (compared, clock) = (bridge.compared(), bridge.clock_offset());
        let found = Found { compared, clock, stopped: bridge.stopped(), bases: bridge.bases_covered() };
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// From now on that connection counts; the one before it has ended.
    pub(crate) fn connected(&self, connection: Connection) {
        add(&self.connections, 1);
        let mut datagrams = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        datagrams.end_live();
        datagrams.live = Some(connection);
    }

    /// The connection has ended.
    pub(crate) fn disconnected(&self) {
        self.datagrams.lock().unwrap_or_else(PoisonError::into_inner).end_live();
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}
