//! Questions: pages of the past, lists, receipts after an absence; and what an error frame is about.
//!
//! What must always hold: each question ends in its answer or in a refusal, over any number of connections; one that the
//! application asked for is never dropped for being unanswered, it is asked again.

use crate::client::{Client, Step};
use crate::error::LocalRefusal;
use crate::input::PageFrom;
use crate::item::{Document, Item, MalformedFrame, Summary, read_id};
use crate::limits;
use crate::line::{LineKey, Question};
use crate::output::Event;
use crate::timers::Timer;
use crdt::ConversationId;
use gateway_protocol::v1::{self, client_frame::Frame};

impl Client {
    /// The application asks for messages of the past.
    pub(crate) fn page(
        &mut self,
        step: &mut Step<'_>,
        conversation: ConversationId,
        from: PageFrom,
        limit: u32,
    ) {
        self.ask_of(step, conversation, Question::Page { conversation, from, limit });
    }

    /// The application asks what a conversation says of itself.
    pub(crate) fn document(&mut self, step: &mut Step<'_>, conversation: ConversationId) {
        self.ask_of(step, conversation, Question::Document { conversation });
    }

    fn ask_of(&mut self, step: &mut Step<'_>, conversation: ConversationId, question: Question) {
        let placement = conversation.placement();
        if self.routes.lacks(placement) {
            step.refuse(Some(conversation), None, &LocalRefusal::UnknownPlacement(placement));
            return;
        }
        self.take_part(step, placement);
        let key = self.routes.line_of(placement).unwrap_or(LineKey::Home);
        self.ask(step, key, question);
    }

    /// The application asks for the conversations.
    pub(crate) fn list(&mut self, step: &mut Step<'_>) {
        let keys: Vec<LineKey> = self.lines.keys().copied().collect();
        for key in keys {
            self.ask(step, key, Question::List);
        }
    }

