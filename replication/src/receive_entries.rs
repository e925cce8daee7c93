//! Entries on their way in: taken in the sender's order, passed one step after the other.
//!
//! A step is passed when every operation it refers to is here: durable, or delivered to the shard by this very bridge before. Then its commit is
//! delivered and the cursor moves. A step that cannot be passed blocks its own partition and no other.
//!
//! What must always hold: an entry is passed only when it was applied or already had; the cursor moves only at the end of a step; a
//! reference or commit whose head differs from ours is a fork, and nothing that depended on it is passed (`stop_partition.rs`); what waits is bounded (at the limit the largest
//! blocked partition's is dropped, the peer told to stop, and asked to go on from the cursor once the reference is here).
//! Signatures are the shard's to check: the heads that count are there.

use crate::bridge::{Bridge, Stop, Turn};
use crate::commit::{Commit, CommitRefused};
use crate::delivery::Delivery::Entries;
use crate::entry_codec::{ReceivedStep, Run, StreamContext};
use crate::limits::{IN_FLIGHT_BYTES_MAX, PENDING_BYTES_MAX, PENDING_ENTRY_BYTES};
use crate::log::Position;
use crate::output::Output;
use crate::partition::{Blocked, Flow, Waiting};
use crate::proto;
use crate::reason::Reason;
use crate::resume::fork;
use crate::send_entries::{low_bits, weigh};
use crdt::{PartitionId, ReplicaId, Sequence};

/// What one pass delivers.
#[derive(Debug, Default)]
struct Delivery {
    commits: Vec<Commit>,
    cursor: Option<Position>,
    bytes: usize,
}

/// What became of a run of references.
enum Passed {
    /// All of it is here.
    Whole,
    /// Some of it is not.
    Waits,
    /// Its chain is another one here.
    Forked(CommitRefused),
}

impl Bridge {
    /// Takes the peer's entries of one partition, and passes what can be.
    pub(crate) fn take_section(&mut self, turn: &mut Turn<'_>, section: &proto::Section) -> Result<(), Stop> {
        let (own, peer) = (self.config.own, self.config.peer);
        let (id, shared) = self.shared.receive(section.partition, &self.config.placements, peer, own)?;
        let known = self.partitions.entry(id).or_default();
        let incoming = &mut known.incoming;
        incoming.has_begun = true;
        match (incoming.flow, section.from.checked_sub(1).map(Position)) {
            (Flow::Taking, None) => {}
            (Flow::Rewinding, Some(from)) if from == incoming.cursor => {
                crate::sometimes::REWOUND.reach();
                (incoming.received, incoming.flow) = (from, Flow::Taking);
                incoming.context = StreamContext::default();
            }
            // On its way before the peer heard that it was dropped, or stopped.
            (Flow::Dropped | Flow::Rewinding | Flow::Stopped, _) => {
                crate::sometimes::DROPPED_ON_ITS_WAY.reach();
                return Ok(());
            }
            (Flow::Taking, Some(_)) => return Err(Reason::EntriesOutOfOrder(id).into()),
        }
        if section.steps.is_empty() {
            return Err(Reason::Malformed("empty section").into());
        }
        for step in &section.steps {
            let step = incoming.context.decode_step(step, id, shared)?;
            let end = incoming.received.0.checked_add(step.positions).map(Position);
            incoming.received = end.ok_or(Reason::Malformed("position"))?;
            let waiting = wait(step, incoming.received, turn.now);
            incoming.bytes += waiting.bytes;
            self.pending_bytes += waiting.bytes;
            incoming.queue.push_back(waiting);
        }
        if low_bits(incoming.received) != section.end {
            return Err(Reason::EntriesOutOfOrder(id).into());
        }
        self.waiting.insert(id);
        self.pass(turn, id)
    }

    /// Passes what can be passed of one partition.
    pub(crate) fn pass(&mut self, turn: &mut Turn<'_>, id: PartitionId) -> Result<(), Stop> {
        let mut delivery = Delivery::default();
        let passed = self.pass_steps(turn, id, &mut delivery);
        // What was passed before the peer broke a rule was in order, and is delivered.
        let Some(shared) = self.shared.get(id.placement) else { return passed.map(drop) };
        let Delivery { commits, cursor, bytes } = delivery;
        if !commits.is_empty() || cursor.is_some() {
            let peer = shared.peer;
            turn.out.push(Output::Deliver(Entries { peer, partition: id, commits, cursor, bytes }));
            self.sent_to_shard(turn, bytes);
            self.tell_what_is_passed(turn, id.placement);
        }
        match passed? {
            Some(forked) => Ok(self.stop_partition(turn, forked)?),
            None => Ok(()),
        }
    }

