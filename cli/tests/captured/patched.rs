//! A patched sender: it has the certificate and the keys of a true region, and sends what the true program cannot be brought to send.
//!
//! What must always hold: it says Hello as the region that it poses as last said it, so that what it is refused for is what it sends.

use crate::stand::{NAMES, Stand};
use crdt::operation::{Body, Draft, Post};
use crdt::{ChainHead, ConversationId, Dot, MessageId, PartitionId, ReplicaId, Sequence, Timestamp, UserId};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use prost::Message as _;
use prost::encoding::encode_varint;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint};
use replication::commit::{Commit, OperationBytes};
use replication::proto;
use replication::signature::Ed25519;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;

/// One region posing as another, on a connection of its own to a third.
pub struct Patched {
    connection: Connection,
    _endpoint: Endpoint,
}

impl Patched {
    pub async fn call(stand: &Stand, as_region: usize, to: usize) -> Self {
        let certs = stand.path().join("demo/certs");
        let (name, path) = (NAMES[as_region], |file: String| certs.join(file));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(path("ca.pem".into())).unwrap()).unwrap();
        let chain = CertificateDer::from_pem_file(path(format!("{name}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(path(format!("{name}.key"))).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap();
        let mut tls = tls.with_root_certificates(roots).with_client_auth_cert(vec![chain], key).unwrap();
        tls.alpn_protocols = vec![b"archipelago-bridge".to_vec()];
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = stand.cluster.region_named(NAMES[to]).unwrap().bridge;
        let connection = endpoint.connect_with(config, address, NAMES[to]).unwrap().await.unwrap();
        Self { connection, _endpoint: endpoint }
    }

    /// Sends these frames. Returns the code with which the connection is closed, and the words with it.
    pub async fn send(&self, frames: &[proto::Frame]) -> (u64, String) {
        let (mut send, _receive) = self.connection.open_bi().await.unwrap();
        for frame in frames {
            let frame = frame.encode_to_vec();
            send.write_all(&(frame.len() as u32).to_be_bytes()).await.unwrap();
            send.write_all(&frame).await.unwrap();
        }
        match tokio::time::timeout(Duration::from_secs(20), self.connection.closed()).await.unwrap() {
            ConnectionError::ApplicationClosed(close) => {
                (close.error_code.into_inner(), String::from_utf8(close.reason.to_vec()).unwrap())
            }
            other => panic!("the connection ends with {other}"),
        }
    }
}

/// A frame that says nothing about where the sender stands.
pub fn begins_anew() -> proto::Frame {
    let resume = proto::Resume { partitions: Vec::new(), last: true };
    proto::Frame { resume: Some(resume), ..Default::default() }
}

/// A post of a conversation in the log of a partition that may go there, signed by the region as its own.
pub fn under_another_name(
    stand: &Stand,
    as_region: usize,
    own: ReplicaId,
    partition: PartitionId,
    (conversation, sender, text): (ConversationId, UserId, &str),
) -> proto::Frame {
    let pem =
        std::fs::read_to_string(stand.path().join(format!("demo/keys/replica-{}.pem", NAMES[as_region])));
    let key = SigningKey::from_pkcs8_pem(&pem.unwrap()).unwrap();
    let post = Post { body: text.to_owned().into(), sent_at_ms: 0, reply_to: None, seen: None };
    let hlc = Timestamp::from_ms(1_800_000_000_000);
    let draft = Draft { conversation, hlc, sender, message: MessageId(0x77), body: Body::Post(post) };
    let (envelope, payload) = draft.seal([7; 16]);
    let first = Dot { replica: own, sequence: Sequence(1) };
    let operation = OperationBytes { envelope: envelope.clone(), payload: Some(payload.clone()) };
    let genesis = ChainHead::genesis(partition, own);
    let commit = Commit::sign(partition, own, first.sequence, vec![operation], genesis, (&Ed25519, &key));
    let mut shapes = Vec::new();
    // Told by no other envelope, and with the digest of its payload.
    encode_varint(envelope.len() as u64 * 2, &mut shapes);
    encode_varint(payload.len() as u64 + 1, &mut shapes);
    encode_varint(0, &mut shapes);
    let step = proto::Step {
        first: 1,
        signature: commit.signature.to_vec().into(),
        shapes: shapes.into(),
        data: [envelope, payload].concat().into(),
        ..Default::default()
    };
    let section =
        proto::Section { partition: partition.bucket.number().into(), from: 0, end: 1, steps: vec![step] };
    proto::Frame { sections: vec![section], ..Default::default() }
}
