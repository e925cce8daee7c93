//! The shard core, the store trait, placements and accounts of one region: pure.
