//! Reading a TOML file key by key, so that a mistake is named with its line and with what to write instead.
//!
//! The obvious way, a derived deserializer, stops at the first thing it does not expect and words it in terms of the
//! program's types. People write these files by hand: each key here carries its form and an example, and every error
//! shows them.
//!
//! What must always hold: no text makes reading panic; an unknown key is refused, naming the nearest known one.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One key of a file: what it is called, what it holds, and an example of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What its value must be, as the end of the sentence "write …".
    pub form: &'static str,
    /// A whole line that would be right.
    pub example: &'static str,
}

/// A mistake in a file that people write, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {mistake}")]
pub struct FileMistake {
    /// From 1.
    pub line: usize,
    /// What is wrong there, and what to write instead.
    pub mistake: Mistake,
}

/// What can be wrong in such a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Not TOML at all.
    #[error("this is not TOML: {reason}")]
    NotToml {
        /// What the TOML parser says, on one line.
        reason: String,
    },
    /// The file is larger than any that could be right.
    #[error("the file has {bytes} bytes; at most {most} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// A key that nobody reads.
    #[error("`{key}` is not a key of {section}; {}", instead(.nearest, .known))]
    UnknownKey {
        /// As written, cut to 64 characters.
        key: String,
        /// Where it stands.
        section: &'static str,
        /// The known key it resembles.
        nearest: Option<&'static str>,
        /// All known keys.
        known: Vec<&'static str>,
    },
    /// A key that must be there is not.
    #[error("{section} has no `{}`; add {}, such as `{}`", .key.name, .key.form, .key.example)]
    Missing {
        /// Where it should stand.
        section: &'static str,
        /// What is missing.
        key: Key,
    },
    /// A value that is not of its key's form.
    #[error("`{}` is {found}; write {}, such as `{}`", .key.name, .key.form, .key.example)]
    Form {
        /// Whose value.
        key: Key,
        /// What stands there, cut to 64 characters.
        found: String,
    },
    /// Two things that must differ do not.
    #[error("`{}` {value} is already used on line {first}; give each {section} its own", .key.name)]
    Repeated {
        /// Which key.
        key: Key,
        /// The value of both.
        value: String,
        /// Of what.
        section: &'static str,
        /// Where it was used first.
        first: usize,
    },
    /// A region is named that the file does not have.
    #[error("there is no region `{name}`; the regions are {}", .known.join(", "))]
    UnknownRegion {
        /// As written, cut to 64 characters.
        name: String,
        /// The regions of the file.
        known: Vec<String>,
    },
    /// A bridge from a region to itself.
    #[error("a bridge leads from `{name}` to itself; name two regions")]
    BridgeToItself {
        /// The region.
        name: String,
    },
    /// More of something than a cluster can have.
    #[error("there are {count} {section}; at most {most} are possible")]
    TooMany {
        /// Of what.
        section: &'static str,
        /// How many.
        count: usize,
        /// The limit.
        most: usize,
    },
}

/// A value together with where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At<T> {
    pub(crate) line: usize,
    pub(crate) value: T,
}

/// One table of a file.
pub(crate) struct Section<'file> {
    text: &'file str,
    line: usize,
    name: &'static str,
    table: &'file DeTable<'file>,
}

impl FileMistake {
    pub(crate) fn new(line: usize, mistake: Mistake) -> Self {
        Self { line, mistake }
    }

    /// A value that is not of its key's form.
    pub(crate) fn form(line: usize, key: Key, found: &str) -> Self {
        Self::new(line, Mistake::Form { key, found: format!("`{}`", short(found)) })
    }
}

/// Parses a file and hands its top level to `read`.
///
/// # Errors
/// The first mistake, with its line.
pub(crate) fn read_file<T>(
    text: &str,
    bytes_max: usize,
    read: impl FnOnce(&Section<'_>) -> Result<T, FileMistake>,
) -> Result<T, FileMistake> {
    if text.len() > bytes_max {
        return Err(FileMistake::new(1, Mistake::TooLarge { bytes: text.len(), most: bytes_max }));
    }
    let parsed = DeTable::parse(text).map_err(|error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        let reason = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        FileMistake::new(line, Mistake::NotToml { reason })
    })?;
    read(&Section { text, line: 1, name: "the file", table: parsed.get_ref() })
}

impl<'file> Section<'file> {
    /// Where this section begins.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// Refuses every key but these.
    pub(crate) fn only(&self, known: &[&'static str]) -> Result<(), FileMistake> {
        let unknown = self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(first) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let key = first.get_ref().as_ref();
        let mistake = Mistake::UnknownKey {
            key: short(key),
            section: self.name,
            nearest: nearest(key, known),
            known: known.to_vec(),
        };
        Err(FileMistake::new(line_of(self.text, first.span().start), mistake))
    }

    /// The text of a key that must be there.
    pub(crate) fn text(&self, key: Key) -> Result<At<&'file str>, FileMistake> {
        let value = self.required(key)?;
        self.as_text(key, value)
    }

