//! Bridges of made-up regions in this process, over loopback, and callers that do as they please.
//!
//! A made-up region has a log that it computes when it is read, of any length, and a shard that takes everything or nothing.
//! A caller is bare QUIC with a certificate of choice: what it says is up to the test.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use bytes::Bytes;
use crdt::{
    Bucket, ChainHead, Dot, Incarnation, Now, PartitionId, PlacementId, RegionId, ReplicaId, Sequence,
};
use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use replication::bridge::{Bridge, Config, OwnStore};
use replication::commit::{Commit, OperationBytes};
use replication::epoch::EpochStatement;
use replication::input::Input;
use replication::log::{
    Base, ChangeNumber, LogUnreadable, LogView, LoggedCommit, PartitionState, PeerCursor, Position,
};
use replication::output::Output;
use replication::placement::{Epoch, Placement, Placements};
use replication::reason::Reason;
use replication::register::Register;
use replication::snapshot::{Asked, Offered, may_take};
use replication::{Delivery, StoreId, StoreStart};
use replication_quic::{
    BridgeSettings, Bridges, BridgesConfig, CertificateFiles, Certificates, EndpointRefused, GivenSnapshot,
    GossipPort, Notices, PeerConfig, RegionPort,
};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const PLACEMENT: PlacementId = PlacementId(1);

/// An authority that signs certificates for names.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// Writes a certificate for these names.
    pub fn certify(&self, names: &[&str]) -> String {
        let file = names.join("+");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.folder.path().join(format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.folder.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
        file
    }

    /// Writes a certificate for that name, good from one year to another.
    pub fn certify_until(&self, file: &str, name: &str, (from, until): (i32, i32)) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.folder.path().join(format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.folder.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// The certificate of a region of that name, whichever region shows it.
    pub fn certificates(&self, name: &str) -> Arc<Certificates> {
        self.certify(&[name]);
        Certificates::read(self.files(name), name).unwrap()
    }

    /// Where the certificate of that name lies.
    pub fn files(&self, name: &str) -> CertificateFiles {
        let path = |name: String| self.folder.path().join(name);
        let (chain, key) = (path(format!("{name}.pem")), path(format!("{name}.key")));
        CertificateFiles { authorities: path("ca.pem".to_owned()), chain, key }
    }

    /// The authority in PEM.
    pub fn pem(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("ca.pem")).unwrap()
    }

    /// Of a region that trusts this authority, and another one that nobody else trusts and that signed its certificate.
    pub fn certificates_signed_by(&self, other: &Self, name: &str) -> Arc<Certificates> {
        other.certify(&[name]);
        std::fs::write(&other.files(name).authorities, self.pem() + &other.pem()).unwrap();
        Certificates::read(other.files(name), name).unwrap()
    }

    /// Calls that address with a certificate for `names`, trusting this authority.
    pub async fn call(&self, names: &[&str], to: SocketAddr, server: &str) -> Caller {
        self.call_trusting(&std::fs::read(self.files("").authorities).unwrap(), names, to, server).await
    }

    /// The same, trusting these authorities.
    pub async fn call_trusting(&self, pem: &[u8], names: &[&str], to: SocketAddr, server: &str) -> Caller {
        let file = self.certify(names);
        let path = |name: String| self.folder.path().join(name);
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(pem) {
            roots.add(authority.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(path(format!("{file}.pem"))).unwrap()],
                PrivateKeyDer::from_pem_file(path(format!("{file}.key"))).unwrap(),
            )
            .unwrap();
        tls.alpn_protocols = vec![b"archipelago-bridge".to_vec()];
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let connection = endpoint.connect_with(config, to, server).unwrap().await;
        Caller { connection: connection.map_err(|error| error.to_string()), _endpoint: endpoint }
    }
}

/// A caller that is no bridge.
pub struct Caller {
    pub connection: Result<Connection, String>,
    _endpoint: Endpoint,
}

impl Caller {
    /// Sends these bytes on a stream, and waits for the code with which the connection is closed.
    pub async fn say(&self, bytes: &[u8]) -> Option<u64> {
        let connection = self.connection.as_ref().unwrap();
        let (mut send, _receive) = connection.open_bi().await.ok()?;
        send.write_all(bytes).await.ok()?;
        self.close_code().await
    }

    pub async fn close_code(&self) -> Option<u64> {
        let connection = self.connection.as_ref().unwrap();
        match tokio::time::timeout(Duration::from_secs(10), connection.closed()).await.unwrap() {
            quinn::ConnectionError::ApplicationClosed(close) => Some(close.error_code.into_inner()),
            _ => None,
        }
    }
}

/// One frame as it stands on the stream.
pub fn framed(frame: &[u8]) -> Vec<u8> {
    let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    bytes
}

pub fn name(region: u16) -> String {
    format!("region-{region}")
}

pub fn replica(region: u16) -> ReplicaId {
    ReplicaId { region: RegionId(region), incarnation: Incarnation(u64::from(region)) }
}

