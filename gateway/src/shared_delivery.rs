//! A change on its way to the devices that are live in its conversation: encoded once a subprotocol, however many they are.
//!
//! Encoding it for each device would cost a group of 1,000 a thousand encodings a message. Nothing in the frame depends on the
//! device (the cursor says where the conversation stands, and binds no one), so all sessions share it; the encodings are made when the
//! first device of their kind needs one.

use crate::cursor::Cursor;
use crate::site::HeldPlacement;
use crate::write_frame;
use gateway_protocol::v1::ServerFrame;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::{Payload, Subprotocol, v1};
use region::item::Change;
use std::sync::{Arc, OnceLock};

/// A change and its delivery, to be shared by all sessions of a region.
#[derive(Debug)]
pub struct SharedDelivery {
    change: Change,
    frame: ServerFrame,
    proto: OnceLock<Payload>,
    json: OnceLock<Payload>,
}

impl SharedDelivery {
    /// The delivery of that change in that placement.
    #[must_use]
    pub fn new(change: Change, placement: &HeldPlacement) -> Arc<Self> {
        let cursor = Cursor {
            conversation: change.conversation,
            replica: placement.replica,
            arrival: change.arrival,
            cut: (*change.cut).clone(),
            highest: change.highest,
        };
        let deliver = v1::Deliver {
            conversation: change.conversation.to_string(),
            items: vec![write_frame::item(&change.item)],
            cursor: placement.keys.seal(&cursor).into(),
        };
        let frame = ServerFrame { request: 0, frame: Some(Frame::Deliver(deliver)) };
        Arc::new(Self { change, frame, proto: OnceLock::new(), json: OnceLock::new() })
    }

    /// What changed.
    #[must_use]
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// The frame, for those who take it undecoded.
    #[must_use]
    pub fn frame(&self) -> &ServerFrame {
        &self.frame
    }

    /// The encoded frame; the same bytes in memory for every caller.
    pub fn payload(&self, subprotocol: Subprotocol) -> Payload {
        let encoded = match subprotocol {
            Subprotocol::Proto => &self.proto,
            Subprotocol::Json => &self.json,
        };
        encoded.get_or_init(|| subprotocol.encode_server(&self.frame)).clone()
    }
}
