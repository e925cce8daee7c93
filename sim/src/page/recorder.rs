//! Records a run as it happens, for its page.
//!
//! It is told what people do and see, what becomes durable where, which frames leave and which arrive, and what goes wrong. When a message left a
//! region is not said by any frame (they are compact, and read with what went before): a frame is known again by its digest when it
//! arrives, and what its reader then hands to its shards left with it.
//!
//! What must always hold: bounded (`limits.rs`): when more messages have been written than are kept, some are forgotten, evenly, but never those that
//! waited longest; nothing of the world depends on what is recorded.

use super::choose_messages::{choose_messages, slowest};
use super::intervals::Counted;
use super::recording::{Device, DeviceIndex, Fault, Harm, Lane, Message, Place, Recording, Showing};
use crate::limits::{
    FAULTS_RECORDED_MAX, FRAMES_RECORDED_MAX, MESSAGES_RECORDED_MAX, MESSAGES_TIMED_MAX,
    SHOWINGS_RECORDED_MAX, SLOWEST_DRAWN_MAX,
};
use crdt::{ConversationId, DeviceId, Dot, MessageId, PartitionId, RegionId, UserId};
use std::collections::{BTreeMap, VecDeque};

/// A device, as far as its showings are judged by it.
#[derive(Debug, Clone, Copy)]
struct Person {
    index: DeviceIndex,
    lives: Lane,
    exists_since: u64,
    offline_since: Option<u64>,
    offline_until: Option<u64>,
}

impl Person {
    /// Whether it had no network of its own at some time since then.
    fn was_offline_since(&self, moment: u64) -> bool {
        self.offline_since.is_some() || self.offline_until.is_some_and(|until| until >= moment)
    }
}

/// A message that is kept.
#[derive(Debug)]
struct Kept {
    /// Messages are numbered as they are written.
    number: u64,
    message: Message,
}

/// When a message was written: of all messages, kept or not.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: u64,
    device: DeviceId,
    home: Lane,
    acknowledged: bool,
}

/// The recorder.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    recording: Recording,
    lanes: BTreeMap<RegionId, Lane>,
    people: BTreeMap<DeviceId, Person>,
    conversations: BTreeMap<ConversationId, usize>,
    kept: BTreeMap<MessageId, Kept>,
    /// Of those that are neither new nor slow one in so many is kept.
    every: u64,
    dots: BTreeMap<(PartitionId, Dot), MessageId>,
    written: BTreeMap<MessageId, Written>,
    /// Frames on their way: their digests, and when they left.
    frames: BTreeMap<(Lane, Lane), VecDeque<(u64, u64)>>,
    /// When the frame left that is being read.
    reading: Option<u64>,
    /// Faults that have begun, by the name of whoever began them, and their place in the recording.
    open: BTreeMap<(u64, u64), usize>,
    counted: Counted,
}

impl Recorder {
    /// For a world of these regions, with how long each way takes when nothing is wrong.
    pub(crate) fn new(
        regions: &[(RegionId, String)],
        ways: impl Iterator<Item = (RegionId, RegionId, u64)>,
    ) -> Self {
        let lanes: BTreeMap<RegionId, Lane> =
            regions.iter().enumerate().map(|(lane, (id, _))| (*id, lane)).collect();
        let ways =
            ways.filter_map(|(from, to, us)| Some(((*lanes.get(&from)?, *lanes.get(&to)?), us))).collect();
        let regions = regions.iter().map(|(_, name)| name.clone()).collect();
        let recording = Recording { regions, ways, ..Recording::default() };
        Self { recording, lanes, every: 1, ..Self::default() }
    }

    fn lane(&self, region: RegionId) -> Option<Lane> {
        self.lanes.get(&region).copied()
    }

    /// There is a device, which lives at that region from now on.
    pub(crate) fn device_lives(&mut self, at: u64, id: DeviceId, user: UserId, region: RegionId) {
        let Some(lives) = self.lane(region) else { return };
        if let Some(person) = self.people.get_mut(&id) {
            person.lives = lives;
            return;
        }
        let index = self.recording.devices.len();
        let name = format!("user {}’s device {}", user.0 & 0xffff_ffff_ffff, id.0);
        self.recording.devices.push(Device { name, home: lives });
        let person = Person { index, lives, exists_since: at, offline_since: None, offline_until: None };
        self.people.insert(id, person);
    }

