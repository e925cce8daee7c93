//! Promise 3, in what operators set: homes, the marks of erased users and flags are everywhere what the rules make of all acts.
//!
//! An account of its own. Of a user: each home that was given has as its number one more than that of the home which its region held, a home is given away by itself alone, or once it is closed
//! by whoever the row of epochs says, and once all is calm every region holds the one of the highest number, of several the one of the higher region; whoever was erased is erased
//! everywhere, from the first time that a region says so.
//! A region that is behind does none of that. Of features: a region says what its operators said last, every region knows that, and a region issues nothing that it has itself turned off or limited below.
//!
//! An act that was decided and whose answer a crash swallowed may have happened or not. What this does not see: whether a region heeds what it has heard of others' flags before all is calm;
//! regions whose hardware lied, and, where any did or a disk was lost, more than who may give a user away; values that did not come from an act (another checker sees that honest regions send none).

use super::record::Facts;
use super::{Checker, Fault, Oracle};
use crate::world::Moment;
use crdt::{ConversationId, DirectoryEntry, Flag, PlacementId, RegionId, UserId};
use region::export;
use region::features::Feature;
use region::follow_epochs;
use region::item::{Content, Item};
use region::operate::{Act, NotOperated, Operated};
use region::shard::Effect;
use region::store::{StoreError, View};
use replication::epoch::EpochStatement;
use replication::placement::Epoch;
use std::collections::{BTreeMap, BTreeSet};

/// A home that was given: its number, the region that gave it, and which it is.
type Given = (u64, RegionId, RegionId);

/// What a region says of features.
type Said = BTreeMap<Feature, Flag>;

/// What operators did.
#[derive(Debug, Default)]
pub(super) struct Operators {
    /// By user, the homes that were given, and whether that was answered.
    homes: BTreeMap<UserId, BTreeMap<Given, bool>>,
    /// Users that were erased, and whether that was answered.
    erased: BTreeMap<UserId, bool>,
    /// Users whom a region holds for erased.
    erased_in: BTreeSet<(RegionId, UserId)>,
    /// What each region said of each placement's features, and whether that was answered: the last that was, and what came after it.
    said: BTreeMap<(PlacementId, RegionId), Vec<(Said, bool)>>,
    /// Features that anybody has turned off.
    ever_off: BTreeSet<Feature>,
    /// What is being decided where, and what the region held.
    asked: BTreeMap<(PlacementId, RegionId), (Act, Held)>,
    /// What was decided there last, and is not answered yet.
    decided: BTreeMap<(PlacementId, RegionId), Decided>,
}

/// What changes with an act.
#[derive(Debug, Clone, Copy)]
enum Decided {
    Home(UserId, Given),
    Erased(UserId),
    Said,
}

/// What a region held of what an act is about.
#[derive(Debug, Clone)]
enum Held {
    Entry(DirectoryEntry),
    /// And who does what was the home's to do.
    Home(DirectoryEntry, RegionId),
    Flags(Said),
}

impl Oracle {
    /// A region is to decide an operator's act on what its store holds, under the epochs that it has kept and those that it is told of.
    pub(crate) fn is_asked_by_an_operator(
        &mut self,
        (region, placement): (RegionId, PlacementId),
        act: Act,
        view: &dyn View,
        told: &[&EpochStatement],
    ) {
        // What was decided before and never answered stays unknown.
        self.operators.decided.remove(&(placement, region));
        let held = match act {
            Act::SetHome { user, .. } => export::entry(view, user).and_then(|entry| {
                let mut row = follow_epochs::kept(view, Epoch(0), usize::MAX)?;
                for statement in told {
                    if row.last().map(EpochStatement::hash) == statement.previous {
                        row.push((*statement).clone());
                    }
                }
                Ok(Held::Home(entry, entry.home().map_or(region, |home| stands_in_for(home, &row))))
            }),
            Act::Erase { user } => export::entry(view, user).map(Held::Entry),
            Act::SetFlag { .. } => own_flags(view, region).map(Held::Flags),
            Act::Salvage(_) => return,
        };
        // What cannot be read of it fails the step too, and nothing is decided.
        if let Ok(held) = held {
            self.operators.asked.insert((placement, region), (act, held));
        }
    }

