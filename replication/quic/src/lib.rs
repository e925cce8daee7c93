//! The bridge's driver: QUIC connections between regions with mutual TLS, and one task a peer that drives the pure bridge core.
//!
//! What must always hold:
//! - A peer speaks as the region that its certificate names and as no other.
//! - Whatever a peer sends, however fast, and however slowly it reads, a bridge's memory stays within its limits.
//! - Certificates change while it runs: what begins is proven by those that are in use then.
//! - It decides nothing: what a frame means is the core's business.

mod bridge_task;
mod bridges;
mod carried;
mod certificates;
mod counters;
mod dial;
mod endpoint;
mod gossip;
mod identity;
pub mod limits;
mod link;
mod notices;
mod receive_window;
mod region_port;
mod snapshots;

pub use bridges::{Bridges, BridgesConfig, PeerConfig};
pub use certificates::{Certificates, CertificatesStanding};
pub use counters::{BridgeCounters, Found};
pub use endpoint::{BridgeSettings, EndpointRefused};
pub use gossip::GossipPort;
pub use identity::{CertificateFiles, IdentityRefused};
pub use notices::{Notices, Told};
pub use region_port::RegionPort;
pub use snapshots::{GivenSnapshot, Landed, Progress, SnapshotCounters, SnapshotTaker, TakeRefused};
