//! Reads again all that lies on the disk, a partition at a time, so that damage is found before somebody needs what it hit.
//!
//! What must always hold: each partition is verified once in the stated time of running, evenly spread; starts begin at different partitions, so that a region
//! that starts every day still reads all of it; a reading changes nothing, and what one partition needs is all that it holds in memory.
//!
//! The driver waits, opens a view that stands still, and calls.

use crate::store::{StoreError, View};
use crate::verify::{Verified, verify_partition};
use crdt::id::BUCKETS;
use crdt::{Bucket, PartitionId, PlacementId};
use std::collections::BTreeMap;

/// Damages of one partition that are named; the rest of a partition with so many is not worth naming.
const DAMAGED_MAX: usize = 16;

/// Successive starts begin so many partitions apart: no factor in common with their number.
const STRIDE: u64 = 389;

/// Where the reading stands, and what it found.
#[derive(Debug)]
pub struct Scrub {
    placement: PlacementId,
    next: u16,
    within_ms: u64,
    /// By partition, how much of it was damaged when it was last read.
    damaged: BTreeMap<Bucket, usize>,
}

impl Scrub {
    /// Of a store's so-manieth start, to read all within that time.
    #[must_use]
    pub fn new(placement: PlacementId, start_number: u64, within_ms: u64) -> Self {
        // A remainder of the number of buckets is one.
        let next = (start_number.wrapping_mul(STRIDE) % u64::from(BUCKETS)) as u16;
        Self { placement, next, within_ms, damaged: BTreeMap::new() }
    }

    /// How long to wait before the next partition.
    #[must_use]
    pub fn pause_ms(&self) -> u64 {
        self.within_ms / u64::from(BUCKETS)
    }

    /// Reads the next partition.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read: the partition was not verified, and counts as damaged.
    pub fn read_next(&mut self, view: &dyn View) -> Result<Verified, StoreError> {
        let bucket = Bucket::new(self.next).unwrap_or(Bucket::FIRST);
        self.next = (self.next + 1) % BUCKETS;
        let partition = PartitionId { placement: self.placement, bucket };
        let read = verify_partition(view, partition, DAMAGED_MAX);
        // Of what cannot be read nobody knows how it is: it counts as one damage.
        match read.as_ref().map_or(1, |verified| verified.damaged.len()) {
            0 => _ = self.damaged.remove(&bucket),
            damaged => {
                crate::sometimes::SCRUB_FOUND_DAMAGE.reach();
                self.damaged.insert(bucket, damaged);
            }
        }
        read
    }

    /// How many records were damaged when they were last read.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.damaged.values().sum()
    }
}
