//! All devices show the messages they have in common in one order: that of the places (time, then operation) they were told,
//! which are the same places on all of them in the end.
//!
//! How: the screen of each device must ascend in its own final places, and each message's final place must be the one that the
//! first device has; so any two screens agree on what they have in common.
//! Devices agree on what they have the same operations of: a message of which a duplicate is hidden from a newcomer may stand
//! elsewhere for them, and is left out.
//! What it does not catch: an order that is wrong on all devices alike (`out_of_order` and `before_its_cause` look at that).

use super::Findings;
use crate::evidence::{ConversationEvidence, DeviceNumber, Evidence, Track, What};
use crate::history::Place;
use crdt::ConversationId;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        let mut agreed: Vec<Option<Place>> = vec![None; conversation.messages.len()];
        for (device, track) in &conversation.tracks {
            let owed = conversation.owed_to(evidence.devices[*device].user);
            let mut places = final_places(conversation, track);
            ascending(evidence, *id, conversation, *device, track, &places, findings);
            for (place, message) in places.iter_mut().zip(&conversation.messages) {
                *place = place.filter(|_| owed.includes(message));
            }
            same_places(evidence, *id, conversation, *device, &places, &mut agreed, findings);
        }
    }
}

fn final_places(conversation: &ConversationEvidence, track: &Track) -> Vec<Option<Place>> {
    let mut places = vec![None; conversation.messages.len()];
    for moment in &track.moments {
        match moment.what {
            What::Shown { place, .. } | What::Moved(place) => places[moment.message as usize] = Some(place),
            What::Posted | What::MarkCleared | What::Refused => {}
        }
    }
    places
}

fn same_places(
    evidence: &Evidence,
    id: ConversationId,
    conversation: &ConversationEvidence,
    device: DeviceNumber,
    places: &[Option<Place>],
    agreed: &mut [Option<Place>],
    findings: &mut Findings,
) {
    for (number, place) in places.iter().enumerate() {
        let Some(place) = place else { continue };
        findings.looked_at(1);
        let first = *agreed[number].get_or_insert(*place);
        if first != *place {
            findings.on_device(evidence, id, &conversation.messages[number], device, || {
                format!(
                    "stands at {} {} here, at {} {} elsewhere",
                    place.hlc, place.dot, first.hlc, first.dot
                )
            });
        }
    }
}

fn ascending(
    evidence: &Evidence,
    id: ConversationId,
    conversation: &ConversationEvidence,
    device: DeviceNumber,
    track: &Track,
    places: &[Option<Place>],
    findings: &mut Findings,
) {
    let displayed = track.displayed.iter().flatten();
    let placed: Vec<_> = displayed.map(|number| (*number, places[*number as usize])).collect();
    for pair in placed.windows(2) {
        let [(_, above), (number, below)] = pair else { continue };
        findings.looked_at(1);
        // What was displayed but never shown has no place, and is as wrong as a place out of order.
        if above.is_none() || below.is_none() || above >= below {
            findings.on_device(evidence, id, conversation.message(*number), device, || {
                "displayed out of the order of the places this device was told".to_owned()
            });
        }
    }
}
