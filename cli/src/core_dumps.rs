//! No core dump of this program is ever made: what it has in memory is people's texts, and keys.
//!
//! A dump lies where the machine's settings say: in no data folder, so in no statement of where a placement's bytes are, and beyond the time in which a deleted text is gone.
//!
//! What must always hold: the limit is set before a key is read or a store opened, whatever limit and handler the machine has; children inherit it. Where it cannot be set nothing begins.

use crate::failure::Failure;
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};

/// Bytes of a dump. Less than the least that Linux writes into a file; and the one number at which it hands nothing to a handler either, which a limit of 0 does not keep away (`fs/coredump.c`).
const LIMIT: u64 = 1;

/// From now on this process makes none.
///
/// # Errors
/// When the kernel refuses both ways.
pub(crate) fn forbid() -> Result<(), Failure> {
    // A limit of 0 cannot be raised to 1. Then it is the process itself that may not be dumped, at the price that others of the same user cannot look at what it does.
    setrlimit(Resource::RLIMIT_CORE, LIMIT, LIMIT).or_else(|_| set_dumpable(false)).map_err(|refused| {
        Failure::Stopped(format!(
            "the kernel does not let this process do without core dumps, which would write people's texts and keys to a disk: {refused}"
        ))
    })
}
