//! Forwarding: a message of one conversation is said again in others, and says how often that was done with it.
//!
//! A region sees bodies as bytes, most of them encrypted, so it can neither find a chain of forwards nor count along it: clients do. The count stands in
//! the body, before what was said, and is encrypted with it: the byte 0xff, which no text in UTF-8 holds, a byte with the count from 1 to 255, then
//! the body as it was first said. A body that does not begin so was never forwarded.
//!
//! What must always hold:
//! - The count only grows along a chain, and stays at 255 from there on.
//! - One act forwards to at most [`FORWARD_CHATS_MAX`] chats; one that would be more does nothing.
//! - Each of them is a message like any other: an id of its own, the outbox, one tick after the other.
//!
//! An application that lies about the count can: whoever may read a message may also say it again as their own. An edit is its author's own words, without a count.

use crate::error::LocalRefusal;
use crate::limits::FORWARD_CHATS_MAX;
use bytes::Bytes;
use crdt::ConversationId;

/// What a forwarded body begins with.
const MARK: u8 = 0xff;

/// How often a message was forwarded before it came here, and what was said.
#[must_use]
pub fn read(body: &Bytes) -> (u8, Bytes) {
    match body.split_first_chunk() {
        Some(([MARK, count], _)) if *count > 0 => (*count, body.slice(2..)),
        _ => (0, body.clone()),
    }
}

/// The body under which a message is said in other chats.
///
/// # Errors
/// [`LocalRefusal::TooManyChats`] when they are more than may be at once.
pub fn forwarded(body: &Bytes, chats: &[ConversationId]) -> Result<Bytes, LocalRefusal> {
    if chats.len() > FORWARD_CHATS_MAX {
        return Err(LocalRefusal::TooManyChats { chats: chats.len(), limit: FORWARD_CHATS_MAX });
    }
    let (count, said) = read(body);
    Ok([&[MARK, count.saturating_add(1)], &said[..]].concat().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crdt::PlacementId;

    fn chats(number: u128) -> Vec<ConversationId> {
        (0..number).map(|low| ConversationId::group(PlacementId(1), low)).collect()
    }

    #[test]
    fn the_count_grows_along_the_chain_and_what_was_said_stays() {
        let mut body = Bytes::from("look at this");
        assert_eq!(read(&body).0, 0);
        for hop in 1..=300_u16 {
            body = forwarded(&body, &chats(1)).unwrap();
            let (count, said) = read(&body);
            assert_eq!((u16::from(count), &said[..]), (hop.min(255), &b"look at this"[..]));
        }
        assert_eq!(body.len(), 2 + "look at this".len());
    }

    #[test]
    fn five_chats_at_once_and_not_one_more() {
        let body = Bytes::from("x");
        assert!(forwarded(&body, &chats(5)).is_ok());
        let refused = forwarded(&body, &chats(6)).unwrap_err();
        assert_eq!(refused.code(), "too_many_chats");
        assert_eq!(
            refused.to_string(),
            "6 chats are more than the 5 that one message is forwarded to at once: choose fewer"
        );
    }

    #[test]
    fn what_only_looks_like_a_forwarded_body_is_what_it_is() {
        for body in [&[][..], &[MARK], &[MARK, 0, b'x'], b"text"] {
            let body = Bytes::copy_from_slice(body);
            assert_eq!(read(&body), (0, body));
        }
    }
}
