//! A small world of clients, regions and unreliable connections, and an independent record of what was wished and shown.
//!
//! What must always hold: whatever the world does, the checks in [`World::show`] hold at every moment, and [`World::settled`] holds
//! once it has been left alone for a while.

mod region;

use crdt::{ConversationId, DeviceId, MessageId, Now, PlacementId, UserId};
use gateway_client::{Act, Address, Client, Config, ConnectionId, Content, Event, Input, Output, Place};
use gateway_protocol::v1;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use region::{Region, Session};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

type Identity = (UserId, MessageId);

/// One client with its connection, and what it was shown.
pub struct Device {
    pub user: UserId,
    client: Client,
    region: usize,
    session: Option<(ConnectionId, usize, Session)>,
    to_client: VecDeque<(ConnectionId, v1::ServerFrame)>,
    to_region: VecDeque<v1::ClientFrame>,
    /// What was wished, in order, each with all that had been shown when it was.
    sent: Vec<(MessageId, BTreeSet<Identity>)>,
    acknowledged: BTreeSet<MessageId>,
    stable: BTreeSet<MessageId>,
    ticks: BTreeSet<(MessageId, UserId, bool)>,
    shown: BTreeMap<Identity, Place>,
    marked: BTreeSet<Identity>,
}

pub struct World {
    pub now: Now,
    entropy: ChaCha8Rng,
    regions: Vec<Region>,
    pub devices: Vec<Device>,
    conversation: ConversationId,
    /// What a region acknowledged and lost: its device may take a receipt of a later one for one of it.
    lost: BTreeSet<MessageId>,
}

impl World {
    pub fn new(devices: u64, regions: u16) -> Self {
        let placement = PlacementId(1);
        let conversation = ConversationId::group(placement, 7);
        let device = |number| {
            let user = UserId::new(placement, number);
            let config = Config {
                user,
                device: DeviceId(1),
                token: user.to_string(),
                client: "storm".into(),
                home: vec![address(0)],
                placements: vec![placement],
            };
            Device {
                user,
                client: Client::new(config),
                region: 0,
                session: None,
                to_client: VecDeque::new(),
                to_region: VecDeque::new(),
                sent: Vec::new(),
                acknowledged: BTreeSet::new(),
                stable: BTreeSet::new(),
                ticks: BTreeSet::new(),
                shown: BTreeMap::new(),
                marked: BTreeSet::new(),
            }
        };
        let mut world = Self {
            now: Now(1_700_000_000_000_000),
            entropy: ChaCha8Rng::seed_from_u64(1),
            regions: (1..=regions).map(|number| Region::new(number, conversation)).collect(),
            devices: (1..=devices).map(device).collect(),
            conversation,
            lost: BTreeSet::new(),
        };
        for device in 0..world.devices.len() {
            world.step(device, Input::Start);
        }
        world
    }

    fn step(&mut self, device: usize, input: Input) {
        self.now = Now(self.now.0 + 10);
        let outputs = self.devices[device].client.step(self.now, &mut self.entropy, input);
        for output in outputs {
            match output {
                Output::Connect { connection, url } => self.connect(device, connection, &url),
                Output::Disconnect { connection } => self.cut(device, Some(connection)),
                Output::Send { connection, frame } => {
                    let open = self.devices[device].session.as_ref();
                    assert_eq!(open.map(|(open, ..)| *open), Some(connection), "sends only on what is open");
                    self.devices[device].to_region.push_back(frame);
                }
                Output::Show(event) => self.show(device, event),
            }
        }
    }

    fn connect(&mut self, device: usize, connection: ConnectionId, url: &str) {
        self.cut(device, None);
        let region = self.regions.iter().position(|region| url == format!("ws://{}", region.name)).unwrap();
        self.devices[device].session = Some((connection, region, Session::default()));
        // Connected comes with the first frame's turn: an empty frame stands for it.
        self.devices[device].to_client.push_back((connection, v1::ServerFrame::default()));
    }

    /// Both directions are lost.
    fn cut(&mut self, device: usize, only: Option<ConnectionId>) {
        let device = &mut self.devices[device];
        let is_it = |(open, ..): &(ConnectionId, usize, Session)| only.is_none_or(|only| only == *open);
        if device.session.as_ref().is_some_and(is_it) {
            device.session = None;
            device.to_client.clear();
            device.to_region.clear();
        }
    }

    /// The network fails, and the client is told.
    pub fn fail(&mut self, device: usize) {
        if let Some((connection, ..)) = self.devices[device].session.clone() {
            self.cut(device, None);
            self.step(device, Input::Disconnected(connection));
        }
    }

    pub fn send(&mut self, device: usize) {
        let number = self.devices[device].sent.len() as u128;
        let message = MessageId::new(self.now.ms(), number);
        let causes = self.devices[device].shown.keys().copied().collect();
        self.devices[device].sent.push((message, causes));
        let body = format!("{device}/{number}").into();
        let conversation = self.conversation;
        self.step(
            device,
            Input::Act(Act::Send { conversation, message: Some(message), body, reply_to: None }),
        );
    }

