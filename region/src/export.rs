//! What a store holds, in a form that does not depend on the order of arrival: for comparing regions, and for an independent checker.
//!
//! What must always hold: regions that have applied the same operations export the same, byte for byte in the digests (promise 3). So
//! nothing here names a log position, an arrival number or a change number.
//!
//! Digests are worked out from the tables, not those that are kept: `digest.rs`.
//!
//! Cost: they read every message's log entry once; nothing is held in memory beyond one item and one partition's conversations.

use crate::digest;
pub use crate::digest::{Item, items};
use crate::features::{self, Feature};
use crate::hide_message;
use crate::join_registers;
use crate::keys::{Key, KeyRange};
use crate::partition;
use crate::read;
use crate::record::{
    self, ConversationRecord, IdentityRecord, MembershipRecord, RegisterRecord, TimelineRecord,
};
use crate::register_key::RegisterKey;
use crate::store::{Direction, StoreError, View};
use bytes::Bytes;
use crdt::operation::DIGEST_BYTES;
use crdt::{
    Bucket, ChainHead, ConversationId, Cut, DeviceId, DeviceReceipt, DirectoryEntry, Dot, Flag, Flags,
    Identity, Kind, Membership, MessageId, PartitionId, PlacementId, Receipt, RegionId, ReplicaId,
    StateDigest, Timestamp, UserId, VersionVector, Visibility,
};
use replication::commit::Commit;
use replication::placement::Placement;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// One partition, as regions compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionExport {
    /// Which.
    pub partition: PartitionId,
    /// Exactly what has been applied.
    pub applied: VersionVector,
    /// Per origin, the chain head at the last operation applied.
    pub heads: BTreeMap<ReplicaId, ChainHead>,
    /// Every conversation with the digest of its state, worked out from the tables.
    pub conversations: BTreeMap<ConversationId, StateDigest>,
    /// The digest that is kept of the whole: their sum. None if nothing was applied since a format that did not keep it.
    pub kept: Option<StateDigest>,
    /// Everything known to be stable. Regions at rest agree on it; regions on the way need not.
    pub stable: VersionVector,
}

/// One message, however often it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedPost {
    /// Where.
    pub conversation: ConversationId,
    /// Who sent it.
    pub sender: UserId,
    /// The client's id.
    pub message: MessageId,
    /// Its place in the display order, with `dot`.
    pub hlc: Timestamp,
    /// The operation that carries it.
    pub dot: Dot,
    /// Every operation that carried it, that one first.
    pub aliases: Vec<Dot>,
    /// Of the payload with the body that it shows, as its envelope says, so it stands when the text has gone by its age; none if it was deleted for everyone.
    pub payload_digest: Option<[u8; DIGEST_BYTES]>,
}

/// One member of one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedMembership {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// What is hidden from them.
    pub since: Cut,
}

/// One device's receipt in one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedReceipt {
    /// Where.
    pub conversation: ConversationId,
    /// Whose.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// Delivered up to here.
    pub delivered: Cut,
    /// Read up to here, as they tell others.
    pub read: Cut,
    /// Read up to here, whether others are told or not.
    pub noted: Cut,
    /// Whether the device was taken for dead, so that nothing stands here.
    pub dead: bool,
}

/// That one user has hidden one message from themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExportedHidden {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// Which.
    pub message: Identity,
}

/// Every partition of the placement that holds an operation, by bucket.
///
/// # Errors
/// [`StoreError`] when the store cannot be read or is damaged. So for every export here.
pub fn partitions(view: &dyn View, placement: PlacementId) -> Result<Vec<PartitionExport>, StoreError> {
    let mut partitions = Vec::new();
    for bucket in partition::buckets(view)? {
        let export = partition(view, PartitionId { placement, bucket })?;
        if !export.applied.is_empty() {
            partitions.push(export);
        }
    }
    Ok(partitions)
}

/// One partition.
pub fn partition(view: &dyn View, partition: PartitionId) -> Result<PartitionExport, StoreError> {
    let chains = partition::chains(view, partition.bucket)?;
    let mut conversations = BTreeMap::new();
    for conversation in conversations_of(view, partition.bucket)?.into_keys() {
        conversations.insert(conversation, digest::of_conversation(view, conversation)?);
    }
    Ok(PartitionExport {
        partition,
        applied: partition::applied(&chains),
        heads: chains.into_iter().map(|(origin, chain)| (origin, chain.end.head)).collect(),
        conversations,
        kept: partition::reach(view, partition.bucket)?.digest,
        stable: read::stable(view, partition)?,
    })
}

