//! The state of a bridge for people and golden tests: one line for the whole, one for each partition.
//!
//! What must always hold: it says numbers, regions and partitions, never a byte of what is carried, so it may be printed where residency forbids bodies;
//! it prints what the state is, not how it came to be.

use crate::bridge::{Bridge, Phase};
use crate::partition::{Flow, Partition};
use std::fmt;

impl fmt::Display for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Down if self.fenced => "fenced",
            Phase::Down => "down",
            Phase::Greeting => "greeting",
            Phase::Learning => "learning",
            Phase::Resuming => "resuming",
            Phase::Open => "open",
        };
        write!(f, "{}->{} {phase}", self.config.own, self.config.peer)?;
        write!(f, " in_flight={} pending={}", self.in_flight_bytes, self.pending_bytes)?;
        f.write_str(if self.paused { " paused" } else { "" })?;
        f.write_str(if self.clocks.apart { " clocks_apart" } else { "" })?;
        for (origin, _) in self.tardiness.iter().filter(|(_, tardiness)| tardiness.inline) {
            write!(f, " asks_inline={}", origin.region)?;
        }
        for origin in &self.inline {
            write!(f, " sends_inline={}", origin.region)?;
        }
        let asked = self.outbox.to_answer.len();
        if asked > 0 {
            write!(f, " to_answer={asked}")?;
        }
        for (id, partition) in &self.partitions {
            write!(f, "\n  {id} {partition}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outgoing, incoming) = (&self.outgoing, &self.incoming);
        write!(f, "out {}/{}", outgoing.sent.0, outgoing.end.0)?;
        if outgoing.read > outgoing.sent {
            write!(f, " held {}", outgoing.read.0 - outgoing.sent.0)?;
        }
        f.write_str(if outgoing.stopped { " stopped" } else { "" })?;
        if outgoing.feed_end.0 > 0 {
            write!(f, " feed {}/{}", outgoing.feed_sent.0, outgoing.feed_end.0)?;
        }
        write!(f, " in {}/{}", incoming.cursor.0, incoming.received.0)?;
        if incoming.feed.0 > 0 {
            write!(f, " feed {}", incoming.feed.0)?;
        }
        if let Some(blocked) = incoming.blocked {
            let asked = incoming.asked.contains_key(&blocked.origin);
            let how = if asked { "fetches" } else { "waits for" };
            write!(f, " {how} {}:{}", blocked.origin.region, blocked.last.0)?;
        }
        f.write_str(match incoming.flow {
            Flow::Taking => "",
            Flow::Dropped => " dropped",
            Flow::Rewinding => " rewinding",
            Flow::Stopped => " stopped",
        })
    }
}
