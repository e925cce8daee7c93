//! A small cluster in a temporary folder, whose regions run in this process over loopback QUIC.
//!
//! Keys, names and incarnations follow from the region's number; certificates and ports are drawn for each cluster. A region
//! that must end says so in [`World::ended`] instead of ending the tests' process.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use bytes::Bytes;
use crdt::operation::{Body, Envelope};
use crdt::{ConversationId, DeviceId, Incarnation, MessageId, PlacementId, RegionId, ReplicaId, UserId};
use ed25519_dalek::SigningKey;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use region::cluster::{ClientAddress, Cluster, ClusterPlacement, ClusterRegion};
use region::command::{Command, Done, Refusal};
use region::epoch::current_placement;
use region::limits::Limits;
use region::log_view::StoreLog;
use region::store::View;
use region_rocks::ending::Ending;
use region_rocks::handle::RegionHandle;
use region_rocks::node::{NodeConfig, RegionNode, StartRefused};
use replication::epoch::EpochStatement;
use replication::log::{LogView as _, Position};
use replication::placement::{Durability, Placement, Placements};
use replication_quic::{BridgeSettings, CertificateFiles, Certificates, EndpointRefused};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const GLOBAL: PlacementId = PlacementId(1);
pub const DEVICE: DeviceId = DeviceId(1);
/// The file in a world's folder that names its regions' ports.
const PORTS: &str = "ports";

/// The cluster, and where its regions keep their data.
pub struct World {
    pub folder: PathBuf,
    /// None in a process that shares another one's world.
    _removed_at_the_end: Option<TempDir>,
    pub cluster: Arc<Cluster>,
    pub epochs: Vec<EpochStatement>,
    keys: BTreeMap<RegionId, SigningKey>,
    /// Why regions ended, if any did.
    pub ended: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// Regions 1 to `regions`, all in the placement `global`.
    pub fn new(regions: u16) -> Self {
        Self::with_placements(regions, |_| true)
    }

    /// The same, with a second placement `eu` of the regions that `in_eu` names.
    pub fn with_placements(regions: u16, in_eu: impl Fn(RegionId) -> bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Held until all are drawn, so that no two regions get the same port.
        let sockets: Vec<UdpSocket> = (0..regions).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        let world = Self::build(folder.path().to_path_buf(), Some(folder), &ports, in_eu);
        write_certificates(&world.folder, &world.cluster);
        let ports = ports.iter().map(|port| format!("{port} ")).collect::<String>();
        std::fs::write(world.folder.join(PORTS), ports).unwrap();
        world
    }

    /// The world of [`Self::new`] in that folder, for another process that runs some of its regions.
    pub fn shared(folder: PathBuf) -> Self {
        let ports = std::fs::read_to_string(folder.join(PORTS)).unwrap();
        let ports: Vec<u16> = ports.split_whitespace().map(|port| port.parse().unwrap()).collect();
        Self::build(folder, None, &ports, |_| true)
    }

    fn build(
        folder: PathBuf,
        kept: Option<TempDir>,
        ports: &[u16],
        in_eu: impl Fn(RegionId) -> bool,
    ) -> Self {
        let ids: Vec<RegionId> = (1..).map(RegionId).take(ports.len()).collect();
        let keys: BTreeMap<RegionId, SigningKey> =
            ids.iter().map(|id| (*id, SigningKey::from_bytes(&[id.0 as u8; 32]))).collect();
        let operators = Self::operators();
        let operator = operators.verifying_key();
        let region = |(id, port): (&RegionId, &u16)| {
            let client = ClientAddress { secure: false, host: "127.0.0.1".to_owned(), port: 1 };
            let region = ClusterRegion {
                id: *id,
                name: format!("region-{}", id.0),
                jurisdiction: "eu".to_owned(),
                bridge: ([127, 0, 0, 1], *port).into(),
                client,
                admin: "127.0.0.1:1".parse().unwrap(),
            };
            (*id, region)
        };
        let placement = |id: PlacementId, name: &str, members: Vec<RegionId>| {
            let placement = ClusterPlacement {
                id,
                name: name.to_owned(),
                regions: members.into_iter().collect(),
                key: operator,
                durability: Durability::default(),
                kept_days: None,
                backup: None,
            };
            (id, placement)
        };
        let in_eu = ids.iter().copied().filter(|id| in_eu(*id)).collect();
        let cluster = Cluster {
            name: "test".to_owned(),
            regions: ids.iter().zip(ports).map(region).collect(),
            placements: BTreeMap::from([
                placement(GLOBAL, "global", ids.clone()),
                placement(PlacementId(2), "eu", in_eu),
            ]),
            token_key: operator,
            bridges: BTreeMap::new(),
        };
        let epoch = |placement: &ClusterPlacement| {
            let before = Placement::new(placement.id, placement.regions.clone(), operator);
            let active = placement.regions.iter().map(|id| (replica(*id), keys[id].verifying_key()));
            EpochStatement::sign(&before, active.collect(), &operators)
        };
        let epochs = cluster.placements.values().map(epoch).collect();
        Self {
            folder,
            _removed_at_the_end: kept,
            cluster: Arc::new(cluster),
            epochs,
            keys,
            ended: Arc::default(),
        }
    }

    /// Signs the epochs of all placements.
    pub fn operators() -> SigningKey {
        SigningKey::from_bytes(&[99; 32])
    }