    /// A device has a network, or has not.
    pub(crate) fn device_is_online(&mut self, at: u64, id: DeviceId, online: bool) {
        let Some(person) = self.people.get_mut(&id) else { return };
        let place = Place::Device(person.index);
        match (person.offline_since, online) {
            (None, false) => {
                person.offline_since = Some(at);
                self.begins(at, (u64::MAX, id.0), "no network", Harm::Device, place);
            }
            (Some(_), true) => {
                (person.offline_since, person.offline_until) = (None, Some(at));
                self.ends(at, (u64::MAX, id.0));
            }
            (None, true) | (Some(_), false) => {}
        }
    }

    /// Something goes wrong. Whoever says so gives it a name of its own.
    pub(crate) fn begins(&mut self, at: u64, name: (u64, u64), what: &str, harm: Harm, place: Place) {
        if self.open.contains_key(&name) {
            return;
        }
        self.recording.faults_in_all += 1;
        if self.recording.faults.len() < FAULTS_RECORDED_MAX {
            self.open.insert(name, self.recording.faults.len());
            let fault = Fault { what: what.to_owned(), harm, place, begins_us: at, ends_us: at };
            self.recording.faults.push(fault);
        }
    }

    /// What has that name is over.
    pub(crate) fn ends(&mut self, at: u64, name: (u64, u64)) {
        let fault = self.open.remove(&name).and_then(|index| self.recording.faults.get_mut(index));
        if let Some(fault) = fault {
            fault.ends_us = at;
        }
    }

    /// A region as a place.
    pub(crate) fn region(&self, region: RegionId) -> Option<Place> {
        self.lane(region).map(Place::Region)
    }

    /// The way from one region to another as a place.
    pub(crate) fn way(&self, from: RegionId, to: RegionId) -> Option<Place> {
        Some(Place::Way(self.lane(from)?, self.lane(to)?))
    }

    /// Both ways between two regions as a place.
    pub(crate) fn link(&self, one: RegionId, other: RegionId) -> Option<Place> {
        Some(Place::Link(self.lane(one)?, self.lane(other)?))
    }

    /// A device as a place.
    pub(crate) fn device(&self, id: DeviceId) -> Option<Place> {
        self.people.get(&id).map(|person| Place::Device(person.index))
    }

    /// All faults are ended, and calm is waited for.
    pub(crate) fn calm(&mut self, at: u64) {
        self.recording.calm_us = Some(at);
    }

    /// A user writes a message.
    pub(crate) fn posted(&mut self, at: u64, id: DeviceId, conversation: ConversationId, message: MessageId) {
        let Some(person) = self.people.get(&id).copied() else { return };
        let number = self.recording.messages_in_all;
        self.recording.messages_in_all += 1;
        self.written.insert(message, Written { at, device: id, home: person.lives, acknowledged: false });
        if self.written.len() > MESSAGES_TIMED_MAX {
            self.written.pop_first();
        }
        let next = self.conversations.len() + 1;
        let conversation = format!("conversation {}", self.conversations.entry(conversation).or_insert(next));
        let message = Message {
            id: message,
            conversation,
            author: person.index,
            home: person.lives,
            posted_us: at,
            acknowledged_us: None,
            left: Vec::new(),
            applied: Vec::new(),
            stable_us: None,
            shown: Vec::new(),
            shown_in_all: 0,
            ticks: Vec::new(),
        };
        self.kept.insert(message.id, Kept { number, message });
        if self.kept.len() > MESSAGES_RECORDED_MAX {
            self.thin(at);
        }
    }

    /// Forgets messages, but not those that waited longest, nor the newest, which may yet wait, nor one in so many.
    fn thin(&mut self, now: u64) {
        let slow = slowest(self.kept.values().map(|kept| &kept.message), now, MESSAGES_RECORDED_MAX / 8);
        let newest = self.recording.messages_in_all.saturating_sub(MESSAGES_RECORDED_MAX as u64 / 4);
        while newest / self.every > MESSAGES_RECORDED_MAX as u64 / 4 {
            self.every *= 2;
        }
        let every = self.every;
        self.kept.retain(|id, kept| {
            kept.number >= newest || kept.number.is_multiple_of(every) || slow.contains(id)
        });
        let kept = &self.kept;
        self.dots.retain(|_, id| kept.contains_key(id));
    }

    /// An operation of a message is durable in a region.
    pub(crate) fn applied(
        &mut self,
        at: u64,
        region: RegionId,
        partition: PartitionId,
        dot: Dot,
        id: MessageId,
    ) {
        let Some(lane) = self.lane(region) else { return };
        let Some(kept) = self.kept.get_mut(&id) else { return };
        self.dots.insert((partition, dot), id);
        if kept.message.applied.iter().all(|(known, _)| *known != lane) {
            kept.message.applied.push((lane, at));
        }
    }

