//! What drives the sessions of a region here, as its gateway does: frames, answers and changes in, frames out, fan-out in between.
//!
//! A session takes one input at a time, from any of its three sources (its client, answers, changes), each in its own order; which one comes
//! first is drawn. Changes wait in a bounded queue: at its limit they are dropped and the session is told that something was missed.
//!
//! What must always hold: a subscription is in effect before the output after it is looked at; queries read the durable state alone.

use crate::figures::Bound;
use crate::world::World;
use crate::world::audience::Audience;
use crate::world::dice::Dice;
use crate::world::layout::WORLD;
use crate::world::queue::{Event, Life, LineId};
use crate::world::shards::Letter;
use crate::world::work::{Taken, session_did};
use crdt::held::Held;
use crdt::{ConversationId, DeviceId, Now, UserId};
use gateway::input::{Identity, Input};
use gateway::limits::UNSENT_BYTES_MAX;
use gateway::output::Output;
use gateway::query::{Query, QueryId};
use gateway::site::Progress;
use gateway::{Session, SharedDelivery};
use gateway_protocol::v1::ServerFrame;
use gateway_protocol::{Payload, Subprotocol};
use region::item::Change;
use region::membership::View;
use region::shard::Effect;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A session and what waits for it.
#[derive(Debug)]
pub(crate) struct SessionTask {
    core: Session,
    frames: VecDeque<Input>,
    answers: VecDeque<Input>,
    changes: VecDeque<Input>,
    queries: BTreeMap<QueryId, Query>,
    subscribed: BTreeSet<ConversationId>,
    ticks: BTreeSet<ConversationId>,
    watched: Option<UserId>,
    /// What it was told last of how much waits for its device.
    unsent_bytes: usize,
    timer: Option<Now>,
    wakes: bool,
    dice: Dice,
}

impl SessionTask {
    /// What its core prints of itself.
    pub(crate) fn print(&self) -> String {
        self.core.to_string()
    }

    fn is_idle(&self) -> bool {
        self.frames.is_empty() && self.answers.is_empty() && self.changes.is_empty()
    }
}

impl World {
    fn session(&mut self, life: Life, line: LineId) -> Option<&mut SessionTask> {
        self.process(life)?.sessions.get_mut(&line).map(Box::as_mut)
    }

    /// A client's connection came through.
    pub(crate) fn open_session(&mut self, life: Life, line: LineId) {
        if let Some((device, connection)) = self.lines.whose(line) {
            self.begin_session(life, line, Dice::of(self.seed, "session", &[device.0, connection.0]));
        }
    }

    /// A session begins.
    pub(crate) fn begin_session(&mut self, life: Life, line: LineId, dice: Dice) {
        let Some(now) = self.present(life) else { return };
        let Some(process) = self.process(life) else { return };
        // Nothing is gossiped here, so regions are told of in the order of their numbers.
        let view = View::default();
        let progress = Progress { epochs: &process.placements, behind: &process.behind, view: &view };
        let (core, outputs) = Session::open(Arc::clone(&process.site), progress, now);
        let task = SessionTask {
            core,
            frames: VecDeque::new(),
            answers: VecDeque::new(),
            changes: VecDeque::new(),
            queries: BTreeMap::new(),
            subscribed: BTreeSet::new(),
            ticks: BTreeSet::new(),
            watched: None,
            unsent_bytes: 0,
            timer: None,
            wakes: false,
            dice,
        };
        process.sessions.insert(line, Box::new(task));
        for output in outputs {
            self.carry_out_session(life, line, output);
        }
    }

    /// Its connection is over.
    pub(crate) fn drop_session(&mut self, life: Life, line: LineId) {
        if let Some(process) = self.process(life) {
            let Some(session) = process.sessions.remove(&line) else { return };
            for conversation in session.subscribed {
                process.audience.subscribe(line, conversation, false);
            }
            for conversation in session.ticks {
                process.audience.watch_ticks(line, conversation, false);
            }
            if let Some(user) = session.watched {
                process.audience.watch_user(line, user, false);
            }
        }
    }

