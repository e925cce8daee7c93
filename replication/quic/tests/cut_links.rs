//! A relay stands between two regions, as between real ones: it cuts the link, heals it, and moves to another port.
//!
//! What must hold: a cut is noticed within the idle timeout; after it heals, the bridge is open again in about a second, however long the cut
//! was; what a short cut held up follows within a heartbeat; a caller whose port changes is not dropped, since relays and translators do that.
#![allow(clippy::unwrap_used)]

mod pair;

use crdt::RegionId;
use pair::{Authority, MadeUpRegion, addresses, name, until};
use replication_quic::Bridges;
use replication_quic::limits::{BEGINS_WITH_BYTES, IDLE_TIMEOUT, UNSENT_BYTES};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::watch;

/// Carries datagrams between whoever calls it and one address.
struct Relay {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    /// Each new number makes it go on from another port.
    port: watch::Sender<u32>,
}

impl Relay {
    async fn to(target: SocketAddr) -> Self {
        let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = near.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let (port, moved) = watch::channel(0);
        tokio::spawn(Self::carry(near, target, Arc::clone(&cut), moved));
        Self { address, cut, port }
    }

    async fn carry(
        near: Arc<UdpSocket>,
        target: SocketAddr,
        cut: Arc<AtomicBool>,
        mut moved: watch::Receiver<u32>,
    ) {
        let mut far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut caller = None;
        let (mut from_near, mut from_far) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                Ok((bytes, from)) = near.recv_from(&mut from_near) => {
                    caller = Some(from);
                    if !cut.load(Ordering::Relaxed) {
                        let _ = far.send_to(&from_near[..bytes], target).await;
                    }
                }
                Ok((bytes, _)) = far.recv_from(&mut from_far) => {
                    if let Some(caller) = caller.filter(|_| !cut.load(Ordering::Relaxed)) {
                        let _ = near.send_to(&from_far[..bytes], caller).await;
                    }
                }
                Ok(()) = moved.changed() => far = UdpSocket::bind("127.0.0.1:0").await.unwrap(),
                else => return,
            }
        }
    }

    fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
}

/// Two regions, of which the first calls the second through a relay.
struct Pair {
    relay: Relay,
    one: Arc<MadeUpRegion>,
    dialler: Bridges,
    two: Arc<MadeUpRegion>,
    listener: Bridges,
}

impl Pair {
    async fn start() -> Self {
        let (authority, mut addresses) = (Authority::new(), addresses());
        let two = MadeUpRegion::new(2, 0, true);
        let listener = two.start(authority.certificates(&name(2)), &[1], addresses).unwrap();
        let relay = Relay::to(addresses[1]).await;
        addresses[1] = relay.address;
        let one = MadeUpRegion::new(1, 0, true);
        let dialler = one.start(authority.certificates(&name(1)), &[2], addresses).unwrap();
        Self { relay, one, dialler, two, listener }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_noticed_by_both_sides_and_a_healed_link_is_open_again_at_once() {
    let Pair { relay, dialler, listener, .. } = Pair::start().await;
    let (at_one, at_two) = (dialler.open(), listener.open());
    until("both are open", || at_one.borrow().len() + at_two.borrow().len() == 2).await;

    relay.cut(true);
    let begun = Instant::now();
    until("both have noticed the cut", || at_one.borrow().is_empty() && at_two.borrow().is_empty()).await;
    let noticed = begun.elapsed();
    assert!(noticed < IDLE_TIMEOUT + Duration::from_secs(3), "noticed after {noticed:?}");
    // A handshake that repeats itself ever more slowly would be silent from here on for almost two seconds.
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    relay.cut(false);
    let begun = Instant::now();
    until("both are open again", || at_one.borrow().len() + at_two.borrow().len() == 2).await;
    let healed = begun.elapsed();
    assert!(healed < Duration::from_millis(1_500), "open again after {healed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_comes_from_another_port_keeps_its_bridge() {
    let Pair { relay, one, dialler, two, listener: _listener } = Pair::start().await;
    let open = dialler.open();
    until("it is open", || open.borrow().len() == 1).await;
    let taken = || two.delivered_bytes.load(Ordering::Relaxed);
    for move_to in 1..=3 {
        relay.port.send(move_to).unwrap();
        one.grow(1_000);
        until("entries sent after the move are there", || taken() > u64::from(move_to) * 1_000_000).await;
    }
    assert_eq!(dialler.counters()[&RegionId(2)].connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_during_a_short_cut_is_there_soon_after_it() {
    let Pair { relay, one, dialler, two, listener: _listener } = Pair::start().await;
    let open = dialler.open();
    until("it is open", || open.borrow().len() == 1).await;
    let taken = || two.delivered_bytes.load(Ordering::Relaxed);
    // Within the idle timeout; beyond it; and within it again, with the congestion window that the others have left.
    for cut_ms in [1_300, 3_900, 2_000] {
        relay.cut(true);
        let before = taken();
        one.grow(10);
        tokio::time::sleep(Duration::from_millis(cut_ms)).await;
        relay.cut(false);
        let begun = Instant::now();
        until("what was sent is there", || taken() >= before + 10_000).await;
        let late = begun.elapsed();
        assert!(late < Duration::from_millis(1_800), "{late:?} after a cut of {cut_ms} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_not_handed_over_to_wait_before_what_is_said_next() {
    let Pair { relay, one, dialler, listener: _listener, .. } = Pair::start().await;
    let open = dialler.open();
    until("it is open", || open.borrow().len() == 1).await;
    let handed_over = || dialler.counters()[&RegionId(2)].bytes_out.load(Ordering::Relaxed);
    let before = handed_over();
    relay.cut(true);
    one.grow(1_000);
    // Nothing is acknowledged: what a connection begins with goes out and a frame or two wait, of the 256 KiB that the peer has room for.
    until("it waits", || handed_over() - before >= BEGINS_WITH_BYTES).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let most = BEGINS_WITH_BYTES + 2 * UNSENT_BYTES;
    assert!(handed_over() - before <= most, "{} bytes of at most {most}", handed_over() - before);
}
