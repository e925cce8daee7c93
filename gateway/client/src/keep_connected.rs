//! Connecting, being welcomed, noticing that a connection is dead, and trying again.
//!
//! What must always hold:
//! - Trying never ends. The wait is drawn from 0 to a bound that doubles from 1 s to 64 s with each failure (full jitter: a region
//!   that comes back is not met by all its clients at once), and begins anew after a welcome.
//! - A connection on which nothing was heard for three heartbeats is dead, whatever the socket believes.
//! - After each welcome the outbox of everything the line leads to is sent again: from its beginning, but that what the very replica has acknowledged goes last (`queue.rs`).

use crate::client::{Client, Step};
use crate::error::LocalRefusal;
use crate::input::{Address, ConnectionId};
use crate::item::{MalformedFrame, read_id};
use crate::limits;
use crate::line::{Line, LineKey, LineState, Question};
use crate::output::{Event, Output};
use crate::timers::Timer;
use crdt::{ConversationId, Cut, PlacementId};
use gateway_protocol::v1::{self, client_frame::Frame};
use std::collections::BTreeMap;

/// The protocol version spoken here.
const VERSION: u32 = 1;

impl LineKey {
    /// As events name it.
    pub(crate) const fn placement(self) -> Option<PlacementId> {
        match self {
            Self::Home => None,
            Self::Placement(placement) => Some(placement),
        }
    }
}

impl Client {
    pub(crate) fn open_home(&mut self, step: &mut Step<'_>) {
        if !self.lines.contains_key(&LineKey::Home) {
            self.lines.insert(LineKey::Home, Box::new(Line::new(self.config.home.clone())));
            self.connect(step, LineKey::Home);
        }
    }

    /// Begins an attempt.
    pub(crate) fn connect(&mut self, step: &mut Step<'_>, key: LineKey) {
        let connection = self.draw_connection();
        let Some(line) = self.lines.get_mut(&key) else { return };
        let Some(address) = line.next_address() else { return };
        line.connection = Some(connection);
        line.state = LineState::Connecting;
        self.timers.cancel(Timer::Reconnect(key));
        self.timers.set(Timer::Welcome(key), step.now.plus_ms(limits::WELCOME_WITHIN_MS));
        step.outputs.push(Output::Connect { connection, url: address.url });
    }

    /// The socket is open: says hello.
    pub(crate) fn greet(&mut self, step: &mut Step<'_>, connection: ConnectionId) {
        let opened = |line: &Line| line.connection == Some(connection) && line.state == LineState::Connecting;
        let Some((key, line)) = self.lines.iter_mut().find(|(_, line)| opened(line)) else { return };
        let key = *key;
        line.state = LineState::Greeting;
        let hello = self.hello();
        self.send_on(step, key, connection, hello);
        self.timers.set(Timer::Silence(key), step.now.plus_ms(limits::SILENCE_MS));
    }

    /// There is a newer token. The welcome that answers it on a live line says nothing new.
    pub(crate) fn renew(&mut self, step: &mut Step<'_>, token: String) {
        self.config.token = token;
        for key in self.live_lines() {
            let hello = self.hello();
            self.send(step, key, hello);
        }
    }

    fn hello(&self) -> Frame {
        Frame::Hello(v1::Hello {
            token: self.config.token.clone(),
            version_min: VERSION,
            version_max: VERSION,
            client: self.config.client.clone(),
        })
    }

    /// The region let the user in: everything is synced and sent again.
    pub(crate) fn welcome(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        welcome: v1::Welcome,
    ) -> Result<(), MalformedFrame> {
        let placements = read_placements(&welcome.placements, addresses)?;
        let epochs = read_placements(&welcome.placements, |placement| placement.epoch)?;
        let geo = read_placements(&welcome.placements, |placement| placement.geo)?;
        let Some(line) = self.lines.get_mut(&key) else { return Ok(()) };
        if line.state != LineState::Greeting {
            return Ok(());
        }
        if let LineKey::Placement(placement) = key {
            let told = placements.get(&placement).cloned().unwrap_or_default();
            if told.iter().all(|address| address.region != welcome.region) {
                // It lacks what others hold there, or was closed: for as long as this connection stands it would answer nothing of that placement.
                crate::sometimes::NOT_SERVED_THERE.reach();
                line.addresses = if told.is_empty() { std::mem::take(&mut line.addresses) } else { told };
                self.hang_up(step, key);
                return Ok(());
            }
        }
        line.state = LineState::Live;
        line.failures = 0;
        line.patience_ms = 0;
        line.region = Some(welcome.region.clone());
        line.region_id = Some(welcome.region_id).filter(|region_id| !region_id.is_empty());
        line.epochs = epochs;
        line.geo = geo.into_iter().filter_map(|(placement, geo)| geo.then_some(placement)).collect();
        if welcome.heartbeat_ms > 0 {
            line.heartbeat_ms = u64::from(welcome.heartbeat_ms);
        }
        self.timers.cancel(Timer::Welcome(key));
        if let Some(body_bytes) = welcome.limits.and_then(|limits| usize::try_from(limits.body_bytes).ok()) {
            self.body_bytes = if body_bytes > 0 { body_bytes } else { self.body_bytes };
        }
        self.routes.welcomed(key, &welcome.region, placements);
        step.show(Event::SignedIn { placement: key.placement(), region: welcome.region });
        if let Some(line) = self.lines.get_mut(&key) {
            // What was to be told was routed by the region before: this one may have no part in it. It is told again below, as it is led now.
            line.untold.clear();
        }
        for (id, conversation) in &mut self.conversations {
            if self.routes.leads(key, *id) {
                conversation.stable = Cut::new();
            }
        }
        self.sync_all(step, key);
        for conversation in self.outbox_of(key) {
            self.timers.cancel(Timer::Retry(conversation));
            let to = self.lines.get(&key).and_then(|line| line.standing(conversation.placement()));
            self.outbox.send_all_again(conversation, to.as_ref());
        }
        self.settle_lines(step);
        self.tell_again(key);
        self.route_questions(step);
        self.ask_waiting(step, key);
        Ok(())
    }