/// The commit that holds an operation, as this region has it; none if it is not here.
pub fn commit(view: &dyn View, partition: PartitionId, dot: Dot) -> Result<Option<Commit>, StoreError> {
    let Some(position) = partition::position_of(view, partition.bucket, dot)? else { return Ok(None) };
    Ok(partition::commit_at(view, partition, position)?.map(|logged| logged.commit))
}

/// What a register holds here, by its name in feeds; none if it is not here.
pub fn register(view: &dyn View, bucket: Bucket, name: &[u8]) -> Result<Option<Bytes>, StoreError> {
    let Some(register) = RegisterKey::decode(name) else { return Ok(None) };
    let held: Option<RegisterRecord> = record::load(view, &Key::Register(bucket, register))?;
    Ok(held.map(|held| held.value))
}

/// Calls `visit` for each message of the placement, by bucket, conversation and place, until it breaks.
pub fn posts(
    view: &dyn View,
    mut visit: impl FnMut(ExportedPost) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    for bucket in partition::buckets(view)? {
        let mut flow = ControlFlow::Continue(());
        record::scan(view, &KeyRange::timelines(bucket), Direction::Ascending, |key, entry| {
            if let Some(post) = exported_post(view, key, entry)? {
                flow = visit(post);
            }
            Ok(flow)
        })?;
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// Every membership, by the user's bucket, user and conversation.
pub fn memberships(view: &dyn View) -> Result<Vec<ExportedMembership>, StoreError> {
    let mut memberships = Vec::new();
    for bucket in partition::buckets(view)? {
        let range = KeyRange::memberships_in(bucket);
        record::scan(view, &range, Direction::Ascending, |key, MembershipRecord { since }| {
            if let Key::Membership(user, conversation) = key {
                memberships.push(ExportedMembership { conversation, user, since });
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(memberships)
}

/// Who is in one conversation, with all that later changes may need: nobody if it is not known.
pub fn members(view: &dyn View, conversation: ConversationId) -> Result<Membership, StoreError> {
    partition::members(view, conversation)
}

/// The receipt that is kept of one device in one conversation, or of the rest of its user's devices if it was taken for dead; none if there is none.
pub fn receipt(
    view: &dyn View,
    (conversation, user, device): (ConversationId, UserId, DeviceId),
) -> Result<Option<Receipt>, StoreError> {
    let register = RegisterKey::Receipt(conversation, user, device);
    let key = Key::Register(conversation.partition().bucket, register);
    let register: Option<RegisterRecord> = record::load(view, &key)?;
    match register.map(|register| join_registers::held(&key, &register)).transpose()? {
        Some(DeviceReceipt::Dead) => receipt(view, (conversation, user, DeviceId::REST)),
        held => Ok(held.and_then(|held| held.kept().cloned())),
    }
}

/// Every receipt, by bucket, conversation, user and device.
pub fn receipts(view: &dyn View) -> Result<Vec<ExportedReceipt>, StoreError> {
    let mut receipts = Vec::new();
    for bucket in partition::buckets(view)? {
        let range = KeyRange::all_receipts(bucket);
        record::scan(view, &range, Direction::Ascending, |key, register: RegisterRecord| {
            if let Key::Register(_, RegisterKey::Receipt(conversation, user, device)) = key {
                let held = join_registers::held(&key, &register)?;
                let (dead, receipt) = (held.kept().is_none(), held.kept().cloned().unwrap_or_default());
                receipts.push(ExportedReceipt {
                    conversation,
                    user,
                    device,
                    delivered: receipt.delivered().clone(),
                    read: receipt.read().clone(),
                    noted: receipt.noted().clone(),
                    dead,
                });
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(receipts)
}

/// What users have hidden from themselves, by bucket, conversation, user and message.
pub fn hidden(view: &dyn View) -> Result<Vec<ExportedHidden>, StoreError> {
    let mut hidden = Vec::new();
    for bucket in partition::buckets(view)? {
        let range = KeyRange::all_hidden(bucket);
        record::scan(view, &range, Direction::Ascending, |key, register: RegisterRecord| {
            if let Key::Register(_, RegisterKey::Hidden(conversation, user, message)) = key
                && hide_message::held(&key, &register)? == Visibility::Hidden
            {
                hidden.push(ExportedHidden { conversation, user, message });
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(hidden)
}

/// A user's entry in the directory: of a placement, that of whose users this store is.
pub fn entry(view: &dyn View, user: UserId) -> Result<DirectoryEntry, StoreError> {
    let bucket = user.partition(user.placement()).bucket;
    let key = Key::Register(bucket, RegisterKey::Directory(user));
    let register: Option<RegisterRecord> = record::load(view, &key)?;
    let read = |register| join_registers::read_stored(&key, &register, DirectoryEntry::decode);
    Ok(register.map(read).transpose()?.unwrap_or_default())
}

/// The whole directory, by bucket and user.
pub fn directory(view: &dyn View) -> Result<Vec<(UserId, DirectoryEntry)>, StoreError> {
    let mut entries = Vec::new();
    for bucket in partition::buckets(view)? {
        let range = KeyRange::directory(bucket);
        record::scan(view, &range, Direction::Ascending, |key, register: RegisterRecord| {
            if let Key::Register(_, RegisterKey::Directory(user)) = key {
                let entry = join_registers::read_stored(&key, &register, DirectoryEntry::decode)?;
                entries.push((user, entry));
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(entries)
}

/// What every region says of features.
pub fn flags(view: &dyn View) -> Result<BTreeMap<RegionId, Flags>, StoreError> {
    features::stored(view)
}

/// What one region says of features: nothing that is damaged in what others say is in the way.
pub fn flags_of(view: &dyn View, region: RegionId) -> Result<Flags, StoreError> {
    let key = Key::Register(Bucket::FIRST, RegisterKey::Flags(region));
    let standing: Option<RegisterRecord> = record::load(view, &key)?;
    let flags = standing.map(|register| join_registers::read_stored(&key, &register, Flags::decode));
    Ok(flags.transpose()?.unwrap_or_default())
}

/// What holds of each feature that anything is said of, by the regions of that epoch.
pub fn features(view: &dyn View, placement: &Placement) -> Result<BTreeMap<Feature, Flag>, StoreError> {
    let mut registers = flags(view)?;
    registers.retain(|region, _| placement.active.keys().any(|replica| replica.region == *region));
    Ok(features::holds(registers.values()))
}

/// The conversations of a partition.
pub(crate) fn conversations_of(
    view: &dyn View,
    bucket: Bucket,
) -> Result<BTreeMap<ConversationId, ConversationRecord>, StoreError> {
    let mut conversations = BTreeMap::new();
    record::scan(view, &KeyRange::conversations(bucket), Direction::Ascending, |key, held| {
        if let Key::Conversation(conversation) = key {
            conversations.insert(conversation, held);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(conversations)
}

fn exported_post(
    view: &dyn View,
    key: Key,
    entry: TimelineRecord,
) -> Result<Option<ExportedPost>, StoreError> {
    let Key::Timeline(conversation, hlc, dot) = key else { return Ok(None) };
    if entry.kind != Kind::Post {
        return Ok(None);
    }
    let bucket = conversation.partition().bucket;
    let envelope = partition::envelope(view, bucket, entry.position, "the timeline")?;
    let (sender, message) = (envelope.sender, envelope.message);
    let of = Key::Identity(conversation, sender, message);
    let identity: IdentityRecord = record::load_named(view, &of, "the timeline")?;
    let aliases = identity.places.iter().map(|logged| logged.place.dot).collect();
    if envelope.kind != Kind::Post {
        return Err(record::damaged(&key.encode(), "it calls a post what the log does not"));
    }
    let amendments = partition::amendments(view, conversation, envelope.identity())?.unwrap_or_default();
    let payload_digest = match amendments.edited() {
        _ if amendments.is_deleted() => None,
        Some(edit) => {
            let position = record::load_named(view, &Key::Dot(bucket, edit.dot), "an edited message")?;
            Some(partition::envelope(view, bucket, position, "a dot")?.payload_digest)
        }
        None => Some(envelope.payload_digest),
    };
    Ok(Some(ExportedPost { conversation, sender, message, hlc, dot, aliases, payload_digest }))
}
