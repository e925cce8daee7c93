//! What people do in a storm: they write, answer, read, begin groups, add, leave, and move about.
//!
//! What must always hold: an author answers only what its device was shown; whom a person writes to is drawn from what that device knows,
//! so a person does nothing that its application could not offer.

use crate::checks::world::CANARY;
use crate::world::World;
use crate::world::devices::NewDevice;
use crate::world::layout::{Layout, PINNED, WORLD, address};
use crate::world::queue::Event;
use bytes::Bytes;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use gateway_client::Act;
use std::collections::{BTreeMap, BTreeSet};

/// Who is in a world, and what they have begun.
#[derive(Debug, Default)]
pub(crate) struct People {
    users: BTreeMap<UserId, Vec<DeviceId>>,
    /// Conversations begun, by whom: what the creator can add to.
    groups: BTreeMap<ConversationId, UserId>,
    directs: BTreeSet<ConversationId>,
    next: u64,
    /// Acts still to come, and how far they are apart at most.
    acts: u64,
    apart_us: u64,
    /// Of a hundred acts, so many move somebody.
    moves: u64,
    /// Of a hundred acts, so many change who is in a group.
    changes: u64,
}

impl World {
    /// Draws people and their devices.
    pub(crate) fn draw_people(&mut self, users: u64) {
        let regions = self.layout.regions().to_vec();
        for number in 0..users {
            let pinned = number % 4 == 3;
            let placement = if pinned { PINNED } else { WORLD };
            let user = UserId::new(placement, number + 1);
            let homes = self.layout.regions_of(placement);
            let devices = if self.dice.one_in(4) { 2 } else { 1 };
            for index in 0..devices {
                let id = DeviceId((number + 1) * 16 + index);
                // The first three live apart; the third is the outsider to the pinned placement.
                let home = regions.get(usize::try_from(number).unwrap_or(0)).copied();
                let home = home.filter(|home| homes.contains(home)).or_else(|| self.dice.pick(&homes));
                let Some(region) = home else { continue };
                let new = NewDevice {
                    user,
                    region,
                    placements: vec![PINNED],
                    delay_us: self.dice.between(1_000, 50_000),
                    clock_offset_us: i64::try_from(self.dice.below(120_000_000)).unwrap_or(0) - 60_000_000,
                    json: self.dice.one_in(4),
                };
                self.people.users.entry(user).or_default().push(id);
                self.add_device(id, new);
            }
        }
    }

    /// People begin to act.
    pub(crate) fn let_act(&mut self, acts: u64, within_us: u64) {
        self.people.acts = acts;
        self.people.apart_us = within_us / acts.max(1) * 2;
        self.people.moves = self.dice.pick(&[0, 3, 12]).unwrap_or(0);
        self.people.changes = self.dice.pick(&[0, 4, 12]).unwrap_or(0);
        for placement in [WORLD, PINNED, WORLD] {
            self.begin_group(placement);
        }
        self.queue.put(self.now + 100_000, Event::Act);
    }

    /// Somebody does something.
    pub(crate) fn somebody_acts(&mut self) {
        if self.people.acts == 0 {
            return;
        }
        self.people.acts -= 1;
        let drawn = self.dice.below(100);
        let (moves, changes) = (self.people.moves, self.people.changes);
        if drawn < moves {
            self.somebody_moves();
        } else if drawn < moves + changes {
            self.somebody_changes_a_group();
        } else if drawn < moves + changes + 4 {
            let placement = if self.dice.one_in(3) { PINNED } else { WORLD };
            self.begin_group(placement);
        } else if drawn < moves + changes + 9 {
            self.open_direct();
        } else if drawn < moves + changes + 20 {
            self.somebody_reads();
        } else {
            let count = if self.dice.one_in(8) { self.dice.between(2, 12) } else { 1 };
            self.somebody_writes(count);
        }
        let after = self.dice.below(self.people.apart_us + 1);
        self.queue.put(self.now + after, Event::Act);
    }

    fn any_device(&mut self) -> Option<(UserId, DeviceId)> {
        let all: Vec<(UserId, DeviceId)> =
            self.devices.iter().map(|(id, device)| (device.user, *id)).collect();
        self.dice.pick(&all)
    }

    /// What a device can write in: what it is shown, and what its user has begun.
    fn known_to(&self, user: UserId, id: DeviceId) -> Vec<ConversationId> {
        let shown = self.oracle.known_to(id);
        let begun = self.people.groups.iter().filter(|(_, creator)| **creator == user).map(|(id, _)| *id);
        let all: BTreeSet<ConversationId> = shown.chain(begun).collect();
        all.into_iter().collect()
    }

