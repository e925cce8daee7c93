//! Brings back what the store of a closed replica alone held: an operator gives its log to a region that runs, which issues again what is nowhere else (decision 0031).
//!
//! The naive way lets the old operations in under their dots. But everybody has agreed where a closed replica ends, and its heir has taken over its rights by that; under its dots nothing of it
//! can come any more. So each is issued under a dot of this region: by its sender, under its id and with its time, which are what everything else refers to it by. What another region took too
//! is one message already, however many dots it has, so what was brought back twice counts once.
//!
//! What must always hold:
//! - Nothing is brought back into a partition before all active replicas are known to stand there in an epoch that has closed the store's replica: only then is what is missing missing
//!   for good. Nor by a replica that has not caught up itself (`operate.rs`): what it issues would not have seen what the others had folded before they counted it.
//! - What is here under any dot is not issued again. What an active replica issued comes from that.
//! - Who is in a group is asked again, as the author would now, and so is the beginning of a conversation; rights are never given twice.
//! - Whoever wrote behind what is left on the disk had seen it: what is issued again says so, so nobody is shown it unmarked without its causes (promise 4).
//! - Nothing is believed that its origin has not signed: whoever gives a log can bring back what was acknowledged, and invent nothing.
//! - Everything of an input is verified and read before anything is done, so what is malformed changes nothing.
//!
//! Bounded: [`SALVAGED_A_STEP_MAX`] operations an act, which is one step; the operator's program sends the next when one is answered.

use crate::accept_command::{self, NotDone};
use crate::acknowledge;
use crate::change_membership;
use crate::command::{MembersWish, Refusal};
use crate::create_conversation;
use crate::export;
use crate::issue_operation::{self, Author};
use crate::keys::Key;
use crate::limits::{SALVAGED_A_STEP_MAX, SALVAGED_A_STEP_TARGET, SALVAGED_BYTES_TARGET};
use crate::operate::{Failure, NotOperated};
use crate::partition;
use crate::pending::Pending;
use crate::record::{self, IdentityRecord, LoggedPlace};
use crate::store::{StoreError, View};
use bytes::Bytes;
use crdt::amendments::AmendmentContent;
use crdt::operation::{Body, Envelope};
use crdt::roster::{Action, Change};
use crdt::{
    ChainHead, ConversationId, Cut, DirectoryEntry, Dot, Identity, Kind, Operation, PartitionId, PlacementId,
    ReplicaId, Sequence, UserId,
};
use rand_core::RngCore;
use replication::commit::{Commit, CommitRefused, OperationBytes};
use replication::log::{LoggedCommit, Position};
use std::collections::BTreeMap;

/// Part of an old store's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvage {
    /// Whose store it was.
    pub of: ReplicaId,
    /// Of which partition the log is.
    pub partition: PartitionId,
    /// What stands there, in the log's order; what came before was given before.
    pub commits: Vec<Chained>,
    /// What of that was left on the disk, by conversation: who wrote afterwards had seen it.
    pub left: BTreeMap<ConversationId, Cut>,
}

/// A commit, and where its origin's chain stood before it. That need not be believed: the signature is over the head that follows from it and from every envelope, so no other ones can be put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chained {
    /// The head before.
    pub before: ChainHead,
    /// As it stands in the log.
    pub commit: Commit,
}

impl Chained {
    /// As an operator gives it: from that operation of its origin on, each with its envelope and payload.
    #[must_use]
    pub fn new(
        before: ChainHead,
        (partition, first): (PartitionId, Dot),
        operations: Vec<(Bytes, Option<Bytes>)>,
        signature: [u8; 64],
    ) -> Self {
        let of = |(envelope, payload)| OperationBytes { envelope, payload };
        let operations = operations.into_iter().map(of).collect();
        let commit =
            Commit { partition, origin: first.replica, first: first.sequence, operations, signature };
        Self { before, commit }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Salvaged {
    /// Operations that were here already.
    pub had: u64,
    /// How many of these are stable: no region lacks them.
    pub stable: u64,
    /// Operations of active replicas, which come from those.
    pub to_come: u64,
    /// Operations about rights to members' places, which the heir has.
    pub rights: u64,
    /// Operations that were issued again.
    pub brought_back: u64,
    /// Changes of members and beginnings of conversations that were asked again, and done.
    pub asked_again: u64,
    /// What was not brought back.
    pub left: Vec<Left>,
}

/// An operation that stays on the old disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub dot: Dot,
    /// Of which conversation.
    pub conversation: ConversationId,
    /// By whom, under which id.
    pub identity: Identity,
    /// Why.
    pub why: WhyLeft,
}

/// Why an operation is not brought back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhyLeft {
    /// Its text is gone.
    #[error("its text was cut, since the message was deleted: nothing is missing")]
    Deleted,
    /// Its author is erased.
    #[error("{0} was erased, so nothing of theirs is brought back")]
    Erased(UserId),
    /// It changes a document.
    #[error(
        "a change of what people edit together cannot be issued by another replica: its author may make it again"
    )]
    Document,
    /// This region does not do it.
    #[error("{0}")]
    Refused(Refusal),
}

