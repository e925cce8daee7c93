//! The shard: one deterministic function that is the only writer of its partitions, those of one placement.
//!
//! ```text
//!   commands, entries, registers, ticks ──▶ step(now, entropy, inputs, view) ──▶ batch ──sync──▶ effects
//! ```
//! How to drive me: drain the mailbox, call `step`, commit the batch with a sync, release the effects, again. Start no step
//! before the last batch is durable. Begin with a step of one tick. A failed commit, and a step that fails, end the process.
//!
//! What must always hold: within a step what comes from peers is applied first and commands come after, so this region's own
//! operations stand at the end of each log, as one commit a partition.
//!
//! What a post of 1,024 bytes costs (`tests/steps.rs` counts it): five records of its own (log, dot, identity, timeline, change), about 350
//! bytes around the body, and three that a step writes once a partition however many posts it holds (conversation, chain, reach): a lone
//! post makes 8 writes and 1,671 bytes, a hundred in a step 503 writes and 1,377 bytes each. Two allocations a write, its key and its value;
//! the body is copied twice, into its payload and into its log record.

use crate::accept_command;
use crate::acknowledge::{self, Unacknowledged};
use crate::apply_commit::{self, RefusedStreams};
use crate::catch_up::{self, Standing};
use crate::command::{Command, Done, Refusal};
use crate::compact_files::{self, KeySpan, Leftovers};
use crate::cut_payloads::{self, Uncut};
use crate::expire_messages::{self, Ages};
use crate::features::Features;
use crate::follow_epochs;
use crate::hold_answers::{self, HeldAnswers};
use crate::issue_operation;
use crate::item::Change;
use crate::join_registers;
use crate::limits::Limits;
use crate::mend_document::{self, MadeTwice};
use crate::note_peer;
use crate::operate::{self, Act, NotOperated, Operated};
use crate::partition;
use crate::pending::{Kept, Pending};
use crate::recover;
use crate::settle_rights::{self, Unsettled};
use crate::store::{Batch, StoreError, View};
use crate::survey_groups::{self, Survey};
use crdt::{
    ConversationId, Cut, DeviceId, Dot, Identity, Now, PartitionId, PlacementId, ReplicaId, UserId,
    VersionVector,
};
use ed25519_dalek::SigningKey;
use rand_core::RngCore;
use replication::StoreStart;
use replication::commit::{Commit, CommitRefused};
use replication::epoch::{EpochRefused, EpochStatement};
use replication::log::{ChangeNumber, PartitionState, PeerCursor, Position};
use replication::placement::Placement;
use replication::register::Register;
use replication::signature::Signatures;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a shard is told once, when it opens.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// The placement whose partitions it owns, under the region's current epoch, until it is told of the next.
    pub placement: Placement,
    /// The placements whose users may take part in this one's conversations: those whose regions include all of this one's.
    pub allowed_pins: BTreeSet<PlacementId>,
    /// This region in its present incarnation.
    pub replica: ReplicaId,
    /// Signs this replica's commits.
    pub signing_key: SigningKey,
    /// How commits are signed and verified.
    pub signatures: Arc<dyn Signatures>,
    /// What it accepts.
    pub limits: Limits,
}

/// Why a shard cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The epoch does not admit this replica, or under another key.
    #[error(
        "{replica} is not active in placement {placement} under the key it has: check the region's key, and the placement's epochs"
    )]
    NotActive {
        /// The placement.
        placement: PlacementId,
        /// The replica that was to be opened.
        replica: ReplicaId,
    },
    /// The store is damaged or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The only writer of a placement's partitions in this region.
#[derive(Debug)]
pub struct Shard {
    config: ShardConfig,
    unacknowledged: Unacknowledged,
    uncut: Uncut,
    leftovers: Leftovers,
    ages: Ages,
    unsettled: Unsettled,
    made_twice: MadeTwice,
    refused: RefusedStreams,
    survey: Survey,
    kept: Kept,
    features: Features,
    standing: Standing,
    held: HeldAnswers,
}

