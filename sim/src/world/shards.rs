//! What drives a shard here, as its thread does in a region: drain the mailbox, step, sync, release the effects, again.
//!
//! What must always hold: no step before the last batch is durable, no effect before its own is; a full mailbox refuses commands as busy
//! and never a delivery, whose amount the bridge bounds.

use crate::checks::world::Checker;
use crate::figures::Bound;
use crate::world::World;
use crate::world::dice::Dice;
use crate::world::queue::{Event, Life, LineId, Moment};
use crate::world::record::record_batch;
use crate::world::work::{Taken, shard_did};
use crdt::{DeviceId, Now, PlacementId, RegionId, UserId};
use gateway::input::Input as SessionInput;
use region::command::{Command, Done, Refusal};
use region::compact_files::KeySpan;
use region::operate::Act;
use region::present::Present;
use region::shard::{Effect, Input, Outcome, Shard, Ticket};
use replication::epoch::EpochStatement;
use std::collections::{BTreeMap, VecDeque};

/// Letters taken into one step.
const LETTERS_A_STEP: usize = 256;
/// Microseconds that a compaction takes, at least and at most.
const COMPACTION_US: (u64, u64) = (20_000, 2_000_000);
/// When a refused command is to be tried again.
const RETRY_AFTER_MS: u64 = 50;

/// What waits for a shard.
#[derive(Debug)]
pub(crate) enum Letter {
    Command { line: LineId, ticket: Ticket, user: UserId, device: DeviceId, command: Command },
    Operate { act: Act },
    Replicated { input: Input, taken: Option<(RegionId, usize)> },
}

/// A shard and what is on its way in and out of it.
#[derive(Debug)]
pub(crate) struct ShardTask {
    shard: Shard,
    present: Present,
    mailbox: VecDeque<Letter>,
    running: Option<Running>,
    next_tick: Option<Now>,
    /// When it is woken for its tick at the latest, if that is set.
    alarm: Option<Moment>,
    /// It is going to look into its mailbox now.
    wakes: bool,
    /// What its files are being rewritten for.
    compacting: Vec<KeySpan>,
    dice: Dice,
    tickets: u64,
    /// Which device's ticket each of the shard's tickets answers.
    answers: BTreeMap<Ticket, (LineId, Ticket)>,
}

/// A step whose batch is being synced.
#[derive(Debug)]
struct Running {
    outcome: Outcome,
    /// Whether there was anything to sync.
    wrote: bool,
    taken: Vec<(RegionId, usize)>,
}

/// Whose entries a step takes, and how many of each.
type Takers = Vec<(RegionId, usize)>;

impl ShardTask {
    /// Its first tick is due at once.
    pub(crate) fn new(shard: Shard, dice: Dice) -> Self {
        let (present, mailbox) = (Present::default(), VecDeque::new());
        Self {
            shard,
            present,
            mailbox,
            running: None,
            next_tick: Some(Now(0)),
            alarm: None,
            wakes: false,
            compacting: Vec::new(),
            dice,
            tickets: 0,
            answers: BTreeMap::new(),
        }
    }

    /// Whether its replica has not caught up.
    pub(crate) fn is_behind(&self) -> bool {
        self.shard.is_behind()
    }

    /// What is being synced.
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.running.as_ref().map(|running| &running.outcome)
    }

    /// Whether texts that were cut may lie in files yet.
    pub(crate) fn has_leftovers(&self) -> bool {
        self.shard.leftovers_since().is_some()
    }

    /// The next inputs, with whose entries they take. An operator's act is decided by itself, so that it is known on what.
    fn take(&mut self) -> (Vec<Input>, Takers) {
        let (mut inputs, mut takers) = (Vec::new(), Vec::new());
        let is_operators = |letter: &Letter| matches!(letter, Letter::Operate { .. });
        let before = self.mailbox.iter().position(is_operators).map_or(LETTERS_A_STEP, |at| at.max(1));
        let count = self.mailbox.len().min(LETTERS_A_STEP).min(before);
        for letter in self.mailbox.drain(..count) {
            self.tickets += 1;
            let own = Ticket(self.tickets);
            match letter {
                Letter::Command { line, ticket, user, device, command } => {
                    self.answers.insert(own, (line, ticket));
                    inputs.push(Input::Command { ticket: own, user, device, command });
                }
                Letter::Operate { act } => inputs.push(Input::Operate { ticket: own, act }),
                Letter::Replicated { input, taken } => {
                    takers.extend(taken);
                    inputs.push(input);
                }
            }
        }
        (inputs, takers)
    }
}

