//! Takes things out of a script: people, devices, conversations, acts, faults, regions.
//!
//! What must always hold: with a thing goes what is nothing without it (the acts of a device, the ways of a region), so that it need not be
//! tried by itself; at least two regions stay, and one of the placement `eu`.

use super::Search;
use crate::script::{Script, What};
use std::collections::BTreeSet;

impl Search<'_> {
    /// Takes out what can go.
    pub(super) fn take_out(&mut self) {
        let light = Script { dark: Vec::new(), ..self.script.clone() };
        self.take(light);
        let users: BTreeSet<u64> = self.script.devices.iter().map(|device| device.user).collect();
        self.in_chunks(users.into_iter().collect(), |script, gone| {
            script.devices.retain(|device| !gone.contains(&device.user));
            clear(script);
        });
        let devices = self.script.devices.iter().map(|device| device.number).collect();
        self.in_chunks(devices, |script, gone: &[u64]| {
            script.devices.retain(|device| !gone.contains(&device.number));
            clear(script);
        });
        let conversations =
            self.script.conversations.iter().map(|conversation| conversation.number).collect();
        self.in_chunks(conversations, |script, gone: &[u64]| {
            script.conversations.retain(|conversation| !gone.contains(&conversation.number));
            clear(script);
        });
        // Salts tell acts apart, and faults with their times.
        let acts = self.script.acts.iter().map(|act| (act.at_us, act.salt)).collect();
        self.in_chunks(acts, |script, gone: &[(u64, u32)]| {
            let gone: BTreeSet<&(u64, u32)> = gone.iter().collect();
            script.acts.retain(|act| !gone.contains(&(act.at_us, act.salt)));
        });
        let faults = self.script.faults.clone();
        self.in_chunks(faults, |script, gone| script.faults.retain(|fault| !gone.contains(fault)));
        self.take_out_regions();
        self.take_out_members();
    }

    /// A region, with its people or with these moved to the first one.
    fn take_out_regions(&mut self) {
        for number in self.script.regions.iter().map(|region| region.number).rev().collect::<Vec<u16>>() {
            if self.script.regions.len() <= 2 {
                return;
            }
            if number == 1 {
                continue;
            }
            let mut without = self.script.clone();
            without.regions.retain(|region| region.number != number);
            without.dark.retain(|dark| *dark != number);
            without.ways.retain(|way| way.from != number && way.to != number);
            let mut moved = without.clone();
            for device in moved.devices.iter_mut().filter(|device| device.home == number) {
                device.home = 1;
            }
            without.devices.retain(|device| device.home != number);
            clear(&mut without);
            clear(&mut moved);
            if !self.take(without) {
                self.take(moved);
            }
        }
    }

    /// Members who never do anything.
    fn take_out_members(&mut self) {
        let members = self.script.conversations.iter().filter(|conversation| !conversation.direct);
        let members = members
            .flat_map(|conversation| conversation.members.iter().map(|user| (conversation.number, *user)));
        let members: Vec<(u64, u64)> = members.collect();
        self.in_chunks(members, |script, gone| {
            for conversation in &mut script.conversations {
                let number = conversation.number;
                conversation.members.retain(|user| !gone.contains(&(number, *user)));
            }
        });
    }
}

/// Takes out what is nothing any more.
pub(super) fn clear(script: &mut Script) {
    let devices: BTreeSet<u64> = script.devices.iter().map(|device| device.number).collect();
    let users: BTreeSet<u64> = script.devices.iter().map(|device| device.user).collect();
    let regions: BTreeSet<u16> = script.regions.iter().map(|region| region.number).collect();
    script.devices.retain(|device| regions.contains(&device.home));
    script.conversations.retain(|conversation| {
        let other = !conversation.direct || conversation.members.iter().all(|user| users.contains(user));
        users.contains(&conversation.creator) && other
    });
    for conversation in &mut script.conversations {
        conversation.members.retain(|user| users.contains(user));
    }
    let conversations: BTreeSet<u64> = script.conversations.iter().map(|of| of.number).collect();
    script.acts.retain(|act| {
        devices.contains(&act.device)
            && match &act.what {
                What::Begin { conversation }
                | What::Write { conversation, .. }
                | What::Amend { conversation, .. }
                | What::Hide { conversation }
                | What::Describe { conversation, .. }
                | What::Read { conversation }
                | What::Leave { conversation } => conversations.contains(conversation),
                What::Forward { conversation, to } => {
                    conversations.contains(conversation) && to.iter().all(|to| conversations.contains(to))
                }
                What::Add { conversation, user } | What::Govern { conversation, user, .. } => {
                    conversations.contains(conversation) && users.contains(user)
                }
                What::SetHome { region, user, home } => {
                    regions.contains(&region.0) && regions.contains(&home.0) && users.contains(user)
                }
                What::Erase { region, user } => regions.contains(&region.0) && users.contains(user),
                What::SetFlag { region, .. } => regions.contains(&region.0),
                What::Move { region } | What::Admit { region } | What::Suspend { region } => {
                    regions.contains(&region.0)
                }
                What::Account { .. }
                | What::TellReads { .. }
                | What::Misuse
                | What::GoOffline
                | What::ComeOnline => true,
            }
    });
}
