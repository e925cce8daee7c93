//! The network between devices and regions: a connection each, in order and reliable until it ends, as TCP gives it (`wire.rs`).
//!
//! A device's network has a [`Profile`], or its own delay alone. A connection that breaks loses what is on its way, and each end notices in its own time: so a region may still be talking to a connection
//! whose device has long come back on another one. A device may read slowly; what waits for it counts, weighed, as unsent.
//!
//! What must always hold: what an end has noticed to be over is never heard again.

use crate::checks::world::Checker;
use crate::world::World;
use crate::world::dice::Dice;
use crate::world::queue::{Event, Life, LineId, Moment};
use crate::world::wire::{Conditions, Transport, Wire};
use crdt::DeviceId;
use gateway::input::Input as SessionInput;
use gateway::limits::{UNSENT_BYTES_CLOSE, UNSENT_BYTES_MAX, UNSENT_BYTES_RESUME};
use gateway_client::{ConnectionId, Input as ClientInput};
use gateway_protocol::v1::ClientFrame;
use gateway_protocol::{Payload, Subprotocol};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a device's network is like. Round trips and bandwidths are those of WebPageTest's connectivity profiles (`connectivity.ini.sample`: FIOS, 4G, 3G, 2G). They
/// name no losses, since mobile link layers repeat what is lost on the air; what is left is set here: none, 0.1 %, 0.5 % and 1 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// At home: 20 Mbit/s down, 5 up, 4 ms there and back.
    Lan,
    /// 9 Mbit/s each way, 170 ms.
    #[serde(rename = "4g")]
    FourG,
    /// 1.6 Mbit/s down, 768 kbit/s up, 300 ms.
    #[serde(rename = "3g")]
    ThreeG,
    /// 280 kbit/s down, 256 up, 800 ms.
    #[serde(rename = "2g")]
    TwoG,
}

impl Profile {
    /// What the way from the device to its region is like.
    #[must_use]
    pub const fn up(self) -> Conditions {
        let (delay_us, kib_us, lost_per_million) = match self {
            Self::Lan => (2_000, 1_638, 0),
            Self::FourG => (85_000, 910, 1_000),
            Self::ThreeG => (150_000, 10_667, 5_000),
            Self::TwoG => (400_000, 32_000, 10_000),
        };
        Self::mobile(delay_us, kib_us, lost_per_million)
    }

    /// What the way back is like.
    #[must_use]
    pub const fn down(self) -> Conditions {
        let (delay_us, kib_us, lost_per_million) = match self {
            Self::Lan => (2_000, 410, 0),
            Self::FourG => (85_000, 910, 1_000),
            Self::ThreeG => (150_000, 5_120, 5_000),
            Self::TwoG => (400_000, 29_257, 10_000),
        };
        Self::mobile(delay_us, kib_us, lost_per_million)
    }

    const fn mobile(delay_us: u64, kib_us: u64, lost_per_million: u32) -> Conditions {
        Conditions {
            delay_us,
            jitter_us: delay_us / 4,
            late_per_million: 0,
            late_us: 0,
            overtaken_per_million: 0,
            lost_per_million,
            doubled_per_million: 0,
            kib_us,
            queue_bytes: 0,
        }
    }
}

/// One connection of a device.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) device: DeviceId,
    pub(crate) connection: ConnectionId,
    life: Life,
    subprotocol: Subprotocol,
    up: VecDeque<(Moment, Payload)>,
    down: VecDeque<(Moment, Payload, usize)>,
    last_up: Moment,
    last_down: Moment,
    wires: (Wire, Wire),
    /// When each end notices that it is over.
    dice: Dice,
    unsent_bytes: usize,
    told_bytes: usize,
    client_open: bool,
    session_open: bool,
    /// Nothing arrives any more.
    broken: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: BTreeMap<LineId, Line>,
    by_device: BTreeSet<(DeviceId, ConnectionId, LineId)>,
    next: u64,
    /// Devices whose network has a profile.
    profiles: BTreeMap<DeviceId, Profile>,
}

impl Line {
    /// How long there and back takes without waiting.
    const fn round_trip_us(&self) -> u64 {
        self.wires.0.conditions().delay_us + self.wires.1.conditions().delay_us
    }
}

