//! Cursors: where a device stands in a conversation, sealed so that it cannot claim what it was not given.
//!
//! The token is opaque to clients: format, key id, conversation, the replica whose arrival number it holds, that number, the highest timestamp
//! and the cut given so far, and 16 bytes of keyed BLAKE3 over all of it, under a key derived from the placement's secret and
//! the cluster's name. Regions of a placement share the secret, so each opens the others' cursors: from another replica the
//! arrival number means nothing, and the cut says which entries the device lacks.
//!
//! What must always hold: `open(seal(cursor)) == cursor`; a token with any bit changed, of another cluster, or under an unknown key is refused.
//! A cursor is not bound to a device: a delivery is encoded once for all of them, and another member's cursor of the same
//! conversation can only make its holder miss what that member was given.

use crdt::{ConversationId, Cut, Dot, Incarnation, RegionId, ReplicaId, Sequence, Timestamp};
use region::item::ArrivalNumber;
use region::read::Standing;

const FORMAT: u8 = 1;
pub(crate) const MAC_BYTES: usize = 16;
const CUT_ENTRY_BYTES: usize = 18;
/// Format, key id, conversation, replica, arrival, highest, number of cut entries.
const HEAD_BYTES: usize = 1 + 4 + 16 + 10 + 8 + 8 + 1;

/// Where a device stands in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Which conversation.
    pub conversation: ConversationId,
    /// The replica that gave it, whose arrival number it holds.
    pub replica: ReplicaId,
    /// The last entry given.
    pub arrival: ArrivalNumber,
    /// Per origin, the last operation of the conversation that was given.
    pub cut: Cut,
    /// The highest timestamp given.
    pub highest: Timestamp,
}

/// One secret, by the number that operators gave it.
#[derive(Clone, Copy)]
pub struct CursorKey {
    /// Stands in each token, so that keys can change while old tokens live.
    pub id: u32,
    key: [u8; 32],
}

/// The keys of one placement: cursors are sealed under the current one and opened under either.
#[derive(Clone, Copy)]
pub struct CursorKeys {
    /// Seals.
    pub current: CursorKey,
    /// Opens what was sealed before the keys were changed.
    pub previous: Option<CursorKey>,
}

/// Bytes that are not a cursor of this placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not the bytes of a cursor.
    #[error("the cursor is malformed: send it exactly as it was received")]
    Malformed,
    /// Made elsewhere or changed since.
    #[error(
        "the cursor of {0} was not made by this placement's regions, or was changed: sync it without a cursor"
    )]
    Forged(ConversationId),
    /// Its key is no longer kept.
    #[error("the cursor of {0} was sealed under a key that is no longer kept: sync it without a cursor")]
    Retired(ConversationId),
    /// Of another conversation than the frame is about.
    #[error("the cursor belongs to {found}, not to {expected}: use that conversation's own")]
    WrongConversation {
        /// The conversation of the frame.
        expected: ConversationId,
        /// That of the cursor.
        found: ConversationId,
    },
}

impl CursorError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "cursor_malformed",
            Self::Forged(_) => "cursor_forged",
            Self::Retired(_) => "cursor_retired",
            Self::WrongConversation { .. } => "cursor_wrong_conversation",
        }
    }

    /// The conversation that the bytes name, true or not.
    #[must_use]
    pub const fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Malformed => None,
            Self::Forged(conversation) | Self::Retired(conversation) => Some(*conversation),
            Self::WrongConversation { expected, .. } => Some(*expected),
        }
    }
}

impl CursorKey {
    /// The key of that number, from the placement's secret; another cluster's key is another one even if the secret is the same.
    #[must_use]
    pub fn new(id: u32, cluster: &str, secret: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("archipelago cursor");
        hasher.update(secret).update(cluster.as_bytes());
        Self { id, key: *hasher.finalize().as_bytes() }
    }

    pub(crate) fn mac(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&blake3::keyed_hash(&self.key, bytes).as_bytes()[..MAC_BYTES]);
        mac
    }
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CursorKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CursorKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CursorKeys")
            .field("current", &self.current)
            .field("previous", &self.previous)
            .finish()
    }
}

impl Cursor {
    /// What its device lacks begins after this: by arrival number at the replica that gave the cursor, by the cut anywhere else.
    #[must_use]
    pub fn standing(self, here: ReplicaId) -> Standing {
        let after = if self.replica == here { self.arrival } else { ArrivalNumber(0) };
        Standing { after, cut: self.cut, highest: self.highest }
    }
}

impl CursorKeys {
    /// Seals a cursor.
    #[must_use]
    pub fn seal(&self, cursor: &Cursor) -> Vec<u8> {
        let entries = cursor.cut.iter().count().min(usize::from(u8::MAX));
        let mut bytes = Vec::with_capacity(HEAD_BYTES + entries * CUT_ENTRY_BYTES + MAC_BYTES);
        bytes.push(FORMAT);
        bytes.extend(self.current.id.to_be_bytes());
        bytes.extend(cursor.conversation.0.to_be_bytes());
        write_replica(&mut bytes, cursor.replica);
        bytes.extend(cursor.arrival.0.to_be_bytes());
        bytes.extend(cursor.highest.0.to_be_bytes());
        // A placement has at most 64 regions; a longer cut would only be given again.
        bytes.push(u8::try_from(entries).unwrap_or(u8::MAX));
        for dot in cursor.cut.iter().take(entries) {
            write_replica(&mut bytes, dot.replica);
            bytes.extend(dot.sequence.0.to_be_bytes());
        }
        let mac = self.current.mac(&bytes);
        bytes.extend(mac);
        bytes
    }

