//! A region's gateway: started with a configuration and a region, stopped in order.
//!
//! What must always hold: plain text is served on loopback addresses alone, and only when told to; the operators' listener is on loopback alone.
//! A stopping gateway takes no new connections, sends each device away at its own moment, and waits for them a few seconds.

use crate::admin;
use crate::certificate;
use crate::connection::Shared;
use crate::fan_out::{FanOut, Releases};
use crate::limits;
use crate::listen::listen;
use crate::metrics::Metrics;
use crate::tokens::TokenChecker;
use crdt::PlacementId;
use gateway::Site;
use gateway::cursor::{CursorKey, CursorKeys};
use gateway::input::Redirect;
use gateway::site::{Described, HeldPlacement};
use gateway_protocol::v1;
use region::cluster::{Cluster, ClusterPlacement, ClusterRegion};
use region_rocks::handle::RegionHandle;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// How devices are spoken to.
#[derive(Debug, Clone)]
pub enum Transport {
    /// TLS, with the region's certificate.
    Tls,
    /// Plain text, which is refused on any address that is not loopback.
    InsecureLoopback,
}

/// The secrets that seal a placement's cursors, each with the number that operators gave it; the same in all of its regions.
#[derive(Clone)]
pub struct CursorSecrets {
    /// Seals.
    pub current: (u32, [u8; 32]),
    /// Still opens, after a change.
    pub previous: Option<(u32, [u8; 32])>,
}

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where devices connect. Port 0 draws a free one.
    pub listen: SocketAddr,
    /// How they are spoken to.
    pub transport: Transport,
    /// Where operators connect, on loopback. Port 0 draws a free one.
    pub admin: SocketAddr,
    /// One of each placement that the region has a part in.
    pub cursor_secrets: BTreeMap<PlacementId, CursorSecrets>,
    /// Connections open at a time; [`limits::CONNECTIONS_MAX`] unless there is a reason.
    pub connections_max: usize,
}

/// Why a gateway does not start. Nothing is served then.
#[derive(Debug, thiserror::Error)]
pub enum StartRefused {
    /// Plain text was asked for on an address that others can reach.
    #[error("{0} is not a loopback address: plain text is served on loopback alone, give a certificate")]
    NotLoopback(SocketAddr),
    /// The operators' listener must not be reachable from elsewhere.
    #[error("{0} is not a loopback address: operators connect on loopback alone, use a tunnel")]
    AdminNotLoopback(SocketAddr),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}; choose another port or stop what uses it")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}; this build lacks what it needs")]
    Tls(#[from] rustls::Error),
    /// A placement has no secret for its cursors.
    #[error("placement {0} has no cursor secret: give the one of its keys folder")]
    NoCursorSecret(PlacementId),
    /// The cluster file does not name the region.
    #[error("the cluster file has no such region: check the region's name")]
    UnknownRegion,
}

/// A running gateway. Dropped without [`stop`](Gateway::stop), it goes on.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    admin: SocketAddr,
    fan_out: Arc<FanOut>,
    stop: watch::Sender<bool>,
    listening: JoinHandle<()>,
    helpers: [JoinHandle<()>; 2],
}

impl Gateway {
    /// Starts serving that region's devices and operators.
    ///
    /// # Errors
    /// [`StartRefused`] says what to change.
    pub async fn start(config: GatewayConfig, region: RegionHandle) -> Result<Self, StartRefused> {
        let tls = match &config.transport {
            Transport::Tls => Some(certificate::server_config(&region)?),
            Transport::InsecureLoopback if config.listen.ip().is_loopback() => None,
            Transport::InsecureLoopback => return Err(StartRefused::NotLoopback(config.listen)),
        };
        if !config.admin.ip().is_loopback() {
            return Err(StartRefused::AdminNotLoopback(config.admin));
        }
        let site = Arc::new(site(&config, &region)?);
        let (listener, address) = bind(config.listen).await?;
        let (admin_listener, admin_address) = bind(config.admin).await?;
        let metrics = Arc::new(Metrics::default());
        let fan_out = FanOut::new(Arc::clone(&site), Arc::clone(&metrics));
        let cluster = region.cluster();
        let shared = Arc::new(Shared {
            tokens: TokenChecker::new(&cluster.name, cluster.token_key.as_bytes()),
            region: region.clone(),
            site,
            fan_out: Arc::clone(&fan_out),
            metrics,
            reads: Arc::new(Semaphore::new(limits::READS_MAX)),
        });
        region.attach_devices(Box::new(Releases(Arc::clone(&fan_out))));
        let (stop, stopped) = watch::channel(false);
        let helpers = [
            tokio::spawn(Arc::clone(&fan_out).run()),
            tokio::spawn(admin::serve(admin_listener, Arc::clone(&shared), stopped.clone())),
        ];
        let listening = tokio::spawn(listen(listener, tls, shared, config.connections_max, stopped));
        Ok(Self { address, admin: admin_address, fan_out, stop, listening, helpers })
    }

    /// Where devices connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators connect.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// How many devices are connected.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.fan_out.sessions()
    }

    /// Stops in order: no new connections, every device sent away (to that region, if one is given), then the rest.
    pub async fn stop(self, redirect: Option<Redirect>) {
        // Whoever does not listen to it any more, or has panicked and said so, has stopped: that holds here and below.
        let _ = self.stop.send(true);
        self.fan_out.drain(redirect);
        let _ = self.listening.await;
        for helper in self.helpers {
            helper.abort();
            let _ = helper.await;
        }
    }
}

impl std::fmt::Debug for CursorSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let previous = self.previous.map(|(id, _)| id);
        f.debug_struct("CursorSecrets")
            .field("current", &self.current.0)
            .field("previous", &previous)
            .finish()
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartRefused> {
    let refused = |reason| StartRefused::Listen { address, reason };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}

fn site(config: &GatewayConfig, region: &RegionHandle) -> Result<Site, StartRefused> {
    let cluster = region.cluster();
    let own = cluster.regions.get(&region.region()).ok_or(StartRefused::UnknownRegion)?;
    let mut placements = BTreeMap::new();
    for (placement, replica) in region.placements() {
        let secrets = config.cursor_secrets.get(&placement).ok_or(StartRefused::NoCursorSecret(placement))?;
        let key = |(id, secret): &(u32, [u8; 32])| CursorKey::new(*id, &cluster.name, secret);
        let keys =
            CursorKeys { current: key(&secrets.current), previous: secrets.previous.as_ref().map(key) };
        placements.insert(placement, HeldPlacement { replica, keys });
    }
    let directory = directory(cluster);
    Ok(Site { cluster: cluster.name.clone(), region: own.name.clone(), placements, directory })
}

/// All placements of the cluster file with their regions' addresses.
fn directory(cluster: &Cluster) -> BTreeMap<PlacementId, Described> {
    let address =
        |region: &ClusterRegion| v1::Region { name: region.name.clone(), url: region.client.to_string() };
    let described = |placement: &ClusterPlacement| {
        let regions =
            placement.regions.iter().filter_map(|id| Some((*id, address(cluster.regions.get(id)?))));
        Described { name: placement.name.clone(), regions: regions.collect() }
    };
    cluster.placements.values().map(|placement| (placement.id, described(placement))).collect()
}
