//! Promise 3, in documents: what a conversation says of itself, and a user's account, is what was last said of it.
//!
//! A second reading of documents, which shares nothing with `crdt/documents`: no ids of operations, no hashes, no text that is a list. What people asked for is taken from what their devices
//! did, who knew of what from the order in which regions applied it. Of one field those settings are the latest of which no other setting of it knew: one of their values is shown, and a
//! setting wins over a removal that did not know of it. A description is the text of the latest command, to the letter, if all that was said before was known wherever that command
//! was taken: however often it was sent, its words are there once.
//!
//! Asked of every region's store once all is calm, by the read that answers a device. What this does not see: which of several latest values is shown (that it is the same everywhere,
//! another check sees); how descriptions merge that did not know of each other; the document as an Automerge loads it; conversations of which hardware lied.

use super::record::{Facts, Kind, Number};
use super::{Checker, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, MessageId, RegionId, UserId};
use gateway_client::DocumentEdit;
use region::read::{self, DocumentRead};
use region::store::{StoreError, View};
use std::collections::{BTreeMap, BTreeSet};

/// What of a document is set as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Name,
    Icon,
    Description,
    Pinned(UserId, MessageId),
    Setting(String),
    DisplayName,
    Status,
    Contact(UserId),
    Label(ConversationId),
    Blocked(UserId),
}

/// All settings of each field.
type Settings = BTreeMap<Field, Vec<Setting>>;

/// A setting: by which operation, to what; none if it is a removal.
type Setting = (Number, Option<String>);

impl Oracle {
    /// Asks a region what a conversation says of itself.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub(super) fn judge_described(
        &mut self,
        at: Moment,
        region: RegionId,
        id: ConversationId,
        view: &dyn View,
    ) -> Result<(), StoreError> {
        let Some(facts) = self.record.conversations.get(&id).filter(|_| !self.lies.were_told()) else {
            return Ok(());
        };
        let Some((settings, others)) = settings(facts, region) else { return Ok(()) };
        let mut users = self.record.devices.values().map(|device| device.user);
        let Some(user) = users.find(|user| facts.is_member(*user)) else { return Ok(()) };
        let Some(document) = read::document(view, id, user)? else { return Ok(()) };
        let wrong = settings.iter().find_map(|(field, said)| {
            let wanted = wanted(facts, field, said, &others)?;
            let shown = shown(&document, field);
            (!wanted.contains(&shown))
                .then(|| format!("{region} shows {shown:?} as {field:?} of {id}, said was {wanted:?}"))
        });
        self.looked_at(Checker::Described, settings.len() as u64);
        if let Some(wrong) = wrong {
            self.violate(at, Checker::Described, wrong);
        }
        Ok(())
    }
}

/// All settings of each field, and the operations that change the document and that nobody asked for; none if a region lacks one, or it is not known what one knew of.
fn settings(facts: &Facts, region: RegionId) -> Option<(Settings, Vec<Number>)> {
    let (mut settings, mut others) = (Settings::new(), Vec::new());
    for (number, operation) in facts.operations.iter().enumerate() {
        if operation.kind != Kind::Document {
            continue;
        }
        if operation.is_of_second_life() || !facts.is_applied(region, number) {
            return None;
        }
        match facts.described.get(&(operation.sender, operation.message)) {
            Some(edit) => {
                let (field, value) = said(edit);
                settings.entry(field).or_default().push((number, value));
            }
            None => others.push(number),
        }
    }
    Some((settings, others))
}

fn said(edit: &DocumentEdit) -> (Field, Option<String>) {
    let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    match edit {
        DocumentEdit::Name(name) => (Field::Name, text(name)),
        DocumentEdit::Icon(icon) => (Field::Icon, text(icon)),
        DocumentEdit::Description(description) => (Field::Description, text(description)),
        DocumentEdit::Pin((sender, message)) => (Field::Pinned(*sender, *message), Some(String::new())),
        DocumentEdit::Unpin((sender, message)) => (Field::Pinned(*sender, *message), None),
        DocumentEdit::Setting { name, value } => (Field::Setting(name.clone()), text(value)),
        DocumentEdit::DisplayName(name) => (Field::DisplayName, text(name)),
        DocumentEdit::Status(status) => (Field::Status, text(status)),
        DocumentEdit::Contact { user, name } => (Field::Contact(*user), text(name)),
        DocumentEdit::Label { conversation, label } => (Field::Label(*conversation), text(label)),
        DocumentEdit::Block(user) => (Field::Blocked(*user), Some(String::new())),
        DocumentEdit::Unblock(user) => (Field::Blocked(*user), None),
    }
}

fn shown(document: &DocumentRead, field: &Field) -> Option<String> {
    let view = &document.view;
    let account = document.account.as_ref();
    match field {
        Field::Name => view.name.clone(),
        Field::Icon => view.icon.clone(),
        Field::Description => Some(view.description.clone()).filter(|text| !text.is_empty()),
        Field::Pinned(sender, message) => {
            view.pinned.contains(&format!("{sender}/{message}")).then(String::new)
        }
        Field::Setting(name) => view.settings.get(name).cloned(),
        Field::DisplayName => account?.display_name.clone(),
        Field::Status => account?.status.clone(),
        Field::Contact(user) => account?.contacts.get(&user.to_string()).cloned(),
        Field::Label(conversation) => account?.labels.get(&conversation.to_string()).cloned(),
        Field::Blocked(user) => account?.blocked.contains(&user.to_string()).then(String::new),
    }
}

/// What may be shown of a field; none if that cannot be told.
fn wanted(
    facts: &Facts,
    field: &Field,
    said: &[Setting],
    others: &[Number],
) -> Option<BTreeSet<Option<String>>> {
    let is_known = |(number, _): &&Setting| said.iter().any(|(later, _)| facts.is_cause(*number, *later));
    let (known, latest): (Vec<&Setting>, Vec<&Setting>) = said.iter().partition(is_known);
    if *field == Field::Description {
        let commands: BTreeSet<_> = latest.iter().map(|(number, _)| identity(facts, *number)).collect();
        let before = |cause: Number| latest.iter().all(|(number, _)| facts.is_cause(cause, *number));
        let after = |of: Number| latest.iter().all(|(number, _)| facts.is_cause(*number, of));
        let is_plain = commands.len() == 1
            && known.iter().all(|(number, _)| before(*number))
            && others.iter().all(|number| before(*number) || after(*number));
        return latest.first().filter(|_| is_plain).map(|(_, text)| BTreeSet::from([text.clone()]));
    }
    let set: BTreeSet<Option<String>> =
        latest.iter().map(|(_, value)| value.clone()).filter(Option::is_some).collect();
    Some(if set.is_empty() { BTreeSet::from([None]) } else { set })
}

fn identity(facts: &Facts, number: Number) -> Option<(UserId, MessageId)> {
    facts.operations.get(number).map(|operation| (operation.sender, operation.message))
}