    /// Passes steps until one waits, or names another chain than this region's: why the partition stops, then.
    fn pass_steps(
        &mut self,
        turn: &mut Turn<'_>,
        id: PartitionId,
        delivery: &mut Delivery,
    ) -> Result<Option<CommitRefused>, Stop> {
        loop {
            if self.in_flight_bytes + delivery.bytes > IN_FLIGHT_BYTES_MAX {
                return Ok(None);
            }
            let Some(known) = self.partitions.get_mut(&id) else { return Ok(None) };
            if known.incoming.current.is_none() {
                known.incoming.current = known.incoming.queue.pop_front();
            }
            let Some(current) = &known.incoming.current else {
                self.waiting.remove(&id);
                return Ok(None);
            };
            let next = current.runs.front().copied();
            let arrived = current.arrived;
            if let Some(run) = next {
                match self.pass_run(turn, id, run, delivery)? {
                    Passed::Whole => continue,
                    Passed::Forked(refused) => return Ok(Some(refused)),
                    Passed::Waits => {}
                }
                self.block(turn, id, run, arrived)?;
                return Ok(None);
            }
            if let Some(forked) = self.finish_step(turn, id, delivery)? {
                return Ok(Some(forked));
            }
        }
    }

    /// Passes a run of references, with bodies that were fetched for it.
    fn pass_run(
        &mut self,
        turn: &mut Turn<'_>,
        id: PartitionId,
        run: Run,
        delivery: &mut Delivery,
    ) -> Result<Passed, Stop> {
        let own = self.shared.get(id.placement).map(|shared| shared.own);
        let freed = self.deliver_fetched(id, run, delivery)?;
        self.pending_bytes -= freed;
        let peer = self.config.peer;
        let Some(known) = self.partitions.get_mut(&id) else { return Ok(Passed::Waits) };
        if known.had(run.origin) < run.last {
            if Some(run.origin) != own {
                return Ok(Passed::Waits);
            }
            // The durable view: what the peer has of ours was durable, but may not have been told here yet.
            let (origin, theirs) = (run.origin, run.last.0);
            let ours = turn.log.state(id)?.applied.get(origin).0;
            if ours < theirs {
                crate::sometimes::FENCED_BY_REFERENCE.reach();
                return Err(Stop::Fence(Reason::PeerKnowsMore { peer, partition: id, origin, theirs, ours }));
            }
        }
        // Heads are known of what is durable; what this bridge delivered came from this very peer.
        if let Some(check) = run.check.filter(|_| known.applied.get(run.origin) >= run.last) {
            let head = turn.log.head(id, run.origin, run.last)?;
            let incoming = &mut known.incoming;
            if head.is_some_and(|head| head.check() != check) {
                crate::sometimes::FORK_BY_REFERENCE.reach();
                return Ok(Passed::Forked(self.found_fork(turn, id, run.origin, run.last)?));
            }
            if head.is_some() {
                incoming.agreed.insert(run.origin, run.last);
            }
        }
        let blocked = known.incoming.blocked.take();
        if let Some(current) = &mut known.incoming.current {
            current.runs.pop_front();
        }
        if let Some(blocked) = blocked {
            self.note_arrival(turn, id, blocked);
        }
        Ok(Passed::Whole)
    }

    /// The peer has another chain of that origin, which differs at that sequence at the latest.
    pub(crate) fn found_fork(
        &self,
        turn: &mut Turn<'_>,
        id: PartitionId,
        origin: ReplicaId,
        differs: Sequence,
    ) -> Result<CommitRefused, Stop> {
        let agreed = self.partitions.get(&id).and_then(|known| known.incoming.agreed.get(&origin));
        turn.out.push(fork(id, origin, agreed.copied().unwrap_or_default(), differs));
        if self.shared.get(id.placement).is_some_and(|shared| shared.own == origin) {
            // Of this replica's own nothing is due, and Resume compares it: whoever sends some ends nothing but the bridge.
            return Err(Reason::Fork { partition: id, origin, sequence: differs.0 }.into());
        }
        Ok(CommitRefused::Fork { partition: id, origin, last: differs.0 })
    }

