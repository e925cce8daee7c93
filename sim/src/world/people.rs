//! What people do in a world: the acts of its script, each resolved against what its device knows when its time has come.
//!
//! What must always hold: an author answers only what its device was shown, and writes only where its application could offer it: in what the
//! device was shown, or its user has begun. Anything else is not done. What an act draws comes from its own salt, so one that is
//! taken out of a script changes no other.

use crate::checks::world::CANARY;
use crate::script::{Account, Act as Planned, Conversation, Describe, Device, Govern, How, Script, What};
use crate::world::World;
use crate::world::devices::NewDevice;
use crate::world::dice::Dice;
use crate::world::layout::{PINNED, WORLD, address};
use crate::world::operators::flag_act;
use crate::world::queue::Event;
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, RegionId, UserId};
use gateway_client::{Act, Amend, Content, DocumentEdit, Event as Told, MembersWish, forward};
use region::operate;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Of what a device was shown, so much is remembered to be answered; so much of the messages that it was shown, and that were written on it.
const SHOWN_LAST_MAX: usize = 5;
/// Emoji that people use most.
const FACES: u64 = 3;
/// Emoji that they use at all: more than a message shows.
const FACES_IN_ALL: u64 = 24;
/// What conversations say of themselves is made of: a few words, so that what several write has beginnings and ends in common.
const WORDS: [&str; 6] = ["to", "the", "islands", "é", "🙂", "sailing"];

/// Who is in a world, and what they are going to do.
#[derive(Debug, Default)]
pub(crate) struct People {
    joins: VecDeque<Device>,
    acts: VecDeque<Planned>,
    users: BTreeMap<u64, UserId>,
    conversations: BTreeMap<u64, (ConversationId, Conversation)>,
    /// What each device was shown last, by conversation: what it can write in and answer.
    known: BTreeMap<(DeviceId, ConversationId), VecDeque<(UserId, MessageId)>>,
    /// The messages among that.
    messages: BTreeMap<(DeviceId, ConversationId), VecDeque<(UserId, MessageId)>>,
    /// What was written last on each device.
    wrote: BTreeMap<(DeviceId, ConversationId), VecDeque<(UserId, MessageId)>>,
    /// How those read, of each device in each conversation.
    texts: BTreeMap<(DeviceId, ConversationId, UserId, MessageId), Bytes>,
    /// Conversations that somebody has begun.
    begun: BTreeSet<ConversationId>,
    /// Messages written, for their texts.
    written: u64,
}

impl People {
    /// A device tells its user something.
    pub(crate) fn is_told(&mut self, id: DeviceId, event: &Told) {
        if let Told::Hidden { conversation, sender, message } = event {
            // An application offers nothing any more for what is gone.
            self.texts.remove(&(id, *conversation, *sender, *message));
            for last in [&mut self.messages, &mut self.wrote] {
                if let Some(last) = last.get_mut(&(id, *conversation)) {
                    last.retain(|one| *one != (*sender, *message));
                }
            }
        }
        if let Told::Amended { conversation, sender, message, body, became } = event {
            let text = (id, *conversation, *sender, *message);
            match body {
                _ if became.deleted => _ = self.texts.remove(&text),
                Some(body) if self.texts.contains_key(&text) => _ = self.texts.insert(text, body.clone()),
                Some(_) | None => {}
            }
        }
        let Told::Shown { conversation, item, .. } = event else { return };
        if item.content.target().is_some() {
            return;
        }
        let (at, one) = ((id, *conversation), (item.sender, item.message));
        // Nothing is kept of it.
        let _ = remember(self.known.entry(at).or_default(), one);
        if let Content::Post { body, became, .. } = &item.content {
            let gone = remember(self.messages.entry(at).or_default(), one);
            if let Some((sender, message)) = gone {
                self.texts.remove(&(id, *conversation, sender, message));
            }
            if !became.deleted {
                self.texts.insert((id, *conversation, one.0, one.1), body.clone());
            }
        }
    }

