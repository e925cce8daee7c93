//! No device is shown a message, unmarked, before everything its author's device had been shown in that conversation when it
//! posted; and every mark goes in the end.
//!
//! A message shown with the mark counts as shown when its mark goes: by then all its causes must have been shown.
//! What it does not catch: causes that reached the author by other ways than this conversation, and a cause that the
//! device is not owed: from before its user was added, all of it or one of its duplicates; nor what no region took, as far as any client was told. A mark may
//! stand for ever where the user has left: a region that has not heard of it may still show them a message, whose causes they are not given any more.
//!
//! How: an author's causes only grow, so one walk along the author's moments carries the latest moment at which the reading
//! device was shown any of them. Devices × authors × messages steps in all.

use super::Findings;
use crate::evidence::{ConversationEvidence, DeviceNumber, Evidence, MessageNumber, Owed, Track, What};
use crdt::ConversationId;

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for (id, conversation) in &evidence.conversations {
        for (device, track) in &conversation.tracks {
            let reader = Reader::of(evidence, conversation, *device, track);
            let is_owed = reader.owed != Owed::Nothing;
            for (number, marked) in reader.still_marked.iter().enumerate() {
                if *marked && is_owed {
                    findings.on_device(evidence, *id, &conversation.messages[number], *device, || {
                        "the mark on this message never went: the device was never given all that its author had seen"
                            .to_owned()
                    });
                }
            }
            for (author, author_track) in &conversation.tracks {
                if author != device {
                    walk(evidence, *id, conversation, &reader, *author, author_track, findings);
                }
            }
        }
    }
}

/// What one device was shown when.
struct Reader {
    device: DeviceNumber,
    owed: Owed,
    /// The index of the moment at which a message was first shown.
    shown: Vec<Option<u32>>,
    /// The index of the moment from which it stood there unmarked.
    unmarked: Vec<Option<u32>>,
    still_marked: Vec<bool>,
}

impl Reader {
    fn of(
        evidence: &Evidence,
        conversation: &ConversationEvidence,
        device: DeviceNumber,
        track: &Track,
    ) -> Self {
        let messages = conversation.messages.len();
        let mut unmarked = vec![None; messages];
        let mut still_marked = vec![false; messages];
        for (index, moment) in track.moments.iter().enumerate() {
            let message = moment.message as usize;
            match moment.what {
                What::Shown { marked: true, .. } => still_marked[message] = unmarked[message].is_none(),
                What::Shown { marked: false, .. } | What::MarkCleared => {
                    still_marked[message] = false;
                    unmarked[message].get_or_insert(index as u32);
                }
                What::Posted | What::Moved(_) | What::Refused => {}
            }
        }
        let owed = conversation.owed_to(evidence.devices[device].user);
        Self { device, owed, shown: track.first_shown(messages), unmarked, still_marked }
    }

    /// When that cause was shown: its index, or never, if it is owed at all.
    fn cause(&self, conversation: &ConversationEvidence, message: MessageNumber) -> Option<Shown> {
        let facts = conversation.message(message);
        // What no client was ever told of under any dot was refused where it was posted, and is nowhere.
        if facts.dots.is_empty() || !self.owed.includes(facts) {
            return None;
        }
        Some(self.shown[message as usize].map_or(Shown::Never(message), |index| Shown::At(index, message)))
    }
}

/// When a cause was shown; later is greater, never is greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    At(u32, MessageNumber),
    Never(MessageNumber),
}

fn walk(
    evidence: &Evidence,
    id: ConversationId,
    conversation: &ConversationEvidence,
    reader: &Reader,
    author: DeviceNumber,
    track: &Track,
    findings: &mut Findings,
) {
    let mut latest: Option<Shown> = None;
    for moment in &track.moments {
        match moment.what {
            What::Posted => {
                if let Some(read_at) = reader.unmarked[moment.message as usize] {
                    findings.looked_at(1);
                    let late = match latest {
                        Some(Shown::At(index, cause)) => (index >= read_at).then_some(cause),
                        Some(Shown::Never(cause)) => Some(cause),
                        None => None,
                    };
                    if let Some(cause) = late {
                        let message = conversation.message(moment.message);
                        let cause = conversation.message(cause).message;
                        let author = &evidence.devices[author].name;
                        findings.on_device(evidence, id, message, reader.device, || {
                            format!("shown before {cause}, which {author} had been shown before posting this")
                        });
                    }
                }
                latest = latest.max(reader.cause(conversation, moment.message));
            }
            What::Shown { .. } => latest = latest.max(reader.cause(conversation, moment.message)),
            What::Moved(_) | What::MarkCleared | What::Refused => {}
        }
    }
}
