//! The driver against a real WebSocket on loopback, behind which a few lines play the region.
//!
//! What must always hold: both subprotocols work; TLS is spoken with who is vouched for and nobody else; a lost connection is opened
//! again; a slow application holds the region up instead of filling the memory, and loses nothing.

#![allow(clippy::unwrap_used)]

use crdt::{ConversationId, DeviceId, PlacementId, UserId};
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_client_net::{Act, Address, ClientHandle, Config, Event, Events, Settings, Subprotocol, trust};
use gateway_protocol::v1::client_frame::Frame as Asked;
use gateway_protocol::v1::server_frame::Frame as Told;
use gateway_protocol::{Payload, v1};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

const ME: UserId = UserId::new(PlacementId(1), 1);
const SOON: Duration = Duration::from_secs(20);

fn conversation() -> ConversationId {
    ConversationId::group(PlacementId(1), 7)
}

fn settings(url: &str, subprotocol: Subprotocol, tls: Option<Arc<rustls::ClientConfig>>) -> Settings {
    let config = Config {
        user: ME,
        device: DeviceId(1),
        token: "token".into(),
        client: "test".into(),
        home: vec![Address { region: "near".into(), url: url.to_owned() }],
        placements: Vec::new(),
    };
    Settings { config, subprotocol, tls }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address.to_string())
}

/// A connection on the region's side.
struct Region<S> {
    socket: WebSocketStream<S>,
    subprotocol: Subprotocol,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Region<S> {
    async fn accept(stream: S) -> Self {
        let mut spoken = None;
        // The error's size is the library's choice.
        #[allow(clippy::result_large_err)]
        let agree = |request: &Request, mut response: Response| {
            let offered = request.headers().get("sec-websocket-protocol").unwrap();
            spoken = Subprotocol::from_name(offered.to_str().unwrap());
            response.headers_mut().insert("sec-websocket-protocol", offered.clone());
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
        Self { socket, subprotocol: spoken.unwrap() }
    }

    async fn hear(&mut self) -> Option<v1::ClientFrame> {
        let payload = match self.socket.next().await?.ok()? {
            Message::Binary(bytes) => Payload::Binary(bytes),
            Message::Text(text) => Payload::Text(text.into()),
            _ => return None,
        };
        Some(self.subprotocol.decode_client(&payload).unwrap())
    }

    async fn tell(&mut self, request: u64, frame: Told) {
        let frame = v1::ServerFrame { request, frame: Some(frame) };
        let message = match self.subprotocol.encode_server(&frame) {
            Payload::Binary(bytes) => Message::Binary(bytes),
            Payload::Text(bytes) => Message::Text(bytes.try_into().unwrap()),
        };
        // The client may have gone.
        let _ = self.socket.send(message).await;
    }

    /// Answers until the client goes.
    async fn serve(&mut self) {
        while let Some(frame) = self.hear().await {
            let told = match frame.frame.unwrap() {
                Asked::Hello(_) => welcome(),
                Asked::Ping(_) => Told::Pong(v1::Pong::default()),
                Asked::Send(send) => Told::Done(v1::Done {
                    conversation: send.conversation,
                    command: send.message,
                    dot: "r1.0000000000000001:1".into(),
                    hlc: "1.0".into(),
                    ..v1::Done::default()
                }),
                _ => Told::Done(v1::Done::default()),
            };
            self.tell(frame.request, told).await;
        }
    }
}

fn welcome() -> Told {
    let regions = vec![v1::Region { name: "near".into(), url: "ws://near".into() }];
    let placement = v1::Placement { id: "p1".into(), name: "global".into(), regions, epoch: 1, geo: false };
    Told::Welcome(v1::Welcome {
        version: 1,
        region: "near".into(),
        placements: vec![placement],
        ..v1::Welcome::default()
    })
}

/// The first event that the function takes.
async fn until<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(events.next().await.unwrap()) {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, found).await.unwrap()
}

fn signed_in(event: Event) -> Option<()> {
    matches!(event, Event::SignedIn { .. }).then_some(())
}

#[tokio::test]
async fn a_message_is_acknowledged_in_either_subprotocol() {
    for subprotocol in Subprotocol::ALL {
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            Region::accept(stream).await.serve().await;
        });
        let (client, mut events) =
            ClientHandle::connect(settings(&format!("ws://{address}"), subprotocol, None));
        let message = client.send(conversation(), "hello".into(), None).await.unwrap();
        let acknowledged = until(&mut events, |event| match event {
            Event::Acknowledged { command, .. } => Some(command),
            _ => None,
        });
        assert_eq!(acknowledged.await, message);
    }
}

/// A certificate for this host, and the text of who vouches for it.
fn certificate() -> (rustls::ServerConfig, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (config, made.cert.pem())
}

