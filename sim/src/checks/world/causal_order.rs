//! Promise 4: no region applies and no device is shown an operation before everything of its conversation that its author's region had applied when it
//! took it; what lacks something that its author's device had seen carries a mark until that arrives; one sender's messages come in the order sent.
//!
//! An operation's causes are taken from the order in which things became durable here, never from a cut. Joining members are shown nothing from before they were
//! added, so that counts neither as missing nor may it be shown. What this does not see: causes outside the conversation.

use super::display_order::stands_above_its_causes;
use super::record::{DeviceFacts, Facts, IdentityNumber, Screen};
use super::shown_once::{is_done_once, is_the_same};
use super::told::Appearance;
use super::{Checker, Fault, Oracle};
use crate::world::{Moment, START_US};
use crdt::{ConversationId, DeviceId, MessageId, RegionId, UserId};
use region::command::Refusal;
use region::item::{Change, Content};
use region::shard::Effect;
use region::store::View;
use std::collections::BTreeMap;

/// Milliseconds for which what was said may be sent again: thirty days, as `docs/protocol.md` has it.
const OUTBOX_MS: u64 = 30 * 24 * 3_600_000;

/// What came before its user was added is not shown.
pub(super) fn is_hidden_from(facts: &Facts, shown: &Appearance<'_>) -> Fault {
    if facts.may_be_shown(shown.number, shown.user) {
        Ok(())
    } else {
        Err((Checker::Hidden, format!("hidden from {}", shown.user)))
    }
}

/// Everything that its region had applied is on the screen.
pub(super) fn lacks_causes(facts: &Facts, screen: &mut Screen, shown: &Appearance<'_>) -> Fault {
    match facts.unseen_cause(screen, shown.user, shown.number) {
        None => Ok(()),
        Some(cause) => Err((Checker::CausesFirst, format!("before {}", facts.describe(cause)))),
    }
}

/// Everything that its author's device had been shown is on the screen, or it carries the mark.
pub(super) fn lacks_what_its_author_saw(
    facts: &Facts,
    unseen: Option<IdentityNumber>,
    marked: bool,
) -> Fault {
    match unseen {
        Some(unseen) if !marked => {
            let text = format!("before {}, which its author's device had been shown", name(facts, unseen));
            Err((Checker::CausesFirst, text))
        }
        _ => Ok(()),
    }
}

fn name(facts: &Facts, identity: IdentityNumber) -> String {
    match facts.aliases.get(identity).and_then(|aliases| aliases.first()) {
        Some(alias) => facts.describe(*alias),
        None => format!("{:?}", facts.names.get(identity)),
    }
}

impl Oracle {
    /// A batch is durable in a region.
    pub(crate) fn committed(&mut self, at: Moment, region: RegionId, effects: &[Effect]) {
        if self.is_off || self.is_muted(region) {
            return;
        }
        for effect in effects {
            match effect {
                Effect::Changed(change) => {
                    let fault = self.applies(at, region, change);
                    let Change { conversation, item, .. } = change;
                    self.comes_after_what_is_stable(at, region, *conversation, item.dot);
                    self.found(at, || format!("{region} applies {} in {conversation}", item.dot), fault);
                }
                Effect::Expired { partition, dots } => self.expires(at, region, *partition, dots),
                Effect::Membership { conversation, user, member: true } => {
                    self.becomes_a_member(at, region, *user, *conversation);
                }
                Effect::Reply { result: Err(refusal), .. } => {
                    self.refuses_for_want_of_rights(at, region, refusal);
                    if let Refusal::FeatureOff(feature) = refusal {
                        self.was_turned_off(at, region, *feature);
                    }
                }
                _ => {}
            }
        }
    }

    /// A batch is durable in a region whose store holds that; none if it cannot be trusted.
    pub(crate) fn is_held(
        &mut self,
        at: Moment,
        region: RegionId,
        store: Option<&dyn View>,
        effects: &[Effect],
    ) {
        let Some(store) = store.filter(|_| !self.is_off && !self.is_muted(region)) else { return };
        let looked = self.compare_members(at, region, store, effects);
        let looked = looked.and_then(|()| self.tells_only_of_what_it_holds(at, region, store, effects));
        if let Err(error) = looked {
            self.violate(at, Checker::Runs, format!("{region}: {error}"));
        }
    }

