//! People's devices: the client core, its connections, and what it is told.
//!
//! What must always hold: outputs are obeyed in order; the device's clock never goes back, and is nobody else's.

use crate::world::World;
use crate::world::dice::Dice;
use crate::world::layout::{START_US, address, region_at};
use crate::world::queue::{Event, Moment};
use crate::world::sessions::write_token;
use crate::world::work::{Taken, client_did};
use crdt::{DeviceId, Now, PlacementId, RegionId, UserId};
use gateway_client::{Act, Client, Config, ConnectionId, Input, Output};
use gateway_protocol::Subprotocol;
use std::collections::BTreeMap;

/// By how much jumps make a device's wall clock wrong at most, together: whoever is ahead by a day is refused, which is not what these worlds are about.
const DEVICE_WRONG_US_MAX: i64 = 23 * 3_600_000_000;

/// One device.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) user: UserId,
    pub(crate) client: Client,
    pub(crate) region: RegionId,
    pub(crate) subprotocol: Subprotocol,
    pub(crate) delay_us: u64,
    /// How far its clock is off, in microseconds.
    clock_offset_us: i64,
    /// When its deadline is looked at next, if that is set.
    alarm: Option<Moment>,
    /// Attempts to connect, to whom.
    pub(crate) dialling: BTreeMap<ConnectionId, RegionId>,
    pub(crate) online: bool,
    /// What its client draws from, and what its user does by hand.
    dice: Dice,
    /// How far its wall clock has jumped since its application started, in microseconds: ids are dated by it, nothing else is.
    pub(crate) wall_jump_us: i64,
    /// Whether it takes what arrives.
    pub(crate) reads: bool,
    /// What a byte on its way to it counts for.
    pub(crate) weight: usize,
}

/// What a device is made with.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Whose.
    pub user: UserId,
    /// Its home region.
    pub region: RegionId,
    /// Placements to take part in besides.
    pub placements: Vec<PlacementId>,
    /// Microseconds to its region, one way.
    pub delay_us: u64,
    /// How far its clock is off, in microseconds.
    pub clock_offset_us: i64,
    /// Whether it speaks JSON.
    pub json: bool,
}

impl World {
    /// A new device, which signs in.
    pub fn add_device(&mut self, id: DeviceId, new: NewDevice) {
        let NewDevice { user, region, placements, delay_us, clock_offset_us, json } = new;
        let config = Config {
            user,
            device: id,
            token: write_token(user, id),
            client: "world".to_owned(),
            home: vec![address(region)],
            placements,
        };
        let device = Device {
            user,
            client: Client::new(config),
            region,
            subprotocol: if json { Subprotocol::Json } else { Subprotocol::Proto },
            delay_us,
            clock_offset_us,
            alarm: None,
            dialling: BTreeMap::new(),
            online: true,
            dice: Dice::of(self.seed, "device", &[id.0]),
            wall_jump_us: 0,
            reads: true,
            weight: 1,
        };
        self.devices.insert(id, Box::new(device));
        self.oracle.device_exists(id, user);
        self.figures.device_lives(self.now, id, region);
        self.record_home(id);
        self.note_device(id, &address(region).region);
        self.device_step(id, Input::Start);
    }

    /// Something that its application draws.
    pub(crate) fn draw_message_salt(&mut self, id: DeviceId) -> u128 {
        self.devices.get_mut(&id).map_or(0, |device| device.dice.wide())
    }

    /// What a device's wall clock shows: a running application reads it for the ids of what it sends (`gateway/client/net/src/handle.rs`), and else goes by what
    /// has passed since its start.
    pub(crate) fn device_wall(&self, id: DeviceId) -> Now {
        let jump_us = self.devices.get(&id).map_or(0, |device| device.wall_jump_us);
        let jump_us = jump_us.clamp(-DEVICE_WRONG_US_MAX, DEVICE_WRONG_US_MAX);
        Now(self.device_time(id).0.saturating_add_signed(jump_us))
    }

    /// What a device's clock shows.
    pub(crate) fn device_time(&self, id: DeviceId) -> Now {
        let offset = self.devices.get(&id).map_or(0, |device| device.clock_offset_us);
        Now((START_US + self.now).saturating_add_signed(offset))
    }

    /// Its user does something.
    pub fn act(&mut self, id: DeviceId, act: Act) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        if let Act::Move { region } = &act
            && let Some(region) = region_at(&region.url)
        {
            device.region = region;
            self.figures.device_lives(self.now, id, region);
            self.record_home(id);
        }
        self.trace.tell(self.now, || format!("{id} does {act:?}"));
        self.oracle.acts(self.now, id, &act);
        self.figures.acts(self.now, id, &act);
        self.note_act(id, &act);
        self.record_act(id, &act);
        self.device_step(id, Input::Act(act));
    }

    /// One step of a client, carried out.
    pub(crate) fn device_step(&mut self, id: DeviceId, input: Input) {
        let now = self.device_time(id);
        let Some(device) = self.devices.get_mut(&id) else { return };
        let taken = Taken::by_client(&input);
        let outputs = device.client.step(now, device.dice.entropy(), input);
        self.work.step(taken, client_did(&outputs));
        self.oracle.hold(self.now, id, &device.client.held());
        for output in outputs {
            match output {
                Output::Connect { connection, url } => {
                    let Some(device) = self.devices.get_mut(&id) else { return };
                    if let Some(region) = region_at(&url) {
                        device.dialling.insert(connection, region);
                        self.dial_region(id, connection);
                    }
                }
                Output::Disconnect { connection } => {
                    if let Some(device) = self.devices.get_mut(&id) {
                        device.dialling.remove(&connection);
                    }
                    self.line_closed_by_client(id, connection);
                }
                Output::Send { connection, frame } => self.send_up(id, connection, &frame),
                Output::Show(event) => {
                    self.trace.tell(self.now, || format!("{id} is told {event:?}"));
                    self.figures.told(self.now, id, &event);
                    self.note_said(id, &event);
                    self.record_told(id, &event);
                    self.people.is_told(id, &event);
                    self.oracle.told(self.now, id, event);
                }
            }
        }
        self.set_device_alarm(id);
    }

    fn set_device_alarm(&mut self, id: DeviceId) {
        let now = self.device_time(id);
        let Some(device) = self.devices.get_mut(&id) else { return };
        let Some(deadline) = device.client.deadline() else { return };
        let at = self.now + deadline.0.saturating_sub(now.0);
        if device.alarm.is_none_or(|alarm| alarm > at) {
            device.alarm = Some(at);
            self.queue.put(at, Event::DeviceTimer(id));
        }
    }

    /// A deadline has come, or has moved meanwhile.
    pub(crate) fn device_timer(&mut self, id: DeviceId) {
        let (now, at) = (self.device_time(id), self.now);
        let Some(device) = self.devices.get_mut(&id) else { return };
        device.alarm = device.alarm.filter(|alarm| *alarm > at);
        if device.client.deadline().is_some_and(|deadline| deadline <= now) {
            self.device_step(id, Input::Timer);
        } else {
            self.set_device_alarm(id);
        }
    }

    /// A device loses its network, or has it again.
    pub fn set_online(&mut self, id: DeviceId, online: bool) {
        self.trace.tell(self.now, || format!("{id} online: {online}"));
        let Some(device) = self.devices.get_mut(&id) else { return };
        device.online = online;
        self.figures.device_is_online(self.now, id, online);
        self.record_online(id, online);
        if !online {
            for line in self.lines.all_of(id) {
                self.break_line(line);
            }
        }
    }
}
