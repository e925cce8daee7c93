//! Residency: no byte of a pinned conversation on a link to a region outside its placement, on its disk, or in what its sessions say.
//!
//! Every pinned body and name begins with a canary, and pinned conversations' ids are canaries themselves, as bytes and as text. What this does
//! not catch: bytes that were transformed (compressed, encrypted, hashed).

use super::{Checker, Oracle};
use crate::world::Moment;
use crate::world::PINNED;
use bytes::Bytes;
use crdt::{ConversationId, PlacementId, RegionId};
use gateway_protocol::Subprotocol;
use gateway_protocol::v1::{ClientFrame, ServerFrame};
use std::collections::{BTreeMap, BTreeSet};

/// What every pinned body and name begins with.
pub(crate) const CANARY: &str = "pinned-canary:";

/// What is looked for, and where it may be.
#[derive(Debug, Default)]
pub(crate) struct Canaries {
    regions: Vec<RegionId>,
    watched: BTreeSet<ConversationId>,
    needles: Vec<Vec<u8>>,
}

impl Canaries {
    pub(crate) fn watch(&mut self, conversation: ConversationId) {
        if conversation.placement() == PINNED && self.watched.insert(conversation) {
            if self.needles.is_empty() {
                self.needles.push(CANARY.as_bytes().to_vec());
            }
            self.needles.push(conversation.0.to_be_bytes().to_vec());
            self.needles.push(conversation.to_string().into_bytes());
        }
    }

    pub(crate) fn placements_are(&mut self, placements: &BTreeMap<PlacementId, Vec<RegionId>>) {
        self.regions = placements.get(&PINNED).cloned().unwrap_or_default();
    }

    /// Whether a region may hold pinned bytes.
    fn allows(&self, region: RegionId) -> bool {
        self.regions.contains(&region)
    }

    fn found_in(&self, bytes: &[u8]) -> Option<String> {
        let found = self.needles.iter().find(|needle| has(bytes, needle));
        found.map(|needle| String::from_utf8_lossy(needle).into_owned())
    }
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return false };
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(|tail| tail.iter().position(|byte| byte == first)) {
        from += at + 1;
        if bytes.get(from..).is_some_and(|tail| tail.starts_with(rest)) {
            return true;
        }
    }
    false
}

impl Oracle {
    /// A frame leaves a region for another.
    pub(crate) fn left_region(&mut self, at: Moment, from: RegionId, to: RegionId, frame: &Bytes) {
        if self.is_off {
            return;
        }
        self.bridges_only_what_is_durable(at, from, frame);
        if !(self.canaries.allows(from) && self.canaries.allows(to)) {
            self.look(at, frame, || format!("on the link from {from} to {to}"));
        }
    }

    /// A batch goes to a region's disk.
    pub(crate) fn stored(&mut self, at: Moment, region: RegionId, key: &[u8], value: Option<&Bytes>) {
        if !self.is_off && !self.canaries.allows(region) {
            self.look(at, key, || format!("in a key on the disk of {region}"));
            if let Some(value) = value {
                self.look(at, value, || format!("in a value on the disk of {region}"));
            }
        }
    }

    /// A device sends to a region.
    pub(crate) fn left_device(&mut self, at: Moment, region: RegionId, frame: &ClientFrame) {
        if !self.is_off && !self.canaries.allows(region) {
            let bytes = Subprotocol::Proto.encode_client(frame);
            self.look(at, bytes.bytes(), || format!("in what a device sends to {region}"));
        }
    }

    /// A session sends to its device: nothing that is not durable in its region.
    pub(crate) fn left_session(&mut self, at: Moment, region: RegionId, frame: &ServerFrame) {
        if self.is_off {
            return;
        }
        if !self.canaries.allows(region) {
            let bytes = Subprotocol::Proto.encode_server(frame);
            self.look(at, bytes.bytes(), || format!("in what {region} sends to a device"));
        }
        self.sends_only_what_is_durable(at, region, frame);
    }

    fn look(&mut self, at: Moment, bytes: &[u8], place: impl FnOnce() -> String) {
        self.look_at(Checker::Taint);
        if let Some(found) = self.canaries.found_in(bytes) {
            self.violate(at, Checker::Taint, format!("{found:?} {}", place()));
        }
    }
}
