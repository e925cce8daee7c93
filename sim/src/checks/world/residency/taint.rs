//! How a pinned byte is recognised, in whatever form it takes.
//!
//! Watched are the ids of pinned conversations and of the messages in them, the hashes of their bodies, the canary with which pinned bodies and names
//! begin, and the ids of pinned users. Found are their raw bytes, their hexadecimal digits (in either case, with or without the dashes of a message id and the
//! letter of a conversation's), and their base64 in each of the three alignments (in either alphabet); of users the textual form alone, since eight bytes that
//! are mostly zero are found everywhere.
//!
//! How: the first eight bytes of each form stand, hashed, in a table of bits, so a byte that begins nothing costs one look; no form is shorter than fourteen.
//! Where more could begin, each form has a table of its own beginnings besides; only at those that stand there is anything compared.
//! What it cannot see: bytes that were compressed or encrypted, parts of a body without its beginning, digits with a dash among the first eight, base64 that changes its alphabet
//! within the first eight, and what a size or a time gives away.

use crdt::{ConversationId, MessageId, PlacementId, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// What every pinned body and name begins with.
pub(crate) const CANARY: &str = "pinned-canary:";

/// Characters of base64 that sixteen bytes determine in any alignment.
const BASE64_KEPT: usize = 19;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The watch list.
#[derive(Debug, Default)]
pub(super) struct Taint {
    placement: Option<PlacementId>,
    conversations: BTreeSet<ConversationId>,
    raw: BTreeMap<[u8; 16], &'static str>,
    base64: BTreeMap<[u8; BASE64_KEPT], &'static str>,
    texts: Vec<Vec<u8>>,
    users: BTreeSet<u64>,
    /// With what a form begins.
    begins: Beginnings,
    /// Pairs of bytes with which a watched id or hash begins.
    raw_begins: Bits,
    /// Sums of the characters with which its base64 begins.
    base64_begins: Bits,
}

/// A bit for each pair of bytes.
#[derive(Debug)]
struct Bits(Vec<u64>);

impl Default for Bits {
    fn default() -> Self {
        Self(vec![0; 1_024])
    }
}

impl Bits {
    fn set(&mut self, pair: [u8; 2]) {
        let pair = usize::from(u16::from_be_bytes(pair));
        // A pair is below 65,536, and there are as many bits.
        self.0[pair / 64] |= 1 << (pair % 64);
    }

    fn has(&self, pair: [u8; 2]) -> bool {
        let pair = usize::from(u16::from_be_bytes(pair));
        self.0[pair / 64] & 1 << (pair % 64) != 0
    }
}

/// Bytes of a form's beginning.
const BEGINNING: usize = 8;

/// A bit for each hash of a beginning, 16 KiB: a hundred pinned messages set one in eighty.
#[derive(Debug)]
struct Beginnings(Box<[u64; 2_048]>);

impl Default for Beginnings {
    fn default() -> Self {
        Self(Box::new([0; 2_048]))
    }
}

impl Beginnings {
    fn set(&mut self, beginning: [u8; BEGINNING]) {
        let hash = Self::hash(beginning);
        // The upper eleven bits are below 2,048.
        self.0[(hash >> 53) as usize] |= 1 << (hash >> 47 & 63);
    }

    fn has(&self, beginning: [u8; BEGINNING]) -> bool {
        let hash = Self::hash(beginning);
        self.0[(hash >> 53) as usize] & 1 << (hash >> 47 & 63) != 0
    }

    /// The same for both cases of a letter (Knuth's multiplicative hash).
    fn hash(beginning: [u8; BEGINNING]) -> u64 {
        (u64::from_le_bytes(beginning) | 0x2020_2020_2020_2020).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Spreads four characters over a pair of bytes (Knuth's multiplicative hash).
fn spread(characters: [u8; 4]) -> [u8; 2] {
    let [high, low, ..] = u32::from_be_bytes(characters).wrapping_mul(0x9e37_79b1).to_be_bytes();
    [high, low]
}

impl Taint {
    /// What is pinned to that placement is watched.
    pub(super) fn watch_placement(&mut self, placement: PlacementId) {
        self.placement = Some(placement);
        self.texts = vec![CANARY.into()];
        self.texts.push(CANARY.bytes().flat_map(|byte| hexadecimal(byte, b"0123456789abcdef")).collect());
        self.texts.extend((0..3).map(|alignment| base64(CANARY.as_bytes(), alignment, 14)));
        for text in self.texts.clone() {
            self.begin(&text);
        }
    }

    pub(super) fn watch_conversation(&mut self, id: ConversationId) {
        if Some(id.placement()) == self.placement && self.conversations.insert(id) {
            self.watch(id.0.to_be_bytes(), "a conversation");
        }
    }

    /// A message of a pinned conversation, with what its body hashes to.
    pub(super) fn watch_message(&mut self, id: ConversationId, message: MessageId, body: &[u8]) {
        if Some(id.placement()) == self.placement {
            self.watch(message.0.to_be_bytes(), "a message's id");
            if let Some(hash) = blake3::hash(body).as_bytes().first_chunk() {
                self.watch(*hash, "the hash of a body");
            }
        }
    }

    pub(super) fn watch_user(&mut self, user: UserId) {
        if Some(user.placement()) == self.placement && self.users.insert(user.0) {
            self.begin(user.to_string().as_bytes());
        }
    }

    fn watch(&mut self, bytes: [u8; 16], what: &'static str) {
        self.raw.insert(bytes, what);
        self.raw_begins.set([bytes[0], bytes[1]]);
        self.begin(&bytes);
        self.begin(bytes.map(|byte| hexadecimal(byte, b"0123456789abcdef")).as_flattened());
        for alignment in 0..3 {
            let mut kept = [0; BASE64_KEPT];
            kept.copy_from_slice(&base64(&bytes, alignment, BASE64_KEPT));
            self.base64.insert(kept, what);
            self.base64_begins.set(spread([kept[0], kept[1], kept[2], kept[3]]));
            self.begin(&kept);
            let url: Vec<u8> = kept.iter().map(|character| of_url(*character)).collect();
            self.begin(&url);
        }
    }

    fn begin(&mut self, form: &[u8]) {
        // Every form is longer.
        if let Some(beginning) = form.first_chunk() {
            self.begins.set(*beginning);
        }
    }

    /// The first pinned thing among these bytes; a pinned user only if that counts here.
    pub(super) fn found_in(&self, bytes: &[u8], users_count: bool) -> Option<String> {
        for (at, beginning) in bytes.array_windows().enumerate() {
            if self.begins.has(*beginning)
                && let Some(found) = self.begins_with(&bytes[at..], users_count)
            {
                return Some(format!("{found} at byte {at}"));
            }
        }
        None
    }

    fn begins_with(&self, bytes: &[u8], users_count: bool) -> Option<String> {
        if let Some(raw) = bytes.first_chunk::<16>().filter(|raw| self.raw_begins.has([raw[0], raw[1]]))
            && let Some(what) = self.raw.get(raw)
        {
            return Some(format!("{what}, as bytes,"));
        }
        if digits::<2>(bytes).is_some_and(|pair| self.raw_begins.has(pair))
            && let Some(what) = digits::<16>(bytes).and_then(|raw| self.raw.get(&raw))
        {
            return Some(format!("{what}, as digits,"));
        }
        let four = bytes.first_chunk::<4>().map(|four| spread(four.map(of_standard)));
        if four.is_some_and(|four| self.base64_begins.has(four))
            && let Some(kept) = bytes.first_chunk::<BASE64_KEPT>()
            && let Some(what) = self.base64.get(&kept.map(of_standard))
        {
            return Some(format!("{what}, as base64,"));
        }
        let user = bytes.strip_prefix(b"u").and_then(digits::<8>).map(u64::from_be_bytes);
        if let Some(user) = user.filter(|user| users_count && self.users.contains(user)) {
            return Some(format!("{}", UserId(user)));
        }
        let text = self.texts.iter().find(|text| bytes.starts_with(text));
        text.map(|text| format!("{:?}", String::from_utf8_lossy(text)))
    }
}

fn hexadecimal(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    // Half a byte is below sixteen.
    [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]
}

/// The bytes whose hexadecimal digits these are, dashes left out.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut digits = text.iter().filter(|character| **character != b'-').map(|character| {
        let digit = char::from(*character).to_digit(16)?;
        u8::try_from(digit).ok()
    });
    let mut bytes = [0; N];
    for byte in &mut bytes {
        *byte = digits.next()?? << 4 | digits.next()??;
    }
    Some(bytes)
}

/// The first characters of base64 that are the same whatever stands before and after these bytes, when so many bytes stand before them.
fn base64(bytes: &[u8], alignment: usize, kept: usize) -> Vec<u8> {
    // The bits before the first whole character belong to a character that is not ours alone.
    let skipped = [0, 4, 2][alignment];
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
    let character = |number: usize| {
        let from = skipped + number * 6;
        let value = (0..6).fold(0_usize, |value, offset| value << 1 | usize::from(bit(from + offset)));
        // Six bits are below sixty-four.
        ALPHABET[value]
    };
    (0..kept).map(character).collect()
}

const fn of_standard(character: u8) -> u8 {
    match character {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

const fn of_url(character: u8) -> u8 {
    match character {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PINNED: PlacementId = PlacementId(2);
    const OPEN: PlacementId = PlacementId(1);

    fn watched() -> (Taint, ConversationId, MessageId) {
        let mut taint = Taint::default();
        let id = ConversationId::group(PINNED, 0x0fed_cba9_8765_4321_ffee_ddcc_bbaa);
        let message = MessageId::new(1_732_500_000_000, 0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        taint.watch_placement(PINNED);
        taint.watch_conversation(id);
        taint.watch_message(id, message, b"pinned-canary:hello");
        taint.watch_user(UserId::new(PINNED, 4));
        (taint, id, message)
    }

    /// Plain base64 of all of it, as an encoder writes it.
    fn encoded(bytes: &[u8]) -> String {
        let mut text = String::new();
        for three in bytes.chunks(3) {
            let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
            let number = number << (8 * (3 - three.len()));
            for place in 0..=three.len() {
                text.push(char::from(ALPHABET[(number >> (18 - 6 * place) & 63) as usize]));
            }
        }
        text
    }

    fn finds(bytes: &[u8]) -> bool {
        let (taint, ..) = watched();
        let inside = [b"some bytes before ", bytes, b" and after"].concat();
        assert_eq!(taint.found_in(bytes, true).is_some(), taint.found_in(&inside, true).is_some());
        taint.found_in(&inside, true).is_some()
    }

    #[test]
    fn an_id_is_found_as_bytes_as_digits_and_as_text() {
        let (_, id, message) = watched();
        for id in [id.0, message.0] {
            assert!(finds(&id.to_be_bytes()));
            assert!(finds(format!("{id:032x}").as_bytes()));
            assert!(finds(format!("{id:032X}").as_bytes()));
            assert!(!finds(&(id ^ 1).to_be_bytes()));
        }
        assert!(finds(id.to_string().as_bytes()) && finds(message.to_string().as_bytes()));
        assert!(finds(UserId::new(PINNED, 4).to_string().as_bytes()));
    }

    #[test]
    fn an_id_and_the_canary_are_found_in_base64_wherever_they_begin() {
        let (_, id, message) = watched();
        for before in 0..4 {
            for watched in [&id.0.to_be_bytes()[..], &message.0.to_be_bytes(), CANARY.as_bytes()] {
                let text = encoded(&[&vec![0xa5; before], watched, &[9, 8, 7]].concat());
                assert!(finds(text.as_bytes()), "{before} before {watched:?}: {text}");
                let url: String = text.replace('+', "-").replace('/', "_");
                assert!(finds(url.as_bytes()), "{url}");
            }
        }
    }

    #[test]
    fn a_body_is_found_by_its_canary_and_by_its_hash() {
        assert!(finds(b"pinned-canary:whatever follows"));
        let hash = blake3::hash(b"pinned-canary:hello");
        assert!(finds(hash.as_bytes()) && finds(hash.to_hex().as_bytes()));
        let digits: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(finds(digits.as_bytes()));
    }

    #[test]
    fn what_is_not_pinned_is_not_found() {
        let (mut taint, ..) = watched();
        let open = ConversationId::group(OPEN, 7);
        taint.watch_conversation(open);
        taint.watch_message(open, MessageId::new(1_732_500_000_000, 5), b"hello");
        taint.watch_user(UserId::new(OPEN, 4));
        for text in [open.to_string(), UserId::new(OPEN, 4).to_string(), "pinned".to_owned()] {
            assert_eq!(taint.found_in(text.as_bytes(), true), None, "{text}");
        }
        assert_eq!(taint.found_in(&[0, 2].repeat(1_000), true), None);
        assert_eq!(taint.found_in(b"", true), None);
    }
}
