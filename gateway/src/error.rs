//! Why a session refuses something: what happened, to what, and the way out, each with a stable code.
//!
//! What must always hold: every code stands in the protocol's table (tested below); a refusal changes nothing.

use crate::cursor::CursorError;
use crate::limits;
use crdt::{ConversationId, PlacementId};
use gateway_protocol::{FieldError, FrameError, codes, v1};
use region::command::Refusal;

/// Why a token was not taken. The driver checks tokens, since that takes a clock and a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// Not a token, or not signed by the cluster's key.
    #[error("the token is not valid ({0}): get a new one")]
    Invalid(&'static str),
    /// Past its time.
    #[error("the token has expired: get a new one")]
    Expired,
    /// For another cluster.
    #[error("the token is for another cluster: get one for this")]
    WrongCluster,
}

/// Why a session refuses a frame, or ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Something else came before the welcome.
    #[error("a hello must be the first frame, and nothing may follow it until the welcome: connect again")]
    HelloExpected,
    /// No hello came.
    #[error("no hello came within {} seconds: connect again and say it at once", limits::HELLO_MS / 1_000)]
    HelloTimeout,
    /// The client is too old.
    #[error("version {offered} is below the minimum of {}: upgrade the client", limits::VERSION_MIN)]
    VersionTooOld {
        /// The highest it speaks.
        offered: u32,
    },
    /// The client is too new.
    #[error(
        "version {required} is above {}, the highest that this region speaks: let the client speak that one, or upgrade the region",
        limits::VERSION_MAX
    )]
    VersionTooNew {
        /// The lowest it speaks.
        required: u32,
    },
    /// The token was refused.
    #[error(transparent)]
    Token(#[from] TokenRefused),
    /// A renewed token is another's.
    #[error(
        "the new token is of another user or device than this connection's: open another connection for it"
    )]
    TokenWrongUser,
    /// The user may not be served here.
    #[error(
        "users of placement {0} cannot be served in this region, which has no part in it: connect to a region of that placement"
    )]
    UserNotHere(PlacementId),
    /// A placement was named that is not held here.
    #[error("this region has no part in placement {0}: connect to a region of that placement")]
    PlacementNotHere(PlacementId),
    /// Hello to a region that lacks what others hold.
    #[error(
        "this region has been admitted to placement {0} and does not hold all of it yet: connect to another region of that placement, or here again later"
    )]
    RegionBehind(PlacementId),
    /// A placement was named in which the region lacks what others hold.
    #[error(
        "this region does not hold all of placement {0} yet: connect to another region of that placement, or try again later"
    )]
    PlacementBehind(PlacementId),
    /// Nothing was heard.
    #[error("nothing was heard for {} seconds: connect again, and ping when idle", limits::SILENCE_MS / 1_000)]
    HeartbeatMissed,
    /// The region shuts down.
    #[error("this region is shutting down: connect to another, or here again later")]
    Draining,
    /// The device does not read.
    #[error(
        "more than {} bytes wait for this device: connect again and sync from the last cursors",
        limits::UNSENT_BYTES_CLOSE
    )]
    SlowDevice,
    /// Too much is asked at once.
    #[error(
        "{} commands and questions are unanswered, or their answers unread: wait for some, then send again",
        limits::OUTSTANDING_MAX
    )]
    TooManyOutstanding,
    /// The region's store failed.
    #[error("the region cannot read its store at the moment: try again, or connect to another region")]
    RegionUnavailable,
    /// The bytes were no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A field was malformed.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A cursor was not one of ours.
    #[error(transparent)]
    Cursor(#[from] CursorError),
    /// The region refused.
    #[error(transparent)]
    Refusal(#[from] Refusal),
}

impl SessionError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::HelloExpected => "hello_expected",
            Self::HelloTimeout => "hello_timeout",
            Self::VersionTooOld { .. } => "version_too_old",
            Self::VersionTooNew { .. } => "version_too_new",
            Self::Token(TokenRefused::Invalid(_)) => "token_invalid",
            Self::Token(TokenRefused::Expired) => "token_expired",
            Self::Token(TokenRefused::WrongCluster) => "token_wrong_cluster",
            Self::TokenWrongUser => "token_wrong_user",
            Self::UserNotHere(_) => "user_not_here",
            Self::PlacementNotHere(_) => "wrong_placement",
            Self::RegionBehind(_) => "region_behind",
            Self::PlacementBehind(_) => "placement_behind",
            Self::HeartbeatMissed => "heartbeat_missed",
            Self::Draining => "region_draining",
            Self::SlowDevice => "slow_device",
            Self::TooManyOutstanding => "too_many_outstanding",
            Self::RegionUnavailable => "region_unavailable",
            Self::Frame(error) => error.code(),
            Self::Field(error) => error.code(),
            Self::Cursor(error) => error.code(),
            Self::Refusal(refusal) => refusal.code(),
        }
    }

    /// The frame that tells the client.
    #[must_use]
    pub fn to_frame(&self) -> v1::Error {
        let mut frame = codes::error(self.code(), self.to_string());
        if frame.temporary {
            let asked =
                if let Self::Refusal(Refusal::Busy { retry_after_ms }) = self { *retry_after_ms } else { 0 };
            frame.retry_after_ms = if asked > 0 { asked } else { limits::RETRY_MS };
        }
        frame.conversation = self.conversation().map(|id| id.to_string()).unwrap_or_default();
        frame
    }

    fn conversation(&self) -> Option<ConversationId> {
        if let Self::Cursor(error) = self {
            return error.conversation();
        }
        if let Self::Refusal(
            Refusal::WrongPlacement(conversation)
            | Refusal::UnknownConversation(conversation)
            | Refusal::NotMember(conversation)
            | Refusal::CursorAhead(conversation)
            | Refusal::Account(conversation)
            | Refusal::EpochMissing { conversation, .. }
            | Refusal::IdInUse { conversation, .. }
            | Refusal::PredecessorMissing { conversation, .. }
            | Refusal::NotAmended { conversation, .. }
            | Refusal::NotAllowed { conversation, .. }
            | Refusal::TooManyChanges { conversation, .. }
            | Refusal::NotChanged { conversation, .. }
            | Refusal::NotKnownEverywhere { conversation, .. }
            | Refusal::NotElsewhere(conversation),
        ) = self
        {
            return Some(*conversation);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt::amendments::NotAmended;
    use crdt::roster::NotAllowed;
    use crdt::{MessageId, RegionId, UserId};
    use documents::{Malformed, NotTaken, TooLong};
    use region::command::NotChanged;

    fn refusals() -> Vec<Refusal> {
        let conversation = ConversationId(1);
        let message = MessageId(1);
        let amended = [
            NotAmended::NoSuchMessage,
            NotAmended::NotTheSender,
            NotAmended::TooLate { age_ms: 2, window_ms: 1 },
            NotAmended::Deleted,
            NotAmended::TooManyEdits,
            NotAmended::TooManyEmoji,
            NotAmended::TooOften,
            NotAmended::NoSuchReaction,
        ];
        let mut refusals: Vec<Refusal> =
            amended.into_iter().map(|why| Refusal::NotAmended { conversation, why }).collect();
        let not_allowed = [
            NotAllowed::NotAnAdmin,
            NotAllowed::NoSuchMember(UserId(1)),
            NotAllowed::NotAbove(UserId(1)),
            NotAllowed::AdminsRemain,
            NotAllowed::NotMostSenior(UserId(1)),
        ];
        refusals.extend(not_allowed.map(|why| Refusal::NotAllowed { conversation, why }));
        refusals.extend([
            Refusal::FeatureOff(region::features::Feature::Posts),
            Refusal::Account(conversation),
            Refusal::NotKnownEverywhere { conversation, region: RegionId(1) },
            Refusal::IdInUse { conversation, message },
            Refusal::EpochMissing { conversation, epoch: region::command::Epoch(1) },
            Refusal::PredecessorMissing { conversation, after: message },
            Refusal::WrongPlacement(conversation),
            Refusal::UnknownConversation(conversation),
            Refusal::NotMember(conversation),
            Refusal::PlacementFixed { user: UserId(1), conversation },
            Refusal::ConversationExists(conversation),
            Refusal::BodyTooLarge { bytes: 1, limit: 0 },
            Refusal::TooManyMembers { members: 1, limit: 0 },
            Refusal::NoRightsLeft { conversation, why: crdt::escrow::NoneLeft::Anywhere },
            Refusal::TooManyChanges { conversation, changes: 1 },
            Refusal::NameTooLong { characters: 1, limit: 0 },
            Refusal::MessageTooOld { message, limit_days: 30 },
            Refusal::MessageFromFuture(message),
            Refusal::Direct(conversation),
            Refusal::ClockExhausted(conversation),
            Refusal::CursorAhead(conversation),
            Refusal::Busy { retry_after_ms: 1 },
            Refusal::NotElsewhere(conversation),
        ]);
        let not_taken = [
            NotTaken::Malformed(Malformed::Short),
            NotTaken::Malformed(Malformed::Schema),
            NotTaken::ForeignActor,
            NotTaken::Forks,
            NotTaken::Gap,
            NotTaken::Unfounded,
            NotTaken::Full,
        ];
        let too_long = NotChanged::TooLong(TooLong { what: "", length: 2, limit: 1 });
        let why = not_taken.into_iter().map(NotChanged::from).chain([too_long]);
        refusals.extend(why.map(|why| Refusal::NotChanged { conversation, why }));
        refusals
    }

    fn all() -> Vec<SessionError> {
        let mut all = vec![
            SessionError::HelloExpected,
            SessionError::HelloTimeout,
            SessionError::VersionTooOld { offered: 0 },
            SessionError::VersionTooNew { required: 2 },
            TokenRefused::Invalid("").into(),
            TokenRefused::Expired.into(),
            TokenRefused::WrongCluster.into(),
            SessionError::TokenWrongUser,
            SessionError::UserNotHere(PlacementId(1)),
            SessionError::PlacementNotHere(PlacementId(1)),
            SessionError::HeartbeatMissed,
            SessionError::Draining,
            SessionError::SlowDevice,
            SessionError::TooManyOutstanding,
            SessionError::RegionUnavailable,
            CursorError::Malformed.into(),
            CursorError::Forged(ConversationId(1)).into(),
            CursorError::Retired(ConversationId(1)).into(),
            CursorError::WrongConversation { expected: ConversationId(1), found: ConversationId(2) }.into(),
        ];
        all.extend(refusals().into_iter().map(SessionError::from));
        all
    }

    #[test]
    fn every_code_stands_in_the_protocols_table() {
        for error in all() {
            assert!(codes::entry(error.code()).is_some(), "{}", error.code());
        }
    }

    #[test]
    fn temporary_errors_say_when_to_try_again_and_no_others_do() {
        for error in all() {
            let frame = error.to_frame();
            assert_eq!(frame.temporary, frame.retry_after_ms > 0, "{}", frame.code);
        }
    }
}
