//! How a run failed, as scripts tell it apart: each class has its name and its exit code.
//!
//! What must always hold: names and codes keep their meaning for ever; a run that fails in several ways fails in the first of this order.

use crate::failure::Code;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A class of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Class {
    /// A promise was broken.
    Safety,
    /// The healed world did not become whole and quiet in time.
    Liveness,
    /// The product panicked.
    Panic,
    /// The same seed did something else.
    NonDeterminism,
    /// A checker had nothing to look at, so the run proves nothing about its promise.
    SawNothing,
}

impl Class {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Safety => "safety",
            Self::Liveness => "liveness",
            Self::Panic => "panic",
            Self::NonDeterminism => "non-determinism",
            Self::SawNothing => "saw-nothing",
        }
    }

    /// In words.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Safety => "a promise was broken",
            Self::Liveness => "it did not become whole and quiet in time",
            Self::Panic => "the product panicked",
            Self::NonDeterminism => "the same seed did something else",
            Self::SawNothing => "a checker had nothing to look at",
        }
    }

    pub(crate) const fn code(self) -> Code {
        match self {
            Self::Safety => Code::Safety,
            Self::Liveness => Code::Liveness,
            Self::Panic => Code::Panic,
            Self::NonDeterminism => Code::NonDeterminism,
            Self::SawNothing => Code::SawNothing,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_scripts_rely_on() {
        let all = [Class::Safety, Class::Liveness, Class::Panic, Class::NonDeterminism, Class::SawNothing];
        assert_eq!(all.map(|class| class.code() as u8), [10, 11, 12, 13, 14]);
        assert_eq!(serde_json::to_string(&all[3]).ok().as_deref(), Some("\"non-determinism\""));
        assert!(all.iter().all(|class| serde_json::to_string(class).ok() == Some(format!("\"{class}\""))));
    }
}
