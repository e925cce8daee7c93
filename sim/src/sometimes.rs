//! The rare branches of all cores, and how often this process has taken each ([`crdt::sometimes`]).
//!
//! What must always hold: counts are of the whole process, over all its threads and runs, so they say what a soak reached and are no part of a run's outcome.

use crdt::sometimes::Mark;
use std::collections::BTreeMap;

/// Every mark, core by core.
pub fn all() -> impl Iterator<Item = &'static Mark> {
    let cores = [
        crdt::sometimes::ALL,
        region::sometimes::ALL,
        replication::sometimes::ALL,
        gateway::sometimes::ALL,
        gateway_client::sometimes::ALL,
    ];
    cores.into_iter().flatten().copied()
}

/// How often each was reached, by its name.
#[must_use]
pub fn counts() -> BTreeMap<&'static str, u64> {
    all().map(|mark| (mark.name, mark.count())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_a_name_of_its_own() {
        assert_eq!(counts().len(), all().count());
        assert!(counts().len() > 100);
    }
}