impl Lines {
    pub(crate) fn profile(&self, device: DeviceId) -> Option<Profile> {
        self.profiles.get(&device).copied()
    }

    fn forget_if_over(&mut self, id: LineId) {
        if self.lines.get(&id).is_some_and(|line| !line.client_open && !line.session_open)
            && let Some(line) = self.lines.remove(&id)
        {
            self.by_device.remove(&(line.device, line.connection, id));
        }
    }

    fn of(&self, device: DeviceId, connection: ConnectionId) -> Option<LineId> {
        let all = (device, connection, LineId(0))..=(device, connection, LineId(u64::MAX));
        self.by_device.range(all).next().map(|(_, _, id)| *id)
    }

    /// The devices that are connected to a process.
    pub(crate) fn devices_at(&self, life: Life) -> Vec<DeviceId> {
        let lines = self.lines.values().filter(|line| line.life == life && line.session_open);
        lines.map(|line| line.device).collect()
    }

    /// The number of a connection that has no device.
    pub(crate) const fn reserve(&mut self) -> LineId {
        self.next += 1;
        LineId(self.next - 1)
    }

    /// The device that a connection is of, and which of its connections it is.
    pub(crate) fn whose(&self, id: LineId) -> Option<(DeviceId, ConnectionId)> {
        self.lines.get(&id).map(|line| (line.device, line.connection))
    }

    /// What is spoken on a connection, while there is one.
    pub(crate) fn subprotocol(&self, line: LineId) -> Option<Subprotocol> {
        self.lines.get(&line).map(|line| line.subprotocol)
    }

    /// Whose process holds the other end.
    pub(crate) fn life_of(&self, line: LineId) -> Option<Life> {
        Some(self.lines.get(&line)?.life)
    }

    /// The connections that a device has.
    pub(crate) fn all_of(&self, device: DeviceId) -> Vec<LineId> {
        let is_open = |id: &LineId| self.lines.get(id).is_some_and(|line| line.client_open);
        let mut lines: Vec<LineId> = self.with(device).filter(is_open).collect();
        lines.sort();
        lines
    }

    fn with(&self, device: DeviceId) -> impl Iterator<Item = LineId> {
        let (first, last) = (ConnectionId(0), ConnectionId(u64::MAX));
        let all = (device, first, LineId(0))..=(device, last, LineId(u64::MAX));
        self.by_device.range(all).map(|(_, _, id)| *id)
    }
}

/// Which side of its limits an amount of unsent bytes lies on.
const fn level(bytes: usize) -> u8 {
    (bytes > UNSENT_BYTES_RESUME) as u8
        + (bytes > UNSENT_BYTES_MAX) as u8
        + (bytes > UNSENT_BYTES_CLOSE) as u8
}

impl World {
    /// A client opens a connection.
    pub(crate) fn dial_region(&mut self, device: DeviceId, connection: ConnectionId) {
        // TCP, TLS 1.3 and the upgrade take a round trip each.
        let (up, down) = self.line_conditions(device);
        let mut dice = Dice::of(self.seed, "dial", &[device.0, connection.0]);
        let after = 3 * (up.delay_us + down.delay_us) + dice.between(2_000, 40_000);
        self.queue.put(self.now + after, Event::LineDialled(device, connection));
    }

    /// Gives a device's network a profile, or takes it away. Its connections have it from now on.
    pub fn set_profile(&mut self, id: DeviceId, profile: Option<Profile>) {
        match profile {
            Some(profile) => self.lines.profiles.insert(id, profile),
            None => self.lines.profiles.remove(&id),
        };
        let (up, down) = self.line_conditions(id);
        for line in self.lines.with(id).collect::<Vec<_>>() {
            let Some(line) = self.lines.lines.get_mut(&line) else { continue };
            line.wires.0.set(up);
            line.wires.1.set(down);
        }
    }

    /// What the ways from and to a device are like.
    fn line_conditions(&self, id: DeviceId) -> (Conditions, Conditions) {
        let delay_us = self.devices.get(&id).map_or(0, |device| device.delay_us);
        let plain = Conditions { delay_us, jitter_us: delay_us / 4, ..Conditions::default() };
        self.lines.profile(id).map_or((plain, plain), |profile| (profile.up(), profile.down()))
    }