    pub fn mark_read(&mut self, device: usize) {
        self.step(device, Input::Act(Act::MarkRead { conversation: self.conversation }));
    }

    pub fn move_to(&mut self, device: usize, region: usize) {
        let region = region % self.regions.len();
        self.devices[device].region = region;
        self.step(device, Input::Act(Act::Move { region: address(region) }));
    }

    /// One frame reaches the client.
    pub fn reach_client(&mut self, device: usize) -> bool {
        let Some((connection, frame)) = self.devices[device].to_client.pop_front() else { return false };
        let input = if frame == v1::ServerFrame::default() {
            Input::Connected(connection)
        } else {
            Input::Frame { connection, frame }
        };
        self.step(device, input);
        true
    }

    /// One frame reaches the region, which answers, and streams what it can.
    pub fn reach_region(&mut self, device: usize) -> bool {
        let placements = self.placements();
        let this = &mut self.devices[device];
        let Some((connection, region, session)) = &mut this.session else { return false };
        let region = &mut self.regions[*region];
        let frame = this.to_region.pop_front();
        let had = frame.is_some();
        let answers = frame.map(|frame| region.answer(session, self.now.ms(), &placements, frame));
        let mut frames = answers.unwrap_or_default();
        frames.extend(region.stream(session));
        let any = had || !frames.is_empty();
        this.to_client.extend(frames.into_iter().map(|frame| (*connection, frame)));
        any
    }

    /// One region takes up to `count` entries of another's log, in its order.
    pub fn replicate(&mut self, from: usize, to: usize, count: usize) -> bool {
        let (from, to) = (from % self.regions.len(), to % self.regions.len());
        let lacks = |entry: &&region::Entry| !self.regions[to].applied.covers(entry.dot);
        let entries: Vec<region::Entry> =
            self.regions[from].log.iter().filter(lacks).take(count).cloned().collect();
        let any = !entries.is_empty();
        for entry in entries {
            self.regions[to].apply(entry);
        }
        for (user, (delivered, read)) in self.regions[from].receipts.clone() {
            let receipt = self.regions[to].receipts.entry(user).or_default();
            receipt.0.join(&delivered);
            receipt.1.join(&read);
        }
        let applied = self.regions.iter().map(|region| region.applied.clone());
        let stable = applied.reduce(|one, other| one.meet(&other)).unwrap();
        for region in &mut self.regions {
            region.stable.clone_from(&stable);
        }
        any
    }

    pub fn be_busy(&mut self, region: usize) {
        let region = region % self.regions.len();
        self.regions[region].busy += 1;
    }

    /// One region is alone, and put back to an old copy of its store behind its owner's back.
    pub fn put_back(&mut self, region: usize, count: usize) {
        let region = region % self.regions.len();
        for device in 0..self.devices.len() {
            if self.devices[device].session.as_ref().is_some_and(|(_, at, _)| *at == region) {
                self.fail(device);
            }
        }
        let shown = |entry: &region::Entry| {
            let identity = (entry.sender, entry.message);
            self.devices.iter().any(|device| device.shown.contains_key(&identity))
        };
        let (before, rest) = self.regions.split_at_mut(region);
        let (this, after) = rest.split_first_mut().unwrap();
        let others = || before.iter().chain(after.iter());
        let was_given =
            |entry: &region::Entry| shown(entry) || others().any(|other| other.applied.covers(entry.dot));
        self.lost.extend(this.put_back(count, was_given));
    }

    /// The client's next deadline comes.
    pub fn pass_time(&mut self, device: usize) {
        if let Some(deadline) = self.devices[device].client.deadline() {
            self.now = self.now.max(deadline);
            self.step(device, Input::Timer);
        }
    }

    fn placements(&self) -> Vec<v1::Placement> {
        let region = |number| v1::Region { name: address(number).region, url: address(number).url };
        let regions = (0..self.regions.len()).map(region).collect();
        vec![v1::Placement { id: "p1".into(), name: "global".into(), regions, epoch: 1, geo: false }]
    }

