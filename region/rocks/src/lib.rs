//! The region's driver: RocksDB, threads, recovery.
