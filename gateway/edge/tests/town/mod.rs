//! One region with its gateway in this process, on free ports and a temporary folder, and plain clients over real sockets.
//!
//! It fakes nothing: the store syncs, the tokens are signed, the certificates are made by an authority of its own. Every wait
//! ends after 20 seconds with what was waited for.

#![allow(clippy::unwrap_used, dead_code, missing_debug_implementations, unreachable_pub)]

use crdt::{ConversationId, DeviceId, Incarnation, MessageId, PlacementId, RegionId, ReplicaId, UserId};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_edge::limits::CONNECTIONS_MAX;
use gateway_edge::{CursorSecrets, Gateway, GatewayConfig, Transport};
use gateway_protocol::v1::client_frame::Frame as Ask;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ClientFrame, ServerFrame};
use gateway_protocol::{Payload, Subprotocol};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use region::cluster::{ClientAddress, Cluster, ClusterPlacement, ClusterRegion};
use region::limits::Limits;
use region_rocks::ending::Ending;
use region_rocks::node::{NodeConfig, RegionNode};
use replication::epoch::EpochStatement;
use replication::placement::{Durability, Placement};
use replication_quic::{BridgeSettings, CertificateFiles, Certificates};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

pub const GLOBAL: PlacementId = PlacementId(1);
const PATIENCE: Duration = Duration::from_secs(20);

pub fn user(number: u64) -> UserId {
    UserId::new(GLOBAL, number)
}

pub fn group(number: u128) -> ConversationId {
    ConversationId::group(GLOBAL, number)
}

/// A message id of now: older ones are refused.
pub fn message(number: u128) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    MessageId::new(since.as_millis() as u64, number).to_string()
}

/// A region and its gateway.
pub struct Town {
    pub folder: TempDir,
    pub node: RegionNode,
    pub gateway: Gateway,
    tokens: EncodingKey,
}

/// How a town's gateway is to be started.
pub struct Plan {
    pub secure: bool,
    pub connections_max: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self { secure: false, connections_max: CONNECTIONS_MAX }
    }
}

impl Town {
    pub async fn new() -> Self {
        Self::planned(Plan::default()).await
    }

    pub async fn planned(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token_key = SigningKey::from_bytes(&[7; 32]);
        let node = start_region(&folder, &token_key);
        let transport = if plan.secure { Transport::Tls } else { Transport::InsecureLoopback };
        let config =
            GatewayConfig { transport, connections_max: plan.connections_max, ..plain("127.0.0.1:0") };
        let gateway = Gateway::start(config, node.handle()).await.unwrap();
        let tokens = EncodingKey::from_ed_der(token_key.to_pkcs8_der().unwrap().as_bytes());
        Self { folder, node, gateway, tokens }
    }

    /// The same region with another gateway, at the same address, once `meanwhile` is over.
    pub async fn restart_gateway(self, meanwhile: impl Future<Output = ()>) -> Self {
        let address = self.gateway.address().to_string();
        self.gateway.stop(None).await;
        meanwhile.await;
        let gateway = Gateway::start(plain(&address), self.node.handle()).await.unwrap();
        Self { gateway, ..self }
    }

    /// The same region and gateway again, after something was done to the store while both were down.
    pub async fn restart_after(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { folder, node, gateway, tokens } = self;
        gateway.stop(None).await;
        node.stop().await;
        meanwhile(&folder.path().join("data").join("global"));
        let node = start_region(&folder, &SigningKey::from_bytes(&[7; 32]));
        let gateway = Gateway::start(plain("127.0.0.1:0"), node.handle()).await.unwrap();
        Self { folder, node, gateway, tokens }
    }

    pub async fn stop(self) {
        self.gateway.stop(None).await;
        self.node.stop().await;
    }

    /// A token with these claims, for the next `seconds`.
    pub fn token(&self, sub: &str, device: &str, cluster: &str, seconds: i64) -> String {
        sign(&self.tokens, sub, device, cluster, seconds)
    }

