//! A conversation's document: what a device asks of it, and what it is answered.
//!
//! What must always hold:
//! - An edit names what is to be different and nothing else; the region makes one change of it.
//! - Where a device may change the document itself, it is told under which actor: its own in this region.
//! - An answer is cut into as many frames as it takes: what the document says in the first, the bytes of the document in all.

use crate::error::SessionError;
use crate::limits;
use crate::output::Output;
use crate::query::Query;
use crate::read_frame::asked;
use crate::session::Session;
use crate::wait_for_answers::Purpose;
use bytes::Bytes;
use crdt::{ConversationId, MessageId, UserId};
use documents::{Actor, Edit, Part};
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ServerFrame};
use gateway_protocol::{FieldError, fields};
use region::command::{Command, DocumentWish};
use region::read::DocumentRead;
use std::collections::BTreeMap;

impl Session {
    pub(crate) fn edit_document(
        &mut self,
        request: u64,
        edit: v1::EditDocument,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let (conversation, command) = (edit.conversation.clone(), edit.command.clone());
        let wish = DocumentWish::Edit(edits(edit)?);
        self.wish_of_document(request, (&conversation, &command), wish, out)
    }

    pub(crate) fn wish_of_document(
        &mut self,
        request: u64,
        (conversation, command): (&str, &str),
        wish: DocumentWish,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let conversation = fields::id("conversation", conversation)?;
        let command = fields::id("command", command)?;
        let asked = asked(request, conversation, Some(command));
        self.submit(asked, Command::ChangeDocument { conversation, command, wish }, out)
    }

    pub(crate) fn ask_document(
        &mut self,
        request: u64,
        get: &v1::GetDocument,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        self.admit_question()?;
        let conversation = fields::id("conversation", &get.conversation)?;
        self.here.held(conversation)?;
        let Some(identity) = self.opening.identity else { return Ok(()) };
        let query = Query::Document { conversation, user: identity.user };
        self.asked.query(Purpose::Document { request, conversation }, query, out);
        Ok(())
    }

    pub(crate) fn send_document(
        &self,
        request: u64,
        conversation: ConversationId,
        read: DocumentRead,
        out: &mut Vec<Output>,
    ) {
        let DocumentRead { view, account, automerge, .. } = read;
        let account = *account.unwrap_or_default();
        let actor = self.opening.identity.and_then(|identity| {
            let replica = self.here.held(conversation).ok()?.replica;
            Some(Actor::of_device(replica, identity.user, identity.device).to_string())
        });
        let mut frame = v1::Document {
            conversation: conversation.to_string(),
            name: view.name.unwrap_or_default(),
            icon: view.icon.unwrap_or_default(),
            description: view.description,
            pinned: view.pinned.iter().filter_map(|key| pinned(key)).map(fields::write_message_ref).collect(),
            settings: settings(view.settings),
            actor: actor.unwrap_or_default(),
            display_name: account.display_name.unwrap_or_default(),
            status: account.status.unwrap_or_default(),
            contacts: settings(account.contacts),
            labels: settings(account.labels),
            blocked: account.blocked.into_iter().collect(),
            ..v1::Document::default()
        };
        let mut rest = Bytes::from(automerge);
        while rest.len() > limits::DOCUMENT_PART_BYTES {
            let automerge = rest.split_to(limits::DOCUMENT_PART_BYTES);
            let part = v1::Document { automerge, more: true, ..std::mem::take(&mut frame) };
            frame.conversation.clone_from(&part.conversation);
            out.push(Output::Send(ServerFrame { request, frame: Some(Frame::Document(Box::new(part))) }));
        }
        let last = v1::Document { automerge: rest, ..frame };
        out.push(Output::Send(ServerFrame { request, frame: Some(Frame::Document(Box::new(last))) }));
    }
}

fn settings(texts: BTreeMap<String, String>) -> Vec<v1::Setting> {
    texts.into_iter().map(|(name, value)| v1::Setting { name, value }).collect()
}

/// What an edit names.
fn edits(edit: v1::EditDocument) -> Result<Vec<Edit>, FieldError> {
    let put = |part, key: &str, text: String| {
        let key = key.to_owned();
        if text.is_empty() { Edit::Clear { part, key } } else { Edit::Text { part, key, text } }
    };
    let mut edits = Vec::new();
    edits.extend(edit.name.map(|name| put(Part::Root, "name", name)));
    edits.extend(edit.icon.map(|icon| put(Part::Root, "icon", icon)));
    edits.extend(edit.description.map(Edit::Describe));
    if let Some(message) = &edit.pin {
        edits.push(Edit::Mark { part: Part::Pinned, key: key_of(fields::message_ref(message)?) });
    }
    if let Some(message) = &edit.unpin {
        edits.push(Edit::Clear { part: Part::Pinned, key: key_of(fields::message_ref(message)?) });
    }
    edits.extend(edit.settings.into_iter().map(|setting| put(Part::Settings, &setting.name, setting.value)));
    edits.extend(edit.display_name.map(|name| put(Part::Profile, "display_name", name)));
    edits.extend(edit.status.map(|status| put(Part::Profile, "status", status)));
    for contact in edit.contacts {
        let user: UserId = fields::id("contacts", &contact.name)?;
        edits.push(put(Part::Contacts, &user.to_string(), contact.value));
    }
    for label in edit.labels {
        let conversation: ConversationId = fields::id("labels", &label.name)?;
        edits.push(put(Part::Labels, &conversation.to_string(), label.value));
    }
    for user in &edit.block {
        let user: UserId = fields::id("block", user)?;
        edits.push(Edit::Mark { part: Part::Blocked, key: user.to_string() });
    }
    for user in &edit.unblock {
        let user: UserId = fields::id("unblock", user)?;
        edits.push(Edit::Clear { part: Part::Blocked, key: user.to_string() });
    }
    Ok(edits)
}

/// A message as the document names it: sender and id.
fn key_of((sender, message): (UserId, MessageId)) -> String {
    format!("{sender}/{message}")
}

/// The message that a key names; none if it names none, since a device writes what it likes there.
fn pinned(key: &str) -> Option<(UserId, MessageId)> {
    let (sender, message) = key.split_once('/')?;
    Some((sender.parse().ok()?, message.parse().ok()?))
}
