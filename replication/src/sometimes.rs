//! The rare branches of a bridge that its tests are to reach ([`crdt::sometimes`]).
//!
//! What must always hold: a mark stands in the branch that it names, and nothing depends on it.

crdt::marks! {
    NO_COMMON_VERSION = "a peer speaks no version of ours";
    WRONG_EPOCH = "a peer has another epoch";
    NOT_HELD = "a region has no store of a placement that both may hold";
    EPOCH_LEARNT = "a peer sends an epoch that this region has not heard of";
    UNKNOWN_INCARNATION = "a peer comes in an incarnation that the epoch does not admit";
    PEER_ROLLED_BACK = "a peer's start number has gone back";
    FENCED_AT_HELLO = "a peer remembers a later start of ours: this store is fenced";
    FENCED_AT_RESUME = "a peer has more of ours than we: this store is fenced";
    FENCED_BY_REFERENCE = "a peer refers to more of ours than we have: this store is fenced";
    CURSOR_BEYOND_END = "a peer has read beyond the end of our log or feed: this store is fenced";
    FORK_AT_RESUME = "a peer has another chain of ours: this store is fenced";
    FORK_BY_REFERENCE = "a reference's head is not ours";
    FORK_OF_WHAT_IS_HERE = "a peer sends what is here already, with another chain";
    RESUME_IN_PARTS = "where a region stands takes several frames";
    LATE_ADVANCE = "word of growth comes after the log was read further";
    CAUGHT_UP_WAITS = "the peer has sent all it held, and some of it is not passed here yet";
    BASE_COVERED = "a peer's log is gone on in at its base, since all before it is here";
    BASE_NOT_COVERED = "a peer's base holds what is not here";
    BASES_IN_PARTS = "bases take several frames";
    FORK_AT_BASE = "a base's head is not ours";
    REWOUND = "what was dropped comes again";
    FEED_STOPPED = "a partition's feed stops at a register of a kind that is not known here";
    DROPPED_ON_ITS_WAY = "entries arrive that were dropped before";
    BLOCKED = "a reference's body is not here";
    FETCH = "a reference's body is fetched";
    FETCH_DOES_NOT_FOLLOW = "a fetched body does not follow what is here";
    FETCHED_MEANWHILE = "a fetched body has come another way";
    FETCH_ANSWERED_IN_PARTS = "a fetch is answered in several frames";
    TOO_MANY_FETCHES = "a peer asks for more than may be under way";
    COMMIT_CUT_SHORT = "a fetched commit ends behind its reference";
    ASKED_INLINE = "an origin is asked for inline";
    ASKED_INLINE_UNREACHABLE = "an origin is asked for inline, since its bridge ended";
    INLINE_ENDED = "an origin's own stream is first again";
    INLINE_GIVEN = "a peer wants an origin inline";
    STEP_HAD = "a step's commit has come another way";
    PARTITION_STOPPED = "a partition's stream stops at what this region cannot take";
    PAUSED = "reading is paused, since the shard has much to take";
    RESUMED_FULL = "reading goes on though more was delivered than may be, as a connection ended";
    PENDING_DROPPED = "what waits is dropped at the limit";
    REFERENCES_FLUSHED = "references go without a commit, after their time";
    REFERENCES_FULL = "references go without a commit, since many wait";
    FRUITLESS_TURN = "a turn reads much and finds no body";
    COMMITS_JOINED = "two commits go as one";
    COMMIT_TOO_LARGE_FOR_ROOM = "a commit waits for the next frame";
    STATES_DIFFER = "two regions that applied the same hold two states";
    STATES_AGREE_AGAIN = "two regions whose states differed hold the same again";
    CLOCKS_APART = "two regions' clocks are apart";
    REFUSED_BY_PEER = "a peer ends the connection with a reason";
    REFUSED_PEER = "a peer is refused";
    REDIALS_SELDOM = "a peer has not answered for so long that it is dialled seldom";
}
