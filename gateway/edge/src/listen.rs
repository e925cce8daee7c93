//! The devices' listener: accepts, encrypts, shakes hands, and hands over to a session, all within limits.
//!
//! What must always hold: a connection that does not get through its handshake in time is closed, and holds a place meanwhile; a failing accept (no
//! descriptors left) is waited out, never spun on.

use crate::connection::{Shared, serve};
use crate::limits;
use crate::upgrade::{Room, upgrade};
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Accepts until told to stop; then waits for the connections to end, for a while.
pub(crate) async fn listen(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(connections_max));
    let refusals = Arc::new(Semaphore::new(limits::REFUSALS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (room, place) = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => (Room::Some, place),
            Err(_) => match Arc::clone(&refusals).try_acquire_owned() {
                Ok(place) => (Room::None, place),
                Err(_) => continue,
            },
        };
        connections.spawn(welcome(stream, acceptor.clone(), room, place, Arc::clone(&shared)));
    }
    drop(listener);
    // Those that have not ended by then are ended below.
    let _ = timeout(limits::DRAIN_MAX, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

async fn welcome(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    room: Room,
    place: OwnedSemaphorePermit,
    shared: Arc<Shared>,
) {
    let arriving = Counted::by(&shared.metrics.handshakes);
    // Small frames must not wait for an acknowledgement of the frame before.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => shake_hands(stream, room, shared, arriving).await,
        Some(acceptor) => match timeout(limits::HANDSHAKE_MAX, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => shake_hands(stream, room, shared, arriving).await,
            Ok(Err(_)) | Err(_) => shared.metrics.closed("tls_failed"),
        },
    }
    drop(place);
}

async fn shake_hands<S>(stream: S, room: Room, shared: Arc<Shared>, arriving: Counted)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let upgraded = timeout(limits::HANDSHAKE_MAX, upgrade(stream, room)).await;
    match upgraded.unwrap_or(Err("hello_timeout")) {
        Ok((socket, subprotocol)) => {
            shared.metrics.connections_accepted.inc();
            drop(arriving);
            let open = Counted::by(&shared.metrics.connections);
            Box::pin(serve(socket, subprotocol, shared)).await;
            drop(open);
        }
        Err(code) => shared.metrics.closed(code),
    }
}

/// Counts a connection in a gauge until it is dropped, however it ends.
struct Counted(Gauge);

impl Counted {
    fn by(gauge: &Gauge) -> Self {
        gauge.inc();
        // A copy of a gauge is the same gauge.
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
