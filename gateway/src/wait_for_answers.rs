//! Commands and questions under way: what each answer is for, and whom it is sent to.
//!
//! What must always hold: at most [`OUTSTANDING_MAX`](limits::OUTSTANDING_MAX) of the client's are under way; the session's own reads are one
//! at a time and one a placement and one a conversation with a command that is not told to be stable, so they are bounded without counting.

use crate::acceptance::Accepted;
use crate::error::SessionError;
use crate::limits;
use crate::output::Output;
use crate::query::{Query, QueryId};
use crdt::{ConversationId, MessageId, PlacementId};
use region::read::{PageFrom, Summary};
use region::shard::Ticket;
use std::collections::BTreeMap;

/// A command under way.
#[derive(Debug, Clone)]
pub(crate) struct AskedCommand {
    /// The client's number of it.
    pub(crate) request: u64,
    /// Where.
    pub(crate) conversation: ConversationId,
    /// The command's id; none for receipts.
    pub(crate) command: Option<MessageId>,
    /// What its acceptance proves; of a message alone.
    pub(crate) proof: Option<Accepted>,
}

/// What a query is for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// A part of a list.
    List { request: u64, list: u64 },
    /// A page.
    Page { request: u64, conversation: ConversationId, from: PageFrom, limit: usize },
    /// A document.
    Document { request: u64, conversation: ConversationId },
    /// All receipts.
    Receipts { request: u64, conversation: ConversationId },
    /// Which conversations are to be delivered.
    Memberships(PlacementId),
    /// What the device lacks of one.
    CatchUp(ConversationId),
    /// What is stable of its partition.
    Stable(ConversationId),
}

/// A list that is asked of several placements.
#[derive(Debug)]
struct List {
    missing: usize,
    limit: usize,
    found: Vec<Summary>,
}

/// Everything under way.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    next: u64,
    commands: BTreeMap<Ticket, AskedCommand>,
    queries: BTreeMap<QueryId, Purpose>,
    lists: BTreeMap<u64, List>,
    questions: usize,
}

impl Asked {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Whether the client may ask one thing more.
    pub(crate) fn admit(&self) -> Result<(), SessionError> {
        if self.outstanding() >= limits::OUTSTANDING_MAX {
            crate::sometimes::TOO_MANY_OUTSTANDING.reach();
            Err(SessionError::TooManyOutstanding)
        } else {
            Ok(())
        }
    }

    /// How many of the client's are under way.
    pub(crate) fn outstanding(&self) -> usize {
        self.commands.len() + self.questions
    }

    /// Takes a number for a command.
    pub(crate) fn command(&mut self, asked: AskedCommand) -> Ticket {
        let ticket = Ticket(self.number());
        self.commands.insert(ticket, asked);
        ticket
    }

    /// The command of that ticket, which is answered now.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Option<AskedCommand> {
        self.commands.remove(&ticket)
    }

    /// Puts a query.
    pub(crate) fn query(&mut self, purpose: Purpose, query: Query, out: &mut Vec<Output>) -> QueryId {
        let id = QueryId(self.number());
        self.questions += usize::from(purpose.is_the_clients());
        self.queries.insert(id, purpose);
        out.push(Output::Query { id, query });
        id
    }

    /// What the query was for, which is answered now.
    pub(crate) fn read(&mut self, id: QueryId) -> Option<Purpose> {
        let purpose = self.queries.remove(&id)?;
        self.questions -= usize::from(purpose.is_the_clients());
        Some(purpose)
    }

    /// Opens a list of so many parts.
    pub(crate) fn open_list(&mut self, parts: usize, limit: usize) -> u64 {
        let list = self.number();
        self.lists.insert(list, List { missing: parts, limit, found: Vec::new() });
        list
    }

    /// Adds a part; gives the whole list, the most recently active first, with the last one.
    pub(crate) fn add_to_list(&mut self, list: u64, part: Vec<Summary>) -> Option<Vec<Summary>> {
        let open = self.lists.get_mut(&list)?;
        open.missing -= 1;
        open.found.extend(part);
        if open.missing > 0 {
            return None;
        }
        let List { mut found, limit, .. } = self.lists.remove(&list)?;
        found.sort_by_key(|summary| (std::cmp::Reverse(summary.highest), summary.conversation));
        found.truncate(limit);
        Some(found)
    }

    /// Forgets a list, one part of which failed. Tells whether it was still open.
    pub(crate) fn drop_list(&mut self, list: u64) -> bool {
        self.lists.remove(&list).is_some()
    }
}

impl Purpose {
    const fn is_the_clients(&self) -> bool {
        match self {
            Self::List { .. } | Self::Page { .. } | Self::Document { .. } | Self::Receipts { .. } => true,
            Self::Memberships(_) | Self::CatchUp(_) | Self::Stable(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Asked, Purpose};
    use crate::query::Query;
    use crdt::{ConversationId, PlacementId, Timestamp, UserId};
    use region::item::ArrivalNumber;
    use region::read::Summary;

    const PLACEMENT: PlacementId = PlacementId(1);

    fn summary(conversation: u128, highest: u64) -> Summary {
        Summary {
            conversation: ConversationId::group(PLACEMENT, conversation),
            name: String::new(),
            direct: false,
            members: Vec::new(),
            admins: Vec::new(),
            last: None,
            unread: 0,
            arrival: ArrivalNumber(0),
            highest: Timestamp(highest),
        }
    }

    #[test]
    fn what_the_session_reads_for_itself_takes_nothing_of_what_its_client_may_ask() {
        let conversation = ConversationId::group(PLACEMENT, 1);
        let user = UserId::new(PLACEMENT, 1);
        let query = || Query::Receipts { conversation, user };
        let mut asked = Asked::default();
        for purpose in
            [Purpose::Memberships(PLACEMENT), Purpose::CatchUp(conversation), Purpose::Stable(conversation)]
        {
            let id = asked.query(purpose, query(), &mut Vec::new());
            assert_eq!(asked.outstanding(), 0);
            assert!(asked.read(id).is_some());
        }
        let id = asked.query(Purpose::Receipts { request: 1, conversation }, query(), &mut Vec::new());
        assert_eq!(asked.outstanding(), 1);
        assert!(asked.read(id).is_some() && asked.read(id).is_none());
        assert_eq!(asked.outstanding(), 0);
    }

    #[test]
    fn lists_that_are_asked_at_the_same_time_are_each_whole_and_of_their_own_parts() {
        let mut asked = Asked::default();
        let (short, long) = (asked.open_list(2, 2), asked.open_list(2, 9));
        assert_eq!(asked.add_to_list(short, vec![summary(1, 10), summary(2, 30)]), None);
        assert_eq!(asked.add_to_list(long, vec![summary(3, 1)]), None);
        let found = asked.add_to_list(short, vec![summary(4, 20)]).unwrap();
        assert_eq!(
            found,
            [summary(2, 30), summary(4, 20)],
            "the most recently active, as many as were asked for"
        );
        assert_eq!(asked.add_to_list(long, Vec::new()).unwrap(), [summary(3, 1)]);
        assert!(!asked.drop_list(short), "a list that was given is not open any more");
    }
}
