//! What is read out of a document, whatever was merged into it.
//!
//! What must always hold: reading never fails and depends on the state alone, so everybody reads the same. A value that is missing or of another type
//! reads as none; what is longer than it may be reads as its beginning; of more entries than there may be, the first in the order of their keys are read.

use crate::change::Value;
use crate::document::Document;
use crate::limits;
use crate::schema::Part;
use std::collections::{BTreeMap, BTreeSet};

/// What a conversation's document says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConversationView {
    /// Its name, if one was given.
    pub name: Option<String>,
    /// The name of the medium that is its icon.
    pub icon: Option<String>,
    /// What it is about; empty at first.
    pub description: String,
    /// The messages that are pinned: as their keys have it, sender and id.
    pub pinned: BTreeSet<String>,
    /// Settings that all members share.
    pub settings: BTreeMap<String, String>,
}

/// What a user's document says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccountView {
    /// The name that others are shown.
    pub display_name: Option<String>,
    /// What the user says of themselves.
    pub status: Option<String>,
    /// The user's names for others.
    pub contacts: BTreeMap<String, String>,
    /// The user's labels of conversations.
    pub labels: BTreeMap<String, String>,
    /// Whom the user has blocked.
    pub blocked: BTreeSet<String>,
    /// The user's own settings.
    pub settings: BTreeMap<String, String>,
}

impl Document {
    /// What it says of a conversation; nothing if it is an account's.
    #[must_use]
    pub fn conversation(&self) -> ConversationView {
        ConversationView {
            name: self.text_at(Part::Root, "name", limits::NAME_CHARACTERS_MAX),
            icon: self.text_at(Part::Root, "icon", limits::ICON_CHARACTERS_MAX),
            description: cut(&self.description(), limits::DESCRIPTION_CHARACTERS_MAX),
            pinned: self.marked(Part::Pinned, limits::PINNED_MAX),
            settings: self.texts(Part::Settings, limits::SETTINGS_MAX, limits::SETTING_CHARACTERS_MAX),
        }
    }

    /// What it says of a user; nothing if it is a conversation's.
    #[must_use]
    pub fn account(&self) -> AccountView {
        let named = |part| self.texts(part, limits::CONTACTS_MAX, limits::NICKNAME_CHARACTERS_MAX);
        AccountView {
            display_name: self.text_at(Part::Profile, "display_name", limits::DISPLAY_NAME_CHARACTERS_MAX),
            status: self.text_at(Part::Profile, "status", limits::STATUS_CHARACTERS_MAX),
            contacts: named(Part::Contacts),
            labels: named(Part::Labels),
            blocked: self.marked(Part::Blocked, limits::CONTACTS_MAX),
            settings: self.texts(Part::Settings, limits::SETTINGS_MAX, limits::SETTING_CHARACTERS_MAX),
        }
    }

    /// The whole text, however long.
    pub(crate) fn description(&self) -> String {
        self.text.shown()
    }

    fn text_at(&self, part: Part, key: &str, characters_max: usize) -> Option<String> {
        Some(cut(self.slot(part, key)?.shown()?.as_text()?, characters_max))
    }

    fn texts(&self, part: Part, entries_max: usize, characters_max: usize) -> BTreeMap<String, String> {
        self.entries(part)
            .filter_map(|(key, value)| Some((key.to_owned(), cut(value.as_text()?, characters_max))))
            .take(entries_max)
            .collect()
    }

    fn marked(&self, part: Part, entries_max: usize) -> BTreeSet<String> {
        self.entries(part)
            .filter(|(_, value)| value.kind == Value::TRUE)
            .map(|(key, _)| key.to_owned())
            .take(entries_max)
            .collect()
    }
}

fn cut(text: &str, characters_max: usize) -> String {
    text.chars().take(characters_max).collect()
}
