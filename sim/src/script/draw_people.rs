//! Draws who there is: devices with their homes and networks, and the conversations that they have.
//!
//! What must always hold: who is pinned lives inside the placement `eu`; a conversation that is not pinned has no pinned member.
//! The first users live in different regions, so that the smallest world has people apart.

use super::draw::{Lot, draw_weighted, signed};
use super::draw_log::{channel, speakers};
use super::{Conversation, DEVICES_A_USER, Device, Script, ScriptLimits};
use crate::scenario::{ClientNetwork, Scenario, Workload};
use crate::world::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn devices(lot: &mut Lot, scenario: &Scenario, script: &Script) -> Vec<Device> {
    let population = &scenario.population;
    let users = match &scenario.log {
        Some(log) => speakers(log).len() as u64,
        None => lot.amount("users", &population.users).max(1),
    };
    let pinned_percent = lot.share("pinned_percent", &population.pinned_percent);
    let json_percent = lot.share("json_percent", &population.json_percent);
    let networks: Vec<(ClientNetwork, u64)> = population.networks.iter().map(|(of, by)| (*of, *by)).collect();
    let within_us = population.sign_in_within_ms.most() * 1_000;
    let weight = |name: &String| population.homes.get(name).copied().unwrap_or(0);
    let homes: Vec<(u16, u64)> = script
        .regions
        .iter()
        .filter(|region| !region.late)
        .map(|region| (region.number, if population.homes.is_empty() { 1 } else { weight(&region.name) }))
        .collect();
    let mut devices = Vec::new();
    for user in 1..=users {
        let mut dice = Dice::of(lot.seed, "user", &[user]);
        let pinned = dice.percent(pinned_percent);
        let allowed = |home: &u16| !pinned || *home <= script.eu_regions;
        let inside: Vec<(u16, u64)> = homes.iter().copied().filter(|(home, _)| allowed(home)).collect();
        let first = usize::try_from(user - 1).ok().and_then(|index| homes.get(index));
        let first = first.filter(|(home, weight)| *weight > 0 && allowed(home)).map(|(home, _)| *home);
        // A pinned user of a world whose people all live elsewhere lives in the first region.
        let home = first.or_else(|| draw_weighted(&inside, &mut dice)).unwrap_or(1);
        let count = population.devices_per_user.draw(&mut dice).clamp(1, DEVICES_A_USER);
        for index in 0..count {
            let network = draw_weighted(&networks, &mut dice).unwrap_or(ClientNetwork::Any);
            devices.push(Device {
                number: user * DEVICES_A_USER + index,
                user,
                pinned,
                home,
                at_us: dice.below(within_us + 1),
                delay_us: network.draw_delay_us(&mut dice),
                network,
                clock_offset_us: signed(population.clock_off_ms.draw(&mut dice) * 1_000, &mut dice),
                json: dice.percent(json_percent),
            });
        }
    }
    devices
}

/// Users.
#[derive(Debug, Clone)]
pub(super) struct Users {
    /// All, and whether each is pinned.
    pub(super) all: Vec<(u64, bool)>,
    everybody: Vec<u64>,
    unpinned: Vec<u64>,
}

impl Users {
    pub(super) fn with(devices: &[Device]) -> Self {
        let all: BTreeMap<u64, bool> = devices.iter().map(|device| (device.user, device.pinned)).collect();
        let unpinned = all.iter().filter(|(_, pinned)| !**pinned).map(|(user, _)| *user).collect();
        Self { everybody: all.keys().copied().collect(), unpinned, all: all.into_iter().collect() }
    }

    /// Those who may be in a conversation that is pinned, or in one that is not: a user of the world may be in a pinned one, but a pinned user
    /// in none of the world.
    pub(super) fn of(&self, pinned: bool) -> &[u64] {
        if pinned { &self.everybody } else { &self.unpinned }
    }
}

pub(super) fn conversations(lot: &mut Lot, scenario: &Scenario, script: &Script) -> Vec<Conversation> {
    let workload = &scenario.workload;
    let (groups, directs) =
        (lot.amount("groups", &workload.groups), lot.amount("directs", &workload.directs));
    let pinned_percent = lot.share("pinned_conversations_percent", &workload.pinned_percent);
    let users = Users::with(&script.devices);
    if scenario.log.is_some() {
        return vec![channel(&users.all)];
    }
    let mut conversations = scenario.conversation.clone();
    let stated = conversations.iter().map(|conversation| conversation.number).max().unwrap_or(0);
    for number in stated + 1..=stated + groups {
        let mut dice = Dice::of(lot.seed, "group", &[number]);
        let pinned = dice.percent(pinned_percent);
        let size = size_of_group(workload, script.limits, &mut dice);
        conversations.extend(draw_group(number, pinned, size, &users, &mut dice));
    }
    let mut pairs = BTreeSet::new();
    for number in stated + groups + 1..=stated + groups + directs {
        let mut dice = Dice::of(lot.seed, "direct", &[number]);
        let pinned = dice.percent(pinned_percent);
        conversations.extend(draw_direct(number, pinned, &users.all, &mut pairs, &mut dice));
    }
    conversations
}

/// How many begin a group: one place is left for somebody to be added.
pub(super) fn size_of_group(workload: &Workload, limits: ScriptLimits, dice: &mut Dice) -> u64 {
    workload.members.draw(dice).min(limits.members.saturating_sub(1).max(1))
}

/// A group, if there is anybody who may begin it. Where no two users of the world live it is a pinned one: else nobody would ever write.
pub(super) fn draw_group(
    number: u64,
    pinned: bool,
    size: u64,
    users: &Users,
    dice: &mut Dice,
) -> Option<Conversation> {
    let pinned = pinned || users.of(false).len() < 2;
    let allowed = users.of(pinned);
    let creator = dice.pick(allowed)?;
    let most = size.min(allowed.len() as u64);
    let mut members = BTreeSet::from([creator]);
    while (members.len() as u64) < most {
        members.extend(dice.pick(allowed));
    }
    members.remove(&creator);
    Some(Conversation { number, pinned, creator, members: members.into_iter().collect(), direct: false })
}

/// A conversation of two that have none yet.
pub(super) fn draw_direct(
    number: u64,
    pinned: bool,
    users: &[(u64, bool)],
    pairs: &mut BTreeSet<(u64, u64)>,
    dice: &mut Dice,
) -> Option<Conversation> {
    let ((one, one_pinned), (other, other_pinned)) = (dice.pick(users)?, dice.pick(users)?);
    let pair = (one.min(other), one.max(other));
    if one == other || !pairs.insert(pair) {
        return None;
    }
    let pinned = pinned || one_pinned || other_pinned;
    Some(Conversation { number, pinned, creator: one, members: vec![other], direct: true })
}
