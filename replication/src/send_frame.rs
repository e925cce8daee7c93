//! What goes into the next frame: the pipe asks, one frame answers, so nothing queues in memory for a slow peer.
//!
//! In order: Hello, epochs or Resume, small requests, bases, bodies the peer asked for, then entries and registers of the partitions that have any, in turns. Whatever gathered
//! while the pipe was busy goes in one frame, so batches form by themselves.
//!
//! What must always hold: at most one frame each time the pipe is ready; entries, bodies and registers leave only with a
//! [`MaySend`] for the partition and peer.

use crate::bridge::{Bridge, Phase, Stop, Turn};
use crate::frame;
use crate::limits::{FETCHES_MAX, FRAME_BYTES_TARGET, TURN_BYTES_MAX};
use crate::log::Position;
use crate::output::Output;
use crate::placement::MaySend;
use crate::proto;
use crate::reason::Reason;
use crdt::{PartitionId, ReplicaId, Sequence};
use prost::Message as _;
use std::collections::VecDeque;

/// What is to be sent beside entries. Bounded: one of most, [`EPOCHS_MAX`](crate::limits::EPOCHS_MAX) epochs a placement, a Resume frame a thousand partitions, a rewind a partition, an inline an origin,
/// a fetch a partition and origin, and [`FETCHES_MAX`] fetches to answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outbox {
    pub(crate) hello: Option<proto::Hello>,
    pub(crate) epochs: Vec<proto::EpochStatement>,
    pub(crate) resumes: VecDeque<proto::Resume>,
    pub(crate) rewinds: Vec<proto::Rewind>,
    pub(crate) inlines: Vec<proto::Inline>,
    pub(crate) fetches: Vec<proto::Fetch>,
    pub(crate) probe: bool,
    pub(crate) probe_answer: Option<proto::ProbeAnswer>,
    /// Fetches of the peer that are not answered in full.
    pub(crate) to_answer: VecDeque<ToAnswer>,
}

/// A fetch of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToAnswer {
    pub(crate) partition: PartitionId,
    pub(crate) origin: ReplicaId,
    pub(crate) first: Sequence,
    pub(crate) last: Sequence,
}

/// A frame being filled, and how full it is.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    pub(crate) frame: proto::Frame,
    pub(crate) bytes: usize,
    /// Of them, what references to third regions' operations take beside commits.
    pub(crate) reference_bytes: usize,
}

