//! Catching up: conversation by conversation, newest conversations first, oldest entry first, in acknowledged batches; then live.
//!
//! The naive way, to subscribe and then send what is missing, shows message 501 before its causes (history 26); to send first and
//! then subscribe loses what comes between. Here a stream is subscribed first, and changes that come while it is read are not kept but only
//! noted by number: it is live once a read has reached both its own end and the newest number noted.
//!
//! What must always hold:
//! - One read at a time, at most [`UNACKNOWLEDGED_BATCHES_MAX`](limits::UNACKNOWLEDGED_BATCHES_MAX) batches unacknowledged, nothing read while much is unsent.
//! - Every read either moves the stream on, ends it, or makes it live; but for one that may give what the user has hidden since it was asked, which is asked again.
//! - What the user has hidden is told before anything that the device lacks.

use crate::cursor::{Cursor, named_conversation};
use crate::error::SessionError;
use crate::forward_ticks::Ticks;
use crate::limits;
use crate::query::{Answer, Query, QueryId};
use crate::site::{HeldPlacement, Here};
use crate::stream::{Around, Begun, Delivery, Listing, Progress, Stream};
use crate::wait_for_answers::Purpose;
use crate::write_frame;
use crdt::{ConversationId, Cut, PlacementId, VersionVector};
use gateway_protocol::fields;
use gateway_protocol::fields::write_cut;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ServerFrame};
use region::command::Refusal;
use region::item::{ArrivalNumber, Item};
use region::read::{Changes, Membership, Standing};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Opens a cursor with the keys of the placement that it names.
pub(crate) fn open_cursor(here: &Here, token: &[u8]) -> Result<Cursor, SessionError> {
    let conversation = named_conversation(token)?;
    let opened = here.held(conversation)?.keys.open(token);
    if opened.is_err() {
        crate::sometimes::CURSOR_REFUSED.reach();
    }
    Ok(opened?)
}

/// A cursor as it stands towards this region's replica.
pub(crate) fn standing(here: &Here, cursor: Cursor) -> Result<Standing, SessionError> {
    let replica = here.held(cursor.conversation)?.replica;
    if cursor.replica != replica {
        crate::sometimes::CURSOR_FROM_ELSEWHERE.reach();
    }
    Ok(cursor.standing(replica))
}

impl Delivery {
    /// The device asks for delivery. Refused as a whole, or taken as a whole.
    pub(crate) fn sync(
        &mut self,
        request: u64,
        sync: &v1::Sync,
        around: &mut Around<'_>,
    ) -> Result<(), SessionError> {
        if sync.cursors.len() > limits::CURSORS_MAX {
            let count = sync.cursors.len();
            return Err(
                fields::FieldError::TooMany { field: "cursors", count, limit: limits::CURSORS_MAX }.into()
            );
        }
        let mut presented = BTreeMap::new();
        for token in &sync.cursors {
            let cursor = open_cursor(around.here, token)?;
            presented.insert(cursor.conversation, standing(around.here, cursor)?);
        }
        let named: Vec<ConversationId> =
            fields::ids("conversations", &sync.conversations, limits::CONVERSATIONS_MAX)?;
        for conversation in &named {
            around.here.held(*conversation)?;
        }
        let only: Option<PlacementId> = fields::optional_id("placement", &sync.placement)?;
        if let Some(placement) = only {
            around.here.placement(placement)?;
        }
        if named.is_empty() {
            let placements: Vec<PlacementId> = match only {
                Some(placement) => vec![placement],
                None => around.here.served(),
            };
            self.behind.retain(|conversation| !placements.contains(&conversation.placement()));
            self.wanted.extend(&placements);
            for (conversation, standing) in presented {
                self.remember(conversation, standing);
            }
            self.list(Some(request), &placements, around);
        } else {
            crate::sometimes::NAMED_SYNC.reach();
            self.begin_named(named, &mut presented);
            acknowledge_sync(request, around);
        }
        self.advance(around);
        Ok(())
    }

    fn begin_named(
        &mut self,
        mut named: Vec<ConversationId>,
        presented: &mut BTreeMap<ConversationId, Standing>,
    ) {
        let highest = |conversation: &ConversationId| presented.get(conversation).map(|at| at.highest);
        // Those without a cursor are new to the device: first, as the newest are.
        named.sort_by_key(|conversation| (highest(conversation).is_some(), Reverse(highest(conversation))));
        for conversation in named {
            self.begin(conversation, presented.remove(&conversation).unwrap_or_default(), Begun::Named);
        }
    }

