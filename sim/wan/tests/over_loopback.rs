//! The relay between real sockets on loopback: what goes in comes out late, both ways, and a cut is a cut.
//!
//! Every test has a relay and free ports of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use sim_wan::{LinkSettings, Relay};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

struct World {
    west: UdpSocket,
    east: UdpSocket,
    relay: Relay,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn world(there: LinkSettings, back: LinkSettings) -> World {
    let (west, east) = (socket(), socket());
    let regions = BTreeMap::from([
        ("west".to_owned(), west.local_addr().unwrap()),
        ("east".to_owned(), east.local_addr().unwrap()),
    ]);
    let relay = Relay::start(&regions, |from, _| if from == "west" { there } else { back }, 1).unwrap();
    west.connect(relay.address("west", "east").unwrap()).unwrap();
    World { west, east, relay }
}

#[test]
fn each_way_takes_its_own_delay() {
    let world = world(LinkSettings::delay_only(40_000), LinkSettings::delay_only(10_000));
    let mut buffer = [0; 100];
    let mut late_us = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        world.west.send(b"question").unwrap();
        let (length, from) = world.east.recv_from(&mut buffer).unwrap();
        let there = start.elapsed();
        assert_eq!(&buffer[..length], b"question");
        world.east.send_to(b"answer", from).unwrap();
        let length = world.west.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"answer");
        assert!(there >= Duration::from_millis(40), "early: {there:?}");
        assert!(start.elapsed() >= Duration::from_millis(50));
        late_us.push((there - Duration::from_millis(40)).as_micros());
    }
    late_us.sort_unstable();
    // The best one shows what the relay itself adds; a busy machine may make all others late.
    assert!(late_us[0] < 2_000, "the relay adds too much: {late_us:?}");
    assert_eq!(world.relay.counts("west", "east").unwrap().passed, 20);
    assert_eq!(world.relay.counts("east", "west").unwrap().passed, 20);
}

#[test]
fn a_cut_of_one_way_leaves_the_other_and_is_counted() {
    let world = world(LinkSettings::delay_only(1_000), LinkSettings::delay_only(1_000));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&seen);
    world.relay.watch("west", "east", move |bytes| shown.lock().unwrap().push(bytes.to_vec())).unwrap();
    let mut buffer = [0; 100];
    world.west.send(b"first").unwrap();
    let (_, from) = world.east.recv_from(&mut buffer).unwrap();

    world.relay.set_cut("west", "east", true).unwrap();
    world.west.send(b"lost").unwrap();
    world.east.send_to(b"back", from).unwrap();
    assert_eq!(world.west.recv(&mut buffer).unwrap(), 4);
    while world.relay.counts("west", "east").unwrap().dropped_cut == 0 {
        std::thread::yield_now();
    }

    world.relay.set_cut("west", "east", false).unwrap();
    world.west.send(b"second").unwrap();
    let (length, _) = world.east.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"second");
    let counts = world.relay.counts("west", "east").unwrap();
    assert_eq!((counts.passed, counts.dropped_cut), (2, 1));
    assert_eq!(*seen.lock().unwrap(), [&b"first"[..], b"second"], "what passes is shown, and nothing else");
}

#[test]
fn a_restarted_dialer_is_a_flow_of_its_own_and_a_dead_target_does_not_stop_the_port() {
    let World { west, east, relay } = world(LinkSettings::delay_only(500), LinkSettings::delay_only(500));
    let mut buffer = [0; 100];
    west.send(b"one").unwrap();
    let (_, first_flow) = east.recv_from(&mut buffer).unwrap();

    let again = socket();
    again.connect(relay.address("west", "east").unwrap()).unwrap();
    again.send(b"two").unwrap();
    let (_, second_flow) = east.recv_from(&mut buffer).unwrap();
    assert_ne!(first_flow, second_flow);

    let address = east.local_addr().unwrap();
    drop(east);
    again.send(b"into the void").unwrap();
    while relay.counts("west", "east").unwrap().passed < 3 {
        std::thread::yield_now();
    }
    let east = UdpSocket::bind(address).unwrap();
    east.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    loop {
        again.send(b"alive").unwrap();
        let (length, _) = east.recv_from(&mut buffer).unwrap();
        if &buffer[..length] == b"alive" {
            break;
        }
    }
}

#[test]
fn a_link_that_does_not_exist_is_refused_by_name() {
    let world = world(LinkSettings::delay_only(0), LinkSettings::delay_only(0));
    let refused = world.relay.set_cut("west", "moon", true).unwrap_err().to_string();
    assert_eq!(refused, "the relay knows no link west>moon: it stands between east, west");
}
