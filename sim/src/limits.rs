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

/// Findings of a scan that are listed; one is already too many.
pub const FOUND_LISTED_MAX: usize = 100;

/// Messages of a run whose way is timed at once; of more, the oldest are forgotten and counted. About 100 bytes each.
pub const MESSAGES_TIMED_MAX: usize = 1_000_000;

/// How late an application may take what its client said, in microseconds: a line of a history carries the client's time, so it may be that much before the line
/// above, which the application did meanwhile. Beyond it the history is not of one clock, and is refused.
pub const APPLICATION_LATE_US_MAX: u64 = 10_000_000;

/// Faults that a page lists in words; of more it says how many there are.
pub const FAULTS_LISTED_MAX: usize = 200;

/// Messages that a page shows; of more, the slowest and every so many of the others.
pub const MESSAGES_DRAWN_MAX: usize = 1_000;

/// Of those, how many are the slowest.
pub const SLOWEST_DRAWN_MAX: usize = 200;

/// Messages whose way is recorded at once; of more, the newest, the slowest and one in so many. Some hundred bytes each, with eight devices 600.
pub const MESSAGES_RECORDED_MAX: usize = 20_000;

/// Showings that are recorded of a message; of more their number.
pub const SHOWINGS_RECORDED_MAX: usize = 48;

/// Faults that are recorded; of more their number.
pub const FAULTS_RECORDED_MAX: usize = 2_000;

/// Frames on their way of one direction of a link that are known again; when an older one arrives, nothing is said to have left with it.
pub const FRAMES_RECORDED_MAX: usize = 4_096;

/// Intervals of figures over time.
pub const INTERVALS_MAX: usize = 120;

const _: () = assert!(SLOWEST_DRAWN_MAX < MESSAGES_DRAWN_MAX && MESSAGES_DRAWN_MAX < MESSAGES_RECORDED_MAX);
