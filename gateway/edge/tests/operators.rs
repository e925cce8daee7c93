//! What operators see, and what a gateway refuses to start with.
//!
//! What must always hold: nothing but health and counters is told without an operator's token, and no message's body ever; a
//! refusal to start or to reload leaves what was there in use.

#![allow(clippy::unwrap_used)]

mod town;

use gateway_edge::{CursorSecrets, Gateway, GatewayConfig, StartRefused, Transport};
use gateway_protocol::Subprotocol;
use gateway_protocol::v1::server_frame::Frame;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use town::{Client, GLOBAL, Plan, Town, group, http, request, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_health_metrics_state_and_exports_and_nobody_else_does() {
    let town = Town::new().await;
    let mut anna = town.device(user(1), Subprotocol::Proto).await;
    anna.create(group(7), &[user(2)]).await;
    let done = anna.send(group(7), b"a secret body".to_vec()).await;
    let admin = town.gateway.admin_address();
    assert_eq!(http(admin, "/healthz", None).await.0, 200);
    let (status, metrics) = http(admin, "/metrics", None).await;
    assert_eq!(status, 200);
    assert!(metrics.contains("archipelago_gateway_connections 1"), "{metrics}");
    let operator = town.token("operator", "", "test", 60);
    let device = town.token_of(user(1), 1);
    for token in [None, Some("nonsense"), Some(device.as_str())] {
        let (status, text) = http(admin, "/v1/state?placement=global", token).await;
        assert_eq!(status, 401);
        assert!(text.contains("not_operator"), "{text}");
    }
    let (status, text) = http(admin, "/v1/state?placement=mars", Some(&operator)).await;
    assert_eq!(status, 404);
    assert!(text.contains("unknown_placement") && text.contains("global"), "{text}");
    assert_eq!(http(admin, "/v1/status", None).await.0, 401);
    let (status, standing) = http(admin, "/v1/status", Some(&operator)).await;
    let says = |what: &str| standing.contains(what);
    assert!(status == 200 && says(r#""operations":2"#) && says(r#""state":"active""#), "{standing}");
    let (status, state) = http(admin, "/v1/state?placement=global", Some(&operator)).await;
    assert_eq!(status, 200);
    assert!(state.contains(&group(7).to_string()) && state.contains(r#"{"kind":"end"}"#), "{state}");
    assert!(!state.contains(r#""kind":"post""#));
    let path = format!("/v1/items?placement=global&conversation={}", group(7));
    assert_eq!(http(admin, &path, None).await.0, 401);
    let (status, items) = http(admin, &path, Some(&operator)).await;
    assert!(status == 200 && items.contains("its members") && items.contains(&done.dot), "{items}");
    let malformed = http(admin, "/v1/items?placement=global&conversation=x", Some(&operator)).await;
    assert!(malformed.0 == 400 && malformed.1.contains("malformed_id"), "{malformed:?}");
    let (_, export) = http(admin, "/v1/export?placement=global", Some(&operator)).await;
    let post = export.lines().find(|line| line.contains(r#""kind":"post""#)).unwrap();
    assert!(post.contains(&done.dot), "{post}");
    assert!(export.contains(r#""kind":"membership""#));
    assert!(!export.contains("a secret body"), "bodies are told by digest alone");
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_set_homes_and_features_and_are_refused_by_code() {
    let town = Town::new().await;
    let admin = town.gateway.admin_address();
    let operator = town.token("operator", "", "test", 60);
    let token = Some(operator.as_str());
    let act = async |body: String| request(admin, "POST /v1/operate?placement=global", token, &body).await;
    let get = async |path: String| http(admin, &path, token).await.1;
    let body = |answer: String| answer.lines().last().unwrap_or_default().to_owned();
    let ann = user(1);

    let device = town.token_of(ann, 1);
    let erase = format!(r#"{{"act":"erase","user":"{ann}"}}"#);
    for token in [None, Some(device.as_str())] {
        let (status, text) = request(admin, "POST /v1/operate?placement=global", token, &erase).await;
        assert!(status == 401 && text.contains("not_operator"), "{text}");
        assert_eq!(http(admin, "/v1/features?placement=global", token).await.0, 401);
    }
    let said = get(format!("/v1/user?placement=global&user={ann}")).await;
    assert_eq!(
        body(said),
        format!(r#"{{"erased":false,"home":null,"homes":0,"stands_in_for":null,"user":"{ann}"}}"#)
    );

    let home = format!(r#"{{"act":"set-home","user":"{ann}","home":"localhost"}}"#);
    assert_eq!(body(act(home.clone()).await.1), r#"{"changed":true}"#);
    assert_eq!(body(act(home.clone()).await.1), r#"{"changed":false}"#);
    let said = get(format!("/v1/user?placement=global&user={ann}")).await;
    assert_eq!(
        body(said),
        format!(r#"{{"erased":false,"home":"localhost","homes":1,"stands_in_for":null,"user":"{ann}"}}"#)
    );
    assert_eq!(body(act(erase).await.1), r#"{"changed":true}"#);
    let said = get(format!("/v1/user?placement=global&user={ann}")).await;
    assert_eq!(
        body(said),
        format!(r#"{{"erased":true,"home":null,"homes":0,"stands_in_for":null,"user":"{ann}"}}"#)
    );

    let refused = [
        (409, "user_erased", home.clone()),
        (400, "unknown_region", home.replace("localhost", "mars")),
        (400, "malformed_act", home.replace("set-home", "set-house")),
        (400, "malformed_act", home.replace(&ann.to_string(), "ann")),
        (400, "malformed_act", r#"{"act":"set-flag","feature":"calls","flag":"off"}"#.to_owned()),
        (400, "malformed_act", r#"{"act":"set-flag","feature":"posts","flag":-1}"#.to_owned()),
        (409, "feature_without_limit", r#"{"act":"set-flag","feature":"edits","flag":7}"#.to_owned()),
        (409, "other_placement", r#"{"act":"erase","user":"u0009000000000001"}"#.to_owned()),
    ];
    for (status, code, asked) in refused {
        let (told, text) = act(asked.clone()).await;
        assert!(told == status && text.contains(code), "{asked}: {text}");
        assert!(gateway_protocol::codes::entry(code).is_some(), "{code}");
    }
    assert_eq!(act("x".repeat(2_000)).await.0, 413);
    let salvage = "POST /v1/salvage?placement=global";
    assert_eq!(request(admin, salvage, Some(device.as_str()), "{}").await.0, 401);
    let nothing = |of: &str| format!(r#"{{"of":"{of}","partition":"p1/7","commits":[]}}"#);
    for (status, code, given) in [
        (400, "malformed_act", "{}".to_owned()),
        (400, "malformed_act", nothing("somebody")),
        (409, "not_closed", nothing("r9.0000000000000009")),
    ] {
        let (told, text) = request(admin, salvage, token, &given).await;
        assert!(told == status && text.contains(code), "{given}: {text}");
        assert!(gateway_protocol::codes::entry(code).is_some(), "{code}");
    }

    let mut anna = town.device(ann, Subprotocol::Proto).await;
    anna.create(group(7), &[user(2)]).await;
    let off = r#"{"act":"set-flag","feature":"posts","flag":"off"}"#;
    assert_eq!(body(act(off.to_owned()).await.1), r#"{"changed":true}"#);
    let holds = r#"{"holds":{"posts":"off"},"said":{"localhost":{"posts":"off"}}}"#;
    assert_eq!(body(get("/v1/features?placement=global".to_owned()).await), holds);
    let answer = anna.try_to_send(group(7), b"hello".to_vec()).await;
    assert!(matches!(&answer, Frame::Error(error) if error.code == "feature_off"), "{answer:?}");
    act(off.replace("\"off\"", "null")).await;
    anna.send(group(7), b"hello".to_vec()).await;
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_ask_for_is_recorded_by_name_before_it_is_done_and_viewers_only_look() {
    let town = Town::new().await;
    let admin = town.gateway.admin_address();
    let ann = town.operator_token("ann");
    let viewer = town.token("viewer", "", "test", 60);
    let act = async |token: &str, body: &str| {
        request(admin, "POST /v1/operate?placement=global", Some(token), body).await
    };
    let file = town.folder.path().join("data/global.audit.jsonl");
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let erase = format!(r#"{{"act":"erase","user":"{}"}}"#, user(1));
    let items = format!("GET /v1/items?placement=global&conversation={}", group(7));
    for asked in
        ["GET /v1/export?placement=global", &items, "POST /v1/checkpoint?placement=global", "POST /v1/epochs"]
    {
        let (status, text) = request(admin, asked, Some(&viewer), "").await;
        assert!(status == 403 && text.contains("not_permitted"), "{asked}: {text}");
    }
    assert_eq!(act(&viewer, &erase).await.0, 403);
    for path in
        ["status?", "state?placement=global", "user?placement=global&user=u0001000000000001", "epochs?"]
    {
        assert_eq!(http(admin, &format!("/v1/{path}"), Some(&viewer)).await.0, 200, "{path}");
    }
    assert_eq!(lines(), Vec::<Value>::new(), "nothing was asked for by who may");

    assert_eq!(act(&ann, &erase).await.0, 200);
    assert_eq!(act(&ann, r#"{"act":"set-house"}"#).await.0, 400);
    http(admin, "/v1/export?placement=global", Some(&town.token("operator", "", "test", 60))).await;
    http(admin, "/v1/export?placement=mars", Some(&ann)).await;
    let said = lines();
    let told: Vec<(&Value, &Value)> = said.iter().map(|line| (&line["request"], &line["status"])).collect();
    let (posted, exported) = ("POST /v1/operate?placement=global", "GET /v1/export?placement=global");
    let (asked, none) = (|of: &str| Value::from(of), Value::Null);
    assert_eq!(
        told,
        [
            (&asked(posted), &none),
            (&none, &Value::from(200)),
            (&asked(posted), &none),
            (&none, &Value::from(400)),
            (&asked(exported), &none),
            (&none, &Value::from(200)),
        ]
    );
    assert_eq!((&said[0]["operator"], &said[0]["about"]["act"]), (&asked("ann"), &asked("erase")));
    assert_eq!(said[4]["operator"], asked(""), "a token of before names nobody");
    assert!(said[0]["number"] == said[1]["number"] && said[0]["number"] != said[2]["number"]);

    // What cannot be recorded is not done.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let home = format!(r#"{{"act":"set-home","user":"{}","home":"localhost"}}"#, user(2));
    let (status, text) = act(&ann, &home).await;
    assert!(status == 503 && text.contains("not_recorded"), "{text}");
    std::fs::remove_dir(&file).unwrap();
    let (_, found) = http(admin, &format!("/v1/user?placement=global&user={}", user(2)), Some(&viewer)).await;
    assert!(found.contains(r#""home":null"#), "{found}");
    assert_eq!(act(&ann, &home).await.0, 200);
    let (_, metrics) = http(admin, "/metrics", None).await;
    assert!(metrics.contains("archipelago_gateway_audit_failures_total 1"), "{metrics}");
    assert!(metrics.contains("archipelago_gateway_audit_lines_total 8"), "{metrics}");
    town.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_while_connections_stand() {
    let town = Town::planned(Plan { secure: true, ..Plan::default() }).await;
    let folder = town.folder.path();
    let first = std::fs::read(folder.join("ca.pem")).unwrap();
    let first = rustls::pki_types::pem::PemObject::from_pem_slice(&first).unwrap();
    let mut standing = connect(&town, &first).await.unwrap();
    standing.hello(&town.token_of(user(1), 1)).await;
    assert!(standing.next().await.is_some());
    // A certificate whose key is another's replaces nothing.
    let (chain, key) = town::certificate_files(folder);
    let good_key = std::fs::read(&key).unwrap();
    let second = CertificateDer::from(town::write_certificate(folder, "localhost"));
    let second_key = std::fs::read(&key).unwrap();
    std::fs::write(&key, &good_key).unwrap();
    look_until(&town, Some("certificate_key_differs")).await;
    assert!(connect(&town, &first).await.is_ok());
    // The right one does; who stands is not disturbed.
    std::fs::write(&key, &second_key).unwrap();
    look_until(&town, None).await;
    assert!(connect(&town, &first).await.is_err());
    assert!(connect(&town, &second).await.is_ok());
    standing.ask(gateway_protocol::v1::client_frame::Frame::Ping(gateway_protocol::v1::Ping {})).await;
    assert!(standing.next().await.is_some());
    std::fs::remove_file(&chain).unwrap();
    look_until(&town, Some("certificate_unreadable")).await;
    assert!(connect(&town, &second).await.is_ok());
    let operator = town.token("operator", "", "test", 60);
    let (_, status) = http(town.gateway.admin_address(), "/v1/status", Some(&operator)).await;
    assert!(status.contains("certificate_unreadable") && status.contains("region.pem"), "{status}");
    let (_, metrics) = http(town.gateway.admin_address(), "/metrics", None).await;
    assert!(metrics.contains("archipelago_certificate_refused 1"), "{metrics}");
    assert!(metrics.contains("archipelago_certificate_expires_seconds{use=\"region\"} 6"), "{metrics}");
    // Plain text is not spoken where TLS is.
    let plain = TcpStream::connect(town.gateway.address()).await.unwrap();
    assert!(Client::shake_hands(plain, Subprotocol::Json.name()).await.is_err());
    drop(standing);
    town.stop().await;
}

/// Has the files looked at until what they hold is refused by that code, or taken.
async fn look_until(town: &Town, code: Option<&'static str>) {
    let handle = town.node.handle();
    let looked = async {
        while handle.certificates().standing().refused.map(|refused| refused.code()) != code {
            handle.certificates().look_now();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), looked).await.unwrap();
}

type Secure = Client<tokio_rustls::client::TlsStream<TcpStream>>;

async fn connect(town: &Town, trusted: &CertificateDer<'static>) -> Result<Secure, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(town.gateway.address()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(Client::shake_hands(stream, Subprotocol::Proto.name()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_gateway_must_not_start_with_is_refused() {
    let town = Town::new().await;
    let secrets = CursorSecrets { current: (1, [3; 32]), previous: None };
    let good = GatewayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        transport: Transport::InsecureLoopback,
        admin: "127.0.0.1:0".parse().unwrap(),
        cursor_secrets: BTreeMap::from([(GLOBAL, secrets)]),
        connections_max: 1,
    };
    let start = async |change: &dyn Fn(&mut GatewayConfig)| {
        let mut config = good.clone();
        change(&mut config);
        Gateway::start(config, town.node.handle()).await.map(|_| ()).unwrap_err()
    };
    let everywhere = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(start(&|config| config.listen = everywhere).await, StartRefused::NotLoopback(_)));
    assert!(matches!(start(&|config| config.admin = everywhere).await, StartRefused::AdminNotLoopback(_)));
    let none = |config: &mut GatewayConfig| config.cursor_secrets.clear();
    assert!(matches!(start(&none).await, StartRefused::NoCursorSecret(_)));
    let taken = town.gateway.address();
    assert!(matches!(start(&|config| config.listen = taken).await, StartRefused::Listen { .. }));
    town.stop().await;
}