impl World {
    /// A session's command, for the shard of its placement.
    pub(crate) fn submit(&mut self, life: Life, placement: PlacementId, letter: Letter) {
        let limit = self.mailbox_max;
        let Letter::Command { line, ticket, .. } = &letter else { return };
        let (line, ticket) = (*line, *ticket);
        let Some(shard) = self.process(life).and_then(|process| process.shards.get_mut(&placement)) else {
            return;
        };
        if shard.mailbox.len() >= limit {
            self.figures.reached(Bound::Mailbox);
            let result = Err(Refusal::Busy { retry_after_ms: RETRY_AFTER_MS });
            self.session_answered(life, line, SessionInput::Answered { ticket, result });
            return;
        }
        shard.mailbox.push_back(letter);
        self.wake_shard(life, placement);
    }

    /// An operator's act, unless the mailbox is full; says whether it is taken.
    pub(crate) fn submit_act(&mut self, life: Life, placement: PlacementId, act: Act) -> bool {
        let limit = self.mailbox_max;
        let Some(shard) = self.process(life).and_then(|process| process.shards.get_mut(&placement)) else {
            return false;
        };
        let has_room = shard.mailbox.len() < limit;
        if has_room {
            shard.mailbox.push_back(Letter::Operate { act });
            self.wake_shard(life, placement);
        }
        has_room
    }

    /// A bridge's delivery.
    pub(crate) fn deliver(
        &mut self,
        life: Life,
        placement: PlacementId,
        input: Input,
        taken: Option<(RegionId, usize)>,
    ) {
        let Some(shard) = self.process(life).and_then(|process| process.shards.get_mut(&placement)) else {
            return;
        };
        shard.mailbox.push_back(Letter::Replicated { input, taken });
        self.wake_shard(life, placement);
    }

    /// There is a letter: a shard that neither syncs nor wakes anyway looks into its mailbox at once.
    fn wake_shard(&mut self, life: Life, placement: PlacementId) {
        let Some(shard) = self.process(life).and_then(|process| process.shards.get_mut(&placement)) else {
            return;
        };
        if shard.running.is_none() && !std::mem::replace(&mut shard.wakes, true) {
            self.queue.put(self.now, Event::ShardWake(life, placement));
        }
    }

    /// Steps, if there is reason to and no batch is on its way.
    pub(crate) fn shard_wake(&mut self, life: Life, placement: PlacementId) {
        let Some(now) = self.present(life) else { return };
        let Some(region) = self.regions.get_mut(&life.region) else { return };
        let (sync_us, Some(process)) = (region.sync_takes_us(), &mut region.process) else { return };
        let (Some(shard), Some(disk)) =
            (process.shards.get_mut(&placement), region.disks.get_mut(&placement))
        else {
            return;
        };
        let ticks = shard.next_tick.is_some_and(|at| at <= now);
        shard.wakes = false;
        shard.alarm = shard.alarm.filter(|at| *at > self.now);
        if shard.running.is_some() {
            return;
        }
        if shard.mailbox.is_empty() && !ticks {
            self.set_shard_alarm(life, placement);
            return;
        }
        self.figures.waits(life.region, shard.mailbox.len());
        let (mut inputs, taken) = shard.take();
        if ticks {
            inputs.push(Input::Tick);
        }
        let by = Taken::by_shard(&inputs);
        let act = inputs.iter().find_map(|input| match input {
            Input::Operate { act, .. } => Some(act.clone()),
            _ => None,
        });
        // Read as no call that a fault on the disk could be spent on.
        if let Some(act) = act {
            let told = inputs.iter().filter_map(|input| match input {
                Input::Epochs(statements) => Some(statements),
                _ => None,
            });
            let told: Vec<&EpochStatement> = told.flatten().collect();
            let asked = (life.region, placement);
            self.oracle.is_asked_by_an_operator(asked, act, disk.holds_now(), &told);
        }
        match shard.shard.step(now, shard.dice.entropy(), inputs, disk.view()) {
            Ok(mut outcome) => {
                shard.present.note(now, &mut outcome.batch);
                self.work.step(by, shard_did(&outcome));
                self.oracle.writes(self.layout.replica(life.region, placement), &outcome.effects);
                self.oracle.decides_for_an_operator(self.now, life.region, placement, &outcome.effects);
                for (key, value) in outcome.batch.writes() {
                    self.trace.add(key);
                    self.oracle.stored(self.now, life.region, key, value);
                }
                let bytes = outcome
                    .batch
                    .writes()
                    .map(|(key, value)| key.len() + value.map_or(0, |value| value.len()));
                self.figures.stored(life.region, bytes.sum());
                shard.next_tick = outcome.next_tick;
                let took =
                    if outcome.batch.is_empty() { 1 } else { shard.dice.between(sync_us.0, sync_us.1) };
                let wrote = !outcome.batch.is_empty();
                if let Err(error) = disk.write(std::mem::take(&mut outcome.batch)) {
                    self.store_failed(life, &error);
                    return;
                }
                shard.running = Some(Running { outcome, wrote, taken });
                self.queue.put(self.now + took, Event::Synced(life, placement));
            }
            Err(error) => self.store_failed(life, &error),
        }
    }

