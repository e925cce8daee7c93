//! From what a region says to what the wire carries. Total, and without decisions.
//!
//! What must always hold: every frame built here fits the frame limit in both encodings; a list that does not is cut into parts, and an
//! element is never cut.

use crate::limits;
use crdt::{ConversationId, Cut, Identity};
use gateway_protocol::fields::{write_cut, write_message_ref, write_place};
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ServerFrame};
use prost::Message as _;
use region::command::Done;
use region::item::{Content, Item, Reaction};
use region::read::{Receipt, Summary};
use std::collections::BTreeSet;

/// A frame that comes by itself.
pub(crate) fn unasked(frame: Frame) -> ServerFrame {
    ServerFrame { request: 0, frame: Some(frame) }
}

/// An entry of a conversation.
pub(crate) fn item(item: &Item) -> v1::Item {
    v1::Item {
        sender: item.sender.to_string(),
        message: item.message.to_string(),
        dot: item.dot.to_string(),
        hlc: item.hlc.to_string(),
        content: Some(content(&item.content)),
    }
}

fn content(content: &Content) -> v1::item::Content {
    match content {
        Content::Post { body, sent_at_ms, reply_to, seen, became } => v1::item::Content::Post(v1::Post {
            body: body.clone(),
            sent_at_ms: *sent_at_ms,
            reply_to: reply_to.map(write_message_ref),
            seen: seen.as_ref().map(write_cut),
            deleted: became.deleted,
            edited: became.edited.map(|place| write_place(place.hlc, place.dot)),
            reactions: became.reactions.iter().map(reaction).collect(),
        }),
        Content::Created { members, name, direct, .. } => v1::item::Content::Created(v1::Created {
            members: members.iter().map(ToString::to_string).collect(),
            name: name.clone(),
            direct: *direct,
        }),
        Content::Added { user, since } => {
            v1::item::Content::Added(v1::Added { user: user.to_string(), since: Some(write_cut(since)) })
        }
        Content::Left => v1::item::Content::Left(v1::Left {}),
        Content::Removed { user } => v1::item::Content::Removed(v1::Removed { user: user.to_string() }),
        Content::Promoted { user } => v1::item::Content::Promoted(v1::Promoted { user: user.to_string() }),
        Content::Demoted { user } => v1::item::Content::Demoted(v1::Demoted { user: user.to_string() }),
        Content::Claimed => v1::item::Content::Claimed(v1::Claimed {}),
        Content::Rights(_) => v1::item::Content::Rights(v1::Rights {}),
        Content::DocumentChanged { change } => {
            v1::item::Content::DocumentChanged(v1::DocumentChanged { change: change.clone() })
        }
        Content::Withheld { target } => {
            v1::item::Content::Withheld(v1::Withheld { target: Some(reference(*target)) })
        }
        Content::Edited { target, body, seen } => v1::item::Content::Edited(v1::Edited {
            target: Some(reference(*target)),
            body: body.clone(),
            seen: seen.as_ref().map(write_cut),
        }),
        Content::Deleted { target } => {
            v1::item::Content::Deleted(v1::Deleted { target: Some(reference(*target)) })
        }
        Content::Reacted { target, emoji } => v1::item::Content::Reacted(v1::Reacted {
            target: Some(reference(*target)),
            emoji: emoji.to_string(),
        }),
        Content::Withdrawn { target, emoji, seen } => v1::item::Content::Withdrawn(v1::Withdrawn {
            target: Some(reference(*target)),
            emoji: emoji.to_string(),
            seen: seen.iter().map(ToString::to_string).collect(),
        }),
    }
}

fn reference(Identity { sender, message }: Identity) -> v1::MessageRef {
    write_message_ref((sender, message))
}

fn reaction(reaction: &Reaction) -> v1::Reaction {
    v1::Reaction {
        emoji: reaction.emoji.to_string(),
        count: u32::try_from(reaction.count).unwrap_or(u32::MAX),
        users: reaction.users.iter().map(ToString::to_string).collect(),
    }
}

/// A conversation of a list.
pub(crate) fn summary(summary: &Summary) -> v1::Conversation {
    v1::Conversation {
        conversation: summary.conversation.to_string(),
        name: summary.name.clone(),
        direct: summary.direct,
        members: summary.members.iter().map(ToString::to_string).collect(),
        admins: summary.admins.iter().map(ToString::to_string).collect(),
        last: summary.last.as_ref().map(item),
        unread: summary.unread,
    }
}

/// A receipt.
pub(crate) fn receipt(receipt: &Receipt) -> v1::Receipt {
    v1::Receipt {
        user: receipt.user.to_string(),
        device: receipt.device.to_string(),
        delivered: Some(write_cut(&receipt.delivered)),
        read: Some(write_cut(&receipt.read)),
    }
}

