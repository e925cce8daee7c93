//! Residency over a real run: three regions as processes, everything that passes between them recorded, and all of it read. Not one byte of a placement that is pinned to two of them
//! reaches the third: not on a wire, in a file, the log, a metric, an answer to operators, or a backup. The same search finds the same bytes where they may be.
//!
//! ```text
//!   eu-central ──QUIC──▶ relay ──▶ eu-west        the pinned text is found in what passes here
//!        └────────────▶ relay ──▶ us-east ◀── relay ◀── eu-west     and here nothing of it is
//! ```
//! How it is read: bridges are sealed by TLS 1.3, so the recording alone says nothing. The regions of this test log the secrets of their connections (`SSLKEYLOGFILE`, which only builds
//! for tests know, and tell of loudly), and every recorded packet is opened with them. The other way was a relay that ends the connections of both sides with their certificates: shorter, but
//! then the processes speak with the test and not with each other, and what the test does not forward or does not look at is never seen. Here no packet may stay unread.
//!
//! And the search is shown to see: the outside region's wires carry another text, of a conversation that it may have, which is found there. Last, a patched sender, with a true region's
//! certificate and keys, sends the outside region what it may not have; that is refused, counted and logged, and leaves nothing behind.
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, unreachable_pub)]

mod frames;
mod patched;
mod quic;
#[path = "../region_process/mod.rs"]
mod region_process;
#[path = "../s3/mod.rs"]
mod s3;
mod search;
mod stand;
#[path = "../through_relay/mod.rs"]
mod through_relay;

use crdt::{Bucket, ConversationId, Incarnation, PartitionId, PlacementId, RegionId, ReplicaId, UserId};
use gateway_client_net::{Act, ClientHandle, Event, Events};
use patched::{Patched, begins_anew, under_another_name};
use prost::Message as _;
use quic::Plain;
use replication::proto;
use search::Search;
use stand::{NAMES, Stand};
use std::time::Duration;

const GLOBAL: PlacementId = PlacementId(1);
const EU: PlacementId = PlacementId(2);
const CENTRAL: usize = 0;
const WEST: usize = 1;
const EAST: usize = 2;
const PINNED_TEXT: &str = "canary-91c4-of-the-pinned-isle";
const SHARED_TEXT: &str = "canary-2b7e-of-everybody";
const TEXT: &str = "the text of a message";

/// What passed between two regions, all of it read.
fn read(stand: &Stand, one: usize, other: usize) -> (Plain, Plain) {
    let recorded = stand.recorded(one, other);
    assert_eq!(recorded.missed, 0, "the recording has room");
    let (there, back) = quic::read(&recorded.datagrams, &stand.key_log());
    assert_eq!(
        (there.unread, back.unread),
        (0, 0),
        "{} and {}: packets that nobody can read",
        NAMES[one],
        NAMES[other]
    );
    assert!(
        there.packets.len() + back.packets.len() >= recorded.datagrams.len(),
        "at least one packet a datagram"
    );
    (there, back)
}

/// The frames that a region has sent on its bridge, connection by connection.
fn frames_of(plain: &Plain) -> Vec<Vec<proto::Frame>> {
    let of_stream = |stream: &Vec<u8>| {
        let (mut rest, mut frames) = (&stream[..], Vec::new());
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            // The last one may still be on its way.
            let Some((frame, behind)) = behind.split_at_checked(u32::from_be_bytes(*length) as usize) else {
                break;
            };
            frames.push(proto::Frame::decode(frame).unwrap());
            rest = behind;
        }
        frames
    };
    plain.streams.iter().map(of_stream).collect()
}

/// The places, among the shared placements, of those that a frame says something of.
fn placements_of(frame: &proto::Frame) -> Vec<u32> {
    let resumed = frame.resume.iter().flat_map(|resume| &resume.partitions).map(|one| one.partition);
    let partitions = resumed
        .chain(frame.sections.iter().map(|one| one.partition))
        .chain(frame.feeds.iter().map(|one| one.partition))
        .chain(frame.fetches.iter().map(|one| one.partition))
        .chain(frame.fetched.iter().map(|one| one.partition))
        .chain(frame.rewinds.iter().map(|one| one.partition))
        .chain(frame.states.iter().map(|one| one.partition));
    let whole =
        frame.caught_up.iter().map(|one| one.placement).chain(frame.inlines.iter().map(|one| one.placement));
    partitions.map(|partition| partition / 1_024).chain(whole).collect()
}