    /// It has decided it; that is not durable yet.
    pub(crate) fn decides_for_an_operator(
        &mut self,
        at: Moment,
        region: RegionId,
        placement: PlacementId,
        effects: &[Effect],
    ) {
        let result = effects.iter().find_map(|effect| match effect {
            Effect::Operated { result, .. } => Some(result),
            _ => None,
        });
        let Some(result) = result.filter(|_| !self.is_off) else { return };
        let Some((act, held)) = self.operators.asked.remove(&(placement, region)) else { return };
        if self.lies.do_not_count(region) {
            return;
        }
        self.look_at(Checker::Operated);
        let what = format!("{act:?}");
        let is_behind = self.admitted.is_behind(placement, region);
        let fault = match (act, held) {
            // What was lost with disks is not known here. Who may give a user away follows from what a region holds, whatever was lost.
            (Act::SetHome { home, .. }, Held::Home(held, gives)) if self.lies.were_told() => {
                may_answer((region, home), (held, gives), result)
            }
            _ if self.lies.were_told() => Ok(()),
            _ if is_behind != matches!(result, Err(NotOperated::PlacementBehind)) => {
                Err(if is_behind { "it is behind" } else { "it is not behind" }.to_owned())
            }
            _ if is_behind => Ok(()),
            (Act::SetHome { user, home }, Held::Home(held, gives)) => {
                self.operators.gives_a_home((placement, region), (user, home), (held, gives), result)
            }
            (Act::Erase { user }, Held::Entry(held)) => {
                self.operators.erases((placement, region), user, held, result)
            }
            (Act::SetFlag { feature, flag }, Held::Flags(held)) => {
                self.operators.says((placement, region), (feature, flag), held, result)
            }
            (_, Held::Entry(_) | Held::Home(..) | Held::Flags(_)) => Ok(()),
        };
        let fault = fault.map_err(|what| (Checker::Operated, what));
        self.found(at, || format!("{region} is asked for {what} and says {result:?}"), fault);
    }

    /// What it decided last is durable, and answered.
    pub(crate) fn answers_an_operator(&mut self, region: RegionId, placement: PlacementId) {
        let Some(decided) = self.operators.decided.remove(&(placement, region)) else { return };
        match decided {
            Decided::Home(user, given) => {
                self.operators.homes.entry(user).or_default().insert(given, true);
            }
            Decided::Erased(user) => _ = self.operators.erased.insert(user, true),
            Decided::Said => {
                let said = self.operators.said.get_mut(&(placement, region));
                if let Some((_, is_answered)) = said.and_then(|said| said.last_mut()) {
                    *is_answered = true;
                }
            }
        }
    }

    /// A region issues that operation, of which note was taken: what it has itself turned off or limited it does not issue, but for messages that another region has taken before.
    pub(super) fn heeds_its_own_flags(
        &self,
        region: RegionId,
        conversation: ConversationId,
        item: &Item,
    ) -> Fault {
        let placement = conversation.placement();
        let message = (item.sender, item.message);
        let facts = self.record.conversations.get(&conversation);
        let is_asked_for = facts.is_some_and(|facts| facts.described.contains_key(&message));
        let taken_before = |facts: &Facts| {
            let identity = facts.identities.get(&message);
            identity.and_then(|identity| facts.aliases.get(*identity)).is_some_and(|all| all.len() > 1)
        };
        // Of what was decided and not answered it is not known whether it happened.
        let said = self.operators.said.get(&(placement, region)).filter(|_| !self.lies.were_told());
        let Some(said) = said else { return Ok(()) };
        let (feature, size) = match &item.content {
            Content::Post { .. } if facts.is_some_and(taken_before) => return Ok(()),
            Content::Post { body, .. } => (Feature::Posts, body.len()),
            Content::Created { direct: false, members, .. } => (Feature::Groups, members.len()),
            Content::Edited { .. } => (Feature::Edits, 0),
            Content::Reacted { .. } | Content::Withdrawn { .. } => (Feature::Reactions, 0),
            // A region takes by itself back what another one has put in too.
            Content::DocumentChanged { .. } if is_asked_for => (Feature::Documents, 0),
            _ => return Ok(()),
        };
        let forbids = |said: &Said| match said.get(&feature) {
            Some(Flag::Off) => true,
            Some(Flag::AtMost(most)) => size as u64 > *most,
            None => false,
        };
        if since_answered(said).all(forbids) {
            let what = format!("its operators have limited {feature}, and {size} are more: {said:?}");
            return Err((Checker::Operated, what));
        }
        Ok(())
    }

    /// A region refuses a command because somebody has turned a feature off.
    pub(super) fn was_turned_off(&mut self, at: Moment, region: RegionId, feature: Feature) {
        self.look_at(Checker::Operated);
        if !self.operators.ever_off.contains(&feature) && !self.lies.were_told() {
            let text = format!("{feature} are off in {region}, and nobody has turned them off");
            self.violate(at, Checker::Operated, text);
        }
    }

