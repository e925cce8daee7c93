//! Framing: one frame is one WebSocket message, binary Protocol Buffers or the canonical JSON of the same.
//!
//! What must always hold:
//! - A frame means the same in both subprotocols; encoding and decoding are inverse.
//! - Decoding is total: bytes that are not a frame are a [`FrameError`] with a stable code, and nothing is allocated for a frame
//!   that is too large.
//! - A frame of a kind that this version does not know keeps its request number, so that its refusal can be paired with it.

use crate::v1::{ClientFrame, ServerFrame};
use bytes::Bytes;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest frame in either direction, in bytes: a body of 65,536 bytes is 87,384 in base64, and a
/// group's 1,024 members are 20 KiB of ids.
pub const FRAME_BYTES_MAX: usize = 128 * 1024;

/// Which encoding a connection speaks, agreed on in the WebSocket handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subprotocol {
    /// Binary messages in Protocol Buffers.
    Proto,
    /// Text messages in JSON.
    Json,
}

/// An encoded frame, as the WebSocket message it travels in. Cheap to clone: the bytes are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A binary message.
    Binary(Bytes),
    /// A text message: UTF-8.
    Text(Bytes),
}

/// Bytes that are not a frame of this protocol. The connection must be closed after any of these except [`FrameError::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not an encoding of the schema, or cut short.
    #[error(
        "the frame is not well-formed {}: {reason}; encode it by archipelago.proto and connect again",
        .subprotocol.encoding()
    )]
    Malformed {
        /// In which encoding it was read.
        subprotocol: Subprotocol,
        /// What the decoder said, at most 200 characters.
        reason: String,
    },
    /// Over the limit.
    #[error(
        "the frame has {bytes} bytes, the limit is {limit}: split it, or shorten the body, and connect again"
    )]
    TooLarge {
        /// Its length, or what had arrived of it.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A binary message where text was agreed on, or the other way round.
    #[error(
        "subprotocol {} sends {} messages and this one was not: connect again with the subprotocol you speak",
        .0.name(), .0.kind()
    )]
    WrongKind(Subprotocol),
    /// Well-formed, but of a kind this version does not know, or of none.
    #[error("the frame holds nothing that version 1 knows: see `version` in the welcome")]
    Unknown {
        /// The number it was sent under.
        request: u64,
    },
}

impl FrameError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed_frame",
            Self::TooLarge { .. } => "frame_too_large",
            Self::WrongKind(_) => "wrong_frame_kind",
            Self::Unknown { .. } => "unknown_frame",
        }
    }
}

impl Subprotocol {
    /// Both, the preferred first.
    pub const ALL: [Self; 2] = [Self::Proto, Self::Json];

    /// Its name in the `Sec-WebSocket-Protocol` header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proto => "archipelago.v1+proto",
            Self::Json => "archipelago.v1+json",
        }
    }

    /// The subprotocol of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subprotocol| subprotocol.name() == name)
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Proto => "binary",
            Self::Json => "text",
        }
    }

    const fn encoding(self) -> &'static str {
        match self {
            Self::Proto => "Protocol Buffers",
            Self::Json => "JSON",
        }
    }

    /// Reads a frame that a client sent.
    ///
    /// # Errors
    /// [`FrameError`], with the way out in its text.
    pub fn decode_client(self, payload: &Payload) -> Result<ClientFrame, FrameError> {
        let frame: ClientFrame = self.decode(payload)?;
        if frame.frame.is_none() { Err(FrameError::Unknown { request: frame.request }) } else { Ok(frame) }
    }

    /// Reads a frame that a server sent. A client ignores [`FrameError::Unknown`]: a later server says more than it knows.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn decode_server(self, payload: &Payload) -> Result<ServerFrame, FrameError> {
        let frame: ServerFrame = self.decode(payload)?;
        if frame.frame.is_none() { Err(FrameError::Unknown { request: frame.request }) } else { Ok(frame) }
    }

    /// Encodes a client's frame.
    #[must_use]
    pub fn encode_client(self, frame: &ClientFrame) -> Payload {
        self.encode(frame)
    }

    /// Encodes a server's frame.
    #[must_use]
    pub fn encode_server(self, frame: &ServerFrame) -> Payload {
        self.encode(frame)
    }

    fn decode<T: Message + Default + DeserializeOwned>(self, payload: &Payload) -> Result<T, FrameError> {
        let bytes = payload.bytes();
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge { bytes: bytes.len(), limit: FRAME_BYTES_MAX });
        }
        let malformed = |reason: String| FrameError::Malformed {
            subprotocol: self,
            reason: reason.chars().take(200).collect(),
        };
        match (self, payload) {
            (Self::Proto, Payload::Binary(bytes)) => {
                T::decode(bytes.clone()).map_err(|error| malformed(error.to_string()))
            }
            (Self::Json, Payload::Text(bytes)) => {
                serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))
            }
            (Self::Proto, Payload::Text(_)) | (Self::Json, Payload::Binary(_)) => {
                Err(FrameError::WrongKind(self))
            }
        }
    }

    fn encode<T: Message + Serialize>(self, frame: &T) -> Payload {
        match self {
            Self::Proto => Payload::Binary(Bytes::from(frame.encode_to_vec())),
            // Generated serialisers of this schema fail on one thing alone, an unknown enum number, and it has no enums;
            // writing to memory does not fail either. An empty object is a frame that holds nothing.
            Self::Json => {
                Payload::Text(serde_json::to_vec(frame).map_or(Bytes::from_static(b"{}"), Bytes::from))
            }
        }
    }
}

impl Payload {
    /// The bytes of the message.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Binary(bytes) | Self::Text(bytes) => bytes,
        }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
