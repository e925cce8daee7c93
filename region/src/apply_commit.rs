//! Applies entries of a peer's log: whole commits, verified, at the end of this region's log.
//!
//! What must always hold:
//! - Everything of an input is checked before anything of it is applied, so a refusal changes nothing.
//! - A commit is the next of its origin's chain as this region has it, signed by the origin, or it is one this region has
//!   already. The same sequences under another head are a fork: refused, whatever else the input holds.
//! - The peer's cursor moves in the same batch as what it stands for.
//! - Behind a refusal nothing more of that stream is taken until its peer introduces itself anew: what was on its way then may be sense only to who has what was refused.
//! - What a closed replica issued comes through the logs of active ones alone, and from those always (history 4).
//!
//! Refused: an origin that no epoch has admitted, entries out of order, a wrong signature, a fork, a payload that is not the one its envelope names, bytes that are
//! no operation, a kind of a later version (its partition's stream stops there until this region is upgraded).

use crate::apply_operation::{self, Checked};
use crate::issue_operation;
use crate::keys::Key;
use crate::partition;
use crate::pending::Pending;
use crate::record::LogRecord;
use crate::residency;
use crate::shard::Effect;
use crate::store::StoreError;
use bytes::Bytes;
use crdt::group::{RightsAct, RightsChange};
use crdt::operation::{Body, Envelope, MalformedOperation};
use crdt::{Bucket, ChainHead, Dot, PartitionId, ReplicaId, Sequence};
use replication::commit::{Commit, CommitRefused};
use replication::log::{PeerCursor, Position};
use replication::placement::Placement;
use std::collections::{BTreeMap, BTreeSet};

/// A commit that may be applied.
struct Verified {
    commit: Commit,
    head: ChainHead,
    operations: Vec<Checked>,
}

/// Per origin, the last sequence and its chain head, as they will be once everything verified so far is applied.
type Heads = BTreeMap<ReplicaId, (Sequence, ChainHead)>;

/// The streams of which something was refused: a partition of a peer's log each. Bounded by the placement's partitions and peers; a stream stands here from its refusal until its
/// peer introduces itself, which each connection begins with.
#[derive(Debug, Default)]
pub(crate) struct RefusedStreams(BTreeSet<(ReplicaId, Bucket)>);

impl RefusedStreams {
    /// A peer introduces itself: what follows is a new stream.
    pub(crate) fn begin_anew(&mut self, peer: ReplicaId) {
        self.0.retain(|(refused, _)| *refused != peer);
    }
}

/// Applies commits of a peer's log, or refuses all of them.
pub(crate) fn apply(
    pending: &mut Pending<'_>,
    refused: &mut RefusedStreams,
    peer: ReplicaId,
    partition: PartitionId,
    commits: Vec<Commit>,
    cursor: Option<Position>,
) -> Result<(), StoreError> {
    if pending.config.placement.closed.contains_key(&peer) {
        // It was on its way when the epoch came; the same comes from those that are active, as far as they have it.
        crate::sometimes::CLOSED_PEER_SPOKE.reach();
        return Ok(());
    }
    if refused.0.contains(&(peer, partition.bucket)) {
        crate::sometimes::BEHIND_A_REFUSAL.reach();
        return Ok(());
    }
    match verify(pending, peer, partition, commits)? {
        Err(reason) => {
            crate::sometimes::COMMIT_REFUSED.reach();
            refused.0.insert((peer, partition.bucket));
            pending.tables.effects.push(Effect::Refused { peer, reason });
        }
        Ok(verified) => {
            for commit in verified {
                append(pending, commit)?;
            }
            if let Some(log) = cursor {
                move_cursor(pending, peer, partition, |cursor| cursor.log = cursor.log.max(log))?;
            }
        }
    }
    Ok(())
}

/// Moves this region's cursor in a peer's log or feed.
pub(crate) fn move_cursor(
    pending: &mut Pending<'_>,
    peer: ReplicaId,
    partition: PartitionId,
    advance: impl FnOnce(&mut PeerCursor),
) -> Result<(), StoreError> {
    let key = Key::Cursor(partition.bucket, peer);
    let before: PeerCursor = pending.tables.load(&key)?.unwrap_or_default();
    let mut cursor = before;
    advance(&mut cursor);
    if cursor != before {
        pending.tables.put(&key, &cursor);
    }
    Ok(())
}

