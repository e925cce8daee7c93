//! What production code had to handle: the events by which a run's size and speed are told.
//!
//! An event is a frame that arrived, a timer, or the completion of a disk or a link, that a core took. Not counted are what one core hands to another in
//! the same process (a command to a shard, a change to a session), acts of people, faults, and whatever the world does for itself; they are in the trace all the
//! same. Heartbeats, and timers after which a core had nothing to do, are counted apart as well.
//!
//! What must always hold: of one entry of the queue one event is counted at most, so a world cannot look busier than its cores were.

use bytes::Bytes;
use gateway::input::Input as SessionInput;
use gateway::output::Output as SessionOutput;
use gateway_client::{Input as ClientInput, Output as ClientOutput};
use gateway_protocol::v1::{client_frame, server_frame};
use region::shard::{Input as ShardInput, Outcome};
use replication::input::Input as BridgeInput;
use replication::output::Output as BridgeOutput;
use replication::timers::Timer;

/// The first byte of a frame that holds a question for the peer's clock and nothing else, and of one that holds an answer: their fields' tags in
/// `replication/proto/bridge.proto`, written in order of their numbers.
const PROBES: [u8; 2] = [9 << 3 | 2, 10 << 3 | 2];

/// Events so far.
#[derive(Debug, Default)]
pub(crate) struct Work {
    events: u64,
    idle: u64,
    /// Of what is being handled: whether a core took an event, and if so, whether only idle ones.
    taken: Option<bool>,
}

/// What a core took, as far as this asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Something of the same process.
    Handed,
    /// A heartbeat.
    Heartbeat,
    /// A timer.
    Timer,
    /// A frame, or a completion.
    Event,
}

impl Work {
    /// A core took that, and had something to do or not.
    pub(crate) fn step(&mut self, taken: Taken, did_something: bool) {
        let idle = match taken {
            Taken::Handed => return,
            Taken::Heartbeat => true,
            Taken::Timer => !did_something,
            Taken::Event => false,
        };
        self.taken = Some(self.taken.unwrap_or(true) && idle);
    }

    /// An entry of the queue has been handled.
    pub(crate) fn handled(&mut self) {
        if let Some(idle) = self.taken.take() {
            self.events += 1;
            self.idle += u64::from(idle);
        }
    }

    pub(crate) const fn events(&self) -> u64 {
        self.events
    }

    /// Those that were heartbeats or timers without anything to do.
    pub(crate) const fn idle(&self) -> u64 {
        self.idle
    }
}

impl Taken {
    pub(crate) fn by_bridge(input: &BridgeInput) -> Self {
        match input {
            BridgeInput::Frame(frame) if is_probe(frame) => Self::Heartbeat,
            BridgeInput::Timer(Timer::Probe) => Self::Heartbeat,
            BridgeInput::Timer(_) => Self::Timer,
            BridgeInput::Frame(_)
            | BridgeInput::Connected { .. }
            | BridgeInput::Disconnected { .. }
            | BridgeInput::PipeReady => Self::Event,
            BridgeInput::Started
            | BridgeInput::Advanced { .. }
            | BridgeInput::Placements(_)
            | BridgeInput::PeerBridge { .. }
            | BridgeInput::Taken { .. }
            | BridgeInput::Refused { .. } => Self::Handed,
        }
    }

    pub(crate) fn by_session(input: &SessionInput) -> Self {
        match input {
            SessionInput::Frame(Ok(frame)) if matches!(frame.frame, Some(client_frame::Frame::Ping(_))) => {
                Self::Heartbeat
            }
            SessionInput::Timer => Self::Timer,
            SessionInput::Frame(_) | SessionInput::Read { .. } | SessionInput::Unsent(_) => Self::Event,
            SessionInput::Authenticated(_)
            | SessionInput::Answered { .. }
            | SessionInput::Changed(_)
            | SessionInput::Membership { .. }
            | SessionInput::Hidden { .. }
            | SessionInput::Receipt { .. }
            | SessionInput::Stable { .. }
            | SessionInput::Missed
            | SessionInput::Drain(_) => Self::Handed,
        }
    }

    pub(crate) fn by_client(input: &ClientInput) -> Self {
        match input {
            ClientInput::Frame { frame, .. } if matches!(frame.frame, Some(server_frame::Frame::Pong(_))) => {
                Self::Heartbeat
            }
            ClientInput::Timer => Self::Timer,
            ClientInput::Frame { .. } | ClientInput::Connected(_) | ClientInput::Disconnected(_) => {
                Self::Event
            }
            ClientInput::Start | ClientInput::Act(_) => Self::Handed,
        }
    }

    pub(crate) fn by_shard(inputs: &[ShardInput]) -> Self {
        if inputs.iter().any(|input| matches!(input, ShardInput::Tick)) { Self::Timer } else { Self::Handed }
    }
}

/// Whether a bridge did more than set its timers anew.
pub(crate) fn bridge_did(outputs: &[BridgeOutput]) -> bool {
    outputs.iter().any(|output| !matches!(output, BridgeOutput::SetTimer { .. }))
}

/// Whether a session did more than set its timer anew.
pub(crate) fn session_did(outputs: &[SessionOutput]) -> bool {
    outputs.iter().any(|output| !matches!(output, SessionOutput::SetTimer(_)))
}

/// Whether a client did more than send a heartbeat.
pub(crate) fn client_did(outputs: &[ClientOutput]) -> bool {
    let is_ping = |output: &ClientOutput| matches!(output, ClientOutput::Send { frame, .. } if matches!(frame.frame, Some(client_frame::Frame::Ping(_))));
    outputs.iter().any(|output| !is_ping(output))
}

/// Whether a step of a shard changed anything.
pub(crate) fn shard_did(outcome: &Outcome) -> bool {
    !outcome.batch.is_empty() || !outcome.effects.is_empty()
}

fn is_probe(frame: &Bytes) -> bool {
    frame.first().is_some_and(|tag| PROBES.contains(tag))
}
