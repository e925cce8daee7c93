//! Which scenario is meant: one of those that the program carries, by its name, or a file, if there is a `/` in it or it ends in `.toml`.
//!
//! What must always hold: a scenario that is not there is refused with the names of those that are; a mistake in a file is told by file and line.

use crate::failure::Failure;
use sim::conversation_log::ConversationLog;
use sim::scenario::{self, Scenario};
use sim::script::{Script, draw};
use std::path::{Path, PathBuf};

/// A scenario, and how the user named it.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// As given: what a command that repeats this names.
    pub(crate) given: String,
    pub(crate) scenario: Scenario,
}

impl Chosen {
    /// Finds and reads it.
    ///
    /// # Errors
    /// When there is none of that name, or the file cannot be read or is refused.
    pub(crate) fn read(given: &str) -> Result<Self, Failure> {
        let is_file = given.contains('/') || Path::new(given).extension().is_some_and(|end| end == "toml");
        let scenario = if is_file {
            let text = std::fs::read_to_string(given).map_err(|error| {
                Failure::Argument(format!("the scenario file {given} cannot be read: {error}"))
            })?;
            Scenario::parse(given, &text)
        } else {
            scenario::embedded(given).ok_or_else(|| unknown(given))?
        };
        let mut scenario = scenario.map_err(|error| Failure::Argument(error.to_string()))?;
        if let Some(name) = scenario.wants_log() {
            let log = read_log(&Path::new(given).with_file_name(name))?;
            scenario.give_log(log);
        }
        Ok(Self { given: given.to_owned(), scenario })
    }

    /// The script of that seed; of a file that states everything, the one that it states.
    pub(crate) fn script(&self, seed: Option<u64>) -> Script {
        let seed = seed.or_else(|| self.scenario.seed()).unwrap_or(1);
        draw(&self.scenario, seed)
    }
}

/// The two files of a real conversation, named without their endings.
fn read_log(name: &Path) -> Result<ConversationLog, Failure> {
    let read = |ending: &str| {
        let path = PathBuf::from(format!("{}.{ending}", name.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::Argument(format!("the log file {} cannot be read: {error}", path.display()))
        });
        text.map(|text| (path.display().to_string(), text))
    };
    let ((raw_file, raw), (links_file, links)) = (read("raw.txt")?, read("annotation.txt")?);
    let called = name.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    ConversationLog::parse(&called, &raw_file, &raw, &links_file, &links)
        .map_err(|error| Failure::Argument(error.to_string()))
}

fn unknown(given: &str) -> Failure {
    let names = scenario::NAMES.join(", ");
    Failure::Argument(format!(
        "there is no scenario `{given}`; there are {names}. A file is named with a `/` or ends in .toml: ./{given}.toml"
    ))
}