/// Checks everything and changes nothing. Commits that this region has already are left out.
fn verify(
    pending: &mut Pending<'_>,
    peer: ReplicaId,
    partition: PartitionId,
    commits: Vec<Commit>,
) -> Result<Result<Vec<Verified>, CommitRefused>, StoreError> {
    if partition.placement != pending.config.placement.id
        || !pending.config.placement.active.contains_key(&peer)
    {
        return Ok(Err(CommitRefused::UnknownOrigin { partition, origin: peer }));
    }
    let chains = &pending.partition(partition.bucket)?.chains;
    let mut heads: Heads =
        chains.iter().map(|(origin, chain)| (*origin, (chain.sequence, chain.end.head))).collect();
    let mut verified = Vec::new();
    for commit in commits {
        let (origin, own) = (commit.origin, pending.config.replica);
        if commit.partition != partition {
            return Ok(Err(CommitRefused::WrongPartition {
                partition,
                dot: Dot { replica: origin, sequence: commit.first },
            }));
        }
        let Some(key) = pending.config.placement.key_of(origin).copied() else {
            return Ok(Err(CommitRefused::UnknownOrigin { partition, origin }));
        };
        let genesis = (Sequence::NONE, ChainHead::genesis(partition, origin));
        let (applied, head) = heads.get(&origin).copied().unwrap_or(genesis);
        if commit.first <= applied {
            if let Err(reason) = compare(pending, &verified, &commit, &key, applied)? {
                return Ok(Err(reason));
            }
            if commit.last() <= applied {
                crate::sometimes::COMMIT_HAD.reach();
                continue;
            }
        }
        let commit = without_applied(commit, applied);
        let head = match commit.verify(applied, head, (&*pending.config.signatures, &key)) {
            // A peer that has more of this very replica than this region itself: its store was rolled back.
            Ok(_) if origin == own => {
                crate::sometimes::SECOND_LIFE.reach();
                return Ok(Err(CommitRefused::Fork { partition, origin, last: commit.last().0 }));
            }
            Ok(head) => head,
            Err(reason) => return Ok(Err(reason)),
        };
        let operations = match decode(&commit) {
            Ok(operations) => operations,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Some((dot, of)) = takes_over_wrongly(&pending.config.placement, origin, &operations) {
            crate::sometimes::NOT_THE_HEIR.reach();
            return Ok(Err(CommitRefused::NotTheHeir { partition, dot, of }));
        }
        heads.insert(origin, (commit.last(), head));
        verified.push(Verified { commit, head, operations });
    }
    Ok(Ok(verified))
}

/// An operation by which a replica takes over the rights of one that no epoch has made it the heir of. It is refused and not held void: by a later epoch it could be right, and regions that
/// met it before and after would differ. Bridges stand between regions of one epoch, so what an honest heir issues is never met too early.
fn takes_over_wrongly(
    placement: &Placement,
    origin: ReplicaId,
    operations: &[Checked],
) -> Option<(Dot, ReplicaId)> {
    operations.iter().find_map(|operation| match &operation.body {
        Some(Body::Rights(RightsChange { act: RightsAct::Inherit(of), .. })) => {
            let may = placement.heirs_of(*of).any(|heir| heir == origin);
            (!may).then_some((operation.dot, *of))
        }
        _ => None,
    })
}

/// What of a commit comes after what this region has: its signature covers the chain up to its end, so the rest stands as well as the whole.
fn without_applied(mut commit: Commit, applied: Sequence) -> Commit {
    if commit.first <= applied && commit.first > Sequence::NONE {
        crate::sometimes::COMMIT_HAD_IN_PART.reach();
        let had = usize::try_from(applied.0 + 1 - commit.first.0).unwrap_or(usize::MAX);
        commit.operations.drain(..had.min(commit.operations.len()));
        commit.first = applied.next();
    }
    commit
}

/// Compares a commit with what this region has under the same sequences: operation by operation, since a bridge joins neighbouring commits
/// under the last one's signature, so the same chain may be cut into commits in several ways.
fn compare(
    pending: &Pending<'_>,
    verified: &[Verified],
    commit: &Commit,
    key: &ed25519_dalek::VerifyingKey,
    applied: Sequence,
) -> Result<Result<(), CommitRefused>, StoreError> {
    let (partition, origin) = (commit.partition, commit.origin);
    if commit.operations.is_empty() {
        return Ok(Err(CommitRefused::Empty { partition, origin }));
    }
    let Some(previous) = commit.first.0.checked_sub(1).map(Sequence) else {
        let (first, expected) = (commit.first.0, applied.next().0);
        return Ok(Err(CommitRefused::OutOfOrder { partition, origin, first, expected }));
    };
    let mut differs = false;
    for (dot, operation) in commit.dots().zip(&commit.operations).filter(|(dot, _)| dot.sequence <= applied) {
        differs |= had_envelope(pending, verified, partition, dot)?.as_ref() != Some(&operation.envelope);
    }
    if !differs {
        return Ok(Ok(()));
    }
    crate::sometimes::FORK_FOUND.reach();
    let before = if previous == Sequence::NONE {
        Some(ChainHead::genesis(partition, origin))
    } else {
        kept_head(pending, partition, Dot { replica: origin, sequence: previous })?
    };
    let last = commit.last();
    Ok(Err(match before.map(|before| commit.verify(previous, before, (&*pending.config.signatures, key))) {
        // Another cut of another chain: its signature cannot be told from here, that it is another chain can.
        None | Some(Ok(_)) => CommitRefused::Fork { partition, origin, last: last.0 },
        Some(Err(reason)) => reason,
    }))
}

/// The envelope of an operation that this region has, or that is verified in this very input.
fn had_envelope(
    pending: &Pending<'_>,
    verified: &[Verified],
    partition: PartitionId,
    dot: Dot,
) -> Result<Option<Bytes>, StoreError> {
    let waiting =
        verified.iter().map(|verified| &verified.commit).filter(|commit| commit.origin == dot.replica);
    for commit in waiting.filter(|commit| commit.first <= dot.sequence) {
        let at = usize::try_from(dot.sequence.0 - commit.first.0).unwrap_or(usize::MAX);
        if let Some(operation) = commit.operations.get(at) {
            return Ok(Some(operation.envelope.clone()));
        }
    }
    let Some(position) = partition::position_of(pending.tables.view(), partition.bucket, dot)? else {
        return Ok(None);
    };
    let entry: LogRecord = partition::entry(pending.tables.view(), partition.bucket, position, "a dot")?;
    Ok(Some(entry.envelope))
}

/// The chain head after that operation, if it ended a commit here.
fn kept_head(
    pending: &Pending<'_>,
    partition: PartitionId,
    dot: Dot,
) -> Result<Option<ChainHead>, StoreError> {
    let Some(position) = partition::position_of(pending.tables.view(), partition.bucket, dot)? else {
        return Ok(None);
    };
    let entry: LogRecord = partition::entry(pending.tables.view(), partition.bucket, position, "a dot")?;
    Ok(entry.end.map(|end| end.head))
}

/// Decodes every operation of a commit.
fn decode(commit: &Commit) -> Result<Vec<Checked>, CommitRefused> {
    let partition = commit.partition;
    let mut operations = Vec::with_capacity(commit.operations.len());
    for (dot, operation) in commit.dots().zip(&commit.operations) {
        let malformed = |reason| match reason {
            MalformedOperation::UnknownKind(kind) => CommitRefused::LaterKind { partition, dot, kind },
            reason => CommitRefused::Malformed { partition, dot, reason },
        };
        let envelope = Envelope::decode(&operation.envelope).map_err(malformed)?;
        if envelope.conversation.partition() != partition {
            return Err(CommitRefused::WrongPartition { partition, dot });
        }
        let body = match &operation.payload {
            // Cut where it comes from, since the message is deleted: the deletion follows, or is here already.
            None if envelope.kind.may_be_cut() => None,
            None => return Err(malformed(MalformedOperation::Field("payload"))),
            Some(payload) => Some(Body::decode(&envelope, payload).map_err(malformed)?),
        };
        operations.push(Checked { dot, envelope, body });
    }
    Ok(operations)
}

/// Tells of every user an operation names whose pin does not allow this placement. Pins are judged at the door, like windows: which placements
/// they allow changes with epochs, so to judge a log by them would make regions differ, and stop a partition over what was right when it
/// was issued (decision 0012).
fn note_broken_pins(pending: &mut Pending<'_>, operation: &Checked) {
    let Checked { dot, envelope, body } = operation;
    let mut users = residency::users_named(envelope, body.as_ref());
    users.retain(|user| !pending.config.allowed_pins.contains(&user.placement()));
    if !users.is_empty() {
        crate::sometimes::PIN_BROKEN.reach();
    }
    let conversation = envelope.conversation;
    let told = users.into_iter().map(|user| Effect::PinBroken { dot: *dot, conversation, user });
    pending.tables.effects.extend(told);
}

/// Appends a verified commit to the log and applies its operations.
fn append(pending: &mut Pending<'_>, verified: Verified) -> Result<(), StoreError> {
    let Verified { commit, head, operations } = verified;
    let work = pending.partition(commit.partition.bucket)?;
    work.weigh_stability = true;
    let first = Position(work.reach.log_end.0 + 1);
    issue_operation::log(pending, first, &commit, head)?;
    for operation in operations {
        note_broken_pins(pending, &operation);
        let position = pending.partition(commit.partition.bucket)?.next_position();
        apply_operation::apply(&mut pending.tables, position, operation)?;
    }
    Ok(())
}
