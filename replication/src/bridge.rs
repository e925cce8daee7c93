//! The bridge: one deterministic function per peer region.
//!
//! ```text
//!   frames, pipe, what grew here, timers ──▶ step(now, entropy, input, log) ──▶ frames, entries for the shard, timers
//! ```
//! How to drive me: give `Started` once; `Connected` when a connection stands, then `PipeReady` whenever it can take one more frame;
//! every received frame, unless paused; `Advanced` after each durable batch; `Taken` for each delivery. Carry the outputs out in
//! order. An error means that the store cannot be read: stop the region.

use crate::input::Input;
use crate::log::{LogUnreadable, LogView};
use crate::output::Output;
use crate::placement::Placements;
use crdt::{Now, PlacementId, RegionId, ReplicaId};
use rand_core::RngCore;
use std::collections::BTreeMap;

/// What a bridge is told about its place in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The cluster's name.
    pub cluster: String,
    /// This region.
    pub own: RegionId,
    /// The region at the other end. The lower number dials.
    pub peer: RegionId,
    /// All placements under their current epochs.
    pub placements: Placements,
    /// This region's stores.
    pub stores: BTreeMap<PlacementId, OwnStore>,
    /// The operation kinds that this version knows, by number.
    pub kinds: Vec<u32>,
}

/// One store of this region, as Hello names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnStore {
    /// The replica that the store is bound to.
    pub replica: ReplicaId,
    /// How often it has been started, this time included.
    pub start_number: u64,
}

/// The region cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fatal {
    /// The store cannot be read.
    #[error(transparent)]
    Log(#[from] LogUnreadable),
}

/// The bridge of this region to one peer region.
#[derive(Debug)]
pub struct Bridge {
    config: Config,
}

impl Bridge {
    /// A bridge without a connection.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Takes one input.
    ///
    /// # Errors
    /// [`Fatal`] when the region's store cannot be read: the region must stop.
    pub fn step(
        &mut self,
        now: Now,
        entropy: &mut dyn RngCore,
        input: Input,
        log: &dyn LogView,
    ) -> Result<Vec<Output>, Fatal> {
        todo!("{:?}", (&self.config, now, entropy.next_u32(), input, log.region()))
    }
}
