//! What is drawn of a run: from which region each message came and when it was first shown in each.
//!
//! Of more than [`DRAWN_MESSAGES_MAX`] messages every n-th is drawn, so that the picture stays light enough for a phone.

use crate::evidence::{Evidence, RegionNumber, What};
use crate::limits::DRAWN_MESSAGES_MAX;
use std::collections::BTreeMap;

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Picture {
    /// Messages by the time they were posted.
    pub messages: Vec<DrawnMessage>,
    /// Every how many messages one is drawn.
    pub every: usize,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnMessage {
    /// When it was posted, in milliseconds since the replay began.
    pub posted_ms: u64,
    /// The region that took it.
    pub from: RegionNumber,
    /// When it was first shown in other regions.
    pub shown_ms: BTreeMap<RegionNumber, u64>,
    /// Who posted it.
    pub author: String,
}

impl Picture {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let mut messages = vec![];
        for conversation in evidence.conversations.values() {
            let mut shown: Vec<BTreeMap<RegionNumber, u64>> =
                vec![BTreeMap::new(); conversation.messages.len()];
            for moment in conversation.tracks.values().flat_map(|track| &track.moments) {
                if let (What::Shown { .. }, Some(region)) = (moment.what, moment.region) {
                    let first = shown[moment.message as usize].entry(region).or_insert(moment.at_us);
                    *first = moment.at_us.min(*first);
                }
            }
            for (message, shown) in conversation.messages.iter().zip(shown) {
                let Some(((device, at_us), (_, place))) = message.posted.zip(message.acknowledged) else {
                    continue;
                };
                let Some(from) = evidence.region_of(place.dot) else { continue };
                let others = shown.into_iter().filter(|(region, _)| *region != from);
                messages.push(DrawnMessage {
                    posted_ms: at_us / 1_000,
                    from,
                    shown_ms: others.map(|(region, at_us)| (region, at_us / 1_000)).collect(),
                    author: evidence.devices[device].name.clone(),
                });
            }
        }
        messages.sort_by_key(|message| message.posted_ms);
        let every = messages.len().div_ceil(DRAWN_MESSAGES_MAX).max(1);
        Self { messages: messages.into_iter().step_by(every).collect(), every }
    }
}
