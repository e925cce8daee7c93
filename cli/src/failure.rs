//! How a command fails: a sentence for the person, and an exit code for the script.
//!
//! What must always hold: a code is told apart by what its caller does next, and keeps its meaning for ever.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The exit codes of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// It failed; the message says why.
    Error = 1,
    /// The arguments or files given are wrong: repeating it as it is cannot help.
    Usage = 2,
    /// It ran, and what it found is not well.
    Degraded = 3,
    /// What was named does not exist.
    NotFound = 4,
    /// No answer in time.
    Timeout = 5,
    /// The other side understood and refused.
    Refused = 6,
    /// A simulated run broke a promise.
    Safety = 10,
    /// A simulated run did not become whole and quiet in time.
    Liveness = 11,
    /// A simulated run met a panic.
    Panic = 12,
    /// A simulated run did not do the same again.
    NonDeterminism = 13,
    /// A checker of a simulated run had nothing to look at.
    SawNothing = 14,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file or folder that is needed is not there.
    #[error("{} does not exist: {advice}", .path.display())]
    NoFile {
        /// Where it was looked for.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// A file cannot be read or written.
    #[error("{} could not be {verb}: {reason}", .path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// `read`, `written` …
        verb: &'static str,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A folder that would be overwritten.
    #[error("{} is taken: name a folder that is empty or does not exist yet, nothing is ever overwritten", .0.display())]
    Occupied(PathBuf),
    /// A file that holds something else than it should.
    #[error("{}: {mistake}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it, with the line where there is one, and what to do.
        mistake: String,
    },
    /// An argument that is wrong in itself or does not fit the cluster.
    #[error("{0}")]
    Argument(String),
    /// A region, placement or the like that the cluster file does not have.
    #[error("there is no {kind} `{name}` in this cluster; there are {}", .known.join(", "))]
    Unknown {
        /// `region`, `placement` …
        kind: &'static str,
        /// As given.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Something elsewhere that was named does not exist.
    #[error("{0}")]
    Absent(String),
    /// Cryptography that cannot fail unless the machine is broken.
    #[error("a key or certificate could not be made: {0}")]
    Cryptography(String),
    /// The command ran and what it looked at is not well; the details are printed already.
    #[error("{0}")]
    Degraded(String),
    /// A simulated run found something; its report is printed already.
    #[error("{what}")]
    Found {
        /// Which class of finding.
        code: Code,
        /// In one sentence.
        what: String,
    },
    /// A region did not answer in time.
    #[error("{0}")]
    Timeout(String),
    /// A region refused.
    #[error("{0}")]
    Refused(String),
    /// Anything else that stops a running region or client.
    #[error("{0}")]
    Stopped(String),
}

impl Failure {
    /// A file that cannot be read.
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |reason| match reason.kind() {
            std::io::ErrorKind::NotFound => {
                Self::NoFile { path: path.to_owned(), advice: "`archipelago init` writes a whole folder" }
            }
            _ => Self::Disk { path: path.to_owned(), verb: "read", reason },
        }
    }

    /// A file that cannot be written.
    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |reason| Self::Disk { path: path.to_owned(), verb: "written", reason }
    }

    /// What the process ends with.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::NoFile { .. } | Self::Unknown { .. } | Self::Absent(_) => Code::NotFound,
            Self::Disk { .. } | Self::Cryptography(_) | Self::Stopped(_) => Code::Error,
            Self::Occupied(_) | Self::Refused(_) => Code::Refused,
            Self::File { .. } | Self::Argument(_) => Code::Usage,
            Self::Degraded(_) => Code::Degraded,
            Self::Found { code, .. } => *code,
            Self::Timeout(_) => Code::Timeout,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
