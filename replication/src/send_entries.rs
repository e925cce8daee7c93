//! Entries on their way out: partitions take turns, and each turn reads on in the log where the last one ended.
//!
//! Every second turn goes to the smallest backlog, so that after a long cut most conversations are whole again at once and live
//! traffic waits for no catch-up; and before all others to the smallest of those in which people write here while it lasts, since what they write stands behind it. The
//! other turns go to whoever has waited longest, so that nobody starves.
//!
//! Our own commits go with their bodies, others' as references, which wait for the next commit that may depend on them or for the flush
//! timer. Neighbouring commits of one origin are joined under the last one's signature: it covers the chain up to its end, so the joined commit is
//! as whole and as verifiable as its parts, and costs 64 bytes once.
//!
//! What must always hold: a section is a prefix of what the log holds after the last one, in its order. The receiver's own operations alone may
//! change places with others, since it has them.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::commit::Commit;
use crate::entry_codec::{Run, run_bytes};
use crate::limits::{COMMIT_OPERATIONS_MAX, HELD_RUNS_MAX, REFERENCES_FLUSH_MS, TURN_BYTES_MAX};
use crate::log::{LoggedCommit, Position};
use crate::output::Output;
use crate::partition::{Outgoing, Partition};
use crate::placement::MaySend;
use crate::proto;
use crate::send_frame::Filling;
use crate::shared::SharedPlacement;
use crate::timers::Timer;
use crdt::{PartitionId, ReplicaId};
use prost::Message as _;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Reads of the log for one turn: between two bodies there may be many references, and those cost reading only.
const READS_MAX: usize = 16;

/// What a turn adds before it is encoded.
struct Taken {
    runs: Vec<Run>,
    commit: Option<Commit>,
}

/// Who waits for a turn of one frame, in both orders; each is given one at most, and one's turn changes nobody else's place.
struct Line {
    /// Those in which nobody has written since the peer came are behind the others.
    by_backlog: BinaryHeap<Reverse<(bool, u64, PartitionId)>>,
    by_wait: BinaryHeap<Reverse<(u64, PartitionId)>>,
    served: BTreeSet<PartitionId>,
}

impl Line {
    fn of(ready: &BTreeSet<PartitionId>, partitions: &BTreeMap<PartitionId, Partition>) -> Self {
        let waiting = || ready.iter().filter_map(|id| Some((*id, &partitions.get(id)?.outgoing)));
        Self {
            by_backlog: waiting()
                .map(|(id, outgoing)| Reverse((!outgoing.is_lively, outgoing.backlog(), id)))
                .collect(),
            by_wait: waiting().map(|(id, outgoing)| Reverse((outgoing.served, id))).collect(),
            served: BTreeSet::new(),
        }
    }

    /// Whose the turn of that number is.
    fn next(&mut self, turn: u64) -> Option<PartitionId> {
        loop {
            let id = if turn.is_multiple_of(2) {
                self.by_backlog.pop().map(|Reverse((.., id))| id)
            } else {
                self.by_wait.pop().map(|Reverse((_, id))| id)
            }?;
            if self.served.insert(id) {
                return Some(id);
            }
        }
    }
}

impl Bridge {
    /// A partition may have something to send, now or after the flush timer.
    pub(crate) fn note_unsent(&mut self, turn: &mut Turn<'_>, id: PartitionId) {
        let Some(known) = self.partitions.get(&id).filter(|_| self.phase >= Phase::Open) else { return };
        let (entries, registers) = (known.outgoing.unsent_entries(), known.outgoing.unsent_registers());
        if (entries || registers) && self.wants_turn(id, known) {
            self.ready.insert(id);
            return;
        }
        if entries && let Some(known) = self.partitions.get_mut(&id) {
            let since = *known.outgoing.held_since.get_or_insert(turn.now);
            self.holding.insert((since, id));
            if !std::mem::replace(&mut self.references_set, true) {
                let at = since.plus_ms(REFERENCES_FLUSH_MS);
                turn.out.push(Output::SetTimer { timer: Timer::References, at });
            }
        }
        if registers {
            self.let_registers_wait(turn, id);
        }
    }

    /// References that were held back long enough go now; the timer is set for the others.
    pub(crate) fn flush_references(&mut self, turn: &mut Turn<'_>) {
        self.references_set = false;
        if self.phase < Phase::Open {
            return;
        }
        while let Some((since, id)) = self.holding.first().copied() {
            let known = self.partitions.get_mut(&id).map(|known| &mut known.outgoing);
            if let Some(outgoing) =
                known.filter(|outgoing| outgoing.held_since == Some(since) && outgoing.unsent_entries())
            {
                let at = since.plus_ms(REFERENCES_FLUSH_MS);
                if at > turn.now {
                    self.references_set = true;
                    turn.out.push(Output::SetTimer { timer: Timer::References, at });
                    break;
                }
                crate::sometimes::REFERENCES_FLUSHED.reach();
                outgoing.flush = true;
                self.ready.insert(id);
            }
            self.holding.pop_first();
        }
    }

