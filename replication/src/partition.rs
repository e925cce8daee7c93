//! What a bridge keeps of one partition while a connection stands: where each side is, and what waits.
//!
//! What must always hold: all of it can be rebuilt from the log and the peer's Resume, so it ends with the connection; a cursor moves only to the
//! end of a step, where what was passed is a prefix of the sender's log.

use crate::commit::Commit;
use crate::compare_states::Stated;
use crate::entry_codec::{Run, StreamContext};
use crate::log::{ChangeNumber, PeerCursor, Position};
use crdt::{Dot, Now, ReplicaId, Sequence, StateDigest, VersionVector};
use std::collections::{BTreeMap, VecDeque};

/// One partition on one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partition {
    /// What this region has durably applied.
    pub(crate) applied: VersionVector,
    /// The digest of what came of it.
    pub(crate) digest: Option<StateDigest>,
    /// What the peer last said of its own.
    pub(crate) stated: Option<Stated>,
    /// The last comparison found two states.
    pub(crate) differs: bool,
    /// From us to the peer.
    pub(crate) outgoing: Outgoing,
    /// From the peer to us.
    pub(crate) incoming: Incoming,
}

/// What goes to the peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outgoing {
    /// Sent up to here.
    pub(crate) sent: Position,
    /// Read from the log up to here: what lies between is held back.
    pub(crate) read: Position,
    /// Our log ends here.
    pub(crate) end: Position,
    /// What the log held up to `read` when it was last read to its end; none before that.
    pub(crate) passed: Option<VersionVector>,
    /// References read and not yet sent, the receiver's own operations among them.
    pub(crate) held: Vec<Run>,
    /// What both ends know of the stream.
    pub(crate) context: StreamContext,
    /// The next section says where it begins.
    pub(crate) rewound: bool,
    /// The peer wants nothing of it until it rewinds.
    pub(crate) stopped: bool,
    /// Each side holds another branch of a third replica's chain: nothing of it goes on this connection, registers neither.
    pub(crate) forked: bool,
    /// Since when the oldest reference that is held back has been.
    pub(crate) held_since: Option<Now>,
    /// References that are held back are to go now.
    pub(crate) flush: bool,
    /// Registers that are held back are to go now.
    pub(crate) flush_feed: bool,
    /// Our feed was sent up to here.
    pub(crate) feed_sent: ChangeNumber,
    /// Our feed ends here.
    pub(crate) feed_end: ChangeNumber,
    /// The last change in it that was made here.
    pub(crate) feed_own: ChangeNumber,
    /// When registers that wait for company are to go.
    pub(crate) feed_due: Option<Now>,
    /// Somebody has written here since the connection stands, while the peer lacked what was there before.
    pub(crate) is_lively: bool,
    /// The turn in which it was last served.
    pub(crate) served: u64,
    /// The base that the peer was told of.
    pub(crate) base: Option<Position>,
}

/// What comes from the peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Incoming {
    /// Delivered up to here.
    pub(crate) cursor: Position,
    /// Received up to here.
    pub(crate) received: Position,
    /// Its base or entries of it have come on this connection: no base does any more.
    pub(crate) has_begun: bool,
    /// The peer's feed was delivered up to here.
    pub(crate) feed: ChangeNumber,
    /// The feed holds what cannot be taken (`stop_partition.rs`): nothing more is taken of it on this connection.
    pub(crate) feed_stopped: bool,
    /// What this connection delivered to the shard; what of it is durable is in `applied`.
    pub(crate) delivered: VersionVector,
    /// The step being passed.
    pub(crate) current: Option<Waiting>,
    /// Steps after it.
    pub(crate) queue: VecDeque<Waiting>,
    /// Bodies fetched and not yet passed, per origin in order.
    pub(crate) fetched: BTreeMap<ReplicaId, VecDeque<Commit>>,
    /// Per origin, up to where bodies have been asked for.
    pub(crate) asked: BTreeMap<ReplicaId, Sequence>,
    /// What the current step's first run has been waiting for.
    pub(crate) blocked: Option<Blocked>,
    /// What became of the stream.
    pub(crate) flow: Flow,
    /// What both ends know of the stream.
    pub(crate) context: StreamContext,
    /// Per origin, the last sequence at which both chains were seen to agree.
    pub(crate) agreed: BTreeMap<ReplicaId, Sequence>,
    /// What the steps and fetched bodies weigh.
    pub(crate) bytes: usize,
}

/// A received step that has not been passed.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// References still to be passed.
    pub(crate) runs: VecDeque<Run>,
    /// The commit after them.
    pub(crate) commit: Option<Commit>,
    /// The position after it.
    pub(crate) end: Position,
    /// When it came.
    pub(crate) arrived: Now,
    /// What it weighs.
    pub(crate) bytes: usize,
}

/// A reference whose body is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// Whose.
    pub(crate) origin: ReplicaId,
    /// Up to here.
    pub(crate) last: Sequence,
    /// Since when.
    pub(crate) since: Now,
}

/// What became of an incoming stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Flow {
    /// Steps are taken as they come.
    #[default]
    Taking,
    /// What waited was dropped at the limit, and the peer told to stop; the references of the current step are still awaited.
    Dropped,
    /// The peer was asked to go on after the cursor; what comes before it does is ignored.
    Rewinding,
    /// It holds what cannot be taken (`stop_partition.rs`). Nothing more is taken of it on this connection.
    Stopped,
}

impl Outgoing {
    /// Positions that the peer lacks.
    pub(crate) const fn backlog(&self) -> u64 {
        self.end.0.saturating_sub(self.sent.0)
    }

    /// Whether entries are unsent, held back or not.
    pub(crate) fn unsent_entries(&self) -> bool {
        !self.stopped && self.sent < self.end
    }

    /// Whether registers are unsent, held back or not.
    pub(crate) fn unsent_registers(&self) -> bool {
        !self.forked && self.feed_sent < self.feed_end
    }

    /// Goes on after that position, as if nothing had been sent.
    pub(crate) fn go_back(&mut self, to: Position) {
        (self.sent, self.read, self.rewound, self.stopped) = (to, to, true, self.forked);
        (self.passed, self.flush) = (None, true);
        self.held.clear();
        self.context = StreamContext::default();
    }
}

impl Incoming {
    /// A stream that goes on where the last one ended.
    pub(crate) fn resumed(cursor: PeerCursor) -> Self {
        Self { cursor: cursor.log, received: cursor.log, feed: cursor.feed, ..Self::default() }
    }

    /// Notes what is delivered.
    pub(crate) fn deliver(&mut self, commit: &Commit) {
        self.delivered.raise(Dot { replica: commit.origin, sequence: commit.last() });
    }

    /// Drops what waits, except the references of the step being passed.
    pub(crate) fn drop_waiting(&mut self) {
        if let Some(current) = &mut self.current {
            (current.commit, current.bytes) = (None, 0);
        }
        self.queue.clear();
        self.fetched.clear();
        self.asked.clear();
        (self.flow, self.bytes) = (Flow::Dropped, 0);
    }

    /// Forgets all that waits, for as long as the connection stands.
    pub(crate) fn stop(&mut self) {
        self.drop_waiting();
        (self.current, self.blocked, self.flow) = (None, None, Flow::Stopped);
    }
}

impl Partition {
    /// What of an origin is durable here or was delivered by this connection.
    pub(crate) fn had(&self, origin: ReplicaId) -> Sequence {
        self.applied.get(origin).max(self.incoming.delivered.get(origin))
    }
}
