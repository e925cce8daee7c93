//! `archipelago chat`: talk in a terminal. Open it twice, in two regions, and watch a conversation outlive the cable between them.
//!
//! What must always hold: what others say goes to stdout, one line a message; everything about connections goes to stderr. It
//! works without a terminal: lines of stdin are messages, and at their end it waits until all of them are acknowledged.
//! It signs its own tokens, so it needs the folder with the cluster's secret token key: it is for trying things out.

use crate::chat_screen::{Names, Screen};
use crate::cluster_folder::ClusterFolder;
use crate::failure::Failure;
use crate::token;
use bytes::Bytes;
use clap::Args;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use gateway_client_net::{
    Act, Address, Amend, ClientHandle, Config, DocumentEdit, Event, Events, MembersWish, NotForwarded,
    PageFrom, Settings, Stopped, Subprotocol, forward, trust,
};
use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the end of stdin waits for acknowledgements.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);
/// Lines that wait for the client; more wait in the pipe.
const LINES_WAITING_MAX: usize = 16;

const EXAMPLES: &str = "\
Examples:
  archipelago chat --cluster demo --region eu-central --as alice --to bob
  archipelago chat --cluster demo --region us-east --as bob --to alice
  archipelago chat --cluster demo --region us-east --as alice --group picnic --invite bob --invite carol
While talking: /edit /delete /delete-for-me /react /unreact /read /receipts /forward /members /add /remove /promote /demote /claim /leave /name /describe /pin /unpin /me /status /call /block /unblock /about /history /move REGION /help /quit";

/// Talk in a terminal
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct Chat {
    /// The cluster's folder or file
    #[arg(long)]
    cluster: PathBuf,
    /// The region to connect to
    #[arg(long)]
    region: String,
    /// Who you are: a name, from which a user id is made, or a user id
    #[arg(long = "as", value_name = "NAME|ID")]
    me: String,
    /// Whom to talk to: a name, a user id, or the id of a group you are in
    #[arg(long, value_name = "NAME|ID", required_unless_present = "group", conflicts_with = "group")]
    to: Option<String>,
    /// Begin a group of that name instead, and talk in it
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Who else is in the new group (repeatable)
    #[arg(long, value_name = "NAME|ID", requires = "group")]
    invite: Vec<String>,
    /// The placement to talk in; without it, the first one that the region is part of
    #[arg(long, value_name = "NAME")]
    placement: Option<String>,
    /// Which of your devices this is
    #[arg(long, default_value = "d0000000000000001")]
    device: DeviceId,
    /// Speak JSON instead of Protocol Buffers
    #[arg(long)]
    json: bool,
}

/// A conversation under way.
struct Talk {
    client: ClientHandle,
    folder: ClusterFolder,
    conversation: ConversationId,
    screen: Screen,
    typed: mpsc::Receiver<String>,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    Quit,
}

/// Talks until `/quit` or the end of stdin.
///
/// # Errors
/// When the cluster, the region, a name or an id is wrong; when messages are left that no region acknowledged.
async fn run(chat: Chat) -> Result<(), Failure> {
    let folder = ClusterFolder::open(&chat.cluster)?;
    let placement = chat.placement(&folder)?;
    let me = user(placement, &chat.me)?;
    let config = Config {
        user: me,
        device: chat.device,
        token: token::for_device(&folder, me, chat.device, 1)?,
        client: concat!("archipelago chat ", env!("CARGO_PKG_VERSION")).to_owned(),
        home: vec![address(&folder, &chat.region)?],
        placements: vec![placement],
    };
    let authority = folder.authorities();
    let pem = std::fs::read(&authority).map_err(Failure::read(&authority))?;
    let tls = trust(&pem).map_err(|error| Failure::File { path: authority, mistake: error.to_string() })?;
    let subprotocol = if chat.json { Subprotocol::Json } else { Subprotocol::Proto };
    let mut names = Names::new(me);
    for name in chat.to.iter().chain(&chat.invite) {
        if let Ok(user) = user(placement, name) {
            names.learn(user, name);
        }
    }
    let (conversation, opening) = chat.conversation(placement, me)?;
    let (client, events) = ClientHandle::connect(Settings { config, subprotocol, tls: Some(tls) });
    if let Some(opening) = opening {
        client.act(opening).await?;
    }
    let ticks = std::io::stdout().is_terminal();
    let screen = Screen::new(conversation, names, ticks);
    eprintln!("talking in {conversation}; /help says what else can be typed");
    let talk = Talk { client, folder, conversation, screen, typed: read_lines() };
    talk.run(events).await
}

