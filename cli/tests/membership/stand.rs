//! Three regions as processes, each pair with a relay between them that can be cut, and what they say of each other.
//!
//! What must always hold: bridges reach each other through the relay alone (`through_relay`); nothing is left behind, neither a process nor a file.

use crate::region_process::{PROGRAM, RegionProcess};
use crate::through_relay::route;
use crdt::{DeviceId, PlacementId, UserId};
use gateway_client_net::{Address, ClientHandle, Config, Events, Settings, Subprotocol};
use region::cluster::Cluster;
use serde_json::Value;
use sim_wan::Relay;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub const NAMES: [&str; 3] = ["east", "north", "west"];

pub struct Stand {
    folder: tempfile::TempDir,
    pub cluster: Cluster,
    relay: Relay,
    regions: Vec<RegionProcess>,
}

impl Stand {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let init = ["init", "demo", "--regions", "east,north,west", "--insecure-loopback"];
        run(folder.path(), &[&init[..], &["--placement", "local=east,west"]].concat());
        let file = folder.path().join("demo/cluster.toml");
        let relay = route(&file);
        let cluster = Cluster::parse(&fs::read_to_string(&file).unwrap()).unwrap();
        let mut stand = Self { folder, cluster, relay, regions: Vec::new() };
        for region in NAMES {
            let process = stand.start_one(region);
            stand.regions.push(process);
        }
        stand
    }

    fn start_one(&self, region: &str) -> RegionProcess {
        let log = File::options().create(true).append(true).open(self.path().join(format!("{region}.log")));
        RegionProcess::start(self.path(), region, log.unwrap(), |command| {
            command.arg("--insecure-loopback").env("ARCHIPELAGO_LOG", "info");
        })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Cuts what is between two regions, both ways, or makes it whole again.
    pub fn cut(&self, one: usize, other: usize, cut: bool) {
        for (from, to) in [(one, other), (other, one)] {
            self.relay.set_cut(NAMES[from], NAMES[to], cut).unwrap();
        }
    }

    /// Sends a region's process a signal.
    pub fn signal(&self, region: usize, signal: &str) {
        self.regions[region].signal(signal);
    }

    /// Kills a region without warning.
    pub fn kill(&mut self, region: usize) {
        self.regions[region].kill();
    }

    /// Starts a region again that has ended.
    pub fn start_again(&mut self, region: usize) {
        self.regions[region] = self.start_one(NAMES[region]);
    }

    /// What `archipelago status` finds, and its exit code.
    pub fn status(&self) -> (Option<i32>, Value) {
        let output = self.try_run(&["status", "--cluster", "demo", "--json", "--timeout", "2"]);
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    }

    /// What `archipelago status` shows to people.
    pub fn table(&self) -> String {
        String::from_utf8(self.try_run(&["status", "--cluster", "demo", "--timeout", "2"]).stdout).unwrap()
    }

    /// What a region's metric says, all its lines together that begin so.
    pub fn metric(&self, region: usize, begins: &str) -> u64 {
        let admin = self.cluster.region_named(NAMES[region]).unwrap().admin;
        let asked = ureq::get(format!("http://{admin}/metrics")).call().unwrap().body_mut().read_to_string();
        let text = asked.unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(begins)).collect();
        assert!(!lines.is_empty(), "{} has no {begins}", NAMES[region]);
        lines.into_iter().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// A device that connects to a region, and is connected as long as what is given is kept.
    pub fn device(&self, region: usize) -> (ClientHandle, Events) {
        let (user, device) = (UserId::new(PlacementId(1), 0xa11ce), DeviceId(1));
        let of = ["--user", &user.to_string(), "--device", &device.to_string()];
        let said = self.try_run(&[&["admin", "token", "--cluster", "demo"][..], &of].concat()).stdout;
        let token = String::from_utf8(said).unwrap().trim().to_owned();
        let url = self.cluster.region_named(NAMES[region]).unwrap().client.to_string();
        let home = vec![Address { region: NAMES[region].into(), url }];
        let config = Config { user, device, token, client: "test".into(), home, placements: Vec::new() };
        ClientHandle::connect(Settings { config, subprotocol: Subprotocol::Proto, tls: None })
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM).args(arguments).current_dir(self.path()).output().unwrap()
    }
}

/// What a region has heard of another, of what `status` says.
pub fn heard(said: &Value, by: usize, of: usize) -> &Value {
    let members = said["regions"][NAMES[by]]["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    members.iter().find(|member| member["region"] == NAMES[of]).unwrap_or(&Value::Null)
}

/// Asks `status` until it is so; gives what it said then, and how long that took.
pub fn until(
    what: &str,
    within: Duration,
    stand: &Stand,
    is_so: impl Fn(&Value) -> bool,
) -> (Value, Duration) {
    let begun = Instant::now();
    loop {
        let (_, said) = stand.status();
        let took = begun.elapsed();
        assert!(took < within, "not so within {within:?}: {what}: {said}");
        if is_so(&said) {
            return (said, took);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn run(folder: &Path, arguments: &[&str]) {
    let output = Command::new(PROGRAM).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Drop for Stand {
    fn drop(&mut self) {
        // Before their logs are read, and their folder goes.
        self.regions.clear();
        for region in NAMES.iter().filter(|_| std::thread::panicking()) {
            let log = fs::read_to_string(self.path().join(format!("{region}.log")));
            eprintln!("what {region} logged:\n{}", log.unwrap_or_default());
        }
    }
}
