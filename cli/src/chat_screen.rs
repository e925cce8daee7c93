//! What a chat prints: events in, lines out. Pure, so that what a newcomer sees is tested as text.
//!
//! ```text
//!   alice: shall we?                          stdout, what others say
//!   bob: * yes                                the mark: bob had seen something that has not come here yet
//!   bob: no (edited)                          the same message, as it reads now
//!   #1 sent · #1 everywhere · #1 delivered to bob · #1 read by bob     stderr, the ticks of your own messages
//! ```
//! What must always hold: one line a message, whatever is in it: control characters are shown as `?`, so nobody's message can
//! steer another one's terminal.

use bytes::Bytes;
use crdt::{ConversationId, MessageId, UserId};
use gateway_client_net::{Account, Became, Content, Document, Event, Item, Place, Reaction, forward};
use std::collections::BTreeMap;

/// Messages whose ticks are shown. Of older ones they are not.
const FOLLOWED_MAX: usize = 1_000;

/// A line to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// What was said.
    Said(String),
    /// What happened.
    Notice(String),
}

impl Line {
    /// Prints it where it belongs.
    pub(crate) fn print(&self) {
        match self {
            Self::Said(text) => println!("{text}"),
            Self::Notice(text) => eprintln!("{text}"),
        }
    }
}

/// What users are called here.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    me: UserId,
    known: BTreeMap<UserId, String>,
}

impl Names {
    /// Nobody but oneself is known.
    pub(crate) fn new(me: UserId) -> Self {
        Self { me, known: BTreeMap::new() }
    }

    /// A user is called this.
    pub(crate) fn learn(&mut self, user: UserId, name: &str) {
        self.known.insert(user, name.to_owned());
    }

    fn of(&self, user: UserId) -> String {
        if user == self.me {
            return "you".to_owned();
        }
        self.known.get(&user).cloned().unwrap_or_else(|| user.to_string())
    }
}

/// What has been printed.
#[derive(Debug)]
pub(crate) struct Screen {
    conversation: ConversationId,
    names: Names,
    terminal: bool,
    /// Own messages by id: their number, and whether they are acknowledged.
    own: BTreeMap<MessageId, (u64, bool)>,
    count: u64,
    earliest: Option<Place>,
    /// The latest message here of somebody else, and how it reads; deleted, it reads no way.
    latest: Option<((UserId, MessageId), Option<Bytes>)>,
    /// How messages stood when that was printed.
    became: BTreeMap<(MessageId, UserId), Became>,
}

impl Screen {
    /// Nothing has been printed. Ticks are shown only on a terminal.
    pub(crate) fn new(conversation: ConversationId, names: Names, terminal: bool) -> Self {
        Self {
            conversation,
            names,
            terminal,
            own: BTreeMap::new(),
            count: 0,
            earliest: None,
            latest: None,
            became: BTreeMap::new(),
        }
    }

    /// Who sits before it.
    pub(crate) const fn me(&self) -> UserId {
        self.names.me
    }

    /// Whether a person looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The earliest place printed.
    pub(crate) fn earliest(&self) -> Option<Place> {
        self.earliest
    }

    /// The own message of that number, or the latest.
    pub(crate) fn own(&self, number: Option<u64>) -> Option<(UserId, MessageId)> {
        let wanted = number.unwrap_or(self.count);
        let found = self.own.iter().find(|(_, (number, _))| *number == wanted);
        found.map(|(message, _)| (self.names.me, *message))
    }

    /// A user is called this.
    pub(crate) fn learn(&mut self, user: UserId, name: &str) {
        self.names.learn(user, name);
    }

    /// The latest message of somebody else.
    pub(crate) fn latest(&self) -> Option<(UserId, MessageId)> {
        self.latest.as_ref().map(|(message, _)| *message)
    }

    /// How it reads.
    pub(crate) fn latest_body(&self) -> Option<&Bytes> {
        self.latest.as_ref().and_then(|(_, body)| body.as_ref())
    }