    /// A frame of the client, or word about what is unsent.
    pub(crate) fn session_hears(&mut self, life: Life, line: LineId, input: Input) {
        if let Some(session) = self.session(life, line) {
            session.frames.push_back(input);
            self.wake_session(life, line);
        }
    }

    /// An answer of a shard or of the store.
    pub(crate) fn session_answered(&mut self, life: Life, line: LineId, input: Input) {
        if let Some(session) = self.session(life, line) {
            session.answers.push_back(input);
            self.wake_session(life, line);
        }
    }

    fn session_told(&mut self, life: Life, line: LineId, input: Input) {
        let limit = self.changes_max;
        let Some(session) = self.session(life, line) else { return };
        if session.changes.len() < limit {
            session.changes.push_back(input);
        } else if !matches!(session.changes.back(), Some(Input::Missed)) {
            session.changes.push_back(Input::Missed);
            self.oracle.marks.missed += 1;
            self.figures.reached(Bound::Changes);
        }
        self.wake_session(life, line);
    }

    fn wake_session(&mut self, life: Life, line: LineId) {
        let service = self.service;
        let Some(session) = self.session(life, line) else { return };
        let after = service.session_takes_us(&mut session.dice);
        if !session.wakes {
            session.wakes = true;
            self.queue.put(self.now + after, Event::SessionWake(life, line));
        }
    }

    /// Takes one input.
    pub(crate) fn session_wake(&mut self, life: Life, line: LineId) {
        let Some(session) = self.session(life, line) else { return };
        let drawn = session.dice.below(6);
        session.wakes = false;
        let sources = [&mut session.frames, &mut session.answers, &mut session.changes];
        let waiting = sources.iter().filter(|source| !source.is_empty()).count();
        let index = usize::try_from(drawn).unwrap_or(0) % waiting.max(1);
        let chosen = sources.into_iter().filter(|source| !source.is_empty()).nth(index);
        let Some(input) = chosen.and_then(VecDeque::pop_front) else { return };
        let more = !session.is_idle();
        self.session_step(life, line, input);
        if more {
            self.wake_session(life, line);
        }
    }

    /// A timer's time has come. One message that has come from the device goes first, as in a gateway.
    pub(crate) fn session_timer(&mut self, life: Life, line: LineId, set: u64) {
        let Some(now) = self.present(life) else { return };
        let Some(session) = self.session(life, line).filter(|session| session.timer == Some(Now(set))) else {
            return;
        };
        if now >= Now(set) {
            session.timer = None;
            if let Some(input) = session.frames.pop_front() {
                self.session_step(life, line, input);
            }
            self.session_step(life, line, Input::Timer);
        } else {
            self.queue.put(self.now + (set - now.0).max(1), Event::SessionTimer(life, line, set));
        }
    }

    fn session_step(&mut self, life: Life, line: LineId, input: Input) {
        let Some(now) = self.present(life) else { return };
        let Some(process) = self.regions.get_mut(&life.region).and_then(|region| region.process.as_mut())
        else {
            return;
        };
        let Some(session) = process.sessions.get_mut(&line) else { return };
        let taken = Taken::by_session(&input);
        if let Input::Unsent(bytes) = &input {
            session.unsent_bytes = *bytes;
        }
        let outputs = session.core.step(now, session.dice.entropy(), input);
        self.work.step(taken, session_did(&outputs));
        let changes = Held::new("changes that wait", session.changes.len(), self.changes_max + 1);
        let held = session.core.held();
        self.oracle.hold(self.now, format_args!("a session of {}", life.region), &held);
        self.oracle.hold(self.now, format_args!("a session of {}", life.region), &[changes]);
        for output in outputs {
            self.carry_out_session(life, line, output);
        }
    }