impl Salvaged {
    /// Adds what became of more.
    pub fn add(&mut self, more: Self) {
        let Self { had, stable, to_come, rights, brought_back, asked_again, left } = more;
        self.had += had;
        self.stable += stable;
        self.to_come += to_come;
        self.rights += rights;
        self.brought_back += brought_back;
        self.asked_again += asked_again;
        self.left.extend(left);
    }
}

impl WhyLeft {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Erased(_) => "user_erased",
            Self::Document => "document_change",
            Self::Refused(refusal) => refusal.code(),
        }
    }
}

/// The partitions of an old store that hold anything.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn partitions(view: &dyn View, placement: PlacementId) -> Result<Vec<PartitionId>, StoreError> {
    let buckets = partition::buckets(view)?.into_iter();
    Ok(buckets.map(|bucket| PartitionId { placement, bucket }).collect())
}

/// What stands in an old store's log behind that position: as much as goes into one step, and where it ends; nothing at the log's end.
///
/// # Errors
/// [`StoreError`] when the store cannot be read, or is damaged.
pub fn part(
    view: &dyn View,
    partition: PartitionId,
    after: Position,
) -> Result<(Vec<Chained>, Position), StoreError> {
    let (mut commits, mut operations, mut bytes, mut at) = (Vec::new(), 0, 0, after);
    while operations < SALVAGED_A_STEP_TARGET && bytes < SALVAGED_BYTES_TARGET {
        let Some(logged) = partition::commit_at(view, partition, Position(at.0 + 1))? else { break };
        let LoggedCommit { last, commit, .. } = logged;
        operations += commit.operations.len();
        let of = |operation: &OperationBytes| {
            operation.envelope.len() + operation.payload.as_ref().map_or(0, Bytes::len)
        };
        bytes += commit.operations.iter().map(of).sum::<usize>();
        commits.push(Chained { before: head_before(view, &commit)?, commit });
        at = last;
    }
    Ok((commits, at))
}

/// Where the chain of a commit's origin stood before it.
fn head_before(view: &dyn View, commit: &Commit) -> Result<ChainHead, StoreError> {
    let (partition, origin) = (commit.partition, commit.origin);
    let previous = commit.first.0.saturating_sub(1);
    if previous == 0 {
        return Ok(ChainHead::genesis(partition, origin));
    }
    let dot = Dot { replica: origin, sequence: Sequence(previous) };
    let bucket = partition.bucket;
    let damaged = |what| record::damaged(&Key::Dot(bucket, dot).encode(), what);
    let position = partition::position_of(view, bucket, dot)?
        .ok_or_else(|| damaged("a commit follows it, and it is not there"))?;
    let entry = partition::entry(view, bucket, position, "a dot")?;
    entry.end.map(|end| end.head).ok_or_else(|| damaged("a commit follows it, and it ends none"))
}

/// What becomes of one operation.
enum Fate {
    Had { stable: bool },
    ToCome,
    Rights,
    BroughtBack,
    AskedAgain,
    Left(WhyLeft),
}

/// An operation that has been read.
struct Original {
    dot: Dot,
    bytes: Operation,
    envelope: Envelope,
    body: Option<Body>,
}

