//! Happened-before, as clients' histories alone show it: what a device had been shown or had posted when it posted something.
//!
//! In the manner of Elle (Kingsbury and Alvaro, VLDB 2020): order is inferred from what clients saw, and an anomaly is a circle in it, or an observation that
//! contradicts it. Here every message has a name of its own and conversations only grow, so the order need not be searched for: it is read off, and each
//! question is one walk over what happened.
//!
//! ```text
//!   device a:  shown x ─▶ posts y ─▶ …        device b:  … ─▶ shown y ─▶ posts z        x, y before z
//! ```
//! What must always hold: what a device had seen counts whole, and what was before that too; but what was shown with the mark counts alone, since its author had
//! seen what this device had not, and so does everything shown to who is not shown the conversation's beginning. Cost: twelve bytes a moment; one
//! [`HappenedBefore::latest`] takes a conversation's moments in time, and it is asked once or twice a device.

use crate::evidence::{ConversationEvidence, DeviceFacts, DeviceNumber, MessageNumber, Owed, Track, What};
use crdt::Cut;
use std::collections::BTreeMap;

/// A moment that orders something.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// The place of its device among the conversation's tracks.
    track: u32,
    message: MessageNumber,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Posted,
    /// Shown; what is before it counts too.
    Whole,
    /// Shown; it counts alone.
    Alone,
}

/// The order.
#[derive(Debug)]
pub(super) struct HappenedBefore {
    messages: usize,
    tracks: usize,
    /// Each message is posted, if anybody did, before it is shown.
    steps: Vec<Step>,
    /// Messages that cannot be put into such an order.
    circle: Vec<MessageNumber>,
}

/// A walk along one track.
struct Walk<'a> {
    device: DeviceNumber,
    track: &'a Track,
    sees_all: bool,
    next: usize,
}

impl HappenedBefore {
    /// Reads it off a conversation's tracks.
    pub(super) fn of(conversation: &ConversationEvidence, devices: &[DeviceFacts]) -> Self {
        let walk = |(device, track): (&DeviceNumber, _)| {
            // Tracks are of devices that have a history.
            let owed = conversation.owed_to(devices[*device].user);
            Walk { device: *device, track, sees_all: owed == Owed::AllBut(Cut::new()), next: 0 }
        };
        let mut walks: Vec<Walk<'_>> = conversation.tracks.iter().map(walk).collect();
        let messages = conversation.messages.len();
        let mut order = Self { messages, tracks: walks.len(), steps: Vec::new(), circle: Vec::new() };
        // What nobody's history posts is there from the start.
        let mut is_posted: Vec<bool> =
            conversation.messages.iter().map(|facts| facts.posted.is_none() || facts.refused).collect();
        let mut waiting: BTreeMap<MessageNumber, Vec<usize>> = BTreeMap::new();
        let mut ready: Vec<usize> = (0..walks.len()).rev().collect();
        while let Some(number) = ready.pop() {
            while let Some((message, kind)) = walks[number].at(conversation) {
                if kind == Kind::Posted {
                    is_posted[message as usize] = true;
                    ready.extend(waiting.remove(&message).into_iter().flatten());
                } else if !is_posted[message as usize] {
                    waiting.entry(message).or_default().push(number);
                    break;
                }
                // A conversation has fewer than four thousand million devices.
                order.steps.push(Step { track: number as u32, message, kind });
                walks[number].next += 1;
            }
        }
        order.circle = waiting.into_keys().collect();
        order
    }

    /// Messages that were shown to somebody who only then posted what their author had been shown: they come before themselves.
    pub(super) fn circle(&self) -> &[MessageNumber] {
        &self.circle
    }

    /// For each message the latest of what comes before it, when `at` says of each message when it came; 0 is never.
    pub(super) fn latest(&self, at: &[u32]) -> Vec<u32> {
        let mut latest = vec![0; self.messages];
        let mut seen = vec![0; self.tracks];
        for Step { track, message, kind } in &self.steps {
            let (track, message) = (*track as usize, *message as usize);
            // Messages and tracks are numbered from 0 without a gap.
            if *kind == Kind::Posted {
                latest[message] = seen[track];
            }
            let before = if *kind == Kind::Alone { 0 } else { latest[message] };
            seen[track] = seen[track].max(at[message]).max(before);
        }
        latest
    }

    /// Something before that message that came so late.
    pub(super) fn culprit(&self, of: MessageNumber, at: &[u32], late: u32) -> Option<MessageNumber> {
        let number = |(message, came): (u32, &u32)| if *came == late { message + 1 } else { 0 };
        let numbers: Vec<u32> = (0..).zip(at).map(number).collect();
        self.latest(&numbers)[of as usize].checked_sub(1)
    }
}

impl Walk<'_> {
    /// The next moment that orders something.
    fn at(&mut self, conversation: &ConversationEvidence) -> Option<(MessageNumber, Kind)> {
        while let Some(moment) = self.track.moments.get(self.next) {
            let posted = conversation.message(moment.message).posted;
            match moment.what {
                What::Posted if posted.is_some_and(|(by, _)| by == self.device) => {
                    return Some((moment.message, Kind::Posted));
                }
                What::Shown { marked, .. } => {
                    let whole = self.sees_all && !marked;
                    return Some((moment.message, if whole { Kind::Whole } else { Kind::Alone }));
                }
                What::Posted | What::Moved(_) | What::MarkCleared | What::Refused => self.next += 1,
            }
        }
        None
    }
}