    fn carry_out_session(&mut self, life: Life, line: LineId, output: Output) {
        match output {
            Output::Send(frame) => self.send_to_device(life, line, &frame, |into| into.encode_server(&frame)),
            Output::Deliver(shared) => {
                self.live_goes_to_who_keeps_up(life, line);
                self.send_to_device(life, line, shared.frame(), |into| shared.payload(into));
            }
            Output::Authenticate(token) => {
                let identity = read_token(&token);
                self.session_step(life, line, Input::Authenticated(Ok(identity)));
            }
            Output::Submit { ticket, placement, user, device, command } => {
                let letter = Letter::Command { line, ticket, user, device, command };
                self.submit(life, placement, letter);
            }
            Output::Query { id, query } => {
                let service = self.service;
                if let Some(session) = self.session(life, line) {
                    let after = service.query_takes_us(&mut session.dice);
                    session.queries.insert(id, query);
                    self.queue.put(self.now + after, Event::QueryRuns(life, line, id));
                }
            }
            Output::Subscribe { conversation, on } => {
                let Some(process) = self.process(life) else { return };
                let Some(session) = process.sessions.get_mut(&line) else { return };
                set(&mut session.subscribed, conversation, on);
                process.audience.subscribe(line, conversation, on);
            }
            Output::WatchTicks { conversation, on } => {
                let Some(process) = self.process(life) else { return };
                let Some(session) = process.sessions.get_mut(&line) else { return };
                set(&mut session.ticks, conversation, on);
                process.audience.watch_ticks(line, conversation, on);
            }
            Output::WatchUser(user) => {
                let Some(process) = self.process(life) else { return };
                let Some(session) = process.sessions.get_mut(&line) else { return };
                if let Some(before) = session.watched.replace(user) {
                    process.audience.watch_user(line, before, false);
                }
                process.audience.watch_user(line, user, true);
            }
            Output::SetTimer(at) => {
                if let Some(session) = self.session(life, line) {
                    session.timer = Some(at);
                    let when = self.when(life, at).max(self.now + 1);
                    self.queue.put(when, Event::SessionTimer(life, line, at.0));
                }
            }
            Output::Close(code) => {
                self.oracle.closed(code);
                if code == "slow_device" {
                    self.figures.reached(Bound::SlowDevice);
                }
                self.drop_session(life, line);
                self.stranger_is_dismissed(line);
                self.line_closed_by_region(line);
            }
        }
    }

    fn send_to_device(
        &mut self,
        life: Life,
        line: LineId,
        frame: &ServerFrame,
        encode: impl Fn(Subprotocol) -> Payload,
    ) {
        let spoken = self.lines.subprotocol(line).map(&encode);
        let device = self.lines.whose(line).map(|(device, _)| device);
        self.oracle.left_session(self.now, life.region, device, frame, spoken.as_ref(), &encode);
        self.stranger_is_told(line, frame);
        if let Some(payload) = spoken {
            self.send_down(life, line, payload);
        }
    }

    /// Whoever does not read is sent nothing live.
    fn live_goes_to_who_keeps_up(&mut self, life: Life, line: LineId) {
        let Some(session) = self.session(life, line) else { return };
        let held = Held::new("bytes unsent before a live message", session.unsent_bytes, UNSENT_BYTES_MAX);
        self.oracle.hold(self.now, format_args!("a session of {}", life.region), &[held]);
    }

    /// A query reads the durable state.
    pub(crate) fn query_runs(&mut self, life: Life, line: LineId, id: QueryId) {
        let Some(query) = self.session(life, line).and_then(|session| session.queries.remove(&id)) else {
            return;
        };
        let view = self.regions.get(&life.region).and_then(|region| region.view(query.placement()));
        let Some(view) = view else { return };
        let result = query.run(view);
        if let Err(error) = &result {
            // The device is told that this cannot be read here, and operators what it is. The others read on.
            self.store_fails(life.region, error);
            if let Some((device, _)) = self.lines.whose(line) {
                self.oracle.may_be_refused(device);
            }
        }
        self.session_answered(life, line, Input::Read { query: id, result });
    }

