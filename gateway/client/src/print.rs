//! Prints a client's state for people and golden tests: one line a fact, in a fixed order.
//!
//! What must always hold: the same state prints the same text; tokens and bodies are never printed.

use crate::client::Client;
use crate::line::{LineKey, LineState};
use std::fmt;

impl fmt::Display for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Home => f.write_str("home"),
            Self::Placement(placement) => write!(f, "{placement}"),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {}", self.config.user, self.config.device)?;
        for (key, line) in &self.lines {
            let state = match line.state {
                LineState::Waiting => "waiting",
                LineState::Connecting => "connecting",
                LineState::Greeting => "greeting",
                LineState::Live => "live",
            };
            let region = line.region.as_deref().unwrap_or("no region yet");
            let (failures, commands) = (line.failures, line.commands.len());
            writeln!(f, "line {key}: {state}, {region}, {failures} failures, {commands} in flight")?;
        }
        for (id, conversation) in &self.conversations {
            let live = if conversation.live { "live" } else { "catching up" };
            let given = conversation.given.cut();
            writeln!(f, "{id}: {live}, given {given}, {} shown", conversation.identities.len())?;
            for (sender, message) in conversation.given.marked() {
                writeln!(f, "  marked {message} of {sender}")?;
            }
        }
        for (number, entry, waits) in self.outbox.iter() {
            let state = if waits { "to send" } else { "answered" };
            write!(f, "outbox {number}: {} in {}, {state}", entry.id, entry.conversation)?;
            entry.dots.iter().try_for_each(|dot| write!(f, " {dot}"))?;
            writeln!(f)?;
        }
        for (at, timer) in self.timers.iter() {
            writeln!(f, "timer {timer:?} at {}", at.0)?;
        }
        Ok(())
    }
}
