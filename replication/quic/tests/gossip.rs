//! Gossip over real bridges on loopback: it comes with the region that a certificate names, short or long, and what nobody has room for is dropped and counted.
//!
//! What must always hold: who a message is from is the certificate's word, whatever the message says.
#![allow(clippy::unwrap_used)]

mod pair;

use bytes::Bytes;
use crdt::RegionId;
use pair::{Authority, MadeUpRegion, addresses, framed, hello_of, name, until};
use replication_quic::{Bridges, GossipPort};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of the longest message that is carried.
const MOST: usize = 65_507;

/// A region with bridges to these.
fn start(authority: &Authority, own: u16, peers: &[u16], at: [SocketAddr; 3]) -> (Bridges, GossipPort) {
    let region = MadeUpRegion::new(own, 0, true);
    region.start_gossiping(authority.certificates(&name(own)), peers, at).unwrap()
}

fn count(bridges: &Bridges, peer: u16, of: fn(&replication_quic::BridgeCounters) -> &AtomicU64) -> u64 {
    of(&bridges.counters()[&RegionId(peer)]).load(Ordering::Relaxed)
}

async fn heard(port: &mut GossipPort) -> (u16, Bytes) {
    let (from, message) =
        tokio::time::timeout(Duration::from_secs(30), port.receive()).await.unwrap().unwrap();
    (from.0, message)
}

/// Sends it again and again, until the bridge has carried it.
async fn carry(bridges: &Bridges, port: &GossipPort, to: u16, message: &[u8]) {
    until("a message is carried", || {
        let before = count(bridges, to, |counters| &counters.gossip_out);
        port.send(RegionId(to), message);
        count(bridges, to, |counters| &counters.gossip_out) > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_and_long_messages_go_both_ways_and_what_is_too_long_or_has_no_bridge_does_not() {
    let (authority, at) = (Authority::new(), addresses());
    let (one, mut port_of_one) = start(&authority, 1, &[2, 3], at);
    let (two, mut port_of_two) = start(&authority, 2, &[1], at);
    let long = vec![7; MOST];
    for message in [&b"short"[..], &[], &long] {
        carry(&one, &port_of_one, 2, message).await;
        assert_eq!(heard(&mut port_of_two).await, (1, Bytes::copy_from_slice(message)));
        carry(&two, &port_of_two, 1, message).await;
        assert_eq!(heard(&mut port_of_one).await, (2, Bytes::copy_from_slice(message)));
    }
    let unsent = |peer| count(&one, peer, |counters| &counters.gossip_unsent);
    let (before, carried) = (unsent(2), count(&one, 2, |counters| &counters.gossip_out));
    port_of_one.send(RegionId(2), &vec![7; MOST + 1]);
    assert_eq!((unsent(2), count(&one, 2, |counters| &counters.gossip_out)), (before + 1, carried));
    port_of_one.send(RegionId(3), b"nobody is there");
    assert_eq!(unsent(3), 1);
    // Nobody hears of what has no bridge at all.
    port_of_one.send(RegionId(9), b"short");
    drop((one, two));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_is_dropped_and_counted() {
    let (authority, at) = (Authority::new(), addresses());
    let (one, port_of_one) = start(&authority, 1, &[2], at);
    let (two, mut port_of_two) = start(&authority, 2, &[1], at);
    let taken = || count(&two, 1, |counters| &counters.gossip_in);
    let dropped = || count(&two, 1, |counters| &counters.gossip_dropped);
    until("one is dropped", || {
        port_of_one.send(RegionId(2), b"again");
        dropped() > 0
    })
    .await;
    assert_eq!(taken(), 64, "so many wait");
    for _ in 0..taken() {
        assert_eq!(heard(&mut port_of_two).await.0, 1);
    }
    carry(&one, &port_of_one, 2, b"there is room again").await;
    let whatever = async { while heard(&mut port_of_two).await.1 != b"there is room again"[..] {} };
    tokio::time::timeout(Duration::from_secs(30), whatever).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_from_whom_the_certificate_names_and_what_is_none_is_counted() {
    let (authority, at) = (Authority::new(), addresses());
    let (two, mut port_of_two) = start(&authority, 2, &[1, 3], at);
    let caller = authority.call(&[&name(1)], at[1], &name(2)).await;
    let connection = caller.connection.as_ref().unwrap();
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(&framed(&hello_of(1, 2))).await.unwrap();
    // It says that it is from region 3; a sign of life, and datagrams of no kind, come with it.
    for datagram in [&[1, 0, 3, 42][..], &[0], &[9, 9], &[]] {
        connection.send_datagram(Bytes::copy_from_slice(datagram)).unwrap();
    }
    assert_eq!(heard(&mut port_of_two).await, (1, Bytes::from_static(&[0, 3, 42])));
    until("two are of no kind", || count(&two, 1, |counters| &counters.datagrams_unknown) == 2).await;
    let mut too_long = connection.open_uni().await.unwrap();
    // Whether it is stopped before all was given to QUIC is chance.
    let _ = too_long.write_all(&vec![0; MOST + 1]).await;
    until("one is too long", || count(&two, 1, |counters| &counters.gossip_dropped) == 1).await;
    // There is one stream at a time.
    drop(too_long);
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(b"a long one").await.unwrap();
    stream.finish().unwrap();
    assert_eq!(heard(&mut port_of_two).await, (1, Bytes::from_static(b"a long one")));
    assert_eq!(count(&two, 3, |counters| &counters.gossip_in), 0);
}
