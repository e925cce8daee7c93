//! What the rig waits for and holds at most, and what happens at each limit.
//!
//! What must always hold: a run ends, well or not, however its regions and clients behave.

use std::time::Duration;

/// A region's process must say that it is ready within this time of its start, recovery included; else the run fails by name.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(60);

/// A region's process must end within this time of being asked to; then it is killed.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(15);

/// All clients must be signed in, and have been told of their conversations, within this time; else the run is reported as failed.
pub(crate) const GATHER_WITHIN: Duration = Duration::from_secs(120);

/// Between the starts of two clients: a thousand of them at once would be a storm that nobody asked to see.
pub(crate) const BETWEEN_CLIENTS: Duration = Duration::from_millis(1);

/// After the schedule and the last fault, all must be calm within this time, or half the schedule if that is longer.
pub(crate) const CALM_WITHIN: Duration = Duration::from_secs(90);

/// It is calm when nothing has been shown to anybody for so long, with every message stable and everybody signed in.
pub(crate) const QUIET_FOR: Duration = Duration::from_secs(2);

/// How often the rig looks whether something has come about, and tells of progress.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The last page of each conversation must arrive on each client within this time; what has not is reported.
pub(crate) const PAGES_WITHIN: Duration = Duration::from_secs(60);

/// Messages on the last page: what a screen shows. The protocol gives at most 50.
pub(crate) const PAGE_MESSAGES: u32 = 50;

/// One person in so many reads what they are shown (their client says so); the others' phones stay in their pockets.
pub(crate) const READERS_ONE_IN: usize = 8;

/// After this time somebody tries again to do something to a message that their region did not know of.
pub(crate) const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How often a reader reads.
pub(crate) const READ_EVERY: Duration = Duration::from_secs(2);

/// An export must be answered within this time.
pub(crate) const EXPORT_WITHIN: Duration = Duration::from_secs(60);

/// Bytes of a history gathered before they are written to its file.
pub(crate) const HISTORY_BUFFER_BYTES: usize = 16 * 1024;

/// Bytes of a file read at once when disks are scanned.
pub(crate) const SCAN_PIECE_BYTES: usize = 256 * 1024;

/// Bytes of a log file; a longer one is refused. The ten we play have 90 KB each.
pub(crate) const LOG_FILE_BYTES_MAX: u64 = 64 << 20;

/// Sentences about what went wrong that a report lists.
pub(crate) const PROBLEMS_MAX: usize = 50;
