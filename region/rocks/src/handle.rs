//! What the gateway holds of its region: it hands commands in, reads what is durable, and is told of every change.
//!
//! What must always hold:
//! - A command is answered after its batch is synced, or refused at once when the shard's mailbox is full; nothing waits for ever.
//! - A shard never waits for the gateway: [`DeviceEffects::release`] must return at once, whatever its devices do.
//! - Reads see only durable state.

use crate::audit::Audit;
use crate::bridges::BridgeHub;
use crate::checkpoints::{self, Checkpoint, Purpose};
use crate::clock::RegionClock;
use crate::counters::ShardCounters;
use crate::engine::Backlog;
use crate::machine;
use crate::mailbox::{Letter, Mailbox};
use crate::store::Reader;
use arc_swap::ArcSwapOption;
use crdt::{ConversationId, DeviceId, Flag, Now, PlacementId, RegionId, ReplicaId, UserId};
use region::cluster::Cluster;
use region::command::{Command, Done, Refusal};
use region::export;
use region::features::Feature;
use region::follow_epochs;
use region::machine::{Needs, Shortage, judge};
use region::membership::View;
use region::operate::{Act, NotOperated, Operated};
use region::shard::{Effect, Input};
use region::store::StoreError;
use region_gossip::GossipCounters;
use replication::epoch::{EpochRefused, EpochStatement};
use replication::placement::{Epoch, Placements};
use replication_quic::{BridgeCounters, Certificates, SnapshotCounters};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use tokio::sync::{oneshot, watch};

/// Where the shards put what devices are to be told.
pub trait DeviceEffects: Send + Sync {
    /// Takes the effects of one durable batch of a placement, in order: `Changed`, `Membership`, `Receipt` and `Stable`, nothing
    /// else. Called on the shard's thread, so it must return at once: it routes to bounded queues and drops a device to sync when one is full.
    fn release(&self, placement: PlacementId, effects: Vec<Effect>);

    /// How many devices are connected, as the other regions are told.
    fn connected(&self) -> usize;
}

/// How a command went. The sender is gone only when the region is shutting down.
pub type Answer = oneshot::Receiver<Result<Done, Refusal>>;

/// How an operator's act went. The sender is gone only when the region is shutting down.
pub type Operating = oneshot::Receiver<Result<Operated, NotOperated>>;

/// A region's face to its gateway. Cheap to clone.
#[derive(Clone)]
pub struct RegionHandle {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) region: RegionId,
    pub(crate) cluster: Arc<Cluster>,
    /// The data folder.
    pub(crate) data: PathBuf,
    pub(crate) audit: Audit,
    /// What it may come to need of its machine.
    pub(crate) needs: Needs,
    /// Held while a checkpoint is made.
    pub(crate) checkpoint: Arc<Mutex<()>>,
    pub(crate) clock: Arc<RegionClock>,
    pub(crate) placements: BTreeMap<PlacementId, PlacementHandle>,
    /// Knows the epochs in which the shards stand.
    pub(crate) hub: BridgeHub,
    pub(crate) devices: DeviceSink,
    pub(crate) bridge_counters: BTreeMap<RegionId, Arc<BridgeCounters>>,
    pub(crate) snapshot_counters: Arc<SnapshotCounters>,
    pub(crate) open_bridges: watch::Receiver<BTreeSet<RegionId>>,
    pub(crate) behind: Behind,
    pub(crate) certificates: Arc<Certificates>,
    /// What is heard of all regions.
    pub(crate) view: watch::Receiver<Arc<View>>,
    pub(crate) gossip_counters: Arc<GossipCounters>,
    pub(crate) draining: Arc<AtomicBool>,
}

/// The placements in which this region lacks what others hold, until it has caught up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behind(watch::Sender<BTreeSet<PlacementId>>);

impl Behind {
    pub(crate) fn of(placements: impl IntoIterator<Item = PlacementId>) -> Self {
        Self(watch::Sender::new(placements.into_iter().collect()))
    }

    pub(crate) fn is_behind(&self, placement: PlacementId) -> bool {
        self.0.borrow().contains(&placement)
    }

    pub(crate) fn now(&self) -> BTreeSet<PlacementId> {
        self.0.borrow().clone()
    }

    pub(crate) fn caught_up(&self, placement: PlacementId) {
        self.0.send_modify(|behind| _ = behind.remove(&placement));
    }
}

/// What is needed of one placement.
pub(crate) struct PlacementHandle {
    pub(crate) replica: ReplicaId,
    pub(crate) reader: Reader,
    pub(crate) mailbox: Mailbox,
    pub(crate) counters: Arc<ShardCounters>,
}

impl PlacementHandle {
    /// Delivers at once, or counts that it cannot and says in how many milliseconds to try again.
    fn offer(&self, letter: Letter) -> Result<(), u64> {
        self.mailbox.offer(letter).inspect_err(|_| self.counters.letter_refused())
    }
}

