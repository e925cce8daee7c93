//! What a region needs of its machine, and what the machine falls short of: judged at the start, and whenever an operator asks.
//!
//! What must always hold: it is a function of what was measured; what could not be measured is not complained of. Only what makes a region
//! unable to work stops it ([`Shortage::stops`]); all else is a sentence that says what to change.

use std::fmt;

/// Descriptors beside stores and connections: the log, sockets, what the runtime holds, and room.
const DESCRIPTORS_BESIDE: u64 = 256;
/// Descriptors without which a store does not even open.
const DESCRIPTORS_OF_STORE_LEAST: u64 = 32;
/// Descriptors without which there is neither a runtime nor a bridge.
const DESCRIPTORS_BESIDE_LEAST: u64 = 32;
/// Free bytes that the operator is told of: a store's write-ahead logs and buffers, and files that are rewritten beside the old ones.
const DISK_FREE_BYTES: u64 = 1 << 30;
/// Free bytes without which the first batches would end the region.
const DISK_FREE_BYTES_LEAST: u64 = 64 << 20;

/// What was measured of a machine; nothing where it could not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// Descriptors that the process may have open.
    pub descriptors: Option<u64>,
    /// Bytes that a UDP socket may be given for what has come.
    pub udp_receive_bytes: Option<u64>,
    /// Bytes that it may be given for what is to go.
    pub udp_send_bytes: Option<u64>,
    /// Bytes that are free where the data folder lies.
    pub disk_free_bytes: Option<u64>,
    /// Whether the system's clock follows others.
    pub clock_follows: Option<bool>,
}

/// What a region's configuration may come to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Stores, one of each placement.
    pub stores: u64,
    /// Descriptors that each may hold.
    pub descriptors_of_store: u64,
    /// Devices that may be connected at a time.
    pub connections: u64,
    /// Bytes that a bridge's socket asks for, each way.
    pub udp_buffer_bytes: u64,
}

/// What a machine falls short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Fewer descriptors than stores and devices may take.
    Descriptors {
        /// How many there are.
        may: u64,
        /// How many may be needed.
        wanted: u64,
        /// Fewer than these and the region does not work.
        least: u64,
    },
    /// Smaller buffers for what has come over bridges.
    UdpReceive {
        /// What there is.
        may: u64,
        /// What is asked for.
        wanted: u64,
    },
    /// Smaller buffers for what is to go over bridges.
    UdpSend {
        /// What there is.
        may: u64,
        /// What is asked for.
        wanted: u64,
    },
    /// Little room where the data folder lies.
    Disk {
        /// Bytes that are free.
        free: u64,
    },
    /// The system's clock is left alone.
    Clock,
}

/// What that machine falls short of, for those needs.
#[must_use]
pub fn judge(machine: &Machine, needs: &Needs) -> Vec<Shortage> {
    let Needs { stores, descriptors_of_store, connections, udp_buffer_bytes } = *needs;
    let of_stores = stores.saturating_mul(descriptors_of_store);
    let descriptors = of_stores.saturating_add(connections).saturating_add(DESCRIPTORS_BESIDE);
    let least = stores.saturating_mul(DESCRIPTORS_OF_STORE_LEAST).saturating_add(DESCRIPTORS_BESIDE_LEAST);
    let below = |found: Option<u64>, wanted: u64| found.filter(|found| *found < wanted);
    let short = [
        below(machine.descriptors, descriptors).map(|may| Shortage::Descriptors {
            may,
            wanted: descriptors,
            least,
        }),
        below(machine.udp_receive_bytes, udp_buffer_bytes)
            .map(|may| Shortage::UdpReceive { may, wanted: udp_buffer_bytes }),
        below(machine.udp_send_bytes, udp_buffer_bytes)
            .map(|may| Shortage::UdpSend { may, wanted: udp_buffer_bytes }),
        below(machine.disk_free_bytes, stores.saturating_mul(DISK_FREE_BYTES))
            .map(|free| Shortage::Disk { free }),
        machine.clock_follows.filter(|follows| !follows).map(|_| Shortage::Clock),
    ];
    short.into_iter().flatten().collect()
}

/// How many descriptors those needs may come to.
#[must_use]
pub fn descriptors_wanted(needs: &Needs) -> u64 {
    match judge(&Machine { descriptors: Some(0), ..Machine::default() }, needs).first() {
        Some(Shortage::Descriptors { wanted, .. }) => *wanted,
        Some(_) | None => 0,
    }
}