impl Filling {
    /// What still fits.
    pub(crate) fn room(&self) -> usize {
        FRAME_BYTES_TARGET.saturating_sub(self.bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

impl Bridge {
    /// Sends one frame if the pipe can take it and there is anything to send.
    pub(crate) fn send_if_ready(&mut self, turn: &mut Turn<'_>) -> Result<(), Stop> {
        if !self.pipe_ready || self.phase == Phase::Down {
            return Ok(());
        }
        let mut filling = Filling::default();
        self.fill(turn, &mut filling)?;
        if !filling.is_empty() {
            self.pipe_ready = false;
            let bytes = frame::encode(&filling.frame);
            self.sent.count(&filling, bytes.len());
            turn.out.push(Output::Send(bytes));
        }
        Ok(())
    }

    fn fill(&mut self, turn: &mut Turn<'_>, filling: &mut Filling) -> Result<(), Stop> {
        if let Some(hello) = self.outbox.hello.take() {
            filling.bytes = hello.encoded_len();
            filling.frame.hello = Some(hello);
            return Ok(());
        }
        if self.phase == Phase::Learning {
            filling.frame.epochs = std::mem::take(&mut self.outbox.epochs);
            filling.bytes = filling.frame.encoded_len();
        }
        if self.phase < Phase::Resuming {
            return Ok(());
        }
        if let Some(resume) = self.outbox.resumes.pop_front() {
            filling.bytes = 1 + resume.encoded_len();
            filling.frame.resume = Some(resume);
            return Ok(());
        }
        if self.phase < Phase::Open {
            return Ok(());
        }
        self.fill_requests(turn, filling);
        if self.fill_bases(turn, filling)? {
            return Ok(());
        }
        self.fill_answers(turn, filling)?;
        self.fill_turns(turn, filling)?;
        filling.frame.caught_up = self.take_catch_up_to_say();
        filling.bytes += filling.frame.caught_up.iter().map(|said| 4 + said.encoded_len()).sum::<usize>();
        self.fill_states(filling)
    }

    fn fill_requests(&mut self, turn: &Turn<'_>, filling: &mut Filling) {
        let frame = &mut filling.frame;
        frame.probe = self.take_probe_to_send(turn);
        frame.probe_answer = self.outbox.probe_answer.take();
        frame.rewinds = std::mem::take(&mut self.outbox.rewinds);
        frame.inlines = std::mem::take(&mut self.outbox.inlines);
        frame.fetches = std::mem::take(&mut self.outbox.fetches);
        filling.bytes = frame.encoded_len();
    }

    /// Half a frame at most, so that answers and live entries share the pipe.
    fn fill_answers(&mut self, turn: &mut Turn<'_>, filling: &mut Filling) -> Result<(), Stop> {
        while let Some(mut asked) = self.outbox.to_answer.pop_front() {
            if filling.bytes >= FRAME_BYTES_TARGET / 2 {
                self.outbox.to_answer.push_front(asked);
                return Ok(());
            }
            let may_send = self.may_send(asked.partition)?;
            let answer = self.answer(turn, may_send, &mut asked)?;
            filling.bytes += 4 + answer.encoded_len();
            filling.frame.fetched.push(answer);
            if asked.first <= asked.last {
                crate::sometimes::FETCH_ANSWERED_IN_PARTS.reach();
                self.outbox.to_answer.push_back(asked);
            }
        }
        Ok(())
    }

    /// Some of what was asked for, and what remains. Commits are neither joined nor cut, so that each ends where a reference does.
    fn answer(
        &self,
        turn: &Turn<'_>,
        may_send: MaySend,
        asked: &mut ToAnswer,
    ) -> Result<proto::Fetched, Stop> {
        let ToAnswer { partition, origin, first, last } = *asked;
        let found = turn.log.find(may_send.partition(), origin, first, last, TURN_BYTES_MAX)?;
        let (Some(number), Some(shared), Some(end)) =
            (self.shared.number_of(partition), self.shared.get(partition.placement), found.last())
        else {
            return Err(Reason::NotHere { partition, origin, last: last.0 }.into());
        };
        asked.first = end.last().next();
        let mut context = crate::entry_codec::StreamContext::default();
        let commits = found.iter().map(|commit| context.encode_step(&[], Some(commit), shared)).collect();
        Ok(proto::Fetched { partition: number, commits })
    }

    /// The proof that entries of that partition may go to the peer.
    pub(crate) fn may_send(&self, partition: PartitionId) -> Result<MaySend, Reason> {
        Ok(self.config.placements.may_send(partition, self.config.peer)?)
    }

    /// The peer asks for bodies.
    pub(crate) fn take_fetch(&mut self, fetch: &proto::Fetch) -> Result<(), Stop> {
        let (own, peer) = (self.config.own, self.config.peer);
        let (partition, shared) = self.shared.receive(fetch.partition, &self.config.placements, peer, own)?;
        let origin = shared.origin(fetch.origin.into()).ok_or(Reason::Malformed("origin"))?;
        if fetch.first == 0 || fetch.last < fetch.first || fetch.last == u64::MAX {
            return Err(Reason::Malformed("fetch").into());
        }
        if self.outbox.to_answer.len() >= FETCHES_MAX {
            crate::sometimes::TOO_MANY_FETCHES.reach();
            return Err(Reason::TooManyFetches(FETCHES_MAX).into());
        }
        let (first, last) = (Sequence(fetch.first), Sequence(fetch.last));
        self.outbox.to_answer.push_back(ToAnswer { partition, origin, first, last });
        Ok(())
    }

    /// The peer dropped what it was sent, or goes on.
    pub(crate) fn take_rewind(&mut self, rewind: &proto::Rewind) -> Result<(), Stop> {
        let (own, peer) = (self.config.own, self.config.peer);
        let (partition, _) = self.shared.receive(rewind.partition, &self.config.placements, peer, own)?;
        let known = self.partitions.get_mut(&partition);
        let known = known.ok_or(Reason::OutOfTurn("a Rewind of what was not sent"))?;
        match rewind.to.checked_sub(1).map(Position) {
            None => known.outgoing.stopped = true,
            // Forward only to the base that this connection has told of.
            Some(to) if to <= known.outgoing.sent || known.outgoing.base == Some(to) => {
                known.outgoing.go_back(to);
                self.ready.insert(partition);
            }
            Some(_) => return Err(Reason::OutOfTurn("a Rewind forward").into()),
        }
        Ok(())
    }

    /// The peer wants bodies of an origin, or references alone.
    pub(crate) fn take_inline(&mut self, inline: &proto::Inline) -> Result<(), Stop> {
        let shared = self.shared.by_index(inline.placement).ok_or(Reason::Malformed("placement"))?;
        let origin = shared.origin(inline.origin.into()).ok_or(Reason::Malformed("origin"))?;
        if origin == shared.own || origin == shared.peer {
            return Err(Reason::Malformed("origin").into());
        }
        if inline.on {
            crate::sometimes::INLINE_GIVEN.reach();
            self.inline.insert(origin);
            // What was passed as references is not missed: the peer fetches it. What follows is urgent now.
            let unsent = self.partitions.iter().filter(|(_, known)| known.outgoing.unsent_entries());
            self.ready.extend(unsent.map(|(id, _)| *id));
        } else {
            self.inline.remove(&origin);
        }
        Ok(())
    }
}
