//! The compact form of entries on the wire: what both ends know is not sent.
//!
//! Plain Protocol Buffers spend some 15 bytes an operation on tags, dots and partitions, and repeat the payload's digest, which the receiver can
//! compute, and the conversation and the sender, which an operation shortly before it mostly names too. Here an operation costs about 8 bytes of lengths, loses 22 of
//! digest, and of the other 54 of its envelope ([`crate::envelope_window`]) mostly all but 14; nothing is lost: the envelope comes out byte for byte, or its
//! chain's signature does not hold.
//!
//! What must always hold: both ends keep one [`StreamContext`] a partition and direction and change it alike, step by step; decoding is total and
//! bounded: no input makes it panic, or allocate more than a frame's worth.
//!
//! Measured by `tests/bridge/overhead.rs`, bytes beyond a body of 1,024, frame included: commits of 1 / 4 / 16 operations cost 146.9 / 79.4 / 62.7 each, joined ones of
//! 1 in a busy pipe 65.8; a third region's references 2.8 a message (decision 0005).

use crate::commit::{Commit, OperationBytes};
use crate::envelope_window::EnvelopeWindow;
use crate::limits::{COMMIT_BYTES_MAX, COMMIT_OPERATIONS_MAX, ENVELOPE_BYTES_MAX};
use crate::proto;
use crate::reason::Reason;
use crate::shared::SharedPlacement;
use bytes::{Buf as _, Bytes};
use crdt::operation::{DIGEST_BYTES, digest};
use crdt::{PartitionId, ReplicaId, Sequence};
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};
use std::collections::BTreeMap;

/// Tag and length of the payload's digest, the last field of an envelope.
const DIGEST_FIELD: [u8; 2] = [0x32, DIGEST_BYTES as u8];

/// What both ends of a stream remember of it, so that it need not be sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StreamContext {
    /// Per origin, the last sequence mentioned.
    mentioned: BTreeMap<ReplicaId, Sequence>,
    /// The last envelopes sent.
    envelopes: EnvelopeWindow,
}

/// A run of operations of one origin that are referred to, not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) origin: ReplicaId,
    pub(crate) first: Sequence,
    pub(crate) last: Sequence,
    /// The check of the origin's chain head after it.
    pub(crate) check: Option<u32>,
}

/// One step of a section, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceivedStep {
    pub(crate) runs: Vec<Run>,
    pub(crate) commit: Option<Commit>,
    /// How many positions of the sender's log it covers.
    pub(crate) positions: u64,
}

impl Run {
    pub(crate) const fn count(&self) -> u64 {
        self.last.0 - self.first.0 + 1
    }
}

impl StreamContext {
    /// Encodes references and a commit after them.
    pub(crate) fn encode_step(
        &mut self,
        runs: &[Run],
        commit: Option<&Commit>,
        placement: &SharedPlacement,
    ) -> proto::Step {
        let mut step = proto::Step { references: self.encode_runs(runs, placement), ..Default::default() };
        let Some(commit) = commit else { return step };
        if commit.origin != placement.own {
            step.origin = placement.origin_index(commit.origin).map_or(0, |index| index + 1);
        }
        if self.mentioned.insert(commit.origin, commit.last()).map(Sequence::next) != Some(commit.first) {
            step.first = commit.first.0;
        }
        step.signature = Bytes::copy_from_slice(&commit.signature);
        (step.shapes, step.data) = pack(&commit.operations, &mut self.envelopes);
        step
    }

    fn encode_runs(&mut self, runs: &[Run], placement: &SharedPlacement) -> Bytes {
        let mut bytes = Vec::new();
        let origins = placement.origins.len() as u64;
        for run in runs {
            let index = placement.origin_index(run.origin).map_or(0, u64::from);
            if self.mentioned.insert(run.origin, run.last).map(Sequence::next) != Some(run.first) {
                encode_varint(index * 2, &mut bytes);
                encode_varint(run.first.0 - 1, &mut bytes);
            }
            encode_varint((run.count() * origins + index) * 2 + u64::from(run.check.is_some()), &mut bytes);
            bytes.extend(run.check.iter().flat_map(|check| check.to_le_bytes()));
        }
        bytes.into()
    }

    /// Decodes a step that the peer sent.
    pub(crate) fn decode_step(
        &mut self,
        step: &proto::Step,
        partition: PartitionId,
        placement: &SharedPlacement,
    ) -> Result<ReceivedStep, Reason> {
        let runs = self.decode_runs(step.references.clone(), partition, placement)?;
        let mut positions: u64 = runs.iter().map(Run::count).fold(0, u64::saturating_add);
        let mut commit = None;
        if !(step.signature.is_empty() && step.shapes.is_empty() && step.data.is_empty()) {
            let taken = self.decode_commit(step, partition, placement)?;
            positions = positions.saturating_add(taken.operations.len() as u64);
            commit = Some(taken);
        }
        if positions == 0 {
            return Err(Reason::Malformed("empty step"));
        }
        Ok(ReceivedStep { runs, commit, positions })
    }