    fn somebody_writes(&mut self, count: u64) {
        let Some((user, id)) = self.any_device() else { return };
        let known = self.known_to(user, id);
        let Some(conversation) = self.dice.pick(&known) else { return };
        for _ in 0..count {
            self.write(user, id, conversation);
        }
    }

    /// A message, perhaps an answer to one of the last that this device was shown.
    pub(crate) fn write(&mut self, user: UserId, id: DeviceId, conversation: ConversationId) -> MessageId {
        let number = self.people.next;
        self.people.next += 1;
        let message = MessageId::new(self.device_time(id).ms(), self.dice.wide());
        let reply_to = if self.dice.one_in(2) { self.last_shown(id, conversation) } else { None };
        let long = if self.dice.one_in(30) { self.dice.between(1_000, 20_000) } else { self.dice.below(80) };
        let padding = "-".repeat(usize::try_from(long).unwrap_or(0));
        let canary = if conversation.placement() == PINNED { CANARY } else { "" };
        let body = Bytes::from(format!("{canary}{number} by {user} {padding}"));
        self.act(id, Act::Send { conversation, message: Some(message), body, reply_to });
        message
    }

    fn last_shown(&mut self, id: DeviceId, conversation: ConversationId) -> Option<(UserId, MessageId)> {
        let back = usize::try_from(self.dice.below(5)).unwrap_or(0);
        self.oracle.shown_last(id, conversation, back)
    }

    fn somebody_reads(&mut self) {
        let Some((user, id)) = self.any_device() else { return };
        let known = self.known_to(user, id);
        if let Some(conversation) = self.dice.pick(&known) {
            self.act(id, Act::MarkRead { conversation });
        }
    }

    fn begin_group(&mut self, placement: PlacementId) {
        let Some((user, id)) = self.any_device().filter(|(user, _)| Layout::may_take_part(*user, placement))
        else {
            return;
        };
        let conversation = ConversationId::group(placement, self.dice.wide() >> 16);
        let others: Vec<UserId> = self.people.users.keys().copied().collect();
        let members = others.into_iter().filter(|other| {
            *other != user && Layout::may_take_part(*other, placement) && !self.dice.one_in(3)
        });
        let members: Vec<UserId> = members.collect();
        self.people.groups.insert(conversation, user);
        let canary = if placement == PINNED { CANARY } else { "" };
        let name = format!("{canary}group");
        self.act(id, Act::CreateGroup { conversation, command: None, members, name });
    }

    fn open_direct(&mut self) {
        let Some((user, id)) = self.any_device() else { return };
        let users: Vec<UserId> = self.people.users.keys().copied().filter(|other| *other != user).collect();
        let Some(peer) = self.dice.pick(&users) else { return };
        let pinned = user.placement() == PINNED || peer.placement() == PINNED;
        let placement = if pinned { PINNED } else { WORLD };
        self.people.directs.insert(ConversationId::direct(placement, user, peer));
        self.act(id, Act::OpenDirect { placement, peer });
    }

    fn somebody_changes_a_group(&mut self) {
        let groups: Vec<(ConversationId, UserId)> =
            self.people.groups.iter().map(|(id, creator)| (*id, *creator)).collect();
        let Some((conversation, creator)) = self.dice.pick(&groups) else { return };
        if self.dice.one_in(2) {
            let users: Vec<UserId> = self.people.users.keys().copied().collect();
            let allowed: Vec<UserId> = users
                .into_iter()
                .filter(|user| Layout::may_take_part(*user, conversation.placement()))
                .collect();
            let Some(user) = self.dice.pick(&allowed) else { return };
            let devices = self.people.users.get(&creator).cloned().unwrap_or_default();
            if let Some(device) = self.dice.pick(&devices) {
                self.act(device, Act::Add { conversation, user });
            }
        } else if let Some((user, device)) = self.any_device()
            && user != creator
            && self.known_to(user, device).contains(&conversation)
        {
            self.act(device, Act::Leave { conversation });
        }
    }

    fn somebody_moves(&mut self) {
        let Some((user, id)) = self.any_device() else { return };
        let regions = self.layout.regions_of(user.placement());
        if let Some(region) = self.dice.pick(&regions) {
            self.act(id, Act::Move { region: address(region) });
        }
    }

    /// Nobody does anything any more.
    pub(crate) fn rest(&mut self) {
        self.people.acts = 0;
    }
}
