//! What is going to happen, by time and number.
//!
//! What must always hold: events of one moment happen in the order in which they were put in, so a run is a function of its seed. An
//! event names what it is for (a region's life, a connection), and whoever takes it out checks that this still is: nothing is cancelled.

use crdt::{DeviceId, PlacementId, RegionId};
use gateway::query::QueryId;
use gateway_client::ConnectionId;
use std::collections::BTreeMap;

/// Microseconds since the world began.
pub type Moment = u64;

/// One run of a region's process: a region that crashed and started again is another life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) region: RegionId,
    pub(crate) number: u64,
}

/// A client's connection, as the network numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineId(pub(crate) u64);

/// A connection between two regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u64);

/// One thing that is going to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A shard looks into its mailbox, or has its tick.
    ShardWake(Life, PlacementId),
    /// A shard's batch is synced.
    Synced(Life, PlacementId),
    /// A shard's files are rewritten.
    Compacted(Life, PlacementId),
    /// A bridge hears what grew and what was taken.
    BridgeTold(Life, RegionId),
    /// A bridge's timers.
    BridgeTimers(Life, RegionId),
    /// A bridge hears that another one opened or ended.
    Sibling { of: Life, peer: RegionId, about: RegionId, up: bool },
    /// A dialled connection stands, or fails.
    Dialled(Life, RegionId),
    /// The called side learns of a new connection.
    LinkStands(LinkId, RegionId),
    /// The next frame of a connection arrives there.
    FrameArrives(LinkId, RegionId),
    /// The connection can take another frame there.
    PipeReady(LinkId, RegionId),
    /// Nothing has been heard there for the time that a connection bears; the second is when the silence began.
    LinkSilent(LinkId, RegionId, Moment),
    /// The other side closed it, with that code.
    LinkClosed(LinkId, RegionId, Option<u32>),
    /// A session takes one input.
    SessionWake(Life, LineId),
    /// A session's query reads the store.
    QueryRuns(Life, LineId, QueryId),
    /// The time of a session's timer.
    SessionTimer(Life, LineId, Moment),
    /// A device's attempt to connect comes through, or fails.
    LineDialled(DeviceId, ConnectionId),
    /// The next frame reaches the region.
    FrameUp(LineId),
    /// The next frame reaches the device.
    FrameDown(LineId),
    /// The device notices that a connection has ended.
    LineLost(LineId),
    /// The region does.
    SessionLost(LineId),
    /// A client's deadline.
    DeviceTimer(DeviceId),
    /// Somebody does something.
    Act,
    /// A planned fault begins.
    FaultBegins(usize),
    /// It ends.
    FaultEnds(usize),
    /// One that comes and goes turns.
    FaultTurns(usize),
    /// Whoever looks after a region's process looks whether it runs.
    Supervised(RegionId),
    /// An operator takes a restored store out again, if nobody else has.
    SecondLifeEnds(RegionId),
    /// Operators close a region that is lost.
    OperatorsClose(RegionId),
    /// Operators make copies of disks.
    OperatorsCopy,
    /// Operators look after disks that were found.
    OperatorsSalvage,
    /// Operators give a lost region new disks.
    OperatorsReplace(RegionId),
    /// Operators ask for snapshots for a region that was admitted, and start it.
    OperatorsJoin(RegionId),
    /// Operators tell of the epochs that are about that region, until they are followed.
    OperatorsTell(RegionId),
    /// A process that was held up takes the next of what waited for it.
    ProcessRuns(Life),
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Moment, u64), Event>,
    next: u64,
}

impl Queue {
    /// Puts an event in.
    pub(crate) fn put(&mut self, at: Moment, event: Event) {
        self.events.insert((at, self.next), event);
        self.next += 1;
    }

    /// Takes the next event out, if it is due by then.
    pub(crate) fn take(&mut self, until: Moment) -> Option<(Moment, u64, Event)> {
        let entry = self.events.first_entry()?;
        if entry.key().0 > until {
            return None;
        }
        let ((at, number), event) = entry.remove_entry();
        Some((at, number, event))
    }
}
