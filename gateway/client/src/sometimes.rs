//! The rare branches of a client that its tests are to reach ([`crdt::sometimes`]).
//!
//! What must always hold: a mark stands in the branch that it names, and nothing depends on it.

crdt::marks! {
    OUTBOX_FULL = "a command finds the outbox full";
    SAME_COMMAND_AGAIN = "the application sends what is in the outbox";
    ID_IN_USE = "the application uses an id twice";
    HELD = "a command is refused for the moment";
    HELD_AS_RESTRICTED = "a message that was taken, without a proof of it that counts, is more than operators allow now";
    HELD_AS_UNHEARD = "a region has not heard of this user's conversation";
    CURSOR_OF_POST_REFUSED = "a region does not take the cursor that a post was written on";
    WOULD_OVERTAKE = "a later message would have been taken before one that was refused while this user was out";
    SET_ASIDE = "a region refuses what another one has acknowledged";
    DONE_ELSEWHERE = "a region has nothing left to do for what another one has acknowledged";
    REFUSED = "a command is refused for good";
    ACKNOWLEDGED_AGAIN = "another region acknowledges the same command";
    ADDED_AGAIN = "another region has taken an add too";
    SENT_AHEAD = "a message is sent before the last one is answered";
    SENT_AGAIN = "what was sent is sent again on a new connection";
    SENT_BEFORE_TAKEN = "a message goes before what its region has acknowledged and is sent again";
    STILL_THERE = "a region has not lost what it acknowledged on an earlier connection";
    TAKEN_AND_LOST = "a region does not have what it acknowledged on an earlier connection";
    REFUSED_EARLY = "what went before its turn is refused, and sent again in it";
    DUPLICATE_HIDDEN = "a duplicate of what is shown is not shown";
    MOVED = "a duplicate moves what is shown to an earlier place";
    GIVEN_AGAIN = "an operation is given again";
    MARKED = "a message is shown with the mark";
    EXPIRED = "what a device lacked is kept no longer";
    MARK_CLEARED = "a mark goes";
    MARKS_FULL = "a further mark is not followed";
    HIDDEN_FORGOTTEN = "so many messages are hidden that the oldest is forgotten";
    AMENDED_FORGOTTEN = "what became of the oldest message is forgotten";
    IDENTITY_FORGOTTEN = "the oldest identity is forgotten";
    MEMBERSHIP_FORGOTTEN = "a membership's hiding is not followed";
    RECEIPT_WAITS = "a receipt covers what has not been given";
    RECEIPTS_JOINED = "a device confirms more while its receipt waits";
    ELDER = "a receipt is of somebody who was there before this user";
    MEMBERS_FORGOTTEN = "members are forgotten, since this user left or was added again";
    TICK_TOLD_BEFORE = "a receipt would tick what was ticked before its user left";
    OWN_MESSAGE_FORGOTTEN = "the oldest own message is not followed any more";
    RECEIPT_HELD = "a receipt is refused for the moment";
    RECEIPT_UNANSWERED = "a connection ends with a receipt on its way";
    BEHIND = "a region stopped delivering a conversation live";
    STARTED_OVER = "a conversation is synced from nothing, since its cursor is not taken";
    SYNC_REFUSED = "a sync is refused for the moment";
    SYNC_IN_PARTS = "cursors take several frames";
    HUNG_UP = "this side ends a connection";
    REDIRECTED = "a region sends this device elsewhere";
    REDIRECTED_AGAIN = "a region sends this device elsewhere again";
    RECONNECTS_SELDOM = "tries to connect are as far apart as they get";
    PLACEMENT_UNKNOWN = "the cluster has no such placement";
    LINE_OPENED = "a placement gets a connection of its own";
    NOT_SERVED_THERE = "a region that is asked for a placement's own connection does not serve it now";
    LINE_CLOSED = "a placement's own connection is not needed any more";
    TOO_MANY_CONVERSATIONS = "a conversation beyond the limit is not taken";
    TOO_MANY_QUESTIONS = "a question finds too many waiting";
}