    /// A frame leaves a region.
    pub(crate) fn frame_leaves(&mut self, at: u64, from: RegionId, to: RegionId, frame: &[u8]) {
        let (Some(from), Some(to)) = (self.lane(from), self.lane(to)) else { return };
        self.counted.carried(at, (from, to), frame.len() as u64);
        let frames = self.frames.entry((from, to)).or_default();
        frames.push_back((digest(frame), at));
        if frames.len() > FRAMES_RECORDED_MAX {
            frames.pop_front();
        }
    }

    /// A frame is read by the region that it was for; what it brings is told next.
    pub(crate) fn frame_arrives(&mut self, from: RegionId, to: RegionId, frame: &[u8]) {
        self.reading = None;
        let (Some(from), Some(to)) = (self.lane(from), self.lane(to)) else { return };
        let Some(frames) = self.frames.get_mut(&(from, to)) else { return };
        let digest = digest(frame);
        // A connection keeps its order: what left before this and is not here yet never arrives.
        if let Some(index) = frames.iter().position(|(known, _)| *known == digest) {
            self.reading = frames.get(index).map(|(_, left)| *left);
            frames.drain(..=index);
        }
    }

    /// A region was brought an operation by another.
    pub(crate) fn brought(&mut self, from: RegionId, to: RegionId, partition: PartitionId, dot: Dot) {
        let Some(left) = self.reading else { return };
        let (Some(from), Some(to)) = (self.lane(from), self.lane(to)) else { return };
        let Some(kept) = self.dots.get(&(partition, dot)).and_then(|id| self.kept.get_mut(id)) else {
            return;
        };
        if kept.message.left.iter().all(|(one, other, _)| (*one, *other) != (from, to)) {
            kept.message.left.push((from, to, left));
        }
    }

    /// A message's author has its first tick.
    pub(crate) fn acknowledged(&mut self, at: u64, id: DeviceId, message: MessageId) {
        if let Some(kept) = self.kept.get_mut(&message) {
            kept.message.acknowledged_us.get_or_insert(at);
        }
        let Some(written) = self.written.get_mut(&message).filter(|written| written.device == id) else {
            return;
        };
        written.acknowledged = true;
        if self.people.get(&id).is_some_and(|person| person.was_offline_since(written.at)) {
            // Its showings say nothing about the regions.
            self.written.remove(&message);
        }
    }

    /// A message's author is told that all regions have it.
    pub(crate) fn stable(&mut self, at: u64, message: MessageId) {
        if let Some(kept) = self.kept.get_mut(&message) {
            kept.message.stable_us.get_or_insert(at);
        }
    }

    /// A message is shown.
    pub(crate) fn shown(&mut self, at: u64, id: DeviceId, message: MessageId, marked: bool) {
        let Some(person) = self.people.get(&id).copied() else { return };
        if let Some(kept) = self.kept.get_mut(&message) {
            kept.message.shown_in_all += 1;
            if kept.message.shown.len() < SHOWINGS_RECORDED_MAX {
                let showing = Showing { device: person.index, region: person.lives, at_us: at, marked };
                kept.message.shown.push(showing);
            }
        }
        let Some(written) = self.written.get(&message).copied().filter(|written| written.device != id) else {
            return;
        };
        let author = self.people.get(&written.device);
        let author_was_offline =
            !written.acknowledged && author.is_some_and(|author| author.was_offline_since(written.at));
        if person.exists_since <= written.at && !author_was_offline && !person.was_offline_since(written.at) {
            self.counted.shown(at, written.home == person.lives, at - written.at);
        }
    }

    /// A message's author is told that it was delivered to a device, or read there.
    pub(crate) fn ticked(&mut self, at: u64, message: MessageId, id: DeviceId, read: bool) {
        let Some(index) = self.people.get(&id).map(|person| person.index) else { return };
        if let Some(kept) = self.kept.get_mut(&message)
            && kept.message.ticks.len() < 2 * SHOWINGS_RECORDED_MAX
        {
            kept.message.ticks.push((index, at, read));
        }
    }

    /// What was recorded up to now: the slowest messages, and of the others every so many.
    pub(crate) fn recording(&self, now: u64) -> Recording {
        let mut recording = self.recording.clone();
        recording.length_us = now;
        for index in self.open.values() {
            if let Some(fault) = recording.faults.get_mut(*index) {
                fault.ends_us = now;
            }
        }
        let slow = slowest(self.kept.values().map(|kept| &kept.message), now, SLOWEST_DRAWN_MAX);
        // The newest are all kept still; shown are as many of them as of the others.
        let even = |kept: &&Kept| kept.number.is_multiple_of(self.every) || slow.contains(&kept.message.id);
        let messages = self.kept.values().filter(even).map(|kept| &kept.message);
        recording.messages = choose_messages(messages.collect(), now);
        recording.intervals = self.counted.intervals();
        recording
    }
}

