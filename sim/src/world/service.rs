//! How long what drives the cores takes: the threads, tasks and queues of a region's process that decide nothing and cost time.
//!
//! Two sets. [`ServiceTimes::EXPLORING`] is irregular beyond what machines are: races come from it, and worlds have it unless they are told otherwise.
//! [`ServiceTimes::MEASURED`] is for asking how long people wait. It is taken from the table of costs in `docs/architecture.md` (three regions, 500
//! messages a second, two cores, release build), by what lies between its lines:
//! - *shown in the same region*, p50 0.9 ms, is a sync (0.2 ms in the middle of the table's, of which 1.35 is the p99), the loopback interface there and back (0.1),
//!   and two steps of sessions, the author's and the reader's, with the shard's thread between them: that leaves 0.6 ms, so each takes up to 0.6 and 0.3 on average;
//! - *shown across regions less the link's delay*, p50 2.0 ms, is that, another sync, and a bridge: the sending task, QUIC, the relay, the
//!   receiving task and the second shard's thread. That leaves 0.9 ms on average, so up to 1.8.
//!
//! What must always hold: these are costs of the machine and the drivers. Syncs are the disks' (`disk.rs`), delays the links', waits and timers the cores' own.

use crate::world::World;
use crate::world::dice::Dice;

/// The times, in microseconds, each drawn evenly from zero up to what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceTimes {
    /// Until a session takes its next input.
    pub session_us: u64,
    /// Once in so many times a session takes up to `stall_us` instead; zero: never.
    pub stalls_one_in: u64,
    /// See there.
    pub stall_us: u64,
    /// Until a bridge takes what shards have left for it.
    pub bridge_us: u64,
    /// Until a query has read the store; at least 10.
    pub query_us: u64,
}

impl ServiceTimes {
    /// Irregular, for finding races.
    pub const EXPLORING: Self =
        Self { session_us: 200, stalls_one_in: 40, stall_us: 30_000, bridge_us: 60, query_us: 1_500 };
    /// As measured, for answers about waiting.
    pub const MEASURED: Self =
        Self { session_us: 600, stalls_one_in: 0, stall_us: 0, bridge_us: 1_800, query_us: 1_500 };

    /// On a machine that takes so many per cent of this.
    #[must_use]
    pub const fn per_cent(self, per_cent: u64) -> Self {
        Self {
            session_us: self.session_us * per_cent / 100,
            stalls_one_in: self.stalls_one_in,
            stall_us: self.stall_us * per_cent / 100,
            bridge_us: self.bridge_us * per_cent / 100,
            query_us: self.query_us * per_cent / 100,
        }
    }

    pub(crate) fn session_takes_us(self, dice: &mut Dice) -> u64 {
        if self.stalls_one_in > 0 && dice.one_in(self.stalls_one_in) {
            dice.below(self.stall_us)
        } else {
            dice.below(self.session_us)
        }
    }

    pub(crate) fn bridge_takes_us(self, dice: &mut Dice) -> u64 {
        dice.below(self.bridge_us)
    }

    pub(crate) fn query_takes_us(self, dice: &mut Dice) -> u64 {
        dice.between(10, self.query_us.max(10))
    }
}

impl World {
    /// From now on regions take that long.
    pub const fn set_service_times(&mut self, times: ServiceTimes) {
        self.service = times;
    }
}
