//! A control group of the test's own (the second version, cgroups(7)), in which a process may take so much memory more and no more.
//!
//! What must always hold: nothing is set in a group that was there before, so one can be made only where a group above the test's own already hands the memory controller on, and this user may write
//! there; it is gone with the test.

use std::fs;
use std::path::{Path, PathBuf};

/// Goes when it is dropped: what is in it must have ended before.
pub struct ControlGroup(PathBuf);

impl ControlGroup {
    /// Puts a process into one. What it has already stays in the account of the group that it comes from. Why not, where none can be made.
    pub fn around(process: u32, bytes: u64) -> Result<Self, String> {
        let made = Self::make()?;
        let set = |file: &str, value: &str| {
            let path = made.0.join(file);
            fs::write(&path, value).map_err(|reason| format!("{}: {reason}", path.display()))
        };
        set("memory.max", &bytes.to_string())?;
        // There where the kernel knows swap: without it nothing is moved out of the account.
        if made.0.join("memory.swap.max").exists() {
            set("memory.swap.max", "0")?;
        }
        set("cgroup.procs", &process.to_string())?;
        Ok(made)
    }

    /// An empty group below the nearest that hands the memory controller on: a group that has processes itself, as the test's own, cannot.
    fn make() -> Result<Self, String> {
        let read = |file: &str| fs::read_to_string(file).map_err(|reason| format!("{file}: {reason}"));
        let mounts = read("/proc/self/mounts")?;
        let mounted = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let root = mounted.into_iter().find(|fields| fields[2] == "cgroup2");
        let root = PathBuf::from(root.ok_or("control groups of the second version are not mounted")?[1]);
        let groups = read("/proc/self/cgroup")?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("in no control group")?;
        let hands_on = |group: &&Path| {
            let controllers = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
            controllers.split_whitespace().any(|controller| controller == "memory")
        };
        let above = root.join(own);
        let above = above.ancestors().take_while(|group| group.starts_with(&root)).find(hands_on);
        let above = above.ok_or("no group above the test's own hands the memory controller on")?;
        let path = above.join(format!("archipelago-test-{}", std::process::id()));
        fs::create_dir(&path).map_err(|reason| format!("{}: {reason}", path.display()))?;
        Ok(Self(path))
    }

    /// How many processes the kernel has ended at the limit.
    pub fn killed(&self) -> u64 {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap();
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.unwrap().parse().unwrap()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let removed = fs::remove_dir(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{} stays: {removed:?}", self.0.display());
    }
}
