//! Edits: what a command asks for, as one change on top of all that stands, and whether a document may grow like that.
//!
//! What must always hold:
//! - The actor and the time are given, so the same edit of the same document by the same actor is the same change.
//! - A change that is made here stands, here and wherever its operation comes.
//! - Of what is over its limit, because two merged that were not, only less can be made: limits bind where a change is issued.

use crate::change::{Actor, Change, Malformed, Object, Operation, OperationId, Value};
use crate::document::Document;
use crate::limits::{self, CHANGE_BYTES_MAX, INSERTION_BYTES_MAX, OPERATIONS_PER_CHANGE_MAX};
use crate::schema::Part;

/// What is to be different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A text stands at that key of that part.
    Text {
        /// The part.
        part: Part,
        /// The key.
        key: String,
        /// The text.
        text: String,
    },
    /// That key of that part is marked: pinned, blocked.
    Mark {
        /// The part.
        part: Part,
        /// The key.
        key: String,
    },
    /// Nothing stands at that key of that part.
    Clear {
        /// The part.
        part: Part,
        /// The key.
        key: String,
    },
    /// The description is this one. What stays at its beginning and its end is left alone, so two who change different places both have their way.
    Describe(String),
}

/// Why an edit makes no change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEdited {
    /// The document says so already.
    #[error("the document says so already")]
    Unchanged,
    /// The document has no such part or key, or it is too long for one change.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// An earlier change of this actor does not stand, so no further one can.
    #[error("an earlier change of this region to the document does not stand")]
    Stuck,
}

/// Something that has a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document's {what} would be {length}, the limit is {limit}")]
pub struct TooLong {
    /// What, and in which unit.
    pub what: &'static str,
    /// How long or many it would be.
    pub length: usize,
    /// How long it may be.
    pub limit: usize,
}

impl Document {
    /// The change that makes it so, by that actor, at that time in seconds since 1970.
    ///
    /// # Errors
    /// [`NotEdited`]: nothing would change, or it cannot be done.
    pub fn edit(&self, actor: &Actor, time_s: i64, edits: &[Edit]) -> Result<Change, NotEdited> {
        let start = 1 + self.past.end();
        let mut operations = Vec::new();
        for edit in edits {
            self.operations(edit, (start, actor), &mut operations)?;
        }
        self.change_by(actor, time_s, operations)
    }

    /// The change that erases what that change put into the description and still stands there, by that actor, at that time in seconds since 1970.
    ///
    /// # Errors
    /// [`NotEdited`]: nothing of it stands, or it cannot be done.
    pub fn take_back(&self, actor: &Actor, time_s: i64, change: &Change) -> Result<Change, NotEdited> {
        let object = self.schema.object(Part::Description).ok_or(Malformed::Schema)?;
        let stands = |id: &OperationId| {
            let at = self.text.position(id, self.text.last())?;
            self.text.elements().get(at)?.text.as_ref()
        };
        let inserted = change.operations().filter_map(|(id, operation)| match operation {
            Operation::Insert { .. } => stands(&id).is_some().then_some(id),
            Operation::Put { .. } | Operation::Remove { .. } | Operation::Erase { .. } => None,
        });
        let erase = |element| Operation::Erase { object, element };
        self.change_by(actor, time_s, inserted.map(erase).collect())
    }

    /// The actor's next change, on top of all that stands.
    fn change_by(&self, actor: &Actor, time_s: i64, operations: Vec<Operation>) -> Result<Change, NotEdited> {
        let (sequence, start) = (self.next_sequence(actor), 1 + self.past.end());
        if self.past.count_of(actor) + 1 != sequence {
            return Err(NotEdited::Stuck);
        }
        if operations.is_empty() {
            return Err(NotEdited::Unchanged);
        }
        if operations.len() > OPERATIONS_PER_CHANGE_MAX {
            return Err(Malformed::TooLarge.into());
        }
        let mut dependencies: Vec<_> =
            self.heads().iter().copied().chain(self.past.last_of(actor).map(|held| held.hash)).collect();
        dependencies.sort_unstable();
        dependencies.dedup();
        let (actor, message, extra) = (actor.clone(), String::new(), Vec::new());
        let change = Change { actor, sequence, start, time_s, message, dependencies, operations, extra };
        if change.write().0.len() > CHANGE_BYTES_MAX {
            return Err(Malformed::TooLarge.into());
        }
        Ok(change)
    }

