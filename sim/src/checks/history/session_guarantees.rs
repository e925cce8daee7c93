//! The four session guarantees (Terry et al. 1994) on each device, from its history alone.
//!
//! - *Monotonic reads*: what was shown is on the screen at the end, if the screen reaches back so far; it moved to earlier places only.
//! - *Read your writes*: what the user posted here and a region acknowledged is on the screen at the end, if it reaches so far; it was not shown before it was posted; what the user took
//!   out of their own view is not there.
//! - *Monotonic writes*: what one device posted stands on every screen in the order posted.
//! - *Writes follow reads*: what a device had been shown when it posted stands above that on its own screen.
//!
//! A screen is the newest page that its region gives when all is calm, so it is a read like any other. What it does not catch: a screen that forgot something in
//! between and has it again at the end; for other screens than one's own, writes follow reads is `causally_inconsistent.rs`.

use super::Findings;
use crate::evidence::{ConversationEvidence, DeviceNumber, Evidence, MessageNumber, Owed, Track, What};
use crate::history::Place;
use crdt::ConversationId;
use std::collections::BTreeMap;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        for (device, track) in &conversation.tracks {
            let look = Look { evidence, id: *id, conversation, device: *device };
            look.at_moments(track, findings);
            if let Some(displayed) = &track.displayed {
                look.at_screen(track, displayed, findings);
                look.at_order(track, displayed, findings);
            }
        }
    }
}

/// One device's look at a conversation.
struct Look<'a> {
    evidence: &'a Evidence,
    id: ConversationId,
    conversation: &'a ConversationEvidence,
    device: DeviceNumber,
}

impl Look<'_> {
    fn breach(&self, findings: &mut Findings, message: MessageNumber, what: impl FnOnce() -> String) {
        let facts = self.conversation.message(message);
        findings.on_device(self.evidence, self.id, facts, self.device, what);
    }

    /// Places only fall, and nothing of one's own is there before it was posted.
    fn at_moments(&self, track: &Track, findings: &mut Findings) {
        let mut places: BTreeMap<MessageNumber, Place> = BTreeMap::new();
        for moment in &track.moments {
            findings.looked_at(1);
            let message = moment.message;
            match moment.what {
                What::Shown { place, .. } => {
                    places.insert(message, place);
                }
                What::Moved(place) => {
                    // Beginnings and comings move too, and are not shown as messages.
                    if places.insert(message, place).is_some_and(|before| before < place) {
                        self.breach(findings, message, || {
                            "monotonic reads: it moved to a later place".to_owned()
                        });
                    }
                }
                What::Posted if places.contains_key(&message) => {
                    self.breach(findings, message, || {
                        "read your writes: it was shown before it was posted".to_owned()
                    });
                }
                What::Posted | What::MarkCleared | What::Refused => {}
            }
        }
    }

    /// All that belongs on the part of the screen that is there is on it.
    fn at_screen(&self, track: &Track, displayed: &[MessageNumber], findings: &mut Findings) {
        // Tracks are of devices that have a history.
        let owed = self.conversation.owed_to(self.evidence.devices[self.device].user);
        let places = places(self.conversation, track);
        let Some(top) = displayed.iter().filter_map(|message| places.get(message)).min() else { return };
        let mut on_screen = vec![false; self.conversation.messages.len()];
        for message in displayed {
            on_screen[*message as usize] = true;
            if track.hidden.contains(message) {
                self.breach(findings, *message, || {
                    "read your writes: its user has taken it out of view, and it is on the screen".to_owned()
                });
            }
        }
        for (message, place) in &places {
            findings.looked_at(1);
            let facts = self.conversation.message(*message);
            let is_there = on_screen[*message as usize] || track.hidden.contains(message);
            if place < top || is_there || owed == Owed::Nothing || !owed.includes(facts) {
                continue;
            }
            let own = facts.posted.is_some_and(|(by, _)| by == self.device);
            let guarantee = if own { "read your writes" } else { "monotonic reads" };
            self.breach(findings, *message, || format!("{guarantee}: it is not on the screen any more"));
        }
    }

    /// One device's posts stand in the order posted, and on its own screen below what it had been shown.
    fn at_order(&self, track: &Track, displayed: &[MessageNumber], findings: &mut Findings) {
        let mut row = vec![0_usize; self.conversation.messages.len()];
        for (at, message) in (1..).zip(displayed) {
            row[*message as usize] = at;
        }
        for (by, posts) in &posts(self.conversation) {
            let mut lowest = 0;
            for message in posts.iter().filter(|message| row[**message as usize] > 0) {
                findings.looked_at(1);
                if row[*message as usize] < lowest {
                    self.breach(findings, *message, || {
                        let author = self.evidence.devices[*by].device;
                        format!("monotonic writes: it stands above what {author} posted before it")
                    });
                }
                lowest = lowest.max(row[*message as usize]);
            }
        }
        let mut lowest = 0;
        for moment in &track.moments {
            let at = row[moment.message as usize];
            match moment.what {
                What::Posted if at > 0 && at < lowest => {
                    self.breach(findings, moment.message, || {
                        "writes follow reads: it stands above what had been shown when it was posted"
                            .to_owned()
                    });
                }
                What::Shown { .. } => lowest = lowest.max(at),
                What::Posted | What::Moved(_) | What::MarkCleared | What::Refused => {}
            }
        }
    }
}

/// Where everything stands at last that a device was shown, or had acknowledged.
fn places(conversation: &ConversationEvidence, track: &Track) -> BTreeMap<MessageNumber, Place> {
    let mut places = BTreeMap::new();
    for moment in &track.moments {
        let place = match moment.what {
            What::Shown { place, .. } | What::Moved(place) => Some(place),
            What::Posted => conversation.message(moment.message).acknowledged.map(|(_, place)| place),
            What::MarkCleared | What::Refused => None,
        };
        places.extend(place.map(|place| (moment.message, place)));
    }
    places
}

/// What each device posted, in its order.
fn posts(conversation: &ConversationEvidence) -> BTreeMap<DeviceNumber, Vec<MessageNumber>> {
    let posted = |(device, track): (&DeviceNumber, &Track)| {
        let posts = track.moments.iter().filter(|moment| moment.what == What::Posted);
        (*device, posts.map(|moment| moment.message).collect())
    };
    conversation.tracks.iter().map(posted).collect()
}
