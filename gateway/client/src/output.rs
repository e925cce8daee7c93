//! What comes out of the client: what its sockets are to do, and what its user is to see.
//!
//! What must always hold: outputs are obeyed in order. A frame goes out on a connection only between its
//! [`Connected`](crate::Input::Connected) and its end.

use crate::input::ConnectionId;
use crate::item::{Became, Document, Item, Place, Summary};
use bytes::Bytes;
use crdt::{ConversationId, Cut, DeviceId, Dot, MessageId, PlacementId, Timestamp, UserId};
use gateway_protocol::v1::ClientFrame;

/// What comes out of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a WebSocket. Answer with `Connected` or `Disconnected`.
    Connect {
        /// The name of this attempt.
        connection: ConnectionId,
        /// Where: `ws://` or `wss://`.
        url: String,
    },
    /// Close it; whatever still comes from it is ignored.
    Disconnect {
        /// Which attempt.
        connection: ConnectionId,
    },
    /// Send a frame.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// The frame.
        frame: ClientFrame,
    },
    /// Tell the application.
    Show(Event),
}

/// What the application is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A region welcomed the user.
    SignedIn {
        /// None for the home region; else the placement whose own connection this is.
        placement: Option<PlacementId>,
        /// The region's name.
        region: String,
    },
    /// A connection ended; another try follows by itself.
    SignedOut {
        /// None for the home region; else the placement whose own connection this was.
        placement: Option<PlacementId>,
        /// The next try begins after so many milliseconds.
        retry_in_ms: u64,
    },
    /// The home region serves that placement too, so its own connection is closed; what waits for an answer is asked there.
    ServedAtHome {
        /// Which placement.
        placement: PlacementId,
    },
    /// The region sends this connection elsewhere; the client goes there by itself.
    Redirected {
        /// The region's name.
        region: String,
        /// Why.
        reason: String,
    },
    /// Something new in a conversation, once per identity, after everything it depends on. What is done to a message is such an item too; what the
    /// message looks like then is told by [`Event::Amended`].
    Shown {
        /// Where.
        conversation: ConversationId,
        /// What, with its place in the display order.
        item: Item,
        /// Whether it carries the mark of promise 4: its author had seen what is still missing here.
        marked: bool,
    },
    /// A duplicate taken by another region moves a shown item to an earlier place.
    Moved {
        /// Where.
        conversation: ConversationId,
        /// The item's sender.
        sender: UserId,
        /// The item's id.
        message: MessageId,
        /// It was shown here.
        from: Place,
        /// It belongs here.
        to: Place,
    },
    /// Another region has taken a message too: it has one more dot. Nothing changes for the user; whoever follows dots, as those of cuts, needs to know.
    Repeated {
        /// Where.
        conversation: ConversationId,
        /// The message's sender.
        sender: UserId,
        /// The message's id.
        message: MessageId,
        /// The place of that copy. It is shown at an earlier one, or waits in the outbox.
        place: Place,
    },
    /// Another region has taken an add too, on more or less than the first: what it hides is hidden from the added as well.
    AddedAgain {
        /// Where.
        conversation: ConversationId,
        /// Who was added.
        user: UserId,
        /// What is hidden from them by that add.
        since: Cut,
    },
    /// Everything that the item's author had seen has been shown now: its mark goes.
    MarkCleared {
        /// Where.
        conversation: ConversationId,
        /// The item's sender.
        sender: UserId,
        /// The item's id.
        message: MessageId,
    },
    /// A message looks different now: it was edited, deleted for everyone, or has other reactions. Follows the item that did it. It may be about a message
    /// that is hidden from this user, and then shows nothing.
    Amended {
        /// Where.
        conversation: ConversationId,
        /// The message's sender.
        sender: UserId,
        /// The message's id.
        message: MessageId,
        /// The body of the edit that it shows; none if it is as it was sent, or deleted.
        body: Option<Bytes>,
        /// How it stands.
        became: Became,
    },
    /// The user has deleted a message for themselves, on this device or another: it goes from the view, if it was there. Once per message. Items about it that
    /// still come are shown as [`Content::Withheld`](crate::item::Content::Withheld).
    Hidden {
        /// Where.
        conversation: ConversationId,
        /// The message's sender.
        sender: UserId,
        /// The message's id.
        message: MessageId,
    },
    /// All that was waiting in this conversation has been shown; from here on it is live.
    CaughtUp {
        /// Which.
        conversation: ConversationId,
    },
    /// The user's own command or message is durable in the region that took it: one tick. Once per command.
    Acknowledged {
        /// Where.
        conversation: ConversationId,
        /// The command's or message's id.
        command: MessageId,
        /// Its place; none if nothing had to be done.
        place: Option<Place>,
    },
    /// It is durable in every region of its placement, and has left the outbox. Once per command.
    Stable {
        /// Where.
        conversation: ConversationId,
        /// The command's or message's id.
        command: MessageId,
    },
    /// An own message reached another user's device. Once per message and device.
    Delivered {
        /// Where.
        conversation: ConversationId,
        /// The message.
        message: MessageId,
        /// Whose device.
        user: UserId,
        /// Which.
        device: DeviceId,
    },
    /// Another user has read an own message on that device. Once per message and device.
    Read {
        /// Where.
        conversation: ConversationId,
        /// The message.
        message: MessageId,
        /// Who.
        user: UserId,
        /// On which device.
        device: DeviceId,
    },
    /// Something was refused for good, by a region or here. If it was a command that no region had acknowledged, it has left
    /// the outbox and was not done.
    Refused {
        /// Where, if it was about a conversation.
        conversation: Option<ConversationId>,
        /// The command's or message's id, if it was one.
        command: Option<MessageId>,
        /// The stable code: of `docs/protocol.md`, or of [`crate::LocalRefusal`].
        code: String,
        /// What happened, and the way out.
        message: String,
    },
    /// The user, or another member, came or went.
    Membership {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Whether they are a member now.
        member: bool,
    },
    /// Answers [`crate::Act::Page`].
    Paged {
        /// Of which conversation.
        conversation: ConversationId,
        /// In the display order.
        items: Vec<Item>,
        /// Whether more lies in the asked direction.
        more: bool,
    },
    /// Answers [`crate::Act::GetDocument`], in several parts if the document is long.
    Documented {
        /// Which conversation's.
        conversation: ConversationId,
        /// What it says, in the first part, and bytes of it in each.
        document: Document,
        /// Whether another part follows.
        more: bool,
    },
    /// Answers [`crate::Act::List`], once per connection, in several parts if it is long.
    Listed {
        /// None for the home region; else the placement whose own connection answered.
        placement: Option<PlacementId>,
        /// The most recently active first.
        conversations: Vec<Summary>,
        /// Whether another part follows.
        more: bool,
    },
}

impl Place {
    /// The place of an operation.
    #[must_use]
    pub const fn new(hlc: Timestamp, dot: Dot) -> Self {
        Self { hlc, dot }
    }
}
