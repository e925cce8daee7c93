//! Faults as they are written on a command line, and what may be asked for.
//!
//! ```text
//!   A/B@15%..45%    cuts the link between A and B, both ways, from 15 % to 45 % of the time
//!   A>B@15%..45%    loses only what A sends to B
//!   A@50%           kills region A's process at half the time
//!   5s · 500ms · 2m a duration
//! ```
//! What must always hold: parsing is total, and everything that can be known to be wrong is refused before anything starts: an unknown region,
//! a cut that ends before it begins, a region killed again while it is down, a cut of a cut.

use std::fmt;
use std::str::FromStr;

/// A link that carries nothing for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// From there.
    pub from: String,
    /// To there.
    pub to: String,
    /// Whether the other direction is cut too.
    pub both_ways: bool,
    /// From this per cent of the duration.
    pub begin_percent: u8,
    /// To this one.
    pub end_percent: u8,
}

/// A region's process is killed without warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    /// Whose.
    pub region: String,
    /// At this per cent of the duration.
    pub at_percent: u8,
}

/// A time span in milliseconds, as `5s`, `500ms` or `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

/// Why a fault was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// Not a cut.
    #[error("`{0}` is not a cut: write A/B@15%..45% (both ways) or A>B@15%..45% (what A sends to B)")]
    Cut(String),
    /// Not a kill.
    #[error("`{0}` is not a kill: write A@50%")]
    Kill(String),
    /// Not a percentage.
    #[error("`{0}` is not a percentage: write a whole number from 0% to 100%")]
    Percent(String),
    /// Not a duration.
    #[error("`{0}` is not a duration: write 5s, 500ms or 2m, above zero and at most 24 hours")]
    Span(String),
    /// Nothing lies between its ends.
    #[error("the cut `{0}` ends before it begins: the second percentage must be above the first")]
    EndsBeforeItBegins(String),
    /// A region has no link to itself.
    #[error("the cut `{0}` names one region twice: a link has two ends")]
    SameRegion(String),
    /// A kill when all is over.
    #[error("the kill `{0}` comes when the schedule is over: write less than 100%")]
    KillAtTheEnd(String),
    /// A region that does not take part.
    #[error("`{fault}` names the region {region}, which does not take part: there are {known}")]
    UnknownRegion {
        /// The fault.
        fault: String,
        /// The region.
        region: String,
        /// Those that take part.
        known: String,
    },
    /// Two cuts of one direction at once.
    #[error("`{0}` and `{1}` cut the same link at the same time: write one cut")]
    CutsOverlap(String, String),
    /// A region killed while it is down.
    #[error("`{0}` and `{1}` kill the same region again before it has restarted: put them further apart")]
    KillsOverlap(String, String),
}

impl FromStr for Cut {
    type Err = FaultError;
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let refuse = || FaultError::Cut(shown(text));
        let (link, time) = text.split_once('@').ok_or_else(refuse)?;
        let (begin, end) = time.split_once("..").ok_or_else(refuse)?;
        let (from, to, both_ways) = match (link.split_once('/'), link.split_once('>')) {
            (Some((from, to)), None) => (from, to, true),
            (None, Some((from, to))) => (from, to, false),
            (None, None) | (Some(_), Some(_)) => return Err(refuse()),
        };
        if !is_name(from) || !is_name(to) {
            return Err(refuse());
        }
        let (begin_percent, end_percent) = (percent(begin)?, percent(end)?);
        if begin_percent >= end_percent {
            return Err(FaultError::EndsBeforeItBegins(shown(text)));
        }
        if from == to {
            return Err(FaultError::SameRegion(shown(text)));
        }
        Ok(Self { from: from.to_owned(), to: to.to_owned(), both_ways, begin_percent, end_percent })
    }
}

impl FromStr for Kill {
    type Err = FaultError;
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let refuse = || FaultError::Kill(shown(text));
        let (region, at) = text.split_once('@').ok_or_else(refuse)?;
        if !is_name(region) {
            return Err(refuse());
        }
        let at_percent = percent(at)?;
        if at_percent == 100 {
            return Err(FaultError::KillAtTheEnd(shown(text)));
        }
        Ok(Self { region: region.to_owned(), at_percent })
    }
}

impl FromStr for Span {
    type Err = FaultError;
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let refuse = || FaultError::Span(shown(text));
        // `ms` before `s` and `m`: the longer unit first.
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
        let (digits, unit_ms) = units
            .iter()
            .find_map(|(unit, ms)| text.strip_suffix(unit).map(|digits| (digits, *ms)))
            .ok_or_else(refuse)?;
        let count = whole_number(digits).ok_or_else(refuse)?;
        let ms = count.checked_mul(unit_ms).filter(|ms| (1..=86_400_000).contains(ms)).ok_or_else(refuse)?;
        Ok(Self(ms))
    }
}

