//! A session: everything that one connected device is told, and when. Without sockets, clocks or threads.
//!
//! ```text
//!   frames, answers, reads, changes, ticks, time ──▶ step(now, entropy, input) ──▶ frames, commands, queries, subscriptions, timer
//!
//!   greet ─▶ read_frame ─▶ commands ─▶ (region) ─▶ answers ─────────────▶ Done, Error
//!                │            queries ─▶ (store) ─▶ catch_up ─▶ Deliver … CaughtUp
//!                └─ sync ──▶ subscribe ─▶ (changes) ─▶ deliver_live ────▶ Deliver, Behind
//!                                         (ticks)   ─▶ forward_ticks ───▶ Receipts, Stable
//! ```
//! How to drive me:
//! 1. [`Session::open`] when a connection stands; carry out its outputs.
//! 2. Give every event to [`Session::step`] as one input, in the order in which they came, and carry out the outputs in order
//!    before the next step; `Subscribe` and `WatchUser` are in effect before the output after them is looked at.
//! 3. Give [`Input::Unsent`] when the bytes waiting to be sent pass a limit of [`limits`], in either direction.
//! 4. Give [`Input::Timer`] at the time of the last `SetTimer`. Hand over changes of one conversation in arrival order;
//!    where some could not be, give [`Input::Missed`] before the next.
//! 5. After `Close` forget me: nothing follows, and what I subscribed to and watched is over.
//!
//! What must always hold: per conversation a device is sent each entry once, in arrival order, without a gap (promises 4, 6); what a device
//! has not read costs no memory here (promise 11); input that is refused changes nothing (promise 12).

use crate::error::SessionError;
use crate::forward_ticks::{Due, Ticks};
use crate::greet::Opening;
use crate::input::{Identity, Input, Redirect};
use crate::limits;
use crate::output::Output;
use crate::query::{Answer, Query, QueryId};
use crate::read_frame;
use crate::site::{Here, Progress, Site};
use crate::stream::Delivery;
use crate::timers::{Timer, Timers};
use crate::wait_for_answers::{Asked, AskedCommand, Purpose};
use crate::write_frame;
use crdt::held::Held;
use crdt::{ConversationId, Now};
use gateway_protocol::v1::client_frame::Frame as Asking;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ClientFrame, ServerFrame};
use gateway_protocol::{FrameError, codes};
use rand_core::RngCore;
use region::command::{Done, Refusal};
use region::item::Item;
use region::read::{PageFrom, Receipt, Summary};
use region::shard::Ticket;
use region::store::StoreError;
use std::sync::Arc;

/// One connected device.
#[derive(Debug)]
pub struct Session {
    pub(crate) here: Here,
    pub(crate) opening: Opening,
    pub(crate) timers: Timers,
    pub(crate) asked: Asked,
    pub(crate) delivery: Delivery,
    pub(crate) ticks: Ticks,
    pub(crate) unsent_bytes: usize,
    pub(crate) redirect: Option<Option<Redirect>>,
    pub(crate) closed: bool,
}

impl Session {
    /// A new connection to a region that has come so far: nothing is known of it yet.
    #[must_use]
    pub fn open(site: Arc<Site>, progress: Progress<'_>, now: Now) -> (Self, Vec<Output>) {
        let mut session = Self {
            here: Here::new(site, progress),
            opening: Opening::default(),
            timers: Timers::default(),
            asked: Asked::default(),
            delivery: Delivery::default(),
            ticks: Ticks::default(),
            unsent_bytes: 0,
            redirect: None,
            closed: false,
        };
        session.timers.set(Timer::Hello, now.plus_ms(limits::HELLO_MS));
        session.timers.set(Timer::Silence, now.plus_ms(limits::SILENCE_MS));
        let out = session.timers.announce().map(Output::SetTimer).into_iter().collect();
        (session, out)
    }