    /// The token of an operator of that name.
    pub fn operator_token(&self, name: &str) -> String {
        let claims = json!({ "sub": "operator", "name": name, "aud": "test", "exp": in_seconds(3_600) });
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.tokens).unwrap()
    }

    pub fn token_of(&self, user: UserId, device: u64) -> String {
        self.token(&user.to_string(), &DeviceId(device).to_string(), "test", 3_600)
    }

    pub async fn connect(&self, subprotocol: Subprotocol) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.gateway.address()).await.unwrap();
        Client::shake_hands(stream, subprotocol.name())
            .await
            .map_err(|_| "refused")
            .unwrap()
            .speaking(subprotocol)
    }

    /// A connected, welcomed and syncing device.
    pub async fn device(&self, user: UserId, subprotocol: Subprotocol) -> Client<TcpStream> {
        let mut client = self.connect(subprotocol).await;
        client.hello(&self.token_of(user, user.0)).await;
        let welcome = client.until(|frame| matches!(frame, Frame::Welcome(_))).await;
        let Frame::Welcome(welcome) = welcome else { unreachable!() };
        assert_eq!(welcome.user, user.to_string());
        // Nobody is sent to a region that is not active.
        let [placement] = &welcome.placements[..] else { panic!("{:?}", welcome.placements) };
        let [region] = &placement.regions[..] else { panic!("{placement:?}") };
        assert_eq!((region.name.as_str(), placement.epoch), ("localhost", 1));
        client.ask(Ask::Sync(v1::Sync::default())).await;
        client.until(|frame| matches!(frame, Frame::Done(_))).await;
        client
    }
}

/// Plain text at that address.
pub fn plain(address: &str) -> GatewayConfig {
    let secrets = CursorSecrets { current: (1, [3; 32]), previous: None };
    GatewayConfig {
        listen: address.parse().unwrap(),
        transport: Transport::InsecureLoopback,
        admin: "127.0.0.1:0".parse().unwrap(),
        cursor_secrets: BTreeMap::from([(GLOBAL, secrets)]),
        connections_max: CONNECTIONS_MAX,
    }
}

pub fn sign(key: &EncodingKey, sub: &str, device: &str, cluster: &str, seconds: i64) -> String {
    let claims = json!({ "sub": sub, "device": device, "aud": cluster, "exp": in_seconds(seconds) });
    jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, key).unwrap()
}

fn in_seconds(seconds: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    now as i64 + seconds
}

/// A client that takes frames as they come.
pub struct Client<S> {
    pub socket: WebSocketStream<S>,
    subprotocol: Subprotocol,
    next: u64,
    /// What came before an answer that was waited for: a region answers and delivers in either order.
    aside: VecDeque<ServerFrame>,
    pub closed: Option<CloseFrame>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn shake_hands(stream: S, subprotocol: &str) -> Result<Self, tungstenite::Error> {
        let mut request = "ws://localhost/".into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol.parse().unwrap());
        let (socket, _) = client_async(request, stream).await?;
        Ok(Self { socket, subprotocol: Subprotocol::Proto, next: 0, aside: VecDeque::new(), closed: None })
    }

    pub fn speaking(mut self, subprotocol: Subprotocol) -> Self {
        self.subprotocol = subprotocol;
        self
    }

    pub async fn hello(&mut self, token: &str) {
        let hello =
            v1::Hello { token: token.to_owned(), version_min: 1, version_max: 1, client: "test".into() };
        self.ask(Ask::Hello(hello)).await;
    }

    pub async fn ask(&mut self, frame: Ask) -> u64 {
        self.next += 1;
        let frame = ClientFrame { request: self.next, frame: Some(frame) };
        let message = match self.subprotocol.encode_client(&frame) {
            Payload::Binary(bytes) => Message::Binary(bytes),
            Payload::Text(bytes) => Message::Text(bytes.try_into().unwrap()),
        };
        self.socket.send(message).await.unwrap();
        self.next
    }

    /// The next frame; none when the server has closed.
    pub async fn next(&mut self) -> Option<ServerFrame> {
        match self.aside.pop_front() {
            Some(frame) => Some(frame),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Option<ServerFrame> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("nothing came in time");
            let payload = match message {
                Some(Ok(Message::Binary(bytes))) => Payload::Binary(bytes),
                Some(Ok(Message::Text(text))) => Payload::Text(text.into()),
                Some(Ok(Message::Close(frame))) => {
                    self.closed = frame;
                    continue;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return None,
            };
            return Some(self.subprotocol.decode_server(&payload).unwrap());
        }
    }

    /// Takes frames until that one comes.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().await.expect("the server has closed");
            let frame = frame.frame.unwrap();
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// The answer to that request; what comes before it stays to be taken.
    async fn answer(&mut self, request: u64) -> Frame {
        loop {
            let frame = self.read().await.expect("the server has closed");
            if frame.request == request {
                return frame.frame.unwrap();
            }
            self.aside.push_back(frame);
        }
    }

    /// The code of the error that ends this connection.
    pub async fn refusal(&mut self) -> String {
        let error = self.until(|frame| matches!(frame, Frame::Error(_))).await;
        let Frame::Error(error) = error else { unreachable!() };
        while self.next().await.is_some() {}
        let reason = self.closed.as_ref().map(|frame| frame.reason.to_string());
        assert_eq!(reason.as_deref(), Some(error.code.as_str()), "the close names the code");
        error.code
    }

    pub async fn create(&mut self, conversation: ConversationId, members: &[UserId]) {
        let create = v1::CreateGroup {
            conversation: conversation.to_string(),
            command: message(conversation.0 & 0xffff),
            members: members.iter().map(ToString::to_string).collect(),
            name: "town".into(),
            begun_in: String::new(),
            epoch: 0,
        };
        let request = self.ask(Ask::CreateGroup(create)).await;
        let answer = self.answer(request).await;
        assert!(matches!(answer, Frame::Done(_)), "{answer:?}");
    }

    pub async fn send(&mut self, conversation: ConversationId, body: Vec<u8>) -> v1::Done {
        let answer = self.try_to_send(conversation, body).await;
        let Frame::Done(done) = answer else { panic!("{answer:?}") };
        done
    }

    /// What becomes of a message.
    pub async fn try_to_send(&mut self, conversation: ConversationId, body: Vec<u8>) -> Frame {
        let send = v1::Send {
            conversation: conversation.to_string(),
            message: message(u128::from(self.next)),
            body: body.into(),
            ..v1::Send::default()
        };
        let request = self.ask(Ask::Send(send)).await;
        self.answer(request).await
    }

    /// Takes frames until a post is delivered.
    pub async fn post(&mut self) -> (v1::Deliver, v1::Post) {
        loop {
            let frame = self.until(|frame| matches!(frame, Frame::Deliver(_))).await;
            let Frame::Deliver(deliver) = frame else { unreachable!() };
            if let Some(v1::item::Content::Post(post)) = deliver.items.last().unwrap().content.clone() {
                return (deliver, post);
            }
        }
    }
}

