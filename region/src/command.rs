//! What a device may ask of a region, what it is told when that is done, and why it may be refused.
//!
//! What must always hold: every command carries an id and is done once, however often it is sent; a refusal changes nothing.

pub use crate::accept_document::DocumentWish;
pub use crdt::roster::Wish as MembersWish;
pub use replication::placement::{Epoch, Placements};

use crate::features::Feature;
use bytes::Bytes;
use crdt::amendments::NotAmended;
use crdt::emoji::Emoji;
use crdt::escrow::NoneLeft;
use crdt::roster::NotAllowed;
use crdt::{ConversationId, Cut, Dot, Identity, MessageId, RegionId, Timestamp, UserId};
use documents::{Malformed, NotTaken, TooLong};

/// A command of one user's device, already signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begins a group, whose id the client has drawn.
    CreateGroup {
        /// Its id; the placement within must allow all members.
        conversation: ConversationId,
        /// The command's id.
        command: MessageId,
        /// The first members; the creator need not be named.
        members: Vec<UserId>,
        /// Up to 256 characters.
        name: String,
        /// Where it was first asked for; none for here and now.
        begun: Option<Begun>,
    },
    /// Opens the conversation with one other user, or, with oneself, the user's account; it begins if it has not.
    OpenDirect {
        /// The placement it is to live in.
        placement: crdt::PlacementId,
        /// The command's id.
        command: MessageId,
        /// The other.
        peer: UserId,
    },
    /// Changes who is in a group, or what they may do.
    ChangeMembers {
        /// Where.
        conversation: ConversationId,
        /// The command's id.
        command: MessageId,
        /// How.
        wish: MembersWish,
    },
    /// Posts a message.
    Post {
        /// Where.
        conversation: ConversationId,
        /// The message's id, the idempotency key.
        message: MessageId,
        /// At most 65,536 bytes.
        body: Bytes,
        /// The sender and id of the message it answers.
        reply_to: Option<(UserId, MessageId)>,
        /// The sender's local time, for display alone.
        sent_at_ms: i64,
        /// What this device has been shown of the conversation, from its authenticated cursor.
        seen: Option<Seen>,
        /// An earlier message of the same sender, which others must not be shown after this one.
        after: Option<MessageId>,
        /// Another region of the placement has taken it, and proved so: what operators allow was judged there.
        taken_before: bool,
    },
    /// Changes a message, or reacts to it.
    Amend {
        /// Where.
        conversation: ConversationId,
        /// The command's id.
        command: MessageId,
        /// The message.
        target: Identity,
        /// What is to be done to it.
        wish: Wish,
        /// As of a post.
        seen: Option<Seen>,
    },
    /// Changes the conversation's document.
    ChangeDocument {
        /// Where.
        conversation: ConversationId,
        /// The command's id.
        command: MessageId,
        /// How.
        wish: DocumentWish,
    },
    /// What this device has been given, or its user has read, from its authenticated cursors.
    Receipt {
        /// Where.
        conversation: ConversationId,
        /// Delivered to the device up to here.
        delivered: Option<Cut>,
        /// Read by the user up to here.
        read: Option<Cut>,
    },
    /// What this device's user has read and nobody but them is told, from its authenticated cursor. Delivered it is to all.
    ReadQuietly {
        /// Where.
        conversation: ConversationId,
        /// Read by the user up to here.
        read: Cut,
    },
    /// Takes a message out of this user's own view.
    Hide {
        /// Where.
        conversation: ConversationId,
        /// The message, which need not be here.
        message: Identity,
    },
}

/// Where a group was first asked for: by this its rights to add members are shared out, whichever region takes the command, and whenever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The region that was asked, which gets half of them.
    pub region: RegionId,
    /// The epoch in which it stood, whose active regions get the other half; none for the present one.
    pub epoch: Option<Epoch>,
}

/// What is to be done to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Its body becomes this one, of at most 65,536 bytes.
    Edit(Bytes),
    /// It is deleted for everyone.
    Delete,
    /// The user reacts to it.
    React(Emoji),
    /// The user withdraws a reaction.
    Withdraw(Emoji),
}

/// What a device has seen of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Per origin, the last operation of the conversation that it was given.
    pub cut: Cut,
    /// The highest timestamp among them.
    pub highest: Timestamp,
}

/// What a device is told once its command is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The operation that did it. A resent command gets the same answer.
    Operation {
        /// Where.
        conversation: ConversationId,
        /// The command's id.
        command: MessageId,
        /// The operation's dot.
        dot: Dot,
        /// Its timestamp.
        hlc: Timestamp,
    },
    /// Nothing had to be done: the direct conversation exists, or the user is what they were to be.
    Exists {
        /// Which.
        conversation: ConversationId,
    },
    /// The receipt has been joined.
    Receipt,
    /// The message is hidden from the user.
    Hidden {
        /// Where.
        conversation: ConversationId,
    },
}