    /// Sets when the next tick is looked for: again, if its clock slews and the moment was reckoned too near.
    fn set_shard_alarm(&mut self, life: Life, placement: PlacementId) {
        let shard = self.process(life).and_then(|process| process.shards.get_mut(&placement));
        let Some((tick, alarm)) = shard.and_then(|shard| Some((shard.next_tick?, shard.alarm))) else {
            return;
        };
        let at = self.when(life, tick).max(self.now + 1);
        if alarm.is_none_or(|alarm| alarm > at) {
            self.queue.put(at, Event::ShardWake(life, placement));
            if let Some(shard) = self.process(life).and_then(|process| process.shards.get_mut(&placement)) {
                shard.alarm = Some(at);
            }
        }
    }

    /// The batch is durable: its effects leave.
    pub(crate) fn synced(&mut self, life: Life, placement: PlacementId) {
        if self.process(life).is_none() {
            return;
        }
        let Some(region) = self.regions.get_mut(&life.region) else { return };
        let (Some(process), Some(disk)) = (&mut region.process, region.disks.get_mut(&placement)) else {
            return;
        };
        let Some(shard) = process.shards.get_mut(&placement) else { return };
        if disk.is_stalled() {
            disk.sync_waits = true;
            return;
        }
        if let Err(error) = disk.sync() {
            self.store_failed(life, &error);
            return;
        }
        let Some(Running { outcome, wrote, taken }) = shard.running.take() else { return };
        if wrote {
            self.work.step(Taken::Event, true);
        }
        self.oracle.committed(self.now, life.region, &outcome.effects);
        self.oracle.is_held(self.now, life.region, disk.holds(), &outcome.effects);
        record_batch(&mut self.recorder, self.now, life.region, &outcome.effects);
        self.copies.note(life.region, placement, &outcome.effects);
        self.note_branches(life.region, placement, &outcome.effects);
        self.may_have_branched(life.region);
        self.oracle.written(life.region);
        let epoch = outcome.effects.iter().find_map(|effect| match effect {
            Effect::Epoch(placement) => Some((**placement).clone()),
            _ => None,
        });
        if epoch.is_some_and(|placement| !self.follows_epoch(life, placement)) {
            return;
        }
        let changed = outcome.effects.iter().filter(|effect| matches!(effect, Effect::Changed(_)));
        self.figures.grew(life.region, changed.count());
        self.release(life, placement, outcome.effects);
        for (peer, bytes) in taken {
            self.bridge_told(life, peer, |told| told.taken.push(bytes));
        }
        self.wake_again(life, placement);
    }

    /// Files are rewritten beside everything else.
    fn begin_to_compact(&mut self, life: Life, placement: PlacementId, spans: Vec<KeySpan>) {
        let Some(shard) = self.process(life).and_then(|process| process.shards.get_mut(&placement)) else {
            return;
        };
        shard.compacting = spans;
        let took = shard.dice.between(COMPACTION_US.0, COMPACTION_US.1);
        self.queue.put(self.now + took, Event::Compacted(life, placement));
    }

    /// They are, or the disk did not let them be.
    pub(crate) fn compacted(&mut self, life: Life, placement: PlacementId) {
        let Some(shard) = self.process(life).and_then(|process| process.shards.get_mut(&placement)) else {
            return;
        };
        let spans = std::mem::take(&mut shard.compacting);
        let disk = self.regions.get_mut(&life.region).and_then(|region| region.disks.get_mut(&placement));
        let is_done = disk.is_some_and(|disk| disk.compact(&spans));
        self.deliver(life, placement, Input::Compacted { is_done }, None);
    }