impl Chat {
    /// Talks, on a runtime of its own.
    ///
    /// # Errors
    /// As [`run`].
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::Stopped(format!("the chat could not start: {error}")))?;
        runtime.block_on(run(self))
    }

    fn placement(&self, folder: &ClusterFolder) -> Result<PlacementId, Failure> {
        let region = folder.region(&self.region)?.id;
        let placements = || folder.cluster.placements.values();
        let found = match &self.placement {
            Some(name) => placements().find(|placement| placement.name == *name),
            None => placements().find(|placement| placement.regions.contains(&region)),
        };
        found.map(|placement| placement.id).ok_or_else(|| Failure::Unknown {
            kind: "placement",
            name: self.placement.clone().unwrap_or_else(|| format!("with region {}", self.region)),
            known: placements().map(|placement| placement.name.clone()).collect(),
        })
    }

    /// The conversation, and what opens it.
    fn conversation(
        &self,
        placement: PlacementId,
        me: UserId,
    ) -> Result<(ConversationId, Option<Act>), Failure> {
        if let Some(name) = &self.group {
            let conversation = ConversationId::group(placement, random_low());
            let members = self.invite.iter().map(|name| user(placement, name)).collect::<Result<_, _>>()?;
            let create = Act::CreateGroup { conversation, command: None, members, name: name.clone() };
            return Ok((conversation, Some(create)));
        }
        let to = self.to.as_deref().unwrap_or_default();
        if let Ok(conversation) = to.parse::<ConversationId>() {
            return Ok((conversation, None));
        }
        let peer = user(placement, to)?;
        Ok((ConversationId::direct(placement, me, peer), Some(Act::OpenDirect { placement, peer })))
    }
}

impl Talk {
    async fn run(mut self, mut events: Events) -> Result<(), Failure> {
        loop {
            tokio::select! {
                event = events.next() => {
                    let event = event.ok_or(Stopped)?;
                    self.show(&event).await?;
                }
                line = self.typed.recv() => match line {
                    Some(line) => {
                        if self.type_line(&line).await? == Next::Quit {
                            return self.finish(events, Duration::from_secs(1)).await;
                        }
                    }
                    None => return self.finish(events, ACKNOWLEDGED_WITHIN).await,
                },
            }
        }
    }

    async fn show(&mut self, event: &Event) -> Result<(), Failure> {
        for line in self.screen.show(event) {
            line.print();
        }
        // What is printed has been read; a person at a terminal says so with /read.
        let shown = matches!(event, Event::Shown { conversation, .. } if *conversation == self.conversation);
        if shown && !self.screen.is_terminal() {
            self.client.act(Act::MarkRead { conversation: self.conversation }).await?;
        }
        Ok(())
    }

