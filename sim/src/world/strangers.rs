//! Applications that are not ours: they sign in as a user does, and send what they should not.
//!
//! Each sends one of everything that must be refused, and waits for the refusal by its code (promise 12). What is temporary is not judged: it says nothing of
//! what was sent. What must always hold: a stranger is a session and no device, so nothing but the region ever knows of it, and whatever an honest
//! client does stays as it is.

use crate::world::World;
use crate::world::dice::Dice;
use crate::world::layout::{PINNED, START_US, WORLD};
use crate::world::queue::{Life, LineId};
use crate::world::sessions::write_token;
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use gateway::input::Input;
use gateway_protocol::v1::client_frame::Frame;
use gateway_protocol::v1::server_frame::Frame as Reply;
use gateway_protocol::v1::{self, ClientFrame, ServerFrame};
use std::collections::BTreeMap;

/// A stranger's device has its user's number and this.
const DEVICE: u64 = 1 << 40;
/// The request number of its hello.
const HELLO: u64 = 1;

/// Those that wait for answers, and what they can make use of.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    waiting: BTreeMap<LineId, (Life, BTreeMap<u64, Trial>)>,
    /// The newest cursor that any device was given: one that is genuine.
    cursor: Option<(ConversationId, Bytes)>,
}

/// Something that must be refused.
#[derive(Debug)]
struct Trial {
    what: &'static str,
    /// With one of these codes.
    codes: &'static [&'static str],
}

