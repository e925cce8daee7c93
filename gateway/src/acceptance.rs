//! Acceptances: the proof that a region has taken a message, which its client gives to whichever region it sends the message to again.
//!
//! What operators allow (a limit on bodies, no messages at all) may change between the two. Were the message refused by the second, it would be shown after later ones of its sender,
//! or hold them up for as long as the first region is cut off; and were the first lost, it would be too. So it is judged once, at the first door.
//!
//! The token is the key's id and 16 bytes of keyed BLAKE3 over a byte that no cursor begins with and a digest of conversation, sender, message id and what the message says, under
//! the placement's cursor key, which its regions share. It costs a hash of the body and 20 bytes an acknowledgement.
//!
//! What must always hold: a token proves one message of one sender with that very content, in a placement of that cluster; one that proves nothing does no harm, as the message is
//! judged as any other.

use crate::cursor::{CursorKeys, MAC_BYTES, equal_in_constant_time};
use crdt::{ConversationId, MessageId, UserId};

/// Cursors begin with 1.
const FORMAT: u8 = 2;
const ID_BYTES: usize = 4;

/// What an acceptance proves: [`FORMAT`] and a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted([u8; 33]);

impl Accepted {
    /// That this user's message, with that body and in reply to that one, was taken.
    pub(crate) fn message(
        sender: UserId,
        conversation: ConversationId,
        message: MessageId,
        (body, reply_to): (&[u8], Option<(UserId, MessageId)>),
    ) -> Self {
        // No message has the id 0. All but the body, which comes last, are of a fixed length.
        let (replied, reply) = reply_to.unwrap_or((UserId(0), MessageId(0)));
        let mut hasher = blake3::Hasher::new();
        hasher.update(&conversation.0.to_be_bytes());
        for (user, message) in [(sender, message), (replied, reply)] {
            hasher.update(&user.0.to_be_bytes()).update(&message.0.to_be_bytes());
        }
        hasher.update(body);
        let mut bytes = [FORMAT; 33];
        bytes[1..].copy_from_slice(hasher.finalize().as_bytes());
        Self(bytes)
    }
}

impl CursorKeys {
    /// The proof.
    pub(crate) fn accept(&self, accepted: &Accepted) -> Vec<u8> {
        let mut token = self.current.id.to_be_bytes().to_vec();
        token.extend(self.current.mac(&accepted.0));
        token
    }

    /// Whether this is the proof of it, under a key that is kept.
    pub(crate) fn accepts(&self, accepted: &Accepted, token: &[u8]) -> bool {
        let Some((id, mac)) = token.split_first_chunk::<ID_BYTES>() else { return false };
        let id = u32::from_be_bytes(*id);
        let key = [Some(self.current), self.previous].into_iter().flatten().find(|key| key.id == id);
        mac.len() == MAC_BYTES && key.is_some_and(|key| equal_in_constant_time(&key.mac(&accepted.0), mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::CursorKey;
    use crdt::PlacementId;

    fn keys(id: u32, cluster: &str) -> CursorKeys {
        CursorKeys { current: CursorKey::new(id, cluster, &[7; 32]), previous: None }
    }

    fn accepted(sender: u64, message: u128, body: &str, reply_to: Option<u128>) -> Accepted {
        let reply_to = reply_to.map(|reply| (UserId(9), MessageId(reply)));
        let conversation = ConversationId::group(PlacementId(1), 1);
        Accepted::message(UserId(sender), conversation, MessageId(message), (body.as_bytes(), reply_to))
    }

    #[test]
    fn it_proves_that_message_of_that_sender_with_that_content_and_no_other() {
        let keys = keys(1, "c");
        let token = keys.accept(&accepted(1, 2, "hello", None));
        assert_eq!(token.len(), ID_BYTES + MAC_BYTES);
        assert!(keys.accepts(&accepted(1, 2, "hello", None), &token));
        for other in [
            accepted(2, 2, "hello", None),
            accepted(1, 3, "hello", None),
            accepted(1, 2, "hello!", None),
            accepted(1, 2, "hello", Some(2)),
        ] {
            assert!(!keys.accepts(&other, &token));
        }
    }

    #[test]
    fn every_changed_bit_and_every_shorter_token_prove_nothing() {
        let (keys, accepted) = (keys(1, "c"), accepted(1, 2, "hello", None));
        let token = keys.accept(&accepted);
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!keys.accepts(&accepted, &changed));
        }
        for bytes in 0..token.len() {
            assert!(!keys.accepts(&accepted, &token[..bytes]));
        }
    }

    #[test]
    fn another_clusters_proof_is_none_and_a_former_keys_is_one_while_it_is_kept() {
        let accepted = accepted(1, 2, "hello", None);
        let token = keys(1, "c").accept(&accepted);
        assert!(!keys(1, "another").accepts(&accepted, &token));
        assert!(!keys(2, "c").accepts(&accepted, &token));
        let both = CursorKeys { previous: Some(keys(1, "c").current), ..keys(2, "c") };
        assert!(both.accepts(&accepted, &token));
    }
}