    /// The user has sent a message.
    pub(crate) fn sent(&mut self, message: MessageId) {
        self.count += 1;
        self.own.insert(message, (self.count, false));
        if self.own.len() > FOLLOWED_MAX
            && let Some(oldest) = self.own.iter().find(|(_, (_, done))| *done).map(|(id, _)| *id)
        {
            self.own.remove(&oldest);
        }
    }

    /// Own messages that no region has acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.own.values().filter(|(_, acknowledged)| !acknowledged).count()
    }

    /// What to print of an event.
    pub(crate) fn show(&mut self, event: &Event) -> Vec<Line> {
        match event {
            Event::SignedIn { region, .. } => notice(format!("connected to {region}")),
            Event::SignedOut { retry_in_ms, .. } => notice(format!(
                "not connected; next try in {:.1} s",
                f64::from(capped(*retry_in_ms)) / 1_000.0
            )),
            // Nothing changes for whoever looks at it.
            Event::ServedAtHome { .. } => Vec::new(),
            Event::Redirected { region, reason } => notice(format!("sent on to {region}: {}", clean(reason))),
            Event::Shown { conversation, item, marked } => self.shown(*conversation, item, *marked),
            Event::Moved { sender, .. } => {
                notice(format!("a message of {} belongs earlier than it was shown", self.names.of(*sender)))
            }
            Event::Amended { conversation, sender, message, body, became } => {
                self.amended(*conversation, (*sender, *message), body.as_ref(), became)
            }
            Event::Hidden { conversation, sender, message } => {
                self.latest.take_if(|(latest, _)| *latest == (*sender, *message));
                let elsewhere = self.elsewhere(*conversation);
                notice(format!("{elsewhere}a message of {} is deleted for you", self.names.of(*sender)))
            }
            Event::MarkCleared { sender, .. } => {
                notice(format!("what {} had seen before writing * has all come now", self.names.of(*sender)))
            }
            Event::Repeated { .. } | Event::AddedAgain { .. } | Event::CaughtUp { .. } => Vec::new(),
            Event::Acknowledged { command, .. } => {
                if let Some((_, acknowledged)) = self.own.get_mut(command) {
                    *acknowledged = true;
                }
                self.tick(*command, "sent")
            }
            Event::Stable { command, .. } => self.tick(*command, "everywhere"),
            Event::Delivered { message, user, .. } => {
                self.tick(*message, &format!("delivered to {}", self.names.of(*user)))
            }
            Event::Read { message, user, .. } => {
                self.tick(*message, &format!("read by {}", self.names.of(*user)))
            }
            Event::Refused { command, code, message, .. } => {
                let number = command.and_then(|command| self.own.remove(&command)).map(|(number, _)| number);
                let which = number.map(|number| format!("#{number} ")).unwrap_or_default();
                notice(format!("{which}refused ({}): {}", clean(code), clean(message)))
            }
            Event::Membership { conversation, user, member } => {
                let (who, what) = (self.names.of(*user), if *member { "now in" } else { "no longer in" });
                let verb = if who == "you" { "are" } else { "is" };
                notice(format!("{who} {verb} {what} {conversation}"))
            }
            Event::Paged { items, more, .. } => self.paged(items, *more),
            Event::Documented { document, .. } if document.actor.is_empty() => Vec::new(),
            Event::Documented { document, .. } => self.about(document),
            Event::Listed { conversations, .. } => {
                let here = conversations.iter().find(|summary| summary.conversation == self.conversation);
                here.map_or_else(Vec::new, |summary| {
                    let role = |user: &UserId| if summary.admins.contains(user) { " (admin)" } else { "" };
                    let member = |user: &UserId| format!("{}{}", self.names.of(*user), role(user));
                    let members: Vec<String> = summary.members.iter().map(member).collect();
                    notice(format!("here are {}; {} unread", members.join(", "), summary.unread))
                })
            }
        }
    }

    /// What the conversation says of itself. Further parts of a long document hold bytes alone.
    fn about(&self, document: &Document) -> Vec<Line> {
        if self.conversation.account_of().is_some() {
            return self.about_me(&document.account);
        }
        let named = if document.name.is_empty() { "no other name was given" } else { &document.name };
        let mut lines = notice(format!("{}: {}", clean(named), clean(&document.description)));
        for (sender, message) in &document.pinned {
            lines.extend(notice(format!("pinned: {message} of {}", self.names.of(*sender))));
        }
        lines
    }

    fn about_me(&self, account: &Account) -> Vec<Line> {
        let mut lines = notice(format!("you: {}: {}", clean(&account.display_name), clean(&account.status)));
        for (user, called) in &account.contacts {
            lines.extend(notice(format!("{} is called {}", self.names.of(*user), clean(called))));
        }
        for user in &account.blocked {
            lines.extend(notice(format!("blocked: {}", self.names.of(*user))));
        }
        lines
    }

    fn shown(&mut self, conversation: ConversationId, item: &Item, marked: bool) -> Vec<Line> {
        let own = item.sender == self.names.me && self.own.contains_key(&item.message);
        let place = item.place;
        if conversation == self.conversation {
            self.earliest = Some(self.earliest.map_or(place, |earliest| earliest.min(place)));
            if item.sender != self.names.me
                && let Content::Post { body, became, .. } = &item.content
            {
                let body = Some(body.clone()).filter(|_| !became.deleted);
                self.latest = Some(((item.sender, item.message), body));
            }
        }
        // What was typed here stands on the screen already.
        if own { Vec::new() } else { self.line(conversation, item, marked).into_iter().collect() }
    }

    /// What is new about a message that stands on the screen.
    fn amended(
        &mut self,
        conversation: ConversationId,
        (sender, message): (UserId, MessageId),
        body: Option<&Bytes>,
        became: &Became,
    ) -> Vec<Line> {
        if let Some((_, reads)) = self.latest.as_mut().filter(|(latest, _)| *latest == (sender, message)) {
            *reads = body.cloned().filter(|_| !became.deleted);
        }
        let before = self.became.insert((message, sender), became.clone()).unwrap_or_default();
        if self.became.len() > FOLLOWED_MAX {
            self.became.pop_first();
        }
        let elsewhere = self.elsewhere(conversation);
        let who = self.names.of(sender);
        let mut lines = Vec::new();
        if became.deleted && !before.deleted {
            lines.extend(notice(format!("{elsewhere}{who} deleted a message")));
        }
        if became.edited != before.edited
            && let Some(body) = body
        {
            let text = format!("{elsewhere}{who}: {} (edited)", clean(&String::from_utf8_lossy(body)));
            lines.push(if sender == self.names.me { Line::Notice(text) } else { Line::Said(text) });
        }
        if became.reactions != before.reactions && !became.deleted {
            let of = self.own.get(&message).filter(|_| sender == self.names.me);
            let which = of.map_or_else(|| format!("a message of {who}"), |(number, _)| format!("#{number}"));
            let named = |reaction: &Reaction| {
                let users: Vec<String> = reaction.users.iter().map(|user| self.names.of(*user)).collect();
                format!("{} {}", clean(&reaction.emoji), users.join(", "))
            };
            let reactions: Vec<String> = became.reactions.iter().map(named).collect();
            let what = if reactions.is_empty() { "no reactions".to_owned() } else { reactions.join("; ") };
            lines.extend(notice(format!("{elsewhere}{which}: {what}")));
        }
        lines
    }

    fn elsewhere(&self, conversation: ConversationId) -> String {
        if conversation == self.conversation { String::new() } else { format!("[{conversation}] ") }
    }

    fn paged(&mut self, items: &[Item], more: bool) -> Vec<Line> {
        let first = items.first().map(|item| item.place);
        self.earliest = self.earliest.into_iter().chain(first).min();
        let mut lines = notice(format!(
            "{} earlier messages{}",
            items.len(),
            if more { ", and there are more" } else { "" }
        ));
        lines.extend(items.iter().filter_map(|item| self.line(self.conversation, item, false)));
        lines
    }

    fn line(&self, conversation: ConversationId, item: &Item, marked: bool) -> Option<Line> {
        let sender = self.names.of(item.sender);
        let elsewhere = self.elsewhere(conversation);
        match &item.content {
            Content::Post { became, .. } if became.deleted => {
                Some(Line::Notice(format!("{elsewhere}{sender} deleted a message")))
            }
            Content::Post { body, became, .. } => {
                let mark = if marked { "* " } else { "" };
                let (times, said) = forward::read(body);
                let forwarded = if times > 0 { "(forwarded) " } else { "" };
                let text = clean(&String::from_utf8_lossy(&said));
                let edited = if became.edited.is_some() { " (edited)" } else { "" };
                let shown = |reaction: &Reaction| format!("  {}{}", clean(&reaction.emoji), reaction.count);
                let reactions: String = became.reactions.iter().map(shown).collect();
                Some(Line::Said(format!("{elsewhere}{sender}: {mark}{forwarded}{text}{edited}{reactions}")))
            }
            Content::Created { name, direct, .. } => {
                let what = if *direct { "opened".to_owned() } else { format!("began `{}` as", clean(name)) };
                Some(Line::Notice(format!("{sender} {what} {conversation}")))
            }
            Content::Added { user, .. } => {
                Some(Line::Notice(format!("{elsewhere}{sender} added {}", self.names.of(*user))))
            }
            Content::Left => Some(Line::Notice(format!("{elsewhere}{sender} left"))),
            Content::Removed { user } => {
                Some(Line::Notice(format!("{elsewhere}{sender} removed {}", self.names.of(*user))))
            }
            Content::Promoted { user } => {
                Some(Line::Notice(format!("{elsewhere}{sender} made {} an admin", self.names.of(*user))))
            }
            Content::Demoted { user } => {
                Some(Line::Notice(format!("{elsewhere}{sender} made {} no admin", self.names.of(*user))))
            }
            Content::Claimed => {
                Some(Line::Notice(format!("{elsewhere}{sender} is the admin now: there was none left")))
            }
            Content::Rights => None,
            Content::DocumentChanged { .. } => Some(Line::Notice(format!(
                "{elsewhere}{sender} changed what the conversation says of itself"
            ))),
            Content::Edited { .. } if marked => Some(Line::Notice(format!(
                "{elsewhere}* {sender} had seen something that has not come here yet, and changed a message"
            ))),
            // Told as what becomes of the message.
            Content::Edited { .. }
            | Content::Deleted { .. }
            | Content::Withheld { .. }
            | Content::Reacted { .. }
            | Content::Withdrawn { .. } => None,
        }
    }

    fn tick(&self, message: MessageId, what: &str) -> Vec<Line> {
        let number = self.own.get(&message).filter(|_| self.terminal).map(|(number, _)| *number);
        number.map_or_else(Vec::new, |number| notice(format!("  #{number} {what}")))
    }
}

