//! The state of delivery: of each conversation, where the device stands and whether it is live.
//!
//! ```text
//!              sync, membership, gap                    room            read to the end
//!   (unknown) ─────────────────────▶ Waiting ────────────────▶ CatchingUp ─────────────▶ Live
//!       ▲                               ▲                          │  ▲ └─ more: read on ─┘ │
//!       └── left, or fell behind ───────┼──────────────────────────┴──┼─────────────────────┤
//!                                       └───── a change was missed ───┴─────────────────────┘
//! ```
//! What must always hold:
//! - `at` is what the device has been sent, and everything up to it: the next entry sent has the next arrival number, or all
//!   numbers between are covered by what the device has or may not see.
//! - A stream is subscribed before its first read, so nothing falls between catch-up and live (history 26).

use crate::input::Identity;
use crate::output::Output;
use crate::site::Here;
use crate::wait_for_answers::Asked;
use crate::write_frame;
use crdt::{ConversationId, Cut, PlacementId, Timestamp};
use gateway_protocol::v1;
use gateway_protocol::v1::server_frame::Frame;
use region::item::ArrivalNumber;
use region::read::{Membership, Standing};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Why a stream began, and so what the device is told where its user turns out to be no member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// The user became a member while the device was connected: then that this has ended.
    Joined,
    /// The region had the user as a member: then that this has ended.
    Listed,
    /// The device named it: then that there is no such conversation for the user here.
    Named,
    /// The device has a cursor of it: then nothing, as the region may not have heard of it yet.
    Presented,
}

/// Where a stream is on its way to being live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// In the queue.
    Waiting,
    /// Being read.
    CatchingUp,
    /// Changes are delivered as they come.
    Live,
}

/// One conversation that is being delivered.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) progress: Progress,
    pub(crate) begun: Begun,
    pub(crate) subscribed: bool,
    /// The last entry sent.
    pub(crate) after: ArrivalNumber,
    /// What the device has been given, here or elsewhere. Shared with the change it came from.
    pub(crate) cut: Arc<Cut>,
    /// Of that, what it was never given, since it is kept no longer.
    pub(crate) expired: Cut,
    /// The highest timestamp it has been given.
    pub(crate) highest: Timestamp,
    /// The newest entry heard of while catching up.
    pub(crate) newest: ArrivalNumber,
    /// Changes were missed, or the user became a member again, since the read under way was asked: another must follow.
    pub(crate) read_anew: bool,
    /// The device is to be told, with the next read, of all that its user has hidden.
    pub(crate) tell_hidden: bool,
    /// A message was hidden since the read under way was asked, which may give it: its answer does not count.
    pub(crate) spoilt: bool,
}

/// Which conversations are to be delivered, while the region is being asked.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) requests: Vec<u64>,
    pub(crate) missing: BTreeSet<PlacementId>,
    pub(crate) listed: BTreeSet<PlacementId>,
    pub(crate) found: Vec<Membership>,
    /// Memberships were missed since these were asked: they are asked again afterwards.
    pub(crate) again: BTreeSet<PlacementId>,
}

/// All that is delivered to a device.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// Placements of which the device wants every conversation, also those that begin later.
    pub(crate) wanted: BTreeSet<PlacementId>,
    pub(crate) streams: BTreeMap<ConversationId, Stream>,
    /// Streams whose turn is to come, the next first.
    pub(crate) waiting: VecDeque<ConversationId>,
    /// The stream whose turn it is.
    pub(crate) current: Option<ConversationId>,
    /// Its read, under way.
    pub(crate) reading: Option<crate::query::QueryId>,
    /// Batches of catch-up that the device has not acknowledged.
    pub(crate) unacknowledged: VecDeque<(ConversationId, ArrivalNumber)>,
    pub(crate) listing: Option<Listing>,
    /// Presented cursors of conversations that the listing is to confirm.
    pub(crate) presented: BTreeMap<ConversationId, Standing>,
    /// Conversations that wait for the device to sync them again.
    pub(crate) behind: BTreeSet<ConversationId>,
}

/// What delivery needs of the rest of the session.
#[derive(Debug)]
pub(crate) struct Around<'a> {
    pub(crate) here: &'a Here,
    pub(crate) identity: Identity,
    pub(crate) unsent_bytes: usize,
    pub(crate) asked: &'a mut Asked,
    pub(crate) out: &'a mut Vec<Output>,
}

