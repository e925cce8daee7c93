//! Carries chitchat's messages over the bridges: its transport.
//!
//! ```text
//!   sender's number (2 bytes, big-endian), a message as chitchat encodes it
//! ```
//! What must always hold: a message goes to the bridge of the region that its address stands for; one that comes is given to chitchat only if the [gate](crate::gate) lets it through,
//! and what it does not is counted. Neither way is waited for a peer.

use crate::counters::GossipCounters;
use crate::gate::Gate;
use crate::node::address_of;
use async_trait::async_trait;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Serializable as _};
use crdt::RegionId;
use replication_quic::GossipPort;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of the sender's number.
const SENDER_BYTES: usize = 2;

/// Gives chitchat its one socket.
pub(crate) struct Carrier(Mutex<Option<Bridges>>);

/// That socket.
pub(crate) struct Bridges {
    pub(crate) own: RegionId,
    pub(crate) port: GossipPort,
    pub(crate) gate: Gate,
    pub(crate) counters: Arc<GossipCounters>,
}

impl Carrier {
    pub(crate) fn over(bridges: Bridges) -> Self {
        Self(Mutex::new(Some(bridges)))
    }
}

/// A message with its sender's number.
pub(crate) fn sealed(sender: RegionId, message: &ChitchatMessage) -> Vec<u8> {
    let mut bytes = sender.0.to_be_bytes().to_vec();
    message.serialize(&mut bytes);
    bytes
}

/// The sender's number and the message's bytes; none if it is too short.
pub(crate) fn opened(bytes: &[u8]) -> Option<(RegionId, &[u8])> {
    let (sender, message) = bytes.split_first_chunk::<SENDER_BYTES>()?;
    Some((RegionId(u16::from_be_bytes(*sender)), message))
}

#[async_trait]
impl Transport for Carrier {
    async fn open(&self, _: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        // Whoever panicked had it or left it.
        let bridges = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Box::new(bridges.ok_or_else(|| anyhow::anyhow!("the bridges carry one gossip"))?))
    }
}

#[async_trait]
impl Socket for Bridges {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        self.port.send(RegionId(to.port()), &sealed(self.own, &message));
        Ok(())
    }

    /// Cancelling loses nothing: a message is looked at in one go.
    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        while let Some((certified, bytes)) = self.port.receive().await {
            match self.gate.admit(certified, &bytes) {
                Ok(message) => return Ok((address_of(certified), message)),
                Err(refused) => {
                    self.counters.note_refused(&refused);
                    tracing::debug!(peer = %certified, %refused, code = refused.code(), "gossip refused");
                }
            }
        }
        // The bridges have ended, and the region with them.
        pending().await
    }
}
