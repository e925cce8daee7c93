//! One person: a client, its history, and the steps they play.
//!
//! Two tasks a person: one takes down what the client says and never waits for anything else, the other plays the steps. Posting is
//! written into the history before the client is told, under the same lock as what is shown: so what stands before it in the
//! history had been shown to this person, and those are the message's causes.

use crate::clock::RunClock;
use crate::crowd::new_message_id;
use crate::limits::TRY_AGAIN_AFTER;
use crate::recorder::Recorder;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use gateway_client_net::{Act, Address, ClientHandle, Content, Event, Events};
use sim::history::{self, Own};
use sim::note_event::note_event;
use sim::plan::StepNumber;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use tokio::sync::Notify;

/// What everybody's tasks share.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) clock: RunClock,
    /// The message of each step, once it is posted.
    pub(crate) posted: Vec<OnceLock<MessageId>>,
    steps: RwLock<BTreeMap<MessageId, StepNumber>>,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) stable: AtomicU64,
    pub(crate) shown: AtomicU64,
    pub(crate) steps_done: AtomicU64,
    /// Which steps have been played.
    pub(crate) played: Vec<AtomicBool>,
    /// When anybody was last shown anything, in microseconds.
    pub(crate) last_shown_us: AtomicU64,
    /// Refusals by code.
    pub(crate) refused: Mutex<BTreeMap<String, u64>>,
}

/// One person.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) home: Address,
    pub(crate) handle: ClientHandle,
    pub(crate) changed: Notify,
    state: Mutex<State>,
    board: Arc<Board>,
}

/// What has come about for a person.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) recorder: Recorder,
    /// Connections that must stand: the home's under none.
    pub(crate) connections: BTreeMap<Option<PlacementId>, bool>,
    /// Conversations that the client has not been told of yet.
    pub(crate) unopened: BTreeSet<ConversationId>,
    /// Messages that some step of this person waits for.
    pub(crate) waiting_messages: BTreeSet<StepNumber>,
    /// Members whose adding some step of this person waits for.
    pub(crate) waiting_added: BTreeSet<(ConversationId, UserId)>,
    /// Conversations in which something was shown since it was last read.
    pub(crate) unread: BTreeSet<ConversationId>,
    /// Last pages that were asked for and have not come.
    pub(crate) pages_due: BTreeSet<ConversationId>,
    /// Lists that were asked for and have not come.
    pub(crate) lists_due: usize,
    /// What the person did to messages and is not stable yet.
    pub(crate) amending: BTreeMap<MessageId, Act>,
}

/// What a person's tasks are given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) first_member_of: BTreeSet<ConversationId>,
    pub(crate) waiting_messages: BTreeSet<StepNumber>,
    pub(crate) waiting_added: BTreeSet<(ConversationId, UserId)>,
    pub(crate) placements: BTreeSet<PlacementId>,
}

impl Board {
    pub(crate) fn new(steps: usize) -> Self {
        let posted = (0..steps).map(|_| OnceLock::new()).collect();
        Self { posted, played: (0..steps).map(|_| AtomicBool::new(false)).collect(), ..Self::default() }
    }

    /// The step's message goes out under this id. Call before it does.
    pub(crate) fn note_posted(&self, step: StepNumber, message: MessageId) {
        self.steps.write().unwrap_or_else(PoisonError::into_inner).insert(message, step);
        // A step is played once.
        let _first = self.posted[step].set(message);
    }

    fn step_of(&self, message: MessageId) -> Option<StepNumber> {
        self.steps.read().unwrap_or_else(PoisonError::into_inner).get(&message).copied()
    }
}

impl Person {
    /// A person whose client has just been started; begins the history and takes down what the client says.
    pub(crate) fn begin(
        (user, device): (UserId, DeviceId),
        name: &str,
        home: Address,
        (handle, events): (ClientHandle, Events),
        mut recorder: Recorder,
        part: &Part,
        board: &Arc<Board>,
    ) -> Arc<Self> {
        let (format, region, name) = (history::FORMAT.to_owned(), home.region.clone(), name.to_owned());
        recorder.note(0, history::Event::Began { format, user, device, home: region, name });
        let away = part.placements.iter().map(|placement| (Some(*placement), false));
        let state = State {
            recorder,
            connections: away.chain([(None, false)]).collect(),
            unopened: part.first_member_of.clone(),
            waiting_messages: part.waiting_messages.clone(),
            waiting_added: part.waiting_added.clone(),
            unread: BTreeSet::new(),
            pages_due: BTreeSet::new(),
            lists_due: 0,
            amending: BTreeMap::new(),
        };
        let (changed, board) = (Notify::new(), Arc::clone(board));
        let person = Arc::new(Self { user, home, handle, changed, state: Mutex::new(state), board });
        tokio::spawn(Arc::clone(&person).take_down(events));
        person
    }

    /// What has come about.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client is signed in wherever it must be.
    pub(crate) fn is_connected(&self) -> bool {
        self.state().connections.values().all(|stands| *stands)
    }

    /// Posts, in the history first. The id is the message's for ever.
    pub(crate) async fn post(
        &self,
        step: StepNumber,
        own: Own,
        body: bytes::Bytes,
        reply_to: Option<(UserId, MessageId)>,
    ) {
        let (conversation, message) = (own.conversation, own.message);
        self.board.note_posted(step, message);
        self.state().recorder.note(self.board.clock.now_us(), history::Event::Posted(own));
        self.act(Act::Send { conversation, message: Some(message), body, reply_to }).await;
    }

