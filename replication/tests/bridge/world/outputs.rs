//! What bridges want done, as their driver does it: frames go on the link, what is delivered into the region's mail, and what a scenario looks at into the trace.
//!
//! What must always hold: each output is carried out at once and in order, and nothing is decided here.

use super::shard::Mail;
use super::{Event, World, pair};
use crdt::{Now, RegionId};
use replication::{Delivery, Input, Output, Timer};

impl World {
    pub(super) fn carry_out(&mut self, at: RegionId, peer: RegionId, output: Output) {
        match output {
            Output::Dial => self.dial(at, peer),
            Output::Send(bytes) => self.send(at, peer, bytes),
            Output::Opened { .. } => self.tell_others(at, peer, true),
            Output::Deliver(delivery) => self.deliver(at, peer, delivery),
            Output::SetTimer { timer, at: when } => {
                let life = self.regions[&at].life;
                let when = Now(when.0 - self.regions[&at].clock_ahead_ms * 1_000);
                let input = Input::Timer(timer);
                self.schedule(when, Event::Input { at, peer, life, connection: None, input });
                if timer == Timer::Patience {
                    self.note(format!("{at}<{peer} waits {} ms", (when.0 - self.now.0) / 1_000));
                }
            }
            Output::Close(reason) => {
                self.note(format!("{at}|{peer} closes {}: {reason}", reason.code()));
                self.drop_connection(at, peer, Some(reason.code()));
                self.tell_others(at, peer, false);
            }
            Output::Alarm(alarm) => self.note(format!("{at} alarm: {alarm}")),
            Output::Fenced(reason) => {
                self.note(format!("{at} FENCED: {reason}"));
                self.regions.get_mut(&at).unwrap().fenced = true;
            }
            Output::PauseReading => {
                self.note(format!("{at}<{peer} pauses"));
                self.regions.get_mut(&at).unwrap().paused.entry(peer).or_default().0 = true;
            }
            Output::ResumeReading => {
                self.note(format!("{at}<{peer} reads on"));
                self.regions.get_mut(&at).unwrap().paused.entry(peer).or_default().0 = false;
                let connection = self.links[&pair(at, peer)].connection;
                self.schedule(self.now, Event::ReadOn { at, peer, connection });
            }
        }
    }

    /// What a bridge delivers goes into its region's mail.
    fn deliver(&mut self, at: RegionId, peer: RegionId, delivery: Delivery) {
        match delivery {
            Delivery::PeerStarted { peer: replica, start, .. } => {
                self.mail(at, Mail::Started(replica, start));
            }
            Delivery::PeerCaughtUp { placement, .. } => {
                self.note(format!("{at}<{peer} has sent all of {placement} that it held"));
            }
            Delivery::Epochs { statements, .. } => {
                let numbers: Vec<u64> = statements.iter().map(|statement| statement.number.0).collect();
                self.note(format!("{at}<{peer} tells of epochs {numbers:?}"));
                self.mail(at, Mail::Epochs(statements));
            }
            Delivery::Entries { peer: replica, partition, commits, cursor, bytes } => {
                let texts: Vec<String> = commits
                    .iter()
                    .map(|commit| format!("{}:{}-{}", commit.origin.region, commit.first.0, commit.last().0))
                    .collect();
                let cursor_text = cursor.map_or("none".into(), |cursor| cursor.0.to_string());
                self.note(format!(
                    "{at}<{peer} delivers {partition} [{}] cursor {cursor_text}",
                    texts.join(" ")
                ));
                self.mail(at, Mail::Entries(peer, replica, partition, commits, cursor, bytes));
            }
            Delivery::Registers { peer: replica, partition, registers, cursor, bytes, .. } => {
                self.mail(at, Mail::Registers(peer, replica, partition, registers, cursor, bytes));
            }
        }
    }

    fn note(&mut self, line: String) {
        self.trace.push(line);
    }

    pub(super) fn tell_others(&mut self, at: RegionId, region: RegionId, up: bool) {
        let others: Vec<RegionId> = self.regions[&at].bridges.keys().copied().collect();
        for other in others.into_iter().filter(|other| *other != region) {
            self.step(at, other, Input::PeerBridge { region, up });
        }
    }
}