    /// Once all is calm, a region holds what the rules make of all acts.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub(super) fn judge_operated(
        &mut self,
        at: Moment,
        region: RegionId,
        placement: PlacementId,
        view: &dyn View,
    ) -> Result<(), StoreError> {
        if self.lies.were_told() || !self.is_whole() {
            return Ok(());
        }
        let held: BTreeMap<UserId, DirectoryEntry> = export::directory(view)?.into_iter().collect();
        let flags = export::flags(view)?;
        let operators = &self.operators;
        let users = operators.homes.keys().chain(operators.erased.keys()).chain(held.keys());
        let users: BTreeSet<UserId> = users.copied().filter(|user| user.placement() == placement).collect();
        let wrong = users.iter().find_map(|user| {
            let held = held.get(user).copied().unwrap_or_default();
            (!operators.may_hold(*user, held)).then(|| format!("{region} holds {held:?} of {user}"))
        });
        let said = operators.said.iter().filter(|((of, _), _)| *of == placement);
        let unheard = said.clone().find_map(|((_, of), said)| {
            let held = flags.get(of).map(features).unwrap_or_default();
            (!since_answered(said).any(|said| *said == held))
                .then(|| format!("{region} holds {held:?} of {of}, said was {said:?}"))
        });
        let looked = users.len() + said.count();
        self.looked_at(Checker::Operated, looked as u64);
        for what in [wrong, unheard].into_iter().flatten() {
            self.violate(at, Checker::Operated, what);
        }
        Ok(())
    }
}

impl Operators {
    /// Whether a user is erased, or may be.
    pub(super) fn may_have_erased(&self, user: UserId) -> bool {
        self.erased.contains_key(&user)
    }

    fn gives_a_home(
        &mut self,
        (placement, region): (PlacementId, RegionId),
        (user, home): (UserId, RegionId),
        (held, gives): (DirectoryEntry, RegionId),
        result: &Result<Operated, NotOperated>,
    ) -> Result<(), String> {
        self.is_no_step_back(region, user, held)?;
        may_answer((region, home), (held, gives), result)?;
        let number = match (held, result) {
            (DirectoryEntry::Home { epoch, region: of }, Ok(Operated::Done)) => {
                let before = (epoch.number(), epoch.by(), of);
                if !self.homes.get(&user).is_some_and(|given| given.contains_key(&before)) {
                    return Err(format!("it held {held:?}, which nobody has given"));
                }
                epoch.number() + 1
            }
            (_, Ok(Operated::Done)) => 1,
            _ => return Ok(()),
        };
        let given = (number, region, home);
        self.homes.entry(user).or_default().entry(given).or_insert(false);
        self.decided.insert((placement, region), Decided::Home(user, given));
        Ok(())
    }

    fn erases(
        &mut self,
        (placement, region): (PlacementId, RegionId),
        user: UserId,
        held: DirectoryEntry,
        result: &Result<Operated, NotOperated>,
    ) -> Result<(), String> {
        self.is_no_step_back(region, user, held)?;
        match (held, result) {
            (_, Err(NotOperated::NotKnownEverywhere(_))) => {}
            (DirectoryEntry::Erased, Ok(Operated::Unchanged)) => {}
            (DirectoryEntry::Unknown | DirectoryEntry::Home { .. }, Ok(Operated::Done)) => {
                self.erased.entry(user).or_insert(false);
                self.decided.insert((placement, region), Decided::Erased(user));
            }
            _ => return Err(format!("it held {held:?}")),
        }
        Ok(())
    }

    /// Whoever was erased in a region stays that there.
    fn is_no_step_back(
        &mut self,
        region: RegionId,
        user: UserId,
        held: DirectoryEntry,
    ) -> Result<(), String> {
        if held == DirectoryEntry::Erased {
            self.erased_in.insert((region, user));
        } else if self.erased_in.contains(&(region, user)) {
            return Err(format!("it held {held:?} of whom it had erased"));
        }
        Ok(())
    }

