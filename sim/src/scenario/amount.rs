//! Quantities of a scenario: a number, or what it is drawn from, anew for each seed.
//!
//! `30` is thirty. `"5..40"` is drawn evenly from five to forty, both included. `"0 | 3..12 | 100"` draws one of the choices first, each as likely.
//!
//! What must always hold: an amount is never empty, and no choice ends before it begins.

use crate::world::dice::Dice;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;

/// A number, or what to draw one from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount(Vec<(u64, u64)>);

impl Amount {
    /// That number.
    #[must_use]
    pub fn of(number: u64) -> Self {
        Self(vec![(number, number)])
    }

    /// Anything from the first to the last.
    pub(crate) fn range(first: u64, last: u64) -> Self {
        Self(vec![(first, last)])
    }

    /// Whether it is drawn at all.
    #[must_use]
    pub fn varies(&self) -> bool {
        self.0.len() > 1 || self.0.iter().any(|(first, last)| first != last)
    }

    /// The most that may be drawn.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.0.iter().map(|(_, last)| *last).max().unwrap_or(0)
    }

    /// The least that may be drawn.
    #[must_use]
    pub fn least(&self) -> u64 {
        self.0.iter().map(|(first, _)| *first).min().unwrap_or(0)
    }

    pub(crate) fn draw(&self, dice: &mut Dice) -> u64 {
        let (first, last) = dice.pick(&self.0).unwrap_or((0, 0));
        dice.between(first, last)
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
        let choice = |text: &str| match text.split_once("..") {
            Some((first, last)) => {
                Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
            }
            None => number(text).map(|number| (number, number)),
        };
        text.split('|').map(choice).collect::<Option<Vec<_>>>().map(Self)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let bar = if index > 0 { " | " } else { "" };
            if first == last {
                write!(f, "{bar}{first}")?;
            } else {
                write!(f, "{bar}{first}..{last}")?;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a range such as \"5..40\", or choices such as \"0 | 3..12\"")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
        u64::try_from(number).map(Amount::of).map_err(|_| E::custom(format!("{number} is below 0")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Amount, E> {
        Ok(Amount::of(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
        Amount::parse(text).ok_or_else(|| {
            E::custom(format!("`{text}` is not an amount: write 30, \"5..40\" or \"0 | 3..12\""))
        })
    }
}
