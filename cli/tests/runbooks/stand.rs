//! Two regions with a relay between them, which cuts and delays, and a bad machine under west (`bad_machine.c`), both as bad as the test says at any moment.
//!
//! What must always hold: bridges reach each other through the relay alone (`through_relay`); unless a test says otherwise the machine is a good one.

use crate::through_relay::route;
use crate::two_regions::{Environment, NAMES, TwoRegions, wait_until};
use serde_json::Value;
use sim_wan::{LinkSettings, Relay};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub const EAST: usize = 0;
pub const WEST: usize = 1;

pub struct Stand {
    pub regions: TwoRegions,
    pub machine: Machine,
    relay: Relay,
}

/// The machine under west.
pub struct Machine(File);

impl Machine {
    fn new(folder: &Path) -> Self {
        let shim = folder.join("bad_machine.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runbooks/bad_machine.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(shim).arg(source);
        assert!(compile.arg("-ldl").status().unwrap().success(), "the shim compiles");
        let machine = Self(File::create(folder.join("bad_machine")).unwrap());
        for (place, number) in [0, 0, 0, -1].into_iter().enumerate() {
            machine.set(place as u64, number);
        }
        machine
    }

    fn set(&self, place: u64, number: i64) {
        self.0.write_all_at(&number.to_ne_bytes(), 8 * place).unwrap();
    }

    pub fn set_clock_ahead_ms(&self, ms: i64) {
        self.set(0, ms);
    }

    /// How much longer each sync takes.
    pub fn set_sync(&self, takes: Duration) {
        self.set(1, i64::try_from(takes.as_micros()).unwrap());
    }

    pub fn set_full(&self, full: bool) {
        self.set(2, i64::from(full));
    }

    /// How many MiB the disk says are free.
    pub fn set_free_mib(&self, mib: i64) {
        self.set(3, mib << 20);
    }
}

impl Stand {
    pub fn start() -> Self {
        Self::start_on(|_| {})
    }

    /// On a machine that is bad from the beginning.
    pub fn start_on(make_bad: impl FnOnce(&Machine)) -> Self {
        let (mut relay, mut machine) = (None, None);
        let regions = TwoRegions::start_prepared(&[], |folder| {
            relay = Some(route(&folder.join("demo/cluster.toml")));
            let under_west = Machine::new(folder);
            make_bad(&under_west);
            machine = Some(under_west);
            let shim =
                [("LD_PRELOAD", folder.join("bad_machine.so")), ("BAD_MACHINE", folder.join("bad_machine"))];
            Environment::from([Vec::new(), shim.into()])
        });
        let stand = Self { regions, machine: machine.unwrap(), relay: relay.unwrap() };
        wait_until("both bridges are open", || stand.is_open(EAST) && stand.is_open(WEST));
        stand
    }

    /// Cuts what goes from one to the other, or lets it pass again.
    pub fn cut(&self, from: usize, to: usize, cut: bool) {
        self.relay.set_cut(NAMES[from], NAMES[to], cut).unwrap();
    }

    /// How long a packet takes, either way.
    pub fn set_delay(&self, takes: Duration) {
        let settings = LinkSettings::delay_only(takes.as_micros().try_into().unwrap());
        for (from, to) in [(EAST, WEST), (WEST, EAST)] {
            self.relay.set_link(NAMES[from], NAMES[to], settings).unwrap();
        }
    }

    /// What `archipelago status` says of a region; nothing if it does not answer.
    pub fn said_of(&self, region: usize) -> Value {
        self.regions.status().1["regions"][NAMES[region]].clone()
    }

    /// Whether a region says that its bridge is open.
    pub fn is_open(&self, region: usize) -> bool {
        self.said_of(region)["bridges"][0]["open"] == true
    }

    /// All that `archipelago status` says is not well.
    pub fn problems(&self) -> String {
        self.regions.status().1["problems"].to_string()
    }
}