    /// It comes through, or fails.
    pub(crate) fn line_dialled(&mut self, id: DeviceId, connection: ConnectionId) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        let Some(region) = device.dialling.remove(&connection) else { return };
        let (online, subprotocol) = (device.online, device.subprotocol);
        let Some(life) = self.life_of(region).filter(|_| online) else {
            self.device_step(id, ClientInput::Disconnected(connection));
            return;
        };
        let (up, down) = self.line_conditions(id);
        let mut dice = Dice::of(self.seed, "line", &[id.0, connection.0]);
        let line = LineId(self.lines.next);
        self.lines.next += 1;
        self.lines.by_device.insert((id, connection, line));
        self.lines.lines.insert(
            line,
            Line {
                device: id,
                connection,
                life,
                subprotocol,
                up: VecDeque::new(),
                down: VecDeque::new(),
                last_up: self.now,
                last_down: self.now,
                wires: (
                    Wire::new(up, Transport::Tcp, dice.split()),
                    Wire::new(down, Transport::Tcp, dice.split()),
                ),
                dice,
                unsent_bytes: 0,
                told_bytes: 0,
                client_open: true,
                session_open: true,
                broken: false,
            },
        );
        if self.lies(life.region) {
            self.oracle.misleads(id);
        }
        self.open_session(life, line);
        self.device_step(id, ClientInput::Connected(connection));
    }

    /// A connection does not stand any more.
    fn serves_no_more(&mut self, id: LineId) {
        if let Some(line) = self.lines.lines.get(&id) {
            self.oracle.is_not_served(line.device, line.life.region);
        }
    }

    /// A device sends.
    pub(crate) fn send_up(&mut self, device: DeviceId, connection: ConnectionId, frame: &ClientFrame) {
        let Some(id) = self.lines.of(device, connection) else { return };
        let Some(line) = self.lines.lines.get_mut(&id) else { return };
        let payload = line.subprotocol.encode_client(frame);
        self.oracle.left_device(self.now, line.life.region, frame, &payload);
        self.trace.add(payload.bytes());
        if line.broken || !line.client_open {
            return;
        }
        let round_trip_us = line.round_trip_us();
        let passage = line.wires.0.send(self.now, payload.bytes().len(), round_trip_us);
        line.last_up = line.last_up.max(passage.arrives);
        line.up.push_back((line.last_up, payload));
        self.queue.put(line.last_up, Event::FrameUp(id));
    }

    /// It reaches the region.
    pub(crate) fn frame_up(&mut self, id: LineId) {
        let Some(line) = self.lines.lines.get_mut(&id) else { return };
        if line.broken || line.up.front().is_none_or(|(at, _)| *at > self.now) {
            return;
        }
        let Some((_, payload)) = line.up.pop_front() else { return };
        let (life, open) = (line.life, line.session_open);
        let frame = line.subprotocol.decode_client(&payload);
        if open {
            self.session_hears(life, id, SessionInput::Frame(frame));
        }
    }

    /// A session sends.
    pub(crate) fn send_down(&mut self, life: Life, id: LineId, payload: Payload) {
        let Some(device) = self.lines.lines.get(&id).map(|line| line.device) else { return };
        let weight = self.devices.get(&device).map_or(1, |device| device.weight);
        let Some(line) = self.lines.lines.get_mut(&id) else { return };
        self.trace.add(payload.bytes());
        let weighs = payload.bytes().len() * weight;
        line.unsent_bytes += weighs;
        if line.broken || !line.client_open {
            // It goes into the void, where it is soon taken for sent.
            line.unsent_bytes -= weighs;
            return;
        }
        let round_trip_us = line.round_trip_us();
        let passage = line.wires.1.send(self.now, payload.bytes().len(), round_trip_us);
        line.last_down = line.last_down.max(passage.arrives);
        line.down.push_back((line.last_down, payload, weighs));
        self.queue.put(line.last_down, Event::FrameDown(id));
        self.tell_unsent(life, id);
    }

    fn tell_unsent(&mut self, life: Life, id: LineId) {
        let Some(line) = self.lines.lines.get_mut(&id).filter(|line| line.session_open) else { return };
        let bytes = line.unsent_bytes;
        if level(line.told_bytes) != level(bytes) {
            line.told_bytes = bytes;
            self.session_hears(life, id, SessionInput::Unsent(bytes));
        }
    }

    /// A frame reaches the device, if it reads.
    pub(crate) fn frame_down(&mut self, id: LineId) {
        let Some(line) = self.lines.lines.get_mut(&id) else { return };
        let reads = self.devices.get(&line.device).is_some_and(|device| device.reads);
        if !reads || line.broken || line.down.front().is_none_or(|(at, ..)| *at > self.now) {
            return;
        }
        let Some((_, payload, weighs)) = line.down.pop_front() else { return };
        line.unsent_bytes -= weighs;
        let (device, connection, life, open) = (line.device, line.connection, line.life, line.client_open);
        let frame = line.subprotocol.decode_server(&payload);
        self.tell_unsent(life, id);
        match frame {
            Ok(frame) if open => self.device_step(device, ClientInput::Frame { connection, frame }),
            Ok(_) => {}
            Err(error) => self.oracle.violate(self.now, Checker::Understood, error.to_string()),
        }
    }

    /// A device that was slow reads again.
    pub(crate) fn reads_again(&mut self, id: DeviceId) {
        let now = self.now;
        let Some(device) = self.devices.get_mut(&id) else { return };
        (device.reads, device.weight) = (true, 1);
        for line in self.lines.all_of(id) {
            let Some(line_state) = self.lines.lines.get(&line) else { continue };
            for (at, ..) in &line_state.down {
                self.queue.put((*at).max(now), Event::FrameDown(line));
            }
        }
    }

    /// The client closes a connection.
    pub(crate) fn line_closed_by_client(&mut self, device: DeviceId, connection: ConnectionId) {
        let Some(id) = self.lines.of(device, connection) else { return };
        self.serves_no_more(id);
        let Some(line) = self.lines.lines.get_mut(&id) else { return };
        line.client_open = false;
        line.down.clear();
        let at = line.last_up.max(self.now + line.wires.0.conditions().delay_us) + 1;
        self.queue.put(at, Event::SessionLost(id));
        self.lines.forget_if_over(id);
    }

    /// The session closed it; what it sent before still arrives.
    pub(crate) fn line_closed_by_region(&mut self, id: LineId) {
        self.serves_no_more(id);
        let Some(line) = self.lines.lines.get_mut(&id) else { return };
        line.session_open = false;
        // A device that does not read learns of it all the same: its buffer is thrown away with the connection.
        self.queue.put(line.last_down + 1, Event::LineLost(id));
        self.lines.forget_if_over(id);
    }

    /// The region's process is gone.
    pub(crate) fn line_broken_by_region(&mut self, id: LineId) {
        self.serves_no_more(id);
        let Some(line) = self.lines.lines.get_mut(&id) else { return };
        let dice = &mut line.dice;
        let after = if dice.one_in(3) { dice.below(5_000_000) } else { dice.below(100_000) };
        line.session_open = false;
        line.broken = true;
        self.queue.put(self.now + after, Event::LineLost(id));
        self.lines.forget_if_over(id);
    }

    /// A connection breaks: what is on its way is lost, and each end notices in its own time.
    pub(crate) fn break_line(&mut self, id: LineId) {
        self.serves_no_more(id);
        let Some(line) = self.lines.lines.get_mut(&id) else { return };
        let after = (line.dice.below(2_000_000), line.dice.below(8_000_000));
        line.broken = true;
        self.queue.put(self.now + after.0, Event::LineLost(id));
        self.queue.put(self.now + after.1, Event::SessionLost(id));
    }

    /// The device notices.
    pub(crate) fn line_lost(&mut self, id: LineId) {
        self.serves_no_more(id);
        let Some(line) = self.lines.lines.get_mut(&id).filter(|line| line.client_open) else { return };
        line.client_open = false;
        let (device, connection) = (line.device, line.connection);
        self.lines.forget_if_over(id);
        self.device_step(device, ClientInput::Disconnected(connection));
    }

    /// The region notices.
    pub(crate) fn session_lost(&mut self, id: LineId) {
        self.serves_no_more(id);
        let Some(line) = self.lines.lines.get_mut(&id).filter(|line| line.session_open) else { return };
        line.session_open = false;
        let life = line.life;
        self.lines.forget_if_over(id);
        self.drop_session(life, id);
    }
}