/// Brings back what is missing.
pub(crate) fn salvage(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    act: Salvage,
) -> Result<Salvaged, Failure> {
    let Salvage { of, partition, commits, mut left } = act;
    let placement = &pending.config.placement;
    if partition.placement != placement.id {
        return Err(NotOperated::OtherPartition(partition).into());
    }
    let operations = commits.iter().map(|chained| chained.commit.operations.len()).sum();
    if operations > SALVAGED_A_STEP_MAX {
        return Err(NotOperated::TooManyAtOnce { operations }.into());
    }
    if placement.active.contains_key(&of) || !placement.closed.contains_key(&of) {
        return Err(NotOperated::NotClosed(of).into());
    }
    // Where nothing is here there is nobody to wait for: this replica has caught up, so what another region sends later had not been folded without it, and is the same under another dot.
    let is_begun = pending.partition(partition.bucket)?.reach.log_end > Position(0);
    if is_begun && !acknowledge::all_stand(pending, partition.bucket)? {
        crate::sometimes::SALVAGE_TOO_EARLY.reach();
        return Err(NotOperated::EpochNotEverywhere(pending.config.placement.epoch.0).into());
    }
    let mut read = Vec::new();
    for chained in commits {
        read.extend(verified(pending, partition, chained)?);
    }
    let mut salvaged = Salvaged::default();
    for original in read {
        let (dot, identity) = (original.dot, original.envelope.identity());
        let conversation = original.envelope.conversation;
        pending.was_in_time = true;
        let fate = fate(pending, entropy, original, left.get(&conversation));
        pending.was_in_time = false;
        match fate? {
            Fate::Had { stable } => {
                salvaged.had += 1;
                salvaged.stable += u64::from(stable);
            }
            Fate::ToCome => salvaged.to_come += 1,
            Fate::Rights => salvaged.rights += 1,
            Fate::BroughtBack => {
                crate::sometimes::BROUGHT_BACK.reach();
                salvaged.brought_back += 1;
            }
            Fate::AskedAgain => {
                crate::sometimes::ASKED_AGAIN.reach();
                salvaged.asked_again += 1;
            }
            Fate::Left(why) => {
                crate::sometimes::LEFT_ON_THE_DISK.reach();
                if why != WhyLeft::Deleted {
                    left.entry(conversation).or_default().raise(dot);
                }
                salvaged.left.push(Left { dot, conversation, identity, why });
            }
        }
    }
    Ok(salvaged)
}

/// The operations of a commit, if it is one that its origin has signed.
fn verified(
    pending: &Pending<'_>,
    partition: PartitionId,
    Chained { before, commit }: Chained,
) -> Result<Vec<Original>, NotOperated> {
    if commit.partition != partition {
        return Err(NotOperated::OtherPartition(commit.partition));
    }
    let origin = commit.origin;
    let key = pending.config.placement.key_of(origin);
    let key = key.ok_or(CommitRefused::UnknownOrigin { partition, origin })?;
    let had = Sequence(commit.first.0.saturating_sub(1));
    commit.verify(had, before, (&*pending.config.signatures, key))?;
    let dots: Vec<Dot> = commit.dots().collect();
    let operations = dots.into_iter().zip(commit.operations);
    operations
        .map(|(dot, OperationBytes { envelope, payload })| {
            read(partition, Operation { dot, envelope, payload })
        })
        .collect()
}

fn read(partition: PartitionId, operation: Operation) -> Result<Original, NotOperated> {
    let dot = operation.dot;
    let malformed = |reason| NotOperated::MalformedOriginal { dot, reason };
    let envelope = Envelope::decode(&operation.envelope).map_err(malformed)?;
    if envelope.conversation.partition() != partition {
        return Err(NotOperated::OtherPartition(envelope.conversation.partition()));
    }
    let body = operation.payload.as_ref().map(|payload| Body::decode(&envelope, payload));
    let body = body.transpose().map_err(malformed)?;
    Ok(Original { dot, bytes: operation, envelope, body })
}

fn fate(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    original: Original,
    left: Option<&Cut>,
) -> Result<Fate, StoreError> {
    if let Some(stable) = is_here(pending, &original)? {
        return Ok(Fate::Had { stable });
    }
    let Original { dot, envelope, body, .. } = original;
    if pending.config.placement.active.contains_key(&dot.replica) {
        return Ok(Fate::ToCome);
    }
    if envelope.kind == Kind::Rights {
        return Ok(Fate::Rights);
    }
    if export::entry(pending.tables.view(), envelope.sender)? == DirectoryEntry::Erased {
        return Ok(Fate::Left(WhyLeft::Erased(envelope.sender)));
    }
    let Envelope { conversation, sender, message, .. } = envelope;
    let author = Author { conversation, sender, message };
    let done = match body {
        None => return Ok(Fate::Left(WhyLeft::Deleted)),
        Some(Body::Document(_)) => return Ok(Fate::Left(WhyLeft::Document)),
        Some(Body::Rights(_)) => return Ok(Fate::Rights),
        Some(Body::Create { members, name, direct, .. }) => {
            begin(pending, entropy, author, (members, name, direct))
        }
        Some(Body::Change(Change { action, .. })) => change(pending, entropy, author, action),
        Some(body @ (Body::Post(_) | Body::Amend { .. })) => {
            issue_again(pending, entropy, author, (&envelope, body), left)
        }
    };
    match done {
        Ok(fate) => Ok(fate),
        Err(NotDone::Refused(refusal)) => Ok(Fate::Left(WhyLeft::Refused(refusal))),
        Err(NotDone::Store(error)) => Err(error),
    }
}

