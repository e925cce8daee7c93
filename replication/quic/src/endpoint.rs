//! The UDP socket of a region's bridges and how QUIC is set up on it.
//!
//! What must always hold: a cut link is noticed within the idle timeout, though nobody writes; windows reach the bandwidth-delay product of
//! a wide-area link; callers may come from any port and move, since a relay or a translator may stand between.

use crate::carried::CarriedConfig;
use crate::identity::{BridgeIdentity, IdentityRefused, Spoken};
use crate::limits::{
    DATAGRAM_BUFFER_BYTES, HANDSHAKES_MAX, IDLE_TIMEOUT, KEEP_ALIVE, RECEIVE_WINDOW_BYTES,
    RECEIVE_WINDOW_BYTES_MIN, SEND_WINDOW_BYTES, UDP_BUFFER_BYTES,
};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

/// What an operator may choose about the bridges' socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgeSettings {
    /// Whether the kernel may be handed bursts of datagrams at once. Cheaper; some rate limiters drop such bursts.
    pub segmentation_offload: bool,
}

impl Default for BridgeSettings {
    fn default() -> Self {
        Self { segmentation_offload: true }
    }
}

/// Why the bridges' socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EndpointRefused {
    /// The address cannot be had.
    #[error(
        "bridges cannot listen on {address}: {reason}: free the port, or change `bridge` in the cluster file"
    )]
    Address {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityRefused),
}

/// How QUIC accepts with that identity, and dials to speak that.
pub(crate) fn set_up(
    identity: &BridgeIdentity,
    dialled: Spoken,
    settings: BridgeSettings,
) -> Result<(ServerConfig, ClientConfig), IdentityRefused> {
    let (server, client) = identity.tls(dialled)?;
    let unfit = |error: &dyn std::fmt::Display| identity.unfit(error);
    let server = QuicServerConfig::try_from(server).map_err(|error| unfit(&error))?;
    let client = QuicClientConfig::try_from(client).map_err(|error| unfit(&error))?;
    let transport = Arc::new(transport(settings));
    let mut accepting = ServerConfig::with_crypto(Arc::new(server));
    accepting.transport_config(Arc::clone(&transport)).migration(true).max_incoming(HANDSHAKES_MAX);
    let mut dialling = ClientConfig::new(Arc::new(client));
    dialling.transport_config(transport);
    Ok((accepting, dialling))
}

/// Opens the socket and sets QUIC up on it, for accepting so.
pub(crate) fn open(address: SocketAddr, accepting: ServerConfig) -> Result<Endpoint, EndpointRefused> {
    let refused = |reason| EndpointRefused::Address { address, reason };
    let socket = socket(address).map_err(refused)?;
    Endpoint::new(EndpointConfig::default(), Some(accepting), socket, Arc::new(TokioRuntime)).map_err(refused)
}

/// Opens a socket that only calls.
pub(crate) fn open_to_call(address: SocketAddr) -> Result<Endpoint, EndpointRefused> {
    let refused = |reason| EndpointRefused::Address { address, reason };
    let socket = socket(address).map_err(refused)?;
    Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime)).map_err(refused)
}

fn transport(settings: BridgeSettings) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        // A long message of gossip at a time.
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER_BYTES))
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES_MIN))
        .send_window(SEND_WINDOW_BYTES)
        .congestion_controller_factory(Arc::new(CarriedConfig))
        .keep_alive_interval(Some(KEEP_ALIVE))
        // A few seconds always fit the format's 62 bits of milliseconds; without a timeout a cut link would go unnoticed for ever.
        .max_idle_timeout(IdleTimeout::try_from(IDLE_TIMEOUT).ok())
        .enable_segmentation_offload(settings.segmentation_offload);
    transport
}

/// A UDP socket with the large buffers that bursts over long links need, or what the kernel gives of them: a region looks at its limits at the start.
fn socket(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&address.into())?;
    let socket: UdpSocket = socket.into();
    let buffers = SockRef::from(&socket);
    // What the kernel does not give is missed by bursts alone.
    let _ = buffers.set_recv_buffer_size(UDP_BUFFER_BYTES);
    let _ = buffers.set_send_buffer_size(UDP_BUFFER_BYTES);
    Ok(socket)
}