impl Shard {
    /// Opens a shard over what its store holds, and checks that the log and the vectors agree.
    ///
    /// # Errors
    /// [`OpenError`] when the replica is not active under its key, or the store is damaged.
    pub fn open(config: ShardConfig, view: &dyn View) -> Result<Self, OpenError> {
        if config.placement.active.get(&config.replica) != Some(&config.signing_key.verifying_key()) {
            return Err(OpenError::NotActive { placement: config.placement.id, replica: config.replica });
        }
        recover::check(view, config.placement.id)?;
        let unacknowledged = Unacknowledged::load(&config, view)?;
        let (uncut, unsettled) = (cut_payloads::load(view)?, Unsettled::load(view)?);
        let (leftovers, survey) = (Leftovers::load(view)?, Survey::load(view)?);
        let ages = Ages::load(view)?;
        let (made_twice, kept) = (mend_document::load(view)?, Kept::new());
        let features = Features::load(view, &config.placement)?;
        let refused = RefusedStreams::default();
        let standing = Standing::load(&config, view)?;
        Ok(Self {
            config,
            unacknowledged,
            uncut,
            leftovers,
            ages,
            unsettled,
            made_twice,
            refused,
            survey,
            kept,
            features,
            standing,
            held: HeldAnswers::default(),
        })
    }

    /// Whether this replica lacks what active ones held when it was admitted: then no device is to be answered in this placement, until [`Effect::CaughtUp`].
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.standing == Standing::Behind
    }

    /// Answers that wait until another region has what they are about.
    #[must_use]
    pub fn held_answers(&self) -> usize {
        self.held.count()
    }

    /// Since when texts that were cut may lie in the engine's older files; none if none does.
    #[must_use]
    pub fn leftovers_since(&self) -> Option<Now> {
        self.leftovers.since()
    }

    /// For how many microseconds at least the oldest texts of messages have been here, while this region ran; none while none has been for a day.
    #[must_use]
    pub fn texts_age_us(&self) -> Option<u64> {
        self.ages.oldest_us()
    }

    /// Decides what the inputs do.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or is damaged: nothing was decided, and this shard is not to be used again.
    pub fn step(
        &mut self,
        now: Now,
        entropy: &mut dyn RngCore,
        mut inputs: Vec<Input>,
        view: &dyn View,
    ) -> Result<Outcome, StoreError> {
        let followed = follow_epochs::follow(&mut self.config, &mut inputs);
        if let Some(before) = followed.before() {
            self.survey.begin(before, &self.config.placement);
            self.made_twice.note_all();
            // What is known of acknowledgements is kept of the replicas of one epoch.
            self.kept.clear();
            self.features = Features::load(view, &self.config.placement)?;
            for bucket in partition::buckets(view)? {
                self.unacknowledged.note(bucket, now, &self.config);
            }
        }
        let mut pending = Pending::begin(&self.config, now, view, (&mut self.kept, &mut self.features));
        if follow_epochs::keep(&mut pending, followed) {
            let (batch, effects) = pending.finish()?;
            return Ok(Outcome { batch, effects, next_tick: None });
        }
        inputs.sort_by_key(|input| matches!(input, Input::Command { .. }));
        for input in inputs {
            match input {
                Input::Command { ticket, user, device, command } => {
                    accept_command::accept(&mut pending, entropy, ticket, (user, device), command)?;
                }
                Input::Entries { peer, partition, commits, cursor } => {
                    let refused = &mut self.refused;
                    apply_commit::apply(&mut pending, refused, peer, partition, commits, cursor)?;
                }
                Input::Registers { peer, partition, registers, after, cursor } => {
                    join_registers::join(&mut pending, peer, partition, &registers, (after, cursor))?;
                }
                Input::Operate { ticket, act } => {
                    operate::operate(&mut pending, entropy, self.standing, ticket, act)?;
                }
                Input::PeerStarted { peer, start, kinds } => {
                    note_peer::note(&mut pending, peer, start, kinds)?;
                    self.refused.begin_anew(peer);
                    self.unsettled.note_all();
                    self.made_twice.note_all();
                }
                Input::PeerCaughtUp { peer, had } => {
                    catch_up::note(&mut pending, self.standing, peer, &had)?;
                }
                // They were taken out above.
                Input::Epochs(_) => {}
                Input::Compacted { is_done } => self.leftovers.compacted(now, is_done),
                // What is due is done in every step, so a tick only has to make one.
                Input::Tick => {}
            }
        }
        catch_up::judge(&mut pending, &mut self.standing)?;
        mend_document::mend(&mut pending, entropy, &mut self.made_twice)?;
        survey_groups::survey(&mut pending, &mut self.survey, &mut self.unsettled)?;
        settle_rights::settle(&mut pending, entropy, &mut self.unsettled)?;
        issue_operation::seal(&mut pending)?;
        for bucket in pending.applied_to() {
            self.unacknowledged.note(bucket, now, &self.config);
        }
        acknowledge::acknowledge(&mut pending, &mut self.unacknowledged)?;
        for bucket in acknowledge::weigh(&mut pending)? {
            self.uncut.note(bucket);
            self.unsettled.note(bucket);
            self.ages.note_stable(bucket);
        }
        hold_answers::hold(&mut pending, &mut self.held)?;
        cut_payloads::cut(&mut pending, &mut self.uncut, &mut self.leftovers)?;
        expire_messages::expire(&mut pending, &mut self.ages, &mut self.leftovers)?;
        compact_files::compact(&mut pending, &mut self.leftovers);
        let (batch, effects) = pending.finish()?;
        let (rights, words) = (self.unsettled.is_due() || self.survey.is_due(), self.made_twice.is_due());
        let next_tick = if self.uncut.is_due() || rights || words {
            Some(now)
        } else {
            let compaction = self.leftovers.due(self.config.limits.compact_after_ms);
            let expiry = self.ages.due(self.config.limits.kept_ms);
            [self.unacknowledged.due(), self.unsettled.wakes(), self.held.due(), expiry, compaction]
                .into_iter()
                .flatten()
                .min()
        };
        Ok(Outcome { batch, effects, next_tick })
    }
}