fn notice(text: String) -> Vec<Line> {
    vec![Line::Notice(text)]
}

/// A text that cannot steer a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

fn capped(ms: u64) -> u32 {
    u32::try_from(ms).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crdt::{DeviceId, PlacementId, Timestamp};
    use expect_test::{Expect, expect};

    fn here() -> ConversationId {
        ConversationId::group(PlacementId(1), 7)
    }

    fn user(number: u64) -> UserId {
        UserId::new(PlacementId(1), number)
    }

    fn said(sender: u64, message: u128, body: &str) -> Item {
        let dot = format!("r1.0000000000000001:{message}").parse().unwrap();
        let body = body.to_owned().into();
        let became = Became::default();
        let content = Content::Post { body, sent_at_ms: 0, reply_to: None, seen: None, became };
        let place = Place::new(Timestamp(message as u64), dot);
        Item { sender: user(sender), message: MessageId(message), place, content }
    }

    fn check(events: &[Event], expected: Expect) {
        let mut names = Names::new(user(1));
        names.learn(user(2), "bob");
        let mut screen = Screen::new(here(), names, true);
        screen.sent(MessageId(1));
        let lines = events.iter().flat_map(|event| screen.show(event));
        let text: Vec<String> = lines
            .map(|line| match line {
                Line::Said(text) => format!("out| {text}\n"),
                Line::Notice(text) => format!("err| {text}\n"),
            })
            .collect();
        expected.assert_eq(&text.concat());
    }

    #[test]
    fn a_conversation_with_its_ticks_and_its_mark() {
        let conversation = here();
        let (message, device) = (MessageId(1), DeviceId(1));
        check(
            &[
                Event::SignedIn { placement: None, region: "eu-central".into() },
                Event::Acknowledged { conversation, command: message, place: None },
                Event::Shown { conversation, item: said(1, 1, "mine"), marked: false },
                Event::Delivered { conversation, message, user: user(2), device },
                Event::Shown { conversation, item: said(2, 2, "well"), marked: true },
                Event::MarkCleared { conversation, sender: user(2), message: MessageId(2) },
                Event::Read { conversation, message, user: user(2), device },
                Event::Stable { conversation, command: message },
                Event::SignedOut { placement: None, retry_in_ms: 1_250 },
            ],
            expect![[r#"
                err| connected to eu-central
                err|   #1 sent
                err|   #1 delivered to bob
                out| bob: * well
                err| what bob had seen before writing * has all come now
                err|   #1 read by bob
                err|   #1 everywhere
                err| not connected; next try in 1.2 s
            "#]],
        );
    }

    #[test]
    fn a_message_cannot_steer_the_terminal_and_one_from_elsewhere_says_where() {
        let elsewhere = ConversationId::group(PlacementId(1), 8);
        check(
            &[
                Event::Shown { conversation: here(), item: said(2, 2, "a\n\u{1b}[2Jb"), marked: false },
                Event::Shown { conversation: elsewhere, item: said(3, 3, "psst"), marked: false },
            ],
            expect![[r#"
                out| bob: a??[2Jb
                out| [c00010000000000000000000000000008] u0001000000000003: psst
            "#]],
        );
    }

    #[test]
    fn of_an_amended_message_what_is_new_is_said_once() {
        let conversation = here();
        let amended = |sender: u64, message: u128, body: Option<&str>, became: &Became| Event::Amended {
            conversation,
            sender: user(sender),
            message: MessageId(message),
            body: body.map(|body| body.to_owned().into()),
            became: became.clone(),
        };
        let reaction = |emoji: &str, users: &[u64]| {
            let users: Vec<UserId> = users.iter().copied().map(user).collect();
            Reaction { emoji: emoji.to_owned(), count: users.len(), users }
        };
        let edited = Became { edited: Some(said(2, 3, "").place), ..Became::default() };
        let liked = Became { reactions: vec![reaction("👍", &[1, 2])], ..edited.clone() };
        let gone = Became { deleted: true, ..Became::default() };
        check(
            &[
                Event::Shown { conversation, item: said(2, 2, "yes"), marked: false },
                amended(2, 2, Some("no\n"), &edited),
                amended(2, 2, Some("no\n"), &liked),
                amended(2, 2, Some("no\n"), &edited),
                amended(1, 1, None, &Became { edited: None, ..liked.clone() }),
                amended(2, 2, None, &gone),
            ],
            expect![[r#"
                out| bob: yes
                out| bob: no? (edited)
                err| a message of bob: 👍 you, bob
                err| a message of bob: no reactions
                err| #1: 👍 you, bob
                err| bob deleted a message
            "#]],
        );
    }

    #[test]
    fn a_refusal_names_the_message_and_the_way_out() {
        check(
            &[Event::Refused {
                conversation: Some(here()),
                command: Some(MessageId(1)),
                code: "unknown_conversation".into(),
                message: "there is no such conversation for you here: check the id".into(),
            }],
            expect![[r#"
                err| #1 refused (unknown_conversation): there is no such conversation for you here: check the id
            "#]],
        );
    }
}
