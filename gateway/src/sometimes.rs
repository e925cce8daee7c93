//! The rare branches of a session that its tests are to reach ([`crdt::sometimes`]).
//!
//! What must always hold: a mark stands in the branch that it names, and nothing depends on it.

crdt::marks! {
    HELLO_TIMEOUT = "a connection says no hello in time";
    HEARTBEAT_MISSED = "a connection is silent for too long";
    PLACEMENT_BEHIND = "a device asks for a placement of which not all has come here";
    USER_NOT_HERE = "a user comes whose placement this region does not hold";
    TOO_MANY_OUTSTANDING = "a client asks more than may be under way";
    SLOW_DEVICE = "a device reads so slowly that its connection is closed";
    COMMAND_REFUSED = "a shard refuses a command";
    READ_FAILED = "the store cannot be read";
    CURSOR_FROM_ELSEWHERE = "a device presents a cursor of another region";
    CURSOR_REFUSED = "a cursor is not taken";
    CURSOR_BEYOND = "a device has been given more than the conversation has here";
    NAMED_SYNC = "a device syncs conversations by name";
    HELD_BY_UNACKNOWLEDGED = "a catch-up waits for the device to acknowledge";
    HELD_BY_UNSENT = "a catch-up waits for the device to read";
    ENDED_WHILE_READING = "a stream ends while its changes are being read";
    READ_ANEW = "a read is repeated, since something happened meanwhile";
    NEWER_WHILE_READING = "a change comes while its conversation is caught up with";
    MORE_THAN_ROOM = "a read gives more batches than there is room for";
    FRUITLESS_READ = "a read gives nothing though there is more";
    READ_BEFORE = "a change comes that was read before";
    GAP = "a change was missed: its conversation is read again";
    FELL_BEHIND = "a live conversation falls back to sync";
    AHEAD_OF_REGION = "a device was given elsewhere what this region lacks";
    GIVEN_ELSEWHERE = "a change comes that the device was given elsewhere";
    MISSED = "changes were dropped before they came here";
    LEFT = "a conversation ends for a user who left";
    BEGAN = "a conversation begins for a user who is connected";
    LISTED_AGAIN = "memberships are asked again, since some may have been missed";
    UNHEARD_AT_READ = "a conversation of a presented cursor is not heard of yet";
    UNKNOWN_AT_READ = "a conversation that is to be caught up with is not the user's";
    HIDDEN_WHILE_READING = "a message is hidden while a conversation is read, which is read again";
    STABLE_ASKED = "what is stable is asked for, since it may not grow any more";
    UNTOLD_ASKED = "what is stable is asked for, since growth was missed";
    TICKS_FULL = "so many receipts wait that they go at once";
    TICKS_FORGOTTEN = "a conversation's ticks are not followed any more";
    RECEIPT_FORGOTTEN = "a forwarded receipt is not remembered any more";
}
