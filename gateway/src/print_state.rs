//! A session as people and golden tests read it: one line a fact, nothing that differs from run to run.
//!
//! What must always hold: equal sessions print equal text. Tokens, keys and bodies are never printed.

use crate::output::Output;
use crate::query::Query;
use crate::session::Session;
use crate::stream::Progress;
use crdt::Cut;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ServerFrame};
use region::command::{Command, DocumentWish, MembersWish, Wish};
use std::fmt;

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.opening.identity {
            Some(identity) => write!(f, "{} on {}", identity.user, identity.device)?,
            None => f.write_str("not welcomed")?,
        }
        if self.closed {
            f.write_str(", closed")?;
        }
        writeln!(
            f,
            "\nunder way {} · unsent {} B · unacknowledged {} · behind {} · ticks of {}",
            self.asked.outstanding(),
            self.unsent_bytes,
            self.delivery.unacknowledged.len(),
            self.delivery.behind.len(),
            self.ticks.watched(),
        )?;
        for (conversation, stream) in &self.delivery.streams {
            let progress = match stream.progress {
                Progress::Waiting => "waiting",
                Progress::CatchingUp => "catching up",
                Progress::Live => "live",
            };
            writeln!(f, "{conversation}: {progress} after {}, given {}", stream.after.0, stream.cut)?;
        }
        Ok(())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(frame) => write!(f, "send {}", describe(frame)),
            Self::Deliver(delivery) => write!(f, "send shared {}", describe(delivery.frame())),
            Self::Authenticate(token) => write!(f, "authenticate a token of {} bytes", token.len()),
            Self::Submit { ticket, placement, command, .. } => {
                write!(f, "submit {} to {placement}: {}", ticket.0, describe_command(command))
            }
            Self::Query { id, query } => write!(f, "query {}: {}", id.0, describe_query(query)),
            Self::Subscribe { conversation, on } => {
                write!(f, "{} {conversation}", if *on { "subscribe" } else { "unsubscribe" })
            }
            Self::WatchTicks { conversation, on } => {
                write!(f, "{} ticks of {conversation}", if *on { "watch" } else { "unwatch" })
            }
            Self::WatchUser(user) => write!(f, "watch {user}"),
            Self::SetTimer(at) => write!(f, "timer at {} ms", at.ms()),
            Self::Close(code) => write!(f, "close {code}"),
        }
    }
}

fn describe_command(command: &Command) -> String {
    let cut = |cut: &Option<Cut>| cut.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    match command {
        Command::CreateGroup { conversation, members, .. } => {
            format!("create {conversation} with {} members", members.len())
        }
        Command::OpenDirect { peer, .. } => format!("open direct with {peer}"),
        Command::ChangeMembers { conversation, wish, .. } => match wish {
            MembersWish::Add(user) => format!("add {user} to {conversation}"),
            MembersWish::Remove(user) => format!("remove {user} from {conversation}"),
            MembersWish::Leave => format!("leave {conversation}"),
            MembersWish::Promote(user) => format!("promote {user} in {conversation}"),
            MembersWish::Demote(user) => format!("demote {user} in {conversation}"),
            MembersWish::Claim => format!("claim {conversation}"),
        },
        Command::Post { conversation, body, seen, taken_before, .. } => {
            let seen = cut(&seen.as_ref().map(|seen| seen.cut.clone()));
            let taken_before = if *taken_before { ", taken before" } else { "" };
            format!("post {} bytes in {conversation}, having seen {seen}{taken_before}", body.len())
        }
        Command::Amend { conversation, target, wish, .. } => {
            let what = match wish {
                Wish::Edit(body) => format!("edit into {} bytes", body.len()),
                Wish::Delete => "delete".to_owned(),
                Wish::React(emoji) => format!("react {emoji}"),
                Wish::Withdraw(emoji) => format!("withdraw {emoji}"),
            };
            format!("{what}: {} of {} in {conversation}", target.message, target.sender)
        }
        Command::ChangeDocument { conversation, wish, .. } => match wish {
            DocumentWish::Edit(edits) => format!("{} edits of the document of {conversation}", edits.len()),
            DocumentWish::Change(bytes) => {
                format!("a change of {} bytes of the document of {conversation}", bytes.len())
            }
        },
        Command::Receipt { delivered, read, .. } => {
            format!("receipt delivered {} read {}", cut(delivered), cut(read))
        }
        Command::Hide { conversation, message } => {
            format!("hide {} of {} in {conversation}", message.message, message.sender)
        }
        Command::ReadQuietly { read, .. } => format!("receipt, quietly read {read}"),
    }
}