async fn wait_for(events: &mut Events, is_wanted: impl Fn(&Event) -> bool) {
    let found = async { while !is_wanted(&events.next().await.unwrap()) {} };
    tokio::time::timeout(Duration::from_secs(60), found).await.expect("what is waited for is told");
}

/// Begins a group and says something there, until all its regions have it.
async fn say(
    client: &ClientHandle,
    events: &mut Events,
    conversation: ConversationId,
    with: Vec<UserId>,
    text: &str,
) {
    let create = Act::CreateGroup { conversation, command: None, members: with, name: text.into() };
    client.act(create).await.unwrap();
    let sent = client.send(conversation, text.to_owned().into(), None).await.unwrap();
    wait_for(events, |event| matches!(event, Event::Stable { command, .. } if *command == sent)).await;
}

/// Whom and what the test is about.
struct Told {
    pinned: Search,
    /// What the outside region may have.
    shared: Search,
}

/// People talk, inside `eu` and everywhere, until all of it has gone wherever it goes.
async fn talk(stand: &Stand) -> Told {
    let pinned = ConversationId::group(EU, 0x51a7_77e5);
    let shared = ConversationId::group(GLOBAL, 0x600d_f00d);
    let (bob, carol) = (UserId::new(EU, 0xb0b_5eed_cafe), UserId::new(EU, 0xca4_5eed_cafe));
    let eve = UserId::new(GLOBAL, 0xe7e_5eed_cafe);
    let (of_bob, mut bobs) = stand.device(CENTRAL, bob);
    let (_of_carol, mut carols) = stand.device(WEST, carol);
    let (of_eve, mut eves) = stand.device(EAST, eve);
    say(&of_eve, &mut eves, shared, vec![], SHARED_TEXT).await;
    say(&of_bob, &mut bobs, pinned, vec![carol], PINNED_TEXT).await;
    let is_there =
        |event: &Event| matches!(event, Event::Shown { conversation, .. } if *conversation == pinned);
    wait_for(&mut carols, is_there).await;
    // Whatever follows from it, and may go to the outside region, has gone there once that has what came later.
    say(&of_eve, &mut eves, ConversationId::group(GLOBAL, 0x600d_f00e), vec![], "and later").await;
    Told { pinned: Search::new(pinned, bob, PINNED_TEXT), shared: Search::new(shared, eve, SHARED_TEXT) }
}

/// Between the regions that may have it, the pinned text is found; on the ways to and from the one outside, nothing of it, and not even that there is such a placement.
fn look_at_wires(stand: &Stand, told: &Told) {
    let (inside, _) = read(stand, CENTRAL, WEST);
    let found = told.pinned.bytes("the wire inside", inside.packets.iter().chain(&inside.streams));
    assert!(found.holds(TEXT) && found.holds("the conversation's id"), "{found:?}");
    assert!(frames_of(&inside).concat().iter().any(|frame| placements_of(frame).contains(&1)));
    let mut looked = 0;
    for one in [CENTRAL, WEST] {
        let (to_east, from_east) = read(stand, one, EAST);
        for (way, plain) in [("to the outside", &to_east), ("from the outside", &from_east)] {
            let here = told.pinned.bytes(way, plain.packets.iter().chain(&plain.streams));
            here.is_nowhere(2_000);
            looked += here.bytes;
            for frame in frames_of(plain).concat() {
                assert!(placements_of(&frame).iter().all(|placement| *placement == 0), "{frame:?}");
                let mut shared = frame.hello.iter().flat_map(|hello| &hello.placements);
                assert!(shared.all(|shared| shared.placement == u32::from(GLOBAL.0)), "{frame:?}");
            }
        }
        assert!(
            told.shared.bytes("from the outside", &from_east.streams).holds(TEXT),
            "the search sees there"
        );
    }
    let datagrams = stand.counted(CENTRAL, EAST) + stand.counted(WEST, EAST);
    eprintln!("wires of the outside region: {datagrams} datagrams, {looked} bytes of plain text");
}

