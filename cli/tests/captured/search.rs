//! The one search of this test: for a text, its conversation and its author, in whatever form ids are written, in bytes, files and folders.
//!
//! What must always hold: everything is looked at by the same scanner, and how much that was is told, since a search of nothing finds nothing.

use crdt::{ConversationId, UserId};
use sim::scan::Scanner;
use std::fs;
use std::path::Path;

/// What to look for.
pub struct Search {
    conversation: ConversationId,
    author: UserId,
    needles: Vec<(ConversationId, Vec<u8>)>,
}

/// What came of looking.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Looked {
    pub bytes: u64,
    /// Where something was, and what: each place once.
    pub found: Vec<String>,
}

impl Search {
    pub fn new(conversation: ConversationId, author: UserId, text: &str) -> Self {
        let forms = [text.as_bytes().to_vec(), author.0.to_be_bytes().to_vec(), author.to_string().into()];
        Self { conversation, author, needles: forms.map(|form| (conversation, form)).to_vec() }
    }

    /// What somebody says there.
    pub fn post(&self, text: &'static str) -> (ConversationId, UserId, &'static str) {
        (self.conversation, self.author, text)
    }

    pub fn bytes<'a>(&self, name: &str, pieces: impl IntoIterator<Item = &'a Vec<u8>>) -> Looked {
        let mut scanner = Scanner::new(&self.needles);
        for piece in pieces {
            scanner.begin_file(name);
            scanner.feed(piece);
        }
        let (bytes, found) = scanner.finish();
        let found =
            found.iter().map(|found| format!("{} at byte {} of {}", found.what, found.offset, found.file));
        Looked { bytes, found: found.collect() }
    }

    /// Everything below a folder, or a file.
    pub fn path(&self, path: &Path) -> Looked {
        if !path.is_dir() {
            return self.bytes(&path.display().to_string(), [&fs::read(path).unwrap()]);
        }
        let mut all = Looked::default();
        for entry in fs::read_dir(path).unwrap() {
            let one = self.path(&entry.unwrap().path());
            all.bytes += one.bytes;
            all.found.extend(one.found);
        }
        all
    }
}

impl Looked {
    /// Fails unless something was looked at and nothing was there.
    pub fn is_nowhere(&self, at_least: u64) {
        assert!(self.bytes >= at_least, "only {} bytes were looked at", self.bytes);
        assert_eq!(self.found, Vec::<String>::new());
    }

    pub fn holds(&self, what: &str) -> bool {
        self.found.iter().any(|found| found.contains(what))
    }
}
