//! Causal consistency, from what clients saw alone: nobody is shown a message before anything that happened before it, through however many hands.
//!
//! Stronger than `before_its_cause.rs`, which asks what an author itself had seen: here x comes before z if y's author had seen x and z's author had seen y. Looked
//! at: the order in which each device was shown messages, the order in which its screen stands at the end, and happened-before itself, which has
//! no circle.
//!
//! What it does not catch: causes that a device was never owed; causes through a message that was shown with the mark, or through somebody who is not shown
//! the conversation's beginning, beyond that message; what people told each other elsewhere.

use super::Findings;
use super::happened_before::HappenedBefore;
use crate::evidence::{ConversationEvidence, DeviceNumber, Evidence, MessageNumber, Owed, Track, What};
use crdt::ConversationId;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        let order = HappenedBefore::of(conversation, &evidence.devices);
        findings.looked_at(conversation.messages.len() as u64);
        for message in order.circle() {
            let facts = conversation.message(*message);
            let device = facts.posted.map_or(0, |(device, _)| device);
            findings.on_device(evidence, *id, facts, device, || {
                "it happened before something that happened before it".to_owned()
            });
        }
        for (device, track) in &conversation.tracks {
            // Tracks are of devices that have a history.
            let owed = conversation.owed_to(evidence.devices[*device].user);
            if owed != Owed::Nothing {
                let look = Look { evidence, id: *id, conversation, order: &order, device: *device, owed };
                look.at_showing(track, findings);
                look.at_screen(track, findings);
            }
        }
    }
}

/// One device's look at a conversation.
struct Look<'a> {
    evidence: &'a Evidence,
    id: ConversationId,
    conversation: &'a ConversationEvidence,
    order: &'a HappenedBefore,
    device: DeviceNumber,
    owed: Owed,
}

impl Look<'_> {
    /// Whether that message must come to this device.
    fn counts(&self, message: usize) -> bool {
        let facts = &self.conversation.messages[message];
        facts.acknowledged.is_some() && self.owed.includes(facts)
    }

    fn at_showing(&self, track: &Track, findings: &mut Findings) {
        let messages = self.conversation.messages.len();
        let first = track.first_shown(messages);
        // What never came, though it must, came after everything.
        let came = |message: usize| match first[message] {
            _ if !self.counts(message) => 0,
            Some(at) => at + 1,
            None => u32::MAX,
        };
        let came: Vec<u32> = (0..messages).map(came).collect();
        let latest = self.order.latest(&came);
        for message in 0..messages {
            let Some(at) = first[message] else { continue };
            findings.looked_at(1);
            let marked = matches!(track.moments[at as usize].what, What::Shown { marked: true, .. });
            if !marked && latest[message] > at {
                self.breach(findings, message, &came, latest[message], "was shown");
            }
        }
    }

    fn at_screen(&self, track: &Track, findings: &mut Findings) {
        let Some(displayed) = &track.displayed else { return };
        let mut stands = vec![0; self.conversation.messages.len()];
        for (row, message) in (1..).zip(displayed) {
            stands[*message as usize] = row;
        }
        let latest = self.order.latest(&stands);
        for message in displayed {
            findings.looked_at(1);
            let message = *message as usize;
            if latest[message] > stands[message] {
                self.breach(findings, message, &stands, latest[message], "stands on the screen");
            }
        }
    }

    fn breach(&self, findings: &mut Findings, message: usize, at: &[u32], late: u32, does: &str) {
        // Messages are numbered by 32 bits.
        let number = message as MessageNumber;
        let culprit = self.order.culprit(number, at, late);
        let facts = self.conversation.message(number);
        findings.on_device(self.evidence, self.id, facts, self.device, || {
            let cause = culprit.map(|culprit| self.conversation.message(culprit));
            let name =
                cause.map_or_else(String::new, |cause| format!("{} of {}", cause.message, cause.sender));
            format!("it {does} before {name}, which happened before it")
        });
    }
}