    /// The record, and what must hold at every moment.
    fn show(&mut self, device: usize, event: Event) {
        let missing = |this: &Device, identity: &Identity| {
            let author = self.devices.iter().find(|author| author.user == identity.0).unwrap();
            let place = author.sent.iter().position(|(message, _)| *message == identity.1).unwrap();
            let mut missing: Vec<Identity> = author.sent[place]
                .1
                .iter()
                .filter(|cause| !this.shown.contains_key(cause))
                .copied()
                .collect();
            missing.extend(
                author.sent[..place]
                    .iter()
                    .map(|(id, _)| (identity.0, *id))
                    .filter(|id| !this.shown.contains_key(id)),
            );
            missing
        };
        let this = &self.devices[device];
        match event {
            Event::Shown { item, marked, .. } => {
                let identity = (item.sender, item.message);
                let missing = missing(this, &identity);
                assert!(matches!(item.content, Content::Post { .. }));
                assert!(marked || missing.is_empty(), "{identity:?} was shown before its causes {missing:?}");
                assert!(
                    missing.iter().all(|cause| cause.0 != item.sender),
                    "one sender's messages keep their order"
                );
                let this = &mut self.devices[device];
                assert!(this.shown.insert(identity, item.place).is_none(), "{identity:?} was shown twice");
                if marked {
                    this.marked.insert(identity);
                }
            }
            Event::MarkCleared { sender, message, .. } => {
                let missing = missing(this, &(sender, message));
                assert!(missing.is_empty(), "the mark went before {missing:?} had come");
                assert!(self.devices[device].marked.remove(&(sender, message)));
            }
            Event::Moved { sender, message, from, to, .. } => {
                assert!(to < from);
                assert_eq!(self.devices[device].shown.insert((sender, message), to), Some(from));
            }
            Event::Acknowledged { command, place, .. } => {
                assert!(
                    place.is_some_and(|place| self
                        .regions
                        .iter()
                        .any(|region| region.applied.covers(place.dot)))
                );
                assert!(
                    self.devices[device].acknowledged.insert(command),
                    "{command} was acknowledged twice"
                );
            }
            Event::Stable { command, .. } => {
                assert!(this.acknowledged.contains(&command));
                let held = |region: &Region| region.log.iter().any(|entry| entry.message == command);
                assert!(self.regions.iter().all(held), "{command} is not in every region");
                assert!(self.devices[device].stable.insert(command), "{command} became stable twice");
            }
            Event::Delivered { message, user, .. } | Event::Read { message, user, .. } => {
                let reader = self.devices.iter().find(|reader| reader.user == user).unwrap();
                let is_shown = reader.shown.contains_key(&(this.user, message));
                assert!(is_shown || self.lost.contains(&message), "a receipt without its message");
                let read = matches!(event, Event::Read { .. });
                assert!(self.devices[device].ticks.insert((message, user, read)), "ticked twice");
            }
            Event::Repeated { message, place, .. } => {
                let mut entries = self.regions.iter().flat_map(|region| &region.log);
                assert!(entries.any(|entry| entry.message == message && entry.dot == place.dot));
            }
            Event::SignedIn { .. } | Event::SignedOut { .. } | Event::CaughtUp { .. } => {}
            other => panic!("nothing here is refused or redirected: {other:?}"),
        }
    }

    /// The world is left alone until nothing changes any more: heartbeats apart, for five rounds.
    pub fn settle(&mut self) {
        let mut calm = 0;
        for _ in 0..400 {
            let before = self.progress();
            for device in 0..self.devices.len() {
                while self.reach_region(device) | self.reach_client(device) {}
                self.pass_time(device);
            }
            for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)] {
                self.replicate(from, to, usize::MAX);
            }
            let unstable = self.devices.iter().any(|device| device.client.unstable() > 0);
            calm = if unstable || self.progress() != before { 0 } else { calm + 1 };
            if calm == 5 {
                return;
            }
        }
        panic!("the world does not settle:\n{}", self.devices[0].client);
    }

    fn progress(&self) -> usize {
        let shown =
            self.devices.iter().map(|device| device.shown.len() + device.ticks.len() + device.stable.len());
        let applied = self.regions.iter().map(|region| region.log.len());
        shown.chain(applied).sum()
    }

    /// What must hold in the end.
    pub fn settled(&self) {
        let wished: BTreeSet<Identity> =
            self.devices.iter().flat_map(|d| d.sent.iter().map(|(id, _)| (d.user, *id))).collect();
        let mut order: BTreeMap<Identity, Place> = BTreeMap::new();
        for entry in self.regions.iter().flat_map(|region| &region.log) {
            let place = Place { hlc: entry.hlc, dot: entry.dot };
            let lowest = order.entry((entry.sender, entry.message)).or_insert(place);
            *lowest = place.min(*lowest);
        }
        assert_eq!(
            order.keys().copied().collect::<BTreeSet<_>>(),
            wished,
            "what is in the regions was wished"
        );
        for device in &self.devices {
            assert_eq!(device.shown, order, "every device shows everything, in one order");
            assert!(device.marked.is_empty(), "every mark goes once everything is there");
            let own: BTreeSet<MessageId> = device.sent.iter().map(|(id, _)| *id).collect();
            assert_eq!(device.acknowledged, own);
            assert_eq!(device.stable, own);
            assert_eq!(device.client.unstable(), 0);
            for (reader, message) in
                self.devices.iter().flat_map(|reader| own.iter().map(move |id| (reader.user, *id)))
            {
                let ticked = device.ticks.contains(&(message, reader, false));
                assert!(ticked || reader == device.user, "{message} was not delivered to {reader}");
            }
        }
    }
}

fn address(region: usize) -> Address {
    let region = format!("region-{}", region + 1);
    Address { url: format!("ws://{region}"), region }
}