    async fn type_line(&mut self, line: &str) -> Result<Next, Failure> {
        let conversation = self.conversation;
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "" => {}
            "/quit" => return Ok(Next::Quit),
            "/receipts" => match rest.trim() {
                "on" => self.client.act(Act::TellReads { told: true }).await?,
                "off" => self.client.act(Act::TellReads { told: false }).await?,
                _ => eprintln!("/receipts needs on or off"),
            },
            "/read" => self.client.act(Act::MarkRead { conversation }).await?,
            "/members" => self.client.act(Act::List).await?,
            "/history" => {
                let from = self.screen.earliest().map_or(PageFrom::Newest, PageFrom::Before);
                self.client.act(Act::Page { conversation, from, limit: 20 }).await?;
            }
            "/edit" | "/delete" | "/react" | "/unreact" => match amend(&self.screen, verb, rest.trim()) {
                Ok((target, what)) => {
                    self.client.act(Act::Amend { conversation, command: None, target, what }).await?;
                }
                Err(why) => eprintln!("{why}"),
            },
            "/delete-for-me" => match message_to_hide(&self.screen, rest.trim()) {
                Ok(target) => {
                    self.client.act(Act::DeleteForMe { conversation, command: None, target }).await?
                }
                Err(why) => eprintln!("{why}"),
            },
            "/forward" => self.forward(rest).await?,
            "/add" | "/remove" | "/promote" | "/demote" | "/claim" | "/leave" => {
                match self.change_members(verb, rest.trim()) {
                    Ok(wish) => self.client.act(Act::ChangeMembers { conversation, wish }).await?,
                    Err(failure) => eprintln!("{failure}"),
                }
            }
            "/about" => self.client.act(Act::GetDocument { conversation }).await?,
            "/name" | "/describe" | "/pin" | "/unpin" => match edit_document(&self.screen, verb, rest.trim())
            {
                Ok(edit) => {
                    self.client.act(Act::EditDocument { conversation, command: None, edit }).await?;
                }
                Err(why) => eprintln!("{why}"),
            },
            "/me" | "/status" | "/call" | "/block" | "/unblock" => {
                match account_edit(conversation, verb, rest.trim()) {
                    Ok(edit) => {
                        self.client.act(Act::EditDocument { conversation, command: None, edit }).await?;
                    }
                    Err(why) => eprintln!("{why}"),
                }
            }
            "/move" => match address(&self.folder, rest.trim()) {
                Ok(region) => self.client.act(Act::Move { region }).await?,
                Err(failure) => eprintln!("{failure}"),
            },
            "/help" => eprintln!(
                "/edit TEXT     change your latest message; /edit #2 TEXT: your second one\n\
                 /delete        delete it for everyone; /delete #2: your second one\n\
                 /delete-for-me take the others' latest message out of your own view; /delete-for-me #2: your second one\n\
                 /react EMOJI   react to the others' latest message; /unreact EMOJI takes it back\n\
                 /read          tell the others that you have read everything\n\
                 /receipts off  read without telling anybody, and without being told; /receipts on\n\
                 /forward NAME  say the others' latest message to somebody else, or to up to five\n\
                 /members       show who is in the group, and who of them are admins\n\
                 /add NAME      add a member; /remove NAME: remove one. Admins may\n\
                 /promote NAME  make a member an admin; /demote NAME takes that back\n\
                 /claim         become the admin of a group that has none left\n\
                 /leave         leave the group\n\
                 /name TEXT     call the conversation that; /describe TEXT: what it is about\n\
                 /pin           pin the others' latest message; /unpin takes it down\n\
                 /me NAME       in your account (--to yourself): the name that others are shown; /status TEXT\n\
                 /call NAME AS  in your account: what you call somebody; /block NAME, /unblock NAME\n\
                 /about         show name, description and what is pinned\n\
                 /history       show earlier messages\n\
                 /move NAME     go to another region, and take along what is not everywhere yet\n\
                 /quit          leave"
            ),
            _ if verb.starts_with('/') => eprintln!("there is no {verb}: /help says what there is"),
            _ => {
                let message = self.client.send(conversation, line.to_owned().into(), None).await?;
                self.screen.sent(message);
            }
        }
        Ok(Next::More)
    }

    /// Says the others' latest message again to these people, each in the conversation with them alone.
    async fn forward(&mut self, names: &str) -> Result<(), Failure> {
        let placement = self.conversation.placement();
        match self.to_forward(placement, names) {
            Ok((body, peers)) => {
                let me = self.screen.me();
                let chats = peers.values().map(|peer| ConversationId::direct(placement, me, *peer));
                let chats: Vec<ConversationId> = chats.collect();
                // Before any of them is opened.
                if let Err(refused) = forward::forwarded(&body, &chats) {
                    eprintln!("{}: {refused}", refused.code());
                    return Ok(());
                }
                for (name, peer) in peers {
                    self.screen.learn(peer, name);
                    self.client.act(Act::OpenDirect { placement, peer }).await?;
                }
                for message in self.client.forward(&body, &chats).await? {
                    self.screen.sent(message);
                }
            }
            Err(why) => eprintln!("{why}"),
        }
        Ok(())
    }

    /// What is to be forwarded to whom; or why not.
    fn to_forward<'a>(
        &self,
        placement: PlacementId,
        names: &'a str,
    ) -> Result<(Bytes, BTreeMap<&'a str, UserId>), String> {
        let peers = names.split_whitespace().map(|name| Ok((name, user(placement, name)?)));
        let peers: BTreeMap<&str, UserId> =
            peers.collect::<Result<_, Failure>>().map_err(|failure| failure.to_string())?;
        let body = self.screen.latest_body().filter(|_| !peers.is_empty());
        let body = body.ok_or("/forward needs a message of somebody else here, and names")?;
        Ok((body.clone(), peers))
    }

    /// How the members are to be changed.
    fn change_members(&mut self, verb: &str, name: &str) -> Result<MembersWish, Failure> {
        match verb {
            "/claim" => return Ok(MembersWish::Claim),
            "/leave" => return Ok(MembersWish::Leave),
            _ => {}
        }
        let who = user(self.conversation.placement(), name)?;
        self.screen.learn(who, name);
        Ok(match verb {
            "/add" => MembersWish::Add(who),
            "/remove" => MembersWish::Remove(who),
            "/promote" => MembersWish::Promote(who),
            _ => MembersWish::Demote(who),
        })
    }

    /// Waits until what was typed is acknowledged.
    async fn finish(mut self, mut events: Events, within: Duration) -> Result<(), Failure> {
        let acknowledged = async {
            while self.screen.unacknowledged() > 0 {
                let event = events.next().await.ok_or(Stopped)?;
                self.show(&event).await?;
            }
            Ok::<(), Failure>(())
        };
        let in_time = tokio::time::timeout(within, acknowledged).await;
        let left = self.screen.unacknowledged();
        in_time.unwrap_or_else(|_| {
            Err(Failure::Timeout(format!(
                "{left} messages were not acknowledged by any region and are lost: is region up? send them again"
            )))
        })
    }
}

