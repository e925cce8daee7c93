//! What a region says of itself to the others, and the line of text that gossip carries.
//!
//! ```text
//!   c=wss://eu.example:7102 b=192.0.2.1:7101 d=0 n=120 m=10 p1=3a p2=1j
//! ```
//! Where clients and bridges find it, whether it drains, how many sessions it has, how full its fullest mailbox is, and of each of its placements the epoch in which it stands
//! and whether it is active there (`a`) or joining (`j`).
//!
//! What must always hold:
//! - Facts are of the region alone: no user, device or conversation is in them, so they may be told to regions of every placement (promise 8).
//! - A line is at most [`FACTS_BYTES_MAX`] long. Fields that a later release adds are passed over; a line that lacks one of these or is malformed is none.
//! - Numbers that change all the time are rounded, so that a quiet region's line stays the same and costs nothing.

use crdt::{PlacementId, RegionId};
use replication::placement::{Epoch, Placements};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// Bytes of a line: 64 placements take some 1,400, addresses at most 330. A longer one is not taken.
pub const FACTS_BYTES_MAX: usize = 2_048;

/// Bytes of the address for clients: a name in the DNS has at most 253.
const CLIENT_BYTES_MAX: usize = 270;

/// What a region says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Where clients reach it, `ws://` or `wss://`.
    pub client: String,
    /// Where bridges reach it.
    pub bridge: SocketAddr,
    /// Whether it has been told to end and sends its devices away.
    pub draining: bool,
    /// How much it has to do.
    pub load: Load,
    /// The placements that it has a part in.
    pub placements: BTreeMap<PlacementId, Stands>,
}

/// How much a region has to do, rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Devices that are connected, to two digits, rounded down.
    pub sessions: u64,
    /// How full the fullest of its mailboxes is, in steps of ten per cent, rounded down.
    pub mailbox_percent: u8,
}

/// How a region stands in a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stands {
    /// The epoch that it follows.
    pub epoch: Epoch,
    /// Whether it was admitted and lacks yet what the others hold: it answers no device there.
    pub joining: bool,
}

impl Load {
    /// Of so many sessions, and a mailbox in which so many of at most so many letters wait.
    #[must_use]
    pub fn rounded(sessions: usize, waiting: usize, waiting_max: usize) -> Self {
        let sessions = sessions as u64;
        let digits_after_two = sessions.checked_ilog10().unwrap_or(0).saturating_sub(1);
        let step = 10_u64.pow(digits_after_two);
        let tenths = waiting.min(waiting_max) * 10 / waiting_max.max(1);
        let mailbox_percent = u8::try_from(tenths * 10).unwrap_or(100);
        Self { sessions: sessions / step * step, mailbox_percent }
    }
}

/// How a region stands in each placement that it has a part in, by the epochs that it follows.
#[must_use]
pub fn stands(
    own: RegionId,
    epochs: &Placements,
    behind: &BTreeSet<PlacementId>,
) -> BTreeMap<PlacementId, Stands> {
    let held = epochs.iter().filter(|placement| placement.replica_of(own).is_some());
    held.map(|placement| {
        (placement.id, Stands { epoch: placement.epoch, joining: behind.contains(&placement.id) })
    })
    .collect()
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, bridge, draining, load: Load { sessions, mailbox_percent }, placements } = self;
        let mut line =
            format!("c={client} b={bridge} d={} n={sessions} m={mailbox_percent}", u8::from(*draining));
        for (placement, Stands { epoch, joining }) in placements {
            write!(line, " {placement}={}{}", epoch.0, if *joining { 'j' } else { 'a' })?;
        }
        f.write_str(&line)
    }
}

impl Facts {
    /// Reads a line; none if it is not one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        if line.len() > FACTS_BYTES_MAX {
            return None;
        }
        let mut fields = BTreeMap::new();
        let mut placements = BTreeMap::new();
        for field in line.split(' ') {
            let (name, value) = field.split_once('=')?;
            match name.parse() {
                Ok(placement) => _ = placements.insert(placement, stands_of(value)?),
                Err(_) => _ = fields.insert(name, value),
            }
        }
        let client = fields.get("c").filter(|client| client.len() <= CLIENT_BYTES_MAX)?;
        let draining = match *fields.get("d")? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let sessions = fields.get("n")?.parse().ok()?;
        let mailbox_percent = fields.get("m")?.parse().ok().filter(|percent| *percent <= 100)?;
        Some(Self {
            client: (*client).to_owned(),
            bridge: fields.get("b")?.parse().ok()?,
            draining,
            load: Load { sessions, mailbox_percent },
            placements,
        })
    }

    /// Whether it takes devices in that placement.
    #[must_use]
    pub fn serves(&self, placement: PlacementId) -> bool {
        !self.draining && self.placements.get(&placement).is_some_and(|stands| !stands.joining)
    }
}