/// What all three regions stand under.
fn placements() -> Placements {
    let key = |region: u16| SigningKey::from_bytes(&[region as u8; 32]).verifying_key();
    let active = (1..=3).map(|region| (replica(region), key(region))).collect();
    let regions = (1..=3).map(RegionId).collect();
    Placements::new([Placement { epoch: Epoch(1), active, ..Placement::new(PLACEMENT, regions, key(99)) }])
}

/// The core of a bridge between two of three regions.
pub fn core(own: u16, peer: u16) -> Bridge {
    Bridge::new(Config {
        cluster: "test".to_owned(),
        own: RegionId(own),
        peer: RegionId(peer),
        placements: placements(),
        stores: BTreeMap::from([(
            PLACEMENT,
            OwnStore { replica: replica(own), start: StoreStart { id: StoreId(own.into()), number: 1 } },
        )]),
        kinds: vec![0],
    })
}

/// The first frame of a region's bridge.
pub fn hello_of(own: u16, peer: u16) -> Bytes {
    let mut bridge = core(own, peer);
    let region = MadeUpRegion::new(own, 0, true);
    let mut entropy = ChaCha20Rng::seed_from_u64(1);
    let inputs = [Input::Started, Input::Connected { certified: RegionId(peer) }, Input::PipeReady];
    let outputs =
        inputs.into_iter().flat_map(|input| bridge.step(Now(1), &mut entropy, input, &*region).unwrap());
    let mut frames =
        outputs.filter_map(|output| if let Output::Send(frame) = output { Some(frame) } else { None });
    frames.next().unwrap()
}

/// Three addresses that nobody else has.
pub fn addresses() -> [SocketAddr; 3] {
    let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}

/// A region with a log of so many operations of a kilobyte, whose shard takes what it is given or never does.
pub struct MadeUpRegion {
    own: u16,
    log_end: AtomicU64,
    takes: bool,
    started: Instant,
    pub notices: BTreeMap<u16, Arc<Notices>>,
    pub read_bytes: AtomicU64,
    pub delivered: AtomicU64,
    pub delivered_bytes: AtomicU64,
    pub stopped: Mutex<Vec<String>>,
    /// What it gives to whoever asks for a snapshot.
    pub snapshot: Mutex<Option<(PathBuf, Offered)>>,
    /// As often as it is held, somebody reads that, and once by the region.
    pub held: Arc<()>,
}

impl MadeUpRegion {
    pub fn new(own: u16, log_end: u64, takes: bool) -> Arc<Self> {
        let notices = (1..=3).filter(|peer| *peer != own).map(|peer| (peer, Arc::default())).collect();
        Arc::new(Self {
            own,
            log_end: AtomicU64::new(log_end),
            takes,
            started: Instant::now(),
            notices,
            read_bytes: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            delivered_bytes: AtomicU64::new(0),
            stopped: Mutex::default(),
            snapshot: Mutex::default(),
            held: Arc::default(),
        })
    }

    /// Starts this region's bridges to these peers.
    pub fn start(
        self: &Arc<Self>,
        certificates: Arc<Certificates>,
        peers: &[u16],
        addresses: [SocketAddr; 3],
    ) -> Result<Bridges, EndpointRefused> {
        self.start_gossiping(certificates, peers, addresses).map(|(bridges, _)| bridges)
    }

    /// The same, and gives what carries gossip.
    pub fn start_gossiping(
        self: &Arc<Self>,
        certificates: Arc<Certificates>,
        peers: &[u16],
        addresses: [SocketAddr; 3],
    ) -> Result<(Bridges, GossipPort), EndpointRefused> {
        let config = BridgesConfig {
            own: RegionId(self.own),
            listen: addresses[usize::from(self.own) - 1],
            certificates,
            names: (1..=3).map(|region| (RegionId(region), name(region))).collect(),
            settings: BridgeSettings::default(),
        };
        let peer_config = |peer: &u16| PeerConfig {
            address: addresses[usize::from(*peer) - 1],
            bridge: core(self.own, *peer),
            notices: Arc::clone(&self.notices[peer]),
            entropy: Box::new(ChaCha20Rng::seed_from_u64(u64::from(*peer))),
        };
        let peers = peers.iter().map(|peer| (RegionId(*peer), peer_config(peer))).collect();
        Bridges::start(config, peers, self)
    }

    /// Makes the log so much longer, and tells the bridges.
    pub fn grow(&self, operations: u64) {
        self.log_end.fetch_add(operations, Ordering::Relaxed);
        let state = self.state(Self::partition()).unwrap();
        self.notices.values().for_each(|notices| notices.advanced(Self::partition(), &state));
    }

    fn log_end(&self) -> u64 {
        self.log_end.load(Ordering::Relaxed)
    }

    fn partition() -> PartitionId {
        PartitionId { placement: PLACEMENT, bucket: Bucket::new(5).unwrap() }
    }
}

