//! A copy of the sources in which things may be broken, with a build folder of its own that is kept from one time to the next.
//!
//! What must always hold: the repository itself is never changed; a file of the copy is written only when it differs, so that what is built next
//! is what changed; one program at a time uses a copy.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Folders of the copy that are not copies of anything.
const KEPT: &[&str] = &["target", ".cache", ".git"];

/// So much memory may a program take that is tried: a broken one may want all there is.
const MEMORY_KIB_MAX: u64 = 8 << 20;

/// A program that waits for ever is ended after so many times what it may spend.
const PROCESSOR_SHARED_BY: u64 = 8;

/// The copy.
#[derive(Debug)]
pub(crate) struct ScratchTree {
    root: PathBuf,
    folder: PathBuf,
    /// Held until the program ends.
    _lock: File,
}

/// How a program that was given so much time went.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It ended by itself, and printed this.
    Itself(String),
    /// It did not end in time, and printed this until then.
    Late(String),
}

/// How a try went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It succeeded.
    Passed,
    /// It failed, or was ended because it wanted too much memory.
    Failed,
    /// It did not end in time.
    Late,
}

impl ScratchTree {
    /// The copy of that name under `.cache`, made or brought up to date.
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let folder = root.join(".cache").join(name);
        fs::create_dir_all(folder.join("tree"))?;
        let lock = File::create(folder.join("lock"))?;
        if lock.try_lock().is_err() {
            return Err(io::Error::other(format!("{} is in use by another run", folder.display())));
        }
        let tree = Self { root, folder, _lock: lock };
        tree.restore()?;
        Ok(tree)
    }

    /// The repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The copy.
    pub(crate) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Where everything about it is kept.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the copy is built.
    pub(crate) fn target(&self) -> PathBuf {
        self.folder.join("target")
    }

    /// Makes the copy equal to the repository again: its files are those that version control knows or would take.
    pub(crate) fn restore(&self) -> io::Result<()> {
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&self.root)
            .output()?;
        if !listed.status.success() {
            return Err(io::Error::other("git does not list the files: is this a repository?"));
        }
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let wanted: Vec<&str> =
            listed.split('\0').filter(|path| !path.is_empty() && self.root.join(path).is_file()).collect();
        for path in &wanted {
            copy_if_different(&self.root.join(path), &self.tree().join(path))?;
        }
        let wanted: Vec<PathBuf> = wanted.into_iter().map(|path| self.tree().join(path)).collect();
        remove_others(&self.tree(), &wanted)
    }

    /// Applies a patch to the copy; what is wrong with it if it does not fit.
    pub(crate) fn apply(&self, patch: &Path) -> io::Result<Result<(), String>> {
        // The copy lies inside the repository and is ignored there; git must not take it for a part of it.
        let output = Command::new("git")
            .arg("apply")
            .arg(patch)
            .current_dir(self.tree())
            .env("GIT_CEILING_DIRECTORIES", &self.folder)
            .output()?;
        Ok(success_or_text(&output))
    }

    /// Runs cargo in the copy; what it says of errors if it fails.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> io::Result<Result<(), String>> {
        Ok(success_or_text(&self.in_copy(&cargo(), arguments).output()?))
    }

    /// Runs cargo in the copy; what it prints.
    pub(crate) fn cargo_prints(&self, arguments: &[&str]) -> io::Result<String> {
        let output = self.in_copy(&cargo(), arguments).output()?;
        success_or_text(&output).map_err(io::Error::other)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether cargo succeeds within so much time and some memory. A broken product may do neither, so all that it starts is ended with it. What is odd is no error here.
    pub(crate) fn try_cargo(&self, arguments: &[&str], limit: Duration) -> io::Result<Tried> {
        self.try_program(Path::new(&cargo()), arguments, limit)
    }

    /// Whether a program does. What a processor spends counts, for each program that it starts; where many share one, it may take that much longer.
    pub(crate) fn try_program(
        &self,
        program: &Path,
        arguments: &[&str],
        limit: Duration,
    ) -> io::Result<Tried> {
        // `timeout` ends the whole process group, test programs of cargo included.
        let (spent, all) = (limit.as_secs(), limit.as_secs() * PROCESSOR_SHARED_BY);
        let script = format!("ulimit -v {MEMORY_KIB_MAX}; ulimit -t {spent}; exec timeout -k 5 {all} \"$@\"");
        let status = self
            .in_copy(OsStr::new("sh"), &["-c", &script, "sh"])
            .arg(program)
            .args(arguments)
            .env("RUSTFLAGS", "--cap-lints=warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        Ok(match status.code() {
            Some(0) => Tried::Passed,
            // Of `timeout`; and of a program that has spent its time, ended by that signal (24) or the last one (9).
            Some(124 | 137 | 152) => Tried::Late,
            Some(_) | None => Tried::Failed,
        })
    }

    fn in_copy(&self, program: &OsStr, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.tree())
            .env("CARGO_TARGET_DIR", self.target())
            .env("CARGO_INCREMENTAL", "1")
            // Nobody steps through a copy.
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        command
    }

    /// Runs a program in the copy for so long at most.
    pub(crate) fn run(&self, program: &Path, arguments: &[String], limit: Duration) -> io::Result<Ended> {
        let printed = self.folder.join("printed");
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(self.tree())
            .stdin(Stdio::null())
            .stdout(File::create(&printed)?)
            .stderr(Stdio::null())
            .spawn()?;
        let began = Instant::now();
        loop {
            if child.try_wait()?.is_some() {
                return Ok(Ended::Itself(fs::read_to_string(&printed)?));
            }
            if began.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                return Ok(Ended::Late(fs::read_to_string(&printed)?));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

fn success_or_text(output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let errors = text.lines().filter(|line| line.contains("error") || line.contains("-->"));
    Err(errors.take(6).collect::<Vec<_>>().join("; "))
}

fn copy_if_different(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, bytes)
}

fn remove_others(folder: &Path, wanted: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if KEPT.iter().any(|kept| entry.file_name() == *kept) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            remove_others(&path, wanted)?;
        } else if wanted.binary_search(&path).is_err() && !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{copy_if_different, remove_others};
    use std::fs;

    #[test]
    fn a_file_that_is_equal_is_not_written_again_and_one_that_is_not_wanted_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("copy/a"));
        fs::write(&from, "one").unwrap();
        copy_if_different(&from, &to).unwrap();
        let written = fs::metadata(&to).unwrap().modified().unwrap();
        copy_if_different(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), written);
        fs::write(folder.path().join("copy/b"), "two").unwrap();
        remove_others(&folder.path().join("copy"), std::slice::from_ref(&to)).unwrap();
        let left: Vec<_> = fs::read_dir(folder.path().join("copy")).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}
