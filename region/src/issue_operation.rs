//! Issues this region's own operations: at the end of the log, on top of everything applied, in one signed commit a step and partition,
//! or a few if they are many.
//!
//! What must always hold: a dot is issued once. The next sequence comes from the durable chain and what this step has issued
//! itself; if the batch is lost, nothing of it has left, so the same dots may be issued again.

use crate::apply_operation::{self, Checked};
use crate::keys::Key;
use crate::limits::{COMMIT_BYTES_TARGET, COMMIT_OPERATIONS_TARGET};
use crate::pending::Pending;
use crate::record::{ChainRecord, CommitEnd, LogRecord};
use crate::store::StoreError;
use bytes::Bytes;
use crdt::operation::{Body, Draft, Envelope, SALT_BYTES};
use crdt::{Bucket, ChainHead, ConversationId, Dot, MessageId, Sequence, Timestamp, UserId};
use rand_core::RngCore;
use replication::commit::{Commit, OperationBytes};
use replication::log::Position;

/// Who does it, and under which id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author {
    pub(crate) conversation: ConversationId,
    pub(crate) sender: UserId,
    pub(crate) message: MessageId,
}

/// Issues an operation and applies it.
pub(crate) fn issue(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    hlc: Timestamp,
    body: Body,
) -> Result<Dot, StoreError> {
    let Author { conversation, sender, message } = author;
    let mut salt = [0; SALT_BYTES];
    entropy.fill_bytes(&mut salt);
    let draft = Draft { conversation, hlc, sender, message, body };
    let (envelope, payload) = draft.seal(salt);
    let replica = pending.config.replica;
    let work = pending.partition(conversation.partition().bucket)?;
    let sequence = Sequence(work.applied(replica).0 + work.own.len() as u64 + 1);
    let dot = Dot { replica, sequence };
    let position = work.next_position();
    if work.own.is_empty() {
        work.own_first = position;
    }
    let payload_digest = crdt::operation::digest(&payload);
    work.own.push(OperationBytes { envelope, payload: Some(payload) });
    let (kind, target) = (draft.body.kind(), draft.body.target());
    let envelope = Envelope { conversation, hlc, kind, sender, message, payload_digest, target };
    let body = Some(draft.body);
    apply_operation::apply(&mut pending.tables, position, Checked { dot, envelope, body })?;
    Ok(dot)
}

/// Signs what this step has issued, and writes it to the logs: one commit a partition, or several if it is much.
pub(crate) fn seal(pending: &mut Pending<'_>) -> Result<(), StoreError> {
    let issued: Vec<Bucket> = pending
        .partitions
        .iter()
        .filter(|(_, work)| !work.own.is_empty())
        .map(|(bucket, _)| *bucket)
        .collect();
    for bucket in issued {
        let work = pending.partition(bucket)?;
        let (own, mut position) = (std::mem::take(&mut work.own), work.own_first);
        for operations in cut(own) {
            let replica = pending.config.replica;
            let partition = pending.partition_id(bucket);
            let work = pending.partition(bucket)?;
            let chain = work.chains.get(&replica);
            let before = chain.map_or_else(|| ChainHead::genesis(partition, replica), |chain| chain.end.head);
            let first = work.applied(replica).next();
            let signer = (&*pending.config.signatures, &pending.config.signing_key);
            let commit = Commit::sign(partition, replica, first, operations, before, signer);
            let head = commit.head_after(before);
            log(pending, position, &commit, head)?;
            position.0 += commit.operations.len() as u64;
        }
    }
    Ok(())
}

/// Cuts operations into what each commit holds.
fn cut(operations: Vec<OperationBytes>) -> Vec<Vec<OperationBytes>> {
    let mut commits = Vec::new();
    let (mut current, mut bytes) = (Vec::new(), 0);
    for operation in operations {
        bytes += operation.envelope.len() + operation.payload.as_ref().map_or(0, Bytes::len);
        current.push(operation);
        if bytes >= COMMIT_BYTES_TARGET || current.len() >= COMMIT_OPERATIONS_TARGET {
            crate::sometimes::COMMIT_CUT.reach();
            commits.push(std::mem::take(&mut current));
            bytes = 0;
        }
    }
    if !current.is_empty() {
        commits.push(current);
    }
    commits
}

/// Writes a commit to the log from that position on, and moves its origin's chain to its end.
pub(crate) fn log(
    pending: &mut Pending<'_>,
    first: Position,
    commit: &Commit,
    head: ChainHead,
) -> Result<(), StoreError> {
    let bucket = commit.partition.bucket;
    let end = CommitEnd { head, signature: commit.signature };
    for ((index, dot), operation) in (0_u64..).zip(commit.dots()).zip(&commit.operations) {
        let record = LogRecord {
            dot,
            index,
            envelope: operation.envelope.clone(),
            payload: operation.payload.clone(),
            end: (dot.sequence == commit.last()).then_some(end),
        };
        pending.tables.put(&Key::Log(bucket, Position(first.0 + index)), &record);
    }
    let chain = ChainRecord { sequence: commit.last(), end };
    pending.partition(bucket)?.chains.insert(commit.origin, chain);
    Ok(())
}
