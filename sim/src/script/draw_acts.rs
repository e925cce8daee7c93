//! Draws what people do: who writes where and when, who reads, begins, adds, leaves, moves, and goes offline.
//!
//! Times are even or, as independent people are, Poisson: given how many there are, each is anywhere, as likely as it is busy then.
//!
//! What must always hold: an act is of a member of its conversation, as far as can be planned; acts are in order of time.

use super::draw::{Lot, draw_weighted};
use super::draw_log::acts_of_log;
use super::draw_people::{Users, draw_direct, draw_group, size_of_group};
use super::{
    Account, Act, Conversation, Describe, Device, Feature, Govern, How, Says, Script, ScriptLimits, What,
};
use crate::scenario::{Arrival, MEMBERS, Scenario, Workload};
use crate::world::dice::Dice;
use crdt::RegionId;
use std::collections::{BTreeMap, BTreeSet};

const MINUTE_US: u64 = 60_000_000;

/// What is drawn for an act.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Write,
    Read,
    Begin,
    Change,
    Move,
    Offline,
    Misuse,
    Amend,
    Forward,
    Hide,
    Describe,
    Govern,
}

/// What acts are drawn from.
struct Plan<'a> {
    workload: &'a Workload,
    kinds: Vec<(Kind, u64)>,
    reply_percent: u64,
    burst_percent: u64,
    long_percent: u64,
    roaming_percent: u64,
    users: Users,
    devices: BTreeMap<u64, Vec<Device>>,
    regions: Vec<u16>,
    eu_regions: u16,
    limits: ScriptLimits,
    conversations: Vec<Conversation>,
    pinned_percent: u64,
    pairs: BTreeSet<(u64, u64)>,
    acts: Vec<Act>,
}

pub(super) fn acts(lot: &mut Lot, scenario: &Scenario, script: &mut Script, begins_us: u64) -> Vec<Act> {
    let workload = &scenario.workload;
    let per_minute = lot.amount("per_minute", &workload.per_minute);
    let mut plan = plan(lot, scenario, script);
    plan.begin_all(lot.seed, begins_us);
    if let Some(log) = &scenario.log {
        plan.acts.extend(acts_of_log(log, &script.devices, (begins_us, script.length_us)));
    } else if workload.log.is_none() {
        let times = times(workload, per_minute, (begins_us, script.length_us), &mut lot.dice("arrival"));
        for (index, at_us) in (0..).zip(times) {
            let mut dice = Dice::of(lot.seed, "act", &[index]);
            plan.somebody_acts(at_us, &mut dice);
        }
    }
    let operated = lot.amount("operated_per_minute", &workload.operated_per_minute);
    if operated > 0 {
        let times = times(workload, operated, (begins_us, script.length_us), &mut lot.dice("operators"));
        for (index, at_us) in (0..).zip(times) {
            plan.operators_act(at_us, &mut Dice::of(lot.seed, "operator", &[index]));
        }
    }
    let kept = lot.amount("accounts_per_minute", &workload.accounts_per_minute);
    if kept > 0 {
        let times = times(workload, kept, (begins_us, script.length_us), &mut lot.dice("accounts"));
        for (index, at_us) in (0..).zip(times) {
            plan.somebody_keeps_their_account(at_us, &mut Dice::of(lot.seed, "account", &[index]));
        }
    }
    plan.acts.extend(scenario.stated_acts(&script.regions, begins_us, script.length_us));
    plan.acts.sort_by_key(|act| act.at_us);
    script.conversations = plan.conversations;
    plan.acts
}

