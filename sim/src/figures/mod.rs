//! What a run felt like and what it cost: the figures for people that stand beside the verdicts.
//!
//! ```text
//!   world ──(what devices were told, what links carried, what disks took)──▶ Figures ──▶ Users · Machines ──▶ tables, JSON, pages
//! ```
//! Checkers say whether promises were kept; these say how it was. They never decide about a run, and nothing of the world depends on them.
//!
//! What must always hold: taken from what devices are told and what leaves a core, never from a core's own state; the memory for them is bounded
//! (`limits.rs`), and what was left out because of a bound is counted.

mod distribution;
mod machines;
mod users;

pub use distribution::Distribution;
pub use machines::{Bound, LinkUse, Machines, RegionUse};
pub use users::Users;

use crate::world::Moment;
use crdt::{DeviceId, RegionId};
use gateway_client::{Act, Event};
use users::Watch;

/// The recorder.
#[derive(Debug, Default)]
pub struct Figures {
    watch: Watch,
    machines: Machines,
}

impl Figures {
    /// There is a device, which lives at that region.
    pub fn device_lives(&mut self, at: Moment, device: DeviceId, region: RegionId) {
        self.watch.device_lives(at, device, region);
    }

    /// A device has a network, or has not.
    pub fn device_is_online(&mut self, at: Moment, device: DeviceId, online: bool) {
        self.watch.device_is_online(at, device, online);
    }

    /// A user does something.
    pub fn acts(&mut self, at: Moment, device: DeviceId, act: &Act) {
        self.watch.acts(at, device, act);
    }

    /// A device tells its user something.
    pub fn told(&mut self, at: Moment, device: DeviceId, event: &Event) {
        self.watch.told(at, device, event);
    }

    /// A frame leaves on a link.
    pub fn carried(&mut self, from: RegionId, to: RegionId, bytes: usize) {
        self.machines.carried(from, to, bytes);
    }

    /// A batch of so many bytes went to a region's disk.
    pub fn stored(&mut self, region: RegionId, bytes: usize) {
        self.machines.stored(region, bytes);
    }

    /// So many operations became durable in a region.
    pub fn grew(&mut self, region: RegionId, operations: usize) {
        self.machines.grew(region, operations);
    }

    /// So many letters wait for a shard.
    pub fn waits(&mut self, region: RegionId, letters: usize) {
        self.machines.waits(region, letters);
    }

    /// A bound of memory was reached.
    pub fn reached(&mut self, bound: Bound) {
        self.machines.reached(bound);
    }

    /// What users saw up to now.
    #[must_use]
    pub fn users(&self, now: Moment) -> Users {
        self.watch.users(now)
    }

    /// What machines did up to now.
    #[must_use]
    pub const fn machines(&self) -> &Machines {
        &self.machines
    }
}