    fn applies(&mut self, at: Moment, region: RegionId, change: &Change) -> Fault {
        use Checker::{AppliedInOrder, DisplayOrder, Durable, Identity};
        for checker in [AppliedInOrder, DisplayOrder, Identity, Durable] {
            self.look_at(checker);
        }
        let item = &change.item;
        let of_second_life = self.lies.doubt(item.dot.replica);
        if of_second_life {
            self.record.forget_if_alone(change.conversation, item);
        }
        let (number, is_new) = self.record.take(region, change.conversation, item);
        self.record.applied += 1;
        let known = self.record.conversations.get(&change.conversation);
        let is_same = known.map_or(Ok(()), |facts| is_the_same(facts, number, item));
        if of_second_life && is_same.is_err() {
            self.takes_branch(region);
            return Ok(());
        }
        is_same?;
        self.may_be_a_member(change)?;
        self.may_be_done(item.message)?;
        if is_new && item.dot.replica.region == region && !of_second_life {
            // Who said what a disk brings back was in it where they said it.
            let facts = self.record.conversations.get(&change.conversation);
            let is_brought_back = facts.is_some_and(|facts| facts.is_brought_back(number));
            let is_a_users = !matches!(item.content, Content::Rights(_));
            let is_done_here = is_a_users && !is_brought_back;
            let in_it =
                if is_done_here { self.is_in_it(region, change.conversation, item.sender) } else { Ok(()) };
            let held = self.spends_what_it_holds(region, change.conversation, number, item);
            let heeds = self.heeds_its_own_flags(region, change.conversation, item);
            for fault in [in_it, held, heeds] {
                self.found(at, || format!("{region} applies {} in {}", item.dot, change.conversation), fault);
            }
        }
        let facts = self.record.conversations.entry(change.conversation).or_default();
        if is_new && of_second_life {
            facts.forget_causes(number);
        }
        let lacking = facts.lacks_cause(region, number);
        let issued = if is_new { is_issued_in_order(facts, region, number) } else { Ok(()) };
        let applied = facts.applies(at, region, number);
        if is_new && item.dot.replica.region != region && !of_second_life {
            return Err((Checker::Durable, "its own region does not have it".to_owned()));
        }
        if of_second_life {
            return Ok(());
        }
        issued?;
        if let Some(lacking) = lacking {
            let text = format!("before its cause {}", facts.describe(lacking));
            return Err((Checker::AppliedInOrder, text));
        }
        match applied {
            None => Err((Checker::Identity, "a second time".to_owned())),
            Some(count) if count != change.arrival.0 => {
                let text = format!("as arrival {}, when it is the {count}.", change.arrival.0);
                Err((Checker::AppliedInOrder, text))
            }
            Some(_) => Ok(()),
        }
    }

    /// A mark goes.
    pub(super) fn mark_goes(
        &mut self,
        id: DeviceId,
        conversation: ConversationId,
        identity: (UserId, MessageId),
    ) -> Fault {
        self.look_at(Checker::Marks);
        let Some(device) = self.record.devices.get_mut(&id) else { return Ok(()) };
        let Some(facts) = self.record.conversations.get(&conversation).filter(|_| !self.is_off) else {
            return Ok(());
        };
        let user = device.user;
        let Some(mut screen) = device.conversations.remove(&conversation) else { return Ok(()) };
        let number = facts.identities.get(&identity).copied();
        let was = number.is_some_and(|number| screen.marked.remove(&number));
        let sent = facts.sent.get(&identity).filter(|sent| sent.device != id);
        let lacking = sent.and_then(|sent| {
            let author = self.record.devices.get(&sent.device)?.conversations.get(&conversation)?;
            screen.unseen(facts, sent, author.order(), user)
        });
        let fault = match lacking {
            Some(lacking) => {
                let text = format!("that of {identity:?} goes before {}", name(facts, lacking));
                Err((Checker::Marks, text))
            }
            None if !was => Err((Checker::Marks, format!("{identity:?} in {conversation} had none"))),
            None => Ok(()),
        };
        if let Some(device) = self.record.devices.get_mut(&id) {
            device.conversations.insert(conversation, screen);
        }
        fault
    }

    /// Once all is calm: what a screen shows is in the order sent, and nothing is marked any more.
    pub(super) fn judge_causal_order(&mut self, at: Moment) {
        let mut faults = Vec::new();
        let mut screens = 0;
        let now_ms = (START_US + at) / 1_000;
        for (id, facts) in &self.record.conversations {
            for (device, known) in self.devices_to_judge(*id, facts) {
                let Some(screen) = known.conversations.get(id) else { continue };
                screens += 1;
                let is_refused = |author: DeviceId, message: MessageId| {
                    self.record.devices.get(&author).is_some_and(|author| author.refused.contains(&message))
                };
                faults.extend(out_of_order(facts, (device, known), screen, now_ms, is_refused));
                let excused = !self.lies.spare(id.placement());
                if !screen.marked.is_empty() && facts.is_member(known.user) && !excused {
                    let text = format!("{device} still shows {} marks in {id}", screen.marked.len());
                    faults.push((Checker::Marks, text));
                }
            }
        }
        self.looked_at(Checker::SenderInOrder, screens);
        self.looked_at(Checker::Marks, screens);
        for (checker, what) in faults {
            self.violate(at, checker, what);
        }
    }
}

/// A region issues an operation, which it has not yet applied here.
fn is_issued_in_order(facts: &Facts, region: RegionId, number: usize) -> Fault {
    stands_above_its_causes(facts, region, number)?;
    is_done_once(facts, region, number)
}

/// One sending device's messages are shown in the order sent. One that is older than outboxes keep may come behind others: only a disk that is found brings it, and until then those bear a mark.
fn out_of_order(
    facts: &Facts,
    (device, known): (DeviceId, &DeviceFacts),
    screen: &Screen,
    now_ms: u64,
    is_refused: impl Fn(DeviceId, MessageId) -> bool,
) -> Option<(Checker, String)> {
    let mut latest: BTreeMap<DeviceId, u64> = BTreeMap::new();
    for identity in screen.order() {
        let Some(name) = facts.names.get(*identity) else { continue };
        let Some(sent) = facts.sent.get(name) else { continue };
        // A region that its author had left may have taken what the next one refused, and nothing stood behind that.
        if is_refused(sent.device, name.1) {
            continue;
        }
        let before = latest.entry(sent.device).or_default();
        let is_too_old = name.1.created_ms() + OUTBOX_MS < now_ms;
        if sent.number < *before && !is_too_old && !facts.is_excused_identity(*identity, known.user) {
            let (by, number) = (sent.device, sent.number);
            let text = format!("{device} shows {by}'s message {number} after its {before}.");
            return Some((Checker::SenderInOrder, text));
        }
        *before = (*before).max(sent.number);
    }
    None
}
