//! Frames as bytes: read once, in full, before anything in them is acted on.
//!
//! What must always hold: reading is total; a frame that is too long, cut short, or holds anything this version does not know is refused
//! whole. Generated code drops unknown fields without a word, so a frame that does not encode to as many bytes as it came in is
//! one that lost something.

use crate::limits::FRAME_BYTES_MAX;
use crate::proto;
use crate::reason::Reason;
use bytes::Bytes;
use prost::Message as _;

/// Reads a frame.
pub(crate) fn decode(bytes: Bytes) -> Result<proto::Frame, Reason> {
    let length = bytes.len();
    if length > FRAME_BYTES_MAX {
        return Err(Reason::Oversized { bytes: length, limit: FRAME_BYTES_MAX });
    }
    let frame = proto::Frame::decode(bytes).map_err(|_| Reason::Malformed("not a frame"))?;
    if length == 0 || frame.encoded_len() != length {
        return Err(Reason::Unknown);
    }
    Ok(frame)
}

/// Writes a frame.
pub(crate) fn encode(frame: &proto::Frame) -> Bytes {
    let bytes = Bytes::from(frame.encode_to_vec());
    // Commits are bounded by the shard, registers by their limits, and everything else by the frame's target.
    assert!(bytes.len() <= FRAME_BYTES_MAX, "a frame of {} bytes is longer than peers take", bytes.len());
    bytes
}
