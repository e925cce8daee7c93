//! `cargo xtask upgrade`: builds an earlier revision of this program, and runs the test of a rolling upgrade from it to the present one, over real processes.
//!
//! What must always hold: both builds are what people would run, each from its own sources; nothing of the repository is changed, what is built lies under `.cache`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The last revision whose stores are of an earlier format (15), until releases have tags.
const EARLIER: &str = "9f0c2b8d98cbd35654347d07f2e0b5b652168c20";

const USAGE: &str = "cargo xtask upgrade [--from REVISION]\n";

pub(crate) fn run(options: &[&str]) -> ExitCode {
    let revision = match options {
        [] => EARLIER,
        ["--from", revision] => revision,
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match upgrade(revision) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn upgrade(revision: &str) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
    let folder = root.join(".cache/upgrade");
    let (tree, target) = (folder.join("tree"), folder.join("target"));
    // Sources of another revision must not lie among these.
    let _absent = fs::remove_dir_all(&tree);
    fs::create_dir_all(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    unpack(&root, revision, &tree)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned());
    let engine = root.join(".cache/rocksdb");
    let mut build = Command::new(&cargo);
    build.args(["build", "--package", "archipelago"]).current_dir(&tree).env("CARGO_TARGET_DIR", &target);
    build.env("ROCKSDB_LIB_DIR", engine.join("lib")).env("ROCKSDB_INCLUDE_DIR", engine.join("include"));
    succeed(&mut build, "the earlier revision is not built")?;
    let mut test = Command::new(&cargo);
    test.args(["test", "--package", "archipelago", "--test", "upgrade", "--", "--nocapture"])
        .current_dir(&root);
    test.env("ARCHIPELAGO_EARLIER", target.join("debug/archipelago"));
    succeed(&mut test, "the upgrade did not go well")
}

/// The sources of a revision, without its history.
fn unpack(root: &Path, revision: &str, tree: &Path) -> Result<(), String> {
    let mut archive = Command::new("git");
    archive.args(["archive", revision]).current_dir(root).stdout(Stdio::piped());
    let mut archive = archive.spawn().map_err(|error| format!("git does not start: {error}"))?;
    let sources = archive.stdout.take().ok_or("git gives no archive")?;
    let mut unpack = Command::new("tar");
    unpack.args(["-x", "-C"]).arg(tree).stdin(sources);
    succeed(&mut unpack, "the sources are not unpacked")?;
    match archive.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("there is no revision {revision} here: a clone needs its history for this")),
        Err(error) => Err(format!("git: {error}")),
    }
}

fn succeed(command: &mut Command, what: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} ({status})")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}
