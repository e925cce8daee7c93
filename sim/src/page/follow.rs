//! One message's way as steps in order of time, each with how long it waited and which faults explain that.
//!
//! A step waits from the one that it follows from: a region applies after the message was durable in the region that took it, and a device shows after
//! its region applied. What the way itself takes when nothing is wrong is no wait. A wait is explained by faults that lay on that step's way
//! at some time between the two, or had ended shortly before: connections are dialled again with growing pauses.
//!
//! What must always hold: an explanation names only faults that touched the step; without one the page says that there is none.

use super::recording::{DeviceIndex, Fault, Harm, Lane, Message, Place, Recording};

/// A wait shorter than this needs no explanation.
const WAIT_US_MIN: u64 = 100_000;

/// Faults that ended at most so long before a wait began may have caused it: a bridge dials again within seconds, a client's pauses double up to 64 s.
const AFTERMATH_US: u64 = 5_000_000;
const AFTERMATH_OF_DEVICES_US: u64 = 64_000_000;

/// At most so many faults explain a wait: those that lay on it longest.
const REASONS_MAX: usize = 3;

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) at_us: u64,
    pub(super) what: What,
    /// How long it waited, beyond what its way takes.
    pub(super) waited_us: u64,
    /// The faults that explain that, by their place in the recording.
    pub(super) why: Vec<usize>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Its author pressed send.
    Posted,
    /// It was durable in the region that took it.
    Taken(Lane),
    /// Its author saw the first tick.
    Acknowledged,
    /// It left a region for another.
    Left(Lane, Lane),
    /// It was durable in another region.
    Applied(Lane),
    /// It was shown on a device that lived at that region; with the mark or without.
    Shown(DeviceIndex, Lane, bool),
    /// Its author saw that a device had it.
    Delivered(DeviceIndex),
    /// Its author saw that it had been read on a device.
    Read(DeviceIndex),
    /// Its author saw that all regions have it.
    Stable,
}

/// The steps of a message.
pub(super) fn follow(recording: &Recording, message: &Message) -> Vec<Step> {
    let applied = |lane: Lane| message.applied.iter().find(|(at, _)| *at == lane).map(|(_, at_us)| *at_us);
    let taken = message.applied.iter().min_by_key(|(_, at_us)| *at_us).copied();
    let (taker, taken_us) = taken.unwrap_or((message.home, message.posted_us));
    let mut steps = vec![Step { at_us: message.posted_us, what: What::Posted, waited_us: 0, why: vec![] }];
    let mut add = |what, since_us: u64, takes_us: u64, at_us: u64, touches: &dyn Fn(&Fault) -> bool| {
        let waited_us = at_us.saturating_sub(since_us).saturating_sub(takes_us);
        let why = if waited_us < WAIT_US_MIN {
            vec![]
        } else {
            reasons(recording, what, (since_us, at_us), touches)
        };
        steps.push(Step { at_us, what, waited_us, why });
    };
    let upwards = |fault: &Fault| is_of_device(fault, message.author) || halts(fault, taker);
    if taken.is_some() {
        add(What::Taken(taker), message.posted_us, 0, taken_us, &upwards);
    }
    if let Some(at_us) = message.acknowledged_us {
        add(What::Acknowledged, taken_us.min(at_us), 0, at_us, &upwards);
    }
    for (from, to, at_us) in &message.left {
        let since_us = applied(*from).unwrap_or(taken_us);
        let touches =
            |fault: &Fault| is_on_way(fault, *from, *to) || halts(fault, *from) || halts(fault, *to);
        add(What::Left(*from, *to), since_us, 0, *at_us, &touches);
    }
    for (lane, at_us) in message.applied.iter().filter(|(lane, _)| *lane != taker) {
        let last = message
            .left
            .iter()
            .filter(|(_, to, left_us)| to == lane && left_us <= at_us)
            .max_by_key(|left| left.2);
        let (from, since_us) = last.map_or((taker, taken_us), |(from, _, left_us)| (*from, *left_us));
        let takes_us = recording.ways.get(&(from, *lane)).copied().unwrap_or(0);
        let touches =
            |fault: &Fault| is_on_way(fault, from, *lane) || halts(fault, *lane) || halts(fault, from);
        add(What::Applied(*lane), since_us, takes_us, *at_us, &touches);
    }
    for showing in &message.shown {
        let since_us = applied(showing.region).filter(|at_us| *at_us <= showing.at_us).unwrap_or(taken_us);
        let own = showing.device == message.author && showing.at_us < taken_us;
        // Where it is not known when a region had it, a showing waited for the way there too.
        let way =
            (applied(showing.region).is_none() && showing.region != taker).then_some((taker, showing.region));
        let takes_us = way.and_then(|way| recording.ways.get(&way)).copied().unwrap_or(0);
        let touches = |fault: &Fault| {
            is_of_device(fault, showing.device)
                || halts(fault, showing.region)
                || way.is_some_and(|(from, to)| is_on_way(fault, from, to) || halts(fault, from))
        };
        let what = What::Shown(showing.device, showing.region, showing.marked);
        add(what, if own { showing.at_us } else { since_us }, takes_us, showing.at_us, &touches);
    }
    for (device, at_us, read) in &message.ticks {
        let what = if *read { What::Read(*device) } else { What::Delivered(*device) };
        add(what, *at_us, 0, *at_us, &|_| false);
    }
    if let Some(at_us) = message.stable_us {
        let since_us =
            message.applied.iter().map(|(_, applied_us)| *applied_us).filter(|us| *us <= at_us).max();
        let takes_us = recording.ways.values().max().copied().unwrap_or(0);
        let touches = |fault: &Fault| is_among(fault, message) || upwards(fault);
        add(What::Stable, since_us.unwrap_or(taken_us), takes_us, at_us, &touches);
    }
    steps.sort_by_key(|step| (step.at_us, step.what));
    steps
}