/// The gateway, once it has attached itself.
#[derive(Clone, Default)]
pub(crate) struct DeviceSink(Arc<ArcSwapOption<Box<dyn DeviceEffects>>>);

impl DeviceSink {
    /// Hands effects to the gateway, if one is attached and there are any.
    pub(crate) fn release(&self, placement: PlacementId, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        if let Some(devices) = &*self.0.load() {
            devices.release(placement, effects);
        }
    }

    /// How many devices are connected: none before a gateway is attached.
    pub(crate) fn connected(&self) -> usize {
        self.0.load().as_ref().map_or(0, |devices| devices.connected())
    }
}

impl RegionHandle {
    /// This region.
    #[must_use]
    pub fn region(&self) -> RegionId {
        self.shared.region
    }

    /// The cluster it belongs to.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    /// The placements it has a part in, by number, each with the replica that this region is there.
    pub fn placements(&self) -> impl Iterator<Item = (PlacementId, ReplicaId)> + '_ {
        self.shared.placements.iter().map(|(placement, handle)| (*placement, handle.replica))
    }

    /// What holds of each feature in a placement, by the regions of its epoch. None if this region has no part in it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    #[must_use]
    pub fn features(&self, placement: PlacementId) -> Option<Result<BTreeMap<Feature, Flag>, StoreError>> {
        let PlacementHandle { reader, .. } = self.shared.placements.get(&placement)?;
        Some(export::features(reader, self.epochs().get(placement)?))
    }

    /// All placements under the epochs in which this region stands.
    #[must_use]
    pub fn epochs(&self) -> Placements {
        self.shared.hub.placements().borrow().clone()
    }

    /// Follows an epoch of a placement that this region holds, and tells its peers. One in which it stands already needs nothing. Returns once it is durable here; never,
    /// if it closes this region's own replica, since the region then ends.
    ///
    /// # Errors
    /// [`EpochRefused`] when it is not the next one, or no epoch of a placement held here.
    pub async fn follow_epoch(&self, statement: EpochStatement) -> Result<(), EpochRefused> {
        let (id, number) = (statement.placement, statement.number);
        let mut placements = self.shared.hub.placements();
        let current = placements.borrow_and_update().get(id).cloned();
        let (Some(current), Some(held)) = (current, self.shared.placements.get(&id)) else {
            return Err(EpochRefused::NotHeld { placement: id, number });
        };
        let kept = follow_epochs::kept(&held.reader, Epoch(number.0.saturating_sub(1)), 1);
        let kept = kept.unwrap_or_else(|error| {
            // The statement is then judged as one that is new, and a former one is refused; the shard meets the same store.
            tracing::error!(placement = %id, %error, "the epochs that were kept cannot be read");
            Vec::new()
        });
        if number <= current.epoch && kept.contains(&statement) {
            return Ok(());
        }
        current.follow(&statement)?;
        held.mailbox.deliver(Letter::Replicated { input: Input::Epochs(vec![statement]), taken: None }).await;
        let stands = |placements: &Placements| placements.get(id).is_some_and(|held| held.epoch >= number);
        // Whoever could tell is gone only with the region.
        let _ = placements.wait_for(stands).await;
        Ok(())
    }

    /// The placements of which this region does not hold yet all that others did when it was admitted: no device is answered there. Each leaves once, for good.
    #[must_use]
    pub fn behind(&self) -> BTreeSet<PlacementId> {
        self.shared.behind.now()
    }

    /// The present, by this region's disciplined clock.
    #[must_use]
    pub fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// Hands a command of a signed-in device to the shard of its conversation's placement.
    ///
    /// # Errors
    /// [`Refusal::WrongPlacement`] when this region has no part in that placement, [`Refusal::Busy`] when the mailbox is full.
    pub fn submit(&self, user: UserId, device: DeviceId, command: Command) -> Result<Answer, Refusal> {
        let conversation = conversation_of(user, &command);
        let placement = self.shared.placements.get(&conversation.placement());
        let placement = placement.ok_or(Refusal::WrongPlacement(conversation))?;
        let (answer, answered) = oneshot::channel();
        let letter = Letter::Command { user, device, command, answer };
        placement.offer(letter).map_err(|retry_after_ms| Refusal::Busy { retry_after_ms })?;
        Ok(answered)
    }

    /// Hands an operator's act to a placement's shard. None if this region has no part in it.
    ///
    /// # Errors
    /// [`NotOperated::Busy`] when the mailbox is full.
    pub fn operate(&self, placement: PlacementId, act: Act) -> Option<Result<Operating, NotOperated>> {
        let placement = self.shared.placements.get(&placement)?;
        let (answer, answered) = oneshot::channel();
        let offered = placement.offer(Letter::Operate { act, answer });
        let busy = |retry_after_ms| NotOperated::Busy { retry_after_ms };
        Some(offered.map(|()| answered).map_err(busy))
    }

    /// Reads that placement's durable state. None if this region has no part in it.
    #[must_use]
    pub fn reader(&self, placement: PlacementId) -> Option<Reader> {
        self.shared.placements.get(&placement).map(|handle| handle.reader.clone())
    }

    /// The record of what operators ask for.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.shared.audit
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.shared.data
    }

    /// Makes a checkpoint of that placement's store, for a backup, while its shard goes on. Call it where waiting for the disk harms nobody. None if this region has no part in the
    /// placement, or makes a checkpoint already.
    ///
    /// # Errors
    /// [`StoreError`] when the disk refuses.
    #[must_use]
    pub fn checkpoint(&self, placement: PlacementId) -> Option<Result<Checkpoint, StoreError>> {
        let name = &self.shared.cluster.placements.get(&placement)?.name;
        let reader = &self.shared.placements.get(&placement)?.reader;
        let one_at_a_time = match self.shared.checkpoint.try_lock() {
            Ok(held) => held,
            // Whoever broke off left nothing that the next one does not remove.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let made = checkpoints::make(&self.shared.data, Purpose::Backup, name, reader);
        drop(one_at_a_time);
        Some(made)
    }

    /// What that placement's shard has done. None if this region has no part in it.
    #[must_use]
    pub fn counters(&self, placement: PlacementId) -> Option<&ShardCounters> {
        self.shared.placements.get(&placement).map(|handle| &*handle.counters)
    }

    /// What the machine falls short of now.
    #[must_use]
    pub fn shortages(&self) -> Vec<Shortage> {
        judge(&machine::measure(&self.shared.data), &self.shared.needs)
    }

    /// Bytes that are free where the data folder lies; none if that cannot be read.
    #[must_use]
    pub fn disk_free_bytes(&self) -> Option<u64> {
        machine::measure(&self.shared.data).disk_free_bytes
    }

    /// How far that placement's engine is behind with its files. None if this region has no part in it.
    #[must_use]
    pub fn backlog(&self, placement: PlacementId) -> Option<Backlog> {
        self.shared.placements.get(&placement).map(|handle| handle.reader.backlog())
    }

    /// The certificates in use, by which this region is known to peers and devices.
    #[must_use]
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.shared.certificates
    }

    /// What each bridge has carried, by peer.
    #[must_use]
    pub fn bridge_counters(&self) -> &BTreeMap<RegionId, Arc<BridgeCounters>> {
        &self.shared.bridge_counters
    }

    /// What was given to regions that join.
    #[must_use]
    pub fn snapshot_counters(&self) -> &SnapshotCounters {
        &self.shared.snapshot_counters
    }

    /// The peers whose bridges are open now.
    #[must_use]
    pub fn open_bridges(&self) -> BTreeSet<RegionId> {
        self.shared.open_bridges.borrow().clone()
    }

    /// Which regions are live, as heard here, and what they say of themselves. A second old at most.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.shared.view.borrow())
    }

    /// What gossip has refused, and holds.
    #[must_use]
    pub fn gossip_counters(&self) -> &GossipCounters {
        &self.shared.gossip_counters
    }

    /// From now on the other regions are told that this one sends its devices away.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// How far the wall clock is ahead of this region's present, in microseconds; negative when it is behind.
    #[must_use]
    pub fn wall_offset_us(&self) -> i64 {
        self.shared.clock.wall_offset_us()
    }

    /// Letters that wait in that placement's mailbox, of at most [`LETTERS_MAX`](crate::mailbox::LETTERS_MAX). None if this region has no part in it.
    #[must_use]
    pub fn letters_waiting(&self, placement: PlacementId) -> Option<usize> {
        self.shared.placements.get(&placement).map(|handle| handle.mailbox.waiting())
    }

    /// From now on every effect for devices goes to `devices`, and to nobody else. Attach before the first client connects: effects
    /// released while nobody is attached are dropped, since devices sync from the store when they connect.
    pub fn attach_devices(&self, devices: Box<dyn DeviceEffects>) {
        self.shared.devices.0.store(Some(Arc::new(devices)));
    }
}

/// The conversation that a command is about, which says where it must go.
fn conversation_of(user: UserId, command: &Command) -> ConversationId {
    match command {
        Command::CreateGroup { conversation, .. }
        | Command::ChangeMembers { conversation, .. }
        | Command::Post { conversation, .. }
        | Command::Amend { conversation, .. }
        | Command::ChangeDocument { conversation, .. }
        | Command::Receipt { conversation, .. }
        | Command::Hide { conversation, .. }
        | Command::ReadQuietly { conversation, .. } => *conversation,
        Command::OpenDirect { placement, peer, .. } => ConversationId::direct(*placement, user, *peer),
    }
}

impl std::fmt::Debug for RegionHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegionHandle").field("region", &self.shared.region).finish_non_exhaustive()
    }
}