/// What the region outside says to its operators.
fn look_at_answers_outside(stand: &Stand, told: &Told) {
    for (what, at_least) in [("/metrics", 5_000), ("/v1/status", 200), ("/v1/export?placement=global", 500)] {
        let answer = stand.ask(EAST, what);
        told.pinned.bytes(what, [&answer]).is_nowhere(at_least);
    }
}

/// The same, and by the same search what may be said there and inside.
fn look_at_answers(stand: &Stand, told: &Told) {
    look_at_answers_outside(stand, told);
    assert!(told.shared.bytes("export", [&stand.ask(EAST, "/v1/export?placement=global")]).holds(TEXT));
    assert!(told.pinned.bytes("export", [&stand.ask(CENTRAL, "/v1/export?placement=eu")]).holds(TEXT));
}

/// Backups of both, as they are when they are fetched and opened.
fn look_at_backups(stand: &Stand, told: &Told) {
    stand.backed_up(EAST, "global");
    stand.backed_up(CENTRAL, "eu");
    let fetched = |region: usize| stand.path().join(format!("fetched-{}", NAMES[region]));
    told.pinned.path(&fetched(EAST)).is_nowhere(10_000);
    assert!(told.shared.path(&fetched(EAST)).holds(TEXT), "the search sees there");
    assert!(told.pinned.path(&fetched(CENTRAL)).holds(TEXT));
}

/// A patched sender sends the outside region what had gone to the other one inside, and then hides it among what may go there.
async fn send_all_the_same(stand: &Stand, told: &Told) {
    let (to_west, to_east) = (read(stand, CENTRAL, WEST).0, read(stand, CENTRAL, EAST).0);
    let hello = frames_of(&to_east).pop().unwrap()[0].clone();
    let holds = |frame: &&proto::Frame| told.pinned.bytes("a frame", [&frame.encode_to_vec()]).holds(TEXT);
    let sent = frames_of(&to_west).concat().iter().find(holds).unwrap().clone();
    let own = ReplicaId {
        region: RegionId(1),
        incarnation: Incarnation(hello.hello.as_ref().unwrap().placements[0].incarnation),
    };
    let partition = PartitionId { placement: GLOBAL, bucket: Bucket::new(5).unwrap() };
    let hidden = under_another_name(stand, CENTRAL, own, partition, told.pinned.post(PINNED_TEXT));
    assert!(holds(&&hidden));
    for (frame, code, why) in [
        (sent, 25, "of no placement that both regions have a part in"),
        (hidden, 27, "p1/5 is about a conversation of another partition"),
    ] {
        let alarms = stand.metric(EAST, "archipelago_bridge_alarms");
        let caller = Patched::call(stand, CENTRAL, EAST).await;
        let closed = caller.send(&[hello.clone(), begins_anew(), frame]).await;
        assert!(closed.0 == code && closed.1.contains(why), "{closed:?}");
        assert_eq!(stand.metric(EAST, "archipelago_bridge_alarms"), alarms + 1, "it is counted");
        let alarmed =
            |line: &&str| line.contains("WARN") && line.contains("bridge alarm") && line.contains(why);
        assert_eq!(stand.log_of(EAST).lines().filter(alarmed).count(), 1, "and in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_pinned_conversation_reaches_the_region_outside_on_whatever_way() {
    let mut stand = Stand::start();
    let told = talk(&stand).await;
    look_at_wires(&stand, &told);
    look_at_answers(&stand, &told);
    look_at_backups(&stand, &told);
    // Whoever poses as it has the bridge to itself.
    stand.kill(CENTRAL);
    send_all_the_same(&stand, &told).await;
    look_at_answers_outside(&stand, &told);
    stand.kill(EAST);
    let [data, log] = ["data/us-east", "us-east.log"].map(|of| told.pinned.path(&stand.path().join(of)));
    data.is_nowhere(10_000);
    log.is_nowhere(50_000);
    eprintln!("outside: {} bytes of files, {} bytes of log", data.bytes, log.bytes);
    assert!(told.pinned.path(&stand.path().join("data/eu-central")).holds(TEXT));
    assert!(stand.log_of(EAST).contains("the secrets of all bridges are written"), "that is told loudly");
}
