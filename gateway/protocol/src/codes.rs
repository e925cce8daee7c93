//! Every error code that a client can meet, in one table: code, whether the same frame may succeed later, meaning, way out.
//!
//! What must always hold: a code, once published, keeps its meaning; a new error gets a new code. The packages that refuse things
//! (region, gateway, edge) each test that every code of theirs stands here; the table of `docs/protocol.md` is [`table`].

use crate::v1;

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The stable code, in an error frame, in the reason of a WebSocket close, or in the body of an HTTP refusal.
    pub code: &'static str,
    /// Whether the same frame may succeed later.
    pub temporary: bool,
    /// Whether the server closes the connection with it.
    pub closes: bool,
    /// What it says.
    pub meaning: &'static str,
    /// What the client does next.
    pub way_out: &'static str,
}

const fn code(code: &'static str, meaning: &'static str, way_out: &'static str) -> Code {
    Code { code, temporary: false, closes: false, meaning, way_out }
}

const fn temporary(code: Code) -> Code {
    Code { temporary: true, ..code }
}

const fn closing(code: Code) -> Code {
    Code { closes: true, ..code }
}

/// All of them, by where they arise.
pub const CODES: &[Code] = &[
    // The connection.
    closing(code(
        "subprotocol_unsupported",
        "no offered WebSocket subprotocol is spoken here",
        "offer `archipelago.v1+proto` or `archipelago.v1+json`",
    )),
    closing(temporary(code(
        "too_many_connections",
        "this region has no room for another connection",
        "try again after `retry_after_ms`, or connect to another region",
    ))),
    closing(code(
        "malformed_frame",
        "the message is not an encoding of the schema, or was cut short",
        "mend the client; connect again",
    )),
    closing(code(
        "frame_too_large",
        "the message is over `frame_bytes` of the welcome",
        "split it or shorten the body; connect again",
    )),
    closing(code(
        "wrong_frame_kind",
        "a binary message on the JSON subprotocol, or a text message on the other",
        "connect again with the subprotocol that the client speaks",
    )),
    code(
        "unknown_frame",
        "well-formed, but of a kind that this version does not know",
        "use what the negotiated version has",
    ),
    closing(code("hello_expected", "the first frame was not a hello", "connect again and say hello first")),
    closing(code("hello_timeout", "no hello within 10 seconds", "connect again and say hello at once")),
    closing(code(
        "version_too_old",
        "the client speaks only versions below the minimum",
        "upgrade the client",
    )),
    closing(code(
        "version_too_new",
        "the client no longer speaks a version that this region knows",
        "connect to a region that was upgraded, or let the client speak version 1",
    )),
    closing(code("token_invalid", "not a token, or not signed by this cluster's key", "get a new token")),
    closing(code(
        "token_expired",
        "the token is past its `exp`",
        "get a new token and connect again; to stay connected, say hello with it before the old one expires",
    )),
    closing(code(
        "token_wrong_cluster",
        "the token's `aud` names another cluster",
        "get a token of this cluster",
    )),
    closing(code(
        "token_wrong_user",
        "a renewing hello names another user or device than the connection's",
        "open a connection of its own for that user",
    )),
    closing(code(
        "user_not_here",
        "this region has no part in the user's placement",
        "connect to a region of the user's placement, listed in the cluster's description",
    )),
    closing(temporary(code(
        "region_behind",
        "the region was admitted to the user's placement and does not hold all of it yet",
        "connect to another region of the placement, or here again later",
    ))),
    closing(temporary(code(
        "heartbeat_missed",
        "nothing was heard from the client for 90 seconds",
        "connect again; send a ping when nothing else was sent for `heartbeat_ms`",
    ))),
    closing(temporary(code(
        "region_draining",
        "the region is shutting down in order",
        "connect to the region of the redirect, or again later",
    ))),
    closing(temporary(code(
        "slow_device",
        "the client reads so slowly that not even single answers fit",
        "connect again and sync from the last cursors",
    ))),
    temporary(code(
        "too_many_outstanding",
        "more commands and questions are unanswered than a connection may have",
        "wait for answers, then send again",
    )),
    temporary(code(
        "region_unavailable",
        "the region cannot read or write at the moment",
        "try again after `retry_after_ms`, or in another region",
    )),
    temporary(code(
        "placement_behind",
        "the region does not hold all of that placement yet",
        "connect to another region of the placement, listed in the welcome",
    )),
    // Fields.
    code(
        "malformed_id",
        "a field does not hold the one textual form of its id",
        "send the id exactly as it was received",
    ),
    code(
        "malformed_cut",
        "a cut's dots are not sorted by replica",
        "send the cut exactly as it was received",
    ),
    code("missing_field", "a field that must be filled is empty", "fill it in"),
    code("contradictory_fields", "two fields are filled of which only one may be", "fill one"),
    code("not_an_emoji", "a reaction is not one emoji, or has more than 64 bytes", "send one emoji"),
    code("too_many_entries", "a list has more entries than allowed", "split the frame"),
    code("cursor_malformed", "the bytes are not a cursor", "send cursors exactly as they were received"),
    code(
        "cursor_forged",
        "the cursor was not made by this placement's regions, or was changed since",
        "sync that conversation without a cursor",
    ),
    code(
        "cursor_retired",
        "the cursor was sealed under a key that is no longer kept",
        "sync that conversation without a cursor",
    ),
    code(
        "cursor_wrong_conversation",
        "the cursor belongs to another conversation than the frame's",
        "use that conversation's own cursor",
    ),
    // Commands.
    code(
        "wrong_placement",
        "this region has no part in the conversation's placement",
        "connect to a region of that placement, listed in the welcome",
    ),
    code(
        "unknown_conversation",
        "there is no such conversation here, or the user is not in it",
        "check the id, or wait until this region has heard of it",
    ),
    code(
        "not_a_member",
        "the user has left the conversation or was removed",
        "ask an admin to be added again",
    ),
    code(
        "placement_fixed",
        "the user is pinned to regions that do not hold the conversation's placement",
        "begin a new conversation in a placement that all members allow",
    ),
    code("not_an_admin", "only admins change who is in a group", "ask one of them"),
    code("not_above", "the admin stands as high as the user, or higher", "ask somebody above them"),
    code(
        "unknown_member",
        "there is no such member here",
        "add them first, or wait until this region has heard of it",
    ),
    code("admins_remain", "a group that has admins cannot be claimed", "ask one of them"),
    code("not_most_senior", "another member has been in the group for longer", "it is theirs to claim"),
    code("conversation_exists", "another group has that id", "draw another id"),
    code(
        "body_too_large",
        "the body is over `body_bytes` of the welcome, or over what operators allow for now",
        "shorten it",
    ),
    code(
        "too_many_members",
        "the group would have more members than allowed, or than operators allow for now",
        "begin with fewer, or remove somebody first",
    ),
    code(
        "no_rights_left",
        "the group is not full, but what this region may add to it is used up",
        "try again in a moment, or in the region that the text names",
    ),
    code(
        "too_many_changes",
        "1,024 changes of the group have not been acknowledged by every region",
        "try again when those that are away are back",
    ),
    code("name_too_long", "the name has more characters than allowed", "shorten it"),
    code(
        "message_too_old",
        "the message id was made longer ago than the outbox limit",
        "send it again under a new id",
    ),
    code(
        "message_from_future",
        "the message id is dated more than a day ahead",
        "correct the device's clock and send it again under a new id",
    ),
    code(
        "direct_conversation",
        "the users of a direct conversation, or of an account, are in it for good",
        "begin a group",
    ),
    code(
        "account_conversation",
        "a user's account has a document and no messages",
        "write in a conversation",
    ),
    code(
        "clock_exhausted",
        "the conversation's clock is at the top of its range",
        "begin a new conversation",
    ),
    code(
        "cursor_ahead",
        "the cursor claims more than the conversation holds here",
        "sync again from the last cursor",
    ),
    code("id_in_use", "another message was sent under that id", "send this one under an id of its own"),
    temporary(code(
        "epoch_missing",
        "the group was begun under an epoch of its placement that has not arrived in this region",
        "send it again after `retry_after_ms`",
    )),
    code("predecessor_missing", "the message named in `after` is not here", "send that one first"),
    code(
        "unknown_message",
        "there is no such message here, or it is hidden from the user",
        "wait until this region has heard of it",
    ),
    code("not_the_sender", "only who sent a message edits it or deletes it for everyone", "ask them"),
    code(
        "too_late",
        "the message was sent longer ago than it may be edited (15 minutes) or deleted for everyone (48 hours)",
        "send another",
    ),
    code("message_deleted", "the message was deleted for everyone", "nothing is left to change"),
    code("too_many_edits", "the message was edited 90 times", "send another"),
    code("too_many_emoji", "the message shows 20 different emoji", "choose one that is there"),
    code("too_many_reactions", "the user gave this reaction 32 times already", "choose another"),
    code(
        "too_many_hidden",
        "the user has deleted 1,024 messages of the conversation for themselves",
        "no more may be; those of others are deleted by them",
    ),
    code(
        "unknown_reaction",
        "there is no such reaction of the user here",
        "wait until this region has heard of it",
    ),
    code(
        "document_malformed",
        "this is no change that an Automerge makes, or a larger one than may be",
        "make it anew",
    ),
    code(
        "document_schema",
        "a change may put values into the document's maps and edit its description, nothing else",
        "change what the document has",
    ),
    code(
        "document_foreign_actor",
        "a change was not made under the actor that this region gave this device",
        "ask for the document, and make the change under its `actor`",
    ),
    code(
        "document_forked",
        "this actor's last change has another number than the one before this, or this number was used",
        "ask for the document, and make the change anew",
    ),
    code(
        "document_unfounded",
        "a change was made on what this region does not have",
        "ask for the document, and make the change anew",
    ),
    code(
        "document_too_long",
        "something in the document would be over its limit, and no shorter than it is",
        "shorten it",
    ),
    code(
        "document_full",
        "the document can take no more changes through this region",
        "change it in another region",
    ),
    code(
        "not_known_everywhere",
        "a region of the placement does not know this kind of command yet, or has not been met",
        "try again when it was upgraded and has been reached",
    ),
    code("feature_off", "the operators of the placement have turned off what this does", "try again later"),
    temporary(code(
        "not_elsewhere",
        "the command is done in this region, and no other region of the placement has it yet, without which this placement acknowledges nothing",
        "send it again after `retry_after_ms`: nothing is done twice",
    )),
    temporary(code(
        "busy",
        "the region has more to do than it can queue",
        "send it again after `retry_after_ms`",
    )),
    // The admin interface.
    code(
        "not_operator",
        "the bearer token is missing, wrong, or not an operator's",
        "make one with `archipelago admin operator-token`",
    ),
    code(
        "not_permitted",
        "the bearer token lets its bearer see how the region stands, and no more",
        "make one with `archipelago admin operator-token --role operator`",
    ),
    temporary(code(
        "not_recorded",
        "what is asked for could not be recorded, so it was not done",
        "look at the region's disk, and ask again",
    )),
    code(
        "epoch_refused",
        "the file is not the next epoch of a placement that is held here",
        "give the epochs in order, as `archipelago admin epoch` wrote them",
    ),
    code("unknown_placement", "no placement of that name is held here", "ask for one that the error lists"),
    code(
        "malformed_act",
        "what an operator asks for is none",
        "name one of the acts of the admin interface, as it is written there",
    ),
    code(
        "other_data_folder",
        "a checkpoint is asked for in a data folder that is not the region's",
        "name the data folder that the region was started with, on its machine",
    ),
    code(
        "other_placement",
        "the user is pinned to another placement",
        "ask for the placement that the user's id begins with",
    ),
    code("user_erased", "the user was erased, which is for good", "register them under a new id"),
    code("not_the_home", "another region is the user's home", "ask the region that the error names"),
    code("unknown_region", "the region has no part in the placement", "name one of the placement's regions"),
    code(
        "register_exhausted",
        "this was changed as often as can be counted, which only a region that lies brings about",
        "find the region that wrote it, and take it out by a new epoch",
    ),
    code("feature_without_limit", "the feature can be on or off, and has no limit", "say `off`, or clear it"),
    code(
        "too_many_flags",
        "the region says something of too many features that its version does not know",
        "upgrade it, and clear some",
    ),
    code(
        "not_closed",
        "no epoch has closed the replica whose disk is to be brought back",
        "close it first, or restore the disk under the next incarnation",
    ),
    code(
        "epoch_not_everywhere",
        "not every active region is known to stand in the epoch that closed the replica",
        "try again once all are connected",
    ),
    code(
        "other_partition",
        "operations are of another placement or partition than is said",
        "give each store to its own placement",
    ),
    code(
        "not_signed",
        "a commit is not one that its replica has signed",
        "give the old store's log as it is",
    ),
    code(
        "malformed_operation",
        "bytes of an old store are no operation",
        "look at that store with `archipelago admin verify`",
    ),
    code("too_many_at_once", "more operations than one step takes", "send fewer at a time"),
];

