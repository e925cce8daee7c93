//! A userspace UDP relay that stands between real processes and behaves like a wide-area network.
