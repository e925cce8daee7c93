//! Holds answers back in placements that have bought durability in a second region (decision 0040): a command is acknowledged once another active region has its operation on stable storage too.
//!
//! The naive way asks the other region and waits. Nothing is asked here: whoever applies operations acknowledges them anyway (`acknowledge.rs`), in such a placement at once, and the answer leaves in
//! the step that learns of it. Meanwhile the operation goes its way: it is logged, sent, and shown.
//!
//! What must always hold:
//! - An operation counts as elsewhere on the word of an active replica other than this one, about the same chain as stands here; or because such a replica issued it.
//! - Nobody waits for ever without a word: after [`HELD_FOR_MS`] the answer is that no other region has it yet, which says when to ask again, and whoever does gets the original's answer or waits anew.
//! - Nothing of it is written: what a crash forgets, the device sends again.
//!
//! Bounded: [`HELD_ANSWERS_MAX`] answers; beyond them the word comes at once.

use crate::acknowledge;
use crate::command::{Done, Refusal};
use crate::limits::{HELD_ANSWERS_MAX, HELD_FOR_MS};
use crate::pending::Pending;
use crate::shard::{Effect, Ticket};
use crate::store::StoreError;
use crdt::{Bucket, Dot, Now, ReplicaId, VersionVector};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Answers to one operation's authors, each with when it has waited for long enough.
type Waiting = BTreeMap<Ticket, (Now, Done)>;

/// Answers that wait until another region has what they are about.
#[derive(Debug, Default)]
pub(crate) struct HeldAnswers {
    waiting: BTreeMap<Bucket, BTreeMap<Dot, Waiting>>,
    due: BTreeSet<(Now, Bucket, Dot, Ticket)>,
}

impl HeldAnswers {
    /// When the next has waited for long enough.
    pub(crate) fn due(&self) -> Option<Now> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.due.len()
    }

    fn hold(&mut self, (bucket, dot): (Bucket, Dot), ticket: Ticket, done: Done, until: Now) {
        self.due.insert((until, bucket, dot, ticket));
        self.waiting.entry(bucket).or_default().entry(dot).or_default().insert(ticket, (until, done));
    }

    /// The operations of a partition for which somebody waits.
    fn of(&self, bucket: Bucket) -> Vec<Dot> {
        self.waiting.get(&bucket).into_iter().flat_map(|dots| dots.keys().copied()).collect()
    }

    /// All that wait for that operation, and then wait no more.
    fn take(&mut self, bucket: Bucket, dot: Dot) -> Waiting {
        let Some(dots) = self.waiting.get_mut(&bucket) else { return Waiting::new() };
        let waiting = dots.remove(&dot).unwrap_or_default();
        if dots.is_empty() {
            self.waiting.remove(&bucket);
        }
        for (ticket, (until, _)) in &waiting {
            self.due.remove(&(*until, bucket, dot, *ticket));
        }
        waiting
    }

    /// Whoever has waited for long enough, and then waits no more.
    fn take_due(&mut self, now: Now) -> Vec<(Ticket, Done)> {
        let mut taken = Vec::new();
        while self.due().is_some_and(|due| due <= now)
            && let Some((_, bucket, dot, late)) = self.due.pop_first()
        {
            for (ticket, (until, done)) in self.take(bucket, dot) {
                if ticket == late {
                    taken.push((ticket, done));
                } else {
                    self.hold((bucket, dot), ticket, done, until);
                }
            }
        }
        taken
    }
}

/// Takes from the effects of this step the answers that have to wait, and gives those that need not any more.
pub(crate) fn hold(pending: &mut Pending<'_>, held: &mut HeldAnswers) -> Result<(), StoreError> {
    if !pending.config.placement.is_geo() {
        return Ok(());
    }
    let (mut answers, mut had) = (Vec::new(), BTreeMap::new());
    for bucket in pending.partitions.keys().copied().collect::<Vec<_>>() {
        for dot in held.of(bucket) {
            if is_elsewhere(pending, &mut had, bucket, dot)? {
                crate::sometimes::ANSWERED_ONCE_ELSEWHERE.reach();
                let waiting = held.take(bucket, dot).into_iter();
                answers.extend(waiting.map(|(ticket, (_, done))| (ticket, Ok(done))));
            }
        }
    }
    let until = pending.now.plus_ms(HELD_FOR_MS);
    let mut effects = Vec::new();
    for effect in std::mem::take(&mut pending.tables.effects) {
        match effect {
            Effect::Reply { ticket, result: Ok(done @ Done::Operation { conversation, dot, .. }) } => {
                let bucket = conversation.partition().bucket;
                if is_elsewhere(pending, &mut had, bucket, dot)? {
                    answers.push((ticket, Ok(done)));
                } else if held.count() < HELD_ANSWERS_MAX {
                    held.hold((bucket, dot), ticket, done, until);
                } else {
                    crate::sometimes::TOO_MANY_HELD.reach();
                    answers.push((ticket, Err(Refusal::NotElsewhere(conversation))));
                }
            }
            other => effects.push(other),
        }
    }
    for (ticket, done) in held.take_due(pending.now) {
        crate::sometimes::NOT_ELSEWHERE.reach();
        if let Done::Operation { conversation, .. } = done {
            answers.push((ticket, Err(Refusal::NotElsewhere(conversation))));
        }
    }
    effects.extend(answers.into_iter().map(|(ticket, result)| Effect::Reply { ticket, result }));
    pending.tables.effects = effects;
    Ok(())
}

/// Whether another active replica is known to have that operation. What is known of a partition is looked up once a step.
fn is_elsewhere(
    pending: &mut Pending<'_>,
    had: &mut BTreeMap<Bucket, VersionVector>,
    bucket: Bucket,
    dot: Dot,
) -> Result<bool, StoreError> {
    let own = pending.config.replica;
    if dot.replica != own && pending.config.placement.active.contains_key(&dot.replica) {
        return Ok(true);
    }
    let had = match had.entry(bucket) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => unknown.insert(had_by_others(pending, bucket)?),
    };
    Ok(had.covers(dot))
}

/// What other active replicas have said that they have of a partition, of whoever is none of them, on the chains that stand here.
fn had_by_others(pending: &mut Pending<'_>, bucket: Bucket) -> Result<VersionVector, StoreError> {
    let (own, partition) = (pending.config.replica, pending.partition_id(bucket));
    let active = pending.config.placement.active.keys().copied();
    let others: BTreeSet<ReplicaId> = active.filter(|replica| *replica != own).collect();
    let mut had = VersionVector::new();
    for other in &others {
        let newest = pending.acknowledged(bucket)?.0.of(*other).newest();
        let told = newest.applied.iter().filter(|dot| !others.contains(&dot.replica));
        let told: Vec<_> = told.map(|dot| (dot, newest.heads.get(&dot.replica).copied())).collect();
        for (dot, head) in told {
            // A release that does not say is believed, as it is where stability is weighed.
            if head.is_none() || acknowledge::head_check(pending, partition, dot)? == head {
                had.raise(dot);
            }
        }
    }
    Ok(had)
}