    /// What a durable batch tells devices.
    pub(crate) fn fan_out(&mut self, life: Life, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Changed(change) => self.fan_out_change(life, change),
                Effect::Membership { conversation, user, member } => {
                    for line in self.audience(life, |audience| audience.of_user(user)) {
                        self.session_told(life, line, Input::Membership { conversation, member });
                    }
                }
                Effect::Hidden { conversation, user, message } => {
                    self.trace.tell(self.now, || {
                        let crdt::Identity { sender, message } = message;
                        format!("{} hides {message} of {sender} in {conversation} from {user}", life.region)
                    });
                    if !self.oracle.is_muted(life.region) {
                        let mark = (conversation, user, (message.sender, message.message));
                        self.oracle.hidden_stands(self.now, life.region, mark);
                    }
                    for line in self.audience(life, |audience| audience.of_user(user)) {
                        self.session_told(life, line, Input::Hidden { conversation, message });
                    }
                }
                Effect::Receipt { conversation, user, device, delivered, read } => {
                    self.trace.tell(self.now, || {
                        format!(
                            "{} has a receipt of {device} in {conversation}: {delivered}, {read}",
                            life.region
                        )
                    });
                    if !self.oracle.is_muted(life.region) {
                        self.oracle.receipt_stands(self.now, conversation, user, device, &delivered, &read);
                    }
                    let (delivered, read) = (Arc::new(delivered), Arc::new(read));
                    for line in self.audience(life, |audience| audience.of_ticks(conversation)) {
                        let (delivered, read) = (Arc::clone(&delivered), Arc::clone(&read));
                        let input = Input::Receipt { conversation, user, device, delivered, read };
                        self.session_told(life, line, input);
                    }
                }
                Effect::Stable { partition, cut } => {
                    if !self.oracle.is_muted(life.region) {
                        self.oracle.stable_is_final(life.region, partition, &cut);
                        self.oracle.stable_stands(self.now, partition, &cut);
                    }
                    let cut = Arc::new(cut);
                    for line in self.audience(life, |audience| audience.of_partition(partition)) {
                        let cut = Arc::clone(&cut);
                        self.session_told(life, line, Input::Stable { partition, cut });
                    }
                }
                // Carried out before what devices are told.
                Effect::Reply { .. }
                | Effect::Operated { .. }
                | Effect::RegisterKeptOut { .. }
                | Effect::Advanced { .. }
                | Effect::Epoch(_)
                | Effect::EpochRefused(_)
                | Effect::CaughtUp
                | Effect::PinBroken { .. }
                | Effect::AnotherHistory { .. }
                | Effect::BehindFold { .. }
                | Effect::Compact(_)
                | Effect::Expired { .. }
                | Effect::NoRight { .. }
                | Effect::DocumentChangeKeptOut { .. }
                | Effect::Refused { .. } => {}
            }
        }
    }

    fn fan_out_change(&mut self, life: Life, change: Change) {
        let conversation = change.conversation;
        let lines = self.audience(life, |audience| audience.of(conversation));
        if lines.is_empty() {
            return;
        }
        let Some(process) = self.process(life) else { return };
        let Some(placement) = process.site.placements.get(&conversation.placement()) else { return };
        let shared = SharedDelivery::new(change, placement);
        for line in lines {
            self.session_told(life, line, Input::Changed(Arc::clone(&shared)));
        }
    }

    fn audience(&mut self, life: Life, of: impl Fn(&Audience) -> Vec<LineId>) -> Vec<LineId> {
        self.process(life).map(|process| of(&process.audience)).unwrap_or_default()
    }
}

fn set(among: &mut BTreeSet<ConversationId>, conversation: ConversationId, on: bool) {
    if on {
        among.insert(conversation);
    } else {
        among.remove(&conversation);
    }
}

/// Tokens of this world name their user and device; that they are signed is the gateway's driver's affair.
pub(crate) fn write_token(user: UserId, device: DeviceId) -> String {
    format!("{user} {device}")
}

fn read_token(token: &str) -> Identity {
    let ids =
        token.split_once(' ').and_then(|(user, device)| Some((user.parse().ok()?, device.parse().ok()?)));
    // Every token of this world is written above.
    let (user, device) = ids.unwrap_or((UserId::new(WORLD, 0), DeviceId(0)));
    Identity { user, device, expires: Now(u64::MAX) }
}