    fn next_at(&self) -> Option<u64> {
        let joins = self.joins.front().map(|device| device.at_us);
        let acts = self.acts.front().map(|act| act.at_us);
        joins.into_iter().chain(acts).min()
    }
}

/// One more, in place of the oldest, which is given back.
fn remember(
    last: &mut VecDeque<(UserId, MessageId)>,
    one: (UserId, MessageId),
) -> Option<(UserId, MessageId)> {
    let oldest = if last.len() >= SHOWN_LAST_MAX { last.pop_front() } else { None };
    last.push_back(one);
    oldest
}

impl World {
    /// The people of a script come, and do what is theirs to do, each when it is time.
    pub(crate) fn play(&mut self, script: &Script) {
        let mut joins = script.devices.clone();
        joins.sort_by_key(|device| device.at_us);
        let mut acts = script.acts.clone();
        acts.sort_by_key(|act| act.at_us);
        let user = |device: &Device| {
            (device.user, UserId::new(if device.pinned { PINNED } else { WORLD }, device.user))
        };
        let users: BTreeMap<u64, UserId> = joins.iter().map(user).collect();
        let id = |conversation: &Conversation| {
            let placement = if conversation.pinned { PINNED } else { WORLD };
            let ends =
                || Some((users.get(&conversation.creator)?, users.get(conversation.members.first()?)?));
            if conversation.direct {
                return ends().map(|(one, other)| ConversationId::direct(placement, *one, *other));
            }
            let low = Dice::of(script.seed, "conversation", &[conversation.number]).wide();
            Some(ConversationId::group(placement, low >> 16))
        };
        let known = script.conversations.iter();
        let known = known.filter_map(|of| Some((of.number, (id(of)?, of.clone()))));
        self.people = People {
            conversations: known.collect(),
            joins: joins.into(),
            acts: acts.into(),
            users,
            known: BTreeMap::new(),
            messages: BTreeMap::new(),
            wrote: BTreeMap::new(),
            texts: BTreeMap::new(),
            begun: BTreeSet::new(),
            written: 0,
        };
        self.wait_for_the_next();
    }

    fn wait_for_the_next(&mut self) {
        if let Some(at) = self.people.next_at() {
            self.queue.put(at.max(self.now), Event::Act);
        }
    }

    /// Somebody comes or does something: whoever is due first.
    pub(crate) fn somebody_acts(&mut self) {
        let now = self.now;
        let comes = self.people.joins.front().is_some_and(|device| device.at_us <= now);
        if comes {
            if let Some(device) = self.people.joins.pop_front() {
                self.join(&device);
            }
        } else if let Some(act) = self.people.acts.pop_front_if(|act| act.at_us <= now) {
            self.do_act(act);
        }
        self.wait_for_the_next();
    }

    fn join(&mut self, device: &Device) {
        let Some(user) = self.people.users.get(&device.user).copied() else { return };
        let new = NewDevice {
            user,
            region: RegionId(device.home),
            placements: vec![PINNED],
            delay_us: device.delay_us,
            clock_offset_us: device.clock_offset_us,
            json: device.json,
        };
        self.add_device(DeviceId(device.number), new);
    }

