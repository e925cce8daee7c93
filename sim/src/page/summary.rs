//! What stands around the pictures: the story, the verdicts, the figures, what was drawn, and how to run it again.
//!
//! What must always hold: plain text; the page escapes it.

/// The words and tables of a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// What kind of page: `Archipelago simulator`.
    pub kind: String,
    /// What was run: a scenario's name.
    pub title: String,
    /// Its story, a sentence or two.
    pub story: String,
    /// What decided all chance.
    pub seed: u64,
    /// Whether all was as it must be.
    pub good: bool,
    /// That in a few words.
    pub verdict: String,
    /// What was judged.
    pub judged: Vec<Judged>,
    /// What was not as it must be.
    pub findings: Vec<Finding>,
    /// Figures.
    pub tables: Vec<Table>,
    /// What the seed drew, by name.
    pub drawn: Vec<(String, String)>,
    /// Commands, each with what it does.
    pub commands: Vec<(String, String)>,
}

/// A promise or property that was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// In words.
    pub what: String,
    /// How often it was broken.
    pub broken: u64,
    /// How often it was looked at; never is not kept.
    pub checked: u64,
}

/// Something that was not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// When, in microseconds, where that is known.
    pub at_us: Option<u64>,
    /// Which promise or property.
    pub what: String,
    /// What happened.
    pub happened: String,
}

/// A table of figures. The first column is text, the others are numbers in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}
