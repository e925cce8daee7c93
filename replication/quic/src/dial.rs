//! Making connections: dialling a peer, and accepting the peers that dial.
//!
//! What must always hold: a connection reaches a bridge only when its certificate names that bridge's region; the region with the
//! lower number dials a bridge, and any asks for a snapshot; whoever else calls is refused by a code, at a bounded cost, and disturbs nobody.

use crate::bridge_task::Arrival;
use crate::counters::BridgeCounters;
use crate::identity::{Spoken, certified_region};
use crate::limits::{ATTEMPT_EVERY, ATTEMPTS_MAX, DIAL_TIMEOUT, HANDSHAKE_TIMEOUT};
use crate::link::{Link, code_of};
use crate::snapshots::SnapshotCounters;
use crate::snapshots::give::{self, Caller};
use arc_swap::ArcSwap;
use crdt::RegionId;
use quinn::crypto::rustls::HandshakeData;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, Incoming, RecvStream, SendStream, VarInt};
use replication::reason::Reason;
use rustls_pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The code for a caller whose certificate names no region that may call here: that of `Reason::WrongCertificate`.
const CODE_WRONG_CERTIFICATE: u32 = 6;

/// Dials one peer.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    pub(crate) endpoint: Endpoint,
    /// Changes when the certificates do.
    pub(crate) dialling_as: Arc<ArcSwap<ClientConfig>>,
    pub(crate) address: SocketAddr,
    pub(crate) peer: RegionId,
    pub(crate) names: Arc<BTreeMap<RegionId, String>>,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) counters: Arc<BridgeCounters>,
}

/// Why a handshake did not lead to a connection.
#[derive(Debug)]
enum Undialled {
    /// Nobody answered.
    Silent,
    /// The peer, or this side, refused: another attempt now would end alike.
    Refused { code: Option<u32>, why: String },
}

/// Where accepted connections go.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) own: RegionId,
    pub(crate) names: Arc<BTreeMap<RegionId, String>>,
    pub(crate) bridges: BTreeMap<RegionId, (mpsc::Sender<Arrival>, Arc<BridgeCounters>)>,
    pub(crate) handshakes: Arc<Semaphore>,
    /// Where those go who ask for a snapshot, and how many may.
    pub(crate) snapshots: (mpsc::Sender<Caller>, Arc<Semaphore>),
    pub(crate) snapshot_counters: Arc<SnapshotCounters>,
}

impl Dialer {
    /// Dials once, in a task of `dialling`; how it went arrives at the bridge.
    pub(crate) fn dial(&self, dialling: &mut JoinSet<()>) {
        let dialer = self.clone();
        // The attempt before has ended: the core dials again only after it was told how that went.
        while dialling.try_join_next().is_some() {}
        dialling.spawn(async move {
            let arrival = dialer.connect().await;
            // A bridge that has ended needs no link.
            let _ = dialer.arrivals.send(arrival).await;
        });
    }

    /// Begins a handshake every [`ATTEMPT_EVERY`] until one succeeds, the peer refuses, or [`DIAL_TIMEOUT`] has passed. A single
    /// handshake would repeat its first packet ever more slowly, and find a healed link seconds late.
    async fn connect(&self) -> Arrival {
        let mut attempts = JoinSet::new();
        let mut every = tokio::time::interval(ATTEMPT_EVERY);
        let deadline = tokio::time::sleep(DIAL_TIMEOUT);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                _ = every.tick(), if attempts.len() < ATTEMPTS_MAX => {
                    let dialer = self.clone();
                    attempts.spawn(async move { timeout(HANDSHAKE_TIMEOUT, dialer.attempt()).await });
                }
                Some(attempt) = attempts.join_next() => match attempt {
                    Ok(Ok(Ok((connection, certified, streams)))) => {
                        return Arrival::Link(Link::start(connection, certified, streams, &self.counters));
                    }
                    Ok(Ok(Err(Undialled::Silent))) | Ok(Err(_)) | Err(_) => {}
                    Ok(Ok(Err(Undialled::Refused { code, why }))) => {
                        tracing::info!(peer = %self.peer, address = %self.address, why, "the peer refused this region's call");
                        return Arrival::Failed { code };
                    }
                },
                () = &mut deadline => {
                    tracing::info!(peer = %self.peer, address = %self.address, "nobody answers");
                    return Arrival::Failed { code: None };
                }
            }
        }
    }

    /// One handshake, up to a stream that stands.
    async fn attempt(&self) -> Result<(Connection, RegionId, (SendStream, RecvStream)), Undialled> {
        let refused = |why: String| Undialled::Refused { code: None, why };
        let name = self.names.get(&self.peer).ok_or_else(|| refused("it has no name".to_owned()))?;
        let dialling_as = ClientConfig::clone(&self.dialling_as.load());
        let connecting = self.endpoint.connect_with(dialling_as, self.address, name);
        let connection = connecting.map_err(|error| refused(error.to_string()))?.await?;
        let Some(certified) = region_of(&connection, &self.names) else {
            let why = "your certificate names no single region of this cluster";
            refuse(&connection, why);
            return Err(refused(why.to_owned()));
        };
        let streams = connection.open_bi().await?;
        Ok((connection, certified, streams))
    }
}