fn plan<'a>(lot: &mut Lot, scenario: &'a Scenario, script: &Script) -> Plan<'a> {
    let workload = &scenario.workload;
    let mut devices: BTreeMap<u64, Vec<Device>> = BTreeMap::new();
    for device in &script.devices {
        devices.entry(device.user).or_default().push(*device);
    }
    let read = lot.share("read_percent", &workload.read_percent);
    let begin = lot.share("begin_percent", &workload.begin_percent);
    let change = lot.share("change_percent", &workload.change_percent);
    let moves = lot.share("move_percent", &workload.move_percent);
    let offline = lot.share("offline_percent", &workload.offline_percent);
    let misuse = lot.share("misuse_percent", &workload.misuse_percent);
    let amend = lot.share("amend_percent", &workload.amend_percent);
    let govern = lot.share("govern_percent", &workload.govern_percent);
    let describe = lot.share("describe_percent", &workload.describe_percent);
    let hide = lot.share("hide_percent", &workload.hide_percent);
    let forward = lot.share("forward_percent", &workload.forward_percent);
    let others =
        read + begin + change + moves + offline + misuse + amend + govern + describe + hide + forward;
    let kinds = vec![
        (Kind::Write, 100_u64.saturating_sub(others).max(1)),
        (Kind::Read, read),
        (Kind::Begin, begin),
        (Kind::Change, change),
        (Kind::Move, moves),
        (Kind::Offline, offline),
        (Kind::Misuse, misuse),
        (Kind::Amend, amend),
        (Kind::Govern, govern),
        (Kind::Describe, describe),
        (Kind::Hide, hide),
        (Kind::Forward, forward),
    ];
    Plan {
        workload,
        kinds,
        reply_percent: lot.share("reply_percent", &workload.reply_percent),
        burst_percent: lot.share("burst_percent", &workload.burst_percent),
        long_percent: lot.share("long_percent", &workload.long_percent),
        roaming_percent: lot.share("roaming_percent", &scenario.population.roaming_percent),
        users: Users::with(&script.devices),
        devices,
        regions: script.regions.iter().map(|region| region.number).collect(),
        eu_regions: script.eu_regions,
        limits: script.limits,
        conversations: script.conversations.clone(),
        pinned_percent: lot.share("pinned_conversations_percent", &workload.pinned_percent),
        pairs: BTreeSet::new(),
        acts: Vec::new(),
    }
}

/// When acts happen.
fn times(workload: &Workload, per_minute: u64, (from, until): (u64, u64), dice: &mut Dice) -> Vec<u64> {
    let length_us = until - from;
    // Cut where a peak begins or ends; each piece weighs its length times what the peaks over it multiply.
    let mut cuts = BTreeSet::from([0, length_us]);
    for peak in &workload.peak {
        cuts.extend([peak.from.us(length_us).min(length_us), peak.until.us(length_us).min(length_us)]);
    }
    let cuts: Vec<u64> = cuts.into_iter().collect();
    let pieces = cuts.windows(2).map(|cut| (cut[0], cut[1]));
    let over = |at: u64| {
        let covers =
            |peak: &&crate::scenario::Peak| peak.from.us(length_us) <= at && at < peak.until.us(length_us);
        workload.peak.iter().find(covers).map_or(1, |peak| peak.times)
    };
    let pieces: Vec<(u64, u64, u64)> = pieces.map(|(first, last)| (first, last, over(first))).collect();
    let weight: u64 = pieces.iter().map(|(first, last, times)| (last - first) * times).sum();
    let count =
        u64::try_from(u128::from(weight) * u128::from(per_minute) / u128::from(MINUTE_US)).unwrap_or(0);
    let place = |mut weighed: u64| {
        for (first, last, times) in &pieces {
            let weighs = (last - first) * times;
            if weighed < weighs {
                return from + first + weighed / times.max(&1);
            }
            weighed -= weighs;
        }
        until
    };
    let mut times: Vec<u64> = match workload.arrival {
        Arrival::Steady => (0..count).map(|index| place(weight / count * index)).collect(),
        Arrival::Poisson => (0..count).map(|_| place(dice.below(weight))).collect(),
    };
    times.sort_unstable();
    times
}

