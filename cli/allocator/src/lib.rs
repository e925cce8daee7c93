//! The allocator of the program: mimalloc, or the C library's in a process whose allocations are to be counted.
//!
//! `archipelago bench` counts what a message costs by standing before `malloc` of a second set of regions (`sim/rig/src/bench/count_allocations.c`), and mimalloc asks
//! `malloc` for nothing. So a process that is told to count ([`COUNTS`] in its environment) takes the C library's: what is asked for is the same.
//!
//! What must always hold: which of the two it is, is decided by the first allocation and never changes, since memory goes back to where it came from.
//! Cost: one relaxed load an allocation.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::CStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// The variable that names the file which a counting process keeps its counters in.
pub const COUNTS: &CStr = c"ARCHIPELAGO_COUNTS";

/// Nothing has been allocated yet.
const UNDECIDED: u8 = 0;
const FAST: u8 = 1;
const COUNTED: u8 = 2;

/// The program's allocator.
#[derive(Debug)]
pub struct Allocator(AtomicU8);

impl Allocator {
    /// Before the first allocation.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU8::new(UNDECIDED))
    }

    fn is_counted(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            FAST => false,
            COUNTED => true,
            _ => self.decide(),
        }
    }

    /// Threads that come here at once decide alike: nothing has changed the environment before the first allocation.
    #[cold]
    fn decide(&self) -> bool {
        // SAFETY: the name ends with a nul, and nobody writes to the environment while it is read: the first allocation is made before `main`.
        let counted = unsafe { !libc::getenv(COUNTS.as_ptr()).is_null() };
        self.0.store(if counted { COUNTED } else { FAST }, Ordering::Relaxed);
        counted
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every call goes, as it is, to one and the same of two allocators that keep the contract.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe { if self.is_counted() { System.alloc(layout) } else { MiMalloc.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller's.
        unsafe { if self.is_counted() { System.alloc_zeroed(layout) } else { MiMalloc.alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller's, and the memory came from the same allocator.
        unsafe {
            if self.is_counted() { System.dealloc(place, layout) } else { MiMalloc.dealloc(place, layout) }
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller's, and the memory came from the same allocator.
        unsafe {
            if self.is_counted() {
                System.realloc(place, layout, size)
            } else {
                MiMalloc.realloc(place, layout, size)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_decided_stays_so_and_memory_keeps_what_is_written() {
        for state in [FAST, COUNTED] {
            let allocator = Allocator(AtomicU8::new(state));
            let layout = Layout::from_size_align(4_096, 64).unwrap();
            // SAFETY: the layout is not empty, nothing is written beyond it, and it goes back once, under the size that it has then.
            unsafe {
                let place = allocator.alloc_zeroed(layout);
                assert!((0..4_096).all(|at| *place.add(at) == 0));
                place.write_bytes(7, 4_096);
                let place = allocator.realloc(place, layout, 8_192);
                assert!((0..4_096).all(|at| *place.add(at) == 7));
                allocator.dealloc(place, Layout::from_size_align(8_192, 64).unwrap());
            }
            assert_eq!(allocator.0.load(Ordering::Relaxed), state);
        }
    }

    #[test]
    fn a_process_that_is_not_told_to_count_takes_the_fast_one() {
        let allocator = Allocator::new();
        assert!(!allocator.is_counted());
        assert_eq!(allocator.0.load(Ordering::Relaxed), FAST);
    }
}