/// Why a command was refused. Each has a stable code and names the way out; nothing was changed, but for [`Self::NotElsewhere`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This region has no part in the conversation's placement.
    #[error(
        "conversation {0} lives in a placement that this region has no part in: connect to a region of that placement"
    )]
    WrongPlacement(ConversationId),
    /// There is no such conversation here, or the user is not in it; the two are not told apart.
    #[error(
        "there is no conversation {0} for you here: check the id, or wait until this region has heard of it"
    )]
    UnknownConversation(ConversationId),
    /// The user has left it or was removed, and this region has not heard that they were added again.
    #[error("you are not in conversation {0} any more: ask an admin to add you again")]
    NotMember(ConversationId),
    /// The user is pinned elsewhere.
    #[error(
        "{user} cannot take part in conversation {conversation}, because placements are fixed: begin a new one in a placement that all members allow"
    )]
    PlacementFixed {
        /// Who.
        user: UserId,
        /// Where.
        conversation: ConversationId,
    },
    /// The user may not change the group like that.
    #[error("{why}")]
    NotAllowed {
        /// Where.
        conversation: ConversationId,
        /// Why not.
        why: NotAllowed,
    },
    /// Another group has that id.
    #[error("conversation {0} exists already: draw another id")]
    ConversationExists(ConversationId),
    /// A body is too long.
    #[error("the body has {bytes} bytes, the limit is {limit}: shorten it, or send it in parts")]
    BodyTooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many members.
    #[error(
        "{members} members are more than the limit of {limit}: begin with fewer, or remove somebody first"
    )]
    TooManyMembers {
        /// How many there would be.
        members: usize,
        /// The limit.
        limit: usize,
    },
    /// The group is not full, but this region holds no right to add a member.
    #[error("nobody can be added to {conversation} here for the moment: {why}")]
    NoRightsLeft {
        /// Where.
        conversation: ConversationId,
        /// Whether another region could.
        why: NoneLeft,
    },
    /// A group has changed so often that regions which are away would have too much to weigh.
    #[error(
        "{changes} changes of conversation {conversation}'s members have not been acknowledged by every region: try again when those that are away are back"
    )]
    TooManyChanges {
        /// Where.
        conversation: ConversationId,
        /// How many.
        changes: usize,
    },
    /// A name is too long.
    #[error("the name has {characters} characters, the limit is {limit}: shorten it")]
    NameTooLong {
        /// Its length.
        characters: usize,
        /// The limit.
        limit: usize,
    },
    /// The message id is older than the outbox limit, so whether it was sent before can no longer be told.
    #[error(
        "message id {message} was made more than {limit_days} days ago: send the message again under a new id"
    )]
    MessageTooOld {
        /// The id.
        message: MessageId,
        /// The outbox limit.
        limit_days: u64,
    },
    /// The message id is from the future by more than a day.
    #[error(
        "message id {0} is dated more than a day ahead: correct the device's clock and send again under a new id"
    )]
    MessageFromFuture(MessageId),
    /// A direct conversation has its two members for ever, and an account its one.
    #[error("conversation {0} has the users that it has for good: begin a group")]
    Direct(ConversationId),
    /// An account has a document and no messages.
    #[error("{0} is your account, which has a document and no messages: write in a conversation")]
    Account(ConversationId),
    /// The conversation's clock is at the top of its range.
    #[error("conversation {0} can take no more messages: begin a new one")]
    ClockExhausted(ConversationId),
    /// The cursor is not one this device could have been given.
    #[error("the cursor claims more than this conversation holds: sync again from your last cursor")]
    CursorAhead(ConversationId),
    /// Another message was sent under that id.
    #[error(
        "message {message} was sent before and says something else: send this one under an id of its own"
    )]
    IdInUse {
        /// Where.
        conversation: ConversationId,
        /// The id.
        message: MessageId,
    },
    /// The group was first asked for under an epoch that this region has not followed yet.
    #[error("the group was begun under epoch {} of its placement, which has not arrived here: send it again", .epoch.0)]
    EpochMissing {
        /// Where.
        conversation: ConversationId,
        /// The epoch.
        epoch: Epoch,
    },
    /// The message before it, which was refused here, has not been taken since.
    #[error("message {after} is to stand before this one and is not here: send that one first")]
    PredecessorMissing {
        /// Where.
        conversation: ConversationId,
        /// The one before.
        after: MessageId,
    },
    /// The message cannot be edited, deleted or reacted to like that.
    #[error("{why}")]
    NotAmended {
        /// Where.
        conversation: ConversationId,
        /// Why not.
        why: NotAmended,
    },
    /// The user has hidden as many messages of the conversation as may be.
    #[error("you have deleted {limit} messages of {conversation} for yourself, and no more may be")]
    TooManyHidden {
        /// Where.
        conversation: ConversationId,
        /// The limit.
        limit: usize,
    },
    /// The document cannot be changed like that.
    #[error("{why}")]
    NotChanged {
        /// Where.
        conversation: ConversationId,
        /// Why not.
        why: NotChanged,
    },
    /// An operator has turned it off.
    #[error("{0} are turned off by the operators of this placement: try again later")]
    FeatureOff(Feature),
    /// A region of the placement does not know this kind of operation yet, or has not said so.
    #[error(
        "this can be done in {conversation} only once every region of its placement can, and {region} has not said so yet: try again when it was upgraded and has been reached"
    )]
    NotKnownEverywhere {
        /// Where.
        conversation: ConversationId,
        /// Which region.
        region: RegionId,
    },
    /// It is done and on stable storage here, and where that is not enough no other region is known to have it.
    #[error(
        "it stands in {0} here, and no other region of the placement has it yet, without which this placement acknowledges nothing: send it again, it is answered as soon as one has"
    )]
    NotElsewhere(ConversationId),
    /// The shard's mailbox is full.
    #[error("the region is busy: send again in {retry_after_ms} ms")]
    Busy {
        /// When to try again.
        retry_after_ms: u64,
    },
}

