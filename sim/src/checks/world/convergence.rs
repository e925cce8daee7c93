//! Promise 3: regions that have applied the same operations hold the same state of them, byte for byte, and that is what their logs give.
//!
//! Asked once all is calm, when every region has everything. Compared are exports of the stores, not digests. Who is in a conversation, which later changes cover, is
//! compared as the world runs, whenever a region has applied the same changes of its members as another had. What this does not see: other differences that come and go
//! before; the product's own digests, which are compared at every acknowledgement, raise an alarm for those, and an alarm is a violation.

use super::{Checker, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, PlacementId, RegionId};
use region::export::{self, ExportedMembership, ExportedPost, PartitionExport};
use region::item::Content;
use region::shard::Effect;
use region::store::{StoreError, View};
use region::verify;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Threads of the check of a log: the world has one.
const BUCKETS_AT_ONCE: usize = 8;

impl Oracle {
    /// Compares the stores of a placement.
    ///
    /// # Errors
    /// [`StoreError`] when a store cannot be read or is damaged.
    pub(crate) fn compare(
        &mut self,
        at: Moment,
        placement: PlacementId,
        stores: &[(RegionId, &dyn View)],
    ) -> Result<(), StoreError> {
        let mut first = None;
        for (region, view) in stores {
            let mut posts = Vec::new();
            export::posts(*view, |post| {
                posts.push(post);
                ControlFlow::Continue(())
            })?;
            let partitions = export::partitions(*view, placement)?;
            self.judge_operated(at, *region, placement, *view)?;
            let operated = (export::directory(*view)?, export::flags(*view)?);
            let registers = (export::receipts(*view)?, export::hidden(*view)?, operated);
            self.judge_marks(at, *region, placement, &registers.1);
            let state = (partitions, export::memberships(*view)?, registers, posts);
            self.says_what_it_exports(at, *region, &state.0, &state.1, &state.3);
            self.search_for_deleted(at, *region, placement, *view)?;
            for conversation in state.0.iter().flat_map(|partition| partition.conversations.keys()) {
                let held = export::members(*view, *conversation)?;
                self.compare_roster(at, *region, *conversation, &held, true);
                self.compare_rights(at, *region, *conversation, &held, true);
                self.judge_described(at, *region, *conversation, *view)?;
            }
            self.look_at(Checker::Replayed);
            let verified = verify::verify(*view, placement, BUCKETS_AT_ONCE)?;
            if !verified.damaged.is_empty() {
                let text = format!("{region} in {placement}: {:?}", verified.damaged);
                self.violate(at, Checker::Replayed, text);
            }
            match &first {
                None => first = Some((*region, state)),
                Some((_, same)) if *same == state => self.look_at(Checker::Equal),
                // A world that did not become whole in time still lacks operations here and there, and says so; what must be equal all the same
                // are conversations at the same operations.
                Some((_, same)) if !self.is_whole() && at_same_operations_equal(&same.0, &state.0) => {
                    self.look_at(Checker::Equal);
                }
                Some((other, same)) => {
                    let what = differs(same, &state);
                    self.violate(
                        at,
                        Checker::Equal,
                        format!("{region} and {other} differ in {placement}: {what}"),
                    );
                }
            }
        }
        Ok(())
    }

    /// Compares who is in the conversations whose members a batch changed, which is durable here, with what others held at the same changes.
    pub(super) fn compare_members(
        &mut self,
        at: Moment,
        region: RegionId,
        store: &dyn View,
        effects: &[Effect],
    ) -> Result<(), StoreError> {
        let changed = effects.iter().filter_map(|effect| match effect {
            Effect::Changed(change) if changes_members(&change.item.content) => Some(change.conversation),
            _ => None,
        });
        for conversation in changed.collect::<BTreeSet<ConversationId>>() {
            let held = export::members(store, conversation)?;
            self.compare_roster(at, region, conversation, &held, false);
            self.compare_rights(at, region, conversation, &held, false);
            let holds = *blake3::hash(&held.canonical_bytes()).as_bytes();
            let facts = self.record.conversations.entry(conversation).or_default();
            let other = facts.members_differ(region, holds);
            self.look_at(Checker::Equal);
            if let Some(other) = other {
                let text = format!("{region} and {other} differ in who is in {conversation}");
                self.violate(at, Checker::Equal, text);
            }
        }
        Ok(())
    }

    /// An export is text that leaves a region: it is heard as such, line by line.
    fn says_what_it_exports(
        &mut self,
        at: Moment,
        region: RegionId,
        partitions: &[PartitionExport],
        memberships: &[ExportedMembership],
        posts: &[ExportedPost],
    ) {
        for conversation in partitions.iter().flat_map(|partition| partition.conversations.keys()) {
            self.says(at, region, conversation);
        }
        for ExportedMembership { conversation, user, .. } in memberships {
            self.says(at, region, format_args!("{conversation} {user}"));
        }
        for ExportedPost { conversation, sender, message, payload_digest, .. } in posts {
            self.says(at, region, format_args!("{conversation} {sender} {message} {payload_digest:02x?}"));
        }
    }

    /// Whether nobody has said that something is missing when nothing should be any more.
    pub(super) const fn is_whole(&mut self) -> bool {
        self.tallies.of(Checker::Whole).violations == 0
    }
}

const fn changes_members(content: &Content) -> bool {
    match content {
        Content::Created { .. }
        | Content::Added { .. }
        | Content::Left
        | Content::Removed { .. }
        | Content::Promoted { .. }
        | Content::Demoted { .. }
        | Content::Claimed
        | Content::Rights(_) => true,
        Content::Post { .. }
        | Content::DocumentChanged { .. }
        | Content::Edited { .. }
        | Content::Withheld { .. }
        | Content::Deleted { .. }
        | Content::Reacted { .. }
        | Content::Withdrawn { .. } => false,
    }
}

/// In what two exports of partitions, memberships, registers and posts differ first.
fn differs<P: PartialEq, M: PartialEq, R: PartialEq, S: PartialEq>(
    one: &(P, M, R, S),
    other: &(P, M, R, S),
) -> &'static str {
    if one.1 != other.1 {
        "who is a member of what"
    } else if one.2 != other.2 {
        "receipts, homes, flags, or what users deleted for themselves"
    } else if one.3 != other.3 {
        "posts"
    } else if one.0 != other.0 {
        "what was applied, what is stable, or a digest"
    } else {
        "nothing"
    }
}

/// Whether partitions that have applied the same hold the same state of every conversation.
fn at_same_operations_equal(one: &[PartitionExport], other: &[PartitionExport]) -> bool {
    one.iter().all(|one| {
        let same =
            |other: &&PartitionExport| other.partition == one.partition && other.applied == one.applied;
        other.iter().find(same).is_none_or(|other| other.conversations == one.conversations)
    })
}