/// By which a frame is known again.
fn digest(frame: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(frame).as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::limits::MESSAGES_DRAWN_MAX;
    use crdt::PlacementId;

    const SECOND: u64 = 1_000_000;
    const AUTHOR: DeviceId = DeviceId(1);
    const READER: DeviceId = DeviceId(2);

    fn recorder() -> Recorder {
        let regions = [(RegionId(1), "here".to_owned()), (RegionId(2), "there".to_owned())];
        let mut recorder = Recorder::new(&regions, [(RegionId(1), RegionId(2), 40_000)].into_iter());
        for (device, region) in [(AUTHOR, 1), (READER, 2)] {
            let user = UserId::new(PlacementId(1), device.0);
            recorder.device_lives(0, device, user, RegionId(region));
        }
        recorder
    }

    fn is_shown_after(recorder: &mut Recorder, at: u64, id: u128, after: u64) {
        recorder.posted(at, AUTHOR, ConversationId::group(PlacementId(1), 1), MessageId(id));
        recorder.acknowledged(at + 1, AUTHOR, MessageId(id));
        recorder.shown(at + after, READER, MessageId(id), false);
        recorder.stable(at + after + 1, MessageId(id));
    }

    #[test]
    fn a_long_run_is_recorded_in_bounds_and_what_waited_longest_is_kept_from_first_to_last() {
        let mut recorder = recorder();
        let many = 3 * MESSAGES_RECORDED_MAX as u64;
        for number in 0..many {
            let late = number == 7 || number == many - 3;
            is_shown_after(
                &mut recorder,
                number * SECOND,
                u128::from(number),
                if late { 900 * SECOND } else { 50_000 },
            );
        }
        assert!(recorder.kept.len() <= MESSAGES_RECORDED_MAX);
        let recording = recorder.recording((many + 900) * SECOND);
        assert_eq!((recording.messages.len(), recording.messages_in_all), (MESSAGES_DRAWN_MAX, many));
        for late in [7, u128::from(many) - 3] {
            assert!(recording.messages.iter().any(|message| message.id == MessageId(late)), "{late}");
        }
        let samples: u64 = recording.intervals.across.iter().map(|spread| spread.samples).sum();
        assert_eq!(samples, many, "figures are of all messages");
    }

    #[test]
    fn who_had_no_network_of_their_own_is_left_out_of_the_figures_and_not_of_the_picture() {
        let mut recorder = recorder();
        is_shown_after(&mut recorder, SECOND, 1, 50_000);
        recorder.device_is_online(2 * SECOND, READER, false);
        recorder.posted(3 * SECOND, AUTHOR, ConversationId::group(PlacementId(1), 1), MessageId(2));
        recorder.device_is_online(60 * SECOND, READER, true);
        recorder.shown(61 * SECOND, READER, MessageId(2), false);
        let recording = recorder.recording(70 * SECOND);
        assert_eq!(recording.intervals.across.iter().map(|spread| spread.samples).sum::<u64>(), 1);
        assert_eq!(recording.messages[1].shown.len(), 1);
        let [offline] = recording.faults.as_slice() else { panic!("{:?}", recording.faults) };
        assert_eq!(
            (offline.place, offline.begins_us, offline.ends_us),
            (Place::Device(1), 2 * SECOND, 60 * SECOND)
        );
    }

    #[test]
    fn a_frame_that_was_lost_on_the_way_is_not_taken_for_the_next() {
        let mut recorder = recorder();
        recorder.posted(SECOND, AUTHOR, ConversationId::group(PlacementId(1), 1), MessageId(1));
        let conversation = ConversationId::group(PlacementId(1), 1);
        let replica = crdt::ReplicaId { region: RegionId(1), incarnation: crdt::Incarnation(1) };
        let dot = Dot { replica, sequence: crdt::Sequence(1) };
        recorder.applied(SECOND + 1, RegionId(1), conversation.partition(), dot, MessageId(1));
        recorder.frame_leaves(2 * SECOND, RegionId(1), RegionId(2), b"lost");
        recorder.frame_leaves(3 * SECOND, RegionId(1), RegionId(2), b"sent again");
        recorder.frame_arrives(RegionId(1), RegionId(2), b"sent again");
        recorder.brought(RegionId(1), RegionId(2), conversation.partition(), dot);
        assert_eq!(recorder.recording(4 * SECOND).messages[0].left, [(0, 1, 3 * SECOND)]);
    }
}