    /// Whether a partition has something that need not wait.
    fn wants_turn(&self, id: PartitionId, known: &Partition) -> bool {
        let outgoing = &known.outgoing;
        if (outgoing.flush && outgoing.unsent_entries())
            || (outgoing.flush_feed && outgoing.unsent_registers())
        {
            return true;
        }
        if outgoing.stopped || outgoing.read >= outgoing.end {
            return outgoing.held.len() >= HELD_RUNS_MAX && !outgoing.stopped;
        }
        let Some(passed) = &outgoing.passed else { return true };
        let Some(shared) = self.shared.get(id.placement) else { return false };
        let grew = |origin: ReplicaId| known.applied.get(origin) > passed.get(origin);
        grew(shared.own) || self.inline.iter().any(|origin| grew(*origin))
    }

    /// Gives turns until the frame is full or nobody wants one.
    pub(crate) fn fill_turns(&mut self, turn: &mut Turn<'_>, filling: &mut Filling) -> Result<(), Stop> {
        let mut line = Line::of(&self.ready, &self.partitions);
        while filling.room() > 0 {
            let Some(id) = line.next(self.turns) else { break };
            let full = self.give_turn(turn, id, filling)?;
            // A turn for which there was no room is given again, first in the next frame.
            self.turns += u64::from(!full);
            let Some(known) = self.partitions.get(&id) else { continue };
            if !self.wants_turn(id, known) {
                self.ready.remove(&id);
                self.note_unsent(turn, id);
            }
            if full {
                break;
            }
        }
        Ok(())
    }

    /// One partition's turn. Returns whether the frame is full.
    fn give_turn(
        &mut self,
        turn: &mut Turn<'_>,
        id: PartitionId,
        filling: &mut Filling,
    ) -> Result<bool, Stop> {
        let may_send = self.may_send(id)?;
        let (Some(number), Some(shared), Some(known)) =
            (self.shared.number_of(id), self.shared.get(id.placement), self.partitions.get_mut(&id))
        else {
            self.ready.remove(&id);
            return Ok(false);
        };
        let sent = known.outgoing.sent;
        let section = known.entries_section(turn, may_send, shared, &self.inline, filling)?;
        let full = section.is_none();
        if !full {
            known.outgoing.served = self.turns + 1;
        }
        // A turn that sends registers alone lets references wait no longer: what is held back after entries were sent is newer than they.
        if known.outgoing.sent > sent
            && let Some(since) = known.outgoing.held_since.take()
        {
            self.holding.remove(&(since, id));
        }
        if let Some(section) = section.filter(|section| !section.steps.is_empty()) {
            let section = proto::Section { partition: number, ..section };
            filling.bytes += 4 + section.encoded_len();
            filling.frame.sections.push(section);
        }
        if !full && let Some(feed) = known.feed(turn, (may_send, shared.peer), number, filling)? {
            filling.bytes += 4 + feed.encoded_len();
            filling.frame.feeds.push(feed);
        }
        known.outgoing.flush &= known.outgoing.unsent_entries();
        if !known.outgoing.unsent_registers() {
            known.outgoing.flush_feed = false;
            if let Some(due) = known.outgoing.feed_due.take() {
                self.feeding.remove(&(due, id));
            }
        }
        self.note_sent(id);
        Ok(full)
    }
}

