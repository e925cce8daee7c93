//! The rare branches of a shard that its tests are to reach ([`crdt::sometimes`]).
//!
//! What must always hold: a mark stands in the branch that it names, and nothing depends on it.

crdt::marks! {
    RESENT_COMMAND = "a command that was done before is answered as it was then";
    MESSAGE_TOO_OLD = "a message's id is older than outboxes keep";
    MESSAGE_FROM_FUTURE = "a message's id is from further ahead than clocks may be";
    WRITTEN_ON_MORE = "a post was written on more than this region has, and carries its cut";
    PREDECESSOR_MISSING = "a post whose predecessor was refused while its author was out would come before it";
    CURSOR_AHEAD = "a cut claims what this region never gave";
    NOT_A_MEMBER = "a command of somebody who has left";
    UNKNOWN_CONVERSATION = "a command about a conversation that this region has not heard of";
    PIN_FORBIDS = "somebody whose pin forbids it would become or be a member";
    NOT_ALLOWED = "somebody may not change the members of a group like that";
    GROUP_EXISTS = "a group is created under an id that is taken";
    DIRECT_EXISTS = "a conversation of two is opened that is open";
    MEMBER_ALREADY = "a member is to become what they are";
    GROUP_FULL = "a member beyond the limit";
    TOO_MANY_CHANGES = "a group changes while too many changes of it are not acknowledged everywhere";
    CLOCK_EXHAUSTED = "a conversation's clock is exhausted";
    COMMIT_CUT = "what a step issues is cut into several commits";
    EPOCH_FOLLOWED = "a shard goes on under another epoch";
    GROUPS_SURVEYED = "groups are looked at because an epoch has admitted a replica";
    CLOSED_BY_EPOCH = "an epoch closes this region's own replica";
    CLOSED_PEER_SPOKE = "what a closed replica sent was still on its way when its epoch came";
    COMMIT_HAD = "a whole commit arrives that is here";
    COMMIT_HAD_IN_PART = "a commit arrives whose beginning is here";
    COMMIT_REFUSED = "a peer's commit is refused";
    FORK_FOUND = "a peer has another chain under the same sequences";
    SECOND_LIFE = "a peer has more of this very replica than its store";
    PIN_BROKEN = "a peer's operation lets in somebody whose pin forbids it";
    ALIAS = "a duplicate of what is shown arrives, and changes no place";
    ALIAS_MOVES = "a duplicate of what is shown arrives, and moves it to an earlier place";
    BEHIND_FOLD = "a peer's change of members has not seen what its region had acknowledged";
    NO_RIGHT = "a peer's operation spends or gives a right that its region does not hold";
    NO_RIGHTS_LEFT = "a member would be added where no right is left, though the group is not full";
    RIGHTS_GIVEN = "rights of a group go to a region that has few";
    RIGHTS_GIVEN_IN_TURN = "the richest region gave nothing, so the next one gives";
    RIGHTS_RETURNED = "rights of a group come back that hold nobody's place any more";
    RIGHTS_SETTLED_LATER = "more groups are to be looked at for their rights than a step looks at";
    DOCUMENT_NOT_CHANGED = "a change of a document is refused";
    DOCUMENT_CHANGE_KEPT_OUT = "a peer's change of a document does not stand";
    EDIT_TAKEN_BACK = "a region takes back what an edit put into a description that another region made too";
    MEMBERSHIP_TURNED = "an operation of another region makes or ends a membership here";
    DELETED_BEFORE_IT_CAME = "a message arrives that is deleted already";
    AMENDMENT_VOID = "a peer's operation edits or deletes somebody else's message";
    NOT_AMENDED = "an edit, a deletion or a reaction is refused";
    NOT_KNOWN_EVERYWHERE = "a command whose kind of operation some region of the placement does not know";
    POST_IN_AN_ACCOUNT = "a message in an account, which has none";
    FEATURE_OFF = "a command for what an operator has turned off";
    NOT_OPERATED = "an operator's act is refused";
    REGISTER_KEPT_OUT = "a peer's register is kept out";
    LATER_REGISTER = "a peer's register is of a kind that is not known here";
    FEED_WITH_A_GAP = "registers arrive behind others that were refused";
    CUT_LATER = "more deleted messages are to be cut than a step cuts";
    REGISTER_STANDS = "a register arrives that says nothing new";
    REGISTER_NOT_SENT_BACK = "a register is not sent to the peer that brought it";
    REGISTERS_REFUSED = "a peer's registers are refused";
    RECEIPT_BEFORE_ADDING = "a device's first receipt does not cover the adding of its user";
    DEAD_DEVICE_CONFIRMED = "what a dead device confirmed counts for the rest of its user's";
    DEVICE_DEAD = "a device is taken for dead";
    QUIET_RECEIPT_NOT_KNOWN = "what is read quietly counts as delivered, since a region could not read more";
    TOO_MANY_HIDDEN = "a user has hidden as many messages of a conversation as may be";
    HIDDEN_FROM_A_USER = "a change of a message arrives that some user has hidden";
    RECEIPTS_JOINED = "a member's further device shares a receipt";
    UNACKNOWLEDGED_AT_OPENING = "a store is opened whose last operations were not acknowledged";
}