    fn decode_runs(
        &mut self,
        mut bytes: Bytes,
        partition: PartitionId,
        placement: &SharedPlacement,
    ) -> Result<Vec<Run>, Reason> {
        let malformed = Reason::Malformed("references");
        let origins = placement.origins.len() as u64;
        let mut runs = Vec::new();
        while !bytes.is_empty() {
            let header = decode_varint(&mut bytes).map_err(|_| malformed.clone())?;
            let (checked, count, index) = (header % 2 == 1, header / 2 / origins, header / 2 % origins);
            let origin = placement.origin(index).ok_or(malformed.clone())?;
            if count == 0 {
                let after = Sequence(decode_varint(&mut bytes).map_err(|_| malformed.clone())?);
                if self.mentioned.insert(origin, after).is_some_and(|known| known != after) {
                    return Err(Reason::EntriesOutOfOrder(partition));
                }
                continue;
            }
            let before = *self.mentioned.get(&origin).ok_or(malformed.clone())?;
            let last = before.0.checked_add(count).map(Sequence).ok_or(malformed.clone())?;
            let check = match (checked, bytes.len() < 4) {
                (false, _) => None,
                (true, false) => Some(bytes.get_u32_le()),
                (true, true) => return Err(malformed),
            };
            self.mentioned.insert(origin, last);
            runs.push(Run { origin, first: before.next(), last, check });
        }
        Ok(runs)
    }

    fn decode_commit(
        &mut self,
        step: &proto::Step,
        partition: PartitionId,
        placement: &SharedPlacement,
    ) -> Result<Commit, Reason> {
        let origin = match step.origin.checked_sub(1) {
            None => placement.peer,
            Some(index) => placement.origin(index.into()).ok_or(Reason::Malformed("origin"))?,
        };
        if origin == placement.own {
            return Err(Reason::Malformed("origin"));
        }
        let known = self.mentioned.get(&origin).copied();
        let first = match (step.first, known) {
            (0, Some(last)) => last.0.checked_add(1).map(Sequence).ok_or(Reason::Malformed("first"))?,
            (0, None) => return Err(Reason::Malformed("first")),
            (first, Some(last)) if first != last.0.wrapping_add(1) => {
                return Err(Reason::EntriesOutOfOrder(partition));
            }
            (first, _) => Sequence(first),
        };
        let signature: [u8; 64] =
            step.signature[..].try_into().map_err(|_| Reason::CommitCutShort { partition, origin })?;
        let operations = unpack(&step.shapes, step.data.clone(), &mut self.envelopes)?;
        if operations.is_empty() {
            return Err(Reason::CommitCutShort { partition, origin });
        }
        if first.0.checked_add(operations.len() as u64).is_none() {
            return Err(Reason::Malformed("first"));
        }
        let commit = Commit { partition, origin, first, operations, signature };
        self.mentioned.insert(origin, commit.last());
        Ok(commit)
    }
}

/// The shapes and the data of operations that follow these envelopes.
fn pack(operations: &[OperationBytes], window: &mut EnvelopeWindow) -> (Bytes, Bytes) {
    let (mut shapes, mut data) = (Vec::new(), Vec::new());
    for operation in operations {
        let envelope = &operation.envelope;
        // That it is the payload's, the shard has seen before it was logged. If a disk has spoiled that since, another envelope comes out, and the chain's signature does not hold.
        let before = envelope.len().checked_sub(DIGEST_BYTES + DIGEST_FIELD.len());
        let before =
            before.filter(|at| operation.payload.is_some() && envelope[*at..].starts_with(&DIGEST_FIELD));
        let (kept, elided) = (before.unwrap_or(envelope.len()), before.is_some());
        encode_varint(kept as u64 * 2 + u64::from(elided), &mut shapes);
        encode_varint(operation.payload.as_ref().map_or(0, |payload| payload.len() as u64 + 1), &mut shapes);
        // `kept` is at most the envelope's length.
        window.pack(&envelope[..kept], &mut shapes, &mut data);
        data.extend_from_slice(operation.payload.as_deref().unwrap_or_default());
        window.remember(envelope.clone());
    }
    (shapes.into(), data.into())
}