impl From<ConnectionError> for Undialled {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut | ConnectionError::LocallyClosed | ConnectionError::Reset => {
                Self::Silent
            }
            ConnectionError::VersionMismatch
            | ConnectionError::TransportError(_)
            | ConnectionError::ConnectionClosed(_)
            | ConnectionError::ApplicationClosed(_)
            | ConnectionError::CidsExhausted => {
                Self::Refused { code: code_of(&error), why: error.to_string() }
            }
        }
    }
}

impl Listener {
    /// Accepts callers until the endpoint closes.
    pub(crate) async fn run(self, endpoint: Endpoint) {
        let listener = Arc::new(self);
        let mut admitting = JoinSet::new();
        while let Some(incoming) = endpoint.accept().await {
            while admitting.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&listener.handshakes).try_acquire_owned() else {
                incoming.refuse();
                continue;
            };
            let listener = Arc::clone(&listener);
            admitting.spawn(async move {
                let caller = incoming.remote_address();
                match timeout(HANDSHAKE_TIMEOUT, listener.admit(incoming)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::info!(%caller, %error, "a caller failed its handshake"),
                    Err(_) => tracing::info!(%caller, "a caller did not finish its handshake in time"),
                }
                drop(permit);
            });
        }
    }

    async fn admit(&self, incoming: Incoming) -> Result<(), ConnectionError> {
        let connection = incoming.accept()?.await?;
        let certified = region_of(&connection, &self.names);
        if protocol_of(&connection) == Some(Spoken::Snapshots) {
            self.ask_for_snapshot(connection, certified);
            return Ok(());
        }
        let certified = certified.filter(|region| *region < self.own);
        let bridge = certified.and_then(|region| Some((region, self.bridges.get(&region)?)));
        let Some((certified, (arrivals, counters))) = bridge else {
            tracing::warn!(caller = %connection.remote_address(), "a caller's certificate names no region that dials this one");
            refuse(&connection, "your certificate names no region that dials this one");
            return Ok(());
        };
        let streams = connection.accept_bi().await?;
        let link = Link::start(connection, certified, streams, counters);
        // A bridge that has ended needs no link.
        let _ = arrivals.send(Arrival::Link(link)).await;
        Ok(())
    }

    fn ask_for_snapshot(&self, connection: Connection, certified: Option<RegionId>) {
        let Some(certified) = certified.filter(|region| *region != self.own) else {
            tracing::warn!(caller = %connection.remote_address(), "a caller's certificate names no other region of this cluster");
            refuse(&connection, "your certificate names no other region of this cluster");
            return;
        };
        let (callers, room) = &self.snapshots;
        let Ok(place) = Arc::clone(room).try_acquire_owned() else {
            give::refuse(&connection, certified, &Reason::SnapshotBusy, &self.snapshot_counters);
            return;
        };
        // There is room for whoever has a place, or nobody is there any more.
        let _ = callers.try_send(Caller { connection, certified, place });
    }
}

/// What the handshake agreed on.
fn protocol_of(connection: &Connection) -> Option<Spoken> {
    let agreed = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    Spoken::of(agreed.protocol.as_deref()?)
}

fn refuse(connection: &Connection, text: &str) {
    connection.close(VarInt::from_u32(CODE_WRONG_CERTIFICATE), text.as_bytes());
}

/// The region that the peer's certificate names. The handshake has verified the certificate against the cluster's authority.
pub(crate) fn region_of(connection: &Connection, names: &BTreeMap<RegionId, String>) -> Option<RegionId> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    certified_region(chain.first()?, names)
}
