//! A reconnect herd: all devices of a region lose it at once, when it is killed and when it is told to end, and come back.
//!
//! What must always hold: killed, each device draws its own time to come back, over the whole of the first second; told to end, west sends all of them to
//! east, which serves all that it does; in the end every one is signed in, once.

use crate::runbook::Runbook;
use crate::stand::{EAST, WEST};
use crate::two_regions::{TwoRegions, wait_until};
use gateway_client_net::{ClientHandle, Event};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const RUNBOOK: &str = include_str!("../../../docs/operations/a-reconnect-herd.md");
const DEVICES: usize = 200;
/// Everybody is back within this. It was seen to take 2 s after a start, and 3 s after a goodbye.
const BACK_WITHIN: Duration = Duration::from_secs(40);

/// What a device was told last of its connection.
#[derive(Default, Clone)]
struct Line {
    signed_in: Option<String>,
    /// The first time that it drew after the last loss, in milliseconds.
    first_retry_ms: Option<u64>,
}

struct Herd {
    lines: Vec<Arc<Mutex<Line>>>,
    _clients: Vec<ClientHandle>,
}

impl Herd {
    fn gather(regions: &TwoRegions) -> Self {
        let mut herd = Self { lines: Vec::new(), _clients: Vec::new() };
        for number in 0..DEVICES {
            let (client, mut events) = ClientHandle::connect(regions.device(WEST, number as u64 + 1, 1));
            let line = Arc::new(Mutex::new(Line::default()));
            let noted = Arc::clone(&line);
            tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    let mut line = noted.lock().unwrap();
                    match event {
                        Event::SignedIn { region, .. } => {
                            *line = Line { signed_in: Some(region), first_retry_ms: line.first_retry_ms };
                        }
                        Event::SignedOut { retry_in_ms, .. } => {
                            line.signed_in = None;
                            line.first_retry_ms.get_or_insert(retry_in_ms);
                        }
                        Event::Redirected { .. } => line.signed_in = None,
                        _ => {}
                    }
                }
            });
            herd.lines.push(line);
            herd._clients.push(client);
        }
        herd
    }

    fn lines(&self) -> Vec<Line> {
        self.lines.iter().map(|line| line.lock().unwrap().clone()).collect()
    }

    fn are_in(&self, region: &str) -> bool {
        self.lines().iter().all(|line| line.signed_in.as_deref() == Some(region))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_come_back_spread_out_after_a_kill_and_are_sent_on_by_a_region_that_ends() {
    let mut regions = TwoRegions::start_plainly();
    let folder = regions.path().to_owned();
    let runbook = Runbook::new(RUNBOOK, &folder);
    let herd = Herd::gather(&regions);
    wait_until("all are signed in", || herd.are_in("west"));
    let metric = |regions: &TwoRegions, region: usize, name: &str| {
        let name = format!("{} ", runbook.says(name));
        let metrics = regions.metrics(region);
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<usize>().ok())
    };
    let connections = "archipelago_gateway_connections";
    assert_eq!(metric(&regions, WEST, connections), Some(DEVICES));

    regions.signal(WEST, "KILL");
    regions.wait(WEST);
    regions.start_again_with(WEST, &["--insecure-loopback"]);
    let started = Instant::now();
    wait_until("all have lost it", || herd.lines().iter().all(|line| line.first_retry_ms.is_some()));
    let mut drawn: Vec<u64> = herd.lines().iter().filter_map(|line| line.first_retry_ms).collect();
    drawn.sort_unstable();
    // Of 200 drawn evenly, fewer than 20 or more than 80 in a quarter of the range are not seen in the life of the world.
    let quarters =
        [0, 250, 500, 750].map(|from| drawn.iter().filter(|ms| (from..from + 250).contains(*ms)).count());
    assert!(quarters.iter().all(|count| (20..=80).contains(count)), "{quarters:?}");
    assert!(drawn.iter().all(|ms| *ms <= 1_000), "{drawn:?}");
    wait_until("all are back", || herd.are_in("west"));
    let back = started.elapsed();
    assert_eq!(metric(&regions, WEST, connections), Some(DEVICES), "each of them once");
    wait_until("no handshake is left", || {
        metric(&regions, WEST, "archipelago_gateway_handshakes") == Some(0)
    });
    for code in ["hello_timeout", "tls_failed", "too_many_connections"] {
        let closed = format!("{}{{code=\"{}\"}}", "archipelago_gateway_closed_total", runbook.says(code));
        assert_eq!(regions.metric(WEST, &closed), 0, "{code}");
    }
    assert_eq!(regions.metric(WEST, runbook.says("archipelago_shard_letters_refused_total")), 0);
    wait_until("all are well", || runbook.try_run("archipelago status --cluster demo").0 == Some(0));

    let told = Instant::now();
    assert_eq!(regions.end(WEST), Some(0));
    wait_until("all are in east", || herd.are_in("east"));
    let sent_on = told.elapsed();
    assert_eq!(metric(&regions, EAST, connections), Some(DEVICES));
    println!(
        "{DEVICES} devices: first tries {quarters:?} a quarter of a second; all back {back:.2?} after the start, all elsewhere {sent_on:.2?} after SIGTERM"
    );
    assert!(back < BACK_WITHIN && sent_on < BACK_WITHIN, "{back:?} {sent_on:?}");
    runbook.was_followed();
}
