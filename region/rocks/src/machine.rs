//! Measures what a region's machine gives it; what that means is judged in `region/src/machine.rs`.
//!
//! What must always hold: what cannot be read is not known, never zero. The limit of descriptors is raised as far as the system allows, since the
//! usual one is made for programs that wait with `select`; nothing else is changed.

use crate::engine::OPEN_FILES;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::statvfs::statvfs;
use region::machine::{Machine, Needs};
use replication_quic::limits::UDP_BUFFER_BYTES;
use std::fs::read_to_string;
use std::path::Path;

/// What a region with so many stores and so many devices may come to need.
pub(crate) fn needs(stores: usize, connections: usize) -> Needs {
    Needs {
        stores: stores as u64,
        descriptors_of_store: u64::from(OPEN_FILES.unsigned_abs()),
        connections: connections as u64,
        udp_buffer_bytes: UDP_BUFFER_BYTES as u64,
    }
}

/// Lets the process open so many files, if it may.
pub(crate) fn raise_descriptors(wanted: u64) {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        // Where it is refused the limit is what is measured next.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}

/// What there is now, for a data folder there.
pub(crate) fn measure(data: &Path) -> Machine {
    let timesyncd = Path::new("/run/systemd/timesync");
    Machine {
        descriptors: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        udp_receive_bytes: number("/proc/sys/net/core/rmem_max"),
        udp_send_bytes: number("/proc/sys/net/core/wmem_max"),
        disk_free_bytes: statvfs(data)
            .ok()
            .map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size())),
        // It makes the file once it has set the clock. Of other programs nothing can be read without a system call of their own.
        clock_follows: timesyncd.is_dir().then(|| timesyncd.join("synchronized").exists()),
    }
}

/// Bytes of memory that this process has in use, files mapped into it included; none if that cannot be read.
pub(crate) fn resident_bytes() -> Option<u64> {
    // In KiB, see proc_pid_status(5).
    let status = read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1_024))
}

fn number(path: &str) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Resource, getrlimit, measure, raise_descriptors, resident_bytes, setrlimit};

    #[test]
    fn a_machine_is_measured_and_what_is_not_there_is_not_known() {
        let here = measure(&std::env::temp_dir());
        assert!(here.descriptors.unwrap() > 0 && here.disk_free_bytes.unwrap() > 0);
        assert!((1 << 20..1 << 40).contains(&resident_bytes().unwrap()));
        assert!(here.udp_receive_bytes.unwrap() >= 4_096 && here.udp_send_bytes.unwrap() >= 4_096);
        let nowhere = measure(std::path::Path::new("/no/such/folder"));
        assert_eq!(nowhere.disk_free_bytes, None);
    }

    #[test]
    fn the_limit_of_descriptors_is_raised_as_far_as_is_wanted_and_never_lowered() {
        let descriptors = || measure(&std::env::temp_dir()).descriptors.unwrap();
        let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 200, hard).unwrap();
        raise_descriptors(250);
        assert_eq!(descriptors(), 250);
        raise_descriptors(1);
        assert_eq!(descriptors(), 250);
        raise_descriptors(u64::MAX);
        assert_eq!(descriptors(), hard);
        setrlimit(Resource::RLIMIT_NOFILE, before, hard).unwrap();
    }
}
