//! What people did in a real conversation, as the acts of a script.
//!
//! Everybody who speaks in the log is a user, and all are in one group from the start; each line that was said is written at its minute, scaled to the
//! length of the run, with its text. A line that answers another answers something that its author's device was shown lately: which, is chance.
//!
//! What must always hold: lines keep their order; a person keeps their number under every name that they took.

use super::{Act, Conversation, Device, What};
use crate::conversation_log::{ConversationLog, Event};
use std::collections::BTreeMap;

/// Everybody who speaks, by the name under which they did first; and who each name is, line by line, comes to the same numbers.
pub(super) fn speakers(log: &ConversationLog) -> Vec<String> {
    let mut names = Names::default();
    for entry in &log.entries {
        names.number(&entry.nick, &entry.event);
    }
    names.first
}

/// The one group. Somebody who is pinned keeps it from being everywhere: it is pinned, if anybody is.
pub(super) fn channel(users: &[(u64, bool)]) -> Conversation {
    let pinned = users.iter().any(|(_, pinned)| *pinned);
    let members = users.iter().map(|(user, _)| *user).filter(|user| *user != 1).collect();
    Conversation { number: 1, pinned, creator: 1, members, direct: false }
}

/// What they say.
pub(super) fn acts_of_log(log: &ConversationLog, devices: &[Device], (from, until): (u64, u64)) -> Vec<Act> {
    let minutes = log.entries.last().map_or(0, |entry| u64::from(entry.minute)) + 1;
    let mut names = Names::default();
    let mut acts = Vec::new();
    let mut in_minute: BTreeMap<u32, u64> = BTreeMap::new();
    for entry in &log.entries {
        *in_minute.entry(entry.minute).or_default() += 1;
    }
    let mut before = (0, 0);
    for (line, entry) in log.entries.iter().enumerate() {
        before = if before.0 == entry.minute { (entry.minute, before.1 + 1) } else { (entry.minute, 0) };
        let user = names.number(&entry.nick, &entry.event);
        let Some((text, user)) = entry.event.text().zip(user) else { continue };
        let Some(device) = devices.iter().find(|device| device.user == user) else { continue };
        // Lines of one minute are spread over it.
        let parts = in_minute.get(&entry.minute).copied().unwrap_or(1);
        let minute_us = (until - from) / minutes;
        let at_us = from + minute_us * u64::from(entry.minute) + minute_us * before.1 / parts;
        let (reply, text) = (log.answers.contains_key(&line), Some(text.to_owned()));
        let what = What::Write { conversation: 1, count: 1, bytes: 0, reply, text };
        acts.push(Act { at_us, device: device.number, salt: u32::try_from(line).unwrap_or(u32::MAX), what });
    }
    acts
}

/// Who has which number.
#[derive(Default)]
struct Names {
    numbers: BTreeMap<String, u64>,
    first: Vec<String>,
}

impl Names {
    /// The number of who says a line, if they say anything; from 1, in the order in which people speak first.
    fn number(&mut self, nick: &str, event: &Event) -> Option<u64> {
        if let Event::Renamed(name) = event {
            if let Some(number) = self.numbers.get(nick).copied() {
                self.numbers.insert(name.clone(), number);
            }
            return None;
        }
        event.text()?;
        if let Some(number) = self.numbers.get(nick) {
            return Some(*number);
        }
        self.first.push(nick.to_owned());
        let number = self.first.len() as u64;
        self.numbers.insert(nick.to_owned(), number);
        Some(number)
    }
}
