//! In the end a message looks the same on every screen: edited, deleted and reacted to alike, as each device came to show it by itself and as its region reads it out.
//!
//! How: of every message on the last page of a device, its look there must be that on the pages of the others, and the one that the device said last. Messages that are not owed to
//! a device, since a duplicate is hidden from them, are left out.
//! What it does not catch: a look that is wrong on all devices alike.

use super::Findings;
use crate::evidence::Evidence;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        let mut agreed: Vec<Option<Option<&String>>> = vec![None; conversation.messages.len()];
        for (device, track) in &conversation.tracks {
            let owed = conversation.owed_to(evidence.devices[*device].user);
            for number in track.displayed.iter().flatten() {
                let message = conversation.message(*number);
                if !owed.includes(message) {
                    continue;
                }
                findings.looked_at(1);
                let look = track.displayed_looks.get(number);
                let own = track.looks.get(number).and_then(Option::as_ref);
                // Every message has a place in the list.
                let first = *agreed[*number as usize].get_or_insert(look);
                if look != first || look != own {
                    findings.on_device(evidence, *id, message, *device, || {
                        let text =
                            |look: Option<&String>| look.map_or("as it was sent", String::as_str).to_owned();
                        format!(
                            "looks {} on its page, {} as it was told, {} on the first page of all",
                            text(look),
                            text(own),
                            text(first)
                        )
                    });
                }
            }
        }
    }
}