impl Plan<'_> {
    fn act(&mut self, at_us: u64, device: u64, what: What, dice: &mut Dice) {
        self.acts.push(Act { at_us, device, salt: dice.salt(), what });
    }

    fn device_of(&self, user: u64, dice: &mut Dice) -> Option<Device> {
        self.devices.get(&user).and_then(|devices| dice.pick(devices))
    }

    /// Conversations are begun when all have signed in, over a tenth of the time that took.
    fn begin_all(&mut self, seed: u64, begins_us: u64) {
        for conversation in self.conversations.clone() {
            let mut dice = Dice::of(seed, "begin", &[conversation.number]);
            let at_us = begins_us - begins_us / 10 + dice.below(begins_us / 10 + 1);
            self.begin(at_us, &conversation, &mut dice);
        }
    }

    fn begin(&mut self, at_us: u64, conversation: &Conversation, dice: &mut Dice) {
        if conversation.direct {
            let other = conversation.members.first().copied().unwrap_or(0);
            self.pairs.insert((conversation.creator.min(other), conversation.creator.max(other)));
        }
        if let Some(device) = self.device_of(conversation.creator, dice) {
            self.act(at_us, device.number, What::Begin { conversation: conversation.number }, dice);
        }
    }

    fn somebody_acts(&mut self, at_us: u64, dice: &mut Dice) {
        match draw_weighted(&self.kinds, dice).unwrap_or(Kind::Write) {
            Kind::Write => self.somebody_writes(at_us, dice),
            Kind::Read => self.somebody_reads(at_us, dice),
            Kind::Begin => self.somebody_begins(at_us, dice),
            Kind::Change => self.somebody_changes(at_us, dice),
            Kind::Move => self.somebody_moves(at_us, dice),
            Kind::Offline => self.somebody_goes_offline(at_us, dice),
            Kind::Misuse => self.somebody_misuses(at_us, dice),
            Kind::Amend => self.somebody_amends(at_us, dice),
            Kind::Govern => self.a_group_quarrels(at_us, dice),
            Kind::Forward => self.somebody_forwards(at_us, dice),
            Kind::Hide => self.somebody_hides(at_us, dice),
            Kind::Describe => self.several_describe(at_us, dice),
        }
    }

    /// A conversation, and a device of one who is in it.
    fn somewhere(&self, dice: &mut Dice) -> Option<(u64, Device)> {
        let index = usize::try_from(dice.below(self.conversations.len() as u64)).ok()?;
        let conversation = self.conversations.get(index)?;
        let who = usize::try_from(dice.below(1 + conversation.members.len() as u64)).ok()?;
        let user = who.checked_sub(1).and_then(|index| conversation.members.get(index)).copied();
        Some((conversation.number, self.device_of(user.unwrap_or(conversation.creator), dice)?))
    }

    fn somebody_writes(&mut self, at_us: u64, dice: &mut Dice) {
        let Some((conversation, device)) = self.somewhere(dice) else { return };
        let burst = dice.percent(self.burst_percent);
        let count = if burst { self.workload.burst.draw(dice).max(1) } else { 1 };
        let long = dice.percent(self.long_percent);
        let bytes = if long { self.workload.long_bytes.draw(dice) } else { self.workload.bytes.draw(dice) };
        let reply = dice.percent(self.reply_percent);
        let what = What::Write { conversation, count, bytes, reply, text: None };
        self.act(at_us, device.number, what, dice);
    }

    /// One thing, or several right after each other: so that what is done in two places crosses.
    fn somebody_amends(&mut self, at_us: u64, dice: &mut Dice) {
        let Some((conversation, device)) = self.somewhere(dice) else { return };
        let mut at_us = at_us;
        for _ in 0..dice.between(1, 3) {
            let how = match dice.below(8) {
                0 => How::Delete,
                1..=3 => How::Edit,
                4..=6 => How::React,
                _ => How::Withdraw,
            };
            self.act(at_us, device.number, What::Amend { conversation, how }, dice);
            at_us += dice.below(400_000);
        }
    }

    /// Now and then on two devices, or by two people, right after each other: so that what is hidden in two regions crosses.
    fn somebody_hides(&mut self, at_us: u64, dice: &mut Dice) {
        let Some((conversation, device)) = self.somewhere(dice) else { return };
        let mut at_us = at_us;
        for _ in 0..dice.between(1, 2) {
            let device = self.device_of(device.user, dice).unwrap_or(device);
            self.act(at_us, device.number, What::Hide { conversation }, dice);
            at_us += dice.below(400_000);
        }
    }

    /// To some of the conversations that the user is in and that lie where the message lies; now and then to one more than may be.
    fn somebody_forwards(&mut self, at_us: u64, dice: &mut Dice) {
        let Some((conversation, device)) = self.somewhere(dice) else { return };
        let from = self.conversations.iter().find(|of| of.number == conversation);
        let Some(pinned) = from.map(|from| from.pinned) else { return };
        let is_in = |of: &&Conversation| of.creator == device.user || of.members.contains(&device.user);
        let own = self.conversations.iter().filter(is_in).filter(|of| of.pinned == pinned);
        let mut to: Vec<u64> = own.map(|of| of.number).collect();
        let count = if dice.one_in(8) { 6 } else { dice.between(1, 3) };
        while to.len() as u64 > count {
            let Ok(index) = usize::try_from(dice.below(to.len() as u64)) else { return };
            to.remove(index);
        }
        self.act(at_us, device.number, What::Forward { conversation, to }, dice);
    }

    /// Several of a conversation's people change what it says of itself, right after each other: so that what is done in two regions crosses.
    fn several_describe(&mut self, at_us: u64, dice: &mut Dice) {
        let Some((conversation, _)) = self.somewhere(dice) else { return };
        let of = self.conversations.iter().find(|of| of.number == conversation);
        let people: Vec<u64> =
            of.into_iter().flat_map(|of| of.members.iter().copied().chain([of.creator])).collect();
        let mut at_us = at_us;
        for _ in 0..dice.between(1, 4) {
            let Some(device) = dice.pick(&people).and_then(|user| self.device_of(user, dice)) else { return };
            let how = match dice.below(8) {
                0 | 1 => Describe::Name,
                2..=4 => Describe::Description,
                5 => Describe::Pin,
                6 => Describe::Unpin,
                _ => Describe::Setting,
            };
            self.act(at_us, device.number, What::Describe { conversation, how }, dice);
            at_us += dice.below(400_000);
        }
    }

    /// Several devices of a user, or one, change the account right after each other.
    fn somebody_keeps_their_account(&mut self, at_us: u64, dice: &mut Dice) {
        let Some((user, _)) = dice.pick(&self.users.all) else { return };
        let mut at_us = at_us;
        for _ in 0..dice.between(1, 4) {
            let Some(device) = self.device_of(user, dice) else { return };
            let how = match dice.below(8) {
                0 | 1 => Account::DisplayName,
                2 => Account::Status,
                3 | 4 => Account::Contact,
                5 => Account::Label,
                6 => Account::Block,
                _ => Account::Unblock,
            };
            self.act(at_us, device.number, What::Account { how }, dice);
            at_us += dice.below(400_000);
        }
    }

    /// Operators of several regions do something right after each other, so that it crosses: they give a user homes, or erase one, or turn a feature off for a while.
    fn operators_act(&mut self, at_us: u64, dice: &mut Dice) {
        let Some((user, pinned)) = dice.pick(&self.users.all) else { return };
        let Some(device) = self.device_of(user, dice) else { return };
        let regions: Vec<RegionId> = self
            .regions
            .iter()
            .filter(|id| !pinned || **id <= self.eu_regions)
            .copied()
            .map(RegionId)
            .collect();
        let (what, mut at_us) = (dice.below(8), at_us);
        let features =
            [Feature::Posts, Feature::Groups, Feature::Edits, Feature::Reactions, Feature::Documents];
        let Some(feature) = dice.pick(&features) else { return };
        for nth in 0..dice.between(1, 4) {
            let (Some(region), Some(home)) = (dice.pick(&regions), dice.pick(&regions)) else { return };
            let act = match what {
                0 if nth == 1 => What::Erase { region, user },
                0..=3 => What::SetHome { region, user, home },
                _ => {
                    let says = if dice.one_in(3) { Says::Limited } else { Says::Off };
                    let back_us = at_us + dice.between(50_000, 1_500_000);
                    let on = What::SetFlag { region, pinned, feature, says: Says::On };
                    self.act(back_us, device.number, on, dice);
                    What::SetFlag { region, pinned, feature, says }
                }
            };
            self.act(at_us, device.number, act, dice);
            at_us += dice.below(400_000);
        }
    }

    /// Now and then on a device that is told first whether others are to know.
    fn somebody_reads(&mut self, at_us: u64, dice: &mut Dice) {
        if let Some((conversation, device)) = self.somewhere(dice) {
            if dice.one_in(4) {
                let told = dice.one_in(3);
                self.act(at_us, device.number, What::TellReads { told }, dice);
            }
            self.act(at_us, device.number, What::Read { conversation }, dice);
        }
    }

    fn somebody_begins(&mut self, at_us: u64, dice: &mut Dice) {
        let number = self.conversations.last().map_or(1, |last| last.number + 1);
        let pinned = dice.percent(self.pinned_percent);
        let begun = if dice.one_in(2) {
            let size = size_of_group(self.workload, self.limits, dice);
            draw_group(number, pinned, size, &self.users, dice)
        } else {
            draw_direct(number, pinned, &self.users.all, &mut self.pairs, dice)
        };
        if let Some(conversation) = begun {
            self.begin(at_us, &conversation, dice);
            self.conversations.push(conversation);
        }
    }

    fn some_group(&self, dice: &mut Dice) -> Option<Conversation> {
        let groups = (0..).zip(&self.conversations).filter(|(_, conversation)| !conversation.direct);
        let groups: Vec<usize> = groups.map(|(index, _)| index).collect();
        self.conversations.get(dice.pick(&groups)?).cloned()
    }

    /// Several things are done to who is in a group, right after each other and by several of its people, so that what is done in several regions crosses.
    fn a_group_quarrels(&mut self, at_us: u64, dice: &mut Dice) {
        let Some(group) = self.some_group(dice) else { return };
        let conversation = group.number;
        let people: Vec<u64> = [group.creator].into_iter().chain(group.members.iter().copied()).collect();
        let allowed = self.users.of(group.pinned).to_vec();
        let mut at_us = at_us;
        for _ in 0..dice.between(2, 5) {
            let by = if dice.one_in(2) { Some(group.creator) } else { dice.pick(&people) };
            let device = by.and_then(|by| self.device_of(by, dice));
            let how = dice.below(16);
            // Where there are few places, whoever was added is in the way too.
            let anybody = self.limits.members < MEMBERS && dice.one_in(2);
            let user = dice.pick(if anybody { &allowed } else { &people });
            let (Some(device), Some(user), Some(other)) = (device, user, dice.pick(&allowed)) else { return };
            let govern = |how| What::Govern { conversation, user, how };
            let what = match how {
                0..=3 => govern(Govern::Promote),
                4..=6 => govern(Govern::Remove),
                7 | 8 => govern(Govern::Demote),
                9..=13 => What::Add { conversation, user: if dice.one_in(2) { user } else { other } },
                14 => What::Leave { conversation },
                _ => govern(Govern::Claim),
            };
            self.act(at_us, device.number, what, dice);
            at_us += dice.below(400_000);
        }
    }

    fn somebody_changes(&mut self, at_us: u64, dice: &mut Dice) {
        let Some(group) = self.some_group(dice) else { return };
        let conversation = group.number;
        if dice.one_in(2) {
            let allowed = self.users.of(group.pinned);
            let (Some(user), Some(device)) = (dice.pick(allowed), self.device_of(group.creator, dice)) else {
                return;
            };
            self.act(at_us, device.number, What::Add { conversation, user }, dice);
        } else if let Some(user) = dice.pick(&group.members)
            && let Some(device) = self.device_of(user, dice)
        {
            self.act(at_us, device.number, What::Leave { conversation }, dice);
        }
    }

    fn any_device(&self, dice: &mut Dice) -> Option<Device> {
        let (user, _) = dice.pick(&self.users.all)?;
        self.device_of(user, dice)
    }

    /// Who travels is the same for a whole run: the first of every hundred. Most write, or add somebody, until they go: what is on its way then is
    /// sent again from there.
    fn somebody_moves(&mut self, at_us: u64, dice: &mut Dice) {
        let Some(device) = self.any_device(dice) else { return };
        if device.user % 100 >= self.roaming_percent {
            return;
        }
        let inside = |region: &u16| !device.pinned || *region <= self.eu_regions;
        let regions: Vec<u16> = self.regions.iter().copied().filter(inside).collect();
        let Some(region) = dice.pick(&regions).map(RegionId) else { return };
        let in_it = |of: &&Conversation| of.creator == device.user || of.members.contains(&device.user);
        let known: Vec<u64> = self.conversations.iter().filter(in_it).map(|of| of.number).collect();
        let mut goes_us = at_us;
        let begun = self.conversations.iter().filter(|of| of.creator == device.user && !of.direct);
        let begun: Vec<(u64, bool)> = begun.map(|of| (of.number, of.pinned)).collect();
        if let Some((conversation, pinned)) = dice.pick(&begun).filter(|_| dice.one_in(3)) {
            let allowed = self.users.all.iter().filter(|(_, pin)| pinned || !pin).map(|(user, _)| *user);
            if let Some(user) = dice.pick(&allowed.collect::<Vec<_>>()) {
                self.act(goes_us, device.number, What::Add { conversation, user }, dice);
                goes_us += dice.below(400_000);
            }
        }
        if let Some(conversation) = dice.pick(&known).filter(|_| !dice.one_in(4)) {
            for _ in 0..dice.between(1, 3) {
                let bytes = self.workload.bytes.draw(dice);
                let what = What::Write { conversation, count: 1, bytes, reply: false, text: None };
                self.act(goes_us, device.number, what, dice);
                goes_us += dice.below(400_000);
            }
        }
        self.act(goes_us, device.number, What::Move { region }, dice);
    }

    fn somebody_misuses(&mut self, at_us: u64, dice: &mut Dice) {
        if let Some(device) = self.any_device(dice) {
            self.act(at_us, device.number, What::Misuse, dice);
        }
    }

    fn somebody_goes_offline(&mut self, at_us: u64, dice: &mut Dice) {
        let Some(device) = self.any_device(dice) else { return };
        let back_us = at_us + self.workload.offline_s.draw(dice) * 1_000_000;
        self.act(at_us, device.number, What::GoOffline, dice);
        self.act(back_us, device.number, What::ComeOnline, dice);
    }
}
