//! The `archipelago` program: reads its arguments, hands over to a command, and turns the result into an exit code.
//!
//! What must always hold: data goes to stdout and messages to stderr; every failure is one sentence that says what to do,
//! never a stack trace; the exit code is one of [`failure::Code`].

mod admin;
mod ask_for_lost;
mod ask_region;
mod at_rest;
mod backups;
mod bench;
mod broken;
mod certificates;
mod chat;
mod chat_screen;
mod check;
mod cluster_folder;
mod core_dumps;
mod demo;
mod epoch;
mod failure;
mod given_stores;
mod init;
mod join;
mod operate;
mod random;
mod remove_store;
mod replay;
mod residency;
mod restore;
mod run_region;
mod salvage;
mod sim;
mod status;
mod token;
mod write_file;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

/// Regions, and worlds of them above all, allocate much that is small and lives for a step (docs/decisions/dependencies.md).
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator::new();

/// A messaging store that lives in many regions at once.
#[derive(Debug, Parser)]
#[command(name = "archipelago", version, before_help = EXAMPLES, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the folder of a new cluster: its file, certificates, keys and first epochs
    Init(init::Init),
    /// Three regions on this machine: talk, cut, kill, heal, and the proof that nothing was lost
    Demo(demo::Demo),
    /// Load three regions on this machine and measure what a message costs
    Bench(bench::Bench),
    /// Play conversations on a cluster, break what you like, and judge the outcome
    Replay(replay::Replay),
    /// Run one region; prints one line of JSON when clients can connect
    Region(run_region::Region),
    /// What operators do: make tokens, close and admit regions, give users homes, turn features off
    Admin(admin::Admin),
    /// How regions stand: what they hold, what others lack of it, bridges, clocks
    Status(status::Status),
    /// Ask all regions what they hold, and compare
    Check(check::Check),
    /// Ask a simulated world what a cut, a crash or a wrong clock does to its users
    Sim(sim::Sim),
    /// Talk in a terminal
    Chat(chat::Chat),
}

const EXAMPLES: &str = "\
Examples:
  archipelago demo
  archipelago init demo --regions eu-central,us-east,ap-south --placement eu=eu-central
  archipelago region eu-central --cluster demo --data data/eu-central
  archipelago admin token --cluster demo --user u0001000000000001 --device d0000000000000001
  archipelago status --cluster demo
  archipelago check --cluster demo
  archipelago sim run forty-minute-cut --seed 1
";

const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 error, 2 usage, 3 degraded, 4 not found, 5 timeout, 6 refused.
Of `sim`: 10 a promise was broken, 11 not whole in time, 12 panic, 13 not deterministic, 14 a checker saw nothing.
Set ARCHIPELAGO_LOG (for example to `info` or `region=debug`) to see more on stderr.";

fn main() -> ExitCode {
    broken::on_panic(broken::Broken::Fails);
    let arguments = Arguments::parse();
    start_logging();
    // Fails only when a provider is installed already, and then it is this very one: no other is compiled in.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match core_dumps::forbid().and_then(|()| run(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("archipelago: {failure}");
            failure.code().into()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(init) => init.run(),
        Command::Demo(demo) => demo.run(),
        Command::Bench(bench) => bench.run(),
        Command::Replay(replay) => replay.run(),
        Command::Region(region) => region.run(),
        Command::Admin(admin) => admin.run(),
        Command::Status(status) => status.run(),
        Command::Check(check) => check.run(),
        Command::Sim(sim) => sim.run(),
        Command::Chat(chat) => chat.run(),
    }
}

fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ARCHIPELAGO_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