/// The entry of that code.
#[must_use]
pub fn entry(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|entry| entry.code == code)
}

/// An error frame of that code, with the table's word on whether it is temporary.
#[must_use]
pub fn error(code: &'static str, message: impl Into<String>) -> v1::Error {
    let temporary = entry(code).is_some_and(|entry| entry.temporary);
    v1::Error { code: code.to_owned(), message: message.into(), temporary, ..v1::Error::default() }
}

/// The table as `docs/protocol.md` shows it, in Markdown.
#[must_use]
pub fn table() -> String {
    let mut text =
        String::from("| code | temporary | closes | meaning | way out |\n| --- | --- | --- | --- | --- |\n");
    let yes = |flag: bool| if flag { "yes" } else { "" };
    for entry in CODES {
        let Code { code, temporary, closes, meaning, way_out } = entry;
        let row = ["`", code, "` | ", yes(*temporary), " | ", yes(*closes), " | ", meaning, " | ", way_out];
        text.push_str("| ");
        text.extend(row);
        text.push_str(" |\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_stands_once_and_says_what_to_do() {
        let codes: BTreeSet<&str> = CODES.iter().map(|entry| entry.code).collect();
        assert_eq!(codes.len(), CODES.len());
        for Code { code, meaning, way_out, .. } in CODES {
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{code}");
            assert!(!meaning.is_empty() && !way_out.is_empty(), "{code}");
            assert!(!meaning.contains('|') && !way_out.contains('|'), "{code} would break the table");
        }
    }

    #[test]
    fn the_codes_of_this_package_stand_in_the_table() {
        use crate::{FieldError, FrameError, Subprotocol};
        let id = crdt::UserId::new(crdt::PlacementId(1), 1).to_string().parse::<crdt::Dot>().unwrap_err();
        let frames = [
            FrameError::Malformed { subprotocol: Subprotocol::Json, reason: String::new() }.code(),
            FrameError::TooLarge { bytes: 1, limit: 0 }.code(),
            FrameError::WrongKind(Subprotocol::Json).code(),
            FrameError::Unknown { request: 0 }.code(),
            FieldError::Id { field: "dot", source: id }.code(),
            FieldError::Missing("dot").code(),
            FieldError::Unsorted("cut").code(),
            FieldError::Contradiction("before", "after").code(),
            FieldError::Emoji { field: "emoji", source: crdt::emoji::NotAnEmoji }.code(),
            FieldError::TooMany { field: "members", count: 2, limit: 1 }.code(),
        ];
        for code in frames {
            assert!(entry(code).is_some(), "{code}");
        }
    }

    #[test]
    fn an_error_frame_takes_its_temporariness_from_the_table() {
        assert!(error("busy", "").temporary);
        assert!(!error("not_an_admin", "").temporary);
    }

    #[test]
    fn the_table_has_a_row_a_code() {
        assert_eq!(table().lines().count(), CODES.len() + 2);
    }
}
