//! Makes a script shorter: an earlier end, and less waiting between what happens.
//!
//! What must always hold: what comes after the end is taken out; the order of what is left stays.

use super::Search;
use crate::script::Script;

/// Gaps shorter than this are left.
const GAP_US: u64 = 200_000;

impl Search<'_> {
    /// An earlier end.
    pub(super) fn shorten(&mut self) {
        // Halved as long as that goes, then in smaller steps.
        for (parts, of) in [(1, 2), (3, 4), (9, 10)] {
            loop {
                let length_us = self.script.length_us / of * parts;
                let ended = end_at(&self.script, length_us);
                if length_us < GAP_US || !self.take(ended) {
                    break;
                }
            }
        }
    }

    /// Less waiting: for when few things are left between which anything waits.
    pub(super) fn close_gaps(&mut self) {
        let mut at = 0;
        for _ in 0..times(&self.script).len() {
            let next = times(&self.script).into_iter().find(|time| *time > at);
            let Some(next) = next else { return };
            let gap_us = next - at;
            if gap_us > GAP_US && self.take(earlier(&self.script, next, gap_us - GAP_US / 10)) {
                at = next - (gap_us - GAP_US / 10);
            } else {
                at = next;
            }
            if self.is_over() {
                return;
            }
        }
    }
}

/// When anything happens.
fn times(script: &Script) -> Vec<u64> {
    let acts = script.acts.iter().map(|act| act.at_us);
    let faults = script.faults.iter().flat_map(|fault| [fault.begins_us, fault.ends_us]);
    let mut times: Vec<u64> = acts.chain(faults).chain([script.length_us]).collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// Everything from that time on, so much earlier.
fn earlier(script: &Script, from_us: u64, by_us: u64) -> Script {
    let mut script = script.clone();
    let shift = |time: &mut u64| {
        if *time >= from_us {
            *time -= by_us;
        }
    };
    script.acts.iter_mut().for_each(|act| shift(&mut act.at_us));
    for fault in &mut script.faults {
        shift(&mut fault.begins_us);
        shift(&mut fault.ends_us);
    }
    shift(&mut script.length_us);
    script
}

/// With an earlier end.
fn end_at(script: &Script, length_us: u64) -> Script {
    let mut script = script.clone();
    script.acts.retain(|act| act.at_us <= length_us);
    script.faults.retain(|fault| fault.begins_us <= length_us);
    script.faults.iter_mut().for_each(|fault| fault.ends_us = fault.ends_us.min(length_us));
    script.length_us = length_us;
    script
}