/// Whether these faults can be played together among these regions.
///
/// # Errors
/// [`FaultError`] naming the fault that cannot.
pub fn check(
    cuts: &[Cut],
    kills: &[Kill],
    regions: &[String],
    duration_ms: u64,
    restart_after_ms: u64,
) -> Result<(), FaultError> {
    let known = |fault: String, region: &String| {
        if regions.contains(region) {
            return Ok(());
        }
        let (region, known) = (region.clone(), regions.join(", "));
        Err(FaultError::UnknownRegion { fault, region, known })
    };
    for (number, cut) in cuts.iter().enumerate() {
        known(cut.to_string(), &cut.from)?;
        known(cut.to_string(), &cut.to)?;
        if let Some(other) = cuts[..number].iter().find(|other| cut.overlaps(other)) {
            return Err(FaultError::CutsOverlap(other.to_string(), cut.to_string()));
        }
    }
    for (number, kill) in kills.iter().enumerate() {
        known(kill.to_string(), &kill.region)?;
        let again = kills[..number].iter().find(|other| {
            let apart_ms = u64::from(kill.at_percent.abs_diff(other.at_percent)) * duration_ms / 100;
            other.region == kill.region && apart_ms <= restart_after_ms
        });
        if let Some(other) = again {
            return Err(FaultError::KillsOverlap(other.to_string(), kill.to_string()));
        }
    }
    Ok(())
}

impl Cut {
    /// The directions it cuts, as (from, to).
    pub fn directions(&self) -> impl Iterator<Item = (&str, &str)> {
        let back = self.both_ways.then_some((self.to.as_str(), self.from.as_str()));
        std::iter::once((self.from.as_str(), self.to.as_str())).chain(back)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.begin_percent < other.end_percent
            && other.begin_percent < self.end_percent
            && self.directions().any(|one| other.directions().any(|another| one == another))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.both_ways { '/' } else { '>' };
        write!(f, "{}{between}{}@{}%..{}%", self.from, self.to, self.begin_percent, self.end_percent)
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}%", self.region, self.at_percent)
    }
}

fn percent(text: &str) -> Result<u8, FaultError> {
    let number = text.strip_suffix('%').and_then(whole_number).filter(|number| *number <= 100);
    // At most 100 was just checked.
    number.map(|number| number as u8).ok_or_else(|| FaultError::Percent(shown(text)))
}

fn whole_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_as_the_head_says_is_read_and_printed_again() {
        for text in ["eu-central/us-east@15%..45%", "ap-south>eu-central@0%..100%"] {
            assert_eq!(text.parse::<Cut>().unwrap().to_string(), text);
        }
        assert_eq!("us-east@50%".parse::<Kill>().unwrap().to_string(), "us-east@50%");
        let both: Cut = "a/b@1%..2%".parse().unwrap();
        assert_eq!(both.directions().collect::<Vec<_>>(), [("a", "b"), ("b", "a")]);
        let one: Cut = "a>b@1%..2%".parse().unwrap();
        assert_eq!(one.directions().collect::<Vec<_>>(), [("a", "b")]);
        let spans = ["5s", "500ms", "2m"].map(|text| text.parse::<Span>().unwrap().0);
        assert_eq!(spans, [5_000, 500, 120_000]);
    }

    #[test]
    fn whatever_else_is_written_is_refused_by_name() {
        for (text, said) in [
            ("a-b@1%..2%", "is not a cut"),
            ("a/b@1%-2%", "is not a cut"),
            ("a/b>c@1%..2%", "is not a cut"),
            ("a/b", "is not a cut"),
            ("/b@1%..2%", "is not a cut"),
            ("a/b@1..2%", "`1` is not a percentage"),
            ("a/b@1%..101%", "`101%` is not a percentage"),
            ("a/b@-1%..2%", "`-1%` is not a percentage"),
            ("a/b@40%..40%", "ends before it begins"),
            ("a/a@1%..2%", "names one region twice"),
        ] {
            let error = text.parse::<Cut>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        for (text, said) in
            [("a", "is not a kill"), ("@5%", "is not a kill"), ("a@5", "percentage"), ("a@100%", "over")]
        {
            let error = text.parse::<Kill>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        for text in ["5", "s", "-5s", "5h", "0s", "1.5s", "99999999999999999999s", "90000s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_played_is_refused_before_anything_starts() {
        let regions: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let cuts = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Cut>>();
        let kills = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Kill>>();
        let run = |c: &[&str], k: &[&str]| check(&cuts(c), &kills(k), &regions, 60_000, 5_000);
        assert_eq!(run(&["a/b@0%..50%", "b/c@0%..50%", "a/b@50%..60%"], &["a@10%", "a@20%"]), Ok(()));
        let said = |c: &[&str], k: &[&str]| run(c, k).unwrap_err().to_string();
        assert!(
            said(&["a/d@0%..50%"], &[]).contains("region d, which does not take part: there are a, b, c")
        );
        assert!(said(&[], &["d@1%"]).contains("region d"));
        assert!(said(&["a/b@0%..50%", "b>a@49%..60%"], &[]).contains("same link at the same time"));
        assert!(said(&[], &["a@10%", "a@18%"]).contains("before it has restarted"));
    }
}