impl Shortage {
    /// Whether a region cannot work with it.
    #[must_use]
    pub fn stops(&self) -> bool {
        match self {
            Self::Descriptors { may, least, .. } => may < least,
            Self::Disk { free } => *free < DISK_FREE_BYTES_LEAST,
            Self::UdpReceive { .. } | Self::UdpSend { .. } | Self::Clock => false,
        }
    }

    /// The stable code, as in `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Descriptors { .. } => "machine_descriptors",
            Self::UdpReceive { .. } => "machine_udp_receive",
            Self::UdpSend { .. } => "machine_udp_send",
            Self::Disk { .. } => "machine_disk",
            Self::Clock => "machine_clock",
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors { may, wanted, .. } => write!(
                f,
                "the process may open {may} files and stores and devices may take {wanted}: raise its hard limit (`LimitNOFILE={wanted}` of its service, `ulimit -Hn`)"
            ),
            Self::UdpReceive { may, wanted } => write!(
                f,
                "a socket may be given {may} bytes for what comes over bridges and asks for {wanted}: `sysctl net.core.rmem_max={wanted}`, for long fast links"
            ),
            Self::UdpSend { may, wanted } => write!(
                f,
                "a socket may be given {may} bytes for what goes over bridges and asks for {wanted}: `sysctl net.core.wmem_max={wanted}`, for long fast links"
            ),
            Self::Disk { free } => write!(
                f,
                "{} MiB are free where the data folder lies: make room, a region ends when its disk is full",
                free >> 20
            ),
            Self::Clock => {
                f.write_str("the system's clock follows no other: let chrony or systemd-timesyncd set it")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Machine, Needs, Shortage, descriptors_wanted, judge};

    const NEEDS: Needs =
        Needs { stores: 2, descriptors_of_store: 512, connections: 16_384, udp_buffer_bytes: 4 << 20 };
    const ENOUGH: Machine = Machine {
        descriptors: Some(17_664),
        udp_receive_bytes: Some(4 << 20),
        udp_send_bytes: Some(4 << 20),
        disk_free_bytes: Some(2 << 30),
        clock_follows: Some(true),
    };

    /// The codes of what falls short, and whether each stops the region.
    fn told(machine: Machine) -> Vec<(&'static str, bool)> {
        judge(&machine, &NEEDS).iter().map(|shortage| (shortage.code(), shortage.stops())).collect()
    }

    #[test]
    fn who_has_enough_or_cannot_be_measured_is_told_nothing() {
        assert_eq!(told(ENOUGH), []);
        assert_eq!(told(Machine::default()), []);
        assert_eq!(descriptors_wanted(&NEEDS), 17_664);
    }

    #[test]
    fn each_shortage_is_told_alone_and_stops_only_who_could_not_work() {
        let descriptors = |may| told(Machine { descriptors: Some(may), ..ENOUGH });
        assert_eq!(descriptors(17_663), [("machine_descriptors", false)]);
        assert_eq!(descriptors(96), [("machine_descriptors", false)]);
        assert_eq!(descriptors(95), [("machine_descriptors", true)]);
        let disk = |free| told(Machine { disk_free_bytes: Some(free), ..ENOUGH });
        assert_eq!(disk((2 << 30) - 1), [("machine_disk", false)]);
        assert_eq!(disk(64 << 20), [("machine_disk", false)]);
        assert_eq!(disk((64 << 20) - 1), [("machine_disk", true)]);
        let receive = Machine { udp_receive_bytes: Some(212_992), ..ENOUGH };
        assert_eq!(told(receive), [("machine_udp_receive", false)]);
        let send = Machine { udp_send_bytes: Some(0), ..ENOUGH };
        assert_eq!(told(send), [("machine_udp_send", false)]);
        assert_eq!(told(Machine { clock_follows: Some(false), ..ENOUGH }), [("machine_clock", false)]);
    }

    #[test]
    fn each_says_what_was_found_and_what_to_change() {
        let nothing = Machine {
            descriptors: Some(1_024),
            udp_receive_bytes: Some(212_992),
            udp_send_bytes: Some(212_991),
            disk_free_bytes: Some(700 << 20),
            clock_follows: Some(false),
        };
        let said: Vec<String> = judge(&nothing, &NEEDS).iter().map(Shortage::to_string).collect();
        let wanted = [
            ["1024", "LimitNOFILE=17664"],
            ["212992", "net.core.rmem_max=4194304"],
            ["212991", "net.core.wmem_max=4194304"],
            ["700 MiB", "make room"],
            ["follows no other", "chrony"],
        ];
        assert_eq!(said.len(), wanted.len());
        for (said, wanted) in said.iter().zip(wanted) {
            assert!(wanted.iter().all(|wanted| said.contains(wanted)), "{said}");
        }
    }
}