/// Pairs a command with its answer. The driver chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What goes into a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A signed-in device asks.
    Command {
        /// For the answer.
        ticket: Ticket,
        /// Who asks.
        user: UserId,
        /// On which device.
        device: DeviceId,
        /// What.
        command: Command,
    },
    /// An operator asks.
    Operate {
        /// For the answer.
        ticket: Ticket,
        /// For what.
        act: Act,
    },
    /// Entries of a peer's log, in its order, all of whose causes are applied or go before them in this very list of inputs.
    Entries {
        /// Whose log.
        peer: ReplicaId,
        /// Of which partition.
        partition: PartitionId,
        /// Whole commits, of any origin. May be empty: the cursor moved over what was already had.
        commits: Vec<Commit>,
        /// Everything up to here in the peer's log is now had; none for commits that were fetched out of turn.
        cursor: Option<Position>,
    },
    /// Registers of a peer's feed.
    Registers {
        /// Whose feed.
        peer: ReplicaId,
        /// Of which partition.
        partition: PartitionId,
        /// To be joined.
        registers: Vec<Register>,
        /// What came before them in the peer's feed ended here. If less is had, since that was refused, nothing of these is joined.
        after: ChangeNumber,
        /// Everything up to here in the peer's feed is now had.
        cursor: ChangeNumber,
    },
    /// A peer introduced itself: what it said is to be remembered.
    PeerStarted {
        /// Which replica.
        peer: ReplicaId,
        /// This start of its store.
        start: StoreStart,
        /// The operation kinds that it knows, by number.
        kinds: BTreeSet<u32>,
    },
    /// All that a peer's logs and feeds held when its connection opened has been given before this.
    PeerCaughtUp {
        /// Which replica.
        peer: ReplicaId,
        /// Where that ended. If less is had, since something was refused, nothing follows from this.
        had: BTreeMap<PartitionId, PeerCursor>,
    },
    /// Epochs of the placement, in order. Those that the shard stands in or beyond need nothing.
    Epochs(Vec<EpochStatement>),
    /// The compaction that was asked for last is through.
    Compacted {
        /// Whether no file of before it is left over any of its keys. If not, it is asked for again.
        is_done: bool,
    },
    /// Time has passed.
    Tick,
}

/// What comes out of a step: the batch first, and once it is durable, the effects in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// To be committed with a sync.
    pub batch: Batch,
    /// To be released after that, and not before.
    pub effects: Vec<Effect>,
    /// When the next [`Input::Tick`] is due, even if nothing else comes; none if nothing waits for one.
    pub next_tick: Option<Now>,
}