    /// Asks the region which conversations there are in those placements.
    pub(crate) fn list(&mut self, request: Option<u64>, placements: &[PlacementId], around: &mut Around<'_>) {
        let listing = self.listing.get_or_insert_default();
        // Bounded as what a client may ask at a time is; what is beyond that goes unanswered.
        if listing.requests.len() < limits::OUTSTANDING_MAX {
            listing.requests.extend(request);
        }
        for placement in placements {
            if !listing.missing.insert(*placement) {
                continue;
            }
            let user = around.identity.user;
            let query = Query::Memberships { placement: *placement, user, limit: limits::CONVERSATIONS_MAX };
            around.asked.query(Purpose::Memberships(*placement), query, around.out);
        }
    }

    /// A part of the list came.
    pub(crate) fn listed(
        &mut self,
        placement: PlacementId,
        result: Option<Vec<Membership>>,
        around: &mut Around<'_>,
    ) -> Result<(), SessionError> {
        let Some(listing) = &mut self.listing else { return Ok(()) };
        let Some(memberships) = result else {
            let requests = std::mem::take(&mut listing.requests);
            self.listing = None;
            return refuse_syncs(&requests, around);
        };
        listing.missing.remove(&placement);
        listing.listed.insert(placement);
        listing.found.extend(memberships);
        if !listing.missing.is_empty() {
            return Ok(());
        }
        let Some(Listing { requests, listed, mut found, again, .. }) = self.listing.take() else {
            return Ok(());
        };
        found.sort_by_key(|membership| (Reverse(membership.highest), membership.conversation));
        for Membership { conversation, .. } in found {
            if !self.behind.contains(&conversation) {
                let standing = self.presented.remove(&conversation).unwrap_or_default();
                self.begin(conversation, standing, Begun::Listed);
            }
        }
        if !requests.is_empty() {
            self.begin_presented(&listed);
        }
        for request in requests {
            acknowledge_sync(request, around);
        }
        if !again.is_empty() {
            crate::sometimes::LISTED_AGAIN.reach();
            self.list(None, &again.into_iter().collect::<Vec<_>>(), around);
        }
        self.advance(around);
        Ok(())
    }

    /// Of what the device knows and the region does not list, the user may be out since: the read tells.
    fn begin_presented(&mut self, listed: &BTreeSet<PlacementId>) {
        let unlisted = self.presented.keys().copied();
        let unlisted = unlisted.filter(|conversation| listed.contains(&conversation.placement()));
        for conversation in unlisted.collect::<Vec<_>>() {
            if self.streams.len() < limits::CONVERSATIONS_MAX && !self.behind.contains(&conversation) {
                let standing = self.presented.remove(&conversation).unwrap_or_default();
                self.begin(conversation, standing, Begun::Presented);
            }
        }
    }

    /// Reads on, if there is something to read and room for it.
    pub(crate) fn advance(&mut self, around: &mut Around<'_>) {
        let has_work = self.reading.is_none() && (self.current.is_some() || !self.waiting.is_empty());
        if has_work && self.unacknowledged.len() >= limits::UNACKNOWLEDGED_BATCHES_MAX {
            crate::sometimes::HELD_BY_UNACKNOWLEDGED.reach();
        }
        if has_work && around.unsent_bytes > limits::UNSENT_BYTES_RESUME {
            crate::sometimes::HELD_BY_UNSENT.reach();
        }
        if self.reading.is_some()
            || self.unacknowledged.len() >= limits::UNACKNOWLEDGED_BATCHES_MAX
            || around.unsent_bytes > limits::UNSENT_BYTES_RESUME
        {
            return;
        }
        let Some(conversation) = self.current.or_else(|| self.waiting.pop_front()) else { return };
        let Some(stream) = self.streams.get_mut(&conversation) else { return };
        self.current = Some(conversation);
        stream.progress = Progress::CatchingUp;
        if !stream.subscribed {
            stream.subscribed = true;
            around.out.push(crate::Output::Subscribe { conversation, on: true });
        }
        let query = Query::Changes {
            conversation,
            user: around.identity.user,
            standing: stream.standing(),
            limit: limits::BATCH_ITEMS_MAX,
        };
        self.reading = Some(around.asked.query(Purpose::CatchUp(conversation), query, around.out));
    }