const NONE_OF_YOURS: &str = "you have sent no such message from here";
const NONE_OF_THEIRS: &str = "nobody else has said anything here yet";

/// The number of one of the user's messages, if one is named, and what comes after it.
fn numbered(rest: &str) -> Result<(Option<u64>, &str), &'static str> {
    let Some(numbered) = rest.strip_prefix('#') else { return Ok((None, rest)) };
    let (number, text) = numbered.split_once(' ').unwrap_or((numbered, ""));
    let number = number.parse().map_err(|_| "after # comes the number of one of your messages")?;
    Ok((Some(number), text.trim()))
}

/// The message that is to go from the user's own view: one of theirs by its number, else the others' latest.
fn message_to_hide(screen: &Screen, rest: &str) -> Result<(UserId, MessageId), &'static str> {
    match numbered(rest)?.0 {
        None => screen.latest().ok_or(NONE_OF_THEIRS),
        number => screen.own(number).ok_or(NONE_OF_YOURS),
    }
}

/// What is to be done to which message.
fn amend(screen: &Screen, verb: &str, rest: &str) -> Result<((UserId, MessageId), Amend), &'static str> {
    let (number, text) = numbered(rest)?;
    let own = || screen.own(number).ok_or(NONE_OF_YOURS);
    let theirs = || screen.latest().ok_or(NONE_OF_THEIRS);
    match verb {
        "/edit" if text.is_empty() => Err("/edit needs the new text"),
        "/edit" => Ok((own()?, Amend::Edit(text.to_owned().into()))),
        "/delete" => Ok((own()?, Amend::Delete)),
        "/react" => Ok((theirs()?, Amend::React(text.to_owned()))),
        _ => Ok((theirs()?, Amend::Withdraw(text.to_owned()))),
    }
}

