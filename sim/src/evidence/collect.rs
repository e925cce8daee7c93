//! Gathers a history, line by line.
//!
//! What it refuses: a history that does not begin with whose it is, one whose time falls by more than an application is late, one of a region nobody knows, and a second history of one
//! device. What it takes from events is exactly what the checks need; the rest of a history is for people.

use super::{
    ConversationEvidence, DeviceFacts, DeviceNumber, Evidence, Moment, RegionNumber, TickSeen, What,
};
use crate::history::{Author, Event, FORMAT, Line, Tick};
use crate::limits::APPLICATION_LATE_US_MAX;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use std::collections::BTreeMap;

/// A history that cannot be evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The first line does not say whose it is.
    #[error("the history does not begin with `began` in the format {FORMAT}")]
    NoBeginning,
    /// Time fell.
    #[error("time falls from {before_us} to {after_us} microseconds: the history is not of one clock")]
    TimeFalls {
        /// Of the line before.
        before_us: u64,
        /// Of this line.
        after_us: u64,
    },
    /// A region that does not take part.
    #[error("the history names the region {0}, which does not take part in the replay")]
    UnknownRegion(String),
    /// A second history of one device.
    #[error("there is a history of {0} already: a device has one")]
    SecondHistory(DeviceId),
}

/// Takes the lines of one device's history.
#[derive(Debug)]
pub struct HistoryCollector<'a> {
    evidence: &'a mut Evidence,
    device: DeviceNumber,
    user: UserId,
    last_us: u64,
    /// Where the device is connected: the home connection under none, others under their placement.
    connected: BTreeMap<Option<PlacementId>, RegionNumber>,
}

impl<'a> HistoryCollector<'a> {
    /// Begins with the history's first line.
    ///
    /// # Errors
    /// [`EvidenceError`] when it is not a first line, of a device not seen yet, at home in a known region.
    pub fn begin(evidence: &'a mut Evidence, line: &Line) -> Result<Self, EvidenceError> {
        let Event::Began { format, user, device, home, name } = &line.event else {
            return Err(EvidenceError::NoBeginning);
        };
        if format != FORMAT {
            return Err(EvidenceError::NoBeginning);
        }
        let home = evidence.region_named(home).ok_or_else(|| EvidenceError::UnknownRegion(home.clone()))?;
        if evidence.devices.iter().any(|known| known.device == *device) {
            return Err(EvidenceError::SecondHistory(*device));
        }
        let number = evidence.devices.len();
        let facts = DeviceFacts { user: *user, device: *device, home, name: name.clone() };
        evidence.devices.push(facts);
        Ok(Self { evidence, device: number, user: *user, last_us: line.at_us, connected: BTreeMap::new() })
    }