    /// Delivers the bodies fetched for a run, in order. Returns how many bytes that frees.
    fn deliver_fetched(&mut self, id: PartitionId, run: Run, delivery: &mut Delivery) -> Result<usize, Stop> {
        let Some(known) = self.partitions.get_mut(&id) else { return Ok(0) };
        let mut freed = 0;
        let mut had = known.had(run.origin);
        let incoming = &mut known.incoming;
        let Some(fetched) = incoming.fetched.get_mut(&run.origin) else { return Ok(0) };
        while let Some(commit) = fetched.front() {
            let (first, last) = (commit.first, commit.last());
            if last > had {
                if had >= run.last || first > had.next() {
                    break;
                }
                if last > run.last {
                    crate::sometimes::COMMIT_CUT_SHORT.reach();
                    return Err(Reason::CommitCutShort { partition: id, origin: run.origin }.into());
                }
            }
            // The loop's condition saw it.
            let Some(commit) = fetched.pop_front() else { break };
            freed += weigh(&commit);
            if last > had {
                had = last;
                delivery.bytes += weigh(&commit);
                incoming.delivered.raise(crdt::Dot { replica: run.origin, sequence: last });
                delivery.commits.push(commit);
            }
        }
        if fetched.is_empty() {
            incoming.fetched.remove(&run.origin);
        }
        incoming.bytes -= freed;
        Ok(freed)
    }

    /// All references of the current step are here: delivers its commit and moves the cursor, unless it is of another chain than this region's.
    fn finish_step(
        &mut self,
        turn: &mut Turn<'_>,
        id: PartitionId,
        delivery: &mut Delivery,
    ) -> Result<Option<CommitRefused>, Stop> {
        let number = self.shared.number_of(id).ok_or(Reason::Malformed("partition"))?;
        let Some(known) = self.partitions.get_mut(&id) else { return Ok(None) };
        let Some(current) = known.incoming.current.take() else { return Ok(None) };
        if known.incoming.flow == Flow::Dropped {
            // Its commit was dropped: the peer goes on after the last step that was passed.
            known.incoming.flow = Flow::Rewinding;
            let to = known.incoming.cursor.0 + 1;
            self.outbox.rewinds.push(proto::Rewind { partition: number, to });
            return Ok(None);
        }
        let had = current.commit.as_ref().map_or(Sequence::NONE, |commit| known.had(commit.origin));
        if current.commit.as_ref().is_some_and(|commit| commit.first > had.next()) {
            return Err(Reason::EntriesOutOfOrder(id).into());
        }
        known.incoming.bytes -= current.bytes;
        self.pending_bytes -= current.bytes;
        // What is here already nobody verifies again, so another branch would pass unseen. What is new the shard compares.
        if let Some(commit) =
            current.commit.as_ref().filter(|commit| commit.last() <= known.applied.get(commit.origin))
            && is_of_another_chain(turn, id, commit)?
        {
            crate::sometimes::FORK_OF_WHAT_IS_HERE.reach();
            return Ok(Some(self.found_fork(turn, id, commit.origin, commit.last())?));
        }
        known.incoming.cursor = current.end;
        delivery.cursor = Some(current.end);
        let Some(commit) = current.commit else { return Ok(None) };
        let (origin, new) = (commit.origin, commit.last() > had);
        if new {
            known.incoming.deliver(&commit);
            delivery.bytes += weigh(&commit);
            delivery.commits.push(commit);
        } else {
            crate::sometimes::STEP_HAD.reach();
        }
        self.note_inline(id, origin, new);
        Ok(None)
    }

    fn block(
        &mut self,
        turn: &mut Turn<'_>,
        id: PartitionId,
        run: Run,
        arrived: crdt::Now,
    ) -> Result<(), Stop> {
        let Some(known) = self.partitions.get_mut(&id) else { return Ok(()) };
        let same = known.incoming.blocked.is_some_and(|blocked| blocked.origin == run.origin);
        let since = known.incoming.blocked.filter(|_| same).map_or(arrived, |blocked| blocked.since);
        crate::sometimes::BLOCKED.reach();
        known.incoming.blocked = Some(Blocked { origin: run.origin, last: run.last, since });
        self.fetch_if_due(turn, id)
    }

    /// Counts what was given to the shard, and pauses reading at the limit.
    pub(crate) fn sent_to_shard(&mut self, turn: &mut Turn<'_>, bytes: usize) {
        self.in_flight_bytes += bytes;
        if self.in_flight_bytes > IN_FLIGHT_BYTES_MAX && !self.paused {
            crate::sometimes::PAUSED.reach();
            self.paused = true;
            turn.out.push(Output::PauseReading);
        }
    }

