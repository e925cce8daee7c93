//! What can be a reaction: one emoji, as one sequence of code points.
//!
//! A reaction is shown to everybody beside somebody else's message, so it must not be a text. Whether it is one decides what all regions hold, so
//! the rule must be the same in every version: the grammar of UTS #51 (emoji sequences) over blocks of code points, not a table of today's
//! emoji, which grows each year. What must always hold:
//! - What parses is one sequence: a flag, a keycap, or pictographs joined by U+200D, each with its modifiers.
//! - It is at most [`EMOJI_BYTES_MAX`] bytes long: the longest that Unicode recommends has 35.
//!
//! It refuses some that are none to a reader (an unassigned code point of a pictographic block) no better than any font does.

use crate::limits::EMOJI_BYTES_MAX;
use std::fmt;
use std::str::FromStr;

/// One emoji.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Emoji(String);

/// A text that is not one emoji.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reaction is one emoji of at most {EMOJI_BYTES_MAX} bytes")]
pub struct NotAnEmoji;

const JOINER: char = '\u{200d}';
const AS_PICTURE: char = '\u{fe0f}';
const KEYCAP: char = '\u{20e3}';

impl Emoji {
    /// Its code points.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Emoji {
    type Err = NotAnEmoji;
    fn from_str(text: &str) -> Result<Self, NotAnEmoji> {
        if text.len() > EMOJI_BYTES_MAX {
            return Err(NotAnEmoji);
        }
        let points: Vec<char> = text.chars().collect();
        let whole = match points.as_slice() {
            [one, other] if is_regional(*one) && is_regional(*other) => true,
            [digit, AS_PICTURE, KEYCAP] | [digit, KEYCAP] => matches!(digit, '0'..='9' | '#' | '*'),
            points => points.split(|point| *point == JOINER).all(is_element),
        };
        if whole { Ok(Self(text.to_owned())) } else { Err(NotAnEmoji) }
    }
}

impl fmt::Display for Emoji {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pictograph, and at most: one modifier or presentation, then one sequence of tags.
fn is_element(points: &[char]) -> bool {
    let Some((first, rest)) = points.split_first() else { return false };
    let rest = match rest {
        [AS_PICTURE | '\u{1f3fb}'..='\u{1f3ff}', rest @ ..] => rest,
        rest => rest,
    };
    is_pictograph(*first) && (rest.is_empty() || is_tags(rest))
}

/// Tags, as in the flags of Scotland and Wales, and their end.
fn is_tags(points: &[char]) -> bool {
    let Some(('\u{e007f}', tags)) = points.split_last() else { return false };
    !tags.is_empty() && tags.iter().all(|point| matches!(point, '\u{e0020}'..='\u{e007e}'))
}

const fn is_regional(point: char) -> bool {
    matches!(point, '\u{1f1e6}'..='\u{1f1ff}')
}

/// The blocks that hold pictographs, among them what is reserved in them for later ones; regional indicators come in pairs only, and
/// modifiers stand alone as swatches.
const fn is_pictograph(point: char) -> bool {
    matches!(
        point,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
            | '\u{2194}'..='\u{21aa}'
            | '\u{231a}'..='\u{23ff}'
            | '\u{24c2}'
            | '\u{25aa}'..='\u{27bf}'
            | '\u{2934}' | '\u{2935}'
            | '\u{2b05}'..='\u{2b55}'
            | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
            | '\u{1f000}'..='\u{1f1e5}'
            | '\u{1f200}'..='\u{1faff}'
    )
}
