//! Keeps the rights to members' places of groups where they are needed: has those back that hold nobody's place any more, and gives some to regions
//! that have few, before they have none. No user asks for that: a region issues it by itself, with user 0 as the sender.
//!
//! The policy, on what a region has applied ([`crdt::group::Group::rights_due`]): a right that an add spent here and that nobody's place is held by any
//! more comes back as soon as that is folded. Of the regions of the placement, the richest gives the poorest half of what it has more, as soon as that has
//! less than a quarter of its own (half of a first share, if those differ by more): at the add that makes it so, not when somebody is refused. If it does not (it may be cut off), the next one does so after
//! [`RIGHTS_PATIENCE_MS`], and so on.
//!
//! The rights of a replica that an epoch closes go to its heir, in each group: as soon as all active replicas stand in the epoch, so that the heir has all that any of them
//! has of the closed one, and nothing more can come.
//!
//! What must always hold:
//! - That rights of a group may come to be due is written in the batch that makes it so, and goes in the batch that settles it: a crash forgets nothing.
//! - Nothing is issued before every region of the placement knows the kind.
//!
//! Bounded: [`SETTLED_A_STEP_MAX`] groups a step and those that the step itself changed; at most a return, a transfer to each region and a taking over from each closed one at a time.

use crate::accept_command::{self, NotDone};
use crate::accept_post;
use crate::acknowledge;
use crate::issue_operation::Author;
use crate::keys::{Key, KeyRange};
use crate::limits::{RIGHTS_PATIENCE_MS, SETTLED_A_STEP_MAX};
use crate::partition;
use crate::pending::Pending;
use crate::record;
use crate::store::{Direction, StoreError, View};
use crate::sweep::Sweeps;
use crdt::group::{RightsAct, RightsChange};
use crdt::operation::Body;
use crdt::{Bucket, ConversationId, Dot, Kind, Membership, MessageId, Now, ReplicaId, Timestamp, UserId};
use rand_core::RngCore;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// The partitions that hold groups of which rights may come to be due, and when those are to be looked at that wait for their turn to give.
#[derive(Debug)]
pub(crate) struct Unsettled {
    sweeps: Sweeps<ConversationId>,
    wakes: BTreeMap<Bucket, Now>,
}

/// How a group stands.
enum Standing {
    /// Nothing can come to be due by what was done so far.
    Settled,
    /// Something may, once more is stable.
    Waiting,
    /// A transfer is due from here at that time, unless a richer region gives before.
    InTurn(Now),
}

impl Unsettled {
    /// What a store holds: all of it is looked at once.
    pub(crate) fn load(view: &dyn View) -> Result<Self, StoreError> {
        let sweeps = Sweeps::load(view, |bucket| Ok(!unsettled(view, bucket, None, 1)?.is_empty()))?;
        Ok(Self { sweeps, wakes: BTreeMap::new() })
    }

    /// Whether there is something left to look at.
    pub(crate) fn is_due(&self) -> bool {
        self.sweeps.is_due()
    }

    /// When the next group is to be looked at whose turn to give comes then.
    pub(crate) fn wakes(&self) -> Option<Now> {
        self.wakes.values().min().copied()
    }

    /// More is stable in that partition.
    pub(crate) fn note(&mut self, bucket: Bucket) {
        self.sweeps.note(bucket);
    }

    /// Groups of that partition have been noted.
    pub(crate) fn hold(&mut self, bucket: Bucket) {
        self.sweeps.hold(bucket);
    }

    /// A peer has said which kinds it knows.
    pub(crate) fn note_all(&mut self) {
        self.sweeps.note_all();
    }

    fn wake(&mut self, now: Now) {
        for (bucket, at) in std::mem::take(&mut self.wakes) {
            if at <= now {
                self.sweeps.note(bucket);
            } else {
                self.wakes.insert(bucket, at);
            }
        }
    }

    fn wake_at(&mut self, bucket: Bucket, at: Now) {
        self.wakes.entry(bucket).and_modify(|first| *first = at.min(*first)).or_insert(at);
    }
}

/// Issues what is due of the groups that this step changed, and of those that are to be looked at.
pub(crate) fn settle(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    waiting: &mut Unsettled,
) -> Result<(), StoreError> {
    waiting.wake(pending.now);
    for conversation in std::mem::take(&mut pending.tables.unsettled) {
        if look_at(pending, entropy, waiting, conversation)? {
            waiting.sweeps.hold_looked_at(conversation.partition().bucket);
        }
    }
    let mut room = SETTLED_A_STEP_MAX;
    while room > 0
        && let Some((bucket, mut sweep)) = waiting.sweeps.take()
    {
        let found = unsettled(pending.tables.view(), bucket, sweep.after, room)?;
        let is_whole = found.len() < room;
        room -= found.len();
        for conversation in found {
            sweep.after = Some(conversation);
            sweep.left |= look_at(pending, entropy, waiting, conversation)?;
        }
        if !is_whole {
            crate::sometimes::RIGHTS_SETTLED_LATER.reach();
        }
        waiting.sweeps.looked(bucket, sweep, is_whole);
    }
    // What was issued here was looked at when it was issued.
    pending.tables.unsettled.clear();
    Ok(())
}

