//! A small world of regions with stores in memory, for tests of the shard: it carries entries and registers between them in the
//! order of their logs and feeds, as bridges do, and nothing else.
//!
//! Every integration test uses a part of it, so not every part is used by each.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use bytes::Bytes;
use crdt::{
    ConversationId, DeviceId, Incarnation, MessageId, Now, PartitionId, PlacementId, RegionId, ReplicaId,
    UserId,
};
use ed25519_dalek::{SigningKey, VerifyingKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use region::command::{Command, Done, Refusal};
use region::limits::Limits;
use region::log_view::StoreLog;
use region::shard::{Effect, Input, Outcome, Shard, ShardConfig, Ticket};
use region::store::{MemoryStore, Store, StoreError};
use replication::epoch::EpochStatement;
use replication::log::LogView;
use replication::placement::Placement;
use replication::signature::Ed25519;
use replication::{StoreId, StoreStart};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The placement of the world.
pub const WORLD: PlacementId = PlacementId(1);
/// A placement whose users may not take part in [`WORLD`].
pub const ELSEWHERE: PlacementId = PlacementId(2);
/// When tests begin: 2024-11-25.
pub const START: Now = Now(1_732_500_000_000_000);

pub struct Region {
    pub config: ShardConfig,
    pub shard: Shard,
    pub store: MemoryStore,
}

pub struct World {
    pub regions: Vec<Region>,
    pub now: Now,
    pub entropy: ChaCha20Rng,
    /// All effects of the last step that [`World::step`] made.
    pub effects: Vec<Effect>,
    tickets: u64,
}

pub fn replica(region: usize) -> ReplicaId {
    ReplicaId { region: RegionId(region as u16 + 1), incarnation: Incarnation(0xa + region as u64) }
}

/// A start of the store that a region has.
pub fn start(number: u64) -> StoreStart {
    StoreStart { id: StoreId(7), number }
}

pub fn key(region: usize) -> SigningKey {
    SigningKey::from_bytes(&[region as u8 + 1; 32])
}

pub fn user(number: u64) -> UserId {
    UserId::new(WORLD, number)
}

pub fn group(number: u128) -> ConversationId {
    ConversationId::group(WORLD, number)
}

pub fn message(number: u128) -> MessageId {
    MessageId::new(START.ms(), number)
}

/// What a region of this version knows.
pub fn kinds() -> BTreeSet<u32> {
    region::forms::known().into_iter().collect()
}

/// Signs the placement's epochs.
pub fn operators() -> SigningKey {
    SigningKey::from_bytes(&[99; 32])
}

/// The placement in its first epoch, with these replicas active. Regions 1 to 16 may hold it.
pub fn first_epoch(active: BTreeMap<ReplicaId, VerifyingKey>) -> Placement {
    no_epoch().follow(&first_statement(active)).unwrap()
}

/// The placement before its first epoch.
fn no_epoch() -> Placement {
    let regions = (1..=16).map(RegionId).collect();
    Placement::new(WORLD, regions, operators().verifying_key())
}

/// What the operators say first.
pub fn first_statement(active: BTreeMap<ReplicaId, VerifyingKey>) -> EpochStatement {
    EpochStatement::sign(&no_epoch(), active, &operators())
}

pub fn config(region: usize, regions: usize) -> ShardConfig {
    let active = (0..regions).map(|region| (replica(region), key(region).verifying_key())).collect();
    ShardConfig {
        placement: first_epoch(active),
        allowed_pins: [WORLD].into(),
        replica: replica(region),
        signing_key: key(region),
        signatures: Arc::new(Ed25519),
        limits: Limits { kept_ms: u64::MAX, ..Limits::default() },
    }
}

pub fn post(conversation: ConversationId, number: u128, body: &str) -> Command {
    Command::Post {
        conversation,
        message: message(number),
        body: Bytes::copy_from_slice(body.as_bytes()),
        reply_to: None,
        sent_at_ms: 0,
        seen: None,
        after: None,
        taken_before: false,
    }
}

pub fn create(conversation: ConversationId, number: u128, members: &[u64]) -> Command {
    let (members, name) = (members.iter().copied().map(user).collect(), "islands".to_owned());
    Command::CreateGroup { conversation, command: message(number), members, name, begun: None }
}

impl World {
    pub fn new(regions: usize) -> Self {
        let region = |number| {
            let store = MemoryStore::new();
            let config = config(number, regions);
            Region { shard: Shard::open(config.clone(), &store).unwrap(), config, store }
        };
        Self {
            regions: (0..regions).map(region).collect(),
            now: START,
            entropy: ChaCha20Rng::from_seed([7; 32]),
            effects: Vec::new(),
            tickets: 0,
        }
    }

    /// Every region says hello to every other one.
    pub fn greet(&mut self) {
        for (from, to) in self.pairs() {
            self.step(to, vec![Input::PeerStarted { peer: replica(from), start: start(1), kinds: kinds() }]);
        }
    }

    /// The statement after the epoch in which that region stands, with these active.
    pub fn next_epoch(&self, at: usize, active: &[(ReplicaId, SigningKey)]) -> EpochStatement {
        let active = active.iter().map(|(replica, key)| (*replica, key.verifying_key()));
        EpochStatement::sign(&self.regions[at].config.placement, active.collect(), &operators())
    }

    /// Tells a region of an epoch, which it is to follow.
    pub fn tell_epoch(&mut self, at: usize, statement: &EpochStatement) -> Outcome {
        let outcome = self.step(at, vec![Input::Epochs(vec![statement.clone()])]);
        let placement = &mut self.regions[at].config.placement;
        *placement = placement.follow(statement).unwrap();
        outcome
    }

    /// Every region keeps messages for as long from now on.
    pub fn keep(&mut self, kept_ms: u64) {
        for at in 0..self.regions.len() {
            self.regions[at].config.limits.kept_ms = kept_ms;
            self.reopen(at);
        }
    }

    /// Steps without committing: what a crash loses.
    pub fn step_only(&mut self, at: usize, inputs: Vec<Input>) -> Result<Outcome, StoreError> {
        let region = &mut self.regions[at];
        region.shard.step(self.now, &mut self.entropy, inputs, &region.store)
    }

    /// Steps and commits, a millisecond later than the last step. Every eighth time the store must be sound, as it is after each: readers at rest look at it while it is written.
    pub fn step(&mut self, at: usize, inputs: Vec<Input>) -> Outcome {
        self.now = self.now.plus_ms(1);
        let outcome = self.step_only(at, inputs).unwrap();
        self.regions[at].store.commit(&outcome.batch).unwrap();
        if self.now.ms().is_multiple_of(8) {
            let verified = region::verify::verify(&self.regions[at].store, WORLD, 3).unwrap();
            assert_eq!(verified.damaged, [], "after a step");
        }
        self.effects = outcome.effects.clone();
        outcome
    }

    pub fn command(&mut self, user: u64, command: Command) -> Input {
        self.tickets += 1;
        let (ticket, user) = (Ticket(self.tickets), self::user(user));
        Input::Command { ticket, user, device: DeviceId(user.0), command }
    }

    /// Does one command in a step of its own.
    pub fn ask(&mut self, at: usize, user: u64, command: Command) -> Result<Done, Refusal> {
        let input = self.command(user, command);
        self.step(at, vec![input]);
        reply(&self.effects)
    }

    pub fn log(&self, at: usize) -> StoreLog<'_> {
        let region = &self.regions[at];
        let view: &dyn region::store::View = &region.store;
        StoreLog::new(region.config.replica.region, [(WORLD, view)])
    }

    /// What `to` lacks of the log and the feed of `from`, up to `bytes_max` a partition: two inputs a partition.
    pub fn lacking(&self, from: usize, to: usize, bytes_max: usize) -> Vec<Input> {
        let peer = self.regions[from].config.replica;
        let own = self.regions[to].config.replica;
        let (source, target) = (self.log(from), self.log(to));
        let mut inputs = Vec::new();
        for (partition, _) in source.partitions().unwrap() {
            let cursor = target.cursor(peer, partition).unwrap();
            let logged = source.read(partition, cursor.log, bytes_max).unwrap();
            if let Some(last) = logged.last() {
                let cursor = Some(last.last);
                let commits = logged.into_iter().map(|logged| logged.commit).collect();
                inputs.push(Input::Entries { peer, partition, commits, cursor });
            }
            let (changed, _) = source.registers(partition, cursor.feed, own, bytes_max).unwrap();
            if let Some((cursor, _)) = changed.last() {
                let (after, cursor) = (target.cursor(peer, partition).unwrap().feed, *cursor);
                let registers = changed.into_iter().map(|(_, register)| register).collect();
                inputs.push(Input::Registers { peer, partition, registers, after, cursor });
            }
        }
        inputs
    }

    /// Carries everything that `to` lacks of `from`, and says whether that was anything.
    pub fn carry(&mut self, from: usize, to: usize) -> bool {
        let inputs = self.lacking(from, to, usize::MAX);
        let any = !inputs.is_empty();
        if any {
            self.step(to, inputs);
            let refused = |effect: &&Effect| matches!(effect, Effect::Refused { .. });
            assert_eq!(self.effects.iter().find(refused), None, "nothing between honest regions is refused");
        }
        any
    }

    /// Carries everything everywhere until all is quiet, acknowledgements too.
    pub fn calm(&mut self) {
        for _ in 0..100 {
            let mut any = false;
            for (from, to) in self.pairs() {
                any |= self.carry(from, to);
            }
            self.now = self.now.plus_ms(1_100);
            for at in 0..self.regions.len() {
                any |= !self.step(at, vec![Input::Tick]).batch.is_empty();
            }
            if !any {
                return;
            }
        }
        panic!("regions come to rest once everything has been carried");
    }

    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let count = self.regions.len();
        (0..count).flat_map(|from| (0..count).map(move |to| (from, to))).filter(|(a, b)| a != b).collect()
    }

    /// What a crash before the commit leaves: the store as it is, and a shard that knows nothing but it.
    pub fn reopen(&mut self, at: usize) {
        let region = &mut self.regions[at];
        region.shard = Shard::open(region.config.clone(), &region.store).unwrap();
    }

    pub fn partition(&self, conversation: ConversationId) -> PartitionId {
        conversation.partition()
    }
}

/// The answer among these effects.
pub fn reply(effects: &[Effect]) -> Result<Done, Refusal> {
    let reply = effects.iter().find_map(|effect| match effect {
        Effect::Reply { result, .. } => Some(result.clone()),
        _ => None,
    });
    reply.expect("every command is answered in its step")
}

/// The answers among these effects, by ticket.
pub fn replies(effects: &[Effect]) -> BTreeMap<Ticket, Result<Done, Refusal>> {
    let reply = |effect: &Effect| match effect {
        Effect::Reply { ticket, result } => Some((*ticket, result.clone())),
        _ => None,
    };
    effects.iter().filter_map(reply).collect()
}
