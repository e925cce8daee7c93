//! What is between two regions: a connection at a time, and frames on their way.
//!
//! What must always hold: frames of one direction arrive in the order in which they were sent, and none after its connection has ended.

use super::{Event, World, pair};
use bytes::Bytes;
use crdt::{Now, RegionId};
use replication::Input;
use std::collections::BTreeMap;

/// Between two regions, both ways.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    pub(crate) up: bool,
    pub(crate) delay_ms: u64,
    pub(super) connection: Option<u64>,
    pub(super) arrivals: BTreeMap<RegionId, Now>,
}

impl World {
    pub(crate) fn set_link(&mut self, one: RegionId, other: RegionId, up: bool) {
        self.links.get_mut(&pair(one, other)).unwrap().up = up;
        if !up {
            self.drop_connection(one, other, None);
            self.drop_connection(other, one, None);
        }
    }

    /// Ends the connection as `by` wants it; the other end hears of it after the link's delay, or after a timeout.
    pub(super) fn drop_connection(&mut self, by: RegionId, other: RegionId, code: Option<u32>) {
        let link = self.links.get_mut(&pair(by, other)).unwrap();
        let delay = link.delay_ms;
        if link.connection.take().is_some() || code.is_none() {
            link.arrivals.clear();
            self.after(delay, other, by, None, Input::Disconnected { code });
        }
    }

    pub(super) fn dial(&mut self, at: RegionId, peer: RegionId) {
        self.count += 1;
        let connection = self.count;
        let there = &self.regions[&peer];
        let link = self.links.get_mut(&pair(at, peer)).unwrap();
        let delay = link.delay_ms;
        if !link.up || there.down || there.fenced {
            self.after(delay, at, peer, None, Input::Disconnected { code: None });
            return;
        }
        link.connection = Some(connection);
        link.arrivals.clear();
        self.after(delay, at, peer, Some(connection), Input::Connected { certified: peer });
        self.after(delay, peer, at, Some(connection), Input::Connected { certified: at });
    }

    pub(super) fn send(&mut self, at: RegionId, peer: RegionId, bytes: Bytes) {
        let link = self.links.get_mut(&pair(at, peer)).unwrap();
        let Some(connection) = link.connection else { return };
        *self.bytes_sent.entry((at, peer)).or_default() += bytes.len() as u64;
        *self.frames_sent.entry((at, peer)).or_default() += 1;
        if self.frames_traced {
            self.trace.extend(crate::describe::frame(&bytes).map(|text| format!("{at}>{peer} {text}")));
        }
        let link = self.links.get_mut(&pair(at, peer)).unwrap();
        let earliest = link.arrivals.get(&peer).copied().unwrap_or_default();
        let arrival = self.now.plus_ms(link.delay_ms).max(earliest);
        link.arrivals.insert(peer, arrival);
        let life = self.regions[&peer].life;
        let input = Input::Frame(bytes);
        self.schedule(
            arrival,
            Event::Input { at: peer, peer: at, life, connection: Some(connection), input },
        );
        self.after(1, at, peer, Some(connection), Input::PipeReady);
    }
}