    /// A read came back.
    pub(crate) fn caught_up(
        &mut self,
        query: QueryId,
        conversation: ConversationId,
        answer: Option<Answer>,
        ticks: &mut Ticks,
        around: &mut Around<'_>,
    ) -> Result<(), SessionError> {
        if self.reading != Some(query) {
            crate::sometimes::ENDED_WHILE_READING.reach();
            return Ok(()); // the stream was ended meanwhile
        }
        self.reading = None;
        if self.streams.get_mut(&conversation).is_some_and(|stream| std::mem::take(&mut stream.spoilt)) {
            crate::sometimes::HIDDEN_WHILE_READING.reach();
            self.advance(around);
            return Ok(());
        }
        let result = match answer {
            Some(Answer::Changes(Some((changes, stable)))) => {
                self.take_changes(conversation, changes, &stable, ticks, around)
            }
            Some(_) if self.streams.get_mut(&conversation).is_some_and(Stream::take_read_anew) => Ok(()),
            Some(answer) => self.not_given(conversation, &answer, around),
            None => {
                self.fall_behind(&[conversation], around);
                Err(SessionError::RegionUnavailable)
            }
        };
        self.advance(around);
        result
    }

    /// The user is no member here. That of a stream of theirs has ended; else what the device was given says whether it has, or is not heard of yet.
    fn not_given(
        &mut self,
        conversation: ConversationId,
        answer: &Answer,
        around: &mut Around<'_>,
    ) -> Result<(), SessionError> {
        let begun = self.streams.get(&conversation).map(|stream| stream.begun);
        match begun {
            _ if *answer == Answer::Ended => self.membership(conversation, false, around),
            Some(Begun::Joined | Begun::Listed) => self.membership(conversation, false, around),
            Some(Begun::Named) => {
                crate::sometimes::UNKNOWN_AT_READ.reach();
                self.end(conversation, around.out);
                return Err(Refusal::UnknownConversation(conversation).into());
            }
            Some(Begun::Presented) | None => {
                crate::sometimes::UNHEARD_AT_READ.reach();
                self.end(conversation, around.out);
            }
        }
        Ok(())
    }

    fn take_changes(
        &mut self,
        conversation: ConversationId,
        changes: Changes,
        stable: &VersionVector,
        ticks: &mut Ticks,
        around: &mut Around<'_>,
    ) -> Result<(), SessionError> {
        let placement = around.here.held(conversation)?;
        let Some(stream) = self.streams.get_mut(&conversation) else { return Ok(()) };
        if stream.after > changes.end {
            crate::sometimes::CURSOR_BEYOND.reach();
            self.end(conversation, around.out);
            self.presented.remove(&conversation);
            return Err(Refusal::CursorAhead(conversation).into());
        }
        if std::mem::take(&mut stream.tell_hidden) {
            for frame in write_frame::hidden(conversation, &changes.hidden) {
                around.send(frame);
            }
        }
        let before = stream.after;
        let room = limits::UNACKNOWLEDGED_BATCHES_MAX - self.unacknowledged.len();
        let (batches, whole) = cut_into_batches(changes.items, room);
        for batch in batches {
            for entry in &batch {
                ticks.note_item(around.identity.user, conversation, &entry.item, around.out);
            }
            if let Some(frame) = send_batch(conversation, placement, stream, batch) {
                self.unacknowledged.push_back((conversation, stream.after));
                around.send(frame);
            }
        }
        if !whole {
            crate::sometimes::MORE_THAN_ROOM.reach();
            return Ok(());
        }
        stream.after = stream.after.max(changes.through);
        stream.cut = Arc::new(joined(&stream.cut, &changes.cut));
        stream.expired.join(&changes.expired);
        stream.highest = stream.highest.max(changes.highest);
        if stream.take_read_anew() {
            crate::sometimes::READ_ANEW.reach();
            return Ok(());
        }
        if stream.after >= changes.end && stream.after >= stream.newest {
            stream.progress = Progress::Live;
            let cut = stable.meet(&stream.cut);
            self.current = None;
            let expired = Some(&stream.expired).filter(|expired| !expired.is_empty()).map(write_cut);
            around.send(Frame::CaughtUp(v1::CaughtUp { conversation: conversation.to_string(), expired }));
            if !cut.is_empty() {
                around.out.push(crate::Output::Send(write_frame::stable(conversation, &cut)));
            }
            ticks.note_stable(conversation.partition(), Arc::new(stable.clone()));
        } else if stream.after == before {
            // A read that gives nothing, though there is more, would be repeated for ever.
            crate::sometimes::FRUITLESS_READ.reach();
            self.fall_behind(&[conversation], around);
        }
        Ok(())
    }