/// The operations of these shapes and data, following these envelopes.
fn unpack(
    mut shapes: &[u8],
    mut data: Bytes,
    window: &mut EnvelopeWindow,
) -> Result<Vec<OperationBytes>, Reason> {
    let malformed = Reason::Malformed("operations");
    let mut operations = Vec::new();
    let mut unpacked = 0;
    while !shapes.is_empty() {
        let (Some(kept), Some(payload)) = (number(&mut shapes), number(&mut shapes)) else {
            return Err(malformed);
        };
        let (kept, elided) = (kept / 2, kept % 2 == 1);
        if kept > ENVELOPE_BYTES_MAX {
            return Err(malformed);
        }
        let mut envelope = Vec::with_capacity(kept + DIGEST_FIELD.len() + DIGEST_BYTES);
        window.unpack(kept, &mut shapes, &mut data, &mut envelope).ok_or(malformed.clone())?;
        let payload = match payload.checked_sub(1) {
            None => None,
            Some(length) if length <= data.len() => Some(data.split_to(length)),
            Some(_) => return Err(malformed),
        };
        match (&payload, elided) {
            (Some(payload), true) => {
                envelope.extend_from_slice(&DIGEST_FIELD);
                envelope.extend_from_slice(&digest(payload));
            }
            (None, true) => return Err(malformed),
            (_, false) => {}
        }
        unpacked += envelope.len() + payload.as_ref().map_or(0, Bytes::len);
        if operations.len() == COMMIT_OPERATIONS_MAX || unpacked > COMMIT_BYTES_MAX {
            return Err(malformed);
        }
        let envelope = Bytes::from(envelope);
        window.remember(envelope.clone());
        operations.push(OperationBytes { envelope, payload });
    }
    if data.is_empty() { Ok(operations) } else { Err(malformed) }
}

/// How many operations these shapes are of, which this very region has packed.
pub(crate) fn operations_in(mut shapes: &[u8]) -> u64 {
    let mut operations = 0;
    while let (Some(kept), Some(_), Some(earlier)) =
        (number(&mut shapes), number(&mut shapes), number(&mut shapes))
    {
        let mut told = if earlier == 0 { kept / 2 } else { 0 };
        while told < kept / 2 {
            let (Some(equal), Some(new)) = (number(&mut shapes), number(&mut shapes)) else { break };
            told += equal + new;
        }
        operations += 1;
    }
    operations
}

/// A number of a shape.
pub(crate) fn number(shapes: &mut &[u8]) -> Option<usize> {
    decode_varint(shapes).ok()?.try_into().ok()
}

/// What a run takes on the wire.
pub(crate) fn run_bytes(run: &Run, placement: &SharedPlacement) -> usize {
    let (origins, index) = (placement.origins.len() as u64, placement.origin_index(run.origin));
    encoded_len_varint((run.count() * origins + index.map_or(0, u64::from)) * 2) + run.check.map_or(0, |_| 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::{Incarnation, PlacementId, RegionId};

    fn placement(regions: u16) -> SharedPlacement {
        let replica = |region| ReplicaId { region: RegionId(region), incarnation: Incarnation(7) };
        SharedPlacement {
            id: PlacementId(1),
            own: replica(1),
            peer: replica(2),
            origins: (1..=regions).map(replica).collect(),
        }
    }

    /// Of every length that a count may have on the wire.
    #[test]
    fn a_run_is_counted_as_what_it_takes() {
        for regions in [3, 15, 255] {
            let placement = placement(regions);
            for origin in placement.origins.iter().copied() {
                for count in [1, 2, 5, 20, 22, 60, 300, 1_000, 10_000, 1 << 20] {
                    for check in [None, Some(9)] {
                        let run = Run { origin, first: Sequence(1), last: Sequence(count), check };
                        let mut context = StreamContext::default();
                        context.mentioned.insert(origin, Sequence::NONE);
                        let bytes = context.encode_runs(&[run], &placement);
                        assert_eq!(run_bytes(&run, &placement), bytes.len(), "{run:?} of {regions}");
                    }
                }
            }
        }
    }

    #[test]
    fn as_many_operations_are_counted_as_were_packed() {
        let alike = |number: u8| [vec![9; 20], vec![number], vec![number % 3; usize::from(number)]].concat();
        let unlike = |number: u8| vec![100 + number; 10];
        for envelope in [&alike as &dyn Fn(u8) -> Vec<u8>, &unlike] {
            let mut window = EnvelopeWindow::default();
            for count in 1..12_u8 {
                let operation = |number| OperationBytes {
                    envelope: envelope(number).into(),
                    payload: Some(vec![number; 40 * usize::from(number)].into()),
                };
                let operations: Vec<OperationBytes> = (0..count).map(operation).collect();
                let (shapes, _) = pack(&operations, &mut window);
                assert_eq!(operations_in(&shapes), u64::from(count));
            }
        }
    }
}
