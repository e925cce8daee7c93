//! What a frame of a signed-in client asks for: each kind becomes a command, a query, or an answer at once.
//!
//! What must always hold: every field is checked before anything is submitted; a frame for a placement that this region has no part in is
//! refused here, so nothing about it goes further (promise 8).

use crate::acceptance::Accepted;
use crate::catch_up::open_cursor;
use crate::cursor::CursorError;
use crate::error::SessionError;
use crate::greet::server_time_ms;
use crate::limits;
use crate::output::Output;
use crate::query::Query;
use crate::session::Session;
use crate::stream::Around;
use crate::wait_for_answers::{AskedCommand, Purpose};
use crdt::{ConversationId, Cut, Identity, MessageId, Now, PlacementId, UserId};
use gateway_protocol::v1::client_frame::Frame;
use gateway_protocol::v1::server_frame::Frame as Reply;
use gateway_protocol::v1::{self, ServerFrame};
use gateway_protocol::{FieldError, FrameError, fields};
use region::command::{Begun, Command, DocumentWish, Epoch, MembersWish, Refusal, Seen, Wish};
use region::read::PageFrom;

/// Who is told that a user has read something.
#[derive(Debug, Clone, Copy)]
enum Told {
    Everybody,
    /// Nobody but their own devices.
    Nobody,
}

impl Session {
    /// One frame of a signed-in client.
    pub(crate) fn frame(
        &mut self,
        now: Now,
        request: u64,
        frame: Frame,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        match frame {
            Frame::Hello(hello) => self.opening.hello(request, hello, out),
            Frame::Ping(v1::Ping {}) => {
                let pong = v1::Pong { server_time_ms: server_time_ms(now) };
                out.push(Output::Send(ServerFrame { request, frame: Some(Reply::Pong(pong)) }));
                Ok(())
            }
            Frame::CreateGroup(create) => self.create_group(request, create, out),
            Frame::OpenDirect(open) => self.open_direct(request, &open, out),
            Frame::AddMember(v1::AddMember { conversation, command, user }) => {
                let wish = fields::id("user", &user).map(MembersWish::Add);
                self.change_members(request, (&conversation, &command), wish, out)
            }
            Frame::RemoveMember(v1::RemoveMember { conversation, command, user }) => {
                let wish = fields::id("user", &user).map(MembersWish::Remove);
                self.change_members(request, (&conversation, &command), wish, out)
            }
            Frame::Promote(v1::Promote { conversation, command, user }) => {
                let wish = fields::id("user", &user).map(MembersWish::Promote);
                self.change_members(request, (&conversation, &command), wish, out)
            }
            Frame::Demote(v1::Demote { conversation, command, user }) => {
                let wish = fields::id("user", &user).map(MembersWish::Demote);
                self.change_members(request, (&conversation, &command), wish, out)
            }
            Frame::Leave(v1::Leave { conversation, command }) => {
                self.change_members(request, (&conversation, &command), Ok(MembersWish::Leave), out)
            }
            Frame::Claim(v1::Claim { conversation, command }) => {
                self.change_members(request, (&conversation, &command), Ok(MembersWish::Claim), out)
            }
            Frame::Send(send) => self.post(request, send, out),
            Frame::Edit(v1::Edit { conversation, command, target, body, seen }) => {
                let about = (conversation, command, target);
                self.amend(request, about, Ok(Wish::Edit(body)), &seen, out)
            }
            Frame::Delete(v1::Delete { conversation, command, target }) => {
                self.amend(request, (conversation, command, target), Ok(Wish::Delete), &[], out)
            }
            Frame::React(v1::React { conversation, command, target, emoji, withdraw }) => {
                let wish = fields::emoji("emoji", &emoji);
                let wish = wish.map(if withdraw { Wish::Withdraw } else { Wish::React });
                self.amend(request, (conversation, command, target), wish, &[], out)
            }
            Frame::DeleteForMe(hide) => self.hide(request, &hide, out),
            Frame::List(list) => self.ask_list(request, &list, out),
            Frame::Page(page) => self.ask_page(request, &page, out),
            Frame::EditDocument(edit) => self.edit_document(request, *edit, out),
            Frame::ChangeDocument(v1::ChangeDocument { conversation, command, change }) => {
                let wish = DocumentWish::Change(change);
                self.wish_of_document(request, (&conversation, &command), wish, out)
            }
            Frame::GetDocument(get) => self.ask_document(request, &get, out),
            Frame::GetReceipts(get) => self.ask_receipts(request, &get, out),
            Frame::Sync(sync) => {
                let Some((delivery, _, mut around)) = self.parts(out) else { return Ok(()) };
                delivery.sync(request, &sync, &mut around)
            }
            Frame::Acknowledge(v1::Acknowledge { cursor }) => self.receipt(request, &cursor, None, out),
            Frame::Read(v1::Read { cursor, quiet }) => {
                let told = if quiet { Told::Nobody } else { Told::Everybody };
                self.receipt(request, &cursor, Some(told), out)
            }
        }
    }

