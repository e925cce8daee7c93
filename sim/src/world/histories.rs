//! The histories of a world's devices, in the format that a replay over real processes writes, so that whatever judges or measures the one reads the other.
//!
//! They are kept only if that is asked for: a long run's would fill the memory. What must always hold: a line stands in the order of happening, with the
//! world's own time; a message stands in its author's history before the client was told of it, so what stands above it had been shown.

use crate::history::{Event, FORMAT, Line, Own};
use crate::note_event::note_event;
use crate::world::World;
use crdt::{DeviceId, MessageId, UserId};
use gateway_client::{Act, Event as Said};
use std::collections::{BTreeMap, BTreeSet};

/// The histories.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    lines: BTreeMap<DeviceId, Vec<Line>>,
    posted: BTreeSet<MessageId>,
    /// What was done to messages: no lines.
    amendments: BTreeSet<(UserId, MessageId)>,
}

impl Histories {
    /// What each device wrote down.
    pub(crate) const fn lines(&self) -> &BTreeMap<DeviceId, Vec<Line>> {
        &self.lines
    }
}

impl World {
    /// From now on histories are kept; of devices that are added from now on they are whole.
    pub fn keep_histories(&mut self) {
        self.histories.get_or_insert_default();
    }

    /// The history of each device, if they are kept.
    #[must_use]
    pub fn histories(&self) -> Option<&BTreeMap<DeviceId, Vec<Line>>> {
        self.histories.as_ref().map(|histories| &histories.lines)
    }

    pub(crate) fn note_device(&mut self, id: DeviceId, home: &str) {
        let Some(user) = self.devices.get(&id).map(|device| device.user) else { return };
        let (format, home, name) = (FORMAT.to_owned(), home.to_owned(), id.to_string());
        self.note(id, Event::Began { format, user, device: id, home, name });
    }

    pub(crate) fn note_act(&mut self, id: DeviceId, act: &Act) {
        match act {
            Act::Send { conversation, message: Some(message), .. } => {
                if let Some(histories) = &mut self.histories {
                    histories.posted.insert(*message);
                }
                self.note(id, Event::Posted(Own { conversation: *conversation, message: *message }));
            }
            Act::Move { region } => self.note(id, Event::Roamed { region: region.region.clone() }),
            Act::Send { .. }
            | Act::Amend { .. }
            | Act::DeleteForMe { .. }
            | Act::CreateGroup { .. }
            | Act::OpenDirect { .. }
            | Act::MarkRead { .. }
            | Act::TellReads { .. }
            | Act::ChangeMembers { .. }
            | Act::EditDocument { .. }
            | Act::GetDocument { .. }
            | Act::Page { .. }
            | Act::List
            | Act::TakePart { .. }
            | Act::Renew { .. } => {}
        }
    }

    pub(crate) fn note_said(&mut self, id: DeviceId, said: &Said) {
        let Some(histories) = &mut self.histories else { return };
        if let Said::Shown { item, .. } = said
            && item.content.target().is_some()
        {
            histories.amendments.insert((item.sender, item.message));
        }
        if let Said::Moved { sender, message, .. } | Said::MarkCleared { sender, message, .. } = said
            && histories.amendments.contains(&(*sender, *message))
        {
            return;
        }
        let Some(event) = note_event(said.clone()) else { return };
        let mut is_of_a_post = true;
        if let Event::Acknowledged { message, .. } | Event::Stable(Own { message, .. }) = &event {
            is_of_a_post = histories.posted.contains(message);
        }
        if is_of_a_post {
            self.note(id, event);
        }
    }

    fn note(&mut self, id: DeviceId, event: Event) {
        let at_us = self.now;
        if let Some(histories) = &mut self.histories {
            histories.lines.entry(id).or_default().push(Line { at_us, event });
        }
    }
}