fn stands_of(text: &str) -> Option<Stands> {
    let (epoch, joining) = match text.strip_suffix('a') {
        Some(epoch) => (epoch, false),
        None => (text.strip_suffix('j')?, true),
    };
    Some(Stands { epoch: Epoch(epoch.parse().ok()?), joining })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{BTreeMap, Epoch, FACTS_BYTES_MAX, Facts, Load, PlacementId, Stands};

    fn facts() -> Facts {
        let stands = |epoch, joining| Stands { epoch: Epoch(epoch), joining };
        Facts {
            client: "wss://eu.example:7102".to_owned(),
            bridge: "192.0.2.1:7101".parse().unwrap(),
            draining: false,
            load: Load { sessions: 120, mailbox_percent: 10 },
            placements: BTreeMap::from([
                (PlacementId(1), stands(3, false)),
                (PlacementId(2), stands(1, true)),
            ]),
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written_and_what_a_later_release_adds_is_passed_over() {
        let line = "c=wss://eu.example:7102 b=192.0.2.1:7101 d=0 n=120 m=10 p1=3a p2=1j";
        assert_eq!(facts().to_string(), line);
        assert_eq!(Facts::parse(line), Some(facts()));
        assert_eq!(Facts::parse(&format!("z=9 {line} moon=full")), Some(facts()));
        let draining = Facts { draining: true, bridge: "[2001:db8::1]:9".parse().unwrap(), ..facts() };
        assert_eq!(Facts::parse(&draining.to_string()), Some(draining));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let line = facts().to_string();
        for (wrong, instead) in [
            ("c=wss://eu.example:7102 ", ""),
            ("192.0.2.1:7101", "eu.example:7101"),
            ("d=0", "d=2"),
            ("n=120", "n=-1"),
            ("m=10", "m=101"),
            ("p1=3a", "p1=3x"),
            ("p1=3a", "p1=a"),
            (" p2", "  p2"),
        ] {
            let changed = line.replacen(wrong, instead, 1);
            assert_ne!(changed, line);
            assert_eq!(Facts::parse(&changed), None, "{changed}");
        }
        assert_eq!(Facts::parse(&format!("{line} z={}", "z".repeat(FACTS_BYTES_MAX))), None);
        assert_eq!(Facts::parse(&line.replace("eu.example", &"e".repeat(300))), None);
    }

    #[test]
    fn the_longest_line_of_a_region_is_within_the_limit() {
        let most = Stands { epoch: Epoch(u64::MAX >> 20), joining: true };
        let placements = (0..crate::cluster::PLACEMENTS_MAX as u16).map(|n| (PlacementId(65_535 - n), most));
        let client = format!("wss://{}:65535", "e".repeat(253));
        let bridge = "[2001:db8:1234:1234:1234:1234:1234:1234]:65535".parse().unwrap();
        let load = Load { sessions: u64::MAX, mailbox_percent: 100 };
        let longest = Facts { client, bridge, load, draining: true, placements: placements.collect() };
        assert_eq!(Facts::parse(&longest.to_string()), Some(longest));
    }

    #[test]
    fn load_is_rounded_so_that_a_quiet_region_says_the_same_again() {
        let sessions = |count| Load::rounded(count, 0, 100).sessions;
        assert_eq!([0, 7, 99, 100, 129, 16_384].map(sessions), [0, 7, 99, 100, 120, 16_000]);
        let mailbox = |waiting| Load::rounded(0, waiting, 4_096).mailbox_percent;
        assert_eq!([0, 409, 410, 4_095, 4_096, 9_999].map(mailbox), [0, 0, 10, 90, 100, 100]);
    }

    #[test]
    fn a_region_serves_where_it_is_active_and_does_not_drain() {
        let serves = |facts: &Facts| [1, 2, 3].map(|number| facts.serves(PlacementId(number)));
        assert_eq!(serves(&facts()), [true, false, false]);
        assert_eq!(serves(&Facts { draining: true, ..facts() }), [false; 3]);
    }
}