    fn create_group(
        &mut self,
        request: u64,
        create: v1::CreateGroup,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let conversation = fields::id("conversation", &create.conversation)?;
        let command = fields::id("command", &create.command)?;
        // How many members a group may have is the region's rule; a frame cannot hold more than a few thousand.
        let members: Vec<UserId> = fields::ids("members", &create.members, usize::MAX)?;
        let begun = match create.begun_in.as_str() {
            "" => None,
            region => {
                let epoch = (create.epoch > 0).then_some(Epoch(create.epoch));
                Some(Begun { region: fields::id("begun_in", region)?, epoch })
            }
        };
        let asked = asked(request, conversation, Some(command));
        let command = Command::CreateGroup { conversation, command, members, name: create.name, begun };
        self.submit(asked, command, out)
    }

    fn open_direct(
        &mut self,
        request: u64,
        open: &v1::OpenDirect,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let placement: PlacementId = fields::id("placement", &open.placement)?;
        let command = fields::id("command", &open.command)?;
        let peer: UserId = fields::id("peer", &open.peer)?;
        let Some(identity) = self.opening.identity else { return Ok(()) };
        let conversation = ConversationId::direct(placement, identity.user, peer);
        let asked = asked(request, conversation, Some(command));
        self.submit(asked, Command::OpenDirect { placement, command, peer }, out)
    }

    /// Who is in a group, or what they may do, is to be changed.
    fn change_members(
        &mut self,
        request: u64,
        (conversation, command): (&str, &str),
        wish: Result<MembersWish, FieldError>,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let conversation = fields::id("conversation", conversation)?;
        let command = fields::id("command", command)?;
        let asked = asked(request, conversation, Some(command));
        self.submit(asked, Command::ChangeMembers { conversation, command, wish: wish? }, out)
    }

    fn post(&mut self, request: u64, send: v1::Send, out: &mut Vec<Output>) -> Result<(), SessionError> {
        let conversation = fields::id("conversation", &send.conversation)?;
        let message: MessageId = fields::id("message", &send.message)?;
        let reply_to = send.reply_to.as_ref().map(fields::message_ref).transpose()?;
        let after = Some(send.after.as_str()).filter(|after| !after.is_empty());
        let after = after.map(|after| fields::id("after", after)).transpose()?;
        let Some(identity) = self.opening.identity else { return Ok(()) };
        let held = self.here.held(conversation)?;
        let seen = self.seen(conversation, &send.seen)?;
        let proof = Accepted::message(identity.user, conversation, message, (&send.body, reply_to));
        let taken_before = held.keys.accepts(&proof, &send.acceptance);
        let asked = AskedCommand { proof: Some(proof), ..asked(request, conversation, Some(message)) };
        let command = Command::Post {
            conversation,
            message,
            body: send.body,
            reply_to,
            sent_at_ms: send.sent_at_ms,
            seen,
            after,
            taken_before,
        };
        self.submit(asked, command, out)
    }