    /// The text of a key that may be absent.
    pub(crate) fn optional_text(&self, key: Key) -> Result<Option<At<&'file str>>, FileMistake> {
        self.table.get(key.name).map(|value| self.as_text(key, value)).transpose()
    }

    /// The whole number of a key that must be there, from 1 to `most`.
    pub(crate) fn number(&self, key: Key, most: u64) -> Result<At<u64>, FileMistake> {
        let value = self.required(key)?;
        self.as_number(key, value, &(1..=most))
    }

    /// The whole number of a key, within that range; none if the key is not there.
    pub(crate) fn optional_number(
        &self,
        key: Key,
        range: &RangeInclusive<u64>,
    ) -> Result<Option<u64>, FileMistake> {
        let value = self.table.get(key.name);
        Ok(value.map(|value| self.as_number(key, value, range)).transpose()?.map(|found| found.value))
    }

    fn as_number(
        &self,
        key: Key,
        value: &Spanned<DeValue<'file>>,
        range: &RangeInclusive<u64>,
    ) -> Result<At<u64>, FileMistake> {
        let line = self.line_at(value);
        let DeValue::Integer(integer) = value.get_ref() else { return Err(wrong_kind(line, key, value)) };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        match number.filter(|number| range.contains(number)) {
            Some(value) => Ok(At { line, value }),
            None => Err(FileMistake::form(line, key, integer.as_str())),
        }
    }

    /// The texts of a list that must be there.
    pub(crate) fn texts(&self, key: Key) -> Result<At<Vec<At<&'file str>>>, FileMistake> {
        let value = self.required(key)?;
        let line = self.line_at(value);
        let DeValue::Array(list) = value.get_ref() else { return Err(wrong_kind(line, key, value)) };
        let value = list.iter().map(|item| self.as_text(key, item)).collect::<Result<Vec<_>, _>>()?;
        Ok(At { line, value })
    }

    /// The tables of `[[key]]`, in order; none if there are none.
    pub(crate) fn sections(
        &self,
        key: Key,
        name: &'static str,
        most: usize,
    ) -> Result<Vec<Section<'file>>, FileMistake> {
        let Some(value) = self.table.get(key.name) else { return Ok(Vec::new()) };
        let line = self.line_at(value);
        let DeValue::Array(list) = value.get_ref() else { return Err(wrong_kind(line, key, value)) };
        if list.len() > most {
            let mistake = Mistake::TooMany { section: name, count: list.len(), most };
            return Err(FileMistake::new(line, mistake));
        }
        let section = |item: &'file Spanned<DeValue<'file>>| match item.get_ref() {
            DeValue::Table(table) => Ok(Section { text: self.text, line: self.line_at(item), name, table }),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => Err(wrong_kind(self.line_at(item), key, item)),
        };
        list.iter().map(section).collect()
    }

    fn required(&self, key: Key) -> Result<&'file Spanned<DeValue<'file>>, FileMistake> {
        let missing = || FileMistake::new(self.line, Mistake::Missing { section: self.name, key });
        self.table.get(key.name).ok_or_else(missing)
    }

    fn as_text(
        &self,
        key: Key,
        value: &'file Spanned<DeValue<'file>>,
    ) -> Result<At<&'file str>, FileMistake> {
        let line = self.line_at(value);
        match value.get_ref() {
            DeValue::String(text) => Ok(At { line, value: text.as_ref() }),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => Err(wrong_kind(line, key, value)),
        }
    }

    fn line_at(&self, value: &Spanned<DeValue<'_>>) -> usize {
        line_of(self.text, value.span().start)
    }
}

/// Remembers where each value of a key was used first, and refuses the second use.
pub(crate) struct Unique {
    key: Key,
    section: &'static str,
    used: BTreeMap<String, usize>,
}

impl Unique {
    pub(crate) fn new(key: Key, section: &'static str) -> Self {
        Self { key, section, used: BTreeMap::new() }
    }

    pub(crate) fn take(&mut self, line: usize, value: impl ToString) -> Result<(), FileMistake> {
        let value = value.to_string();
        match self.used.get(&value) {
            None => {
                self.used.insert(value, line);
                Ok(())
            }
            Some(first) => {
                let mistake =
                    Mistake::Repeated { key: self.key, value, section: self.section, first: *first };
                Err(FileMistake::new(line, mistake))
            }
        }
    }
}

/// A name: lower-case letters, digits and hyphens, beginning with a letter, at most 32.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// `N` bytes in lower-case hexadecimal.
#[must_use]
pub fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    all_bytes_of_hex(text)?.try_into().ok()
}

/// However many bytes in lower-case hexadecimal.
#[must_use]
pub fn all_bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

/// Bytes as lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// At most 64 characters of a text, for an error.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

fn wrong_kind(line: usize, key: Key, value: &Spanned<DeValue<'_>>) -> FileMistake {
    let found = match value.get_ref() {
        DeValue::String(text) => format!("the text `{}`", short(text)),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(_) => "a number with a point".to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    FileMistake::new(line, Mistake::Form { key, found })
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn instead(nearest: &Option<&'static str>, known: &[&'static str]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("its keys are {}", known.join(", ")),
    }
}

/// The known key that `key` was probably meant to be: at most a third of its letters are wrong.
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let key = short(key);
    let (distance, nearest) = known
        .iter()
        .map(|known| (edit_distance(&key, known), *known))
        .min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= nearest.len().max(3)).then_some(nearest)
}

/// Levenshtein's distance, in characters.
fn edit_distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((b, diagonal), above) in other.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or(i + 1);
            next.push((diagonal + usize::from(a != *b)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
