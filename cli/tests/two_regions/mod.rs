//! A cluster of two regions, `east` and `west`, as processes on free ports in a temporary folder, and what tests say to it and wait for.
//!
//! What must always hold: nothing is left behind, neither a process nor a file, however the test ends.
#![allow(dead_code)] // each test program uses a part of it

#[path = "../region_process/mod.rs"]
mod region_process;

use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use gateway_client_net::{Act, Address, ClientHandle, Config, Event, Events, Settings, Subprotocol, trust};
pub use region_process::{PROGRAM, RegionProcess};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::{Duration, Instant};

/// The placement that both regions are of.
pub const GLOBAL: PlacementId = PlacementId(1);
/// A group in it.
pub const ISLE: ConversationId = ConversationId::group(GLOBAL, 7);
/// What takes longer does not come.
pub const SOON: Duration = Duration::from_secs(60);
pub const NAMES: [&str; 2] = ["east", "west"];

/// A client begins that group.
pub async fn begin_isle(client: &ClientHandle) {
    let create = Act::CreateGroup { conversation: ISLE, command: None, members: vec![], name: "isle".into() };
    client.act(create).await.unwrap();
}

/// Takes what a client is told, in order, up to what is wanted, and gives that.
pub async fn wait_for(events: &mut Events, is_wanted: impl Fn(&Event) -> bool) -> Event {
    let found = async {
        loop {
            let event = events.next().await.unwrap();
            if is_wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(SOON, found).await.expect("what is waited for is told")
}

/// Takes what a client is told, up to the acknowledgement of that command.
pub async fn until_acknowledged(events: &mut Events, wanted: MessageId) {
    wait_for(events, |event| matches!(event, Event::Acknowledged { command, .. } if *command == wanted))
        .await;
}

/// The same, up to where that message is shown.
pub async fn until_shown(events: &mut Events, wanted: MessageId) {
    wait_for(events, |event| matches!(event, Event::Shown { item, .. } if item.message == wanted)).await;
}

/// What is said of `global` where there is something about each placement.
pub fn global_of(said: &Value) -> &Value {
    let placements = said["placements"].as_array().map(Vec::as_slice).unwrap_or_default();
    placements.iter().find(|placement| placement["placement"] == "global").unwrap_or(&Value::Null)
}

/// Asks again and again until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "not so after {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Variables of each region's process.
pub type Environment = [Vec<(&'static str, PathBuf)>; 2];

pub struct TwoRegions {
    folder: tempfile::TempDir,
    /// What their logs are to hold.
    logged: &'static str,
    /// What else each of them sees in its environment.
    environment: Environment,
    regions: Vec<RegionProcess>,
    /// Where clients reach them.
    pub urls: Vec<String>,
    /// Where operators do.
    pub admins: Vec<String>,
}

impl TwoRegions {
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Regions that clients reach without TLS.
    pub fn start_plainly() -> Self {
        Self::start_with(&["--insecure-loopback"], &[])
    }

    /// Regions that rewrite at once the files that may hold a deleted text.
    pub fn start_that_erase_at_once() -> Self {
        Self::start_with(&[], &["--erase-after", "0"])
    }

    /// Regions that log all that they can.
    pub fn start_talkative() -> Self {
        Self::start_logging("trace", &[], &[])
    }

    /// Regions that are both of one more placement.
    pub fn start_both_in(placement: &str) -> Self {
        Self::start_as("warn", &["--placement", &format!("{placement}=east,west")], &[], &[], |_| {
            Environment::default()
        })
    }

    /// Regions of a cluster whose folder, `demo`, something is done to before they start, and whose processes see what that gives.
    pub fn start_prepared(options: &[&str], prepare: impl FnOnce(&Path) -> Environment) -> Self {
        Self::start_as("info", &[], options, &[], prepare)
    }

    fn start_with(options: &[&str], of_regions: &[&str]) -> Self {
        Self::start_logging("warn", options, of_regions)
    }

    fn start_logging(logged: &'static str, options: &[&str], of_regions: &[&str]) -> Self {
        Self::start_as(logged, &[], options, of_regions, |_| Environment::default())
    }

    fn start_as(
        logged: &'static str,
        placements: &[&str],
        options: &[&str],
        of_regions: &[&str],
        prepare: impl FnOnce(&Path) -> Environment,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::default();
        let (regions, urls, admins) = (Vec::new(), Vec::new(), Vec::new());
        let mut started = Self { folder, logged, environment, regions, urls, admins };
        let init = ["init", "demo", "--regions", "east,west", "--placement", "local=east"];
        started.run(&[&init, placements, options].concat());
        started.environment = prepare(started.path());
        for region in NAMES {
            let process = started.start_one(region, &[options, of_regions].concat());
            let address = |of: &str| process.ready[of].as_str().unwrap().to_owned();
            started.urls.push(address("client"));
            started.admins.push(address("admin"));
            started.regions.push(process);
        }
        started
    }

    fn start_one(&self, region: &str, options: &[&str]) -> RegionProcess {
        let number = NAMES.iter().position(|name| *name == region).unwrap();
        RegionProcess::start(self.path(), region, self.log(region), |command| {
            command.envs(self.environment[number].iter().cloned()).args(options);
            command.env("ARCHIPELAGO_LOG", self.logged);
        })
    }

    /// The file that a region's log goes to, `log/REGION`; printed if the test fails.
    fn log(&self, region: &str) -> File {
        let folder = self.path().join("log");
        std::fs::create_dir_all(&folder).unwrap();
        File::options().create(true).append(true).open(folder.join(region)).unwrap()
    }

    /// Starts a region again that has ended. It answers at the same address.
    pub fn start_again(&mut self, number: usize) {
        self.start_again_with(number, &[]);
    }

    /// The same, with these options.
    pub fn start_again_with(&mut self, number: usize, options: &[&str]) {
        self.regions[number] = self.start_one(NAMES[number], options);
    }

    /// Waits until a region's process has ended by itself.
    pub fn wait(&mut self, number: usize) -> ExitStatus {
        self.regions[number].wait()
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Tells a region to end, as a service manager does, and waits until it has.
    pub fn end(&mut self, number: usize) -> Option<i32> {
        self.regions[number].end()
    }

    /// Sends a region's process a signal.
    pub fn signal(&self, number: usize, signal: &str) {
        self.regions[number].signal(signal);
    }

    /// A device of a user of `global`, with a token of its own, that signs in to a region.
    pub fn device(&self, region: usize, user: u64, device: u64) -> Settings {
        self.device_of(GLOBAL, region, user, device)
    }

    /// The same, of a user of that placement.
    pub fn device_of(&self, pin: PlacementId, region: usize, user: u64, device: u64) -> Settings {
        let (user, device) = (UserId::new(pin, user), DeviceId(device));
        let (of_user, of_device) = (user.to_string(), device.to_string());
        let token =
            self.run(&["admin", "token", "--cluster", "demo", "--user", &of_user, "--device", &of_device]);
        let home = vec![Address { region: NAMES[region].into(), url: self.urls[region].clone() }];
        let config = Config { user, device, token, client: "test".into(), home, placements: Vec::new() };
        let pem = std::fs::read(self.path().join("demo/certs/ca.pem")).unwrap();
        Settings { config, subprotocol: Subprotocol::Proto, tls: Some(trust(&pem).unwrap()) }
    }

    /// Somebody begins a group in east and writes ten messages there, until all are stable.
    pub async fn write(&self) {
        let (client, mut events) = ClientHandle::connect(self.device(0, 0xa11ce, 1));
        begin_isle(&client).await;
        let mut last = None;
        for number in 0..10 {
            last = Some(client.send(ISLE, format!("message {number}").into(), None).await.unwrap());
        }
        let is_last =
            |event: &Event| matches!(event, Event::Stable { command, .. } if Some(*command) == last);
        wait_for(&mut events, is_last).await;
    }

    /// What a region has logged, over all its starts.
    pub fn logged(&self, number: usize) -> String {
        std::fs::read_to_string(self.path().join("log").join(NAMES[number])).unwrap()
    }

    /// All that a region tells of itself as metrics.
    pub fn metrics(&self, number: usize) -> String {
        let url = format!("http://{}/metrics", self.admins[number]);
        ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap()
    }

    /// What a region's metric says, all its lines together that begin so.
    pub fn metric(&self, number: usize, begin: &str) -> u64 {
        let text = self.metrics(number);
        let lines = text.lines().filter(|line| line.starts_with(begin));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// The number of a region's process.
    pub fn process(&self, number: usize) -> u32 {
        self.regions[number].id()
    }

    /// How long processors have worked for a region's process so far.
    pub fn worked(&self, number: usize) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.regions[number].id())).unwrap();
        // The name of the program may hold anything, so fields are counted behind it: `utime` and `stime` of proc_pid_stat(5), in hundredths of a second on every Linux.
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split_whitespace().collect();
        let hundredths: u64 = fields[12..14].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(10 * hundredths)
    }

    /// `archipelago admin verify` or `repair` of a region that has ended: its exit code, what it found, and what it said.
    pub fn at_rest(&self, number: usize, verb: &str, more: &[&str]) -> (Option<i32>, Value, String) {
        let data = format!("data/{}", NAMES[number]);
        let fixed =
            ["admin", verb, "--cluster", "demo", "--region", NAMES[number], "--data", &data, "--json"];
        let output = self.try_run(&[&fixed, more].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), said)
    }

    /// What `archipelago status` finds, and its exit code.
    pub fn status(&self) -> (Option<i32>, Value) {
        let output = self.try_run(&["status", "--cluster", "demo", "--json"]);
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Compares what the regions hold.
    pub fn check(&self, more: &[&str]) -> Output {
        self.try_run(&[&["check", "--cluster", "demo"], more].concat())
    }

    pub fn wait_until_equal(&self) {
        wait_until("both regions hold the same", || self.check(&[]).status.success());
    }

    /// Runs the program in the folder, however it ends.
    pub fn try_run(&self, arguments: &[&str]) -> Output {
        Command::new(PROGRAM).args(arguments).current_dir(self.path()).output().unwrap()
    }

    /// Runs it and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for TwoRegions {
    fn drop(&mut self) {
        // Before their logs are read, and their folder goes.
        self.regions.clear();
        for region in ["east", "west"].iter().filter(|_| std::thread::panicking()) {
            let log = std::fs::read_to_string(self.path().join("log").join(region));
            eprintln!("what {region} logged:\n{}", log.unwrap_or_default());
        }
    }
}
