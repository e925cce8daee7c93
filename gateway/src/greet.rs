//! The beginning of a connection: hello, version, token, welcome; and the renewal of the token by a later hello.
//!
//! ```text
//!   Greeting ──hello──▶ Checking ──token good──▶ Open ──hello──▶ Checking again ──▶ Open
//!       └─ anything else, nothing for 10 s, a version or token that does not fit: an error by name, and closed
//! ```
//! What must always hold: nothing is answered, read or subscribed to before the welcome; a connection never changes its user or device.

use crate::error::{SessionError, TokenRefused};
use crate::input::Identity;
use crate::limits;
use crate::output::Output;
use crate::site::Here;
use crate::timers::{Timer, Timers};
use crdt::Now;
use gateway_protocol::v1::server_frame::Frame;
use gateway_protocol::v1::{self, ServerFrame};

/// Who is connected, and how far that is known.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// Known and welcomed.
    pub(crate) identity: Option<Identity>,
    /// A hello whose token is being checked: its request number.
    checking: Option<u64>,
}

impl Opening {
    /// A hello came.
    pub(crate) fn hello(
        &mut self,
        request: u64,
        hello: v1::Hello,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        if self.checking.is_some() {
            return Err(SessionError::HelloExpected);
        }
        if hello.version_max < limits::VERSION_MIN {
            return Err(SessionError::VersionTooOld { offered: hello.version_max });
        }
        if hello.version_min > limits::VERSION_MAX {
            return Err(SessionError::VersionTooNew { required: hello.version_min });
        }
        self.checking = Some(request);
        out.push(Output::Authenticate(hello.token));
        Ok(())
    }

    /// The number of the hello whose token is being checked.
    pub(crate) fn checking(&self) -> u64 {
        self.checking.unwrap_or(0)
    }

    /// The token was checked.
    pub(crate) fn authenticated(
        &mut self,
        here: &Here,
        now: Now,
        result: Result<Identity, TokenRefused>,
        timers: &mut Timers,
        out: &mut Vec<Output>,
    ) -> Result<(), SessionError> {
        let Some(request) = self.checking.take() else { return Ok(()) };
        let identity = result?;
        if identity.expires <= now {
            return Err(TokenRefused::Expired.into());
        }
        let placement = identity.user.placement();
        match here.placement(placement) {
            Ok(_) => {}
            Err(SessionError::PlacementBehind(_)) => return Err(SessionError::RegionBehind(placement)),
            Err(_) => {
                crate::sometimes::USER_NOT_HERE.reach();
                return Err(SessionError::UserNotHere(placement));
            }
        }
        match self.identity {
            None => out.push(Output::WatchUser(identity.user)),
            Some(known) if (known.user, known.device) == (identity.user, identity.device) => {}
            Some(_) => return Err(SessionError::TokenWrongUser),
        }
        self.identity = Some(identity);
        timers.clear(Timer::Hello);
        timers.set(Timer::Token, identity.expires);
        out.push(Output::Send(ServerFrame {
            request,
            frame: Some(Frame::Welcome(welcome(here, now, identity))),
        }));
        Ok(())
    }
}

fn welcome(Here { site, directory, .. }: &Here, now: Now, identity: Identity) -> v1::Welcome {
    // All of these are constants far below 32 bits.
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    v1::Welcome {
        version: limits::VERSION_MAX,
        region: site.region.clone(),
        cluster: site.cluster.clone(),
        user: identity.user.to_string(),
        device: identity.device.to_string(),
        heartbeat_ms: u32::try_from(limits::HEARTBEAT_MS).unwrap_or(u32::MAX),
        server_time_ms: server_time_ms(now),
        limits: Some(v1::Limits {
            body_bytes: number(limits::BODY_BYTES_MAX),
            frame_bytes: number(gateway_protocol::FRAME_BYTES_MAX),
            batch_items: number(limits::BATCH_ITEMS_MAX),
            members: number(limits::MEMBERS_MAX),
            name_characters: number(limits::NAME_CHARACTERS_MAX),
            unacknowledged_batches: number(limits::UNACKNOWLEDGED_BATCHES_MAX),
        }),
        placements: directory.clone(),
        region_id: site.region_id().map(|region| region.to_string()).unwrap_or_default(),
    }
}

/// The region's present, as frames carry it.
pub(crate) fn server_time_ms(now: Now) -> i64 {
    i64::try_from(now.ms()).unwrap_or(i64::MAX)
}
