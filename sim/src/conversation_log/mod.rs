//! Logs of real people's conversations, with the links by which they answered each other.
//!
//! A log is two texts, as Kummerfeld et al. publish them ("A Large-Scale Corpus for Conversation Disentanglement", ACL 2019):
//! `NAME.raw.txt`, one line a message, and `NAME.annotation.txt`, one link a line. A link is a causal dependency that a person
//! made: whoever answers has read what they answer.
//!
//! What must always hold: parsing is total. Each text either becomes a [`ConversationLog`] or is refused by file and line (counted from 1,
//! as editors do; links count lines from 0, as their authors did).

mod annotation;
mod raw;

use crate::limits::{LOG_LINES_MAX, LOG_LINKS_MAX};
use std::collections::BTreeMap;

/// One channel's log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConversationLog {
    /// What it is called: the file's name without its ending.
    pub name: String,
    /// What happened, in order. Every line of the text is one entry.
    pub entries: Vec<Entry>,
    /// For each answering line, the lines it answers, ascending; both counted from 0. Links from and to lines that nobody said are kept.
    pub answers: BTreeMap<usize, Vec<usize>>,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Minutes since the log's first line. Never falls: a clock that passes midnight counts on.
    pub minute: u32,
    /// Who, under the name of that moment.
    pub nick: String,
    /// What they did.
    pub event: Event,
}

/// What a line of a log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Said that.
    Said(String),
    /// Told of themselves in the third person (`/me`).
    Acted(String),
    /// Came.
    Joined,
    /// Went.
    Left,
    /// Took another name.
    Renamed(String),
}

/// Why a log was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {mistake}")]
pub struct LogError {
    /// The file, as it was named to the parser.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub mistake: LogMistake,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogMistake {
    /// Neither a message nor a system line.
    #[error("`{0}` is neither `[HH:MM] <nick> text`, `[HH:MM]  * nick text` nor `=== nick …`")]
    Line(String),
    /// A time that no clock shows.
    #[error("`{0}` is not a time of day: it has the form HH:MM, from 00:00 to 23:59")]
    Time(String),
    /// A name that is empty or too long.
    #[error("`{0}` is not a nick: it has 1 to {NICK_CHARACTERS_MAX} characters and no space", NICK_CHARACTERS_MAX = crate::limits::NICK_CHARACTERS_MAX)]
    Nick(String),
    /// A message longer than a message may be.
    #[error("the message has {0} bytes, the limit is {limit}: shorten it", limit = crate::limits::BODY_BYTES_MAX)]
    Body(usize),
    /// Not a link.
    #[error("`{0}` is not a link: it has the form `A B -`, line B answers line A, both counted from 0")]
    Link(String),
    /// A link to a line that comes later.
    #[error("line {answering} cannot answer line {answered}, which comes after it")]
    LinkBackwards {
        /// The answering line, from 0.
        answering: usize,
        /// The answered line, from 0.
        answered: usize,
    },
    /// A link to a line that is not there.
    #[error("the link names line {0} (counted from 0), but the log ends at line {1}")]
    LinkBeyondEnd(usize, usize),
    /// Nobody says anything.
    #[error("nobody says anything in this log: a conversation needs at least one message")]
    Empty,
    /// Too many lines.
    #[error("the file is longer than the limit of {0} lines: cut it")]
    TooLong(usize),
}

impl ConversationLog {
    /// Reads a log from its two texts. `raw_file` and `annotation_file` are what errors call them.
    ///
    /// # Errors
    /// [`LogError`], the first mistake by file and line.
    pub fn parse(
        name: &str,
        raw_file: &str,
        raw: &str,
        annotation_file: &str,
        annotation: &str,
    ) -> Result<Self, LogError> {
        let refuse = |line, mistake| LogError { file: raw_file.to_owned(), line, mistake };
        if raw.lines().count() > LOG_LINES_MAX {
            return Err(refuse(LOG_LINES_MAX + 1, LogMistake::TooLong(LOG_LINES_MAX)));
        }
        let entries = raw::parse(raw).map_err(|(line, mistake)| refuse(line, mistake))?;
        if !entries.iter().any(|entry| entry.event.text().is_some()) {
            return Err(refuse(entries.len().max(1), LogMistake::Empty));
        }
        let refuse = |line, mistake| LogError { file: annotation_file.to_owned(), line, mistake };
        if annotation.lines().count() > LOG_LINKS_MAX {
            return Err(refuse(LOG_LINKS_MAX + 1, LogMistake::TooLong(LOG_LINKS_MAX)));
        }
        let answers =
            annotation::parse(annotation, entries.len()).map_err(|(line, mistake)| refuse(line, mistake))?;
        Ok(Self { name: name.to_owned(), entries, answers })
    }

    /// How many messages it holds.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.entries.iter().filter(|entry| entry.event.text().is_some()).count()
    }
}

impl Event {
    /// What was said or told, if anything was.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Said(text) | Self::Acted(text) => Some(text),
            Self::Joined | Self::Left | Self::Renamed(_) => None,
        }
    }
}