    fn operations(
        &self,
        edit: &Edit,
        (start, actor): (u64, &Actor),
        operations: &mut Vec<Operation>,
    ) -> Result<(), NotEdited> {
        let (part, key, value) = match edit {
            Edit::Text { part, key, text } => (*part, key, Some(Value::text(text))),
            Edit::Mark { part, key } => (*part, key, Some(Value::boolean(true))),
            Edit::Clear { part, key } => (*part, key, None),
            Edit::Describe(text) => {
                let object = self.schema.object(Part::Description).ok_or(Malformed::Schema)?;
                self.describe(object, text, (start, actor), operations);
                return Ok(());
            }
        };
        let object = self.schema.object(part).ok_or(Malformed::Schema)?;
        if !self.schema.may_put(object, key) {
            return Err(Malformed::Schema.into());
        }
        if key.len() > limits::KEY_BYTES_MAX
            || value.as_ref().is_some_and(|value| value.bytes.len() > limits::VALUE_BYTES_MAX)
        {
            return Err(Malformed::TooLarge.into());
        }
        let slot = self.slot(part, key);
        let replaces = slot.map(crate::document::Slot::standing).unwrap_or_default();
        let key = key.clone();
        match value {
            // It is shown already, and nothing stands beside it that could come to be shown.
            Some(value) if replaces.len() == 1 && slot.and_then(|slot| slot.shown()) == Some(&value) => {}
            Some(value) => operations.push(Operation::Put { object, key, value, replaces }),
            None if replaces.is_empty() => {}
            None => operations.push(Operation::Remove { object, key, replaces }),
        }
        Ok(())
    }

    /// Erases what is between the beginning and the end that stay, and puts the new there.
    fn describe(
        &self,
        object: Object,
        text: &str,
        (start, actor): (u64, &Actor),
        operations: &mut Vec<Operation>,
    ) {
        let shown: Vec<(&OperationId, &str)> = self
            .text
            .elements()
            .iter()
            .filter_map(|element| Some((&element.id, element.text.as_deref()?)))
            .collect();
        let (mut rest, mut kept) = (text, 0);
        while let Some(after) = shown.get(kept).and_then(|(_, was)| rest.strip_prefix(was)) {
            rest = after;
            kept += 1;
        }
        let mut end = shown.len();
        while let Some(before) = shown[kept..end].last().and_then(|(_, was)| rest.strip_suffix(was)) {
            rest = before;
            end -= 1;
        }
        for (element, _) in &shown[kept..end] {
            operations.push(Operation::Erase { object, element: (*element).clone() });
        }
        let mut after = kept.checked_sub(1).map(|last| shown[last].0.clone());
        for character in rest.chars() {
            let id = OperationId { counter: start + operations.len() as u64, actor: actor.clone() };
            operations.push(Operation::Insert { object, after, text: character.to_string() });
            after = Some(id);
        }
    }

    /// Whether a document may become that one: each of its parts is within its limit, or smaller than it was.
    ///
    /// # Errors
    /// The first that is not.
    pub fn may_become(&self, after: &Self) -> Result<(), TooLong> {
        for ((what, before, _), (_, length, limit)) in self.measures().into_iter().zip(after.measures()) {
            if length > limit && length >= before {
                return Err(TooLong { what, length, limit });
            }
        }
        Ok(())
    }

    /// Everything that has a limit: what, how much, how much it may be.
    fn measures(&self) -> Vec<(&'static str, usize, usize)> {
        let characters =
            |value: &Value| value.as_text().map_or(value.bytes.len(), |text| text.chars().count());
        let at = |part, key| self.slot(part, key).and_then(|slot| slot.shown()).map_or(0, characters);
        let longest = |part| self.entries(part).map(|(_, value)| characters(value)).max().unwrap_or_default();
        let count = |part| self.entries(part).count();
        vec![
            ("name (characters)", at(Part::Root, "name"), limits::NAME_CHARACTERS_MAX),
            ("icon (characters)", at(Part::Root, "icon"), limits::ICON_CHARACTERS_MAX),
            (
                "description (characters)",
                self.description().chars().count(),
                limits::DESCRIPTION_CHARACTERS_MAX,
            ),
            ("pinned messages", count(Part::Pinned), limits::PINNED_MAX),
            ("settings", count(Part::Settings), limits::SETTINGS_MAX),
            ("setting (characters)", longest(Part::Settings), limits::SETTING_CHARACTERS_MAX),
            (
                "display name (characters)",
                at(Part::Profile, "display_name"),
                limits::DISPLAY_NAME_CHARACTERS_MAX,
            ),
            ("status (characters)", at(Part::Profile, "status"), limits::STATUS_CHARACTERS_MAX),
            ("contacts", count(Part::Contacts), limits::CONTACTS_MAX),
            ("nickname (characters)", longest(Part::Contacts), limits::NICKNAME_CHARACTERS_MAX),
            ("labels", count(Part::Labels), limits::CONTACTS_MAX),
            ("label (characters)", longest(Part::Labels), limits::NICKNAME_CHARACTERS_MAX),
            ("blocked users", count(Part::Blocked), limits::CONTACTS_MAX),
        ]
    }
}

const _: () = assert!(INSERTION_BYTES_MAX >= 4, "any character can be inserted");
