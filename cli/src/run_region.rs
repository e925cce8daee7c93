//! `archipelago region`: one region as a process, from its files to its end.
//!
//! It reads what it needs from the cluster's folder, opens the stores, starts shards, bridges and the gateway, and prints one line of JSON
//! when clients can connect. New certificates are taken while it runs; SIGHUP has their files looked at at once. SIGTERM and SIGINT drain it: devices are told where to go, what was taken is committed, and it ends with 0.
//!
//! What must always hold: nothing is printed on stdout before everything listens; a broken invariant ends the process at once, since a
//! region that lost a thread must not go on.

use crate::broken::{Broken, on_panic};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use clap::Args;
use gateway_edge::{CursorSecrets, Gateway, GatewayConfig, Transport, refuge};
use region::cluster::ClusterRegion;
use region::limits::Limits;
use region_rocks::ending::Ending;
use region_rocks::node::{NodeConfig, RegionNode, StartRefused};
use replication_quic::{BridgeSettings, Certificates};
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  archipelago region eu-central --cluster demo/cluster.toml --data data/eu-central
  archipelago region eu-central --cluster demo --data data/eu-central --insecure-loopback
";

/// Run one region.
#[derive(Debug, Clone, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Region {
    /// Its name in the cluster file
    name: String,
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// Its data folder; made if it does not exist
    #[arg(long)]
    data: PathBuf,
    /// Let clients connect without TLS; only where the cluster file says ws:// with an address of this machine
    #[arg(long)]
    insecure_loopback: bool,
    /// After how many seconds the files that may still hold a deleted text are rewritten, counted from when nobody needed it any more
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().compact_after_ms / 1_000)]
    erase_after: u64,
    /// Within how many seconds of running all that lies on the disk is read again
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().scrub_within_ms / 1_000)]
    scrub_within: u64,
    /// Believe the wall clock although the store remembers a later time: when the clock was wrong then, and is right now
    #[arg(long)]
    trust_clock: bool,
}

/// The line that says that the region is ready.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    region: &'a str,
    pid: u32,
    client: String,
    bridge: String,
    admin: String,
}

impl Region {
    /// Runs until it is told to end.
    ///
    /// # Errors
    /// When a file is wrong, a port is taken, the store is not this region's, or the disk fails.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        on_panic(Broken::Aborts);
        let folder = ClusterFolder::open(&self.cluster)?;
        let own = folder.region(&self.name)?.clone();
        let listen = self.client_address(&own)?;
        let node = self.node_config(&folder, &own)?;
        let gateway = self.gateway_config(&folder, &own, listen)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::Stopped(format!("the system gives no threads: {error}")))?;
        runtime.block_on(serve(node, gateway, &own))
    }

    /// Where to listen for clients, as the cluster file has it.
    fn client_address(&self, own: &ClusterRegion) -> Result<SocketAddr, Failure> {
        let client = &own.client;
        match (client.secure, self.insecure_loopback) {
            (true, false) | (false, true) => {}
            (false, false) => {
                let advice = "without TLS a region runs with --insecure-loopback alone, on this machine's own addresses";
                return Err(Failure::Argument(format!("the cluster file says `{client}`: {advice}")));
            }
            (true, true) => {
                let advice = "leave out --insecure-loopback, or write ws:// there";
                return Err(Failure::Argument(format!("the cluster file says `{client}`: {advice}")));
            }
        }
        let host = if client.host == "localhost" { "127.0.0.1" } else { &client.host };
        match format!("{host}:{}", client.port).parse() {
            Ok(address) => Ok(address),
            // The name is for clients; the region listens wherever it leads.
            Err(_) => Ok(SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, client.port))),
        }
    }

    fn node_config(&self, folder: &ClusterFolder, own: &ClusterRegion) -> Result<NodeConfig, Failure> {
        let certificates = Certificates::read(folder.certificates(&own.name), &own.name)
            .map_err(|refused| Failure::Argument(format!("{refused} ({})", refused.code())))?;
        Ok(NodeConfig {
            region: own.id,
            cluster: Arc::new(folder.cluster.clone()),
            epochs: folder.epochs()?,
            signing_key: folder.replica_key(&own.name)?,
            certificates,
            data: self.data.clone(),
            limits: Limits {
                compact_after_ms: self.erase_after.saturating_mul(1_000),
                scrub_within_ms: self.scrub_within.saturating_mul(1_000),
                ..Limits::default()
            },
            bridges: BridgeSettings::default(),
            connections_max: gateway_edge::limits::CONNECTIONS_MAX,
            trust_wall_clock: self.trust_clock,
            ending: Ending::abort(),
        })
    }

    fn gateway_config(
        &self,
        folder: &ClusterFolder,
        own: &ClusterRegion,
        listen: SocketAddr,
    ) -> Result<GatewayConfig, Failure> {
        let transport = if own.client.secure { Transport::Tls } else { Transport::InsecureLoopback };
        let mut cursor_secrets = BTreeMap::new();
        for placement in folder.cluster.placements_of(own.id) {
            // One that no epoch has it in has no devices here, and need not have their key.
            if folder.current_epoch(placement)?.replica_of(own.id).is_none() {
                continue;
            }
            let keys = folder.cursor_keys(placement)?;
            let mut keys = keys.iter().map(|key| (key.id, key.secret));
            // `cursor_keys` refuses an empty file.
            let Some(current) = keys.next() else { continue };
            cursor_secrets.insert(placement.id, CursorSecrets { current, previous: keys.next() });
        }
        let connections_max = gateway_edge::limits::CONNECTIONS_MAX;
        Ok(GatewayConfig { listen, transport, admin: own.admin, cursor_secrets, connections_max })
    }
}

/// Serves until a signal comes, then drains.
async fn serve(node: NodeConfig, gateway: GatewayConfig, own: &ClusterRegion) -> Result<(), Failure> {
    let unheard = |error| Failure::Stopped(format!("signals cannot be heard: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(unheard)?;
    let node = RegionNode::start(node).map_err(not_started)?;
    let gateway = match Gateway::start(gateway, node.handle()).await {
        Ok(gateway) => gateway,
        Err(refused) => {
            node.stop().await;
            return Err(Failure::Stopped(refused.to_string()));
        }
    };
    announce(own)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => node.handle().certificates().look_now(),
        }
    }
    tracing::info!("draining");
    node.handle().drain();
    gateway.stop(refuge(&node.handle())).await;
    node.stop().await;
    Ok(())
}

fn announce(own: &ClusterRegion) -> Result<(), Failure> {
    let ready = Ready {
        region: &own.name,
        pid: std::process::id(),
        client: own.client.to_string(),
        bridge: own.bridge.to_string(),
        admin: own.admin.to_string(),
    };
    let line = serde_json::to_string(&ready).map_err(|error| Failure::Stopped(error.to_string()))?;
    println!("{line}");
    Ok(())
}

/// A store that is not this region's, or is in use, was understood and refused; anything else is an error.
fn not_started(refused: StartRefused) -> Failure {
    let said = refused.to_string();
    match refused {
        StartRefused::UnknownRegion(_)
        | StartRefused::Store { .. }
        | StartRefused::Shard { .. }
        | StartRefused::Bridges(_)
        | StartRefused::Machine(_)
        | StartRefused::System { .. } => Failure::Stopped(said),
        StartRefused::Epochs { .. }
        | StartRefused::NotInEpoch { .. }
        | StartRefused::Folder(_)
        | StartRefused::Meta { .. } => Failure::Refused(said),
    }
}