    fn do_act(&mut self, act: Planned) {
        let id = DeviceId(act.device);
        if !self.devices.contains_key(&id) {
            return;
        }
        let mut dice = Dice::of(self.seed, "salt", &[u64::from(act.salt)]);
        match act.what {
            What::Begin { conversation } => self.begin(id, conversation),
            What::Write { conversation, count, bytes, reply, text } => {
                for _ in 0..count {
                    self.write(id, conversation, bytes, reply, text.as_deref(), &mut dice);
                }
            }
            What::Amend { conversation, how } => self.amend(id, conversation, how, &mut dice),
            What::Forward { conversation, to } => self.forward(id, conversation, &to, &mut dice),
            What::Hide { conversation } => self.hide(id, conversation, &mut dice),
            What::Describe { conversation, how } => self.describe(id, conversation, how, &mut dice),
            What::Account { how } => self.keep_account(id, how, &mut dice),
            What::Read { conversation } => {
                if let Some(conversation) = self.known_to(id, conversation) {
                    self.act(id, Act::MarkRead { conversation });
                }
            }
            What::TellReads { told } => self.act(id, Act::TellReads { told }),
            What::Add { conversation, user } => {
                let user = self.people.users.get(&user).copied();
                if let Some((conversation, user)) = self.known_to(id, conversation).zip(user) {
                    self.act(id, Act::ChangeMembers { conversation, wish: MembersWish::Add(user) });
                }
            }
            What::Leave { conversation } => {
                if let Some(conversation) = self.known_to(id, conversation) {
                    self.act(id, Act::ChangeMembers { conversation, wish: MembersWish::Leave });
                }
            }
            What::Govern { conversation, user, how } => {
                let user = self.people.users.get(&user).copied();
                if let Some((conversation, user)) = self.known_to(id, conversation).zip(user) {
                    let wish = match how {
                        Govern::Remove => MembersWish::Remove(user),
                        Govern::Promote => MembersWish::Promote(user),
                        Govern::Demote => MembersWish::Demote(user),
                        Govern::Claim => MembersWish::Claim,
                    };
                    self.act(id, Act::ChangeMembers { conversation, wish });
                }
            }
            What::Move { region } => {
                if self.layout.regions().contains(&region) && !self.is_awaited(region) {
                    self.act(id, Act::Move { region: address(region) });
                }
            }
            What::Misuse => {
                let known = self.people.known.keys().find(|(of, _)| *of == id);
                let conversation = known.map(|(_, conversation)| *conversation);
                self.misuse(id, conversation, &mut dice);
            }
            What::Admit { region } => self.operators_admit(region),
            What::Suspend { region } => self.operators_suspend(region),
            What::SetHome { region, user, home } => {
                if let Some(user) = self.people.users.get(&user).copied() {
                    self.operate(region, user.placement(), operate::Act::SetHome { user, home });
                }
            }
            What::Erase { region, user } => {
                if let Some(user) = self.people.users.get(&user).copied() {
                    self.operate(region, user.placement(), operate::Act::Erase { user });
                }
            }
            What::SetFlag { region, pinned, feature, says } => {
                let placement = if pinned { PINNED } else { WORLD };
                self.operate(region, placement, flag_act(feature, says, &mut dice));
            }
            What::GoOffline => self.set_online(id, false),
            What::ComeOnline => self.set_online(id, true),
        }
    }

    fn begin(&mut self, id: DeviceId, number: u64) {
        let Some((conversation, planned)) = self.people.conversations.get(&number).cloned() else { return };
        let users = &self.people.users;
        let members: Vec<UserId> =
            planned.members.iter().filter_map(|user| users.get(user)).copied().collect();
        self.people.known.entry((id, conversation)).or_default();
        self.people.begun.insert(conversation);
        let act = if planned.direct {
            let Some(peer) = members.first().copied() else { return };
            Act::OpenDirect { placement: conversation.placement(), peer }
        } else {
            let canary = if planned.pinned { CANARY } else { "" };
            let name = format!("{canary}group");
            Act::CreateGroup { conversation, command: None, members, name }
        };
        self.act(id, act);
    }

    /// The conversation of that number, if the device can offer it.
    fn known_to(&self, id: DeviceId, number: u64) -> Option<ConversationId> {
        let (conversation, planned) = self.people.conversations.get(&number)?;
        if self.people.known.contains_key(&(id, *conversation)) {
            return Some(*conversation);
        }
        // What another device of the user has begun: an application offers it before the region has said so.
        let creator = self.people.users.get(&planned.creator);
        let own = self.devices.get(&id).is_some_and(|device| Some(&device.user) == creator);
        (own && self.people.begun.contains(conversation)).then_some(*conversation)
    }

