//! A line: the standing wish to be connected to one region, through any number of connections.
//!
//! There is one for the home region and one for each further placement that the home region does not serve. What a line is
//! waiting for is kept here; what it decides is in `keep_connected.rs`.
//!
//! What must always hold: at most one connection a line at any time; a request number is answered by at most one table.

use crate::input::{Address, ConnectionId, PageFrom};
use crate::limits;
use crdt::{ConversationId, Now, PlacementId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LineKey {
    /// To the home region.
    Home,
    /// To a region of a placement that the home region does not serve.
    Placement(PlacementId),
}

/// How far a line has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineState {
    /// Not connected; the reconnect timer is set.
    Waiting,
    /// A socket is being opened.
    Connecting,
    /// The hello has gone out.
    Greeting,
    /// Welcomed.
    Live,
}

/// A question that waits for an answer; asked again when the connection is lost meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// Messages of the past.
    Page { conversation: ConversationId, from: PageFrom, limit: u32 },
    /// The conversations.
    List,
    /// What a conversation says of itself.
    Document { conversation: ConversationId },
    /// All receipts of a conversation, after a time of not hearing any.
    Receipts { conversation: ConversationId },
}

/// What a region is told about a conversation's cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Receipt {
    /// The device holds everything up to it.
    Delivered,
    /// The user has read everything up to it.
    Read,
}

/// What answers on a line for one placement. In one epoch a region is one replica there, so two that are equal, of an epoch above 0, are one replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The id of the region.
    pub(crate) region_id: String,
    /// In which it stands; 0 if it does not say.
    pub(crate) epoch: u64,
}

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Addresses tried in turn.
    pub(crate) addresses: Vec<Address>,
    /// Where a redirect pointed: tried once, before them.
    pub(crate) detour: Option<Address>,
    /// How far it has come.
    pub(crate) state: LineState,
    /// The present attempt.
    pub(crate) connection: Option<ConnectionId>,
    /// Attempts since the last welcome.
    pub(crate) failures: u32,
    /// Redirects since the connection last stood for a heartbeat.
    pub(crate) redirects: u32,
    /// The region asked for at least this much patience.
    pub(crate) patience_ms: u64,
    /// The region that last welcomed.
    pub(crate) region: Option<String>,
    /// Its id, as in dots.
    pub(crate) region_id: Option<String>,
    /// In which epochs of its placements it stands.
    pub(crate) epochs: BTreeMap<PlacementId, u64>,
    /// Placements in which it acknowledges what another region has too.
    pub(crate) geo: BTreeSet<PlacementId>,
    /// Send a ping when nothing else was sent for so long.
    pub(crate) heartbeat_ms: u64,
    /// Questions not sent yet.
    pub(crate) unasked: VecDeque<Question>,
    /// Questions sent, by request.
    pub(crate) asked: BTreeMap<u64, Question>,
    /// Commands sent, by request: their numbers in the outbox.
    pub(crate) commands: BTreeMap<u64, u64>,
    /// Receipts to be told.
    pub(crate) untold: BTreeSet<(ConversationId, Receipt)>,
    /// Receipts sent, by request.
    pub(crate) receipts: BTreeMap<u64, (ConversationId, Receipt)>,
    /// Syncs that are not answered.
    pub(crate) syncs: BTreeSet<u64>,
    /// When the last one was sent.
    pub(crate) synced_at: Option<Now>,
    /// Conversations to be synced again.
    pub(crate) unsynced: BTreeSet<ConversationId>,
    /// All of them are to be synced again.
    pub(crate) sync_refused: bool,
    /// That there are too many conversations has been told on this connection.
    pub(crate) crowded: bool,
}

impl Line {
    /// Not connected yet.
    pub(crate) fn new(addresses: Vec<Address>) -> Self {
        Self {
            addresses,
            detour: None,
            state: LineState::Waiting,
            connection: None,
            failures: 0,
            redirects: 0,
            patience_ms: 0,
            region: None,
            region_id: None,
            epochs: BTreeMap::new(),
            geo: BTreeSet::new(),
            heartbeat_ms: limits::HEARTBEAT_MS_DEFAULT,
            unasked: VecDeque::new(),
            asked: BTreeMap::new(),
            commands: BTreeMap::new(),
            untold: BTreeSet::new(),
            receipts: BTreeMap::new(),
            syncs: BTreeSet::new(),
            synced_at: None,
            unsynced: BTreeSet::new(),
            sync_refused: false,
            crowded: false,
        }
    }

    /// The connection, if frames other than a hello may go out on it.
    pub(crate) fn live(&self) -> Option<ConnectionId> {
        if self.state == LineState::Live { self.connection } else { None }
    }

    /// What answers for that placement, as the last welcome has it; none if the region did not say which it is.
    pub(crate) fn standing(&self, placement: PlacementId) -> Option<Standing> {
        let epoch = self.epochs.get(&placement).copied().unwrap_or_default();
        self.region_id.clone().map(|region_id| Standing { region_id, epoch })
    }

    /// Where to connect next: the redirect's target if there is one, else the addresses in turn.
    pub(crate) fn next_address(&mut self) -> Option<Address> {
        let turn = usize::try_from(self.failures).unwrap_or(usize::MAX);
        let in_turn = turn.checked_rem(self.addresses.len()).and_then(|index| self.addresses.get(index));
        self.detour.take().or_else(|| in_turn.cloned())
    }

    /// Forgets what hung on the connection. Questions go back to the front, in the order in which they were asked, but those for receipts: they are
    /// asked anew once a connection has caught up, and the next one may be to a region that must not hear of that conversation.
    pub(crate) fn drop_connection(&mut self) {
        self.connection = None;
        self.state = LineState::Waiting;
        for (_, question) in std::mem::take(&mut self.asked).into_iter().rev() {
            self.unasked.push_front(question);
        }
        self.unasked.retain(|question| !matches!(question, Question::Receipts { .. }));
        self.commands.clear();
        self.untold.clear();
        self.receipts.clear();
        self.syncs.clear();
        self.synced_at = None;
        self.unsynced.clear();
        self.sync_refused = false;
        self.crowded = false;
    }

    /// The next receipt that can be told, if there is one and room for it.
    pub(crate) fn take_untold(&mut self) -> Option<(ConversationId, Receipt)> {
        let has_room = self.receipts.len() < limits::RECEIPTS_IN_FLIGHT_MAX;
        if has_room { self.untold.pop_first() } else { None }
    }

    /// Whether a frame answers a question; the question is done with unless the answer goes on in another frame.
    pub(crate) fn is_answer(&mut self, request: u64, more: bool) -> bool {
        if more { self.asked.contains_key(&request) } else { self.asked.remove(&request).is_some() }
    }

    /// Questions that wait for an answer, or to be asked.
    pub(crate) fn questions(&self) -> usize {
        self.unasked.len() + self.asked.len()
    }
}
