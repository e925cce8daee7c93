//! Gossip on the connections of bridges: short messages as QUIC datagrams, longer ones as a stream each, between regions that have proven who they are.
//!
//! ```text
//!   datagram: 0                  a sign of life
//!             1, a message       gossip
//!   a stream one way: a message, up to the stream's end
//! ```
//! What must always hold:
//! - A message comes with the region that the peer's certificate names, and goes only to a peer whose certificate names the one that it is for.
//! - Nothing waits for gossip: what finds no bridge, no room, or nobody who takes it is dropped and counted. Losing a message costs a round.
//! - What a message says is nobody's business here.

use crate::counters::{BridgeCounters, add};
use crate::limits::{GOSSIP_BYTES_MAX, GOSSIP_WAITING_MAX};
use bytes::Bytes;
use crdt::RegionId;
use quinn::Connection;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Begins a datagram that has done its work once it has arrived.
pub(crate) const SIGN_OF_LIFE: u8 = 0;
/// Begins a datagram with a message of gossip.
const GOSSIP: u8 = 1;

/// Where the gossip of a region comes from and goes to. There is one.
pub struct GossipPort {
    heard: mpsc::Receiver<(RegionId, Bytes)>,
    lines: BTreeMap<RegionId, Arc<Line>>,
}

/// A bridge, as gossip sees it.
#[derive(Debug)]
struct Line {
    standing: Mutex<Option<Standing>>,
    counters: Arc<BridgeCounters>,
}

/// The connection that stands.
#[derive(Debug)]
struct Standing {
    connection: Connection,
    /// To the task that sends what is too long for a datagram, one at a time.
    long: mpsc::Sender<Bytes>,
}

/// What a bridge's task holds of it: it says which connection stands.
#[derive(Debug)]
pub(crate) struct GossipLine {
    peer: RegionId,
    line: Arc<Line>,
    heard: mpsc::Sender<(RegionId, Bytes)>,
    /// Of the connection that stands.
    tasks: JoinSet<()>,
}

/// A port, and a line for each of these bridges.
pub(crate) fn gossip(
    bridges: &BTreeMap<RegionId, Arc<BridgeCounters>>,
) -> (GossipPort, BTreeMap<RegionId, GossipLine>) {
    let (tell, heard) = mpsc::channel(GOSSIP_WAITING_MAX);
    let line = |counters: &Arc<BridgeCounters>| {
        Arc::new(Line { standing: Mutex::default(), counters: Arc::clone(counters) })
    };
    let lines: BTreeMap<_, _> = bridges.iter().map(|(peer, counters)| (*peer, line(counters))).collect();
    let of_task = |(peer, line): (&RegionId, &Arc<Line>)| {
        let (peer, line, heard) = (*peer, Arc::clone(line), tell.clone());
        (peer, GossipLine { peer, line, heard, tasks: JoinSet::new() })
    };
    let of_tasks = lines.iter().map(of_task).collect();
    (GossipPort { heard, lines }, of_tasks)
}

impl GossipPort {
    /// Sends a message to a peer, if its bridge's connection stands and there is room.
    pub fn send(&self, peer: RegionId, message: &[u8]) {
        if let Some(line) = self.lines.get(&peer) {
            let sent = line.send(message);
            add(if sent { &line.counters.gossip_out } else { &line.counters.gossip_unsent }, 1);
        }
    }

    /// The next message, and from whom; none once all bridges have ended. Cancelling loses nothing.
    pub async fn receive(&mut self) -> Option<(RegionId, Bytes)> {
        self.heard.recv().await
    }
}

impl Line {
    fn standing(&self) -> MutexGuard<'_, Option<Standing>> {
        // Every write is one assignment.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: &[u8]) -> bool {
        let standing = self.standing();
        let Some(Standing { connection, long }) = &*standing else { return false };
        if connection.max_datagram_size().is_some_and(|most| message.len() < most) {
            let datagram: Bytes = [&[GOSSIP], message].concat().into();
            return connection.send_datagram(datagram).is_ok();
        }
        message.len() <= GOSSIP_BYTES_MAX && long.try_send(Bytes::copy_from_slice(message)).is_ok()
    }
}

impl GossipLine {
    /// This connection stands from now on, whose peer's certificate names that region.
    pub(crate) fn begin(&mut self, connection: &Connection, certified: RegionId) {
        self.end();
        if certified != self.peer {
            return;
        }
        let (long, to_send) = mpsc::channel(1);
        let counters = || Arc::clone(&self.line.counters);
        self.tasks.spawn(read_datagrams(connection.clone(), self.hearing(), counters()));
        self.tasks.spawn(read_streams(connection.clone(), self.hearing(), counters()));
        self.tasks.spawn(send_long(connection.clone(), to_send));
        *self.line.standing() = Some(Standing { connection: connection.clone(), long });
    }

    /// None stands any more.
    pub(crate) fn end(&mut self) {
        *self.line.standing() = None;
        self.tasks.abort_all();
        while self.tasks.try_join_next().is_some() {}
    }

    /// Takes a message of this peer, if there is room.
    fn hearing(&self) -> impl Fn(Bytes) + use<> {
        let (peer, heard, counters) = (self.peer, self.heard.clone(), Arc::clone(&self.line.counters));
        move |message| {
            let taken = heard.try_send((peer, message)).is_ok();
            add(if taken { &counters.gossip_in } else { &counters.gossip_dropped }, 1);
        }
    }
}

async fn read_datagrams(connection: Connection, hear: impl Fn(Bytes), dropped: Arc<BridgeCounters>) {
    while let Ok(datagram) = connection.read_datagram().await {
        match datagram.first() {
            Some(&SIGN_OF_LIFE) => {}
            Some(&GOSSIP) => hear(datagram.slice(1..)),
            Some(_) | None => add(&dropped.datagrams_unknown, 1),
        }
    }
}

/// One stream at a time: a peer that begins one and does not end it has said its last.
async fn read_streams(connection: Connection, hear: impl Fn(Bytes), dropped: Arc<BridgeCounters>) {
    while let Ok(mut stream) = connection.accept_uni().await {
        match stream.read_to_end(GOSSIP_BYTES_MAX).await {
            Ok(message) => hear(message.into()),
            // Too long, or broken off.
            Err(_) => add(&dropped.gossip_dropped, 1),
        }
    }
}

async fn send_long(connection: Connection, mut to_send: mpsc::Receiver<Bytes>) {
    while let Some(message) = to_send.recv().await {
        let Ok(mut stream) = connection.open_uni().await else { return };
        if stream.write_all(&message).await.is_ok() {
            // A stream that was stopped meanwhile was not wanted: losing a message costs a round.
            let _ = stream.finish();
        }
    }
}

impl fmt::Debug for GossipPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GossipPort").field("peers", &self.lines.keys()).finish_non_exhaustive()
    }
}
