//! `archipelago region`: one region as a process, from its files to its end.
//!
//! It reads what it needs from the cluster's folder, opens the stores, starts shards, bridges and the gateway, and prints one line of JSON
//! when clients can connect. SIGTERM and SIGINT drain it: devices are told, what was taken is committed, and it ends with 0.
//!
//! What must always hold: nothing is printed on stdout before everything listens; a broken invariant ends the process at once, since a
//! region that lost a thread must not go on.

use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use clap::Args;
use gateway_edge::{Gateway, GatewayConfig};
use region::cluster::ClusterRegion;
use region_rocks::ending::Ending;
use region_rocks::node::{NodeConfig, RegionNode, StartRefused};
use replication_quic::{BridgeIdentity, BridgeSettings};
use serde::Serialize;
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
