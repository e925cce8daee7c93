//! What gossip has refused and holds, for metrics.
//!
//! What must always hold: counting takes no lock, and refusals only grow in number while the process lives.

use crate::refused::GossipRefused;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a region's gossip.
#[derive(Debug, Default)]
pub struct GossipCounters {
    refused: [AtomicU64; GossipRefused::CODES.len()],
    /// Starts of regions that are held, this region's own among them.
    pub starts_held: AtomicU64,
}

impl GossipCounters {
    /// Messages that were refused, by the code of the reason.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        GossipRefused::CODES.into_iter().zip(counts)
    }

    pub(crate) fn note_refused(&self, refused: &GossipRefused) {
        let place = GossipRefused::CODES.iter().position(|code| *code == refused.code());
        if let Some(count) = place.and_then(|place| self.refused.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
