//! Changes what stands on the disk of a region that has ended, as a bad disk or a mistake in a release would.
//!
//! What must always hold: a change goes through the store, so that the engine's own checks find nothing; whether the record's checksum fits is the caller's choice.
#![allow(dead_code)] // each test program uses a part of it

use crate::two_regions::{NAMES, TwoRegions};
use region::store::{Batch, Direction, Store as _, View as _};
use region_rocks::engine::SharedMemory;
use region_rocks::store::RocksStore;
use std::ops::ControlFlow;

/// Tables by the third byte of a key, after the bucket.
pub const LOG: u8 = 1;
pub const REACH: u8 = 4;
pub const REGISTERS: u8 = 6;
pub const TIMELINE: u8 = 11;
pub const META: u8 = 15;

/// Changes the last record of a table of a region's store of `global`.
pub fn change(regions: &TwoRegions, number: usize, table: u8, how: impl Fn(&mut Batch, &[u8], Vec<u8>)) {
    let folder = regions.path().join("data").join(NAMES[number]).join("global");
    let mut store = RocksStore::open(&folder, &SharedMemory::new()).unwrap();
    let mut last = None;
    store
        .scan(&[], &[0xff; 8], Direction::Ascending, &mut |key, value| {
            if key.get(2) == Some(&table) {
                last = Some((key.to_vec(), value.to_vec()));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let (key, value) = last.unwrap();
    let mut batch = Batch::default();
    how(&mut batch, &key, value);
    store.commit(&batch).unwrap();
}

/// Flips one bit of it.
pub fn flip(regions: &TwoRegions, number: usize, table: u8) {
    change(regions, number, table, |batch, key, mut value| {
        value[0] ^= 1;
        batch.put(key, value.into());
    });
}

/// Changes what it says, under a checksum that fits.
pub fn forge(regions: &TwoRegions, number: usize, table: u8, how: impl Fn(&mut [u8])) {
    change(regions, number, table, |batch, key, mut value| {
        let at = value.len() - 4;
        how(&mut value[..at]);
        let sum = crc32c::crc32c_append(crc32c::crc32c(key), &value[..at]);
        value[at..].copy_from_slice(&sum.to_be_bytes());
        batch.put(key, value.into());
    });
}
