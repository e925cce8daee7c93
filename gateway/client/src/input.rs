//! What goes into the client: what its sockets met, and what its user wants.
//!
//! What must always hold: a wish is never lost in silence. Each ends in an event of its own (acknowledged, paged, listed …) or in
//! [`crate::Event::Refused`], whatever happens to the connections meanwhile.

use crate::item::Place;
use bytes::Bytes;
use crdt::roster::Wish as MembersWish;
use crdt::{ConversationId, DeviceId, MessageId, PlacementId, UserId};
use gateway_protocol::v1::ServerFrame;

/// Names one attempt to connect; never used again after it, so that what an old socket still says is known to be old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What goes into a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Once, first of all.
    Start,
    /// The WebSocket of that attempt is open.
    Connected(ConnectionId),
    /// It failed or closed; also answers [`crate::Output::Disconnect`], though that is not waited for.
    Disconnected(ConnectionId),
    /// A frame came.
    Frame {
        /// On which connection.
        connection: ConnectionId,
        /// The frame.
        frame: ServerFrame,
    },
    /// [`crate::Client::deadline`] has come.
    Timer,
    /// The user wants something.
    Act(Act),
}

/// What the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Posts a message.
    Send {
        /// Where.
        conversation: ConversationId,
        /// Its id; drawn if not given.
        message: Option<MessageId>,
        /// Text or ciphertext.
        body: Bytes,
        /// The sender and id of the message it answers.
        reply_to: Option<(UserId, MessageId)>,
    },
    /// Does something to a message.
    Amend {
        /// Where.
        conversation: ConversationId,
        /// The command's id; drawn if not given.
        command: Option<MessageId>,
        /// The sender and id of the message.
        target: (UserId, MessageId),
        /// What.
        what: Amend,
    },
    /// Deletes a message for the user alone: it goes from their view, on all their devices.
    DeleteForMe {
        /// Where.
        conversation: ConversationId,
        /// The command's id; drawn if not given.
        command: Option<MessageId>,
        /// The sender and id of the message.
        target: (UserId, MessageId),
    },
    /// Changes what a conversation says of itself.
    EditDocument {
        /// Which.
        conversation: ConversationId,
        /// The command's id; drawn if not given.
        command: Option<MessageId>,
        /// How.
        edit: DocumentEdit,
    },
    /// Asks what a conversation says of itself.
    GetDocument {
        /// Which.
        conversation: ConversationId,
    },
    /// Begins a group.
    CreateGroup {
        /// Its id, drawn by the application: [`ConversationId::group`].
        conversation: ConversationId,
        /// The command's id; drawn if not given.
        command: Option<MessageId>,
        /// The first members; the user need not be named.
        members: Vec<UserId>,
        /// Its name.
        name: String,
    },
    /// Opens the conversation with one other user, [`ConversationId::direct`], or, with oneself, the account; it begins if it has not.
    OpenDirect {
        /// The placement it is to live in.
        placement: PlacementId,
        /// The other.
        peer: UserId,
    },
    /// Changes who is in a group, or what they may do.
    ChangeMembers {
        /// Which.
        conversation: ConversationId,
        /// How.
        wish: MembersWish,
    },
    /// Everything shown of that conversation so far has been read.
    MarkRead {
        /// Which.
        conversation: ConversationId,
    },
    /// Read receipts are on, as they are in the beginning, or off: then nobody is told what the user reads from now on, and the user is not told what others read. An
    /// application keeps the choice and says it first of all, on each of the user's devices.
    TellReads {
        /// Whether they are on.
        told: bool,
    },
    /// Asks for messages of the past.
    Page {
        /// Of which conversation.
        conversation: ConversationId,
        /// From where, and which way.
        from: PageFrom,
        /// At most so many; 0 for the region's default.
        limit: u32,
    },
    /// Asks for the user's conversations, on every connection.
    List,
    /// Takes part in a placement: opens a connection to a region of it, if the home region does not serve it.
    TakePart {
        /// Which.
        placement: PlacementId,
    },
    /// Leaves the present region for another one, which is the home region from now on.
    Move {
        /// Which.
        region: Address,
    },
    /// A newer token: said at once on what is connected, so that it stays connected, and in each later hello.
    Renew {
        /// The token.
        token: String,
    },
}

/// What is done to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amend {
    /// The user's own message gets another body: text or ciphertext.
    Edit(Bytes),
    /// The user's own message is deleted for everyone.
    Delete,
    /// The user reacts: one emoji.
    React(String),
    /// The user withdraws a reaction.
    Withdraw(String),
}

/// What a conversation's document is to say; all else of it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentEdit {
    /// Its name; an empty one stands for that under which it began.
    Name(String),
    /// The name of the medium that is its icon; none if empty.
    Icon(String),
    /// What it is about.
    Description(String),
    /// That message is pinned.
    Pin((UserId, MessageId)),
    /// It is not.
    Unpin((UserId, MessageId)),
    /// A setting that all members share; cleared if it has no value.
    Setting {
        /// Which.
        name: String,
        /// What it is set to.
        value: String,
    },
    /// Of an account: the name that others are shown; none if empty.
    DisplayName(String),
    /// Of an account: what the user says of themselves; nothing if empty.
    Status(String),
    /// Of an account: what the user calls another; nothing any more if empty.
    Contact {
        /// Whom.
        user: UserId,
        /// How.
        name: String,
    },
    /// Of an account: how the user labels a conversation; not any more if empty.
    Label {
        /// Which.
        conversation: ConversationId,
        /// How.
        label: String,
    },
    /// Of an account: that user is blocked.
    Block(UserId),
    /// Of an account: they are not.
    Unblock(UserId),
}

/// From where a page goes, and which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFrom {
    /// The newest messages.
    Newest,
    /// Messages before that place, nearest first.
    Before(Place),
    /// Messages after that place, nearest first.
    After(Place),
}

/// A region and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Its name, as the cluster file has it.
    pub region: String,
    /// `ws://` or `wss://`.
    pub url: String,
}

/// Who the client is, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The user that the token names.
    pub user: UserId,
    /// The device that the token names.
    pub device: DeviceId,
    /// The signed token.
    pub token: String,
    /// Name and version of the application, for the operator's eyes.
    pub client: String,
    /// The user's region, and further addresses to try in turn when it does not answer. At least one.
    pub home: Vec<Address>,
    /// Placements to take part in from the beginning, besides those that the home region serves.
    pub placements: Vec<PlacementId>,
}
