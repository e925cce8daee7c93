//! Every acknowledged message is held by every region of its placement and was shown to every device that is owed it.
//!
//! What it does not catch: a message that was lost before anybody acknowledged it (the report compares planned with
//! acknowledged), and one that was lost and came back before the end.

use super::{Findings, Violation};
use crate::evidence::Evidence;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    in_regions(evidence, findings);
    on_devices(evidence, findings);
}

fn in_regions(evidence: &Evidence, findings: &mut Findings) {
    for (region, facts) in evidence.regions.iter().enumerate() {
        for (id, conversation) in &evidence.conversations {
            if !facts.placements.contains(&id.placement()) {
                continue;
            }
            for message in conversation.messages.iter().filter(|message| message.acknowledged.is_some()) {
                findings.looked_at(1);
                let key = (*id, message.sender, message.message);
                let held =
                    evidence.exports.get(&region).is_some_and(|export| export.posts.contains_key(&key));
                if !held {
                    findings.breach(|verdict| Violation {
                        verdict,
                        conversation: Some(*id),
                        message: Some(message.message),
                        device: None,
                        region: Some(region),
                        what: format!("{} does not hold this acknowledged message", facts.name),
                    });
                }
            }
        }
    }
}

fn on_devices(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        for (device, facts) in evidence.devices.iter().enumerate() {
            let owed = conversation.owed_to(facts.user);
            let track = conversation.tracks.get(&device);
            let shown = track.map(|track| track.first_shown(conversation.messages.len()));
            for (number, message) in conversation.messages.iter().enumerate() {
                if message.acknowledged.is_none() || !owed.includes(message) {
                    continue;
                }
                findings.looked_at(1);
                if shown.as_ref().is_none_or(|shown| shown[number].is_none()) {
                    findings.on_device(evidence, *id, message, device, || {
                        format!("{}'s device was never shown this acknowledged message", facts.name)
                    });
                }
            }
        }
    }
}