    /// A message, perhaps an answer to one of the last that the device was shown.
    fn write(
        &mut self,
        id: DeviceId,
        conversation: u64,
        bytes: u64,
        reply: bool,
        text: Option<&str>,
        dice: &mut Dice,
    ) {
        let Some(conversation) = self.known_to(id, conversation) else { return };
        let number = self.people.written;
        self.people.written += 1;
        let message = MessageId::new(self.device_wall(id).ms(), dice.wide());
        let last = self.people.known.get(&(id, conversation)).filter(|_| reply);
        let reply_to = last.and_then(|last| {
            let index = usize::try_from(dice.below(last.len() as u64)).ok()?;
            last.get(index).copied()
        });
        let canary = if conversation.placement() == PINNED { CANARY } else { "" };
        let body = match text {
            Some(text) => format!("{canary}{text}"),
            None => {
                let padding = "-".repeat(usize::try_from(bytes).unwrap_or(0));
                format!("{canary}{number} {padding}")
            }
        };
        if let Some(user) = self.devices.get(&id).map(|device| device.user) {
            let wrote = self.people.wrote.entry((id, conversation)).or_default();
            // Nothing is kept of the oldest.
            let _ = remember(wrote, (user, message));
        }
        self.act(id, Act::Send { conversation, message: Some(message), body: Bytes::from(body), reply_to });
    }

    /// Something is done to a message that the device could offer it for.
    fn amend(&mut self, id: DeviceId, conversation: u64, how: How, dice: &mut Dice) {
        let Some(conversation) = self.known_to(id, conversation) else { return };
        let (command, at) = (MessageId::new(self.device_wall(id).ms(), dice.wide()), (id, conversation));
        let from = match how {
            How::Edit | How::Delete => &self.people.wrote,
            How::React | How::Withdraw => &self.people.messages,
        };
        let last: Vec<_> = from.get(&at).into_iter().flatten().copied().collect();
        let Some(target) = dice.pick(&last) else { return };
        let faces = if dice.one_in(4) { FACES_IN_ALL } else { FACES };
        let face = u32::try_from(dice.below(faces)).ok().and_then(|face| char::from_u32(0x1f600 + face));
        let emoji = face.map(String::from).unwrap_or_default();
        let canary = if conversation.placement() == PINNED { CANARY } else { "" };
        let what = match how {
            How::Edit => Amend::Edit(format!("{canary}edited by {command}").into()),
            How::Delete => Amend::Delete,
            How::React => Amend::React(emoji),
            How::Withdraw => Amend::Withdraw(emoji),
        };
        self.act(id, Act::Amend { conversation, command: Some(command), target, what });
    }

    /// One of the last messages that the device was shown is said again in other conversations that it can offer.
    fn forward(&mut self, id: DeviceId, conversation: u64, to: &[u64], dice: &mut Dice) {
        let Some(conversation) = self.known_to(id, conversation) else { return };
        let chats = to.iter().filter_map(|to| self.known_to(id, *to));
        let chats: Vec<ConversationId> =
            chats.filter(|chat| chat.placement() == conversation.placement()).collect();
        let texts = self.people.texts.iter().filter(|((of, at, ..), _)| (*of, *at) == (id, conversation));
        let texts: Vec<_> =
            texts.map(|((.., sender, message), body)| (*sender, *message, body.clone())).collect();
        let Some((sender, message, body)) = dice.pick(&texts).filter(|_| !chats.is_empty()) else { return };
        let now_ms = self.device_wall(id).ms();
        let copies: Vec<_> = chats.iter().map(|chat| (*chat, MessageId::new(now_ms, dice.wide()))).collect();
        let forwarded = forward::forwarded(&body, &chats).ok();
        self.oracle.forwards(self.now, id, (conversation, (sender, message)), &copies, forwarded.as_ref());
        let Some(body) = forwarded else { return };
        for (conversation, message) in copies {
            if let Some(user) = self.devices.get(&id).map(|device| device.user) {
                let wrote = self.people.wrote.entry((id, conversation)).or_default();
                // Nothing is kept of the oldest.
                let _ = remember(wrote, (user, message));
            }
            let (message, body) = (Some(message), body.clone());
            self.act(id, Act::Send { conversation, message, body, reply_to: None });
        }
    }