    /// Takes the next line.
    ///
    /// # Errors
    /// [`EvidenceError`] when time falls, it begins again, or it names an unknown region.
    pub fn take(&mut self, line: Line) -> Result<(), EvidenceError> {
        if line.at_us.saturating_add(APPLICATION_LATE_US_MAX) < self.last_us {
            return Err(EvidenceError::TimeFalls { before_us: self.last_us, after_us: line.at_us });
        }
        self.last_us = self.last_us.max(line.at_us);
        let at_us = line.at_us;
        match line.event {
            Event::Began { .. } => return Err(EvidenceError::NoBeginning),
            Event::SignedIn { region, placement } => {
                let unknown = || EvidenceError::UnknownRegion(region.clone());
                let number = self.evidence.region_named(&region).ok_or_else(unknown)?;
                self.connected.insert(placement, number);
            }
            Event::SignedOut { placement } => {
                self.connected.remove(&placement);
            }
            Event::Posted(own) => {
                self.note(at_us, own.conversation, self.user, own.message, What::Posted);
                let device = self.device;
                let facts = self.facts(own.conversation, self.user, own.message);
                facts.posted.get_or_insert((device, at_us));
            }
            Event::Acknowledged { conversation, message, place } => {
                let facts = self.facts(conversation, self.user, message);
                facts.dots.insert(place.dot);
                facts.acknowledged.get_or_insert((at_us, place));
            }
            Event::Shown { conversation, sender, message, place, marked } => {
                self.facts(conversation, sender, message).dots.insert(place.dot);
                self.note(at_us, conversation, sender, message, What::Shown { place, marked });
            }
            Event::Moved { conversation, sender, message, place } => {
                self.facts(conversation, sender, message).dots.insert(place.dot);
                self.note(at_us, conversation, sender, message, What::Moved(place));
            }
            Event::Repeated { conversation, sender, message, place } => {
                self.facts(conversation, sender, message).dots.insert(place.dot);
            }
            Event::MarkCleared(identity) => {
                self.note(at_us, identity.conversation, identity.sender, identity.message, What::MarkCleared);
            }
            Event::Delivered(tick) => self.tick(at_us, &tick, false),
            Event::Read(tick) => self.tick(at_us, &tick, true),
            Event::Created { conversation, members } => {
                self.conversation(conversation).first_members.extend(members);
            }
            Event::Added { conversation, user, since } => {
                let adds = self.conversation(conversation).added.entry(user).or_default();
                if !adds.contains(&since) {
                    adds.push(since);
                }
            }
            Event::Left { conversation, user } => {
                self.conversation(conversation).left.insert(user);
            }
            Event::Looks { conversation, sender, message, look } => {
                let device = self.device;
                let evidence = self.conversation(conversation);
                let number = evidence.number(sender, message);
                evidence.tracks.entry(device).or_default().looks.insert(number, look);
            }
            Event::Hidden(identity) => {
                let device = self.device;
                let evidence = self.conversation(identity.conversation);
                let number = evidence.number(identity.sender, identity.message);
                evidence.tracks.entry(device).or_default().hidden.insert(number);
            }
            Event::Governed { conversation, admins } => {
                let device = self.device;
                let track = self.conversation(conversation).tracks.entry(device).or_default();
                track.admins = Some(admins.into_iter().collect());
            }
            Event::Displayed { conversation, messages } => self.display(conversation, &messages),
            Event::Refused { message, .. } => self.refused(message),
            Event::Roamed { .. } | Event::Stable(_) => {}
        }
        Ok(())
    }

    fn conversation(&mut self, conversation: ConversationId) -> &mut ConversationEvidence {
        self.evidence.conversations.entry(conversation).or_default()
    }

    fn facts(
        &mut self,
        conversation: ConversationId,
        sender: UserId,
        message: MessageId,
    ) -> &mut super::MessageFacts {
        let conversation = self.conversation(conversation);
        let number = conversation.number(sender, message);
        // `number` has just given out this index.
        &mut conversation.messages[number as usize]
    }

    fn note(
        &mut self,
        at_us: u64,
        conversation: ConversationId,
        sender: UserId,
        message: MessageId,
        what: What,
    ) {
        let own = self.connected.get(&Some(conversation.placement()));
        let region = own.or_else(|| self.connected.get(&None)).copied();
        let device = self.device;
        let evidence = self.conversation(conversation);
        let message = evidence.number(sender, message);
        evidence.tracks.entry(device).or_default().moments.push(Moment { at_us, region, message, what });
    }

    /// A command was refused; if it was a message, it was not posted.
    fn refused(&mut self, message: Option<MessageId>) {
        for evidence in self.evidence.conversations.values_mut() {
            let Some(track) = evidence.tracks.get_mut(&self.device) else { continue };
            for moment in track.moments.iter_mut().filter(|moment| moment.what == What::Posted) {
                let facts = &mut evidence.messages[moment.message as usize];
                if Some(facts.message) == message {
                    (moment.what, facts.refused) = (What::Refused, true);
                }
            }
        }
    }

    fn tick(&mut self, at_us: u64, tick: &Tick, read: bool) {
        let (user, seen_by) = (self.user, self.device);
        let evidence = self.conversation(tick.conversation);
        let message = evidence.number(user, tick.message);
        evidence.ticks.push(TickSeen { at_us, seen_by, message, device: tick.device, read });
    }

    fn display(&mut self, conversation: ConversationId, messages: &[Author]) {
        let device = self.device;
        let evidence = self.conversation(conversation);
        let numbers: Vec<_> =
            messages.iter().map(|author| evidence.number(author.sender, author.message)).collect();
        let looks = numbers.iter().zip(messages).filter_map(|(number, of)| Some((*number, of.look.clone()?)));
        let looks = looks.collect();
        let track = evidence.tracks.entry(device).or_default();
        (track.displayed, track.displayed_looks) = (Some(numbers), looks);
    }
}
