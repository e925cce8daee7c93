//! One sender's messages are never shown out of the order in which their device posted them: neither in time, nor from top to
//! bottom of the screen.
//!
//! What it does not catch: messages of one user from two devices, which have no order between them, and messages that the
//! device is not owed (one duplicate hidden from a newcomer, another shown late). Nor messages that were refused: a region which their author had left may have taken
//! them all the same.

use super::Findings;
use crate::evidence::{ConversationEvidence, DeviceNumber, Evidence, MessageNumber, Track, What};
use crdt::ConversationId;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        for (device, track) in &conversation.tracks {
            let user = evidence.devices[*device].user;
            let owed = conversation.owed_to(user);
            let mut shown = track.first_shown(conversation.messages.len());
            let mut on_screen = vec![None; conversation.messages.len()];
            for (row, message) in track.displayed.iter().flatten().enumerate() {
                on_screen[*message as usize] = Some(row as u32);
            }
            for (number, message) in conversation.messages.iter().enumerate() {
                if !owed.includes(message) {
                    (shown[number], on_screen[number]) = (None, None);
                }
            }
            for author in conversation.tracks.values() {
                let order = posted_order(author);
                walk(evidence, *id, conversation, *device, &order, &shown, "shown", findings);
                walk(evidence, *id, conversation, *device, &order, &on_screen, "displayed above", findings);
            }
        }
    }
}

fn posted_order(author: &Track) -> Vec<MessageNumber> {
    author.moments.iter().filter(|moment| moment.what == What::Posted).map(|moment| moment.message).collect()
}

#[allow(clippy::too_many_arguments)] // each is a different thing to say of one comparison
fn walk(
    evidence: &Evidence,
    id: ConversationId,
    conversation: &ConversationEvidence,
    device: DeviceNumber,
    order: &[MessageNumber],
    places: &[Option<u32>],
    how: &str,
    findings: &mut Findings,
) {
    let placed = order.iter().filter_map(|message| places[*message as usize].map(|place| (place, *message)));
    let mut before: Option<(u32, MessageNumber)> = None;
    for (place, message) in placed {
        if let Some((earlier_place, earlier)) = before {
            findings.looked_at(1);
            if place < earlier_place {
                let earlier = conversation.message(earlier).message;
                findings.on_device(evidence, id, conversation.message(message), device, || {
                    format!("{how} before {earlier}, which its author had sent earlier")
                });
            }
        }
        if before.is_none_or(|(earlier_place, _)| place > earlier_place) {
            before = Some((place, message));
        }
    }
}