    /// The shard has taken something: at half the limit reading goes on.
    pub(crate) fn taken(&mut self, turn: &mut Turn<'_>, bytes: usize) -> Result<(), Stop> {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(bytes);
        if !self.paused || self.in_flight_bytes > IN_FLIGHT_BYTES_MAX / 2 {
            return Ok(());
        }
        self.paused = false;
        turn.out.push(Output::ResumeReading);
        for id in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.pass(turn, id)?;
        }
        self.set_patience(turn);
        Ok(())
    }

    /// At the limit, drops what the largest blocked partition holds, and tells the peer to stop sending it.
    pub(crate) fn bound_pending(&mut self, turn: &Turn<'_>) -> Result<(), Stop> {
        while self.pending_bytes > PENDING_BYTES_MAX {
            let blocked = self.waiting.iter().filter_map(|id| Some((id, &self.partitions.get(id)?.incoming)));
            let blocked = blocked.filter(|(_, incoming)| incoming.blocked.is_some() && incoming.bytes > 0);
            let Some(id) = blocked.max_by_key(|(_, incoming)| incoming.bytes).map(|(id, _)| *id) else {
                return Ok(());
            };
            let number = self.shared.number_of(id).ok_or(Reason::Malformed("partition"))?;
            let Some(known) = self.partitions.get_mut(&id) else { return Ok(()) };
            crate::sometimes::PENDING_DROPPED.reach();
            self.pending_bytes -= known.incoming.bytes;
            let told = known.incoming.flow == Flow::Dropped;
            known.incoming.drop_waiting();
            if !told {
                self.outbox.rewinds.push(proto::Rewind { partition: number, to: 0 });
            }
            self.fetch_if_due(turn, id)?;
        }
        Ok(())
    }

    /// Bodies that were asked for.
    pub(crate) fn take_fetched(&mut self, turn: &mut Turn<'_>, answer: &proto::Fetched) -> Result<(), Stop> {
        let (own, peer) = (self.config.own, self.config.peer);
        let (id, shared) = self.shared.receive(answer.partition, &self.config.placements, peer, own)?;
        let mut context = StreamContext::default();
        let known = self.partitions.entry(id).or_default();
        if known.incoming.flow == Flow::Stopped {
            return Ok(());
        }
        for step in &answer.commits {
            let ReceivedStep { runs, commit, .. } = context.decode_step(step, id, shared)?;
            let commit = commit.filter(|_| runs.is_empty()).ok_or(Reason::Malformed("fetched"))?;
            let (origin, last) = (commit.origin, commit.last());
            let Some(asked) = known.incoming.asked.get(&origin).copied() else { continue };
            let had = known.had(origin);
            let reached = known.incoming.fetched.get(&origin).and_then(|fetched| fetched.back());
            let reached = reached.map_or(had, |before| before.last().max(had));
            // An answer to a fetch whose bodies were dropped at the limit may still be on its way: what does not follow is not kept.
            if commit.first > reached.next() {
                crate::sometimes::FETCH_DOES_NOT_FOLLOW.reach();
                continue;
            }
            if last >= asked {
                known.incoming.asked.remove(&origin);
            }
            if last <= reached {
                crate::sometimes::FETCHED_MEANWHILE.reach();
                continue;
            }
            let bytes = weigh(&commit);
            known.incoming.fetched.entry(origin).or_default().push_back(commit);
            known.incoming.bytes += bytes;
            self.pending_bytes += bytes;
        }
        self.pass(turn, id)
    }

    /// The largest sequence of an origin that what waits refers to, a number of steps ahead.
    pub(crate) fn needed(&self, id: PartitionId, origin: ReplicaId, steps: usize) -> Sequence {
        let Some(known) = self.partitions.get(&id) else { return Sequence::NONE };
        let ahead = known.incoming.current.iter().chain(known.incoming.queue.iter().take(steps));
        let runs = ahead.flat_map(|waiting| &waiting.runs).filter(|run| run.origin == origin);
        runs.map(|run| run.last).max().unwrap_or_default()
    }
}

/// Whether the region's own chain, which reaches as far, ends otherwise where this commit ends.
fn is_of_another_chain(turn: &Turn<'_>, id: PartitionId, commit: &Commit) -> Result<bool, Stop> {
    let before = Sequence(commit.first.0.saturating_sub(1));
    let Some(before) = turn.log.head(id, commit.origin, before)? else { return Ok(false) };
    let ours = turn.log.head(id, commit.origin, commit.last())?;
    Ok(ours.is_some_and(|ours| ours != commit.head_after(before)))
}

/// A decoded step as it waits.
fn wait(step: ReceivedStep, end: Position, now: crdt::Now) -> Waiting {
    let bytes =
        PENDING_ENTRY_BYTES + step.runs.len() * size_of::<Run>() + step.commit.as_ref().map_or(0, weigh);
    Waiting { runs: step.runs.into(), commit: step.commit, end, arrived: now, bytes }
}
