//! What the simulator takes and keeps at most, and what happens at each limit.
//!
//! What must always hold: input beyond one of these is refused before anything starts; a list that is cut says how much there was.

/// Bytes of a message; a log with a longer one is refused. The region refuses such a body too.
pub const BODY_BYTES_MAX: usize = 65_536;

/// Characters of a nick; a log with a longer one is refused. IRC networks allow 9 to 30.
pub const NICK_CHARACTERS_MAX: usize = 64;

/// Lines of a log; a longer one is refused.
pub const LOG_LINES_MAX: usize = 100_000;

/// Links of a log; a longer file is refused. People answer one line in most cases, so a few a line is ample.
pub const LOG_LINKS_MAX: usize = 4 * LOG_LINES_MAX;

/// Members of a group: the region's limit. A log with more people is refused.
pub const MEMBERS_MAX: usize = 1_024;

/// Regions of a replay: a lane each in the picture, a process each on the machine.
pub const REGIONS_MAX: usize = 9;

/// Violations that a report lists; further ones are counted by the verdicts alone.
pub const VIOLATIONS_LISTED_MAX: usize = 1_000;

/// Messages that the picture draws; of more, every n-th.
pub const DRAWN_MESSAGES_MAX: usize = 1_500;

/// Findings of a scan that are listed; one is already too many.
pub const FOUND_LISTED_MAX: usize = 100;

/// Messages of a run whose way is timed at once; of more, the oldest are forgotten and counted. About 100 bytes each.
pub const MESSAGES_TIMED_MAX: usize = 1_000_000;

/// How late an application may take what its client said, in microseconds: a line of a history carries the client's time, so it may be that much before the line
/// above, which the application did meanwhile. Beyond it the history is not of one clock, and is refused.
pub const APPLICATION_LATE_US_MAX: u64 = 10_000_000;