/// Issues what is due of a group, and writes down whether more may come to be. Says whether it may.
fn look_at(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    waiting: &mut Unsettled,
    conversation: ConversationId,
) -> Result<bool, StoreError> {
    let key = Key::Unsettled(conversation);
    let before: Option<u64> = pending.tables.load(&key)?;
    // Zero while nobody waits for a richer region.
    let since_ms = before.filter(|since_ms| *since_ms > 0).unwrap_or(pending.now.ms());
    let after = match issue_due(pending, entropy, conversation, Now(since_ms.saturating_mul(1_000)))? {
        Standing::Settled => None,
        Standing::Waiting => Some(0),
        Standing::InTurn(at) => {
            waiting.wake_at(conversation.partition().bucket, at);
            Some(since_ms)
        }
    };
    match after {
        _ if after == before => {}
        Some(since_ms) => pending.tables.put(&key, &since_ms),
        None => pending.tables.delete(&key),
    }
    Ok(after.is_some())
}

/// Issues what is due of a group, of which a transfer has been due by a richer region since then, if one is.
fn issue_due(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    conversation: ConversationId,
    since: Now,
) -> Result<Standing, StoreError> {
    let (me, placement) = (pending.config.replica, &pending.config.placement);
    let active: BTreeSet<ReplicaId> = placement.active.keys().copied().collect();
    let ended: Vec<ReplicaId> = placement.followed_by(me).collect();
    let bucket = conversation.partition().bucket;
    let are_known = !ended.is_empty() && acknowledge::all_stand(pending, bucket)?;
    let mut members = partition::members(pending.tables.view(), conversation)?;
    let unfolded = members.roster().unfolded();
    members.fold(&acknowledge::stable(pending.tables.view(), bucket)?);
    if members.roster().unfolded() < unfolded {
        pending.tables.put_bytes(&Key::Members(conversation), members.encode());
    }
    // What it inherits, a return, and a transfer to each that has few.
    for _ in 0..=active.len() + ended.len() {
        let inherits = members.inheritance_due(ended.iter().copied());
        let due = match inherits.clone().filter(|_| are_known) {
            Some((creation, act)) => Next::Issue(creation, act),
            None => next(&members, me, &active, since),
        };
        let (creation, act) = match due {
            Next::Issue(creation, act) => (creation, act),
            Next::InTurn(at, creation, act) if at <= pending.now => {
                crate::sometimes::RIGHTS_GIVEN_IN_TURN.reach();
                (creation, act)
            }
            Next::InTurn(at, ..) => return Ok(Standing::InTurn(at)),
            Next::Nothing if members.is_settled() && inherits.is_none() => return Ok(Standing::Settled),
            Next::Nothing => return Ok(Standing::Waiting),
        };
        match issue(pending, entropy, conversation, creation, act) {
            Ok(()) => members = partition::members(pending.tables.view(), conversation)?,
            // Some region does not know the kind yet, or the conversation's clock is at its end.
            Err(NotDone::Refused(_)) => return Ok(Standing::Waiting),
            Err(NotDone::Store(error)) => return Err(error),
        }
    }
    Ok(Standing::Waiting)
}

/// What is to be issued of a group.
enum Next {
    Nothing,
    Issue(Dot, RightsAct),
    /// If no richer region has given by then.
    InTurn(Now, Dot, RightsAct),
}

fn next(members: &Membership, me: ReplicaId, active: &BTreeSet<ReplicaId>, since: Now) -> Next {
    if let Some((creation, act)) = members.rights_due(me, active) {
        return Next::Issue(creation, act);
    }
    let mut richest: Vec<ReplicaId> = active.iter().copied().collect();
    richest.sort_by_key(|replica| (Reverse(members.group().held(*replica)), *replica));
    let turn = richest.iter().take_while(|replica| **replica != me).count();
    let not_richer = richest.into_iter().skip(turn).collect();
    match members.rights_due(me, &not_richer) {
        Some((creation, act)) => {
            let patience_ms = RIGHTS_PATIENCE_MS.saturating_mul(turn as u64);
            Next::InTurn(since.plus_ms(patience_ms), creation, act)
        }
        None => Next::Nothing,
    }
}

fn issue(
    pending: &mut Pending<'_>,
    entropy: &mut dyn RngCore,
    conversation: ConversationId,
    creation: Dot,
    act: RightsAct,
) -> Result<(), NotDone> {
    accept_command::known_everywhere(pending, conversation, Kind::Rights)?;
    match &act {
        RightsAct::Return(_) => crate::sometimes::RIGHTS_RETURNED.reach(),
        RightsAct::Transfer { .. } => crate::sometimes::RIGHTS_GIVEN.reach(),
        RightsAct::Inherit(_) => crate::sometimes::RIGHTS_INHERITED.reach(),
    }
    let cut = pending.tables.conversation(conversation)?.cut.clone();
    let mut id = [0; 16];
    entropy.fill_bytes(&mut id);
    let author = Author { conversation, sender: UserId(0), message: MessageId(u128::from_be_bytes(id)) };
    let body = Body::Rights(RightsChange { cut, creation, act });
    accept_post::issue(pending, entropy, author, Timestamp::ZERO, body).map(drop)
}

/// The groups of a partition of which rights may come to be due, behind that one.
fn unsettled(
    view: &dyn View,
    bucket: Bucket,
    after: Option<ConversationId>,
    limit: usize,
) -> Result<Vec<ConversationId>, StoreError> {
    let mut found = Vec::new();
    record::scan(view, &KeyRange::unsettled_after(bucket, after), Direction::Ascending, |key, _: u64| {
        if let Key::Unsettled(conversation) = key {
            found.push(conversation);
        }
        Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(found)
}
