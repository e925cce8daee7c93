//! Looks for the bytes of pinned conversations in whatever it is fed, piece by piece.
//!
//! What must always hold: a text is found wherever it begins and however the pieces are cut; each is reported with the file and the
//! byte it begins at; memory stays at one piece and the longest text, however long the disk.

use crate::evidence::Found;
use crate::limits::FOUND_LISTED_MAX;
use crdt::ConversationId;

/// Looks for the texts of pinned conversations.
#[derive(Debug)]
pub struct Scanner {
    needles: Vec<Needle>,
    file: String,
    /// The end of what came before, one byte shorter than the longest needle.
    tail: Vec<u8>,
    /// Where `tail` begins in the file.
    tail_at: u64,
    bytes: u64,
    found: Vec<Found>,
}

#[derive(Debug)]
struct Needle {
    bytes: Vec<u8>,
    what: &'static str,
    conversation: ConversationId,
}

impl Scanner {
    /// Looks for these conversations: for the text that all messages of each carry, and for its id as bytes and as digits.
    #[must_use]
    pub fn new(pinned: &[(ConversationId, Vec<u8>)]) -> Self {
        let mut needles = vec![];
        for (conversation, text) in pinned {
            let conversation = *conversation;
            let digits = conversation.to_string().into_bytes();
            let id = conversation.0.to_be_bytes().to_vec();
            needles.push(Needle { bytes: text.clone(), what: "the text of a message", conversation });
            needles.push(Needle { bytes: id, what: "the conversation's id", conversation });
            needles.push(Needle { bytes: digits, what: "the conversation's id in digits", conversation });
        }
        needles.retain(|needle| !needle.bytes.is_empty());
        Self { needles, file: String::new(), tail: vec![], tail_at: 0, bytes: 0, found: vec![] }
    }

    /// What is fed from here on is this file's.
    pub fn begin_file(&mut self, name: &str) {
        self.file = name.to_owned();
        self.tail.clear();
        self.tail_at = 0;
        // A name is a form of bytes at rest too.
        let in_name = std::mem::take(&mut self.bytes);
        self.feed(name.as_bytes());
        self.bytes = in_name;
        self.tail.clear();
        self.tail_at = 0;
    }

    /// The file's next bytes.
    pub fn feed(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let tail_length = self.tail.len();
        self.tail.extend_from_slice(piece);
        for needle in &self.needles {
            // What ends within the old tail was found before.
            let from = (tail_length + 1).saturating_sub(needle.bytes.len());
            for at in occurrences(&self.tail[from..], &needle.bytes) {
                if self.found.len() < FOUND_LISTED_MAX {
                    self.found.push(Found {
                        file: self.file.clone(),
                        offset: self.tail_at + (from + at) as u64,
                        what: needle.what.to_owned(),
                        conversation: needle.conversation,
                    });
                }
            }
        }
        let longest = self.needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or(1);
        let gone = self.tail.len().saturating_sub(longest - 1);
        self.tail.drain(..gone);
        self.tail_at += gone as u64;
    }

    /// How many bytes were looked at, and what was found.
    #[must_use]
    pub fn finish(self) -> (u64, Vec<Found>) {
        (self.bytes, self.found)
    }
}

/// Where `needle` (not empty) begins in `bytes`. Looks for its first byte, then compares: ids and marks are rare.
fn occurrences<'a>(bytes: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let (first, rest) = (needle.first().copied(), needle.get(1..).unwrap_or_default());
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let step = bytes.get(from..)?.iter().position(|byte| Some(*byte) == first)?;
            let at = from + step;
            from = at + 1;
            if bytes[from..].starts_with(rest) {
                return Some(at);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::PlacementId;

    #[test]
    fn a_text_is_found_once_however_the_pieces_are_cut() {
        let conversation = ConversationId::group(PlacementId(2), 5);
        let disk = b"--canary--canary-canarcanary".to_vec();
        for size in 1..=disk.len() {
            let mut scanner = Scanner::new(&[(conversation, b"canary".to_vec())]);
            scanner.begin_file("a");
            disk.chunks(size).for_each(|piece| scanner.feed(piece));
            let (bytes, found) = scanner.finish();
            let offsets: Vec<u64> = found.iter().map(|found| found.offset).collect();
            assert_eq!((bytes, offsets), (28, vec![2, 10, 22]), "pieces of {size}");
        }
    }

    #[test]
    fn nothing_is_found_across_two_files_and_a_name_is_looked_at() {
        let conversation = ConversationId::group(PlacementId(2), 5);
        let mut scanner = Scanner::new(&[(conversation, b"canary".to_vec())]);
        scanner.begin_file("a");
        scanner.feed(b"can");
        scanner.begin_file("canary.sst");
        scanner.feed(b"ary");
        let (_, found) = scanner.finish();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].file.as_str(), found[0].offset), ("canary.sst", 0));
    }
}
