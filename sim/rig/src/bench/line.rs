//! One figure, and what it may be: the line of a table for people, an entry of JSON for programs.
//!
//! What must always hold: a figure that could not be measured is missing and fails its line if anything is promised of it; it never reads as good.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Half of all samples took at most the first, 99 of 100 the second; microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Percentiles {
    pub(super) count: usize,
    pub(super) p50: u64,
    pub(super) p99: u64,
}

impl Percentiles {
    pub(super) fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let at =
            |hundredth: usize| samples.get((samples.len() * hundredth / 100).min(samples.len().max(1) - 1));
        Self { count: samples.len(), p50: at(50).copied().unwrap_or(0), p99: at(99).copied().unwrap_or(0) }
    }

    pub(super) fn json(self) -> Value {
        json!({ "count": self.count, "p50_us": self.p50, "p99_us": self.p99 })
    }

    /// One of them in milliseconds; none without a sample.
    pub(super) fn ms(self, us: u64) -> Option<f64> {
        (self.count > 0).then_some(us as f64 / 1_000.0)
    }
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its stable name.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// The figure; none if it could not be measured.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: &'static str,
    /// What it may be at most, if that is promised.
    pub most: Option<f64>,
    /// What it is to be at least, if that is promised.
    pub least: Option<f64>,
}

impl Line {
    /// A figure of which nothing is promised yet. What is no number was not measured.
    pub(super) fn new(
        name: &'static str,
        what: &'static str,
        value: Option<f64>,
        unit: &'static str,
    ) -> Self {
        let value = value.filter(|value| value.is_finite());
        Self { name, what, value, unit, most: None, least: None }
    }

    /// So much is promised at most.
    pub(super) const fn at_most(self, most: f64) -> Self {
        Self { most: Some(most), ..self }
    }

    /// So much is promised at least.
    pub(super) const fn at_least(self, least: f64) -> Self {
        Self { least: Some(least), ..self }
    }

    /// Whether it is measured and within what is promised.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.value.is_some_and(|value| {
            self.most.is_none_or(|most| value <= most) && self.least.is_none_or(|least| value >= least)
        })
    }

    /// Whether nothing that is promised of it is broken.
    pub(super) fn is_kept(&self) -> bool {
        (self.most.is_none() && self.least.is_none()) || self.ok()
    }
}

/// A table for people, with what clients were refused, by code.
pub(super) fn table(lines: &[Line], refused: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for line in lines {
        let value = line.value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
        let mark = if line.ok() { "✓" } else { "✗" };
        let promised = match (line.most, line.least) {
            (Some(most), _) => format!("at most {most} {mark}"),
            (None, Some(least)) => format!("at least {least} {mark}"),
            (None, None) => String::new(),
        };
        // Writing to a string does not fail, here and below.
        let _ = writeln!(text, "{:<50} {value:>12} {:<3} {promised}", line.what, line.unit);
    }
    for (code, count) in refused {
        let _ = writeln!(text, "clients were refused {count} times with `{code}` ✗");
    }
    text
}

/// The figures by name.
pub(super) fn json(lines: &[Line]) -> BTreeMap<&'static str, Value> {
    let figure = |line: &Line| json!({ "value": line.value, "unit": line.unit, "most": line.most, "least": line.least, "ok": line.ok() });
    lines.iter().map(|line| (line.name, figure(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_breaks_what_is_promised_of_it_and_nothing_else() {
        let line = |value| Line::new("name", "what", value, "s");
        assert!(line(None).is_kept() && !line(None).ok());
        assert!(!line(None).at_most(3.0).is_kept() && !line(Some(f64::NAN)).at_least(3.0).is_kept());
        assert!(line(Some(3.0)).at_most(3.0).is_kept() && line(Some(3.0)).at_least(3.0).is_kept());
        assert!(!line(Some(3.1)).at_most(3.0).is_kept() && !line(Some(2.9)).at_least(3.0).is_kept());
    }
}