/// What may leave once the batch is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Answers a command.
    Reply {
        /// Which.
        ticket: Ticket,
        /// How it went.
        result: Result<Done, Refusal>,
    },
    /// Answers an operator.
    Operated {
        /// Which act.
        ticket: Ticket,
        /// How it went.
        result: Result<Operated, NotOperated>,
    },
    /// A conversation changed: for the devices live in it.
    Changed(Change),
    /// A user became a member, or ceased to be one: for the user's connected devices.
    Membership {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Whether they are a member now.
        member: bool,
    },
    /// A receipt grew: for the authors of what it newly covers.
    Receipt {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
        /// On which device.
        device: DeviceId,
        /// Delivered up to here.
        delivered: Cut,
        /// Read up to here.
        read: Cut,
    },
    /// A user no longer sees a message: for the user's connected devices.
    Hidden {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Which.
        message: Identity,
    },
    /// More is stable: for the authors of what it newly covers.
    Stable {
        /// Where.
        partition: PartitionId,
        /// Stable up to here.
        cut: VersionVector,
    },
    /// Files are to be rewritten, so that none holds a value of these keys that is overwritten, and no write-ahead log does: in the background, one such effect at a time.
    /// Answered by [`Input::Compacted`]; what a crash cuts short is asked for again.
    Compact(Vec<KeySpan>),
    /// These operations have been here for as long as messages are kept, and nobody is given their texts any more: to be counted.
    Expired {
        /// Where.
        partition: PartitionId,
        /// Posts and edits, also those whose text was deleted before.
        dots: Vec<Dot>,
    },
    /// The placement stands in another epoch: for the bridges, and for whoever steers devices. If this region's replica is not active in it, the shard has taken nothing
    /// more in this step and is not to be stepped again.
    Epoch(Box<Placement>),
    /// This replica has caught up with all that are active: its region answers devices in this placement.
    CaughtUp,
    /// A statement that was given is not the next epoch of the placement. For operators.
    EpochRefused(EpochRefused),
    /// A partition's log, vector or feed grew: for the bridges.
    Advanced {
        /// Which.
        partition: PartitionId,
        /// How far it reaches now.
        state: PartitionState,
    },
    /// A peer's operation names a user whose pin does not allow this placement, so its region's door let them in against the rule. It was
    /// applied like any other, since regions must not differ; here nothing is taken from that user. For operators.
    PinBroken {
        /// Which operation.
        dot: Dot,
        /// Where.
        conversation: ConversationId,
        /// Whom it names.
        user: UserId,
    },
    /// A peer's operation changes a group's members without having seen what its region had acknowledged, so that region has contradicted
    /// itself. It changes nothing here; regions that had not folded yet may see it otherwise, and their digests tell. For operators.
    BehindFold {
        /// Which operation.
        dot: Dot,
        /// Where.
        conversation: ConversationId,
    },
    /// A peer's operation adds a member to a group, or moves rights to members' places, without a right that its region holds. It does nothing,
    /// here as everywhere. For operators.
    NoRight {
        /// Which operation.
        dot: Dot,
        /// Where.
        conversation: ConversationId,
    },
    /// A peer's operation carries a change of a document that does not stand, or waits for others that are not here: its region did not keep to the
    /// rules. It is kept out, here as everywhere. For operators.
    DocumentChangeKeptOut {
        /// Which operation.
        dot: Dot,
        /// Where.
        conversation: ConversationId,
        /// Why; none if it waits.
        why: Option<documents::NotTaken>,
    },
    /// A peer's feed holds a register whose value is none, or that stands where its kind does not: its region did not keep to the rules. It is kept out,
    /// here as everywhere. For operators.
    RegisterKeptOut {
        /// Whose feed.
        peer: ReplicaId,
        /// Of which partition.
        partition: PartitionId,
    },
    /// A replica acknowledges another history of an origin than stands here, so a number was given twice. Nothing more becomes stable here on its word; the bridges find
    /// out which of the two histories goes on. For operators.
    AnotherHistory {
        /// Where.
        partition: PartitionId,
        /// Who acknowledges it.
        by: ReplicaId,
        /// The operation under whose number, or before it, the other one stands.
        dot: Dot,
    },
    /// A peer's entries were refused; its bridge must be closed with this reason. Nothing of them was applied.
    Refused {
        /// Whose log.
        peer: ReplicaId,
        /// Why.
        reason: CommitRefused,
    },
}