/// Whether an operation is here, where it stood or before, and then whether all regions have it so. A dot that stands for another operation here was given twice, which says nothing of this one.
fn is_here(pending: &mut Pending<'_>, original: &Original) -> Result<Option<bool>, StoreError> {
    let (dot, envelope) = (original.dot, &original.envelope);
    let conversation = envelope.conversation;
    let bucket = conversation.partition().bucket;
    let stable = acknowledge::stable(pending.tables.view(), bucket)?;
    if let Some(position) = partition::position_of(pending.tables.view(), bucket, dot)?
        && partition::entry(pending.tables.view(), bucket, position, "a dot")?.envelope
            == original.bytes.envelope
    {
        return Ok(Some(stable.covers(dot)));
    }
    if envelope.kind == Kind::Rights {
        return Ok(None);
    }
    let key = Key::Identity(conversation, envelope.sender, envelope.message);
    let known: IdentityRecord = pending.tables.load(&key)?.unwrap_or_default();
    // Sent again from an outbox it stands where it arrived then, and what its author wrote behind it, and has come back from the disk alone, would stand before it.
    let keeps_its_place = matches!(original.body, Some(Body::Post(_) | Body::Amend { .. }));
    let stands = |logged: &&LoggedPlace| !keeps_its_place || logged.place.hlc <= envelope.hlc;
    let mut standing = known.places.iter().filter(stands).peekable();
    if standing.peek().is_none() && !known.places.is_empty() {
        crate::sometimes::SENT_AGAIN_BEFORE_IT_WAS_SALVAGED.reach();
    }
    let is_there = standing.peek().is_some();
    Ok(is_there.then(|| standing.any(|logged| stable.covers(logged.place.dot))))
}

/// Issues a message, or what was done to one, under a dot of this region and with its time.
fn issue_again(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    (envelope, body): (&Envelope, Body),
    left: Option<&Cut>,
) -> Result<Fate, NotDone> {
    let conversation = author.conversation;
    if !partition::members(pending.tables.view(), conversation)?.exists() {
        return Err(Refusal::UnknownConversation(conversation).into());
    }
    accept_command::placement_allows(pending, conversation, &[author.sender])?;
    if envelope.kind != Kind::Post {
        accept_command::known_everywhere(pending, conversation, envelope.kind)?;
    }
    let with_left = |seen: Option<Cut>| match (seen, left) {
        (Some(mut seen), Some(left)) => {
            seen.join(left);
            Some(seen)
        }
        (seen, left) => seen.or_else(|| left.cloned()),
    };
    let body = match body {
        Body::Post(mut post) => {
            post.seen = with_left(post.seen);
            Body::Post(post)
        }
        Body::Amend { target, content: AmendmentContent::Edit { body, seen } } => {
            Body::Amend { target, content: AmendmentContent::Edit { body, seen: with_left(seen) } }
        }
        other => other,
    };
    issue_operation::issue(pending, entropy, author, envelope.hlc, body)?;
    Ok(Fate::BroughtBack)
}

/// Begins a conversation as its creator would now.
fn begin(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    (members, name, direct): (Vec<UserId>, String, bool),
) -> Result<Fate, NotDone> {
    if direct {
        // Whoever talks to themselves is the only one in it.
        let peer = members.iter().copied().find(|member| *member != author.sender).unwrap_or(author.sender);
        create_conversation::direct(pending, entropy, author, peer)?;
    } else {
        create_conversation::group(pending, entropy, author, members, name, None)?;
    }
    Ok(Fate::AskedAgain)
}

/// Changes who is in a group as the author would now.
fn change(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    author: Author,
    action: Action,
) -> Result<Fate, NotDone> {
    let wish = match action {
        // No body holds one: a creation has a body of its own.
        Action::Create { .. } => return Ok(Fate::Rights),
        Action::Add { user, .. } => MembersWish::Add(user),
        Action::Remove { user, .. } => MembersWish::Remove(user),
        Action::Leave => MembersWish::Leave,
        Action::Promote { user, .. } => MembersWish::Promote(user),
        Action::Demote { user, .. } => MembersWish::Demote(user),
        Action::Claim => MembersWish::Claim,
    };
    change_membership::accept(pending, entropy, author, wish)?;
    Ok(Fate::AskedAgain)
}