    fn says(
        &mut self,
        (placement, region): (PlacementId, RegionId),
        (feature, flag): (Feature, Option<Flag>),
        held: Said,
        result: &Result<Operated, NotOperated>,
    ) -> Result<(), String> {
        if matches!(result, Err(NotOperated::NotKnownEverywhere(_))) {
            return Ok(());
        }
        let said = self.said.entry((placement, region)).or_default();
        let before = said.iter().rposition(|(said, _)| *said == held);
        let answered = said.iter().rposition(|(_, is_answered)| *is_answered);
        // What was answered last, or anything that was decided after it; before any answer, nothing.
        let is_known =
            before.map_or(held.is_empty() && answered.is_none(), |before| Some(before) >= answered);
        if !is_known {
            return Err(format!("it held {held:?}, said was {said:?}"));
        }
        let mut after = held.clone();
        match flag {
            Some(flag) => _ = after.insert(feature, flag),
            None => _ = after.remove(&feature),
        }
        let changed = if after == held { Operated::Unchanged } else { Operated::Done };
        if *result != Ok(changed) {
            return Err(format!("it held {held:?}"));
        }
        if flag == Some(Flag::Off) {
            self.ever_off.insert(feature);
        }
        self.decided.insert((placement, region), Decided::Said);
        // What it held is durable now, and what was decided otherwise was lost.
        *said = vec![(held, true), (after, false)];
        Ok(())
    }

    /// Whether a region may hold that of a user, once it has heard of everything.
    fn may_hold(&self, user: UserId, held: DirectoryEntry) -> bool {
        let given = self.homes.get(&user);
        let answered =
            given.into_iter().flatten().filter(|(_, is_answered)| **is_answered).map(|(given, _)| *given);
        match (held, self.erased.get(&user)) {
            (DirectoryEntry::Erased, erased) => erased.is_some(),
            (_, Some(true)) => false,
            (DirectoryEntry::Unknown, _) => answered.count() == 0,
            (DirectoryEntry::Home { epoch, region }, _) => {
                let held = (epoch.number(), epoch.by(), region);
                given.is_some_and(|given| given.contains_key(&held)) && answered.max() <= Some(held)
            }
        }
    }
}

/// Whether a region may answer so that is asked to give a user that home, by what it held of the user and who may give them away.
fn may_answer(
    (region, home): (RegionId, RegionId),
    (held, gives): (DirectoryEntry, RegionId),
    result: &Result<Operated, NotOperated>,
) -> Result<(), String> {
    let may = match (held, result) {
        (
            _,
            Err(
                NotOperated::PlacementBehind
                | NotOperated::NotKnownEverywhere(_)
                | NotOperated::UnknownRegion(_),
            ),
        ) => true,
        (DirectoryEntry::Unknown, Ok(Operated::Done)) => true,
        (DirectoryEntry::Home { region: of, .. }, Ok(Operated::Done)) => gives == region && of != home,
        (DirectoryEntry::Home { region: of, .. }, Ok(Operated::Unchanged)) => of == home,
        (DirectoryEntry::Home { .. }, Err(NotOperated::NotTheHome { home, .. })) => {
            gives == *home && gives != region
        }
        (DirectoryEntry::Erased, Err(NotOperated::Erased(_))) => true,
        _ => false,
    };
    may.then_some(()).ok_or_else(|| format!("it held {held:?}, which {gives} may give away"))
}

/// Who does what was a region's to do, by a row of epochs: itself if the last one has it, else the region of whoever the epoch that closed it last names, or leaves it to, and so on.
fn stands_in_for(region: RegionId, row: &[EpochStatement]) -> RegionId {
    let life = |statement: &EpochStatement| {
        statement.active.keys().find(|replica| replica.region == region).copied()
    };
    let mut next: Option<&EpochStatement> = None;
    for statement in row.iter().rev() {
        if let Some(closed) = life(statement) {
            let Some(next) = next else { return region };
            let stays = next.active.keys().find(|replica| statement.active.contains_key(replica));
            let heir = next.heirs.get(&closed).or(stays).or_else(|| next.active.keys().next());
            return heir.map_or(region, |heir| stands_in_for(heir.region, row));
        }
        next = Some(statement);
    }
    region
}

/// What a region said last that was answered, and what it may have said since.
fn since_answered(said: &[(Said, bool)]) -> impl Iterator<Item = &Said> {
    let answered = said.iter().rposition(|(_, is_answered)| *is_answered).unwrap_or(0);
    said.iter().skip(answered).map(|(said, _)| said)
}

fn own_flags(view: &dyn View, region: RegionId) -> Result<Said, StoreError> {
    export::flags_of(view, region).map(|flags| features(&flags))
}

/// What a register says of features by their names.
fn features(flags: &crdt::Flags) -> Said {
    flags.iter().filter_map(|(name, flag)| Some((name.to_string().parse().ok()?, flag))).collect()
}
