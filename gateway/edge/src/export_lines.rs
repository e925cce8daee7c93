//! What a region holds of a placement, as JSON lines for operators and for the independent checker.
//!
//! Each line is one object with a `kind`. `/v1/state` gives `region` and then `partition` lines; `/v1/export` gives those and then `post`,
//! `membership` and `receipt` lines; `/v1/items` gives `region` and then `item` lines, of one conversation. All end with `end`: a stream without it was cut short. Ids are in their textual forms, digests
//! and chain heads in hexadecimal, cuts as sorted lists of dots. Nothing in it depends on the order of arrival, except `region`.

use crdt::id::BUCKETS;
use crdt::{Bucket, ConversationId, Cut, PartitionId, PlacementId, ReplicaId};
use region::export::{self, ExportedMembership, ExportedPost, ExportedReceipt, PartitionExport};
use region::store::{StoreError, View};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Vectors, chain heads, digests.
    State,
    /// Every post, membership and receipt too.
    Everything,
    /// The items of one conversation alone.
    Items(ConversationId),
}

/// Gives one line after the other until `line` breaks.
pub(crate) fn write_lines(
    view: &dyn View,
    (region, placement, replica): (&str, PlacementId, ReplicaId),
    detail: Detail,
    line: &mut dyn FnMut(Value) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let head = json!({
        "kind": "region", "format": 1, "region": region,
        "placement": placement.to_string(), "replica": replica.to_string(),
    });
    let mut flow = line(head);
    if let Detail::Items(conversation) = detail {
        export::items(view, conversation, |item, digest| {
            flow = line(json!({ "kind": "item", "item": item.to_string(), "digest": digest.to_string() }));
            flow
        })?;
        if flow.is_continue() {
            // Nothing comes after it that a reader who breaks off could save.
            let _ = line(json!({ "kind": "end" }));
        }
        return Ok(());
    }
    for bucket in (0..BUCKETS).filter_map(Bucket::new) {
        if flow.is_break() {
            return Ok(());
        }
        let partition = export::partition(view, PartitionId { placement, bucket })?;
        if !partition.applied.is_empty() {
            flow = line(partition_line(&partition));
        }
    }
    if detail == Detail::Everything && flow.is_continue() {
        export::posts(view, |post| {
            flow = line(post_line(&post));
            flow
        })?;
        for membership in export::memberships(view)? {
            if flow.is_continue() {
                flow = line(membership_line(&membership));
            }
        }
        for receipt in export::receipts(view)? {
            if flow.is_continue() {
                flow = line(receipt_line(&receipt));
            }
        }
    }
    if flow.is_continue() {
        // Nothing comes after it that a reader who breaks off could save.
        let _ = line(json!({ "kind": "end" }));
    }
    Ok(())
}

fn partition_line(export: &PartitionExport) -> Value {
    let text = |(id, value): (String, String)| (id, Value::String(value));
    let heads: Map<String, Value> =
        export.heads.iter().map(|(origin, head)| text((origin.to_string(), head.to_string()))).collect();
    let conversations: Map<String, Value> = export
        .conversations
        .iter()
        .map(|(conversation, digest)| text((conversation.to_string(), digest.to_string())))
        .collect();
    json!({
        "kind": "partition", "partition": export.partition.to_string(), "applied": dots(&export.applied),
        "heads": heads, "conversations": conversations,
        "kept": export.kept.map(|digest| digest.to_string()), "stable": dots(&export.stable),
    })
}

fn post_line(post: &ExportedPost) -> Value {
    let aliases: Vec<String> = post.aliases.iter().map(ToString::to_string).collect();
    json!({
        "kind": "post", "conversation": post.conversation.to_string(), "sender": post.sender.to_string(),
        "message": post.message.to_string(), "hlc": post.hlc.to_string(), "dot": post.dot.to_string(),
        "aliases": aliases, "payload": post.payload_digest.map(|digest| hexadecimal(&digest)),
    })
}

fn membership_line(membership: &ExportedMembership) -> Value {
    json!({
        "kind": "membership", "conversation": membership.conversation.to_string(),
        "user": membership.user.to_string(), "since": dots(&membership.since),
    })
}

fn receipt_line(receipt: &ExportedReceipt) -> Value {
    json!({
        "kind": "receipt", "conversation": receipt.conversation.to_string(), "user": receipt.user.to_string(),
        "device": receipt.device.to_string(), "delivered": dots(&receipt.delivered), "read": dots(&receipt.read), "noted": dots(&receipt.noted), "dead": receipt.dead,
    })
}

fn dots(cut: &Cut) -> Vec<String> {
    cut.iter().map(|dot| dot.to_string()).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    region::read_toml::hex(bytes)
}