/// Faults that touch and lay between those moments, those that lay there longest first.
fn reasons(
    recording: &Recording,
    what: What,
    (since_us, at_us): (u64, u64),
    touches: &dyn Fn(&Fault) -> bool,
) -> Vec<usize> {
    let aftermath_us = match what {
        What::Posted | What::Taken(_) | What::Acknowledged | What::Shown(..) | What::Stable => {
            AFTERMATH_OF_DEVICES_US
        }
        What::Left(..) | What::Applied(_) | What::Delivered(_) | What::Read(_) => AFTERMATH_US,
    };
    let overlap = |fault: &Fault| fault.ends_us.min(at_us).saturating_sub(fault.begins_us.max(since_us));
    let between = |fault: &Fault| fault.begins_us <= at_us && fault.ends_us + aftermath_us >= since_us;
    let mut found: Vec<(usize, u64)> = recording
        .faults
        .iter()
        .enumerate()
        .filter(|(_, fault)| between(fault) && touches(fault))
        .map(|(index, fault)| (index, overlap(fault)))
        .collect();
    // What ended before is a reason only where nothing lay on the wait itself.
    if found.iter().any(|(_, overlap)| *overlap > 0) {
        found.retain(|(_, overlap)| *overlap > 0);
    }
    found.sort_by_key(|(index, overlap)| (u64::MAX - overlap, *index));
    found.into_iter().map(|(index, _)| index).take(REASONS_MAX).collect()
}

fn is_of_device(fault: &Fault, device: DeviceIndex) -> bool {
    fault.place == Place::Device(device)
}

/// Whether it keeps regions that have the message from telling each other so.
fn is_among(fault: &Fault, message: &Message) -> bool {
    let has = |lane: Lane| message.applied.iter().any(|(at, _)| *at == lane);
    let among = match fault.place {
        Place::Region(lane) => has(lane),
        Place::Way(one, other) | Place::Link(one, other) => has(one) && has(other),
        Place::Device(_) => false,
    };
    among && fault.harm != Harm::Clock
}

/// Whether it stops what a region does.
fn halts(fault: &Fault, region: Lane) -> bool {
    fault.place == Place::Region(region) && matches!(fault.harm, Harm::Down | Harm::Stands | Harm::Disk)
}