    /// Asks now, or once the line is live.
    pub(crate) fn ask(&mut self, step: &mut Step<'_>, key: LineKey, question: Question) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        if line.questions() < limits::QUESTIONS_MAX {
            line.unasked.push_back(question);
        } else {
            crate::sometimes::TOO_MANY_QUESTIONS.reach();
            match question {
                Question::Receipts { .. } => {}
                Question::List => step.refuse(None, None, &LocalRefusal::TooManyQuestions(line.questions())),
                Question::Page { conversation, .. } | Question::Document { conversation } => {
                    step.refuse(Some(conversation), None, &LocalRefusal::TooManyQuestions(line.questions()));
                }
            }
        }
        self.ask_waiting(step, key);
    }

    /// Asks what could not be asked before.
    pub(crate) fn ask_waiting(&mut self, step: &mut Step<'_>, key: LineKey) {
        while let Some(line) = self.lines.get_mut(&key) {
            if line.live().is_none() {
                return;
            }
            let Some(question) = line.unasked.pop_front() else { return };
            let Some(request) = self.send(step, key, write_question(key, &question)) else { return };
            if let Some(line) = self.lines.get_mut(&key) {
                line.asked.insert(request, question);
            }
        }
    }

    /// A page came.
    pub(crate) fn paged(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        request: u64,
        page: &v1::Messages,
    ) -> Result<(), MalformedFrame> {
        let conversation = read_id("conversation", &page.conversation)?;
        let mut items: Vec<Item> = page.items.iter().map(Item::try_from).collect::<Result<_, _>>()?;
        if let Some(known) = self.conversations.get(&conversation) {
            items.retain(|item| !known.hidden.contains((item.sender, item.message)));
        }
        if self.lines.get_mut(&key).is_some_and(|line| line.is_answer(request, false)) {
            step.show(Event::Paged { conversation, items, more: page.more });
        }
        Ok(())
    }

    /// A document came, or a part of it.
    pub(crate) fn documented(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        request: u64,
        document: v1::Document,
    ) -> Result<(), MalformedFrame> {
        let conversation = read_id("conversation", &document.conversation)?;
        let more = document.more;
        let document = Document::try_from(document)?;
        if self.lines.get_mut(&key).is_some_and(|line| line.is_answer(request, more)) {
            step.show(Event::Documented { conversation, document, more });
        }
        Ok(())
    }

    /// A list came.
    pub(crate) fn listed(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        request: u64,
        list: &v1::Conversations,
    ) -> Result<(), MalformedFrame> {
        let mut conversations: Vec<Summary> =
            list.conversations.iter().map(Summary::try_from).collect::<Result<_, _>>()?;
        for summary in &mut conversations {
            let known = self.conversations.get(&summary.conversation);
            let hides = |last: &mut Item| {
                known.is_some_and(|known| known.hidden.contains((last.sender, last.message)))
            };
            summary.last.take_if(hides);
        }
        if self.lines.get_mut(&key).is_some_and(|line| line.is_answer(request, list.more)) {
            step.show(Event::Listed { placement: key.placement(), conversations, more: list.more });
        }
        Ok(())
    }

    /// The region refused something: what it was about decides what follows.
    pub(crate) fn error(
        &mut self,
        step: &mut Step<'_>,
        key: LineKey,
        request: u64,
        error: v1::Error,
    ) -> Result<(), MalformedFrame> {
        let conversation: Option<ConversationId> = if error.conversation.is_empty() {
            None
        } else {
            Some(read_id("conversation", &error.conversation)?)
        };
        let Some(line) = self.lines.get_mut(&key) else { return Ok(()) };
        if let Some(number) = line.commands.remove(&request) {
            self.command_refused(step, number, error);
            return Ok(());
        }
        if let Some(question) = line.asked.remove(&request) {
            let conversation = match question {
                Question::Page { conversation, .. } | Question::Document { conversation } => {
                    Some(conversation)
                }
                Question::List => None,
                // Nobody asked for it but the client: for the moment it waits, for good the next catching up asks again.
                Question::Receipts { .. } => {
                    if error.temporary {
                        line.unasked.push_back(question);
                        let retry_ms =
                            error.retry_after_ms.clamp(limits::RETRY_MS_DEFAULT, limits::RETRY_MS_MAX);
                        self.timers.set_if_idle(Timer::Sync(key), step.now.plus_ms(retry_ms));
                    }
                    return Ok(());
                }
            };
            let v1::Error { code, message, .. } = error;
            step.show(Event::Refused { conversation, command: None, code, message });
            return Ok(());
        }
        let asked = if error.retry_after_ms == 0 { limits::RETRY_MS_DEFAULT } else { error.retry_after_ms };
        let retry_ms = asked.min(limits::RETRY_MS_MAX);
        if let Some(receipt) = line.receipts.remove(&request) {
            // A region that was just moved to may not have heard yet of a conversation that this user is in.
            let is_member =
                self.conversations.get(&receipt.0).is_some_and(|known| known.member == Some(true));
            if error.temporary || (error.code == "unknown_conversation" && is_member) {
                self.receipt_held(step, receipt, retry_ms);
            } else {
                self.receipt_answered(request, receipt);
            }
            return Ok(());
        }
        // What nobody asked for and the region could not read for the moment is what it delivers by itself: that is synced again.
        let is_sync = line.syncs.remove(&request)
            || (request == 0 && error.code == "region_unavailable" && conversation.is_none());
        if is_sync && error.temporary {
            self.sync_held(step, key, retry_ms);
            return Ok(());
        }
        if error.code.starts_with("cursor_") {
            self.cursor_refused(step, key, conversation, is_sync);
            return Ok(());
        }
        line.patience_ms = if error.temporary { error.retry_after_ms } else { 0 };
        let v1::Error { code, message, .. } = error;
        step.show(Event::Refused { conversation, command: None, code, message });
        Ok(())
    }

    /// The region does not take a cursor. One in a sync refuses the whole of it; if it is not said which, none is presented again.
    fn cursor_refused(
        &mut self,
        step: &Step<'_>,
        key: LineKey,
        conversation: Option<ConversationId>,
        is_sync: bool,
    ) {
        if let Some(id) = conversation {
            self.start_over(step, key, id);
        } else if is_sync {
            for (id, conversation) in &mut self.conversations {
                if self.routes.leads(key, *id) {
                    conversation.cursor = None;
                }
            }
        }
        if is_sync {
            self.sync_held(step, key, limits::SYNC_APART_MS);
        }
    }
}

fn write_question(key: LineKey, question: &Question) -> Frame {
    match question {
        Question::Page { conversation, from, limit } => {
            let (before, after) = match from {
                PageFrom::Newest => (None, None),
                PageFrom::Before(place) => (Some(place.to_wire()), None),
                PageFrom::After(place) => (None, Some(place.to_wire())),
            };
            Frame::Page(v1::Page { conversation: conversation.to_string(), before, after, limit: *limit })
        }
        Question::List => {
            let placement = key.placement().map(|placement| placement.to_string()).unwrap_or_default();
            Frame::List(v1::List { limit: 0, placement })
        }
        Question::Document { conversation } => {
            Frame::GetDocument(v1::GetDocument { conversation: conversation.to_string() })
        }
        Question::Receipts { conversation } => {
            Frame::GetReceipts(v1::GetReceipts { conversation: conversation.to_string() })
        }
    }
}
