//! The smallest script that fails in the same way: what a person can read, of a failure that a machine found.
//!
//! Delta debugging (Zeller and Hildebrandt 2002): whole groups of things are taken out, halved, and halved again, as long as what is left fails
//! as the first did. First time is cut short, then people, devices, conversations, acts, faults and regions go, and then what is left is made
//! plain: numbers to usual ones, bursts to single messages. Around again, until nothing more goes.
//!
//! A script is made for this: what is taken out changes nothing else (`script/mod.rs`), so a failure seldom goes for a reason that has nothing to do with it.
//!
//! What must always hold: the outcome was seen to fail in the same way: by the same checker, of the same promise, in the same class. Whoever
//! asks decides how a script is judged and how long this may take; nothing here runs by itself.

mod in_chunks;
mod make_plain;
mod shorten;
mod take_out;

use crate::outcome::{Outcome, Verdict};
use crate::script::Script;

/// A way to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In what class. A panic of the product is none of these: whoever catches it says `Safety` and names where it was.
    pub class: Verdict,
    /// Of which promise; 0 if of none.
    pub promise: u8,
    /// Found by what: the checker's name, or the place of the panic.
    pub found_by: String,
}

/// What has become of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest that was found.
    pub script: Script,
    /// How it fails, and how the first did.
    pub failure: Failure,
    /// How many scripts were tried.
    pub tried: u64,
    /// Whether nothing more goes, as far as is tried; otherwise `tries_max` came first.
    pub finished: bool,
}

/// Makes a script smaller. `fails` plays one and says how it fails; none, if it does not, or if time is up.
/// None, if the script itself does not fail.
pub fn shrink(
    script: &Script,
    tries_max: u64,
    fails: &mut dyn FnMut(&Script) -> Option<Failure>,
) -> Option<Shrunk> {
    let failure = fails(script)?;
    let mut search = Search { script: script.clone(), failure, tried: 1, tries_max, fails };
    loop {
        let before = search.script.clone();
        search.shorten();
        search.take_out();
        search.close_gaps();
        search.make_plain();
        if search.script == before || search.is_over() {
            break;
        }
    }
    let finished = !search.is_over();
    Some(Shrunk { script: search.script, failure: search.failure, tried: search.tried, finished })
}

/// A search for something smaller.
struct Search<'a> {
    /// The smallest so far.
    script: Script,
    failure: Failure,
    tried: u64,
    tries_max: u64,
    fails: &'a mut dyn FnMut(&Script) -> Option<Failure>,
}

impl Search<'_> {
    const fn is_over(&self) -> bool {
        self.tried >= self.tries_max
    }

    /// Takes another script instead, if that fails in the same way.
    fn take(&mut self, candidate: Script) -> bool {
        if self.is_over() || candidate == self.script {
            return false;
        }
        self.tried += 1;
        let same = (self.fails)(&candidate).is_some_and(|failure| failure == self.failure);
        if same {
            self.script = candidate;
        }
        same
    }
}

impl Failure {
    /// How a run failed, if it did: by the first of the gravest class.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let class = outcome.class;
        let gravest = outcome.violations.iter().find(|violation| Verdict::from(violation.class) == class);
        match (class, gravest) {
            (Verdict::Kept, _) => None,
            (_, Some(violation)) => {
                let found_by = violation.checker.name().to_owned();
                Some(Self { class, promise: violation.promise, found_by })
            }
            // Blind: no checker of that promise looked.
            (_, None) => {
                let promise = outcome.unseen.first().copied().unwrap_or(0);
                Some(Self { class, promise, found_by: "nobody looked".to_owned() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::embedded;
    use crate::script::{What, draw};
    use crate::world::Fault;

    /// Scripts of storms, until one has what is asked for.
    fn storm(has: impl Fn(&Script) -> bool) -> Script {
        let scenario = embedded("storm-of-everything").and_then(Result::ok);
        let scenario = scenario.unwrap_or_else(|| panic!("the storm is embedded"));
        let scripts = (1..200).map(|seed| draw(&scenario, seed));
        scripts.into_iter().find(has).unwrap_or_else(|| panic!("no seed has it"))
    }

    fn failure(promise: u8) -> Option<Failure> {
        Some(Failure { class: Verdict::Safety, promise, found_by: "planted".to_owned() })
    }

    /// Two write in one conversation of which one has left, while a way is cut, with the third region there.
    fn planted(script: &Script) -> Option<Failure> {
        let left = script.acts.iter().find_map(|act| match &act.what {
            What::Leave { conversation } => Some((*conversation, act.device, act.at_us)),
            What::Begin { .. }
            | What::Write { .. }
            | What::Amend { .. }
            | What::Forward { .. }
            | What::Hide { .. }
            | What::Describe { .. }
            | What::Account { .. }
            | What::Govern { .. }
            | What::Read { .. }
            | What::Add { .. }
            | What::Move { .. }
            | What::Admit { .. }
            | What::Suspend { .. }
            | What::TellReads { .. }
            | What::Misuse
            | What::GoOffline
            | What::SetHome { .. }
            | What::Erase { .. }
            | What::SetFlag { .. }
            | What::ComeOnline => None,
        });
        let (conversation, device, at_us) = left?;
        let writes =
            |what: &What| matches!(what, What::Write { conversation: of, .. } if *of == conversation);
        let after =
            script.acts.iter().any(|act| act.at_us > at_us && act.device != device && writes(&act.what));
        let before = script.acts.iter().any(|act| act.at_us < at_us && writes(&act.what));
        let cut = script.faults.iter().any(|fault| matches!(fault.fault, Fault::CutPair { .. }));
        let third = script.regions.iter().any(|region| region.number == 3);
        if after && before && cut && third { failure(4) } else { None }
    }

    #[test]
    fn what_has_nothing_to_do_with_the_failure_goes() {
        let script = storm(|script| planted(script).is_some() && script.devices.len() > 6);
        let shrunk = shrink(&script, 5_000, &mut planted).unwrap_or_else(|| panic!("it fails"));
        let script = &shrunk.script;
        assert!(shrunk.finished && planted(script) == failure(4));
        assert_eq!((script.acts.len(), script.faults.len()), (3, 1), "{script:#?}");
        assert!(script.devices.len() <= 3 && script.regions.len() <= 3 && script.conversations.len() == 1);
        assert!(script.acts.iter().all(|act| !matches!(act.what, What::Write { count: 2.., .. })));
        assert!(shrunk.tried < 1_000, "{} tries", shrunk.tried);
    }

    #[test]
    fn a_script_that_fails_in_another_way_is_not_taken() {
        let script = storm(|script| script.devices.len() > 4);
        let devices = script.devices.len();
        let mut by_people = |script: &Script| failure(if script.devices.len() == devices { 1 } else { 2 });
        let shrunk = shrink(&script, 5_000, &mut by_people).unwrap_or_else(|| panic!("it fails"));
        assert_eq!(shrunk.script.devices.len(), devices);
        assert_eq!(shrunk.failure.promise, 1);
    }

    #[test]
    fn a_script_that_does_not_fail_is_not_made_smaller_and_tries_are_bounded() {
        let script = storm(|_| true);
        assert_eq!(shrink(&script, 100, &mut |_| None), None);
        let mut tries = 0;
        let shrunk = shrink(&script, 7, &mut |_| {
            tries += 1;
            failure(1)
        });
        assert!(shrunk.is_some_and(|shrunk| !shrunk.finished && shrunk.tried == 7));
        assert_eq!(tries, 7);
    }
}