    /// All placements under these epochs.
    pub fn placements(&self, epochs: &[EpochStatement]) -> Placements {
        let current = |placement: &ClusterPlacement| {
            let of_it = epochs.iter().filter(|statement| statement.placement == placement.id).cloned();
            current_placement(placement, &of_it.collect::<Vec<_>>()).unwrap()
        };
        Placements::new(self.cluster.placements.values().map(current))
    }

    pub fn data(&self, region: RegionId) -> PathBuf {
        self.folder.join(format!("data-{}", region.0))
    }

    pub fn config(&self, region: RegionId) -> NodeConfig {
        let file = |name: String| self.folder.join(name);
        let (chain, key) = (file(format!("{}.pem", region.0)), file(format!("{}.key", region.0)));
        let files = CertificateFiles { authorities: file("ca.pem".to_owned()), chain, key };
        let certificates = Certificates::read(files, &self.cluster.name_of(region));
        let ended = Arc::clone(&self.ended);
        NodeConfig {
            region,
            cluster: Arc::clone(&self.cluster),
            epochs: self.epochs.clone(),
            signing_key: self.keys[&region].clone(),
            certificates: certificates.unwrap(),
            data: self.data(region),
            limits: Limits::default(),
            bridges: BridgeSettings::default(),
            connections_max: 100,
            trust_wall_clock: false,
            ending: Ending::new(move |why| ended.lock().unwrap().push(format!("{region}: {why}"))),
        }
    }

    pub fn start(&self, region: u16) -> Result<RegionNode, StartRefused> {
        RegionNode::start(self.config(RegionId(region)))
    }

    /// Starts a region again in this process. QUIC keeps a socket until closed connections have drained, some seconds if their
    /// handshake never came through; only then the address is free.
    pub async fn start_again(&self, region: u16) -> RegionNode {
        let begun = Instant::now();
        loop {
            match self.start(region) {
                Err(StartRefused::Bridges(EndpointRefused::Address { .. }))
                    if begun.elapsed() < Duration::from_secs(20) =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                started => return started.unwrap(),
            }
        }
    }
}

pub fn replica(region: RegionId) -> ReplicaId {
    ReplicaId { region, incarnation: Incarnation(u64::from(region.0) * 1_000) }
}

fn write_certificates(folder: &Path, cluster: &Cluster) {
    let write = |name: String, text: String| std::fs::write(folder.join(name), text).unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    write("ca.pem".to_owned(), authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    for region in cluster.regions.values() {
        let leaf = CertificateParams::new(vec![region.name.clone()]).unwrap();
        let key = KeyPair::generate().unwrap();
        write(format!("{}.pem", region.id.0), leaf.signed_by(&key, &issuer).unwrap().pem());
        write(format!("{}.key", region.id.0), key.serialize_pem());
    }
}

pub fn user(low: u64) -> UserId {
    UserId::new(GLOBAL, low)
}

pub fn group(low: u128) -> ConversationId {
    ConversationId::group(GLOBAL, low)
}

pub fn message(handle: &RegionHandle, random: u128) -> MessageId {
    MessageId::new(handle.now().ms(), random)
}

/// Hands a command in and waits for its answer.
pub async fn submit(handle: &RegionHandle, user: UserId, command: Command) -> Result<Done, Refusal> {
    handle.submit(user, DEVICE, command)?.await.expect("the region answers")
}

pub async fn create(
    handle: &RegionHandle,
    creator: UserId,
    members: &[UserId],
    conversation: ConversationId,
) {
    let command = Command::CreateGroup {
        conversation,
        command: message(handle, conversation.0),
        members: members.to_vec(),
        name: "a group".to_owned(),
        begun: None,
    };
    submit(handle, creator, command).await.unwrap();
}

pub async fn post(
    handle: &RegionHandle,
    sender: UserId,
    conversation: ConversationId,
    text: &str,
) -> Result<Done, Refusal> {
    let random = u128::from(fingerprint(text));
    let command = Command::Post {
        conversation,
        message: message(handle, random),
        body: Bytes::copy_from_slice(text.as_bytes()),
        reply_to: None,
        sent_at_ms: 0,
        seen: None,
        after: None,
        taken_before: false,
    };
    submit(handle, sender, command).await
}

/// FNV-1a: a number that differs for different texts (a message id keeps its low 62 bits).
fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The texts of a conversation in that region's log, in its order.
pub fn texts(handle: &RegionHandle, conversation: ConversationId) -> Vec<String> {
    let partition = conversation.partition();
    let reader = handle.reader(partition.placement).unwrap();
    let log = StoreLog::new(handle.region(), [(partition.placement, &reader as &dyn View)]);
    let commits = log.read(partition, Position(0), usize::MAX).unwrap();
    let operations = commits.into_iter().flat_map(|logged| logged.commit.operations);
    let texts = operations.filter_map(|operation| {
        let envelope = Envelope::decode(&operation.envelope).unwrap();
        match Body::decode(&envelope, operation.payload.as_ref()?).unwrap() {
            Body::Post(post) if envelope.conversation == conversation => {
                Some(String::from_utf8(post.body.to_vec()).unwrap())
            }
            _ => None,
        }
    });
    texts.collect()
}

/// Waits until that holds; fails after a time that only a hang reaches.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