    /// Who is connected, once they have been welcomed.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.opening.identity
    }

    /// What it holds, beside what it may.
    #[must_use]
    pub fn held(&self) -> [Held; 8] {
        let [own, forwarded, gathered, stable] = self.ticks.held();
        let Delivery { streams, unacknowledged, presented, .. } = &self.delivery;
        [
            Held::new("asked and unanswered", self.asked.outstanding(), limits::OUTSTANDING_MAX),
            Held::new("conversations delivered", streams.len(), limits::CONVERSATIONS_MAX),
            Held::new("batches unacknowledged", unacknowledged.len(), limits::UNACKNOWLEDGED_BATCHES_MAX),
            Held::new("cursors presented", presented.len(), limits::CONVERSATIONS_MAX),
            own,
            forwarded,
            gathered,
            stable,
        ]
    }

    /// One thing happened; these are the things to do, in order.
    pub fn step(&mut self, now: Now, entropy: &mut dyn RngCore, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        if self.closed {
            return out;
        }
        let result = match input {
            Input::Frame(frame) => self.heard(now, frame, &mut out),
            Input::Authenticated(result) => {
                let request = self.opening.checking();
                let (here, timers) = (&self.here, &mut self.timers);
                if let Err(error) = self.opening.authenticated(here, now, result, timers, &mut out) {
                    self.refuse(request, &error, error.to_frame(), &mut out);
                }
                Ok(())
            }
            Input::Answered { ticket, result } => self.answered(ticket, result, &mut out),
            Input::Read { query, result } => self.read(query, result, &mut out),
            Input::Changed(delivery) => match self.parts(&mut out) {
                Some((streams, ticks, mut around)) => streams.changed(&delivery, ticks, &mut around),
                None => Ok(()),
            },
            Input::Membership { conversation, member } => {
                if let Some((streams, _, mut around)) = self.parts(&mut out) {
                    streams.membership(conversation, member, &mut around);
                }
                Ok(())
            }
            Input::Hidden { conversation, message } => {
                if let Some((streams, _, mut around)) = self.parts(&mut out) {
                    streams.hidden(conversation, message, &mut around);
                }
                Ok(())
            }
            Input::Receipt { conversation, user, device, delivered, read } => {
                self.receipt_grew((conversation, user, device), &delivered, &read)
            }
            Input::Stable { partition, cut } => {
                self.ticks.stable(partition, &cut);
                Ok(())
            }
            Input::Missed => {
                if let Some((streams, _, mut around)) = self.parts(&mut out) {
                    streams.missed(&mut around);
                    self.ask_untold(&mut out);
                }
                Ok(())
            }
            Input::Unsent(bytes) => self.unsent(bytes, &mut out),
            Input::Timer => self.timer(now, &mut out),
            Input::Drain(redirect) => {
                self.redirect = Some(redirect);
                let delay_ms = u64::from(entropy.next_u32()) % limits::DRAIN_SPREAD_MS;
                self.timers.set_unless_running(Timer::Drain, now.plus_ms(delay_ms));
                Ok(())
            }
        };
        if let Err(error) = result {
            self.refuse(0, &error, error.to_frame(), &mut out);
        }
        self.schedule(now, &mut out);
        out
    }

    /// Sends or schedules the ticks gathered in this step, and tells the driver when to come back.
    fn schedule(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.closed {
            return;
        }
        match self.ticks.due() {
            Due::Nothing => {}
            Due::Later => self.timers.set_unless_running(Timer::Ticks, now.plus_ms(limits::TICKS_MS)),
            Due::Now => self.ticks.flush(out),
        }
        out.extend(self.timers.announce().map(Output::SetTimer));
    }

    /// Tells the client of an error, and closes if the protocol's table says so.
    fn refuse(&mut self, request: u64, error: &SessionError, frame: v1::Error, out: &mut Vec<Output>) {
        out.push(Output::Send(ServerFrame { request, frame: Some(Frame::Error(frame)) }));
        if codes::entry(error.code()).is_some_and(|entry| entry.closes) {
            self.closed = true;
            out.push(Output::Close(error.code()));
        }
    }

    fn heard(
        &mut self,
        now: Now,
        frame: Result<ClientFrame, FrameError>,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        self.timers.set(Timer::Silence, now.plus_ms(limits::SILENCE_MS));
        let ClientFrame { request, frame } = match frame {
            Ok(frame) => frame,
            Err(error) => {
                let request = read_frame::request_of(&error);
                let error = SessionError::from(error);
                self.refuse(request, &error, error.to_frame(), out);
                return Ok(());
            }
        };
        let Some(frame) = frame else { return Err(FrameError::Unknown { request }.into()) };
        let (conversation, command) = named_by(&frame);
        let result = match (self.opening.identity, frame) {
            (None, Asking::Hello(hello)) => self.opening.hello(request, hello, out),
            (None, _) => Err(SessionError::HelloExpected),
            (Some(_), frame) => self.frame(now, request, frame, out),
        };
        if let Err(error) = result {
            let mut told = error.to_frame();
            told.conversation = if told.conversation.is_empty() { conversation } else { told.conversation };
            told.command = command;
            self.refuse(request, &error, told, out);
        }
        Ok(())
    }

    fn answered(
        &mut self,
        ticket: Ticket,
        result: Result<Done, Refusal>,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let Some(asked) = self.asked.answered(ticket) else { return Ok(()) };
        let AskedCommand { request, conversation, command, proof } = asked;
        match result {
            Ok(done) => {
                if request != 0 {
                    let keys = self.here.held(conversation).ok().map(|held| &held.keys);
                    let is_operation = matches!(done, Done::Operation { .. });
                    let proof = proof.filter(|_| is_operation);
                    let acceptance = keys.zip(proof).map(|(keys, proof)| keys.accept(&proof).into());
                    let done = write_frame::done(&done, conversation);
                    let done = v1::Done { acceptance: acceptance.unwrap_or_default(), ..done };
                    let frame = Some(Frame::Done(done));
                    out.push(Output::Send(ServerFrame { request, frame }));
                }
                if let (Some(_), Done::Operation { conversation, dot, .. }) = (command, done) {
                    self.ticks.note_own(conversation, dot, out);
                    // Nothing may grow any more: what is resent may have become stable just before it was watched for.
                    if self.ticks.take_unsure(conversation) {
                        crate::sometimes::STABLE_ASKED.reach();
                        let query = Query::Stable { conversation };
                        self.asked.query(Purpose::Stable(conversation), query, out);
                    }
                }
            }
            Err(refusal) => {
                crate::sometimes::COMMAND_REFUSED.reach();
                let frame = Some(Frame::Error(read_frame::about(&refusal, &asked)));
                out.push(Output::Send(ServerFrame { request, frame }));
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        query: QueryId,
        result: Result<Answer, StoreError>,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let Some(purpose) = self.asked.read(query) else { return Ok(()) };
        if result.is_err() {
            crate::sometimes::READ_FAILED.reach();
        }
        let answer = result.ok();
        match purpose {
            Purpose::Memberships(placement) => {
                let Some((delivery, _, mut around)) = self.parts(out) else { return Ok(()) };
                let part = if let Some(Answer::Memberships(part)) = answer { Some(part) } else { None };
                delivery.listed(placement, part, &mut around)
            }
            Purpose::CatchUp(conversation) => {
                let Some((delivery, ticks, mut around)) = self.parts(out) else { return Ok(()) };
                let read = delivery.caught_up(query, conversation, answer, ticks, &mut around);
                if read.is_err() || !delivery.delivers(conversation) {
                    // The read would have told what is stable.
                    self.ask_untold(out);
                }
                read
            }
            Purpose::Stable(conversation) => {
                if let Some(Answer::Stable(cut)) = answer {
                    self.ticks.stable(conversation.partition(), &Arc::new(cut));
                }
                Ok(())
            }
            Purpose::List { request, list } => {
                if let Some(Answer::List(part)) = answer {
                    if let Some(summaries) = self.asked.add_to_list(list, part) {
                        send_list(request, &summaries, out);
                    }
                } else if self.asked.drop_list(list) {
                    let error = SessionError::RegionUnavailable;
                    self.refuse(request, &error, error.to_frame(), out);
                }
                Ok(())
            }
            Purpose::Page { request, conversation, from, limit } => {
                match answer {
                    Some(Answer::Page(Some(items))) => {
                        send_page(request, conversation, from, limit, &items, out);
                    }
                    other => self.refuse_question(request, conversation, other.is_some(), out),
                }
                Ok(())
            }
            Purpose::Document { request, conversation } => {
                match answer {
                    Some(Answer::Document(Some(read))) => {
                        self.send_document(request, conversation, read, out);
                    }
                    other => self.refuse_question(request, conversation, other.is_some(), out),
                }
                Ok(())
            }
            Purpose::Receipts { request, conversation } => {
                match answer {
                    Some(Answer::Receipts(Some(receipts))) => {
                        send_receipts(request, conversation, &receipts, out);
                    }
                    other => self.refuse_question(request, conversation, other.is_some(), out),
                }
                Ok(())
            }
        }
    }

    fn refuse_question(
        &mut self,
        request: u64,
        conversation: ConversationId,
        readable: bool,
        out: &mut Vec<Output>,
    ) {
        let error = if readable {
            SessionError::from(Refusal::UnknownConversation(conversation))
        } else {
            SessionError::RegionUnavailable
        };
        self.refuse(request, &error, error.to_frame(), out);
    }

    fn receipt_grew(
        &mut self,
        register: (ConversationId, crdt::UserId, crdt::DeviceId),
        delivered: &crdt::Cut,
        read: &crdt::Cut,
    ) -> Result<(), SessionError> {
        // Who has left is not told what others read. What is not delivered for another reason is asked for once it is.
        if let Some(identity) = self.opening.identity.filter(|_| self.delivery.delivers(register.0)) {
            self.ticks.receipt(identity.user, register, delivered, read);
        }
        Ok(())
    }

    /// Growth of what is stable may have been missed. Where a conversation is read again that comes with the read; where it is not, since the
    /// user has left it, it is asked for.
    fn ask_untold(&mut self, out: &mut Vec<Output>) {
        for conversation in self.ticks.untold() {
            if !self.delivery.delivers(conversation) {
                crate::sometimes::UNTOLD_ASKED.reach();
                let query = Query::Stable { conversation };
                self.asked.query(Purpose::Stable(conversation), query, out);
            }
        }
    }

    fn unsent(&mut self, bytes: usize, out: &mut Vec<Output>) -> Result<(), SessionError> {
        self.unsent_bytes = bytes;
        if bytes > limits::UNSENT_BYTES_CLOSE {
            crate::sometimes::SLOW_DEVICE.reach();
            return Err(SessionError::SlowDevice);
        }
        if let Some((delivery, _, mut around)) = self.parts(out) {
            delivery.advance(&mut around);
        }
        Ok(())
    }

    fn timer(&mut self, now: Now, out: &mut Vec<Output>) -> Result<(), SessionError> {
        for timer in self.timers.take_due(now) {
            match timer {
                Timer::Hello => {
                    crate::sometimes::HELLO_TIMEOUT.reach();
                    return Err(SessionError::HelloTimeout);
                }
                Timer::Silence => {
                    crate::sometimes::HEARTBEAT_MISSED.reach();
                    return Err(SessionError::HeartbeatMissed);
                }
                Timer::Token => return Err(crate::error::TokenRefused::Expired.into()),
                Timer::Ticks => self.ticks.flush(out),
                Timer::Drain => {
                    if let Some(Some(Redirect { region, url })) = self.redirect.take() {
                        let reason = SessionError::Draining.to_string();
                        let redirect = v1::Redirect { region, url, reason };
                        out.push(Output::Send(write_frame::unasked(Frame::Redirect(redirect))));
                    }
                    return Err(SessionError::Draining);
                }
            }
        }
        Ok(())
    }
}

fn send_list(request: u64, summaries: &[Summary], out: &mut Vec<Output>) {
    let parts = write_frame::in_frames(summaries.iter().map(write_frame::summary).collect());
    let last = parts.len() - 1;
    for (index, conversations) in parts.into_iter().enumerate() {
        let list = v1::Conversations { conversations, more: index < last };
        out.push(Output::Send(ServerFrame { request, frame: Some(Frame::Conversations(list)) }));
    }
}

fn send_receipts(request: u64, conversation: ConversationId, receipts: &[Receipt], out: &mut Vec<Output>) {
    let parts = write_frame::in_frames(receipts.iter().map(write_frame::receipt).collect());
    let last = parts.len() - 1;
    for (index, receipts) in parts.into_iter().enumerate() {
        let conversation = conversation.to_string();
        let receipts = v1::Receipts { conversation, receipts, more: index < last };
        out.push(Output::Send(ServerFrame { request, frame: Some(Frame::Receipts(receipts)) }));
    }
}

/// One more item than the limit was read, if there was one. Those nearest to the asked place are sent.
fn send_page(
    request: u64,
    conversation: ConversationId,
    from: PageFrom,
    limit: usize,
    read: &[Item],
    out: &mut Vec<Output>,
) {
    let mut items: Vec<v1::Item> = read.iter().map(write_frame::item).collect();
    match from {
        PageFrom::After(..) => {
            let fitting = write_frame::fitting(items.iter()).min(limit);
            items.truncate(fitting);
        }
        PageFrom::Newest | PageFrom::Before(..) => {
            let fitting = write_frame::fitting(items.iter().rev()).min(limit);
            items.drain(..items.len() - fitting);
        }
    }
    let more = items.len() < read.len();
    let messages = v1::Messages { conversation: conversation.to_string(), items, more };
    out.push(Output::Send(ServerFrame { request, frame: Some(Frame::Messages(messages)) }));
}

/// The conversation and command that a frame names, as it names them: its refusal repeats them.
fn named_by(frame: &Asking) -> (String, String) {
    let none = String::new();
    let (conversation, command) = match frame {
        Asking::CreateGroup(frame) => (&frame.conversation, &frame.command),
        Asking::OpenDirect(frame) => (&none, &frame.command),
        Asking::AddMember(frame) => (&frame.conversation, &frame.command),
        Asking::Leave(frame) => (&frame.conversation, &frame.command),
        Asking::RemoveMember(frame) => (&frame.conversation, &frame.command),
        Asking::Promote(frame) => (&frame.conversation, &frame.command),
        Asking::Demote(frame) => (&frame.conversation, &frame.command),
        Asking::Claim(frame) => (&frame.conversation, &frame.command),
        Asking::Send(frame) => (&frame.conversation, &frame.message),
        Asking::Edit(frame) => (&frame.conversation, &frame.command),
        Asking::Delete(frame) => (&frame.conversation, &frame.command),
        Asking::React(frame) => (&frame.conversation, &frame.command),
        Asking::DeleteForMe(frame) => (&frame.conversation, &frame.command),
        Asking::Page(frame) => (&frame.conversation, &none),
        Asking::EditDocument(frame) => (&frame.conversation, &frame.command),
        Asking::ChangeDocument(frame) => (&frame.conversation, &frame.command),
        Asking::GetDocument(frame) => (&frame.conversation, &none),
        Asking::GetReceipts(frame) => (&frame.conversation, &none),
        Asking::Hello(_)
        | Asking::Ping(_)
        | Asking::List(_)
        | Asking::Sync(_)
        | Asking::Acknowledge(_)
        | Asking::Read(_) => (&none, &none),
    };
    let cut = |text: &String| text.chars().take(64).collect();
    (cut(conversation), cut(command))
}