    /// Opens the lines that are needed beside home's, and closes those that are not any more.
    pub(crate) fn settle_lines(&mut self, step: &mut Step<'_>) {
        let needed = self.wanted.clone();
        for placement in &needed {
            if self.routes.lacks(*placement) {
                self.give_up_placement(step, *placement);
            }
        }
        let routed = |placement: &PlacementId| self.routes.line_of(*placement);
        let keys: Vec<LineKey> = needed.iter().filter_map(routed).collect();
        for key in &keys {
            let LineKey::Placement(placement) = *key else { continue };
            let addresses = self.routes.addresses(placement);
            match self.lines.get_mut(key) {
                Some(line) => line.addresses = addresses,
                None => {
                    crate::sometimes::LINE_OPENED.reach();
                    self.lines.insert(*key, Box::new(Line::new(addresses)));
                    self.connect(step, *key);
                }
            }
        }
        let idle: Vec<LineKey> =
            self.lines.keys().filter(|key| **key != LineKey::Home && !keys.contains(key)).copied().collect();
        if self.routes.are_known() {
            for key in idle {
                self.close_line(step, key);
            }
        }
    }

    /// Pages that were asked for before it was known which line leads to them.
    fn route_questions(&mut self, step: &mut Step<'_>) {
        let Some(home) = self.lines.get_mut(&LineKey::Home) else { return };
        for question in std::mem::take(&mut home.unasked) {
            let key = match &question {
                Question::Page { conversation, .. } | Question::Document { conversation } => {
                    self.routes.line_of(conversation.placement())
                }
                Question::List | Question::Receipts { .. } => None,
            };
            let key = key.unwrap_or(LineKey::Home);
            if let Some(line) = self.lines.get_mut(&key) {
                line.unasked.push_back(question);
            }
            if key != LineKey::Home {
                self.ask_waiting(step, key);
            }
        }
    }

    /// Nothing came, or nonsense did: closes the connection from this side.
    pub(crate) fn hang_up(&mut self, step: &mut Step<'_>, key: LineKey) {
        crate::sometimes::HUNG_UP.reach();
        if let Some(connection) = self.lines.get(&key).and_then(|line| line.connection) {
            step.outputs.push(Output::Disconnect { connection });
            self.lose(step, key);
        }
    }

    /// The connection is gone: the next attempt is set.
    pub(crate) fn lose(&mut self, step: &mut Step<'_>, key: LineKey) {
        self.forget_connection(key);
        let Some(line) = self.lines.get_mut(&key) else { return };
        let bound = (limits::RECONNECT_FIRST_MS << line.failures.min(6)).min(limits::RECONNECT_MOST_MS);
        // A 64-bit fraction of the bound and one: the upper half of the product is at most the bound.
        let product = u128::from(step.entropy.next_u64()) * u128::from(bound + 1);
        let drawn = u64::try_from(product >> 64).unwrap_or(bound);
        let retry_in_ms = drawn.max(line.patience_ms.min(limits::RETRY_MS_MAX));
        line.patience_ms = 0;
        line.failures = line.failures.saturating_add(1);
        if bound == limits::RECONNECT_MOST_MS {
            crate::sometimes::RECONNECTS_SELDOM.reach();
        }
        self.timers.set(Timer::Reconnect(key), step.now.plus_ms(retry_in_ms));
        step.show(Event::SignedOut { placement: key.placement(), retry_in_ms });
    }

    /// Nothing was sent for a while.
    pub(crate) fn ping(&mut self, step: &mut Step<'_>, key: LineKey) {
        if let Some(line) = self.lines.get_mut(&key) {
            line.redirects = 0;
        }
        self.send(step, key, Frame::Ping(v1::Ping {}));
    }

