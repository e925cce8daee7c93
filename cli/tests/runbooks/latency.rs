//! High latency, in its three kinds: a slow link, a slow disk, a full mailbox.
//!
//! What must always hold: each shows in its own figure, and not in those of the two others; none of it loses anything, and all figures fall again.

use crate::runbook::Runbook;
use crate::stand::{EAST, Stand, WEST};
use crate::two_regions::{GLOBAL, global_of, wait_until};
use bytes::Bytes;
use crdt::ConversationId;
use gateway_client_net::{Act, ClientHandle, Event, Events};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const RUNBOOK: &str = include_str!("../../../docs/operations/high-latency.md");
/// One way, so a trip is twice that.
const SLOW_LINK: Duration = Duration::from_millis(300);
const SLOW_SYNC: Duration = Duration::from_millis(300);
/// Far above what a busy machine takes for a trip through the relay or for a sync, and far below those two.
const SLOW_US: u64 = 250_000;
/// Devices that write at once: each has 16 messages of a conversation on its way, and a mailbox has room for 1,024.
const DEVICES: u64 = 120;
const MESSAGES_EACH: usize = 24;

fn trip_us(stand: &Stand, region: usize) -> u64 {
    stand.said_of(region)["bridges"][0]["round_trip_us"].as_u64().unwrap_or_default()
}

fn figure(stand: &Stand, what: &str) -> u64 {
    global_of(&stand.said_of(WEST))[what].as_u64().unwrap_or_default()
}

fn count(mut events: Events, acknowledged: Arc<AtomicUsize>) {
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Acknowledged { place: Some(_), .. }) {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
}

/// Somebody in west begins a group and writes in it.
async fn begin(
    stand: &Stand,
    number: u64,
    acknowledged: &Arc<AtomicUsize>,
) -> (ClientHandle, ConversationId) {
    let (client, events) = ClientHandle::connect(stand.regions.device(WEST, number, 1));
    count(events, Arc::clone(acknowledged));
    let conversation = ConversationId::group(GLOBAL, number.into());
    let create = Act::CreateGroup { conversation, command: None, members: vec![], name: "isle".into() };
    client.act(create).await.unwrap();
    (client, conversation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_a_slow_disk_and_a_full_mailbox_show_each_in_its_own_figure() {
    let stand = Stand::start();
    let runbook = Runbook::new(RUNBOOK, stand.regions.path());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let (client, conversation) = begin(&stand, 1_000, &acknowledged).await;
    let writes = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        loop {
            every.tick().await;
            client.send(conversation, Bytes::from_static(b"now and then"), None).await.unwrap();
        }
    });
    wait_until("west writes", || figure(&stand, "last_sync_us") > 0);
    let sync_is_slow = || figure(&stand, "last_sync_us") > SLOW_US;
    let trip_is_slow = || trip_us(&stand, EAST) > SLOW_US && trip_us(&stand, WEST) > SLOW_US;
    let trip_metric = runbook.says("archipelago_bridge_round_trip_microseconds");

    stand.set_delay(SLOW_LINK);
    wait_until("both say that a trip takes long", trip_is_slow);
    wait_until("and a sync does not", || !sync_is_slow());
    assert!(stand.regions.metric(WEST, trip_metric) > SLOW_US);
    let table = runbook.run("archipelago status --cluster demo");
    for column in ["trip ms", "sync ms", "waiting"] {
        assert!(table.contains(runbook.says(column)), "{table}");
    }
    stand.set_delay(Duration::from_millis(1));
    wait_until("a trip takes no longer than before", || {
        trip_us(&stand, EAST) < SLOW_US && trip_us(&stand, WEST) < SLOW_US
    });

    let metric = |name: &str| stand.regions.metric(WEST, &format!("{name}{{placement=\"global\"}}"));
    let sync_time = || metric(runbook.says("archipelago_shard_sync_microseconds_total"));
    let syncs = || metric(runbook.says("archipelago_shard_syncs_total"));
    stand.machine.set_sync(SLOW_SYNC);
    wait_until("west says that a sync takes long", sync_is_slow);
    assert!(!trip_is_slow(), "and a trip does not");
    let before = (sync_time(), syncs());
    wait_until("some syncs more", || syncs() > before.1 + 3);
    let (took, more) = (sync_time() - before.0, syncs() - before.1);
    assert!(took / more > SLOW_US, "{took} microseconds for {more} syncs");

    let refused = || metric(runbook.says("archipelago_shard_letters_refused_total"));
    let waiting = || metric(runbook.says("archipelago_shard_letters_waiting"));
    assert!(refused() == 0 && waiting() < 100, "one device does not fill it: {} wait", waiting());
    let mut clients = Vec::new();
    for number in 0..DEVICES {
        clients.push(begin(&stand, number, &acknowledged).await);
    }
    wait_until("all groups are begun", || acknowledged.load(Ordering::Relaxed) > 0 && waiting() < 100);
    let before = acknowledged.load(Ordering::Relaxed);
    stand.machine.set_sync(4 * SLOW_SYNC);
    for _ in 0..MESSAGES_EACH {
        for (client, conversation) in &clients {
            client.send(*conversation, Bytes::from_static(b"all at once"), None).await.unwrap();
        }
    }
    wait_until("hundreds wait, and some are refused", || {
        figure(&stand, "letters_waiting") > 500 && refused() > 0
    });
    assert!(!trip_is_slow(), "and a trip takes no longer");
    println!("{} letters wait, {} were refused", waiting(), refused());
    stand.machine.set_sync(Duration::ZERO);
    let all = before + DEVICES as usize * MESSAGES_EACH;
    wait_until("all of it is acknowledged", || acknowledged.load(Ordering::Relaxed) >= all);
    wait_until("nothing waits", || waiting() < 100 && !sync_is_slow());
    writes.abort();
    runbook.was_followed();
}