/// An HTTP request to the operators' interface: the status line's number and all that follows it.
pub async fn http(address: SocketAddr, path: &str, token: Option<&str>) -> (u16, String) {
    request(address, &format!("GET {path}"), token, "").await
}

/// The same of a request with a body.
pub async fn request(address: SocketAddr, what: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bearer = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let length = body.len();
    let request = format!(
        "{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{bearer}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

fn start_region(folder: &TempDir, token_key: &SigningKey) -> RegionNode {
    let id = RegionId(1);
    let replica = ReplicaId { region: id, incarnation: Incarnation(5) };
    let signing = SigningKey::from_bytes(&[1; 32]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // The cluster file has another one, which no epoch has admitted.
    let other = RegionId(2);
    let region = |(id, name): (RegionId, &str)| {
        let client = ClientAddress { secure: false, host: "127.0.0.1".into(), port: 1 };
        let (jurisdiction, admin) = ("eu".into(), "127.0.0.1:1".parse().unwrap());
        let bridge = socket.local_addr().unwrap();
        (id, ClusterRegion { id, name: name.into(), jurisdiction, bridge, client, admin })
    };
    let regions = BTreeMap::from([(id, "localhost"), (other, "elsewhere")].map(region));
    drop(socket);
    let placement = ClusterPlacement {
        id: GLOBAL,
        name: "global".into(),
        regions: [id, other].into(),
        key: token_key.verifying_key(),
        durability: Durability::default(),
        kept_days: None,
        backup: None,
    };
    let cluster = Arc::new(Cluster {
        name: "test".into(),
        regions,
        placements: BTreeMap::from([(GLOBAL, placement)]),
        token_key: token_key.verifying_key(),
        bridges: BTreeMap::new(),
    });
    let active = BTreeMap::from([(replica, signing.verifying_key())]);
    let before = Placement::new(GLOBAL, [id, other].into(), token_key.verifying_key());
    let epochs = vec![EpochStatement::sign(&before, active, token_key)];
    write_certificate(folder.path(), "localhost");
    let (chain, key) = certificate_files(folder.path());
    let files = CertificateFiles { authorities: folder.path().join("ca.pem"), chain, key };
    let certificates = Certificates::read(files, "localhost").unwrap();
    RegionNode::start(NodeConfig {
        region: id,
        cluster,
        epochs,
        signing_key: signing,
        certificates,
        data: folder.path().join("data"),
        limits: Limits::default(),
        bridges: BridgeSettings::default(),
        connections_max: 100,
        trust_wall_clock: false,
        ending: Ending::new(|why| panic!("the region ended: {why}")),
    })
    .unwrap()
}

pub fn certificate_files(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("region.pem"), folder.join("region.key"))
}

/// A new authority and a certificate of that name; gives the authority's certificate in DER.
pub fn write_certificate(folder: &Path, name: &str) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let (chain_file, key_file) = certificate_files(folder);
    std::fs::write(chain_file, leaf.pem()).unwrap();
    std::fs::write(key_file, key.serialize_pem()).unwrap();
    authority.der().to_vec()
}