    /// The region sends this line elsewhere. The first time it goes there at once; a region that keeps redirecting is treated as
    /// one that keeps failing, or two of them could keep a client running in a circle.
    pub(crate) fn redirect(&mut self, step: &mut Step<'_>, key: LineKey, redirect: v1::Redirect) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        let Some(connection) = line.connection else { return };
        line.detour = Some(Address { region: redirect.region.clone(), url: redirect.url });
        line.redirects = line.redirects.saturating_add(1);
        let at_once = line.redirects == 1;
        let mark = if at_once { &crate::sometimes::REDIRECTED } else { &crate::sometimes::REDIRECTED_AGAIN };
        mark.reach();
        line.failures = line.failures.max(line.redirects - 1);
        step.outputs.push(Output::Disconnect { connection });
        step.show(Event::Redirected { region: redirect.region, reason: redirect.reason });
        if at_once {
            self.forget_connection(key);
            self.connect(step, key);
        } else {
            self.lose(step, key);
        }
    }

    /// The user moves to another region.
    pub(crate) fn move_home(&mut self, step: &mut Step<'_>, region: Address) {
        self.config.home = vec![region.clone()];
        let Some(line) = self.lines.get_mut(&LineKey::Home) else { return };
        line.addresses = vec![region];
        line.detour = None;
        line.failures = 0;
        line.redirects = 0;
        line.patience_ms = 0;
        if let Some(connection) = line.connection {
            step.outputs.push(Output::Disconnect { connection });
        }
        self.forget_connection(LineKey::Home);
        self.connect(step, LineKey::Home);
    }

    /// The user wants to take part in a placement.
    pub(crate) fn take_part(&mut self, step: &mut Step<'_>, placement: PlacementId) {
        self.wanted.insert(placement);
        self.settle_lines(step);
    }

    /// The cluster has no such placement: what was meant for it is refused.
    fn give_up_placement(&mut self, step: &mut Step<'_>, placement: PlacementId) {
        crate::sometimes::PLACEMENT_UNKNOWN.reach();
        self.wanted.remove(&placement);
        let why = LocalRefusal::UnknownPlacement(placement);
        let of = |conversation: &ConversationId| conversation.placement() == placement;
        let conversations: Vec<ConversationId> = self.outbox.conversations().filter(of).collect();
        if conversations.is_empty() {
            step.refuse(None, None, &why);
        }
        for conversation in conversations {
            for id in self.outbox.drop_unacknowledged(conversation) {
                step.refuse(Some(conversation), Some(id), &why);
            }
        }
    }

    /// What was asked on it and is not answered is asked of the home region.
    fn close_line(&mut self, step: &mut Step<'_>, key: LineKey) {
        crate::sometimes::LINE_CLOSED.reach();
        if let Some(connection) = self.lines.get(&key).and_then(|line| line.connection) {
            step.outputs.push(Output::Disconnect { connection });
        }
        self.forget_connection(key);
        self.timers.cancel(Timer::Reconnect(key));
        let unasked = self.lines.remove(&key).map(|line| line.unasked).unwrap_or_default();
        let Some(placement) = key.placement() else { return };
        if self.routes.line_of(placement) == Some(LineKey::Home) {
            step.show(Event::ServedAtHome { placement });
        }
        for question in unasked {
            // Of a placement that the cluster does not have any more the home region says so.
            self.ask(step, LineKey::Home, question);
        }
    }

    /// What hung on the connection hangs on the line again, or on nothing.
    fn forget_connection(&mut self, key: LineKey) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        let unanswered = std::mem::take(&mut line.receipts);
        line.drop_connection();
        // By what was on its way, not by what the line leads to: another line may lead there by now.
        for (request, receipt) in unanswered {
            self.receipt_unanswered(request, receipt);
        }
        for timer in [Timer::Welcome(key), Timer::Heartbeat(key), Timer::Silence(key), Timer::Sync(key)] {
            self.timers.cancel(timer);
        }
        for (id, conversation) in &mut self.conversations {
            if self.routes.leads(key, *id) {
                conversation.live = false;
                conversation.unacknowledged = 0;
                self.timers.cancel(Timer::Acknowledge(*id));
            }
        }
    }

    fn outbox_of(&self, key: LineKey) -> Vec<ConversationId> {
        self.outbox.conversations().filter(|conversation| self.routes.leads(key, *conversation)).collect()
    }
}

fn read_placements<T>(
    placements: &[v1::Placement],
    told: impl Fn(&v1::Placement) -> T,
) -> Result<BTreeMap<PlacementId, T>, MalformedFrame> {
    let read = |placement: &v1::Placement| Ok((read_id("placement", &placement.id)?, told(placement)));
    placements.iter().map(read).collect()
}

fn addresses(placement: &v1::Placement) -> Vec<Address> {
    let address = |region: &v1::Region| Address { region: region.name.clone(), url: region.url.clone() };
    placement.regions.iter().map(address).collect()
}