    /// One of the last messages that the device was shown is deleted for its user alone.
    fn hide(&mut self, id: DeviceId, conversation: u64, dice: &mut Dice) {
        let Some(conversation) = self.known_to(id, conversation) else { return };
        let command = Some(MessageId::new(self.device_wall(id).ms(), dice.wide()));
        let last: Vec<_> =
            self.people.messages.get(&(id, conversation)).into_iter().flatten().copied().collect();
        let Some(target) = dice.pick(&last) else { return };
        self.act(id, Act::DeleteForMe { conversation, command, target });
    }

    /// What a conversation says of itself is changed.
    fn describe(&mut self, id: DeviceId, conversation: u64, how: Describe, dice: &mut Dice) {
        let Some(conversation) = self.known_to(id, conversation) else { return };
        let command = MessageId::new(self.device_wall(id).ms(), dice.wide());
        let canary = if conversation.placement() == PINNED { CANARY } else { "" };
        let mut words = |count: u64| {
            let words: Vec<&str> = (0..count).filter_map(|_| dice.pick(&WORDS)).collect();
            format!("{canary}{}", words.join(" "))
        };
        let edit = match how {
            Describe::Name => DocumentEdit::Name(words(2)),
            Describe::Description => DocumentEdit::Description(words(6)),
            Describe::Setting => DocumentEdit::Setting { name: "theme".to_owned(), value: words(1) },
            Describe::Pin | Describe::Unpin => {
                let last: Vec<_> =
                    self.people.messages.get(&(id, conversation)).into_iter().flatten().copied().collect();
                let Some(message) = dice.pick(&last) else { return };
                match how {
                    Describe::Pin => DocumentEdit::Pin(message),
                    _ => DocumentEdit::Unpin(message),
                }
            }
        };
        self.act(id, Act::EditDocument { conversation, command: Some(command), edit });
    }

    /// A user changes their account.
    fn keep_account(&mut self, id: DeviceId, how: Account, dice: &mut Dice) {
        let Some(user) = self.devices.get(&id).map(|device| device.user) else { return };
        let placement = user.placement();
        let conversation = ConversationId::account(placement, user);
        if self.people.known.insert((id, conversation), VecDeque::new()).is_none() {
            self.act(id, Act::OpenDirect { placement, peer: user });
        }
        let command = MessageId::new(self.device_wall(id).ms(), dice.wide());
        let canary = if placement == PINNED { CANARY } else { "" };
        let words: Vec<&str> = (0..2).filter_map(|_| dice.pick(&WORDS)).collect();
        let text = if dice.one_in(5) { String::new() } else { format!("{canary}{}", words.join(" ")) };
        // What is pinned is kept in accounts that are.
        let may = |of: PlacementId| of == WORLD || placement == PINNED;
        let others = self.people.users.values().copied().filter(|user| may(user.placement()));
        let others: Vec<UserId> = others.take(4).collect();
        let labelled = self.people.conversations.values().map(|(id, _)| *id).filter(|id| may(id.placement()));
        let labelled: Vec<ConversationId> = labelled.take(3).collect();
        let Some(user) = dice.pick(&others) else { return };
        let edit = match how {
            Account::DisplayName => DocumentEdit::DisplayName(text),
            Account::Status => DocumentEdit::Status(text),
            Account::Contact => DocumentEdit::Contact { user, name: text },
            Account::Label => {
                let Some(conversation) = dice.pick(&labelled) else { return };
                DocumentEdit::Label { conversation, label: text }
            }
            Account::Block => DocumentEdit::Block(user),
            Account::Unblock => DocumentEdit::Unblock(user),
        };
        self.act(id, Act::EditDocument { conversation, command: Some(command), edit });
    }

    /// Nobody does anything any more, and whoever is away comes back.
    pub(crate) fn rest(&mut self) {
        self.people.acts.clear();
        self.people.joins.clear();
        let away: Vec<DeviceId> =
            self.devices.iter().filter(|(_, device)| !device.online).map(|(id, _)| *id).collect();
        for id in away {
            self.set_online(id, true);
        }
    }
}
