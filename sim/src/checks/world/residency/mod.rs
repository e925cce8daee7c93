//! Promise 8, residency: the taint oracle. No byte of a pinned partition, in whatever form, reaches a region outside its placement.
//!
//! The world owns every network card and disk, so all of it is looked at as it happens: frames on every link of which an end may not hold what is pinned, what devices send
//! to such a region and what it sends them (both as Protocol Buffers, whichever form was spoken), keys and values on its disks, its alarms, and at the end its
//! exports and what its cores print of themselves. The run fails at the first byte. Its other half, the first effect shown without its cause, is promise 4's
//! (`causal_order.rs`). Not there yet, so not looked at: metrics, traces and backups of a region.
//!
//! How a pinned byte is recognised, and what cannot be, says `taint.rs`.

mod taint;

use super::{Checker, Oracle};
use crate::world::{Moment, PINNED};
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, PlacementId, RegionId, UserId};
use gateway_client::{Act, Amend, DocumentEdit};
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{ClientFrame, ServerFrame};
use gateway_protocol::{Payload, Subprotocol};
use std::collections::BTreeMap;
use std::fmt::Display;
pub(crate) use taint::CANARY;
use taint::Taint;

/// What is looked for, and where it may be.
#[derive(Debug, Default)]
pub(super) struct Residency {
    taint: Taint,
    /// The regions that may hold what is pinned.
    regions: Vec<RegionId>,
}

impl Residency {
    pub(super) fn placements_are(&mut self, placements: &BTreeMap<PlacementId, Vec<RegionId>>) {
        self.regions = placements.get(&PINNED).cloned().unwrap_or_default();
        self.taint.watch_placement(PINNED);
    }

    pub(super) fn is_admitted(&mut self, placements: &[PlacementId], region: RegionId) {
        if placements.contains(&PINNED) && !self.regions.contains(&region) {
            self.regions.push(region);
        }
    }

    pub(super) fn watch_user(&mut self, user: UserId) {
        self.taint.watch_user(user);
    }

    fn allows(&self, region: RegionId) -> bool {
        self.regions.contains(&region)
    }
}

impl Oracle {
    /// What a user does with something pinned is watched from then on.
    pub(super) fn watch(&mut self, device: DeviceId, act: &Act) {
        let Some(user) = self.record.devices.get(&device).map(|device| device.user) else { return };
        let taint = &mut self.residency.taint;
        match act {
            Act::Send { conversation, message: Some(message), body, .. } => {
                taint.watch_conversation(*conversation);
                taint.watch_message(*conversation, *message, body);
            }
            Act::Amend { conversation, command, what, .. } => {
                taint.watch_conversation(*conversation);
                if let (Some(command), Amend::Edit(body)) = (command, what) {
                    taint.watch_message(*conversation, *command, body);
                }
            }
            Act::EditDocument { conversation, command: Some(command), edit } => {
                taint.watch_conversation(*conversation);
                if let DocumentEdit::Name(text)
                | DocumentEdit::Description(text)
                | DocumentEdit::DisplayName(text)
                | DocumentEdit::Status(text)
                | DocumentEdit::Contact { name: text, .. }
                | DocumentEdit::Label { label: text, .. } = edit
                {
                    taint.watch_message(*conversation, *command, text.as_bytes());
                }
            }
            Act::DeleteForMe { conversation, .. } => taint.watch_conversation(*conversation),
            Act::CreateGroup { conversation, .. } => taint.watch_conversation(*conversation),
            Act::OpenDirect { placement, peer } => {
                taint.watch_conversation(ConversationId::direct(*placement, user, *peer));
            }
            Act::Send { .. }
            | Act::ChangeMembers { .. }
            | Act::EditDocument { .. }
            | Act::GetDocument { .. }
            | Act::MarkRead { .. }
            | Act::TellReads { .. }
            | Act::Page { .. }
            | Act::List
            | Act::TakePart { .. }
            | Act::Move { .. }
            | Act::Renew { .. } => {}
        }
    }

    /// A region says something in words: an alarm, a line for its log, what a core prints of itself.
    pub(crate) fn says(&mut self, at: Moment, region: RegionId, what: impl Display) {
        if !self.is_off && !self.residency.allows(region) {
            self.look(at, what.to_string().as_bytes(), || format!("in what {region} says"));
        }
    }

    /// A frame leaves a region for another.
    pub(crate) fn left_region(&mut self, at: Moment, from: RegionId, to: RegionId, frame: &Bytes) {
        if self.is_off {
            return;
        }
        self.bridges_only_what_is_durable(at, from, frame);
        if !(self.residency.allows(from) && self.residency.allows(to)) {
            self.look(at, frame, || format!("on the link from {from} to {to}"));
        }
    }

    /// A batch goes to a region's disk.
    pub(crate) fn stored(&mut self, at: Moment, region: RegionId, key: &[u8], value: Option<&Bytes>) {
        if !self.is_off && !self.residency.allows(region) {
            self.look(at, key, || format!("in a key on the disk of {region}"));
            if let Some(value) = value {
                self.look(at, value, || format!("in a value on the disk of {region}"));
            }
        }
    }

    /// A device sends to a region, in that encoding.
    pub(crate) fn left_device(
        &mut self,
        at: Moment,
        region: RegionId,
        frame: &ClientFrame,
        spoken: &Payload,
    ) {
        if !self.is_off && !self.residency.allows(region) {
            let bytes = match spoken {
                Payload::Binary(bytes) => bytes.clone(),
                Payload::Text(_) => Subprotocol::Proto.encode_client(frame).bytes().clone(),
            };
            self.look_for(at, &bytes, false, || format!("in what a device sends to {region}"));
        }
    }

    /// A session sends to its device, in that encoding if there still is a connection: nothing that is not durable in its region.
    pub(crate) fn left_session(
        &mut self,
        at: Moment,
        region: RegionId,
        device: Option<DeviceId>,
        frame: &ServerFrame,
        spoken: Option<&Payload>,
        encode: impl FnOnce(Subprotocol) -> Payload,
    ) {
        if self.is_off {
            return;
        }
        if !self.residency.allows(region) {
            let bytes = match spoken {
                Some(Payload::Binary(bytes)) => bytes.clone(),
                Some(Payload::Text(_)) | None => encode(Subprotocol::Proto).bytes().clone(),
            };
            self.look_for(at, &bytes, false, || format!("in what {region} sends to a device"));
        }
        self.sends_only_what_is_durable(at, region, frame);
        if let Some(device) = device {
            self.sends_nothing_hidden(at, region, device, frame);
        }
        match (device, &frame.frame) {
            (Some(device), Some(Frame::Deliver(deliver))) => {
                self.sends_nothing_to_the_removed(at, region, device, deliver);
            }
            (Some(device), Some(Frame::Membership(change))) => {
                self.ends_what_had_begun(at, region, device, change);
            }
            _ => {}
        }
    }

    fn look(&mut self, at: Moment, bytes: &[u8], place: impl FnOnce() -> String) {
        self.look_for(at, bytes, true, place);
    }

    /// In what devices say, pinned users do not count: anybody may name them, and is refused.
    fn look_for(&mut self, at: Moment, bytes: &[u8], users_count: bool, place: impl FnOnce() -> String) {
        self.look_at(Checker::Taint);
        if let Some(found) = self.residency.taint.found_in(bytes, users_count) {
            self.violate(at, Checker::Taint, format!("{found} {}", place()));
        }
    }
}