#[tokio::test]
async fn tls_is_spoken_with_a_region_that_is_vouched_for_and_with_no_other() {
    let (config, pem) = certificate();
    let (_, stranger) = certificate();
    let (listener, address) = listen().await;
    let port = address.rsplit(':').next().unwrap().to_owned();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust this region breaks off here.
            if let Ok(stream) = acceptor.accept(stream).await {
                Region::accept(stream).await.serve().await;
            }
        }
    });
    let url = format!("wss://localhost:{port}");
    let trusting = Some(trust(stranger.as_bytes()).unwrap());
    let (_refuses, mut events) = ClientHandle::connect(settings(&url, Subprotocol::Proto, trusting));
    let mut failures = 0;
    until(&mut events, |event| {
        assert!(matches!(event, Event::SignedOut { .. }), "{event:?}");
        failures += 1;
        (failures == 2).then_some(())
    })
    .await;
    drop((_refuses, events));
    let trusting = Some(trust(pem.as_bytes()).unwrap());
    let (_client, mut events) = ClientHandle::connect(settings(&url, Subprotocol::Proto, trusting));
    until(&mut events, signed_in).await;
    let (_without, mut events) = ClientHandle::connect(settings(&url, Subprotocol::Proto, None));
    until(&mut events, |event| matches!(event, Event::SignedOut { .. }).then_some(())).await;
    assert!(trust(b"nothing here").is_err());
}

#[tokio::test]
async fn a_lost_connection_is_opened_again_and_what_was_not_answered_is_sent_again() {
    let (listener, address) = listen().await;
    let region = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut first = Region::accept(stream).await;
        let mut lost = None;
        while lost.is_none() {
            let frame = first.hear().await.unwrap();
            match frame.frame.unwrap() {
                Asked::Hello(_) => first.tell(frame.request, welcome()).await,
                Asked::Send(send) => lost = Some(send.message),
                _ => {}
            }
        }
        // Gone without an answer and without a word.
        drop(first);
        let (stream, _) = listener.accept().await.unwrap();
        Region::accept(stream).await.serve().await;
        lost.unwrap()
    });
    let (client, mut events) =
        ClientHandle::connect(settings(&format!("ws://{address}"), Subprotocol::Json, None));
    let message = client.send(conversation(), "hello".into(), None).await.unwrap();
    until(&mut events, |event| match event {
        Event::Acknowledged { command, .. } => {
            assert_eq!(command, message);
            Some(())
        }
        _ => None,
    })
    .await;
    // The client stops with its last handle, and the region sees the end of the connection.
    drop(client);
    let lost = tokio::time::timeout(SOON, region).await.unwrap().unwrap();
    assert_eq!(lost, message.to_string());
}

/// Delivers one item after another, as fast as the client takes them.
async fn flood(stream: TcpStream, sent: Arc<AtomicUsize>, count: usize) {
    let mut region = Region::accept(stream).await;
    let hello = region.hear().await.unwrap();
    region.tell(hello.request, welcome()).await;
    for number in 1..=count {
        let post = v1::Post { body: vec![b'x'; 4_000].into(), ..v1::Post::default() };
        let item = v1::Item {
            sender: UserId::new(PlacementId(1), 2).to_string(),
            message: crdt::MessageId(number as u128).to_string(),
            dot: format!("r1.0000000000000001:{number}"),
            hlc: format!("{number}.0"),
            content: Some(v1::item::Content::Post(post)),
        };
        let deliver = v1::Deliver {
            conversation: conversation().to_string(),
            items: vec![item],
            cursor: number.to_string().into(),
        };
        region.tell(0, Told::Deliver(deliver)).await;
        sent.store(number, Ordering::SeqCst);
    }
    // Reads what the client acknowledges, so that it is not closed with unread data.
    while region.hear().await.is_some() {}
}

#[tokio::test]
async fn a_slow_application_holds_up_the_region_and_loses_nothing() {
    const COUNT: usize = 20_000;
    let (listener, address) = listen().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let region_sent = Arc::clone(&sent);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        flood(stream, region_sent, COUNT).await;
    });
    let (_client, mut events) =
        ClientHandle::connect(settings(&format!("ws://{address}"), Subprotocol::Proto, None));
    // Nobody reads events: the region gets stuck once the buffers of both sides are full.
    let mut before = usize::MAX;
    let stuck = async {
        while before != sent.load(Ordering::SeqCst) || before == 0 {
            before = sent.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::time::timeout(SOON, stuck).await.unwrap();
    assert!(sent.load(Ordering::SeqCst) < COUNT, "all 80 MB were taken in though nobody read them");
    let mut shown = 0;
    until(&mut events, |event| {
        if let Event::Shown { item, .. } = event {
            shown += 1;
            assert_eq!(item.message, crdt::MessageId(shown as u128));
        }
        (shown == COUNT).then_some(())
    })
    .await;
}

#[tokio::test]
async fn acts_are_taken_while_there_is_no_region_at_all() {
    let (listener, address) = listen().await;
    drop(listener);
    let (client, mut events) =
        ClientHandle::connect(settings(&format!("ws://{address}"), Subprotocol::Proto, None));
    until(&mut events, |event| matches!(event, Event::SignedOut { .. }).then_some(())).await;
    for _ in 0..100 {
        client.act(Act::MarkRead { conversation: conversation() }).await.unwrap();
        client.send(conversation(), "later".into(), None).await.unwrap();
    }
}
