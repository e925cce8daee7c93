//! The layout that nearly every operation has: a post without a reply or a mark, sent at the millisecond in its id.
//!
//! A general decoder reads a tag, asks what it is, takes a share in the buffer for each field, and does so for 200 ns of the 500 that applying a message
//! costs. What must always hold: what is read here is what the general decoder reads, or nothing, and then that one is asked. So another order of
//! fields, an unknown field, a value out of range or a later version costs the 200 ns and changes nothing; `tests/decoder_checks.rs` holds both
//! against each other.

use super::{DIGEST_BYTES, Envelope, Kind, Post, SALT_BYTES, made_ms};
use crate::Timestamp;
use crate::id::{ConversationId, MessageId, UserId};
use crate::limits::BODY_BYTES_MAX;
use bytes::Bytes;

/// Takes a tag, and then so many bytes.
fn field<'a, const N: usize>(bytes: &mut &'a [u8], tag: &[u8]) -> Option<&'a [u8; N]> {
    let (field, rest) = bytes.strip_prefix(tag)?.split_first_chunk()?;
    *bytes = rest;
    Some(field)
}

/// Takes a tag and a length of at most two bytes, minimal or not, as any decoder would.
fn length(bytes: &mut &[u8], tag: u8) -> Option<usize> {
    let (length, rest) = match **bytes {
        [first, low @ ..0x80, ref rest @ ..] if first == tag => (usize::from(low), rest),
        [first, low, high @ ..0x80, ref rest @ ..] if first == tag => {
            (usize::from(low & 0x7f) | usize::from(high) << 7, rest)
        }
        _ => return None,
    };
    *bytes = rest;
    Some(length)
}

/// The envelope, if it is a post's and laid out like that.
pub(super) fn envelope(mut bytes: &[u8]) -> Option<Envelope> {
    let conversation = field(&mut bytes, &[0x0a, 16])?;
    let hlc = field(&mut bytes, &[0x11])?;
    let sender = field(&mut bytes, &[0x21])?;
    let message = field(&mut bytes, &[0x2a, 16])?;
    let payload_digest: &[u8; DIGEST_BYTES] = field(&mut bytes, &[0x32, DIGEST_BYTES as u8])?;
    let hlc = Timestamp(u64::from_le_bytes(*hlc));
    if !bytes.is_empty() || hlc == Timestamp::ZERO || hlc >= Timestamp::REFUSED_FROM {
        return None;
    }
    Some(Envelope {
        conversation: ConversationId(u128::from_be_bytes(*conversation)),
        hlc,
        kind: Kind::Post,
        sender: UserId(u64::from_le_bytes(*sender)),
        message: MessageId(u128::from_be_bytes(*message)),
        payload_digest: *payload_digest,
        target: None,
    })
}

/// The post in a payload, if that is all of it.
pub(super) fn post(message: MessageId, payload: &Bytes) -> Option<Post> {
    let body = payload.slice(begin_of_body(payload)?..);
    Some(Post { body, sent_at_ms: made_ms(message), reply_to: None, seen: None })
}

/// Where its text begins, which is all that follows.
pub(super) fn begin_of_body(payload: &[u8]) -> Option<usize> {
    let mut bytes = payload;
    let _salt: &[u8; SALT_BYTES] = field(&mut bytes, &[0x0a, SALT_BYTES as u8])?;
    let whole = length(&mut bytes, 0x12)? == bytes.len();
    let whole = whole && length(&mut bytes, 0x0a)? == bytes.len();
    if !whole || bytes.len() > BODY_BYTES_MAX {
        return None;
    }
    Some(payload.len() - bytes.len())
}