fn describe_query(query: &Query) -> String {
    match query {
        Query::List { placement, limit, .. } => format!("list {limit} of {placement}"),
        Query::Memberships { placement, .. } => format!("memberships in {placement}"),
        Query::Changes { conversation, standing, .. } => {
            format!("changes of {conversation} after {}, given {}", standing.after.0, standing.cut)
        }
        Query::Page { conversation, limit, .. } => format!("page of {limit} of {conversation}"),
        Query::Stable { conversation } => format!("what is stable of {conversation}"),
        Query::Document { conversation, .. } => format!("document of {conversation}"),
        Query::Receipts { conversation, .. } => format!("receipts of {conversation}"),
    }
}

fn describe(frame: &ServerFrame) -> String {
    let text = match &frame.frame {
        Some(Frame::Welcome(welcome)) => format!("Welcome {} to {}", welcome.user, welcome.region),
        Some(Frame::Pong(_)) => "Pong".to_owned(),
        Some(Frame::Done(done)) => format!("Done {} {}", done.command, done.dot),
        Some(Frame::Conversations(list)) => format!("Conversations {}", list.conversations.len()),
        Some(Frame::Messages(page)) => format!("Messages {} more {}", items(&page.items), page.more),
        Some(Frame::Deliver(deliver)) => format!("Deliver {}", items(&deliver.items)),
        Some(Frame::CaughtUp(caught_up)) => match &caught_up.expired {
            None => "CaughtUp".to_owned(),
            expired => format!("CaughtUp, expired {}", cut(expired.as_ref())),
        },
        Some(Frame::Document(document)) => describe_document(document),
        Some(Frame::Receipts(receipts)) => format!("Receipts {}", receipts_of(&receipts.receipts)),
        Some(Frame::Stable(stable)) => format!("Stable {}", cut(stable.cut.as_ref())),
        Some(Frame::Behind(behind)) => format!("Behind {:?}", behind.conversations),
        Some(Frame::Redirect(redirect)) => format!("Redirect to {}", redirect.region),
        Some(Frame::Error(error)) => format!("Error {}: {}", error.code, error.message),
        Some(Frame::DeletedForMe(hidden)) => {
            let messages: Vec<&str> = hidden.messages.iter().map(|of| of.message.as_str()).collect();
            format!("DeletedForMe {}", messages.join(" "))
        }
        Some(Frame::Membership(change)) => format!("Membership {}", change.member),
        None => "nothing".to_owned(),
    };
    if frame.request == 0 { text } else { format!("#{} {text}", frame.request) }
}

fn describe_document(document: &v1::Document) -> String {
    let v1::Document { conversation, name, icon, description, actor, automerge, more, .. } = document;
    let pinned: Vec<_> = document.pinned.iter().map(|message| message.message.as_str()).collect();
    let of = |texts: &[v1::Setting]| -> Vec<String> {
        texts.iter().map(|text| format!("{}={}", text.name, text.value)).collect()
    };
    let settings = of(&document.settings);
    let v1::Document { display_name, status, contacts, labels, blocked, .. } = document;
    let is_bare = display_name.is_empty() && status.is_empty();
    let account = if is_bare && contacts.is_empty() && labels.is_empty() && blocked.is_empty() {
        String::new()
    } else {
        let (contacts, labels) = (of(contacts), of(labels));
        format!(
            ", of {display_name:?}, {status:?}, who calls {contacts:?}, labels {labels:?}, blocks {blocked:?}"
        )
    };
    format!(
        "Document of {conversation} named {name:?}, icon {icon:?}, described {description:?}, pinned {pinned:?}, set {settings:?}{account}, for actor {actor}: {} bytes more {more}",
        automerge.len()
    )
}

fn items(items: &[v1::Item]) -> String {
    let texts: Vec<&str> = items.iter().map(|item| item.dot.as_str()).collect();
    format!("[{}]", texts.join(" "))
}

fn cut(cut: Option<&v1::Cut>) -> String {
    cut.map_or_else(String::new, |cut| format!("{{{}}}", cut.dots.join(" ")))
}

fn receipts_of(receipts: &[v1::Receipt]) -> String {
    let one = |receipt: &v1::Receipt| {
        let (delivered, read) = (cut(receipt.delivered.as_ref()), cut(receipt.read.as_ref()));
        format!("{} delivered {delivered} read {read}", receipt.device)
    };
    receipts.iter().map(one).collect::<Vec<_>>().join(", ")
}