    /// Something is to be done to a message.
    fn amend(
        &mut self,
        request: u64,
        (conversation, command, target): (String, String, Option<v1::MessageRef>),
        wish: Result<Wish, FieldError>,
        seen: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let conversation = fields::id("conversation", &conversation)?;
        let command: MessageId = fields::id("command", &command)?;
        let (sender, message) = fields::target(target.as_ref())?;
        let wish = wish?;
        self.here.held(conversation)?;
        let seen = self.seen(conversation, seen)?;
        let asked = asked(request, conversation, Some(command));
        let target = Identity { sender, message };
        self.submit(asked, Command::Amend { conversation, command, target, wish, seen }, out)
    }

    /// A message is to be taken out of the user's own view.
    fn hide(
        &mut self,
        request: u64,
        hide: &v1::DeleteForMe,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let conversation = fields::id("conversation", &hide.conversation)?;
        let command: MessageId = fields::id("command", &hide.command)?;
        let (sender, message) = fields::target(hide.target.as_ref())?;
        let asked = asked(request, conversation, Some(command));
        self.submit(asked, Command::Hide { conversation, message: Identity { sender, message } }, out)
    }

    /// What the cursor says that the author's device had seen of that conversation.
    fn seen(&self, conversation: ConversationId, cursor: &[u8]) -> Result<Option<Seen>, SessionError> {
        if cursor.is_empty() {
            return Ok(None);
        }
        let cursor = open_cursor(&self.here, cursor)?;
        if cursor.conversation != conversation {
            let found = cursor.conversation;
            return Err(CursorError::WrongConversation { expected: conversation, found }.into());
        }
        Ok(Some(Seen { cut: cursor.cut, highest: cursor.highest }))
    }

    /// The device holds everything up to that cursor, and its user has read it or not. Either makes room for more: a device that thinks itself live while its stream is read
    /// again says no more than that it was read.
    fn receipt(
        &mut self,
        request: u64,
        cursor: &[u8],
        read: Option<Told>,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let cursor = open_cursor(&self.here, cursor)?;
        if let Some((delivery, _, mut around)) = self.parts(out) {
            delivery.acknowledged(&cursor, &mut around);
        }
        let (conversation, cut) = (cursor.conversation, cursor.cut);
        let asked = asked(request, conversation, None);
        // What was read was delivered.
        let command = match read {
            None => Command::Receipt { conversation, delivered: Some(cut), read: None },
            Some(Told::Everybody) => {
                Command::Receipt { conversation, delivered: Some(cut.clone()), read: Some(cut) }
            }
            Some(Told::Nobody) => Command::ReadQuietly { conversation, read: cut },
        };
        self.submit(asked, command, out)
    }

    pub(crate) fn submit(
        &mut self,
        asked: AskedCommand,
        command: Command,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let Some(identity) = self.opening.identity else { return Ok(()) };
        self.asked.admit()?;
        let conversation = asked.conversation;
        self.here.held(conversation)?;
        let placement = conversation.placement();
        if asked.command.is_some() {
            // Before it is submitted: another device may have acknowledged it before the answer to this one is looked at.
            self.ticks.watch(conversation, &Cut::new(), out);
        }
        let ticket = self.asked.command(asked);
        let (user, device) = (identity.user, identity.device);
        out.push(Output::Submit { ticket, placement, user, device, command });
        Ok(())
    }

    /// Whether a question may be asked: not while the answers to the last ones are unread.
    pub(crate) fn admit_question(&self) -> Result<(), SessionError> {
        if self.unsent_bytes > limits::UNSENT_BYTES_MAX {
            return Err(SessionError::TooManyOutstanding);
        }
        self.asked.admit()
    }

