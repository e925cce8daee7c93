//! What the users of a run saw: how long until messages were shown, what waited, what was marked, and who was cut off for how long.
//!
//! A showing is timed from the moment its author wrote the message, on the author's own device excepted. Whether it is *inside* a region or
//! *across* regions goes by where the two devices live at that moment. Devices that were themselves without a network while a message
//! was on its way (the author's before it was acknowledged, the reader's before it was shown) are counted apart: a traveller's week on a mountain
//! says nothing about the store.
//!
//! What must always hold: nothing is taken from a core's state; messages are forgotten oldest first at the bound, and counted.

use super::Distribution;
use crate::limits::MESSAGES_TIMED_MAX;
use crate::world::Moment;
use crdt::{DeviceId, MessageId, RegionId, UserId};
use gateway_client::{Act, Content, Event, Item};
use std::collections::BTreeMap;

/// What users saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users {
    /// Messages written.
    pub written: u64,
    /// Until a message had its first tick: durable in its author's region.
    pub acknowledge: Distribution,
    /// Until a message was shown on another device that lives in the author's region.
    pub show_inside: Distribution,
    /// Until a message was shown on a device that lives in another region.
    pub show_across: Distribution,
    /// The same where the author's or the reader's own device had no network meanwhile.
    pub show_after_offline: Distribution,
    /// The most messages that waited for their first tick at one moment, over all outboxes.
    pub waiting_max: u64,
    /// Messages that still waited for it at the end.
    pub waiting_at_end: u64,
    /// How long the oldest of those had waited, in microseconds.
    pub waiting_at_end_us: u64,
    /// Messages refused for good, with a reason, to their author.
    pub refused: u64,
    /// Messages that were shown with the mark "its author had seen more than is here".
    pub marked: u64,
    /// How long those marks stood.
    pub mark_stood: Distribution,
    /// Marks that stood at the end.
    pub marks_at_end: u64,
    /// Messages that moved to an earlier place after they had been shown.
    pub moved: u64,
    /// Redirects to another region.
    pub redirects: u64,
    /// For how long each time a device that had a network was without a region.
    pub cut_off: Distribution,
    /// The sum of those, in microseconds of one device.
    pub cut_off_us: u64,
    /// How long devices had no network of their own, summed up, in microseconds of one device.
    pub offline_us: u64,
    /// Devices.
    pub devices: u64,
    /// Messages that were no longer timed because of the bound.
    pub untimed: u64,
}

/// A message that was written.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: Moment,
    device: DeviceId,
    region: RegionId,
    /// Whether it had its first tick, and if so, whether its author's device had no network at some time before that.
    acknowledged: Option<bool>,
}

/// A device.
#[derive(Debug, Clone, Copy)]
struct Person {
    region: RegionId,
    exists_since: Moment,
    /// Without a network of its own since then.
    offline_since: Option<Moment>,
    /// When it last had no network.
    offline_until: Option<Moment>,
    /// With a network and without a region since then.
    cut_off_since: Option<Moment>,
    signed_in: bool,
}

/// What is remembered to reckon that.
#[derive(Debug, Default)]
pub(super) struct Watch {
    users: Users,
    written: BTreeMap<MessageId, Written>,
    waiting: u64,
    people: BTreeMap<DeviceId, Person>,
    marks: BTreeMap<(DeviceId, UserId, MessageId), Moment>,
}

impl Person {
    /// Whether it had no network of its own at some time since then.
    fn was_offline_since(&self, moment: Moment) -> bool {
        self.offline_since.is_some() || self.offline_until.is_some_and(|until| until >= moment)
    }