    /// The device has acknowledged everything of a conversation up to this cursor.
    pub(crate) fn acknowledged(&mut self, cursor: &Cursor, around: &mut Around<'_>) {
        let here = around.here.held(cursor.conversation).is_ok_and(|held| held.replica == cursor.replica);
        if here {
            self.unacknowledged
                .retain(|(of, through)| *of != cursor.conversation || *through > cursor.arrival);
            self.advance(around);
        }
    }
}

/// The syncs that waited for a list are refused, each under its number, so that their client asks again. Where none did, the client is told
/// that something of its sync was lost.
fn refuse_syncs(requests: &[u64], around: &mut Around<'_>) -> Result<(), SessionError> {
    if requests.is_empty() {
        return Err(SessionError::RegionUnavailable);
    }
    let error = SessionError::RegionUnavailable.to_frame();
    let refusals = requests
        .iter()
        .map(|request| ServerFrame { request: *request, frame: Some(Frame::Error(error.clone())) });
    around.out.extend(refusals.map(crate::Output::Send));
    Ok(())
}

fn acknowledge_sync(request: u64, around: &mut Around<'_>) {
    if request != 0 {
        let frame = Some(Frame::Done(v1::Done::default()));
        around.out.push(crate::Output::Send(ServerFrame { request, frame }));
    }
}

fn joined(one: &Cut, other: &Cut) -> Cut {
    let mut joined = one.clone();
    joined.join(other);
    joined
}

/// An entry that was read, and how it looks on the wire.
struct Entry {
    arrival: ArrivalNumber,
    item: Item,
    wire: v1::Item,
}

/// Cuts what was read into batches that fit a frame, at most so many. Tells whether that was all.
fn cut_into_batches(items: Vec<(ArrivalNumber, Item)>, room: usize) -> (Vec<Vec<Entry>>, bool) {
    let entry = |(arrival, item)| Entry { arrival, wire: write_frame::item(&item), item };
    let mut entries: Vec<Entry> = items.into_iter().map(entry).collect();
    let mut batches = Vec::new();
    while !entries.is_empty() {
        if batches.len() == room {
            return (batches, false);
        }
        let rest = entries.split_off(write_frame::fitting(entries.iter().map(|entry| &entry.wire)));
        batches.push(std::mem::replace(&mut entries, rest));
    }
    (batches, true)
}

/// Moves the stream over one batch, and gives its frame.
fn send_batch(
    conversation: ConversationId,
    placement: &HeldPlacement,
    stream: &mut Stream,
    batch: Vec<Entry>,
) -> Option<Frame> {
    let mut cut = (*stream.cut).clone();
    for entry in &batch {
        cut.raise(entry.item.dot);
        stream.highest = stream.highest.max(entry.item.hlc);
    }
    stream.after = batch.last()?.arrival;
    stream.cut = Arc::new(cut);
    let items = batch.into_iter().map(|entry| entry.wire).collect();
    Some(Frame::Deliver(deliver(conversation, placement, stream, items)))
}

/// A delivery to this device alone.
pub(crate) fn deliver(
    conversation: ConversationId,
    placement: &HeldPlacement,
    stream: &Stream,
    items: Vec<v1::Item>,
) -> v1::Deliver {
    let cursor = Cursor {
        conversation,
        replica: placement.replica,
        arrival: stream.after,
        cut: (*stream.cut).clone(),
        highest: stream.highest,
    };
    v1::Deliver { conversation: conversation.to_string(), items, cursor: placement.keys.seal(&cursor).into() }
}