    /// What came meanwhile is taken at once; if nothing did, the next tick is waited for.
    fn wake_again(&mut self, life: Life, placement: PlacementId) {
        let shard = self.process(life).and_then(|process| process.shards.get(&placement));
        if shard.is_some_and(|shard| !shard.mailbox.is_empty()) {
            self.wake_shard(life, placement);
        } else {
            self.set_shard_alarm(life, placement);
        }
    }

    fn release(&mut self, life: Life, placement: PlacementId, effects: Vec<Effect>) {
        let mut for_devices = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reply { ticket, result } => {
                    if let Ok(Done::Operation { conversation, dot, .. }) = &result {
                        self.oracle.acknowledges(self.now, life.region, *conversation, *dot);
                    }
                    let shard = self.process(life).and_then(|process| process.shards.get_mut(&placement));
                    if let Some((line, ticket)) = shard.and_then(|shard| shard.answers.remove(&ticket)) {
                        self.session_answered(life, line, SessionInput::Answered { ticket, result });
                    }
                }
                Effect::Advanced { partition, state } => {
                    for peer in self.layout.regions_of(partition.placement) {
                        let state = state.clone();
                        self.bridge_told(life, peer, |told| _ = told.advanced.insert(partition, state));
                    }
                }
                // Its bridges have been told above.
                Effect::Epoch(_) => {}
                Effect::CaughtUp => self.catches_up(life, placement),
                Effect::EpochRefused(why) => {
                    self.oracle.violate(self.now, Checker::Understood, format!("{}: {why}", life.region));
                }
                Effect::PinBroken { dot, conversation, user } => {
                    let why =
                        format!("{dot} lets {user} into {conversation}, which their pin does not allow");
                    self.oracle.violate(self.now, Checker::Pins, why);
                }
                Effect::AnotherHistory { partition, by, dot } => {
                    let why = format!("{} and {by} have two histories of {partition} at {dot}", life.region);
                    if !self.lies(life.region) && !self.lies(by.region) && !self.lies(dot.replica.region) {
                        self.oracle.violate(self.now, Checker::Equal, why);
                    }
                }
                Effect::BehindFold { dot, conversation } => {
                    let why = format!("{} had folded what {dot} of {conversation} had not seen", life.region);
                    self.oracle.violate(self.now, Checker::Equal, why);
                }
                Effect::DocumentChangeKeptOut { dot, conversation, why } => {
                    let why =
                        format!("{dot} changes the document of {conversation} as no region does: {why:?}");
                    self.oracle.violate(self.now, Checker::Equal, why);
                }
                Effect::NoRight { dot, conversation } => {
                    let why = format!(
                        "{dot} of {conversation} spends or gives a right that its region does not hold"
                    );
                    self.oracle.violate(self.now, Checker::Rights, why);
                }
                Effect::Operated { result, .. } => {
                    let region = life.region;
                    self.trace.tell(self.now, || {
                        format!("{region} answers an operator of {placement}: {result:?}")
                    });
                    self.oracle.answers_an_operator(region, placement);
                    self.salvage_answered(life, &result);
                }
                Effect::RegisterKeptOut { peer, partition } => {
                    let why = format!("{peer} sends a register in {partition} that is none");
                    self.oracle.violate(self.now, Checker::Operated, why);
                }
                Effect::Compact(spans) => self.begin_to_compact(life, placement, spans),
                Effect::Expired { partition, dots } => {
                    let region = life.region;
                    self.trace.tell(self.now, || format!("{region} lets texts in {partition} go: {dots:?}"));
                }
                Effect::Refused { peer, reason } => {
                    let why = format!("{} refuses what {} sends: {reason}", life.region, peer.region);
                    if !self.lies(life.region) && !self.lies(peer.region) && !self.is_older(life.region) {
                        self.oracle.violate(self.now, Checker::Understood, why);
                    }
                    self.bridge_told(life, peer.region, |told| {
                        told.refused.entry(reason.partition()).or_insert(reason);
                    });
                }
                Effect::Changed(_)
                | Effect::Membership { .. }
                | Effect::Hidden { .. }
                | Effect::Receipt { .. }
                | Effect::Stable { .. } => for_devices.push(effect),
            }
        }
        self.fan_out(life, for_devices);
    }
}