/// Why a document was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// The change would stand nowhere.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// Something in the document would be too long.
    #[error("{0}: shorten it")]
    TooLong(#[from] TooLong),
    /// An account would name somebody, or a conversation, of whom nothing may be kept in its placement.
    #[error(
        "it names somebody, or a conversation, that is pinned elsewhere: keep that in your account of that placement"
    )]
    PinnedElsewhere,
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongPlacement(_) => "wrong_placement",
            Self::UnknownConversation(_) => "unknown_conversation",
            Self::NotMember(_) => "not_a_member",
            Self::PlacementFixed { .. } => "placement_fixed",
            Self::NotAllowed { why, .. } => match why {
                NotAllowed::NotAMember => "not_a_member",
                NotAllowed::NotAnAdmin => "not_an_admin",
                NotAllowed::NoSuchMember(_) => "unknown_member",
                NotAllowed::NotAbove(_) => "not_above",
                NotAllowed::AdminsRemain => "admins_remain",
                NotAllowed::NotMostSenior(_) => "not_most_senior",
                // Never refused with: whoever is that already needs nothing.
                NotAllowed::AlreadyAMember(_)
                | NotAllowed::NoSuchAdmin(_)
                | NotAllowed::AlreadyAnAdmin(_) => "not_an_admin",
            },
            Self::ConversationExists(_) => "conversation_exists",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::TooManyMembers { .. } => "too_many_members",
            Self::NoRightsLeft { .. } => "no_rights_left",
            Self::TooManyChanges { .. } => "too_many_changes",
            Self::NameTooLong { .. } => "name_too_long",
            Self::MessageTooOld { .. } => "message_too_old",
            Self::MessageFromFuture(_) => "message_from_future",
            Self::Direct(_) => "direct_conversation",
            Self::Account(_) => "account_conversation",
            Self::ClockExhausted(_) => "clock_exhausted",
            Self::CursorAhead(_) => "cursor_ahead",
            Self::IdInUse { .. } => "id_in_use",
            Self::EpochMissing { .. } => "epoch_missing",
            Self::PredecessorMissing { .. } => "predecessor_missing",
            Self::NotAmended { why, .. } => match why {
                NotAmended::NoSuchMessage => "unknown_message",
                NotAmended::NotTheSender => "not_the_sender",
                NotAmended::TooLate { .. } => "too_late",
                NotAmended::Deleted => "message_deleted",
                NotAmended::TooManyEdits => "too_many_edits",
                NotAmended::TooManyEmoji => "too_many_emoji",
                NotAmended::TooOften => "too_many_reactions",
                NotAmended::NoSuchReaction => "unknown_reaction",
                // Never refused with: what stands already needs nothing.
                NotAmended::AlreadyReacted => "unknown_reaction",
            },
            Self::NotChanged { why, .. } => match why {
                NotChanged::TooLong(_) => "document_too_long",
                NotChanged::PinnedElsewhere => "placement_fixed",
                NotChanged::NotTaken(NotTaken::Malformed(Malformed::Schema)) => "document_schema",
                NotChanged::NotTaken(NotTaken::Malformed(_)) => "document_malformed",
                NotChanged::NotTaken(NotTaken::ForeignActor) => "document_foreign_actor",
                NotChanged::NotTaken(NotTaken::Forks | NotTaken::Gap) => "document_forked",
                NotChanged::NotTaken(NotTaken::Unfounded) => "document_unfounded",
                NotChanged::NotTaken(NotTaken::Full) => "document_full",
            },
            Self::FeatureOff(_) => "feature_off",
            Self::TooManyHidden { .. } => "too_many_hidden",
            Self::NotKnownEverywhere { .. } => "not_known_everywhere",
            Self::NotElsewhere(_) => "not_elsewhere",
            Self::Busy { .. } => "busy",
        }
    }
}