    /// Counts the time without a region, if one ends now.
    fn is_cut_off(&mut self, at: Moment, cut_off: bool, users: &mut Users) {
        match (self.cut_off_since, cut_off) {
            (None, true) => self.cut_off_since = Some(at),
            (Some(since), false) => {
                users.cut_off.add(at - since);
                users.cut_off_us += at - since;
                self.cut_off_since = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
}

impl Watch {
    pub(super) fn device_lives(&mut self, at: Moment, device: DeviceId, region: RegionId) {
        if let Some(person) = self.people.get_mut(&device) {
            person.region = region;
            return;
        }
        let person = Person {
            region,
            exists_since: at,
            offline_since: None,
            offline_until: None,
            cut_off_since: Some(at),
            signed_in: false,
        };
        self.people.insert(device, person);
    }

    pub(super) fn device_is_online(&mut self, at: Moment, device: DeviceId, online: bool) {
        let Some(person) = self.people.get_mut(&device) else { return };
        match (person.offline_since, online) {
            (None, false) => {
                person.offline_since = Some(at);
                person.is_cut_off(at, false, &mut self.users);
            }
            (Some(since), true) => {
                (person.offline_since, person.offline_until) = (None, Some(at));
                self.users.offline_us += at - since;
                person.is_cut_off(at, !person.signed_in, &mut self.users);
            }
            (None, true) | (Some(_), false) => {}
        }
    }

    pub(super) fn acts(&mut self, at: Moment, device: DeviceId, act: &Act) {
        if let Act::Send { message: Some(message), .. } = act
            && let Some(person) = self.people.get(&device)
        {
            let written = Written { at, device, region: person.region, acknowledged: None };
            self.written.insert(*message, written);
            self.users.written += 1;
            self.waiting += 1;
            self.users.waiting_max = self.users.waiting_max.max(self.waiting);
            if self.written.len() > MESSAGES_TIMED_MAX
                && let Some((_, Written { acknowledged, .. })) = self.written.pop_first()
            {
                self.users.untimed += 1;
                self.waiting -= u64::from(acknowledged.is_none());
            }
        }
    }

    pub(super) fn told(&mut self, at: Moment, device: DeviceId, event: &Event) {
        match event {
            Event::Shown { item, marked, .. } => self.shown(at, device, item, *marked),
            Event::MarkCleared { sender, message, .. } => {
                if let Some(since) = self.marks.remove(&(device, *sender, *message)) {
                    self.users.mark_stood.add(at - since);
                }
            }
            Event::Acknowledged { command, .. } => {
                let person = self.people.get(&device).copied();
                if let Some(written) = self.waits_no_more(*command, device) {
                    let was_offline = person.is_some_and(|person| person.was_offline_since(written.at));
                    written.acknowledged = Some(was_offline);
                    let took = at - written.at;
                    self.users.acknowledge.add(took);
                }
            }
            Event::Refused { command: Some(command), .. } => {
                if self.waits_no_more(*command, device).is_some() {
                    self.written.remove(command);
                    self.users.refused += 1;
                }
            }
            Event::Moved { .. } => self.users.moved += 1,
            Event::Redirected { .. } => self.users.redirects += 1,
            Event::SignedIn { placement: None, .. } => self.signed(at, device, true),
            Event::SignedOut { placement: None, .. } => self.signed(at, device, false),
            Event::SignedIn { .. }
            | Event::SignedOut { .. }
            | Event::ServedAtHome { .. }
            | Event::Refused { .. }
            | Event::Repeated { .. }
            | Event::AddedAgain { .. }
            | Event::CaughtUp { .. }
            | Event::Amended { .. }
            | Event::Hidden { .. }
            | Event::Stable { .. }
            | Event::Delivered { .. }
            | Event::Read { .. }
            | Event::Membership { .. }
            | Event::Paged { .. }
            | Event::Documented { .. }
            | Event::Listed { .. } => {}
        }
    }

    /// That message, if it waited for its first tick on that device; it does no more.
    fn waits_no_more(&mut self, message: MessageId, device: DeviceId) -> Option<&mut Written> {
        let waits = |written: &&mut Written| written.device == device && written.acknowledged.is_none();
        let written = self.written.get_mut(&message).filter(waits)?;
        self.waiting -= 1;
        Some(written)
    }

    fn signed(&mut self, at: Moment, device: DeviceId, signed_in: bool) {
        let Some(person) = self.people.get_mut(&device) else { return };
        person.signed_in = signed_in;
        person.is_cut_off(at, !signed_in && person.offline_since.is_none(), &mut self.users);
    }

    fn shown(&mut self, at: Moment, device: DeviceId, item: &Item, marked: bool) {
        if marked {
            self.users.marked += 1;
            self.marks.insert((device, item.sender, item.message), at);
        }
        if !matches!(item.content, Content::Post { .. }) {
            return;
        }
        let Some(written) = self.written.get(&item.message).filter(|written| written.device != device) else {
            return;
        };
        let (Some(reader), Some(author)) = (self.people.get(&device), self.people.get(&written.device))
        else {
            return;
        };
        if reader.exists_since > written.at {
            return;
        }
        // An author who went offline after the tick held nothing up.
        let author_was_offline = written.acknowledged.unwrap_or_else(|| author.was_offline_since(written.at));
        let took = at - written.at;
        let among = if author_was_offline || reader.was_offline_since(written.at) {
            &mut self.users.show_after_offline
        } else if written.region == reader.region {
            &mut self.users.show_inside
        } else {
            &mut self.users.show_across
        };
        among.add(took);
    }

    pub(super) fn users(&self, now: Moment) -> Users {
        let mut users = self.users.clone();
        for person in self.people.values() {
            let mut person = *person;
            person.is_cut_off(now, false, &mut users);
            users.offline_us += person.offline_since.map_or(0, |since| now - since);
        }
        let waiting = self.written.values().filter(|written| written.acknowledged.is_none());
        users.waiting_at_end = self.waiting;
        users.waiting_at_end_us = waiting.map(|written| now - written.at).max().unwrap_or(0);
        users.marks_at_end = self.marks.len() as u64;
        users.devices = self.people.len() as u64;
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use crdt::{ConversationId, Dot, Incarnation, PlacementId, ReplicaId, Sequence, Timestamp};
    use gateway_client::Became;
    use gateway_client::Place;

    const AUTHOR: DeviceId = DeviceId(1);
    const NEIGHBOUR: DeviceId = DeviceId(2);
    const FAR: DeviceId = DeviceId(3);
    const SECOND: u64 = 1_000_000;

    fn conversation() -> ConversationId {
        ConversationId::group(PlacementId(1), 1)
    }

    /// Three devices, two in one region and one in another, all signed in from the first second on.
    fn three() -> Watch {
        let mut watch = Watch::default();
        for (device, region) in [(AUTHOR, 1), (NEIGHBOUR, 1), (FAR, 2)] {
            watch.device_lives(0, device, RegionId(region));
            watch.signed(SECOND, device, true);
        }
        watch
    }

    fn writes(watch: &mut Watch, at: Moment, id: u128) {
        let message = Some(MessageId(id));
        let act = Act::Send { conversation: conversation(), message, body: Bytes::new(), reply_to: None };
        watch.acts(at, AUTHOR, &act);
    }

    fn acknowledged(watch: &mut Watch, at: Moment, id: u128) {
        let command = MessageId(id);
        watch.told(at, AUTHOR, &Event::Acknowledged { conversation: conversation(), command, place: None });
    }

    fn shown(watch: &mut Watch, at: Moment, device: DeviceId, id: u128, marked: bool) {
        let replica = ReplicaId { region: RegionId(1), incarnation: Incarnation(1) };
        let item = Item {
            sender: UserId::new(PlacementId(1), 1),
            message: MessageId(id),
            place: Place { hlc: Timestamp(1), dot: Dot { replica, sequence: Sequence(1) } },
            content: Content::Post {
                body: Bytes::new(),
                sent_at_ms: 0,
                reply_to: None,
                seen: None,
                became: Became::default(),
            },
        };
        watch.told(at, device, &Event::Shown { conversation: conversation(), item, marked });
    }

    #[test]
    fn showings_are_timed_inside_and_across_regions_and_apart_for_those_who_were_offline() {
        let mut watch = three();
        writes(&mut watch, 2 * SECOND, 1);
        acknowledged(&mut watch, 2 * SECOND + 10, 1);
        shown(&mut watch, 2 * SECOND + 20, AUTHOR, 1, false);
        shown(&mut watch, 2 * SECOND + 30, NEIGHBOUR, 1, false);
        watch.device_is_online(2 * SECOND + 40, FAR, false);
        watch.device_is_online(9 * SECOND, FAR, true);
        shown(&mut watch, 9 * SECOND + 50, FAR, 1, false);
        writes(&mut watch, 10 * SECOND, 2);
        shown(&mut watch, 10 * SECOND + 50, FAR, 2, false);
        let users = watch.users(11 * SECOND);
        assert_eq!((users.acknowledge.max_us(), users.show_inside.max_us()), (Some(10), Some(30)));
        assert_eq!(
            (users.show_across.max_us(), users.show_after_offline.max_us()),
            (Some(50), Some(7 * SECOND + 50))
        );
        assert_eq!(
            (users.show_inside.samples(), users.show_across.samples()),
            (1, 1),
            "not on the author's own device"
        );
        assert_eq!(users.offline_us, 7 * SECOND - 40);
    }

    #[test]
    fn an_author_who_was_offline_makes_nobody_else_slow_and_one_who_leaves_after_the_tick_does_not_excuse() {
        let mut watch = three();
        watch.device_is_online(2 * SECOND, AUTHOR, false);
        writes(&mut watch, 3 * SECOND, 1);
        watch.device_is_online(8 * SECOND, AUTHOR, true);
        acknowledged(&mut watch, 9 * SECOND, 1);
        shown(&mut watch, 9 * SECOND, NEIGHBOUR, 1, false);
        writes(&mut watch, 10 * SECOND, 2);
        acknowledged(&mut watch, 11 * SECOND, 2);
        watch.device_is_online(12 * SECOND, AUTHOR, false);
        shown(&mut watch, 15 * SECOND, NEIGHBOUR, 2, false);
        let users = watch.users(16 * SECOND);
        assert_eq!(users.show_after_offline.max_us(), Some(6 * SECOND));
        assert_eq!(users.show_inside.max_us(), Some(5 * SECOND));
    }

    #[test]
    fn what_waits_what_is_marked_and_who_is_cut_off_is_counted_to_the_end() {
        let mut watch = three();
        watch.signed(4 * SECOND, FAR, false);
        watch.signed(6 * SECOND, FAR, true);
        watch.signed(7 * SECOND, FAR, false);
        watch.device_is_online(8 * SECOND, FAR, false);
        writes(&mut watch, 8 * SECOND, 1);
        writes(&mut watch, 9 * SECOND, 2);
        acknowledged(&mut watch, 9 * SECOND, 1);
        shown(&mut watch, 9 * SECOND, NEIGHBOUR, 1, true);
        shown(&mut watch, 9 * SECOND, NEIGHBOUR, 2, true);
        let cleared = Event::MarkCleared {
            conversation: conversation(),
            sender: UserId::new(PlacementId(1), 1),
            message: MessageId(1),
        };
        watch.told(10 * SECOND, NEIGHBOUR, &cleared);
        let users = watch.users(11 * SECOND);
        assert_eq!((users.waiting_max, users.waiting_at_end, users.waiting_at_end_us), (2, 1, 2 * SECOND));
        assert_eq!((users.marked, users.marks_at_end, users.mark_stood.max_us()), (2, 1, Some(SECOND)));
        // Three first sign-ins of a second each, two seconds, and one until its own network went.
        assert_eq!(
            (users.cut_off_us, users.cut_off.samples(), users.offline_us),
            (6 * SECOND, 5, 3 * SECOND)
        );
    }
}
