//! A whole region: its lock, a store and a shard for each of its placements, and its bridges.
//!
//! What must always hold:
//! - Nothing is served before every store was found to be this region's and its new start number is durable.
//! - A store that was there at the last start and is gone now is never created afresh: its replica would issue its dots again.
