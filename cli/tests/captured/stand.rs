//! Three regions as processes, two of them of the placement `eu`; a relay between each pair that records every datagram; an S3 server.
//!
//! What must always hold: bridges reach each other through the relay alone (`through_relay`); what does not fit into a recording is counted, so that nothing is missed
//! unseen; nothing is left behind, neither a process nor a file.

use crate::quic::Datagram;
use crate::region_process::{PROGRAM, RegionProcess};
use crate::s3::{self, S3};
use crate::through_relay::route;
use crdt::{DeviceId, UserId};
use gateway_client_net::{Address, ClientHandle, Config, Events, Settings, Subprotocol};
use region::cluster::Cluster;
use sim_wan::Relay;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// In the order of their numbers: the one before dials the one after.
pub const NAMES: [&str; 3] = ["eu-central", "eu-west", "us-east"];
/// Bytes of one pair's recording: some hundred times what the test needs.
const RECORDED_MAX: usize = 64 << 20;

/// What passed between two regions, in order.
#[derive(Debug, Default, Clone)]
pub struct Recording {
    pub datagrams: Vec<Datagram>,
    bytes: usize,
    /// Datagrams that did not fit.
    pub missed: usize,
}

pub struct Stand {
    folder: tempfile::TempDir,
    pub cluster: Cluster,
    relay: Relay,
    s3: S3,
    recordings: BTreeMap<(usize, usize), Arc<Mutex<Recording>>>,
    regions: Vec<RegionProcess>,
}

impl Recording {
    fn take(&mut self, from_dialler: bool, bytes: &[u8]) {
        if self.bytes + bytes.len() > RECORDED_MAX {
            self.missed += 1;
            return;
        }
        self.bytes += bytes.len();
        self.datagrams.push(Datagram { from_dialler, bytes: bytes.to_vec() });
    }
}

impl Stand {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let s3 = S3::start(&folder.path().join("s3"), "isles");
        let init = ["init", "demo", "--regions", "eu-central,eu-west,us-east", "--insecure-loopback"];
        run(folder.path(), &[&init[..], &["--placement", "eu=eu-central,eu-west"]].concat());
        let file = folder.path().join("demo/cluster.toml");
        let relay = route(&file);
        let mut recordings = BTreeMap::new();
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let recording = Arc::new(Mutex::new(Recording::default()));
            for (from, to) in [(one, other), (other, one)] {
                let recording = Arc::clone(&recording);
                let watch = move |bytes: &[u8]| recording.lock().unwrap().take(from == one, bytes);
                relay.watch(NAMES[from], NAMES[to], watch).unwrap();
            }
            recordings.insert((one, other), recording);
        }
        let mut text = fs::read_to_string(&file).unwrap();
        for placement in ["global", "eu"] {
            let named = format!("name = \"{placement}\"");
            let bucket =
                format!("{named}\nbackup = \"s3://isles/backups\"\nbackup_endpoint = \"{}\"", s3.endpoint());
            text = text.replacen(&named, &bucket, 1);
        }
        let cluster = Cluster::parse(&text).unwrap();
        fs::write(file, text).unwrap();
        let mut stand = Self { folder, cluster, relay, s3, recordings, regions: Vec::new() };
        stand.regions = NAMES.iter().map(|region| stand.start_one(region)).collect();
        stand
    }

    fn start_one(&self, region: &str) -> RegionProcess {
        let log = File::create(self.path().join(format!("{region}.log"))).unwrap();
        RegionProcess::start(self.path(), region, log, |command| {
            command.arg("--insecure-loopback").env("ARCHIPELAGO_LOG", "trace");
            command.env("SSLKEYLOGFILE", self.path().join("secrets"));
        })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What has passed between two regions up to now; the first one dials.
    pub fn recorded(&self, one: usize, other: usize) -> Recording {
        self.recordings[&(one, other)].lock().unwrap().clone()
    }

    /// How many datagrams the relay itself has counted between them, both ways.
    pub fn counted(&self, one: usize, other: usize) -> u64 {
        let way = |from: usize, to: usize| self.relay.counts(NAMES[from], NAMES[to]).unwrap().passed;
        way(one, other) + way(other, one)
    }

    /// What the ends of bridges have logged of their secrets.
    pub fn key_log(&self) -> String {
        fs::read_to_string(self.path().join("secrets")).unwrap()
    }

    pub fn log_of(&self, region: usize) -> String {
        fs::read_to_string(self.path().join(format!("{}.log", NAMES[region]))).unwrap()
    }

    /// A user's device at a region.
    pub fn device(&self, region: usize, user: UserId) -> (ClientHandle, Events) {
        let of = ["--user", &user.to_string(), "--device", &DeviceId(1).to_string()];
        let token = self.run(&[&["admin", "token", "--cluster", "demo"][..], &of].concat()).trim().to_owned();
        let url = self.cluster.region_named(NAMES[region]).unwrap().client.to_string();
        let home = vec![Address { region: NAMES[region].into(), url }];
        let (device, client, placements) = (DeviceId(1), "test".into(), Vec::new());
        let config = Config { user, device, token, client, home, placements };
        ClientHandle::connect(Settings { config, subprotocol: Subprotocol::Proto, tls: None })
    }

    /// What a region answers its operators.
    pub fn ask(&self, region: usize, what: &str) -> Vec<u8> {
        let token = self.run(&["admin", "operator-token", "--cluster", "demo"]);
        let url = format!("http://{}{what}", self.cluster.region_named(NAMES[region]).unwrap().admin);
        let asked = ureq::get(&url).header("authorization", format!("Bearer {}", token.trim()));
        asked.call().unwrap().body_mut().read_to_vec().unwrap()
    }

    /// What a region's metric says of its bridges, all together.
    pub fn metric(&self, region: usize, begins: &str) -> u64 {
        let text = String::from_utf8(self.ask(region, "/metrics")).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(begins));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Backs up what a region holds of a placement, and fetches it again, as it was, into `fetched-REGION`.
    pub fn backed_up(&self, region: usize, placement: &str) {
        let (name, data) = (NAMES[region], format!("data/{}", NAMES[region]));
        let of = ["--cluster", "demo", "--region", name, "--placement", placement];
        self.run(&[&["admin", "backup", "--data", &data][..], &of].concat());
        self.run(&[&["admin", "fetch-backup", "--into", &format!("fetched-{name}")][..], &of].concat());
    }

    /// Kills a region without warning.
    pub fn kill(&mut self, region: usize) {
        self.regions[region].kill();
    }

    /// Runs the program in the folder and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        run(self.path(), arguments)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // Before their logs are read, and their folder goes.
        self.regions.clear();
        self.s3.stop();
        for region in (0..NAMES.len()).filter(|_| std::thread::panicking()) {
            let log = self.log_of(region);
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("TRACE")).collect();
            eprintln!(
                "what {} logged last:\n{}",
                NAMES[region],
                lines[lines.len().saturating_sub(20)..].join("\n")
            );
        }
    }
}

fn output(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir(folder)
        .env("AWS_ACCESS_KEY_ID", s3::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", s3::SECRET_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    for variable in ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"] {
        command.env_remove(variable);
    }
    for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
        command.env(variable, folder.join("no-such-file"));
    }
    command.output().unwrap()
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = output(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