type Sent = (&'static str, &'static [&'static str], Frame);

impl World {
    /// Somebody uses another application with a device's account, and that application is bad.
    pub(crate) fn misuse(&mut self, id: DeviceId, conversation: Option<ConversationId>, dice: &mut Dice) {
        let Some(device) = self.devices.get(&id) else { return };
        let (user, region) = (device.user, device.region);
        let Some(life) = self.life_of(region) else { return };
        let line = self.lines.reserve();
        self.begin_session(life, line, Dice::of(self.seed, "stranger", &[id.0, line.0]));
        let token = write_token(user, DeviceId(id.0 | DEVICE));
        let hello = v1::Hello {
            token,
            version_min: 1,
            version_max: 1,
            client: "a stranger's application".to_owned(),
        };
        self.stranger_sends(life, line, HELLO, Frame::Hello(hello));
        // What is pinned is not named where it may not be: the region's answer would name it too.
        let held = self.layout.placements_of(region);
        let here = |of: &ConversationId| held.contains(&of.placement());
        let conversation = conversation.filter(here);
        let conversation = conversation.unwrap_or_else(|| ConversationId::group(WORLD, dice.wide() >> 16));
        let cursor = self.strangers.cursor.clone().filter(|(of, _)| here(of));
        let mut waits = BTreeMap::new();
        let mut frames = self.commands(conversation, user, dice);
        frames.extend(self.cursors(conversation, cursor, dice));
        for (request, (what, codes, frame)) in (HELLO + 1..).zip(frames) {
            waits.insert(request, Trial { what, codes });
            self.stranger_sends(life, line, request, frame);
        }
        self.trace.tell(self.now, || format!("a stranger with {id}'s account sends {} frames", waits.len()));
        self.strangers.waiting.insert(line, (life, waits));
    }

    fn stranger_sends(&mut self, life: Life, line: LineId, request: u64, frame: Frame) {
        let frame = ClientFrame { request, frame: Some(frame) };
        self.session_hears(life, line, Input::Frame(Ok(frame)));
    }

    /// An id that nothing may ever be done under.
    fn forbidden(&mut self, ms: u64, dice: &mut Dice) -> String {
        let id = MessageId::new(ms, dice.wide());
        self.oracle.must_be_refused(id);
        id.to_string()
    }

    /// Commands that no region may take.
    fn commands(&mut self, conversation: ConversationId, user: UserId, dice: &mut Dice) -> Vec<Sent> {
        let (now_ms, day_ms) = ((START_US + self.now) / 1_000, 86_400_000);
        let unknown = ConversationId::group(conversation.placement(), dice.wide() >> 16);
        let elsewhere = ConversationId::group(PlacementId(u16::MAX), dice.wide() >> 16);
        let send = |conversation: String, message: String, bytes: usize| {
            Frame::Send(v1::Send {
                conversation,
                message,
                body: vec![b'x'; bytes].into(),
                ..Default::default()
            })
        };
        let group = |command: String, members: Vec<String>, name: String| {
            let conversation = unknown.to_string();
            Frame::CreateGroup(v1::CreateGroup {
                conversation,
                command,
                members,
                name,
                begun_in: String::new(),
                epoch: 0,
            })
        };
        let here = conversation.to_string();
        let many = (0..1_025).map(|number| UserId::new(WORLD, (1 << 32) + number).to_string()).collect();
        // Nobody who lives here, so no name of theirs is where it may not be.
        let pinned = UserId::new(PINNED, (1 << 32) + dice.below(1 << 16));
        let pin_forbids = ConversationId::group(WORLD, dice.wide() >> 16);
        let mut id = |ms| self.forbidden(ms, dice);
        vec![
            ("a body too long", &["body_too_large"], send(here.clone(), id(now_ms), 65_537)),
            ("an old id", &["message_too_old"], send(here.clone(), id(now_ms - 40 * day_ms), 1)),
            ("an id to come", &["message_from_future"], send(here, id(now_ms + 10 * day_ms), 1)),
            (
                "a message to a conversation that is not there",
                &["unknown_conversation"],
                send(unknown.to_string(), id(now_ms), 1),
            ),
            (
                "a message to a placement that is not there",
                &["wrong_placement"],
                send(elsewhere.to_string(), id(now_ms), 1),
            ),
            ("a message to nonsense", &["malformed_id"], send("nonsense".to_owned(), id(now_ms), 1)),
            ("a message without an id", &["missing_field"], send(unknown.to_string(), String::new(), 1)),
            (
                "a name too long",
                &["name_too_long"],
                group(id(now_ms), vec![user.to_string()], "n".repeat(257)),
            ),
            (
                "a group of the world with somebody whose pin forbids it",
                &["placement_fixed"],
                Frame::CreateGroup(v1::CreateGroup {
                    conversation: pin_forbids.to_string(),
                    command: id(now_ms),
                    members: vec![pinned.to_string()],
                    name: String::new(),
                    begun_in: String::new(),
                    epoch: 0,
                }),
            ),
            ("too many members", &["too_many_members"], group(id(now_ms), many, String::new())),
        ]
    }

    /// Cursors that no region of the placement gave.
    fn cursors(
        &mut self,
        conversation: ConversationId,
        cursor: Option<(ConversationId, Bytes)>,
        dice: &mut Dice,
    ) -> Vec<Sent> {
        let nonsense = Frame::Read(v1::Read { cursor: Bytes::from_static(b"nonsense"), quiet: false });
        let mut sent: Vec<Sent> = vec![("a cursor that is none", &["cursor_malformed"], nonsense)];
        let Some((of, cursor)) = cursor else { return sent };
        let mut bytes = cursor.to_vec();
        // A genuine one has more than its head of 40 bytes; behind that is what it claims, and its seal.
        let at = 40 + usize::try_from(dice.below(bytes.len() as u64 - 40)).unwrap_or(0);
        bytes[at] ^= 1 << dice.below(8);
        let forged = Frame::Acknowledge(v1::Acknowledge { cursor: bytes.into() });
        sent.push(("a cursor with one bit changed", &["cursor_forged"], forged));
        if of != conversation {
            let message = self.forbidden((START_US + self.now) / 1_000, dice);
            let codes = &["cursor_wrong_conversation"];
            let conversation = conversation.to_string();
            let frame = v1::Send { conversation, message, seen: cursor, ..Default::default() };
            sent.push(("another conversation's cursor", codes, Frame::Send(frame)));
        }
        sent
    }

    /// A session sends: to a stranger, if it is one's.
    pub(crate) fn stranger_is_told(&mut self, line: LineId, frame: &ServerFrame) {
        if let Some(Reply::Deliver(v1::Deliver { conversation, cursor, .. })) = &frame.frame
            && let Ok(conversation) = conversation.parse()
        {
            self.strangers.cursor = Some((conversation, cursor.clone()));
        }
        if frame.request == HELLO
            && let Some(Reply::Error(error)) = &frame.frame
            && error.temporary
        {
            // Not let in, as nobody is now: the region lacks what others hold. So nothing is answered.
            self.strangers.waiting.remove(&line);
            return;
        }
        let Some((_, waits)) = self.strangers.waiting.get_mut(&line) else { return };
        let Some(trial) = waits.remove(&frame.request) else { return };
        let fault = match &frame.frame {
            Some(Reply::Error(error)) if error.temporary => None,
            Some(Reply::Error(error)) if trial.codes.contains(&error.code.as_str()) => None,
            Some(Reply::Error(error)) => Some(format!("{} is refused as {}", trial.what, error.code)),
            _ => Some(format!("{} is taken", trial.what)),
        };
        self.trace.tell(self.now, || format!("a stranger is answered: {:?}", frame.frame));
        self.oracle.refuses_a_stranger(self.now, fault);
    }

    /// All is calm: whoever is still connected has been answered.
    pub(crate) fn judge_strangers(&mut self) {
        for (line, (life, waits)) in std::mem::take(&mut self.strangers.waiting) {
            let connected = self.process(life).is_some_and(|process| process.sessions.contains_key(&line));
            if let Some(trial) = waits.values().next().filter(|_| connected) {
                let fault = Some(format!("{} is not answered", trial.what));
                self.oracle.refuses_a_stranger(self.now, fault);
            }
        }
    }

    /// A session ends its connection by itself: whoever is not answered by then never will be.
    pub(crate) fn stranger_is_dismissed(&mut self, line: LineId) {
        if let Some((_, waits)) = self.strangers.waiting.remove(&line)
            && let Some(trial) = waits.values().next()
        {
            let fault = Some(format!("{} is not answered", trial.what));
            self.oracle.refuses_a_stranger(self.now, fault);
        }
    }
}
