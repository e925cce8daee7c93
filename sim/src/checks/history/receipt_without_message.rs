//! Whenever an author is shown that a device has a message, that device had been shown it by then.
//!
//! Times are compared, since two devices are involved; all histories of a replay are written on one clock. A time is that of a client saying
//! an event, before it tells a region anything that follows from it; so a receipt always comes after the showing that it confirms.
//! What it does not catch: a receipt that never comes (that is not a lie), and whether a person really read.

use super::Findings;
use crate::evidence::{ConversationEvidence, Evidence, What};
use crdt::DeviceId;
use std::collections::BTreeMap;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        if conversation.ticks.is_empty() {
            continue;
        }
        let shown_at = times_shown(evidence, conversation);
        for tick in &conversation.ticks {
            findings.looked_at(1);
            let message = conversation.message(tick.message);
            let at_us = shown_at.get(&tick.device).and_then(|times| times[tick.message as usize]);
            if at_us.is_none_or(|at_us| at_us > tick.at_us) {
                let said = if tick.read { "read on" } else { "delivered to" };
                findings.on_device(evidence, *id, message, tick.seen_by, || {
                    format!(
                        "the author was told that it was {said} {} which had not been shown it",
                        tick.device
                    )
                });
            }
        }
    }
}

/// For each device when it was first shown each message.
fn times_shown(
    evidence: &Evidence,
    conversation: &ConversationEvidence,
) -> BTreeMap<DeviceId, Vec<Option<u64>>> {
    let mut all = BTreeMap::new();
    for (device, track) in &conversation.tracks {
        let mut times = vec![None; conversation.messages.len()];
        for moment in &track.moments {
            if let What::Shown { .. } = moment.what {
                times[moment.message as usize].get_or_insert(moment.at_us);
            }
        }
        all.insert(evidence.devices[*device].device, times);
    }
    all
}
