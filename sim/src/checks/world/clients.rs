//! Promises 4 and 6, from the devices' own histories: what judges a replay over real processes judges a world too.
//!
//! The other checkers see everything the world did; this one sees what clients wrote down, in the documented format (`docs/histories.md`), and asks the verdicts
//! that need nothing else, in worlds that keep histories. What it does not see: what is asked of exports and disks, which the world's own checkers hold at every step.

use super::{Checker, Oracle};
use crate::checks::history::{Verdict, judge};
use crate::evidence::{Evidence, EvidenceError, HistoryCollector, RegionFacts};
use crate::history::{Event, Line};
use crate::world::Moment;
use crdt::{DeviceId, MessageId};
use std::collections::{BTreeMap, BTreeSet};

/// The verdicts that take histories alone.
const VERDICTS: [Verdict; 5] = [
    Verdict::ShownTwice,
    Verdict::BeforeItsCause,
    Verdict::OutOfOrder,
    Verdict::SessionGuarantees,
    Verdict::CausallyInconsistent,
];

impl Oracle {
    /// Judges the histories of all devices. Of devices whose user left, only the moments before count, which the verdicts know.
    pub(crate) fn judge_histories(
        &mut self,
        at: Moment,
        regions: Vec<RegionFacts>,
        histories: &BTreeMap<DeviceId, Vec<Line>>,
    ) {
        // Histories do not say which store lied, and to whom.
        if self.is_off || self.lies.were_told() {
            return;
        }
        let mut evidence = Evidence::new(regions);
        // What is left of a deleted message says nothing and bears no mark, which histories cannot tell: it is left out of all of them alike.
        let facts = self.record.conversations.values();
        let deleted = facts.flat_map(|facts| {
            let messages = facts.amendments.messages();
            messages.filter(|message| facts.amendments.is_deleted(*message)).map(|(_, message)| message)
        });
        // So is what users deleted for themselves, of which their own devices have no line, and what is kept no longer, of which devices have none that were away.
        let facts = self.record.conversations.values();
        let expired = facts.flat_map(|facts| {
            let names = facts.names.iter().enumerate();
            names.filter(|(identity, _)| facts.is_expired(*identity)).map(|(_, (_, message))| *message)
        });
        let deleted: BTreeSet<MessageId> = deleted.chain(self.hidden.messages()).chain(expired).collect();
        for lines in histories.values() {
            if let Err(error) = collect(&mut evidence, lines, &deleted) {
                self.violate(at, Checker::Clients, error.to_string());
            }
        }
        let findings = judge(&evidence).into_iter();
        for finding in findings.filter(|finding| VERDICTS.contains(&finding.verdict)) {
            self.looked_at(Checker::Clients, finding.checked);
            for violation in finding.violations {
                let device = violation.device.map_or_else(String::new, |device| device.to_string());
                let text = format!("{} on {device}: {}", finding.verdict.name(), violation.what);
                self.violate(at, Checker::Clients, text);
            }
        }
    }
}

fn collect(
    evidence: &mut Evidence,
    lines: &[Line],
    deleted: &BTreeSet<MessageId>,
) -> Result<(), EvidenceError> {
    let Some((first, rest)) = lines.split_first() else { return Ok(()) };
    let mut collector = HistoryCollector::begin(evidence, first)?;
    let is_deleted = |line: &&Line| message_of(&line.event).is_some_and(|message| deleted.contains(&message));
    rest.iter().filter(|line| !is_deleted(line)).try_for_each(|line| collector.take(line.clone()))
}

/// The message that a line is about, if it is about one.
const fn message_of(event: &Event) -> Option<MessageId> {
    match event {
        Event::Posted(own) | Event::Stable(own) => Some(own.message),
        Event::Delivered(tick) | Event::Read(tick) => Some(tick.message),
        Event::MarkCleared(identity) => Some(identity.message),
        Event::Acknowledged { message, .. }
        | Event::Shown { message, .. }
        | Event::Moved { message, .. }
        | Event::Repeated { message, .. } => Some(*message),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::scenario::embedded;
    use crate::script::draw;
    use crate::world::World;

    #[test]
    fn what_devices_wrote_down_in_a_storm_contradicts_nothing() {
        for seed in [17, 55, 109] {
            let script = draw(&embedded("storm-of-everything").unwrap().unwrap(), seed);
            let mut world = World::new(&script, false);
            world.keep_histories();
            world.start_all();
            world.pass(script.length_us);
            world.heal();
            world.become_calm(script.healed_within_us);
            world.judge();
            assert_eq!(world.violations(), [], "seed {seed}");
        }
    }
}
