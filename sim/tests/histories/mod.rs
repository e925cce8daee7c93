//! Histories by subject: of bridges and logs in `bridges`, of a region and its devices in `devices`, of clocks in `time`, of stores that come back in `restored`, of those that begin with another one's in `snapshots`; `faults` tells what each fault does.
//!
//! Each drives a world by hand, through its public face alone, and asks what devices were told. What must always hold: the history fails when its
//! clause is taken out; a patch in `sim/breakages/` does that.

mod bridges;
mod devices;
mod faults;
pub(crate) mod islands;
mod restored;
mod snapshots;
mod time;