/// What the conversation is to say of itself.
fn edit_document(screen: &Screen, verb: &str, text: &str) -> Result<DocumentEdit, &'static str> {
    let latest = || screen.latest().ok_or(NONE_OF_THEIRS);
    match verb {
        "/name" => Ok(DocumentEdit::Name(text.to_owned())),
        "/describe" => Ok(DocumentEdit::Description(text.to_owned())),
        "/pin" => Ok(DocumentEdit::Pin(latest()?)),
        _ => Ok(DocumentEdit::Unpin(latest()?)),
    }
}

/// What the user's account is to say.
fn account_edit(conversation: ConversationId, verb: &str, text: &str) -> Result<DocumentEdit, String> {
    if conversation.account_of().is_none() {
        return Err(format!("{verb} changes your account: talk to yourself, --to NAME as --as NAME"));
    }
    let placement = conversation.placement();
    let of = |name: &str| user(placement, name).map_err(|failure| failure.to_string());
    Ok(match verb {
        "/me" => DocumentEdit::DisplayName(text.to_owned()),
        "/status" => DocumentEdit::Status(text.to_owned()),
        "/block" => DocumentEdit::Block(of(text)?),
        "/unblock" => DocumentEdit::Unblock(of(text)?),
        _ => {
            let (name, called) = text.split_once(' ').unwrap_or((text, ""));
            DocumentEdit::Contact { user: of(name)?, name: called.trim().to_owned() }
        }
    })
}

impl From<NotForwarded> for Failure {
    fn from(not: NotForwarded) -> Self {
        Self::Stopped(not.to_string())
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped.to_string())
    }
}

/// The user that a text names: an id, or a name from which one is made. The same name is the same user everywhere.
fn user(placement: PlacementId, text: &str) -> Result<UserId, Failure> {
    if let Ok(user) = text.parse() {
        return Ok(user);
    }
    let is_name = !text.is_empty() && text.len() <= 64 && text.chars().all(char::is_alphanumeric);
    if !is_name {
        return Err(Failure::Argument(format!(
            "`{text}` is neither a user id like u0001000000000001 nor a name of letters and digits"
        )));
    }
    // FNV-1a: stable, and good enough to tell the few names of a trial apart.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(UserId::new(placement, hash ^ (hash >> 48)))
}

fn address(folder: &ClusterFolder, region: &str) -> Result<Address, Failure> {
    let found = folder.region(region)?;
    Ok(Address { region: found.name.clone(), url: found.client.to_string() })
}

/// The random part of a group's id.
fn random_low() -> u128 {
    let mut bytes = [0; 16];
    // As in gateway-client-net: this does not fail on the platforms this builds for, and a taken id is refused by name.
    let _ = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut bytes);
    u128::from_be_bytes(bytes)
}

/// Reads stdin on a thread of its own, which ends with the process: a read of a terminal cannot be called off.
fn read_lines() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(LINES_WAITING_MAX);
    std::thread::spawn(move || {
        // A terminal that is gone shows nothing, and the next read ends this.
        let _ = std::io::stderr().flush();
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if typed.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_is_the_same_user_everywhere_and_an_id_is_itself() {
        let placement = PlacementId(3);
        assert_eq!(user(placement, "alice").unwrap(), user(placement, "alice").unwrap());
        assert_ne!(user(placement, "alice").unwrap(), user(placement, "bob").unwrap());
        assert_eq!(user(placement, "alice").unwrap().placement(), placement);
        assert_eq!(user(placement, "u0001000000000abc").unwrap().to_string(), "u0001000000000abc");
        for wrong in ["", "a b", "u0001", "bob!"] {
            // `u0001` is made of letters and digits, so it is a name.
            assert_eq!(user(placement, wrong).is_err(), wrong != "u0001", "{wrong}");
        }
    }
}
