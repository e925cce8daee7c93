//! A script as a scenario file that states all of it: the bug report that `shrink` prints.
//!
//! What must always hold: reading the text back gives the same script.

use super::Script;
use serde::Serialize;

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    story: &'a str,
    script: &'a Script,
}

impl Script {
    /// The text of a scenario of that name and story, which draws nothing: it is this script.
    ///
    /// # Errors
    /// A number that TOML cannot hold: its numbers end at 2^63 - 1.
    pub fn print(&self, name: &str, story: &str) -> Result<String, toml::ser::Error> {
        toml::to_string(&File { name, story, script: self })
    }
}