    fn ask_list(&mut self, request: u64, list: &v1::List, out: &mut Vec<Output>) -> Result<(), SessionError> {
        self.admit_question()?;
        let only: Option<PlacementId> = fields::optional_id("placement", &list.placement)?;
        let limit = limit_or(list.limit, limits::LIST_MAX);
        let placements: Vec<PlacementId> = match only {
            Some(placement) => self.here.placement(placement).map(|_| vec![placement])?,
            None => self.here.served(),
        };
        let Some(identity) = self.opening.identity else { return Ok(()) };
        let number = self.asked.open_list(placements.len(), limit);
        for placement in placements {
            let query = Query::List { placement, user: identity.user, limit };
            self.asked.query(Purpose::List { request, list: number }, query, out);
        }
        Ok(())
    }

    fn ask_page(&mut self, request: u64, page: &v1::Page, out: &mut Vec<Output>) -> Result<(), SessionError> {
        self.admit_question()?;
        let conversation = fields::id("conversation", &page.conversation)?;
        self.here.held(conversation)?;
        let from = match (&page.before, &page.after) {
            (None, None) => PageFrom::Newest,
            (Some(place), None) => {
                let (hlc, dot) = fields::place(place)?;
                PageFrom::Before(hlc, dot)
            }
            (None, Some(place)) => {
                let (hlc, dot) = fields::place(place)?;
                PageFrom::After(hlc, dot)
            }
            (Some(_), Some(_)) => return Err(FieldError::Contradiction("before", "after").into()),
        };
        let limit = limit_or(page.limit, limits::PAGE_MAX);
        let Some(identity) = self.opening.identity else { return Ok(()) };
        let purpose = Purpose::Page { request, conversation, from, limit };
        // One more than asked for tells whether there is more.
        let query = Query::Page { conversation, user: identity.user, from, limit: limit + 1 };
        self.asked.query(purpose, query, out);
        Ok(())
    }

    fn ask_receipts(
        &mut self,
        request: u64,
        get: &v1::GetReceipts,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        self.admit_question()?;
        let conversation = fields::id("conversation", &get.conversation)?;
        self.here.held(conversation)?;
        let Some(identity) = self.opening.identity else { return Ok(()) };
        // What grows after the answer is read must come by itself, so it is watched before.
        if let Some(stream) = self.delivery.streams.get(&conversation) {
            self.ticks.watch(conversation, &stream.cut, out);
        }
        let query = Query::Receipts { conversation, user: identity.user };
        self.asked.query(Purpose::Receipts { request, conversation }, query, out);
        Ok(())
    }

    /// Everything that delivery is decided on; nothing before the welcome.
    pub(crate) fn parts<'a>(
        &'a mut self,
        out: &'a mut Vec<Output>,
    ) -> Option<(&'a mut crate::stream::Delivery, &'a mut crate::forward_ticks::Ticks, Around<'a>)> {
        let identity = self.opening.identity?;
        let around = Around {
            here: &self.here,
            identity,
            unsent_bytes: self.unsent_bytes,
            asked: &mut self.asked,
            out,
        };
        Some((&mut self.delivery, &mut self.ticks, around))
    }
}

/// A frame that was refused before it had a number, and which one it was.
pub(crate) const fn request_of(error: &FrameError) -> u64 {
    match error {
        FrameError::Unknown { request } => *request,
        FrameError::Malformed { .. } | FrameError::TooLarge { .. } | FrameError::WrongKind(_) => 0,
    }
}

/// The conversation and command that a refusal is told to be about.
pub(crate) fn about(refusal: &Refusal, asked: &AskedCommand) -> v1::Error {
    let mut frame = SessionError::from(refusal.clone()).to_frame();
    if frame.conversation.is_empty() {
        frame.conversation = asked.conversation.to_string();
    }
    frame.command = asked.command.map(|id| id.to_string()).unwrap_or_default();
    frame
}

pub(crate) fn asked(request: u64, conversation: ConversationId, command: Option<MessageId>) -> AskedCommand {
    AskedCommand { request, conversation, command, proof: None }
}

/// The number asked for, if it is one and within the limit.
fn limit_or(asked: u32, limit: usize) -> usize {
    match usize::try_from(asked) {
        Ok(0) | Err(_) => limit,
        Ok(asked) => asked.min(limit),
    }
}