    /// Opens a token.
    ///
    /// # Errors
    /// [`CursorError`] when it is not a cursor, not of this placement, or its key is gone.
    pub fn open(&self, token: &[u8]) -> Result<Cursor, CursorError> {
        let conversation = named_conversation(token)?;
        let body_bytes = token.len().checked_sub(MAC_BYTES).ok_or(CursorError::Malformed)?;
        let (body, mac) = token.split_at(body_bytes);
        let mut reader = Reader(body.get(1..).ok_or(CursorError::Malformed)?);
        let id = u32::from_be_bytes(reader.take()?);
        let keys = [Some(self.current), self.previous];
        let key =
            keys.into_iter().flatten().find(|key| key.id == id).ok_or(CursorError::Retired(conversation))?;
        if !equal_in_constant_time(&key.mac(body), mac) {
            return Err(CursorError::Forged(conversation));
        }
        let _: [u8; 16] = reader.take()?;
        let replica = reader.replica()?;
        let arrival = ArrivalNumber(u64::from_be_bytes(reader.take()?));
        let highest = Timestamp(u64::from_be_bytes(reader.take()?));
        let [entries] = reader.take()?;
        let mut cut = Cut::new();
        for _ in 0..entries {
            let replica = reader.replica()?;
            cut.raise(Dot { replica, sequence: Sequence(u64::from_be_bytes(reader.take()?)) });
        }
        if !reader.0.is_empty() {
            return Err(CursorError::Malformed);
        }
        Ok(Cursor { conversation, replica, arrival, cut, highest })
    }
}

/// The conversation that a token names, before it is known to be true: it says which placement's keys can tell.
///
/// # Errors
/// [`CursorError::Malformed`] when the bytes are too few or of another format.
pub fn named_conversation(token: &[u8]) -> Result<ConversationId, CursorError> {
    if token.first() != Some(&FORMAT) || token.len() < HEAD_BYTES + MAC_BYTES {
        return Err(CursorError::Malformed);
    }
    let mut reader = Reader(&token[5..]);
    Ok(ConversationId(u128::from_be_bytes(reader.take()?)))
}

fn write_replica(bytes: &mut Vec<u8>, replica: ReplicaId) {
    bytes.extend(replica.region.0.to_be_bytes());
    bytes.extend(replica.incarnation.0.to_be_bytes());
}

/// Comparing byte by byte until the first difference would tell a forger, by its time, how far they got.
pub(crate) fn equal_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CursorError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(CursorError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn replica(&mut self) -> Result<ReplicaId, CursorError> {
        let region = RegionId(u16::from_be_bytes(self.take()?));
        Ok(ReplicaId { region, incarnation: Incarnation(u64::from_be_bytes(self.take()?)) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crdt::PlacementId;
    use proptest::prelude::*;

    fn keys(id: u32, cluster: &str) -> CursorKeys {
        CursorKeys { current: CursorKey::new(id, cluster, &[7; 32]), previous: None }
    }

    fn replica(region: u16) -> ReplicaId {
        ReplicaId { region: RegionId(region), incarnation: Incarnation(u64::from(region) * 3) }
    }

    fn cursor() -> Cursor {
        let dot = |region, sequence| Dot { replica: replica(region), sequence: Sequence(sequence) };
        Cursor {
            conversation: ConversationId::group(PlacementId(1), 99),
            replica: replica(1),
            arrival: ArrivalNumber(12),
            cut: [dot(1, 5), dot(2, 9)].into_iter().collect(),
            highest: Timestamp(77),
        }
    }

    #[test]
    fn it_opens_as_it_was_sealed() {
        let keys = keys(1, "c");
        assert_eq!(keys.open(&keys.seal(&cursor())).unwrap(), cursor());
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let keys = keys(1, "c");
        let sealed = keys.seal(&cursor());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.open(&changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(keys.open(&sealed[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn another_clusters_cursor_is_forged_and_a_retired_keys_cursor_says_so() {
        let sealed = keys(1, "elsewhere").seal(&cursor());
        assert_eq!(keys(1, "c").open(&sealed).unwrap_err().code(), "cursor_forged");
        let sealed = keys(1, "c").seal(&cursor());
        assert_eq!(keys(2, "c").open(&sealed).unwrap_err().code(), "cursor_retired");
    }

    #[test]
    fn a_changed_key_still_opens_what_the_one_before_sealed() {
        let sealed = keys(1, "c").seal(&cursor());
        let previous = Some(CursorKey::new(1, "c", &[7; 32]));
        let changed = CursorKeys { current: CursorKey::new(2, "c", &[8; 32]), previous };
        assert_eq!(changed.open(&sealed).unwrap(), cursor());
        assert_ne!(changed.seal(&cursor()), sealed);
    }

    #[test]
    fn elsewhere_its_arrival_number_means_nothing() {
        assert_eq!(cursor().standing(replica(1)).after, ArrivalNumber(12));
        let elsewhere = cursor().standing(replica(2));
        assert_eq!(elsewhere.after, ArrivalNumber(0));
        assert_eq!(elsewhere.cut, cursor().cut);
    }

    proptest! {
        #[test]
        fn no_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(keys(1, "c").open(&bytes).is_err());
        }
    }
}