    /// Does something to a message; without saying what, takes it out of their own view.
    pub(crate) async fn amend(
        &self,
        conversation: ConversationId,
        target: (UserId, MessageId),
        what: Option<gateway_client_net::Amend>,
    ) {
        let command = new_message_id();
        let act = match what {
            Some(what) => Act::Amend { conversation, command: Some(command), target, what },
            None => Act::DeleteForMe { conversation, command: Some(command), target },
        };
        self.state().amending.insert(command, act.clone());
        self.act(act).await;
    }

    /// Moves to another region.
    pub(crate) async fn roam(&self, region: Address) {
        let event = history::Event::Roamed { region: region.region.clone() };
        self.state().recorder.note(self.board.clock.now_us(), event);
        self.act(Act::Move { region }).await;
    }

    /// Acts. A client that has stopped is found by what it no longer does.
    pub(crate) async fn act(&self, act: Act) {
        let _stopped = self.handle.act(act).await;
    }

    async fn take_down(self: Arc<Self>, mut events: Events) {
        while let Some(told) = events.next_told().await {
            let at_us = self.board.clock.at_us(told.at);
            let mut state = self.state();
            if let Some(act) = refused_for_now(&mut state, &told.event) {
                // What a person was shown elsewhere has not come to the region that they moved to: they try again, as people do.
                let person = Arc::clone(&self);
                tokio::spawn(async move {
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                    match act {
                        Act::Amend { conversation, target, what, .. } => {
                            person.amend(conversation, target, Some(what)).await;
                        }
                        Act::DeleteForMe { conversation, target, .. } => {
                            person.amend(conversation, target, None).await;
                        }
                        // Nothing else is kept among what is done to messages.
                        _ => {}
                    }
                });
                continue;
            }
            self.note(&mut state, at_us, told.event);
            drop(state);
            self.changed.notify_one();
        }
    }

    fn note(&self, state: &mut State, at_us: u64, event: Event) {
        let board = &self.board;
        match &event {
            Event::SignedIn { placement, .. } => _ = state.connections.insert(*placement, true),
            Event::SignedOut { placement, .. } => _ = state.connections.insert(*placement, false),
            Event::ServedAtHome { placement } => _ = state.connections.remove(&Some(*placement)),
            Event::Shown { conversation, item, .. } => {
                board.last_shown_us.store(at_us, Ordering::Relaxed);
                match &item.content {
                    Content::Post { .. } => {
                        board.shown.fetch_add(1, Ordering::Relaxed);
                        if let Some(step) = board.step_of(item.message) {
                            state.waiting_messages.remove(&step);
                        }
                        state.unread.insert(*conversation);
                    }
                    Content::Created { .. } => _ = state.unopened.remove(conversation),
                    Content::Added { user, .. } => _ = state.waiting_added.remove(&(*conversation, *user)),
                    Content::Left
                    | Content::Removed { .. }
                    | Content::Promoted { .. }
                    | Content::Demoted { .. }
                    | Content::Claimed
                    | Content::Rights
                    | Content::Edited { .. }
                    | Content::Withheld { .. }
                    | Content::Deleted { .. }
                    | Content::Reacted { .. }
                    | Content::DocumentChanged { .. }
                    | Content::Withdrawn { .. } => {}
                }
            }
            Event::Acknowledged { command, place: None, .. } | Event::Stable { command, .. }
                if state.amending.remove(command).is_some() =>
            {
                return;
            }
            Event::Acknowledged { command, .. } | Event::Stable { command, .. }
                if board.step_of(*command).is_none() =>
            {
                return;
            }
            Event::Acknowledged { .. } => _ = board.acknowledged.fetch_add(1, Ordering::Relaxed),
            Event::Stable { .. } => _ = board.stable.fetch_add(1, Ordering::Relaxed),
            Event::Refused { code, .. } => {
                let mut refused = board.refused.lock().unwrap_or_else(PoisonError::into_inner);
                *refused.entry(code.clone()).or_default() += 1;
            }
            Event::Listed { conversations, more, .. } if state.lists_due > 0 => {
                state.lists_due -= usize::from(!more);
                for summary in conversations {
                    let (conversation, admins) = (summary.conversation, summary.admins.clone());
                    state.recorder.note(at_us, history::Event::Governed { conversation, admins });
                }
            }
            Event::Paged { conversation, .. } => _ = state.pages_due.remove(conversation),
            Event::Moved { .. }
            | Event::Repeated { .. }
            | Event::AddedAgain { .. }
            | Event::MarkCleared { .. }
            | Event::Hidden { .. }
            | Event::Delivered { .. }
            | Event::Read { .. }
            | Event::Redirected { .. }
            | Event::CaughtUp { .. }
            | Event::Amended { .. }
            | Event::Membership { .. }
            | Event::Documented { .. }
            | Event::Listed { .. } => {}
        }
        if let Some(line) = note_event(event) {
            state.recorder.note(at_us, line);
        }
    }
}

/// What the region does not know of yet, so that it is to be tried again; it is not waited for under its old id any more.
fn refused_for_now(state: &mut State, event: &Event) -> Option<Act> {
    match event {
        Event::Refused { command: Some(command), code, .. }
            if ["unknown_message", "not_known_everywhere"].contains(&code.as_str()) =>
        {
            state.amending.remove(command)
        }
        _ => None,
    }
}