impl RegionPort for MadeUpRegion {
    fn now(&self) -> Now {
        Now(self.started.elapsed().as_micros() as u64)
    }

    fn read_log(&self, read: &mut dyn FnMut(&dyn LogView)) {
        read(self);
    }

    async fn deliver(&self, from: RegionId, delivery: Delivery) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        match delivery {
            Delivery::PeerStarted { .. } | Delivery::PeerCaughtUp { .. } | Delivery::Epochs { .. } => {}
            Delivery::Entries { .. } | Delivery::Registers { .. } if !self.takes => {
                std::future::pending::<()>().await;
            }
            Delivery::Entries { bytes, .. } | Delivery::Registers { bytes, .. } => {
                self.delivered_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                self.notices[&from.0].taken(bytes);
            }
        }
    }

    async fn snapshot(&self, from: RegionId, asked: Asked) -> Result<GivenSnapshot, Reason> {
        may_take(&asked, from, ("test", RegionId(self.own), &placements()))?;
        let (folder, offered) =
            self.snapshot.lock().unwrap().clone().ok_or(Reason::Behind(asked.placement))?;
        Ok(GivenSnapshot { folder, offered, kept: Box::new(Arc::clone(&self.held)) })
    }

    fn stop(&self, why: &str) {
        self.stopped.lock().unwrap().push(why.to_owned());
    }
}

impl LogView for MadeUpRegion {
    fn epochs(&self, _: PlacementId, _: Epoch, _: usize) -> Result<Vec<EpochStatement>, LogUnreadable> {
        Ok(Vec::new())
    }

    fn partitions(&self) -> Result<Vec<(PartitionId, PartitionState)>, LogUnreadable> {
        let state = self.state(Self::partition())?;
        Ok(if self.log_end() > 0 { vec![(Self::partition(), state)] } else { Vec::new() })
    }

    fn state(&self, partition: PartitionId) -> Result<PartitionState, LogUnreadable> {
        if partition != Self::partition() || self.log_end() == 0 {
            return Ok(PartitionState::default());
        }
        let last = Dot { replica: replica(self.own), sequence: Sequence(self.log_end()) };
        let applied = [last].into_iter().collect();
        Ok(PartitionState { log_end: Position(self.log_end()), applied, ..PartitionState::default() })
    }

    fn read(
        &self,
        partition: PartitionId,
        from: Position,
        bytes_max: usize,
    ) -> Result<Vec<LoggedCommit>, LogUnreadable> {
        let commits = (bytes_max as u64 / 1_100).max(1);
        let positions = from.0 + 1..=self.log_end().min(from.0 + commits);
        self.read_bytes.fetch_add(1_100 * positions.clone().count() as u64, Ordering::Relaxed);
        let logged = positions.map(|position| {
            let mut envelope = vec![7; 76];
            envelope[..8].copy_from_slice(&position.to_be_bytes());
            let operation =
                OperationBytes { envelope: Bytes::from(envelope), payload: Some(vec![1; 1_024].into()) };
            let commit = Commit {
                partition,
                origin: replica(self.own),
                first: Sequence(position),
                operations: vec![operation],
                signature: [9; 64],
            };
            LoggedCommit { first: Position(position), last: Position(position), commit }
        });
        Ok(logged.collect())
    }

    fn find(
        &self,
        partition: PartitionId,
        _origin: ReplicaId,
        from: Sequence,
        _to: Sequence,
        bytes_max: usize,
    ) -> Result<Vec<Commit>, LogUnreadable> {
        let logged = self.read(partition, Position(from.0 - 1), bytes_max)?;
        Ok(logged.into_iter().map(|logged| logged.commit).collect())
    }

    fn head(
        &self,
        partition: PartitionId,
        origin: ReplicaId,
        _sequence: Sequence,
    ) -> Result<Option<ChainHead>, LogUnreadable> {
        Ok(Some(ChainHead::genesis(partition, origin)))
    }

    fn base(&self, _: PartitionId) -> Result<Option<Base>, LogUnreadable> {
        Ok(None)
    }

    fn registers(
        &self,
        _partition: PartitionId,
        from: ChangeNumber,
        _peer: ReplicaId,
        _bytes_max: usize,
    ) -> Result<(Vec<(ChangeNumber, Register)>, ChangeNumber), LogUnreadable> {
        Ok((Vec::new(), from))
    }

    fn acknowledged(&self, _: PartitionId, _: ReplicaId) -> Result<Sequence, LogUnreadable> {
        Ok(Sequence::NONE)
    }

    fn cursor(&self, _peer: ReplicaId, _partition: PartitionId) -> Result<PeerCursor, LogUnreadable> {
        Ok(PeerCursor::default())
    }

    fn seen_start(
        &self,
        _placement: PlacementId,
        _peer: ReplicaId,
    ) -> Result<Option<StoreStart>, LogUnreadable> {
        Ok(None)
    }

    fn region(&self) -> RegionId {
        RegionId(self.own)
    }
}

/// Waits until that holds; fails after a time that only a hang reaches.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