impl Around<'_> {
    pub(crate) fn send(&mut self, frame: Frame) {
        self.out.push(Output::Send(write_frame::unasked(frame)));
    }
}

impl Stream {
    pub(crate) fn from(standing: Standing, begun: Begun) -> Self {
        Self {
            progress: Progress::Waiting,
            begun,
            subscribed: false,
            after: standing.after,
            cut: Arc::new(standing.cut),
            highest: standing.highest,
            newest: ArrivalNumber(0),
            read_anew: false,
            tell_hidden: true,
            spoilt: false,
            expired: Cut::new(),
        }
    }

    pub(crate) fn take_read_anew(&mut self) -> bool {
        std::mem::take(&mut self.read_anew)
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing { after: self.after, cut: (*self.cut).clone(), highest: self.highest }
    }
}

impl Delivery {
    /// Whether a conversation is delivered, or about to be.
    pub(crate) fn delivers(&self, conversation: ConversationId) -> bool {
        self.streams.contains_key(&conversation)
    }

    /// Begins a stream; one that the conversation has goes on.
    pub(crate) fn begin(&mut self, conversation: ConversationId, standing: Standing, begun: Begun) {
        self.behind.remove(&conversation);
        let is_member = matches!(begun, Begun::Joined | Begun::Listed);
        if let Some(stream) = self.streams.get_mut(&conversation) {
            if is_member {
                stream.begun = begun;
            }
            return;
        }
        if self.streams.len() >= crate::limits::CONVERSATIONS_MAX {
            return;
        }
        self.streams.insert(conversation, Stream::from(standing, begun));
        if begun == Begun::Joined {
            self.waiting.push_front(conversation);
        } else {
            self.waiting.push_back(conversation);
        }
    }

    /// Keeps where a device stands in a conversation that is not delivered: this region may not have heard of it yet, or the user has left it and
    /// may be added again. Forgotten, the next cursor would name less than the device was given, and what it writes then would lack its mark.
    pub(crate) fn remember(&mut self, conversation: ConversationId, standing: Standing) {
        if self.presented.len() < crate::limits::CONVERSATIONS_MAX
            || self.presented.contains_key(&conversation)
        {
            self.presented.insert(conversation, standing);
        }
    }

    /// Ends a stream; where the device stands in it is kept. Tells whether there was one.
    pub(crate) fn end(&mut self, conversation: ConversationId, out: &mut Vec<Output>) -> bool {
        self.unacknowledged.retain(|(of, _)| *of != conversation);
        if self.current == Some(conversation) {
            self.current = None;
            self.reading = None;
        }
        let Some(stream) = self.streams.remove(&conversation) else { return false };
        self.remember(conversation, stream.standing());
        if stream.progress == Progress::Waiting {
            self.waiting.retain(|waiting| *waiting != conversation);
        }
        if stream.subscribed {
            out.push(Output::Subscribe { conversation, on: false });
        }
        true
    }

    /// Ends streams that the device must sync again.
    pub(crate) fn fall_behind(&mut self, conversations: &[ConversationId], around: &mut Around<'_>) {
        let mut fallen = Vec::new();
        for conversation in conversations {
            if self.end(*conversation, around.out) {
                self.behind.insert(*conversation);
                fallen.push(conversation.to_string());
            }
        }
        if !fallen.is_empty() {
            around.send(Frame::Behind(v1::Behind { conversations: fallen }));
        }
    }

    /// What is being read may not show what just happened to that conversation: it is read once more before it counts.
    pub(crate) fn distrust_read(&mut self, conversation: ConversationId) {
        if self.reading.is_some()
            && self.current == Some(conversation)
            && let Some(stream) = self.streams.get_mut(&conversation)
        {
            stream.read_anew = true;
        }
    }

    /// Sends a live stream back to reading, because a change of it is missing.
    pub(crate) fn read_again(&mut self, conversation: ConversationId) {
        if let Some(stream) = self.streams.get_mut(&conversation)
            && stream.progress == Progress::Live
        {
            stream.progress = Progress::Waiting;
            stream.tell_hidden = true;
            self.waiting.push_front(conversation);
        }
    }
}
