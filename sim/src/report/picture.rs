//! What the page of a replay shows: each message from its author to the devices that showed it, as far as histories tell.
//!
//! Histories are written at devices, so what happened between the regions is not in them: a message reaches a region when a device there first
//! shows it.
//!
//! What must always hold: bounded as every recording (`limits.rs`); figures over time are of all messages.

use super::{Effect, FaultOutcome, RunFacts};
use crate::evidence::{ConversationEvidence, Evidence, What};
use crate::limits::SHOWINGS_RECORDED_MAX;
use crate::page::{Counted, Device, Fault, Harm, Message, Place, Recording, Showing, choose_messages};
use crdt::DeviceId;
use std::collections::BTreeMap;

/// The recording of a replay.
pub(super) fn recording(evidence: &Evidence, facts: &RunFacts) -> Recording {
    let device =
        |device: &crate::evidence::DeviceFacts| Device { name: device.name.clone(), home: device.home };
    let numbers: BTreeMap<DeviceId, usize> =
        evidence.devices.iter().enumerate().map(|(index, device)| (device.device, index)).collect();
    let mut counted = Counted::default();
    let mut messages = Vec::new();
    for (number, conversation) in (1..).zip(evidence.conversations.values()) {
        messages.extend(messages_of(evidence, conversation, number, &numbers, &mut counted));
    }
    let faults: Vec<Fault> = faults(&facts.faults);
    let shown = messages.iter().flat_map(|message| message.shown.iter().map(|showing| showing.at_us));
    let ends = faults.iter().map(|fault| fault.ends_us);
    let length_us = shown.chain(ends).chain([facts.duration_us]).max().unwrap_or(0);
    Recording {
        length_us,
        calm_us: None,
        regions: evidence.regions.iter().map(|region| region.name.clone()).collect(),
        ways: facts.link_delay_us.clone(),
        devices: evidence.devices.iter().map(device).collect(),
        messages_in_all: messages.len() as u64,
        messages: choose_messages(messages.iter().collect(), length_us),
        faults_in_all: faults.len() as u64,
        faults,
        intervals: counted.intervals(),
    }
}

fn messages_of(
    evidence: &Evidence,
    conversation: &ConversationEvidence,
    number: usize,
    numbers: &BTreeMap<DeviceId, usize>,
    counted: &mut Counted,
) -> Vec<Message> {
    // Messages that nobody is known to have posted, or that no region is known to have taken, are for the checks.
    let mut messages: Vec<Option<Message>> = conversation
        .messages
        .iter()
        .map(|message| {
            let ((author, posted_us), (acknowledged_us, place)) = message.posted.zip(message.acknowledged)?;
            let home = evidence.region_of(place.dot)?;
            let posted = Message {
                id: message.message,
                conversation: format!("conversation {number}"),
                author,
                home,
                posted_us,
                acknowledged_us: Some(acknowledged_us),
                left: vec![],
                applied: vec![],
                stable_us: None,
                shown: vec![],
                shown_in_all: 0,
                ticks: vec![],
            };
            Some(posted)
        })
        .collect();
    for (device, track) in &conversation.tracks {
        for moment in &track.moments {
            let What::Shown { marked, .. } = moment.what else { continue };
            let message = messages.get_mut(moment.message as usize).and_then(Option::as_mut);
            let (Some(message), Some(region)) = (message, moment.region) else { continue };
            message.shown_in_all += 1;
            if *device != message.author {
                let took_us = moment.at_us.saturating_sub(message.posted_us);
                counted.shown(moment.at_us, region == message.home, took_us);
            }
            if message.shown.len() < SHOWINGS_RECORDED_MAX {
                message.shown.push(Showing { device: *device, region, at_us: moment.at_us, marked });
            }
        }
    }
    for tick in &conversation.ticks {
        let message = messages.get_mut(tick.message as usize).and_then(Option::as_mut);
        if let (Some(message), Some(device)) = (message, numbers.get(&tick.device))
            && tick.seen_by == message.author
            && message.ticks.len() < 2 * SHOWINGS_RECORDED_MAX
        {
            message.ticks.push((*device, tick.at_us, tick.read));
        }
    }
    messages.into_iter().flatten().collect()
}

/// Two cuts of the two directions of a link at one time are one.
fn faults(outcomes: &[FaultOutcome]) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for outcome in outcomes {
        let (begins_us, ends_us) = (outcome.start_ms * 1_000, outcome.end_ms * 1_000);
        let (what, harm, place) = match (outcome.effect, outcome.to) {
            (Effect::PacketsDropped(_), Some(to)) => ("cut", Harm::Cut, Place::Way(outcome.from, to)),
            (Effect::PacketsDropped(_) | Effect::Processes { .. }, _) => {
                ("killed", Harm::Down, Place::Region(outcome.from))
            }
            (Effect::Upgraded { .. }, _) => ("upgraded", Harm::Down, Place::Region(outcome.from)),
        };
        let back = faults.iter_mut().find(|known| {
            let same_time = known.begins_us == begins_us && known.ends_us == ends_us;
            same_time
                && matches!((known.place, place), (Place::Way(a, b), Place::Way(c, d)) if (a, b) == (d, c))
        });
        match (back, place) {
            (Some(known), Place::Way(from, to)) => known.place = Place::Link(to, from),
            _ => faults.push(Fault { what: what.to_owned(), harm, place, begins_us, ends_us }),
        }
    }
    faults.sort_by_key(|fault| fault.begins_us);
    faults
}