/// What is stable of a conversation.
pub(crate) fn stable(conversation: ConversationId, cut: &Cut) -> ServerFrame {
    unasked(Frame::Stable(v1::Stable { conversation: conversation.to_string(), cut: Some(write_cut(cut)) }))
}

/// What a user has hidden from themselves in a conversation, in as many frames as it takes.
pub(crate) fn hidden(
    conversation: ConversationId,
    messages: &BTreeSet<Identity>,
) -> impl Iterator<Item = Frame> {
    let references: Vec<_> = messages.iter().map(|message| reference(*message)).collect();
    let parts = in_frames(references).into_iter().filter(|part| !part.is_empty());
    parts.map(move |messages| {
        Frame::DeletedForMe(v1::DeletedForMe { conversation: conversation.to_string(), messages })
    })
}

/// That a command was done. `conversation` is that of a receipt, which does not name it.
pub(crate) fn done(done: &Done, conversation: ConversationId) -> v1::Done {
    match done {
        Done::Operation { conversation, command, dot, hlc } => v1::Done {
            conversation: conversation.to_string(),
            command: command.to_string(),
            dot: dot.to_string(),
            hlc: hlc.to_string(),
            ..v1::Done::default()
        },
        Done::Exists { conversation } => {
            v1::Done { conversation: conversation.to_string(), ..v1::Done::default() }
        }
        Done::Hidden { conversation } => {
            v1::Done { conversation: conversation.to_string(), ..v1::Done::default() }
        }
        Done::Receipt => v1::Done { conversation: conversation.to_string(), ..v1::Done::default() },
    }
}

/// Cuts a list into parts that each fit a frame; an element larger than that stands alone. One empty part if there is nothing.
pub(crate) fn in_frames<T: prost::Message>(elements: Vec<T>) -> Vec<Vec<T>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for element in elements {
        let length = element.encoded_len();
        let part = parts.last_mut().filter(|part| {
            part.is_empty()
                || (bytes + length <= limits::BATCH_BYTES_MAX && part.len() < limits::BATCH_ITEMS_MAX)
        });
        match part {
            Some(part) => part.push(element),
            None => {
                parts.push(vec![element]);
                bytes = 0;
            }
        }
        bytes += length;
    }
    parts
}

/// The number of leading (or trailing) items that fit one frame, at least one of any.
pub(crate) fn fitting<'a>(items: impl Iterator<Item = &'a v1::Item>) -> usize {
    let mut bytes = 0;
    let mut count = 0;
    for item in items {
        bytes += item.encoded_len();
        if count == limits::BATCH_ITEMS_MAX || (count > 0 && bytes > limits::BATCH_BYTES_MAX) {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::{fitting, in_frames};
    use crate::limits::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX};
    use gateway_protocol::v1;
    use prost::Message as _;

    /// An item that takes exactly so many bytes.
    fn item(bytes: usize) -> v1::Item {
        let mut item = v1::Item { sender: "u".repeat(bytes), ..v1::Item::default() };
        let over = item.encoded_len() - bytes;
        item.sender.truncate(bytes - over);
        assert_eq!(item.encoded_len(), bytes);
        item
    }

    fn lengths(parts: &[Vec<v1::Item>]) -> Vec<usize> {
        parts.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_list_is_cut_where_a_frame_is_full_of_bytes_or_of_items() {
        let half = BATCH_BYTES_MAX / 2;
        assert_eq!(lengths(&in_frames(vec![item(half), item(half), item(half)])), [2, 1]);
        assert_eq!(lengths(&in_frames(vec![item(half), item(half + 1), item(half - 1)])), [1, 2]);
        let many = vec![item(20); 2 * BATCH_ITEMS_MAX + 50];
        assert_eq!(lengths(&in_frames(many)), [BATCH_ITEMS_MAX, BATCH_ITEMS_MAX, 50]);
    }

    #[test]
    fn what_is_larger_than_a_frame_stands_alone_and_nothing_is_one_empty_part() {
        let parts = in_frames(vec![item(20), item(BATCH_BYTES_MAX + 1), item(20)]);
        assert_eq!(lengths(&parts), [1, 1, 1]);
        assert_eq!(lengths(&in_frames(Vec::new())), [0]);
    }

    #[test]
    fn as_much_is_sent_as_fits_and_one_item_always_is() {
        let half = BATCH_BYTES_MAX / 2;
        assert_eq!(fitting([item(half), item(half), item(20)].iter()), 2);
        assert_eq!(fitting([item(half), item(half + 1)].iter()), 1);
        assert_eq!(fitting([item(BATCH_BYTES_MAX + 1), item(20)].iter()), 1);
        assert_eq!(fitting(vec![item(20); BATCH_ITEMS_MAX + 1].iter()), BATCH_ITEMS_MAX);
    }
}