/// Whether it lies on the way from one region to another. Acknowledgements go the other way, so a link half cut is cut.
fn is_on_way(fault: &Fault, from: Lane, to: Lane) -> bool {
    let of_link = matches!(fault.harm, Harm::Cut | Harm::Worse);
    of_link
        && match fault.place {
            Place::Region(lane) => lane == from || lane == to,
            Place::Way(one, other) | Place::Link(one, other) => {
                (one, other) == (from, to) || (one, other) == (to, from)
            }
            Place::Device(_) => false,
        }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::page::planted::recording;
    use std::fmt::Write as _;

    fn told(recording: &Recording, message: usize) -> String {
        let mut out = String::new();
        for step in follow(recording, &recording.messages[message]) {
            let _written = writeln!(
                out,
                "{} {:?} waited {} {:?}",
                step.at_us,
                step.what,
                step.waited_us,
                step.why.iter().map(|why| recording.place(recording.faults[*why].place)).collect::<Vec<_>>()
            );
        }
        out
    }

    #[test]
    fn a_wait_is_explained_by_the_fault_that_lay_on_it_and_by_no_other() {
        let recording = recording();
        expect_test::expect![[r#"
            6000000 Posted waited 0 []
            6000000 Shown(0, 0, false) waited 0 []
            6002000 Taken(0) waited 2000 []
            6003000 Left(0, 2) waited 1000 []
            6004000 Acknowledged waited 2000 []
            6085000 Applied(2) waited 2000 []
            6090000 Shown(2, 2, false) waited 5000 []
            15200000 Left(0, 1) waited 9198000 ["eu-central ⇄ us-east"]
            15245000 Applied(1) waited 5000 []
            15250000 Shown(1, 1, false) waited 5000 []
            15400000 Stable waited 75000 []
        "#]]
        .assert_eq(&told(&recording, 1));
    }

    #[test]
    fn who_was_offline_waited_for_a_network() {
        let recording = recording();
        expect_test::expect![[r#"
             17000000 Posted waited 0 []
             17000000 Shown(1, 1, false) waited 0 []
             17002000 Taken(1) waited 2000 []
             17003000 Left(1, 0) waited 1000 []
             17003000 Left(1, 2) waited 1000 []
             17004000 Acknowledged waited 2000 []
             17045000 Applied(0) waited 2000 []
             17050000 Shown(0, 0, false) waited 5000 []
             17065000 Applied(2) waited 2000 []
             26000000 Shown(2, 2, false) waited 8935000 ["Chi's tablet"]
        "#]]
        .assert_eq(&told(&recording, 2));
    }

    #[test]
    fn what_ended_before_explains_a_wait_only_where_nothing_lay_on_it_and_not_for_long() {
        let mut recording = recording();
        // Chi's region was dead until 12 s: her tablet, back at 26 s, may have come late for that, were it not for its own network.
        let shown = |recording: &Recording| {
            let steps = follow(recording, &recording.messages[2]);
            steps.into_iter().find(|step| matches!(step.what, What::Shown(2, ..))).unwrap().why
        };
        assert_eq!(shown(&recording), [2]);
        recording.faults.pop();
        assert_eq!(shown(&recording), [1], "a client's pauses grow");
        recording.messages[2].applied.retain(|(lane, _)| *lane != 2);
        recording.messages[2].applied.push((2, 25_000_000));
        let steps = follow(&recording, &recording.messages[2]);
        let applied = steps.iter().find(|step| step.what == What::Applied(2)).unwrap();
        assert_eq!(
            (applied.waited_us, applied.why.clone()),
            (7_937_000, vec![]),
            "a bridge's do not, for so long"
        );
    }

    #[test]
    fn who_waits_for_a_region_that_is_dead_is_told_so() {
        let mut recording = recording();
        recording.messages[0].posted_us = 10_500_000;
        recording.messages[0].applied = vec![(0, 10_502_000), (2, 12_580_000)];
        recording.messages[0].left = vec![(0, 2, 12_500_000)];
        let steps = follow(&recording, &recording.messages[0]);
        let left = steps.iter().find(|step| step.what == What::Left(0, 2)).unwrap();
        assert_eq!(left.why, [1]);
    }
}
