//! Bridges of a cluster under test that go through a relay, which can cut and delay them and let a test watch.
//!
//! What must always hold: bridges reach each other through the relay alone, since the cluster file says so; until the test says otherwise each way takes a millisecond.

use region::cluster::Cluster;
use sim_wan::{LinkSettings, Relay};
use std::fs;
use std::path::Path;

/// Says so in the cluster file, for each two regions and both ways.
pub fn route(file: &Path) -> Relay {
    let mut text = fs::read_to_string(file).unwrap();
    let regions = Cluster::parse(&text).unwrap().regions.into_values();
    let bridges = regions.map(|region| (region.name, region.bridge)).collect();
    let relay = Relay::start(&bridges, |_, _| LinkSettings::delay_only(1_000), 1).unwrap();
    for from in bridges.keys() {
        for to in bridges.keys().filter(|to| *to != from) {
            let address = relay.address(from, to).unwrap();
            text += &format!("\n[[bridge]]\nfrom = \"{from}\"\nto = \"{to}\"\naddress = \"{address}\"\n");
        }
    }
    fs::write(file, text).unwrap();
    relay
}