impl Partition {
    /// The next entries for the peer; none if the frame has no room for the next commit.
    fn entries_section(
        &mut self,
        turn: &Turn<'_>,
        may_send: MaySend,
        shared: &SharedPlacement,
        inline: &BTreeSet<ReplicaId>,
        filling: &mut Filling,
    ) -> Result<Option<proto::Section>, Stop> {
        let outgoing = &mut self.outgoing;
        let begun = outgoing.sent;
        let mut steps: Vec<Taken> = Vec::new();
        let mut bytes = 0;
        let mut full = false;
        let budget = TURN_BYTES_MAX.min(filling.room());
        let mut reads = 0;
        while reads < READS_MAX {
            reads += 1;
            if outgoing.stopped || outgoing.read >= outgoing.end || bytes >= budget || full {
                break;
            }
            let read = turn.log.read(may_send.partition(), outgoing.read, budget - bytes)?;
            if read.is_empty() {
                break;
            }
            for logged in read {
                let body = logged.commit.origin == shared.own || inline.contains(&logged.commit.origin);
                if !body || logged.commit.origin == shared.peer {
                    outgoing.hold(&logged, shared.peer);
                    continue;
                }
                let weight = weigh(&logged.commit);
                if bytes + weight > filling.room() && !(filling.is_empty() && bytes == 0) {
                    crate::sometimes::COMMIT_TOO_LARGE_FOR_ROOM.reach();
                    full = true;
                    break;
                }
                bytes += weight;
                (outgoing.read, outgoing.sent) = (logged.last, logged.last);
                append(&mut steps, std::mem::take(&mut outgoing.held), logged.commit, shared.peer);
            }
        }
        if outgoing.read >= outgoing.end {
            outgoing.passed = Some(self.applied.clone());
        }
        // A turn that read much and found no body still moves the peer on, or nothing would ask for the next one.
        let fruitless = reads == READS_MAX && steps.is_empty();
        if fruitless {
            crate::sometimes::FRUITLESS_TURN.reach();
        }
        if outgoing.held.len() >= HELD_RUNS_MAX {
            crate::sometimes::REFERENCES_FULL.reach();
        }
        let held_out = outgoing.flush || fruitless || outgoing.held.len() >= HELD_RUNS_MAX;
        if held_out && !full && !outgoing.stopped && !outgoing.held.is_empty() {
            outgoing.sent = outgoing.read;
            steps.push(Taken { runs: std::mem::take(&mut outgoing.held), commit: None });
        }
        let from = if std::mem::take(&mut outgoing.rewound) { begun.0 + 1 } else { 0 };
        if steps.is_empty() {
            outgoing.rewound = from > 0;
            return Ok((!full).then(proto::Section::default));
        }
        let mut encoded = Vec::with_capacity(steps.len());
        for mut step in steps {
            check_runs(turn, may_send, shared.peer, &mut step.runs)?;
            if step.commit.is_some() {
                let third = step.runs.iter().filter(|run| run.origin != shared.peer);
                filling.reference_bytes += third.map(|run| run_bytes(run, shared)).sum::<usize>();
            }
            encoded.push(outgoing.context.encode_step(&step.runs, step.commit.as_ref(), shared));
        }
        let end = low_bits(outgoing.sent);
        Ok(Some(proto::Section { partition: 0, from, end, steps: encoded }))
    }
}

impl Outgoing {
    /// Keeps a reference for later. The receiver's own operations are counted in one run, since their place means nothing to it.
    fn hold(&mut self, logged: &LoggedCommit, receiver: ReplicaId) {
        self.read = logged.last;
        let commit = &logged.commit;
        let same = if commit.origin == receiver {
            self.held.iter_mut().find(|run| run.origin == receiver)
        } else {
            self.held.iter_mut().rev().find(|run| run.origin != receiver)
        };
        match same.filter(|run| run.origin == commit.origin) {
            Some(run) => run.last = commit.last(),
            None => self.held.push(Run {
                origin: commit.origin,
                first: commit.first,
                last: commit.last(),
                check: None,
            }),
        }
    }
}

/// Adds a commit, joined with the one before it if nothing of a third origin lies between.
fn append(steps: &mut Vec<Taken>, held: Vec<Run>, commit: Commit, receiver: ReplicaId) {
    let joins = held.iter().all(|run| run.origin == receiver);
    if let Some(Taken { runs, commit: Some(before) }) = steps.last_mut().filter(|_| joins)
        && before.origin == commit.origin
        && before.last().next() == commit.first
        && before.operations.len() + commit.operations.len() <= COMMIT_OPERATIONS_MAX
    {
        crate::sometimes::COMMITS_JOINED.reach();
        before.operations.extend(commit.operations);
        before.signature = commit.signature;
        for run in held {
            match runs.iter_mut().find(|known| known.origin == receiver) {
                Some(known) => known.last = run.last,
                None => runs.push(run),
            }
        }
        return;
    }
    steps.push(Taken { runs: held, commit: Some(commit) });
}

/// Puts the chain head's check on the last run of each third origin: heads are cumulative, so it vouches for the runs before it.
fn check_runs(turn: &Turn<'_>, may_send: MaySend, receiver: ReplicaId, runs: &mut [Run]) -> Result<(), Stop> {
    let mut last = BTreeMap::new();
    for (at, run) in runs.iter().enumerate().filter(|(_, run)| run.origin != receiver) {
        last.insert(run.origin, at);
    }
    for at in last.into_values() {
        // `at` was found in these very runs.
        let run = &mut runs[at];
        let head = turn.log.head(may_send.partition(), run.origin, run.last)?;
        run.check = head.map(crdt::ChainHead::check);
    }
    Ok(())
}

/// What a commit weighs on the wire, roughly and from above.
pub(crate) fn weigh(commit: &Commit) -> usize {
    let operations = commit.operations.iter();
    let bytes: usize = operations
        .map(|operation| {
            operation.envelope.len() + operation.payload.as_ref().map_or(0, bytes::Bytes::len) + 8
        })
        .sum();
    bytes + 96
}

/// The check of a position: seven bits, so that it is one byte on the wire.
pub(crate) const fn low_bits(position: Position) -> u32 {
    (position.0 % 128) as u32
}
